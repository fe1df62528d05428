"""Chains of parts of parts: rules look at each link a bounded number of times, and sums of few keep the precision of one fold."""
from __future__ import annotations

import collections
from functools import reduce

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.passes import engine, run_graph
from exprgraph.rewrite import Engine

LINKS = 40


def applications(inputs, out) -> int:
    """How often rules apply to a graph until the exact list is at rest."""
    count: collections.Counter[str] = collections.Counter()
    graph, last = Graph(tuple(inputs), (out,)), "first"
    while last is not None:
        graph, last = engine("exact").sweep(graph, lambda name, match, made: count.update([name]))
    return count.total()


@pytest.mark.parametrize("link", [lambda x, i: x[1:], lambda x, i: x[i], lambda x, i: x[::2][1:]], ids=["slices", "takes", "both"])
def test_a_chain_of_parts_costs_no_more_than_its_length(link) -> None:
    x, i = eg.vector("x"), eg.lvector("i")
    short = long = x
    for k in range(2 * LINKS):
        short, long = (link(short, i) if k < LINKS else short), link(long, i)
    assert applications([x, i], long) <= 2.5 * applications([x, i], short) + 50


def test_a_slice_passes_a_chain_of_functions_in_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps = []
    plain = Engine.sweep
    monkeypatch.setattr(Engine, "sweep", lambda self, *others: sweeps.append(self) or plain(self, *others))
    x, w = eg.matrices("x", "w")
    counts = []
    for links in (1, 11):
        y = reduce(lambda y, k: eg.tanh(y) if k % 2 else eg.sin(y), range(links), x @ w)
        graph = run_graph(Graph((x, w), (y[:8],)), {})
        assert [n.op.name for n in order(graph.outputs)].index("subtensor") < [n.op.name for n in order(graph.outputs)].index("matmul")
        counts.append(len(sweeps))
        sweeps.clear()
    assert counts[0] == counts[1]


def test_a_chain_of_slices_is_right() -> None:
    x = eg.vector("x")
    y = x
    for _ in range(20):
        y = y[1:]
    np.testing.assert_array_equal(eg.compile([x], y * 2, device="numpy")(np.arange(25, dtype="float32")), 2 * np.arange(20.0, 25))
    assert eg.pp(eg.compile([x], x[1:][2:][::2], device="numpy").graph.outputs[0]).count("subtensor") <= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_sum_of_a_stack_of_narrow_floats_rounds_once(dtype: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    h = eg.tensor("h", dtype, (None,))
    many = eg.compile([h], eg.stack([h] + [h * 0 + 1] * 10).sum(axis=0), device="numpy")
    plain = eg.compile([h], eg.stack([h] + [h * 0 + 1] * 10).sum(axis=0), device="numpy", optimizer="none")
    big = np.array([2048 if dtype == "float16" else 256], "float32").astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    np.testing.assert_array_equal(many(big).astype("float32"), plain(big).astype("float32"))
    if dtype == "float16":
        f = eg.compile([h], eg.stack([h, h, -h]).sum(axis=0), device="numpy")
        assert f(np.array([60000], "float16")).tolist() == [60000] and many(big).tolist() == [2058]
