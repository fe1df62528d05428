"""Slices that reach what costs: nothing is computed twice, no check of an index is lost, and the user's lines stay."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import IndexFault, ShapeError
from exprgraph.graph import order
from exprgraph.node import Graph, Out
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate

F = "float32"
A, B, v, w = eg.matrix("A"), eg.matrix("B"), eg.vector("v"), eg.vector("w")


def left(*outs: Out) -> list[str]:
    """The ops that are left."""
    return [n.op.name for n in order(run_graph(Graph((A, B, v, w), outs), {}).outputs)]


@pytest.mark.parametrize("make", [
    lambda y: (y, y[:2]), lambda y: (y.sum(), y[:2]), lambda y: (y[:2], y[2:]), lambda y: (eg.exp(y)[1], y.T), lambda y: (y[:, :1] + y,)],
    ids=["an output", "a sum", "two parts", "behind a function", "in one expression"])
def test_a_product_with_other_readers_is_made_once_and_whole(make: Callable[[Any], Any]) -> None:
    assert left(*make(A @ B)).count("matmul") == 1


def test_what_a_part_does_not_need_is_not_there() -> None:
    assert "exp" not in left(eg.concatenate([eg.exp(v), w])[v.shape[0]:]) and "concat" not in left(eg.stack([v, v * 2])[0])
    assert left(eg.set_subtensor(v[2:5], eg.exp(v)[2:5])[5:]).count("exp") == 0


@pytest.mark.parametrize("make", [
    lambda: v[1:][2], lambda: v[3].set(1)[3], lambda: eg.concatenate([v, v])[7], lambda: eg.exp(v)[3], lambda: A.sum(axis=1)[4],
    lambda: (A @ B)[4], lambda: eg.stack([v, v])[:, 5], lambda: eg.broadcast_to(v, (2, v.shape[0]))[1, 3], lambda: v[::-1][3]])
def test_an_index_out_of_bounds_is_still_told(make: Callable[[], Any]) -> None:
    """On every level, with the user's line."""
    out = make()
    for level in ("none", "default"):
        f = eg.compile([A, B, v], out, device="numpy", optimizer=level, on_unused_input="ignore")
        with pytest.raises(IndexFault, match=r"(?s)out of bounds.*test_lifted\.py"):
            f(np.ones((2, 2), F), np.ones((2, 2), F), np.ones(3, F))


@pytest.mark.parametrize("make", [
    lambda: eg.concatenate([A, B])[:1], lambda: (A[:, :, None] * B[None]).sum(axis=1), lambda: eg.concatenate([A[:0], B]),
    lambda: (A @ B)[:1]])
def test_sizes_that_do_not_fit_are_still_told(make: Callable[[], Any]) -> None:
    f = eg.compile([A, B], make(), device="numpy")
    with pytest.raises(ShapeError, match=r"test_lifted\.py"):
        f(np.ones((2, 3), F), np.ones((4, 5), F))


def test_lines_of_what_is_lifted_stay() -> None:
    y = A @ B
    y = eg.exp(y)
    part = y[:2]
    graph = run_graph(Graph((A, B), (part,)), {})
    node = graph.outputs[0].node
    assert node.op.name == "exp" and node.sources == y.node.sources | part.node.sources
    assert all(s.line != A.node.source.line for s in node.sources)


def test_long_chains_of_parts_and_joins_end(times: int = 200) -> None:
    x = v
    for _ in range(times):
        x = eg.concatenate([x, w])
    assert left(x).count("concat") >= times // 64
    x = v
    for _ in range(times):
        x = eg.exp(x)[1:]
    assert left(x).count("exp") == times


def test_values_of_parts_at_edges() -> None:
    x = np.arange(6, dtype="float32").reshape(3, 2)
    for out in (A[::-1][1:][::-1], A[5:][::-1], A[:0][1:], A[1:].set(A[:-1])[1:], eg.concatenate([A[:1], A[1:]])[::2], A.T[1:].T[:, ::-1]):
        graph = run_graph(Graph((A,), (out,)), {})
        got, wanted = evaluate([graph.outputs[0], out], {A.node: x})
        assert got.shape == wanted.shape and np.array_equal(got, wanted)
