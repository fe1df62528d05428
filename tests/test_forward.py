"""Forward mode of every row: against finite differences, as the transpose of reverse mode, and with it in either order."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DisconnectedInputError, GradientError
from exprgraph.forward import pushforward
from exprgraph.node import Out
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate
from tests.row_cases import CALLS, NONE, Case, cases

CASES = cases()
STEP = 1e-4


def constant(value) -> Out:
    return eg.constant(value, dtype="float64")


def symbols_of(case: Case) -> list[Out]:
    return [eg.tensor(f"x{k}", "float64", (None,) * a.ndim) for k, a in enumerate(case.point)]


def along(outputs: list[Out], symbols: list[Out], point, directions) -> list[np.ndarray]:
    """The slopes of outputs in a direction by central differences of the fourth order."""
    def at(distance: float):
        return evaluate(outputs, {s.node: a + distance * d for s, a, d in zip(symbols, point, directions)})
    near, far = zip(at(STEP), at(-STEP)), zip(at(2 * STEP), at(-2 * STEP))
    return [(8 * (p - m) - (pp - mm)) / (12 * STEP) for (p, m), (pp, mm) in zip(near, far)]


def test_every_row_is_there() -> None:
    assert {c.row for c in CASES} | set(NONE) == set(ROWS) and not set(CALLS) & set(NONE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_mode(case: Case) -> None:
    """Values, and the transpose: the inner product of a cotangent with a tangent is the same on both sides."""
    rng = np.random.default_rng(3)
    symbols = symbols_of(case)
    directions = [rng.standard_normal(a.shape) for a in case.point]
    y = case.function(*symbols)
    tangent = eg.Rop(y, symbols, [constant(d) for d in directions])
    values = {s.node: a for s, a in zip(symbols, case.point)}
    got, out = evaluate([tangent, y], values)
    assert tangent.dtype == y.dtype and got.shape == out.shape
    np.testing.assert_allclose(got, along([y], symbols, case.point, directions)[0], rtol=1e-6, atol=1e-8)
    weights = rng.standard_normal(out.shape)
    pulled = evaluate(eg.Lop(y, symbols, constant(weights)), values)
    here, there = (weights * got).sum(), sum((p * d).sum() for p, d in zip(pulled, directions))
    assert abs(here - there) <= 1e-12 * max(1, abs(here))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_over_reverse_and_reverse_over_forward(case: Case) -> None:
    rng = np.random.default_rng(4)
    symbols = symbols_of(case)
    directions = [rng.standard_normal(a.shape) for a in case.point]
    values = {s.node: a for s, a in zip(symbols, case.point)}
    y = case.function(*symbols)
    weights = constant(rng.uniform(0.5, 1.5, evaluate([y], values)[0].shape))
    cost = (weights * eg.sin(y)).sum()
    slopes = eg.grad(cost, symbols)
    constants = [constant(d) for d in directions]
    over = eg.Rop(slopes, symbols, constants, disconnected_outputs="ignore")
    wanted = along(slopes, symbols, case.point, directions)
    under = eg.grad(eg.Rop(cost, symbols, constants), symbols, disconnected_inputs="ignore")
    for found in (over, under):
        for got, want in zip(evaluate(found, values), wanted):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


COMPLEX = {"exp": eg.exp, "abs": eg.abs, "conj": eg.conj, "real": eg.real, "angle": eg.angle, "square": lambda z: z * z,
           "quotient": lambda z: z / (1 + z), "prod": eg.prod, "cumprod": eg.cumprod, "sqrt": eg.sqrt, "both": lambda z: eg.conj(z) * z * z,
           "cast": lambda z: eg.cast(z.real, "complex128") * z, "matmul": lambda z: z[:, None] @ z[None, :], "sum": lambda z: z.sum() * z,
           "twice": lambda z: z + z * 1, "difference": lambda z: z - z * 2j, "joined": lambda z: eg.concatenate([z, z * 1j, z])}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_forward_mode(name: str) -> None:
    z, w = (eg.tensor(n, "complex128", (None,)) for n in "zw")
    rng = np.random.default_rng(8)
    point, direction, weight = (rng.standard_normal(3) + 1j * rng.standard_normal(3) for _ in range(3))
    y = COMPLEX[name](z)
    values = {z.node: point, w.node: direction}
    got, out = evaluate([eg.Rop(y, z, w), y], values)
    np.testing.assert_allclose(got, along([y], [z], [point], [direction])[0], rtol=1e-6)
    g = np.resize(weight if out.dtype.kind == "c" else weight.real, out.shape)
    pulled, = evaluate([eg.Lop(y, z, eg.constant(g, dtype=y.dtype))], values)
    here, there = np.vdot(g, got).real, np.vdot(pulled, direction).real
    assert abs(here - there) <= 1e-12 * max(1, abs(here))



def test_structures_and_several_inputs() -> None:
    x, y = eg.dvectors("x", "y")
    outs = eg.Rop([x * y, x.sum()], [x, y], [eg.ones_like(x), None])
    assert isinstance(outs, list) and isinstance(eg.Rop((x,), [x], [x]), tuple)
    f = eg.compile([x, y], outs, device="numpy")
    product, total = f([1, 2], [3, 5])
    assert product.tolist() == [3, 5] and total == 2
    assert eg.compile([x], eg.Rop(x * x, x, 1.0), device="numpy")([1, 2]).tolist() == [2, 4]  # a number broadcasts


def test_a_tensor_of_wrt_counts_as_independent() -> None:
    x = eg.dscalar("x")
    y = x * x
    f = eg.compile([x], [eg.Rop(y * x, [x], [1.0]), eg.Rop(y * x, [x, y], [1.0, 0.0]), eg.Rop(y, [y], [7.0])], device="numpy")
    assert [float(v) for v in f(3.0)] == [27, 9, 7]


def test_Lop_of_outputs_that_depend_on_each_other() -> None:
    x = eg.dscalar("x")
    y = x * x
    f = eg.compile([x], [eg.Lop([y * x, y], x, [1.0, 10.0]), eg.Lop([y, y], x, [1.0, None])], device="numpy")
    assert [float(v) for v in f(3.0)] == [27 + 60, 6]


@pytest.mark.parametrize("make, words", [
    (lambda x: eg.Rop(x, [x], [x, x]), "wrt holds 1 tensors, eval_points 2"),
    (lambda x: eg.Rop(x, 3, x), "wrt must hold symbols, not int"),
    (lambda x: eg.Rop(x, x, eg.dmatrix()), "2 axes does not fit one of 1"),
    (lambda x: eg.Lop([x], x, x), "f holds 1 tensors, eval_points 1"),
    (lambda x: eg.Lop(x, x, None), "at least one eval_point"), (lambda x: eg.jvp(lambda a: a, (x,), ()), "1 primals and 0 tangents"),
    (lambda x: eg.linearize(lambda a: a, x)[1](), "1 primals and 0 tangents")])
def test_wrong_arguments(make, words: str) -> None:
    with pytest.raises(GradientError, match=words) as caught:
        make(eg.dvector("x"))
    assert "test_forward.py" in str(caught.value)


@pytest.mark.parametrize("make, words", [
    (lambda x, y: y, "does not depend"), (lambda x, y: eg.argmax(x), "does not depend"),
    (lambda x, y: eg.cast(x, "int64"), "int64 carries no derivative"),
    (lambda x, y: eg.disconnected_grad(x) * y, "does not depend")])
def test_disconnected_outputs(make, words: str) -> None:
    x, y = eg.dvectors("x", "y")
    out = make(x, y)
    with pytest.raises(DisconnectedInputError, match=words):
        eg.Rop(out, x, x)
    with pytest.warns(UserWarning, match=words):
        eg.Rop(out, x, x, disconnected_outputs="warn")
    zeros = eg.Rop(out, x, x, disconnected_outputs="ignore")
    assert zeros.dtype == out.dtype and zeros.ndim == out.ndim
    assert eg.Rop(out, x, x, "ignore", return_disconnected="None") is None
    with pytest.raises(ValueError, match="disconnected_outputs='no'"):
        eg.Rop(out, x, x, disconnected_outputs="no")


@pytest.mark.parametrize("jump", [eg.floor, eg.sign, eg.zero_grad, lambda x: eg.cast(x > 0, "float64")])
def test_jumps_have_slope_zero(jump) -> None:
    x = eg.dvector("x")
    assert eg.compile([x], eg.Rop(jump(x), x, x), device="numpy")([1.5, -2]).tolist() == [0, 0]


def test_a_row_without_derivative_names_the_line() -> None:
    bare = ROWS["exp"].changed(name="bare", grad=None)
    x = eg.dvector("x")
    with pytest.raises(GradientError, match="(?s)bare has no forward mode.*test_forward.py"):
        eg.Rop(bare(x), x, x)
    own = ROWS["exp"].changed(name="own", grad=None, forward=lambda tangents, y, x: tangents[0] * y)
    got, = evaluate([eg.Rop(own(x), x, eg.constant(2.0))], {x.node: np.array([0.0, 1.0])})
    np.testing.assert_allclose(got, [2, 2 * np.e])


def test_names_of_pytensor() -> None:
    x, t = eg.dvectors("x", "t")
    outs = [eg.pushforward(x * x, x, tangents=t), eg.Rop(x * x, x, t), eg.pullback(x * x, x, cotangents=t), eg.Lop(x * x, x, t)]
    assert [v.tolist() for v in eg.compile([x, t], outs, device="numpy")([3.0], [5.0])] == [[30]] * 4
    assert eg.pullback(x * 2, t, x, disconnected_inputs="ignore", return_disconnected="none") is None


def test_jvp_vjp_and_linearize() -> None:
    """What a function takes from outside is constant; one tensor may be given for two arguments."""
    x, t = eg.dvectors("x", "t")

    def fn(a, b):
        return a * b + x * a, (a * a).sum()
    (y, s), (dy, ds) = eg.jvp(fn, (x, x), (t, 2 * t))
    again, push = eg.linearize(fn, x, x)
    _, pull = eg.vjp(fn, x, x)
    pulled = pull((t, eg.constant(1.0)))
    assert isinstance(pulled, tuple) and isinstance(again, tuple)
    f = eg.compile([x, t], [y, s, dy, ds, *push(t, 2 * t), *pulled], device="numpy")
    got = f([1.0, 2.0], [0.5, -1.0])
    point, d = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    want = [2 * point ** 2, 5, d * point + 2 * d * point + point * d, 2 * (point * d).sum()]
    for g, w in zip(got, want + want[2:] + [d * 2 * point + 2 * point, d * point]):
        np.testing.assert_allclose(g, w)
    one, back = eg.vjp(lambda a: a.sum(), x)
    assert one.ndim == 0 and len(back(1.0)) == 1


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_on_pocl(schedule: str) -> None:
    x, t = eg.matrix("x"), eg.matrix("t")
    y = eg.softmax(eg.tanh(x @ x.T) * x.max(axis=1), axis=1)
    outs = [eg.Rop(y, x, t), eg.Rop(eg.grad((y ** 2).sum(), x), x, t)]
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 5, 7)).astype("float32")
    for got, want in zip(eg.compile([x, t], outs, device="pocl", schedule=schedule)(a, b), eg.compile([x, t], outs, device="numpy")(a, b)):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_a_long_chain() -> None:
    """Linear in the graph, and not recursive."""
    from exprgraph.graph import order
    x = eg.dscalar("x")
    y = x
    for _ in range(3000):
        y = eg.sin(y) + x
    t, = pushforward([y], [(x, eg.constant(1.0))])
    assert t is not None and len(order([t])) < 6 * len(order([y]))


def test_integers_and_bools_have_no_tangents() -> None:
    x, i, b = eg.dvector("x"), eg.lvector("i"), eg.tensor("b", "bool", (None,))
    for whole in (i, b):
        with pytest.raises(DisconnectedInputError, match="carries none"):
            eg.Rop(x * whole, whole, eg.ones_like(whole))
        zero = eg.Rop(x * whole, [x, whole], [eg.zeros_like(x), eg.ones_like(whole)], disconnected_outputs="ignore")
        one = eg.Rop(x * whole, [x, whole], [eg.ones_like(x), None])
        f = eg.compile([x, whole], [zero, one], device="numpy")
        assert [v.tolist() for v in f([1.0, 2.0], np.array([1, 0], whole.dtype))] == [[0, 0], [1, 0]]
        _, slope = eg.jvp(lambda a, c: a * c, (x, whole), (x, None))
        assert eg.compile([x, whole], slope, device="numpy")([3.0], np.array([1], whole.dtype)).tolist() == [3]


def test_sizes_may_be_primals() -> None:
    x, a = eg.dvector("x"), eg.dmatrix("a")
    mean = eg.vjp(lambda p, n: p[:n].sum() / n, x, x.shape[0])[1](1.0)[0]
    turned = eg.jvp(lambda p, n: p.reshape((n, -1)), [a, a.shape[0]], [a, None])[1]
    for device in ("numpy", "pocl"):
        assert eg.compile([x], mean, device=device)([1.0, 2.0]).tolist() == [0.5, 0.5]
        assert eg.compile([a], turned, device=device)(np.ones((2, 3))).shape == (2, 3)


def test_constants_are_outputs_not_nodes() -> None:
    x = eg.dvector("x")
    p, s = eg.OpFromGraph([x], [x ** 2, x ** 3])(x)
    cost = (s + x + p).sum()
    got = [eg.grad(cost, x, consider_constant=[p]), eg.jacobian(s + x + p, x, consider_constant=[p], mode="forward").sum(axis=0)]
    for value in eg.compile([x], got, device="numpy")([1.0, 2.0]):
        assert value.tolist() == [4, 13]


STABLE = {"log of sigmoid": lambda x: eg.log(eg.sigmoid(x)), "softplus": lambda x: eg.log(1 + eg.exp(x)),
          "log of softmax": lambda x: eg.log(eg.softmax(x)), "logsumexp": lambda x: eg.log(eg.exp(x).sum())[None],
          "crossentropy": lambda x: eg.binary_crossentropy(eg.sigmoid(x), x * 0 + 1)}


@pytest.mark.parametrize("name", STABLE)
def test_derivatives_of_all_kinds_are_stable_I8(name: str) -> None:
    """float32 at 120 and -120 against float64, where nothing overflows."""
    def kinds(x):
        y = STABLE[name](x)
        cost, one = y.sum(), eg.ones_like(x)
        return [eg.grad(cost, x), eg.Rop(y, x, one), eg.hessian_vector_product(cost, x, one), eg.hessian(cost, x),
                eg.jacobian(y, x, mode="forward"), eg.jacobian(y, x, mode="reverse"), eg.grad(eg.grad(cost, x).sum(), x),
                eg.vmap(lambda r: eg.grad(STABLE[name](r).sum(), r))(x[None])]
    narrow, wide = eg.fvector("x"), eg.dvector("x")
    point = np.array([-120, 0.5, 120])
    got = eg.compile([narrow], kinds(narrow), device="pocl")(point.astype("float32"))
    want = eg.compile([wide], kinds(wide), device="numpy")(point)
    for g, w in zip(got, want):
        assert np.isfinite(w).all()
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-6)


def test_what_is_printed_is_printed_once(capsys) -> None:
    x = eg.dvector("x")
    y = eg.log(eg.sigmoid(eg.Print("x is")(x)))
    eg.compile([x], [y, eg.Rop(y, x, x), eg.grad(y.sum(), x)], device="numpy")([1.0])
    assert capsys.readouterr().out.count("x is") == 1


def test_complex_tangents_of_real_symbols() -> None:
    x = eg.dvector("x")
    with pytest.raises(GradientError, match="complex tensor for one that is float64"):
        eg.Rop(x * 2, x, eg.constant(1j) * x)
    assert eg.Rop(eg.argmax(x), x, x, "ignore", return_disconnected="disconnected") is None


class Pair(NamedTuple):
    """A result with names."""
    first: Out
    rest: dict


def test_containers_of_primals_and_results() -> None:
    w, b = eg.dvectors("w", "b")

    def layer(p, x):
        return Pair(p["w"] * x[0] + p["b"], {"square": [p["w"] ** 2]})
    primals = ({"w": w, "b": b}, [w])
    y, t = eg.jvp(layer, primals, ({"w": eg.ones_like(w), "b": None}, [None]))
    again, push = eg.linearize(layer, *primals)
    _, pull = eg.vjp(layer, *primals)
    assert type(y) is type(t) is type(again) is Pair and isinstance(t.rest["square"], list)
    back = pull(Pair(eg.ones_like(w), {"square": [None]}))
    assert set(back[0]) == {"w", "b"} and isinstance(back[1], list)
    outs = [t.first, t.rest["square"][0], push({"w": w, "b": b}, [w]).first, back[0]["w"], back[0]["b"], back[1][0]]
    got = eg.compile([w, b], outs, device="numpy", on_unused_input="ignore")([3.0], [5.0])
    assert [float(v[0]) for v in got] == [3, 6, 9 + 5 + 9, 3, 1, 3]
