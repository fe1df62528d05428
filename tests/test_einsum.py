"""einsum against NumPy for random expressions, its orders, its gradients, and what it says about wrong subscripts."""
import re
from functools import partial

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.functions import einsum_order
from exprgraph.graph import order
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads
from tests.einsum_cases import draw

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}


def agree(got, case):
    want = np.asarray(case.call(np.einsum, case.arrays))
    assert (got.dtype, got.shape) == (want.dtype, want.shape), case.text
    tolerance = TOLERANCE.get(got.dtype.name, 0)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=case.text)


@pytest.mark.parametrize("seed", range(10))
def test_thirty_random_expressions_agree_with_numpy(seed):
    rng = np.random.default_rng(seed)
    for _ in range(30):
        case = draw(rng)
        made = case.call(eg.einsum, case.symbols, optimize=[True, False, "greedy"][rng.integers(3)])
        agree(evaluate([made], {s.node: a for s, a in zip(case.symbols, case.arrays)})[0], case)


def on_pocl(cases, schedule):
    made = [c.call(eg.einsum, c.symbols) for c in cases]
    f = eg.compile([s for c in cases for s in c.symbols], made, device="pocl", schedule=schedule, on_unused_input="ignore")
    for got, case in zip(f(*[a for c in cases for a in c.arrays]), cases):
        agree(got, case)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_random_expressions_on_pocl(schedule):
    rng = np.random.default_rng(11)
    on_pocl([draw(rng, most=4) for _ in range(12)], schedule)


@pytest.mark.campaign
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_campaign_of_random_expressions_on_pocl(schedule):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        on_pocl([draw(rng) for _ in range(10)], schedule)


GRADIENTS = ["ij,jk->ik", "ij,jk,kl,l->i", "ii->i", "ii", "ij->", "bij,bjk->bik", "i,j->ij", "ij,ij->i",
             "ijj,jk->k", "...i,ij->...j", ",i->i"]


@pytest.mark.parametrize("text", GRADIENTS)
def test_i6_gradients(text, rng):
    shapes = [[{"i": 2, "j": 3, "k": 2, "l": 4, "b": 2}[c] for c in term.replace("...", "bk")]
              for term in text.split("->")[0].split(",")]
    check_grads(lambda *xs: eg.einsum(text, *xs) ** 2, [rng.normal(size=s) for s in shapes], order=2)


def chain():
    matrices = [eg.matrix(n) for n in "xyz"]
    return *matrices, eg.vector("v")


@pytest.mark.parametrize("known", [None, 50, 3])
@pytest.mark.parametrize("optimize", [True, "optimal", "greedy"])
def test_the_order_of_a_chain_with_a_vector_is_the_cheap_one(optimize, known):
    shape = (known, known)
    path, text = eg.einsum_path("ij,jk,kl,l->i", *[eg.tensor(n, shape=shape) for n in "xyz"], eg.tensor("v", shape=shape[:1]),
                                optimize=optimize)
    assert path == ["einsum_path", (2, 3), (1, 2), (0, 1)]
    assert [line.split()[2] for line in text.split("\n")[:-1]] == ["kl,l->k", "jk,k->j", "ij,j->i"]


def test_a_chain_with_a_vector_has_no_product_of_matrices():
    products = [n for n in order([eg.einsum("ij,jk,kl,l->i", *chain())]) if n.op.kind == "contract"]
    assert len(products) == 3
    assert all(n.outs[0].shape[-1].const == 1 for n in products)


def test_known_sizes_decide_the_order_and_unknown_ones_count_as_the_estimate():
    a, b, c = eg.tensor("a", shape=(2, 1000)), eg.tensor("b", shape=(1000, 3)), eg.tensor("c", shape=(3, 500))
    assert eg.einsum_path("ij,jk,kl", a, b, c)[0][1] == (0, 1)
    assert eg.einsum_path("ij,jk,kl", eg.tensor("a", shape=(1000, 2)), eg.tensor("b", shape=(2, 1000)), eg.matrix("c"))[0][1] == (1, 2)
    x = eg.vector("x")
    assert [einsum_order.estimate(v.type.shape[0]) for v in (x, x[2:], eg.concatenate([x, x]), x[:0])] == [128, 126, 256, 1]


def test_the_optimal_order_is_never_dearer_and_many_operands_are_ordered_greedily():
    for seed in range(40):
        case = draw(np.random.default_rng(seed), most=6)
        costs = [float(case.call(eg.einsum_path, case.symbols, optimize=o)[1].split()[-1]) for o in ("optimal", "greedy", False)]
        assert costs[0] <= min(costs) * (1 + 1e-6)
    operands = [eg.matrix(f"m{k}") for k in range(30)]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFG"
    path, _ = eg.einsum_path(",".join(letters[k:k + 2] for k in range(30)), *operands)
    assert len(path) == 30
    values = [np.eye(2, dtype="float32") * 2] * 30
    made = eg.einsum(",".join(letters[k:k + 2] for k in range(30)) + "->" + letters[0] + letters[30], *operands)
    np.testing.assert_array_equal(evaluate([made], {o.node: v for o, v in zip(operands, values)})[0], np.eye(2) * 2.0 ** 30)


def test_paths_of_numpy_are_taken():
    case = draw(np.random.default_rng(3))._replace(text="ij,jk,kl->il", as_lists=False, arrays=[np.ones((2, 3)), np.ones((3, 4)),
                                                   np.ones((4, 2))], symbols=list(eg.dmatrices("abc")))
    for path in ([(0, 1, 2)], np.einsum_path(case.text, *case.arrays)[0], [(1, 2), (0, 1)], ["einsum_path", (0, 2), (0, 1)]):
        made = case.call(eg.einsum, case.symbols, optimize=path)
        agree(evaluate([made], {s.node: a for s, a in zip(case.symbols, case.arrays)})[0], case)


def test_numpys_einsum_of_symbols():
    x, y = eg.dmatrices("xy")
    f = eg.compile([x, y], np.einsum("ij,kj->ki", x, y), device="numpy")
    np.testing.assert_allclose(f(np.ones((2, 3)), np.full((4, 3), 2.0)), np.full((4, 2), 6.0))


def test_weak_numbers_and_one_operand():
    x = eg.ivector("x")
    assert eg.einsum(",i->i", 2, x).dtype == "int32" and eg.einsum("i->i", x) is x
    assert eg.einsum("", 3.0).dtype == "float32"


def test_c4_lengths_of_one_label_must_agree_at_the_call(device):
    x, y = eg.matrix("x"), eg.vector("y")
    f = eg.compile([x, y], eg.einsum("ij,j->i", x, y))
    for n in (1, 4):
        with pytest.raises(eg.ShapeError, match=f"einsum: the axes labelled 'j' have 3 and {n} elements|labelled 'j' have {n} and 3"):
            f(np.ones((2, 3), "float32"), np.ones(n, "float32"))


x, m = eg.vector("x"), eg.matrix("m")
BAD = [
    (lambda: eg.einsum(), eg.CallError, "takes subscripts and operands"),
    (lambda: eg.einsum("i,j", x), eg.CallError, "names 2 operands, 1 given"),
    (lambda: eg.einsum("ij", x), eg.RankError, "'ij' in 'ij' names 2 axes, operand 0 has 1"),
    (lambda: eg.einsum("i", m), eg.RankError, "names 1 axes, operand 0 has 2"),
    (lambda: eg.einsum("i1", m), eg.ShapeError, "'1' in 'i1' is no label"), (lambda: eg.einsum("i..", m), eg.ShapeError, "three dots"),
    (lambda: eg.einsum("...i...", m), eg.ShapeError, "once in a term"),
    (lambda: eg.einsum("i->j", x), eg.ShapeError, "'j' .* of no operand"),
    (lambda: eg.einsum("i->ii", x), eg.ShapeError, "more than once"), (lambda: eg.einsum("i->i->i", x), eg.ShapeError, "'-' in"),
    (lambda: eg.einsum("...i->i", m), eg.ShapeError, "needs '...'"), (lambda: eg.einsum(x, [0.5]), eg.ShapeError, "integer from 0 to 51"),
    (lambda: eg.einsum(x, [52]), eg.ShapeError, "not 52"), (lambda: eg.einsum(x, x), eg.CallError, "a list of integers and Ellipsis"),
    (lambda: eg.einsum(["ij"], x), eg.CallError, "a list of integers"),
    (lambda: eg.einsum("i,i", x, x, optimize="best"), eg.UseError, "optimize is True, False"),
    (lambda: eg.einsum("i,i", x, x, optimize=[(0, 2)]), eg.ShapeError, r"\(0, 2\) out of 2 operands"),
    (lambda: eg.einsum("i,i,i", x, x, x, optimize=[(0, 1)]), eg.ShapeError, "leaves 2 operands"),
    (lambda: eg.einsum("ii", eg.tensor(shape=(2, 3))), eg.ShapeError, "labelled 'i' have [23] and [23] elements"),
    (lambda: eg.einsum("i,i", eg.tensor(shape=(2,)), eg.tensor(shape=(3,))), eg.ShapeError, "labelled 'i' have [23] and [23]")]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_wrong_subscripts_are_named_with_the_line(number):
    make, error, message = BAD[number]
    with pytest.raises(error, match=message) as found:
        make()
    assert re.search(r"\n  at .*test_einsum.py:\d+$", str(found.value))


def test_c13_more_axes_than_a_tensor_can_have():
    outer = partial(eg.einsum, "abcdefghijkl,mnopqrstuvwx,ABCDEFGHIJKL", optimize=False)
    with pytest.raises(eg.RankError, match="at most 32 axes"):
        outer(*[eg.tensor(f"t{k}", shape=(None,) * 12) for k in range(3)])
