"""Ops of the user's own under every derivative and batch: gradients, forward mode, lanes, lanes of lanes, and one inside another."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from tests.faults import WAYS

solve = eg.as_op([eg.dmatrix, eg.dvector], [eg.dvector], lambda shapes: shapes[1],
                 grad=lambda g, y, a, b: (lambda z: (-eg.outer(z, y), z))(solve(a.T, g)))(np.linalg.solve)
both = eg.as_op([eg.dvector, eg.dscalar], [eg.dvector, eg.dscalar], lambda shapes: [shapes[0], ()],
                grad=lambda gs, ys, x, s: (gs[0] * s + gs[1] * 2 * x, (gs[0] * x).sum()),
                forward=lambda ts, ys, x, s: ((0 if ts[0] is None else ts[0] * s) + (0 if ts[1] is None else x * ts[1]),
                                              eg.constant(0.0) if ts[0] is None else (2 * x * ts[0]).sum()))(
                    lambda x, s: (x * s, np.asarray((x * x).sum())))
cubes = eg.ElementwiseKernel("x", "x*x*x + i", numpy=lambda x, i: x**3 + i, grad=lambda g, y, x: (g * 3 * x * x,))
raw = eg.RawKernel("""__kernel void raw(__global const double *x, double s, __global double *y, int n) {
    int i = get_global_id(0);
    if (i < n) y[i] = x[n - 1 - i] * s;
}""", outputs={"y": "x"}, scalars={"n": lambda x, s: x.shape[0]}, numpy=lambda x, s: x[::-1] * s,
                   grad=lambda g, y, x, s: (raw(g, s), (g * raw(x, 1.0)).sum()))
odd = eg.ReductionKernel("float64", 0, "a + b + a*b", reduce_numpy=lambda a, b: a + b + a * b,
                         reduce_grad=lambda g, y, x: (g * (y + 1) / (x + 1),))
FUNCTIONS: dict[str, Any] = {
    "as_op": lambda x, a: solve(a, x * x)[0] + (solve(a, x) ** 2).sum(),
    "several": lambda x, a: (lambda y, s: (y * x).sum() * s)(*both(x, a[0, 0])),
    "elementwise": lambda x, a: (cubes(x) * cubes(a)[0]).sum(),
    "raw": lambda x, a: (raw(x * x, a[0, 1]) * x).sum(),
    "reduction": lambda x, a: odd(x / 4) * odd(a / 8, axis=1).sum(),
}
RNG = np.random.default_rng(1)
X, A = RNG.random((4, 3)) + 0.5, RNG.random((4, 3, 3)) + 3 * np.eye(3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_and_forward_mode(name: str) -> None:
    """Against finite differences, to second order; forward mode against the gradient."""
    function = FUNCTIONS[name]
    eg.check_grads(function, [X[0], A[0]], order=2)
    x, a, t = eg.dvector("x"), eg.dmatrix("a"), eg.dvector("t")
    slope = eg.jvp(function, (x, a), (t, a * 0))[1]
    back = eg.grad(function(x, a), x)
    over = eg.jvp(lambda x: eg.grad(function(x, a), x), (x,), (t,))[1]  # forward over reverse
    twice = eg.grad((back * t).sum(), x)
    got = eg.compile([x, a, t], [slope, (back * t).sum(), over, twice], device="numpy")(X[0], A[0], X[1])
    np.testing.assert_allclose(got[0], got[1], rtol=1e-9)
    np.testing.assert_allclose(got[2], got[3], rtol=1e-9)


@pytest.mark.parametrize("name, way", [(name, way) for name in FUNCTIONS for way in WAYS if way != "cpu" or name in ("raw", "several")])
def test_lanes(name: str, way: str) -> None:
    """A batch, with the matrix shared by all lanes or not, its gradient, and the batch of gradients, are what each lane gives."""
    function, symbols = FUNCTIONS[name], (eg.dvector("x"), eg.dmatrix("a"))
    single = eg.compile(list(symbols), [function(*symbols), *eg.grad(function(*symbols), list(symbols))], device="numpy")
    xs, a, as_ = eg.dmatrix("xs"), eg.dmatrix("a"), eg.tensor3("as", "float64")
    shared, apart = eg.vmap(function, in_axes=(0, None))(xs, a), eg.vmap(function)(xs, as_)
    inside = eg.vmap(lambda x, a: tuple(eg.grad(function(x, a), [x, a])))(xs, as_)
    outputs = [shared, apart, *eg.grad(shared.sum(), [xs, a]), *eg.grad(apart.sum(), [xs, as_]), *inside]
    got = eg.compile([xs, a, as_], outputs, **WAYS[way])(X, A[0], A)
    one, many = ([np.stack(v) for v in zip(*(single(x, m) for x, m in zip(X, matrices)))] for matrices in ([A[0]] * 4, A))
    for k, (found, want) in enumerate(zip(got, [one[0], many[0], one[1], one[2].sum(0), *many[1:], *many[1:]])):
        np.testing.assert_allclose(found, want, rtol=1e-7, atol=1e-9, err_msg=f"result {k}")


@pytest.mark.parametrize("way", ["numpy", "gpu"])
def test_lanes_of_lanes(way: str) -> None:
    x, a = eg.tensor3("x", "float64"), eg.dmatrix("a")
    values, outputs, wanted = np.stack([X, X + 1]), [], []
    for name in ("as_op", "raw", "several"):
        nested = eg.vmap(eg.vmap(lambda x, name=name: FUNCTIONS[name](x, a)))(x)
        outputs += [nested, eg.grad(nested.sum(), x)]
        s, m = eg.dvector(), eg.dmatrix()
        single = eg.compile([s, m], [FUNCTIONS[name](s, m), eg.grad(FUNCTIONS[name](s, m), s)], device="numpy")
        each = [[single(v, A[0]) for v in rows] for rows in values]
        wanted += [np.array([[e[k] for e in row] for row in each]) for k in range(2)]
    for found, want in zip(eg.compile([x, a], outputs, **WAYS[way])(values, A[0]), wanted):
        np.testing.assert_allclose(found, want, rtol=1e-8)


def test_a_lane_has_no_size_of_its_own() -> None:
    positive = eg.as_op([eg.dvector], [eg.dvector], name="positive")(lambda x: x[x > 0])
    with pytest.raises((eg.OwnOpError, eg.GraphError, eg.ShapeError)):
        eg.vmap(positive)(eg.dmatrix("x"))


@pytest.mark.parametrize("way", WAYS)
def test_types_that_know_lengths_are_checked(way: str) -> None:
    kind = eg.TensorType("float32", (3,))
    op = eg.as_op([kind], [kind])(lambda x: x + 1)
    x = eg.fvector("x")
    f = eg.compile([x], op(x), **WAYS[way])
    assert f(np.zeros(3, "float32")).tolist() == [1, 1, 1]
    with pytest.raises(eg.ShapeError):
        f(np.zeros(4, "float32"))
