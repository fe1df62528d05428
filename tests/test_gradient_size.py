"""Gradients of deep graphs and of tensors that are read often: as many nodes, and about as much time, as the graph itself has."""
from __future__ import annotations

import time

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.reference import evaluate


def chain(n: int):
    """A chain of n nodes."""
    y = x = eg.dvector("x")
    for _ in range(n):
        y = eg.sin(y)
    return x, y.sum()


def shared(n: int):
    """One node that n others read."""
    x = eg.dvector("x")
    t = x * x
    total = t
    for k in range(n):
        total = total + t * float(k % 3)
    return x, total.sum()


def reads(n: int):
    """n elements of one tensor, each read by itself."""
    x = eg.dvector("x")
    total = x[0] * 1.0
    for k in range(1, n):
        total = total + x[k] * float(k % 5)
    return x, total


def writes(n: int):
    """A tensor of which one element after another is changed."""
    y = x = eg.dvector("x")
    for k in range(n // 4):
        y = y[k].inc(y[k + 1] * 2.0)
    return x, y.sum()


def parts(n: int):
    """Rows of one matrix, joined."""
    x = eg.dmatrix("x")
    return x, eg.concatenate([eg.sin(x[k]) for k in range(n // 4)]).sum()


def bodies(n: int):
    """A chain of nodes that hold graphs, with gradients of their own and checkpoints among them."""
    own = eg.custom_gradient(lambda v: (eg.sin(v), lambda g: g * eg.cos(v)))
    again = eg.checkpoint(lambda v: eg.cos(v) + v)
    y = x = eg.dvector("x")
    for _ in range(n // 20):
        y = again(own(y))
    return x, y.sum()


@pytest.mark.parametrize("make", [chain, shared, reads, writes, parts, bodies], ids=lambda f: f.__name__)
def test_nodes_and_time_grow_linearly(make) -> None:
    counts, seconds = [], []
    for n in (300, 1200):
        x, cost = make(n)
        start = time.perf_counter()
        g = eg.grad(cost, x)
        seconds.append(time.perf_counter() - start)
        counts.append(len(order([g])) / len(order([cost])))
    assert counts[1] < 1.1 * counts[0] + 0.1 and counts[1] < 8, counts
    assert seconds[1] < 4 * 3 * seconds[0] + 0.5, seconds  # a factor of 16 if it were quadratic, and then some


@pytest.mark.parametrize("make", [chain, shared], ids=lambda f: f.__name__)
def test_ten_thousand(make) -> None:
    x, cost = make(10_000)
    g = eg.grad(cost, x)
    assert len(order([g])) < 45_000
    got, = evaluate([g], {x.node: np.array([0.5, 2.0])})
    if make is shared:
        total = 1 + sum(float(k % 3) for k in range(10_000))
        np.testing.assert_allclose(got, 2 * total * np.array([0.5, 2.0]))
    else:
        y, slope = np.array([0.5, 2.0]), np.ones(2)
        for _ in range(10_000):
            slope, y = slope * np.cos(y), np.sin(y)
        np.testing.assert_allclose(got, slope, rtol=1e-9)


def test_elements_read_one_by_one() -> None:
    small, cost = reads(50)
    got, = evaluate([eg.grad(cost, small)], {small.node: np.ones(50)})
    np.testing.assert_allclose(got, [1.0, *(float(k % 5) for k in range(1, 50))])
