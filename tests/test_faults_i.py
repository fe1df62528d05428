"""Faults of gradients (rows I1 to I10): what is refused, and what stays finite, on NumPy and on PoCL under both schedules."""
from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DisconnectedInputError, GradientError
from exprgraph.graph import order
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads
from tests.faults import WAYS, run, same
from tests.test_gradient_traps import TRAPS

NAN, INF = float("nan"), float("inf")
X = np.array([0.5, -1.5, 2.0])


def gradient(function, count: int = 1):
    """The gradients of the sum of a function of `count` symbols."""
    def expression(m, *inputs):
        return eg.grad(function(*inputs).sum(), list(inputs[:count]))
    return expression


COSTS = {
    "rank": (lambda x, i: x * i, r"(?s)<mul> has 1 axes; a gradient needs a scalar: take .sum\(\) or .mean\(\).*test_faults_i"),
    "integer": (lambda x, i: i.sum(), "(?s)<sum> has dtype int64, which has no gradient: cast it to a float.*test_faults_i"),
    "complex": (lambda x, i: eg.cast(x, "complex64").sum(), "(?s)is complex64; a gradient needs a real one.*test_faults_i"),
    "bool": (lambda x, i: eg.any(x > 0), "has dtype bool, which has no gradient")}


@pytest.mark.parametrize("case", COSTS)
def test_I1_costs(case: str) -> None:
    make, words = COSTS[case]
    x, i = eg.vector("x"), eg.ivector("i")
    with pytest.raises(GradientError, match=words):
        eg.grad(make(x, i), x)


def test_I1_policies() -> None:
    x, y, i = eg.vector("x"), eg.vector("y"), eg.ivector("i")
    cost = (x * i).sum()
    for wrt, why in ((y, "respect to y: the cost does not depend on it"), (i, "respect to i: its dtype int32 carries no gradient")):
        with pytest.raises(DisconnectedInputError, match=f"(?s){why}; disconnected_inputs=\"ignore\" gives zeros.*test_faults_i"):
            eg.grad(cost, wrt)
        with pytest.warns(UserWarning, match=why):
            zeros = eg.grad(cost, wrt, disconnected_inputs="warn")
        assert evaluate([zeros], {wrt.node: np.ones(2, wrt.dtype)})[0].tolist() == [0, 0] and zeros.dtype == wrt.dtype
    with pytest.raises(GradientError, match="symbols, not to float"):
        eg.grad(cost, 3.0)


I2 = ("maximum, tie", "max, ties", "abs at 0", "sqrt at 0", "relu at 0", "clip at the edges", "x**0", "0**x", "power, every edge")
I3 = ("floor", "ceil", "trunc", "round", "int_div", "sign")
I5 = ("(3, 1) and (1, 4)", "scalar times nothing", "sum over no rows", "mean of nothing", "product over nothing")
I7 = ("prod, one zero", "prod, two zeros", "cumprod, two zeros", "norm at 0", "norm of a row of zeros", "var of one element")
I9 = ("gather, duplicates", "inc, duplicates", "set, duplicates: the last wins")


def test_the_traps_of_these_rows_are_in_their_table() -> None:
    """tests/test_gradient_traps.py has their values on all three ways to compute."""
    assert {*I2, *I3, *I5, *I7, *I9} <= set(TRAPS)
    finite = {*I3, *I5, *I7, *I9, "maximum, tie", "abs at 0", "relu at 0", "x**0"}
    assert all(np.isfinite(g).all() for name in finite for g in map(np.asarray, TRAPS[name][2]))


JUMPS = {"int cast": lambda x: eg.cast(x, "int32"), "comparison": lambda x: x > 0, "floor": eg.floor,
         "condition": lambda x: eg.where(x > 0, 1, 2), "rounded": eg.round_half_to_even}


@pytest.mark.parametrize("way", WAYS)
def test_I3_jumps_are_flat_and_positions_are_no_path(way: str) -> None:
    def expression(m, x):
        return [eg.grad((eg.cast(jump(x), "float64") * x).sum(), x) for jump in JUMPS.values()]
    same(run(way, expression, [X]), [np.trunc(X), X > 0, np.floor(X), np.where(X > 0, 1, 2), np.rint(X)])
    x = eg.dvector("x")
    for position in (lambda: eg.argmax(x), lambda: eg.argsort(x).sum(), lambda: x.shape[0]):
        with pytest.raises(DisconnectedInputError, match="respect to x"):
            eg.grad(eg.cast(position(), "float64"), x)


@pytest.mark.parametrize("way", WAYS)
def test_I4_used_twice_shared_and_given(way: str) -> None:
    """A symbol listed twice, an intermediate, a scalar that two branches share, an update and a given for the same variable."""
    def expression(m, x, s):
        y = x * s
        cost = (y * eg.sin(y) + x * s ** 2).sum()
        gs, again = eg.grad(cost, [s, s])
        return [gs, again, eg.grad(cost, y), eg.grad(cost, x)]
    y = X * 3.0
    slope = np.sin(y) + y * np.cos(y)
    ds = (slope * X + 2 * 3.0 * X).sum()
    same(run(way, expression, [X, np.array(3.0)]), [ds, ds, slope, slope * 3 + 9], rtol=1e-12)
    w = eg.shared(np.array([1.0, 2.0, 3.0]), name="w")
    x = eg.dvector("x")
    g = eg.grad((w * w * x).sum(), w)
    f = eg.compile([x], g, updates={w: w - g}, givens={x: x + w}, **WAYS[way])
    got = f(X)
    same([got, w.get_value()], [2 * np.array([1.0, 2, 3]) * (X + [1, 2, 3]), np.array([1.0, 2, 3]) - got], rtol=1e-12)


@pytest.mark.parametrize("a, b", [((3, 1), (1, 4)), ((1,), (0,)), ((2, 0, 1), (3,)), ((), (2, 3)), ((0,), (0,)), ((1, 1), (5, 2))], ids=str)
def test_I5_shapes(a, b) -> None:
    p, q = np.ones(a), np.full(b, 2.0)
    for way in WAYS:
        got = run(way, gradient(lambda x, y: x * y, 2), [p, q])
        whole = np.broadcast_shapes(a, b)
        count = np.prod(whole, dtype=int)
        same(got, [np.full(a, 2.0 * count / max(p.size, 1)), np.full(b, 1.0 * count / max(q.size, 1))])


SECOND = {"softmax": lambda a: eg.softmax(a) ** 2, "logsumexp": eg.logsumexp, "normalised": lambda a: a / a.norm(2),
          "quotient": lambda a: 1 / a,
          "product of all": lambda a: a.prod(), "sorted": lambda a: eg.sort(a) ** 2, "matrix": lambda a: (a[:, None] @ a[None, :]) ** 2}


@pytest.mark.parametrize("case", SECOND)
def test_I6_second_order_in_every_mixture_of_modes(case: str) -> None:
    check_grads(SECOND[case], [X], order=2, modes=("forward", "reverse"))


def test_I6_hessians_and_products() -> None:
    x = eg.dvector("x")
    cost = (eg.softmax(x) * eg.constant(np.array([1.0, 2.0, -1.0]))).sum()
    H, v = eg.hessian(cost, x), np.array([1.0, -2.0, 0.5])
    g = eg.grad(cost, x)
    whole, product, over = evaluate([H, eg.Rop(g, x, eg.constant(v)), eg.Lop(g, x, eg.constant(v))], {x.node: X})
    np.testing.assert_allclose(whole, whole.T, atol=1e-15)
    np.testing.assert_allclose(product, whole @ v, atol=1e-15)
    np.testing.assert_allclose(over, whole @ v, atol=1e-15)


STABLE = {
    "log of sigmoid": lambda x: eg.log(eg.sigmoid(x)), "log(1 + exp)": lambda x: eg.log(1 + eg.exp(x)),
    "log of softmax": lambda x: eg.log(eg.softmax(eg.stack([x, 0 * x])))[0],
    "log of sum of exp": lambda x: eg.log(eg.exp(eg.stack([x, 0 * x])).sum()),
    "exp - 1": lambda x: eg.exp(x) - 1, "log(1 - sigmoid)": lambda x: eg.log(1 - eg.sigmoid(x))}


@pytest.mark.parametrize("point", [1e-8, -1e-8, 2.0, -2.0, 50.0, -50.0])
@pytest.mark.parametrize("case", STABLE)
def test_I8_stabilised_gradients_are_those_of_the_original(case: str, point: float) -> None:
    """At points where the original can be computed, in more digits."""
    x = eg.dscalar("x")
    g = eg.grad(STABLE[case](x), x)
    f = run_graph(eg.Graph((x,), (g,)), {}).outputs[0]
    with np.errstate(all="ignore"):
        wanted = evaluate([g], {x.node: np.longdouble(point)}, {"float64": "longdouble"})[0]
        got = evaluate([f], {x.node: np.array(point)})[0]
    assert np.isfinite(got)
    if np.isfinite(wanted):
        np.testing.assert_allclose(got, float(wanted), rtol=1e-7, atol=1e-17)


@pytest.mark.parametrize("point", [800.0, -800.0])
@pytest.mark.parametrize("case", STABLE)
def test_I8_far_out_they_are_finite_where_the_slope_is(case: str, point: float) -> None:
    x = eg.dscalar("x")
    f = run_graph(eg.Graph((x,), (eg.grad(STABLE[case](x), x),)), {}).outputs[0]
    with np.errstate(all="ignore"):
        got = float(evaluate([f], {x.node: np.array(point)})[0])
    assert got == INF if case == "exp - 1" and point > 0 else np.isfinite(got)


@pytest.mark.parametrize("way", WAYS)
def test_I9_an_embedding_that_is_read_often(way: str) -> None:
    table, index = np.arange(12.0).reshape(4, 3), np.array([[0, 2], [2, 2], [-1, 0]])

    def expression(m, t, i):
        return [eg.grad((t[i] ** 2).sum(), t)]
    wanted = np.zeros((4, 3))
    np.add.at(wanted, index, 2 * table[index])
    same(run(way, expression, [table, index]), [wanted])


def test_I10_ten_thousand_steps_in_bounded_memory() -> None:
    """Written out, since there is no scan yet: with a checkpoint for every 100 steps some 670 tensors are alive at most, of 10,000."""
    steps, part, size = 10_000, 100, 5_000

    @eg.checkpoint
    def segment(y):
        for _ in range(part):
            y = eg.sin(y)
        return y
    y = x = eg.dvector("x")
    for _ in range(steps // part):
        y = segment(y)
    g = eg.grad(y.sum(), x)
    tracemalloc.start()
    got, = evaluate([g], {x.node: np.full(size, 0.7)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * size * steps / 5  # the nodes of the graph count as well
    value, slope = 0.7, 1.0
    for _ in range(steps):
        slope, value = slope * np.cos(value), np.sin(value)
    np.testing.assert_allclose(got, np.full(size, slope), rtol=1e-9)


def test_I10_a_long_chain_keeps_what_it_needs_and_no_more() -> None:
    """3,000 steps written out: the graph of the gradient has a few nodes for each; tests/test_gradient_size.py has 10,000 nodes."""
    y = x = eg.dscalar("x")
    for _ in range(3_000):
        y = y * 0.999 + eg.sin(y) * 0.001
    g = eg.grad(y, x)
    assert len(order([g])) < 12 * 3_000
    value, slope = 0.7, 1.0
    for _ in range(3_000):
        slope *= 0.999 + np.cos(value) * 0.001
        value = value * 0.999 + np.sin(value) * 0.001
    np.testing.assert_allclose(evaluate([g], {x.node: np.array(0.7)})[0], slope, rtol=1e-9)
