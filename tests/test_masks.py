"""Masks move outward: the gradient of a branch that is not taken is 0, whatever its slope would be there."""
from __future__ import annotations

import time

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.passes import run_graph

pytestmark = pytest.mark.filterwarnings("error::exprgraph.rewrite.RewriteWarning")
X = np.array([-2, -0.0, 0.0, 0.25, 3], "float32")
BRANCHES = {
    "log": (eg.log, lambda x: 1 / x, lambda x: -1 / x ** 2),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / x ** 2, lambda x: 2 / x ** 3),
    "sqrt": (eg.sqrt, lambda x: 0.5 / np.sqrt(x), lambda x: -0.25 / x ** 1.5),
    "rsqrt": (eg.rsqrt, lambda x: -0.5 / x ** 1.5, lambda x: 0.75 / x ** 2.5),
    "x log x": (lambda x: x * eg.log(x), lambda x: np.log(x) + 1, lambda x: 1 / x),
    "power": (lambda x: x ** 0.75, lambda x: 0.75 * x ** -0.25, lambda x: -0.1875 * x ** -1.25),
    "log of sqrt": (lambda x: eg.log(eg.sqrt(x)), lambda x: 0.5 / x, lambda x: -0.5 / x ** 2),
    "root used twice": (lambda x: eg.sqrt(x) * eg.exp(eg.sqrt(x) / 2), None, None),
    "scaled": (lambda x: 3 * -eg.log(2 * x), lambda x: -3 / x, lambda x: 3 / x ** 2),
}
CHOICES = {"where": lambda x, y: eg.where(x > 0, y, 0), "otherwise": lambda x, y: eg.where(x <= 0, 0, y),
           "nested": lambda x, y: eg.where(x > 0, eg.where(x > -1, y, 0), 0)}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_gradients_of_a_branch_not_taken_are_zero_A26(device: str, name: str, choice: str) -> None:
    x = eg.vector("x")
    branch, first, second = BRANCHES[name]
    out = CHOICES[choice](x, branch(x))
    slope = eg.grad(out.sum(), x)
    got = eg.compile([x], [out, slope, eg.grad(slope.sum(), x)], device=device)(X)
    taken = X > 0
    for values, want in zip(got, (None, first, second)):
        np.testing.assert_array_equal(values[~taken], 0)
        assert np.isfinite(values[taken]).all()
        if want is not None:
            np.testing.assert_allclose(values[taken], want(X[taken]), rtol=2e-5)


def test_the_forward_value_of_a_quotient_A26() -> None:
    a, b = eg.vectors("a", "b")
    f = eg.compile([a, b], eg.where(eg.neq(b, 0), a / b, 0), device="pocl")
    np.testing.assert_array_equal(f(np.array([1, 0, 6], "float32"), np.array([0, 0, 3], "float32")), [0, 0, 2])


def chain(length: int):
    """A long chain of relu and products, and its gradient: one mask after the other."""
    x, w = eg.vector("x"), eg.vector("w")
    y = x
    for _ in range(length):
        y = eg.relu(y) * w
    return [x, w], eg.grad(y.sum(), x)


def test_long_chains_of_masks_stay_linear_A24() -> None:
    inputs, slope = chain(1900)
    before = len(order([slope]))
    started = time.process_time()
    graph = run_graph(eg.Graph(tuple(inputs), (slope,)), {})
    assert len(order(graph.outputs)) < 1.6 * before
    assert time.process_time() - started < 20


@pytest.mark.parametrize("make", [
    lambda x, m: eg.where(x > m, x, 0) * eg.where(x < m, 0, m) * eg.where(x > 1, m, 0),
    lambda x, m: eg.neg(eg.neg(-eg.where(x > m, x, 0)) / m) * m])
def test_products_of_masks_have_one_mask(make) -> None:
    x, m = eg.vectors("x", "m")
    graph = run_graph(eg.Graph((x, m), (make(x, m),)), {})
    assert [n.op.name for n in order(graph.outputs)].count("switch") == 1 and graph.outputs[0].node.op.name == "switch"
