"""Sizes that a call computes: programs in stages."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import ShapeError
from exprgraph.stages import stages


def test_a_size_is_read_between_stages(device: str) -> None:
    """Sizes that rest on values, and on sizes that rest on values; each call has its own, 0 too."""
    x = eg.vector("x")
    n = (x > 0).sum()
    f = eg.compile([x], [eg.arange(n), x[:n], eg.zeros((n, 2)) + n, eg.arange(eg.arange(n).sum()), x.sum()])
    for given in ([1, -1, 2, 3], [-1], [], [5] * 7):
        a = np.float32(given)
        m = int((a > 0).sum())
        got = f(a)
        for g, want in zip(got, [np.arange(m), a[:m], np.full((m, 2), m), np.arange(m * (m - 1) // 2), a.sum()]):
            np.testing.assert_array_equal(g, want)


def test_a_negative_size_is_an_error_with_the_line(device: str) -> None:
    """A size that turns out negative is refused, a negative bound of a slice counts from the end; nothing is updated."""
    x, s = eg.vector("x"), eg.shared(np.float32(0), name="s")
    f = eg.compile([x], [eg.arange(x.sum().astype("int64"))], updates={s: s + 1})
    with pytest.raises(ShapeError, match=r"negative: -2(.|\n)*test_stages.py"):
        f(np.float32([-1, -1]))
    assert s.get_value() == 0 and f(np.float32([2]))[0].tolist() == [0, 1] and s.get_value() == 1
    g = eg.compile([x], x[:x.argmax() - 3])
    assert g(np.float32([1, 2, 0, 0])).tolist() == [1, 2]


def test_equal_expressions_are_one_size() -> None:
    """Masks written twice are read once, and what they select fits together."""
    x, y = eg.vector("x"), eg.vector("y")
    both = eg.extract(x > 0, x) + eg.extract(x > 0, y)
    f = eg.compile([x, y], both, device="pocl")
    assert f.why().count("ReadSize") == 1
    assert f(np.float32([1, -1, 2]), np.float32([10, 20, 30])).tolist() == [11, 32]


def test_products_and_reductions_are_carried_over_and_maps_are_not() -> None:
    """What the second stage takes from the first one."""
    X, v = eg.matrix("X"), eg.vector("v")
    p = X @ v
    out = eg.extract(p > 0, p * 2)
    graph = eg.compile([X, v], out, device="numpy")
    assert graph(np.float32([[1, 2], [-1, 0]]), np.float32([1, 1])).tolist() == [6]
    from exprgraph.program import Program
    found = stages(Program(eg.Graph((X, v), (out,)), (X.node, v.node), 1, {}))
    assert len(found) == 2
    assert [n.op.name for n in found[1].takes if n.op.name != "input"] == ["matmul"]


def test_updates_and_gradients_through_a_selection(device: str) -> None:
    """A loss over selected elements trains a shared variable; plans stay few whatever is selected."""
    x = eg.vector("x")
    w = eg.shared(np.float32(2), name="w")
    chosen = eg.extract(x > 0, x)
    loss = ((chosen * w - 1) ** 2).sum()
    step = eg.compile([x], loss, updates={w: w - 0.1 * eg.grad(loss, w)})
    want = 2.0
    for a in ([1, -1, 0.5], [0.25], [-1], [1] * 9):
        x0 = np.float32([v for v in a if v > 0])
        np.testing.assert_allclose(step(np.float32(a)), ((x0 * want - 1) ** 2).sum(), rtol=1e-5)
        want -= 0.1 * (2 * (x0 * want - 1) * x0).sum()
        np.testing.assert_allclose(w.get_value(), want, rtol=1e-5)


def test_sizes_of_sizes_in_one_graph(device: str) -> None:
    """A mask of what a mask has selected, and a size that both stages know."""
    x = eg.vector("x")
    first = eg.extract(x > 0, x)
    second = eg.extract(first < 3, first)
    f = eg.compile([x], [second, second.shape[0] + x.shape[0], first.sum()])
    got = f(np.float32([1, 5, -1, 2, 7]))
    assert got[0].tolist() == [1, 2] and int(got[1]) == 7 and float(got[2]) == 15
