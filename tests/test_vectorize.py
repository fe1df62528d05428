"""vectorize and vectorize_graph: any number of leading axes, which broadcast as in NumPy."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import CallError, DTypeError, RankError, ShapeError, UseError
from exprgraph.graph import order
from tests.faults import WAYS, symbols

RNG = np.random.default_rng(3)


def drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """One float array for each shape."""
    return [RNG.uniform(-2, 2, s) for s in shapes]


SCALARS = {
    "equal": ((2, 3), (2, 3)), "jagged": ((3, 1), (1, 4)), "ranks": ((4,), (2, 3, 4)), "scalars": ((), ()),
    "scalar and matrix": ((), (2, 3)),
    "ones": ((1,), (1, 1)), "empty": ((0, 3), (1, 3)), "empty and one": ((0,), (1,)), "three": ((2, 1, 3), (4, 1)),
}


@pytest.mark.parametrize("known", [False, True], ids=["unknown sizes", "known sizes"])
@pytest.mark.parametrize("case", SCALARS)
def test_scalars(case: str, known: bool) -> None:
    """Without a signature the arguments are scalars."""
    def function(a: Any, b: Any) -> Any:
        return eg.sin(a) * b + a, eg.maximum(a, b)
    values = drawn(*SCALARS[case])
    inputs = [eg.tensor(f"x{k}", "float64", v.shape if known else (None,) * v.ndim) for k, v in enumerate(values)]
    got = eg.compile(inputs, list(eg.vectorize(function)(*inputs)), device="numpy")(*values)
    a, b = values
    for found, wanted in zip(got, (np.sin(a) * b + a, np.maximum(a, b))):
        np.testing.assert_allclose(found, wanted, rtol=1e-15)
        assert found.shape == wanted.shape


SIGNATURES: dict[str, tuple[Any, str, tuple[tuple[int, ...], ...]]] = {
    "sum": (lambda v: v.sum(), "(n)->()", ((2, 3),)),
    "sum, many axes": (lambda v: v.sum(), "(n)->()", ((2, 1, 4, 3),)),
    "dot": (lambda v, w: v @ w, "(n),(n)->()", ((5, 1, 3), (4, 3))), "matrix and vector": (
        lambda a, v: a @ v, "(m,n),(n)->(m)", ((2, 3), (5, 3))),
    "matrices": (lambda a, b: a @ b, "(m,n),(n,k)->(m,k)", ((4, 2, 3), (3, 5))),
    "convolution": (lambda v, w: (v[:, None] * w[None, :]).sum(axis=1), "(n),(m)->(n)", ((3, 1, 4), (2, 5))),
    "sort": (lambda v: eg.sort(v), "(n)->(n)", ((3, 2, 4),)), "places": (lambda v: v[eg.argsort(v)[:2]], "(n)->(k)", ((3, 2, 4),)),
    "gradient": (lambda v: eg.grad((v ** 3).sum(), v), "(n)->(n)", ((2, 2, 3),)),
    "a number": (lambda v: v * 2.0, " ( 3 ) -> ( 3 ) ", ((2, 3),)),
    "no batch": (lambda v: v * 2, "(n)->(n)", ((3,),)), "no axes": (lambda a, b: a - b, "(),()->()", ((2, 1), (3,))),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signatures(case: str) -> None:
    """As numpy.vectorize of the compiled function has it."""
    function, signature, shapes = SIGNATURES[case]
    values = drawn(*shapes)
    inputs = symbols(values)
    cores = [c.count(",") + bool(c.strip("() ")) for c in signature.split("->")[0].replace(" ", "").replace("),(", ")|(").split("|")]
    single = [eg.tensor(f"v{k}", "float64", (None,) * c) for k, c in enumerate(cores)]
    loop = np.vectorize(eg.compile(single, function(*single), device="numpy"), signature=signature.replace("3", "n").replace(" ", ""))
    got = eg.compile(inputs, eg.vectorize(function, signature)(*inputs), device="numpy")(*values)
    wanted = loop(*values)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    assert got.shape == wanted.shape


@pytest.mark.parametrize("way", WAYS)
def test_generated_code(way: str) -> None:
    """Broadcasting that a call decides."""
    function = eg.vectorize(lambda v, w: eg.softmax(v * w.sum()), signature="(n),(m)->(n)")
    inputs = [eg.dtensor3("v"), eg.dmatrix("w")]
    f = eg.compile(inputs, function(*inputs), **WAYS[way])
    for shapes in (((2, 3, 4), (3, 5)), ((2, 1, 4), (3, 5)), ((2, 3, 4), (1, 5)), ((0, 3, 4), (1, 2)), ((1, 1, 1), (1, 1))):
        v, w = drawn(*shapes)
        z = v * w.sum(1)[..., None]
        np.testing.assert_allclose(f(v, w), np.exp(z) / np.exp(z).sum(-1, keepdims=True), rtol=1e-12)
    with pytest.raises(ShapeError, match="sizes [23] and [23] do not broadcast"):
        f(*drawn((2, 2, 4), (3, 5)))


def test_a_known_axis_of_one_is_no_batch() -> None:
    """What has length 1 is computed once, not for every lane that it meets."""
    a, b = eg.tensor("a", "float64", (None, 1)), eg.tensor("b", "float64", (1, None))
    made = eg.vectorize(lambda x, y: eg.exp(x) * eg.exp(y))(a, b)
    sizes = [sum(d.const != 1 for d in n.outs[0].shape) for n in order([made]) if n.op.name == "exp"]
    assert sizes == [1, 1]


def test_decorator_containers_and_numbers() -> None:
    """Python numbers stay weak, so that dtypes do not widen."""
    @eg.vectorize(signature="(n),()->(),(n)")
    def both(v: Any, scale: Any) -> Any:
        """Two results."""
        return v.sum() * scale, v * scale
    x = eg.fmatrix("x")
    made = both(x, 2.0)
    assert both.__name__ == "both" and isinstance(made, tuple) and [m.dtype for m in made] == ["float32", "float32"]
    got = eg.compile([x], list(made), device="numpy")(np.ones((2, 3), "float32"))
    assert got[0].tolist() == [6, 6] and got[1].tolist() == [[2] * 3] * 2
    assert list(eg.vectorize(lambda a: {"double": a * 2})(x)) == ["double"]


WRONG = {
    "form": (lambda x: eg.vectorize(lambda a: a, "(n->(n)"), UseError, r"signature '\(n->\(n\)' is not of the form"),
    "arguments": (lambda x: eg.vectorize(lambda a: a, "(n)->(n)")(x, x), CallError, "has 1 arguments, 2 given"),
    "results": (lambda x: eg.vectorize(lambda a: (a, a), "(n)->(n)")(x), CallError, "has 1 results, the function gives 2"),
    "rank": (lambda x: eg.vectorize(lambda a: a, "(n,m,k)->(n)")(x), RankError, r"argument 0 \(x\) has 2 axes.*\(n,m,k\) needs 3"),
    "rank of a number": (lambda x: eg.vectorize(lambda a: a, "(n)->(n)")(2.0), RankError, r"argument 0 has 0 axes"),
    "rank of the result": (lambda x: eg.vectorize(lambda a: a, "(n)->()")(x), RankError, r"result 0 has 1 axes.*\(\)"),
    "size": (lambda x: eg.vectorize(lambda a, b: a, "(n),(n)->(n)")(np.ones((2, 3)), np.ones(4)), ShapeError,
             "n is 4 as axis 0 of argument 1, 3 as axis 1 of argument 0"),
    "number": (lambda x: eg.vectorize(lambda a: a, "(2)->(2)")(np.ones(3)), ShapeError,
               "2 is 3 as axis 0 of argument 0, 2 as written in the signature"),
    "size of the result": (lambda x: eg.vectorize(lambda a: a[1:], "(n)->(n)")(np.ones(3)), ShapeError, "n is 2 as axis 0 of result 0, 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls(case: str) -> None:
    call, error, words = WRONG[case]
    with pytest.raises(error, match=rf"(?s){words}.*test_vectorize\.py"):
        call(eg.dmatrix("x"))


def test_core_sizes_that_a_call_brings() -> None:
    x, y = eg.dmatrix("x"), eg.dvector("y")
    f = eg.compile([x, y], eg.vectorize(lambda a, b: (a * b).sum(), "(n),(n)->()")(x, y), device="numpy")
    assert f(np.ones((2, 3)), np.ones(3)).tolist() == [3, 3]
    with pytest.raises(ShapeError, match=r"n is 1 as axis 0 of argument 1 \(y\), 3 as axis 1 of argument 0 \(x\)"):
        f(np.ones((2, 3)), np.ones(1))


def test_vectorize_graph() -> None:
    """Replacements with further axes, which broadcast; what depends on none of them stays; containers are kept."""
    x, y, w = eg.dvector("x"), eg.dscalar("y"), eg.dmatrix("w")
    outputs = {"a": eg.tanh(x @ w) * y, "b": [x.sum() + y, w]}
    xs, ys = eg.dtensor3("xs"), eg.dvector("ys")
    made = eg.vectorize_graph(outputs, {x: xs, y: ys})
    assert list(made) == ["a", "b"] and made["b"][1] is w
    v, s, m = drawn((2, 1, 3), (4,), (3, 5))
    a, b, c = eg.compile([xs, ys, w], [made["a"], *made["b"]], device="numpy")(v, s, m)
    np.testing.assert_allclose(a, np.tanh(v @ m) * s[:, None])
    np.testing.assert_allclose(b, v.sum(-1) + s)
    np.testing.assert_array_equal(c, m)


def test_vectorize_graph_replaces_what_is_computed_too() -> None:
    x, n = eg.dvector("x"), eg.lscalar("n")
    inner = eg.exp(x)
    made = eg.vectorize_graph(inner * 2 + n, {inner: eg.dmatrix("m"), n: 3})
    assert {i.name for i in eg.explicit_graph_inputs(made)} == {"m"} and made.ndim == 2
    assert eg.vectorize_graph(inner, {x: eg.dvector("other")}).ndim == 1


@pytest.mark.parametrize("new, error, words", [
    (eg.fvector("f"), DTypeError, "dtypes must agree"), (eg.dscalar("s"), RankError, "fewer axes")], ids=["dtype", "rank"])
def test_replacements_that_do_not_fit(new: Any, error: type[Exception], words: str) -> None:
    x = eg.dvector("x")
    with pytest.raises(error, match=rf"(?s)vectorize_graph: .*{words}.*test_vectorize\.py"):
        eg.vectorize_graph(x * 2, {x: new})


def test_replacements_by_name() -> None:
    x, a = eg.dvector("x"), eg.dmatrix("a")
    y = (x * 2).sum()
    value = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(eg.vectorize_graph(y, {"x": a}).eval({a: value}), 2 * value.sum(axis=1))
    for key, words in (("z", "'z': no input has this name"), (3, "3: a symbol or the name of an input is needed")):
        with pytest.raises(UseError, match=f"(?s){words}.*test_vectorize"):
            eg.vectorize_graph(y, {key: a})
