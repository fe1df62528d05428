"""Launches that do not depend on each other run as one."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import exprgraph as eg
from codegen import generate as generation
from codegen.plan import Branch
from codegen.printed import printed
from codegen.target import Target
from exprgraph.node import Graph, Out
from exprgraph.passes import run_graph
from tests.plan_runner import CPU, GPU, interpret
from tests.planned import plan_of, taken, values_of

F = "float32"


class Case(NamedTuple):
    """A graph of vectors "n", matrices "nm" and so on; how many launches it costs on a CPU and on a GPU."""
    name: str
    cpu: int
    gpu: int
    shapes: tuple[tuple[int, ...], ...]
    make: Callable[..., Sequence[Any]]


CASES = (
    Case("maps of different sizes", 1, 1, ((5,), (7,), (3, 4)), lambda a, b, c: [2 * a + 1, 2 * b + 1, 2 * c + 1]),
    Case("different maps", 1, 1, ((5,), (7,), (9,)), lambda a, b, c: [eg.exp(a), b + 1, a[:2] * c[:2]]),
    Case("an argument in common", 1, 1, ((5,), (7,), (1,)), lambda a, b, s: [a * s, b * s]),
    Case("rows and columns", 1, 1, ((5, 6), (7, 3), (4,)), lambda a, b, c: [a.sum(axis=1), b.max(axis=0), c + 1]),
    Case("one after the other", 1, 2, ((5,), (7,)), lambda a, b: [a / a.sum(), b / b.sum()]),
    Case("a chain reads what is before it", 2, 3, ((5,), (7,), (3,)), lambda a, b, c: [a.sum() * eg.exp(b), c + 1]),
    Case("what can meet faults stays alone", 2, 2, ((5,), (7,)), lambda a, b: [a[(b[:2] * 3).astype("int64")], b + 1]),
    Case("nothing in one of them", 1, 1, ((0,), (7,), (3, 0)), lambda a, b, c: [a + 1, b + 1, c * 2]))


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_launches(case: Case, target: Target) -> None:
    plan, sizes, graph = plan_of(case.shapes, case.make, target)
    assert len(taken(plan.steps, sizes)) == getattr(case, target.schedule)
    values, leaves = values_of(case.shapes), [i.node for i in graph.inputs]
    plain = eg.compile(list(graph.inputs), list(graph.outputs), device="numpy")(*values)
    for got, wanted in zip(interpret(graph, leaves, values, target), plain):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_values_on_a_device(schedule: str) -> None:
    for case in CASES:
        inputs = [eg.tensor(f"x{k}", F, (None,) * len(s)) for k, s in enumerate(case.shapes)]
        outputs, values = list(case.make(*inputs)), values_of(case.shapes)
        f = eg.compile(inputs, outputs, device="pocl", schedule=schedule)
        for got, wanted in zip(f(*values), eg.compile(inputs, outputs, device="numpy")(*values)):
            np.testing.assert_allclose(got, wanted, rtol=1e-6)


def updates(count: int) -> Callable[..., list[Any]]:
    """A rule that takes three tensors for each of some parameters."""
    return lambda *all: [o for p, g, v in zip(*(all[k::3] for k in range(3))) for o in (0.9 * v - g, p + 0.9 * v - g)]


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
def test_equal_kernels_share_a_body(target: Target) -> None:
    """A program for ten is hardly longer than one for two, and its arguments fit."""
    texts = []
    for count in (2, 10):
        plan, sizes, _ = plan_of([(5 + k // 3,) for k in range(3 * count)], updates(count), target)
        launch, = taken(printed(plan, target.dialect).steps, sizes)
        assert len(launch.parts) == count and 8 * (len(launch.buffers) + len(launch.dims)) <= target.argument_bytes
        texts.append(launch.kernel.text)
    assert all(t.count("for (") == texts[0].count("for (") for t in texts)


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
def test_arguments_and_source_are_bounded(target: Target) -> None:
    plan, sizes, _ = plan_of([(5 + k // 3,) for k in range(120)], updates(40), target)
    launches = taken(plan.steps, sizes)
    assert 2 < len(launches) < 8 and sum(len(s.parts) for s in launches) == 40
    assert all(8 * (len(s.buffers) + len(s.dims)) <= target.argument_bytes for s in launches)
    different = [lambda x, k=k: sum((eg.exp(x * n) for n in range(k + 20)), x) for k in range(60)]
    plan, sizes, _ = plan_of([(5 + k,) for k in range(60)], lambda *xs: [f(x) for f, x in zip(different, xs)], target)
    assert 2 < len(taken(plan.steps, sizes)) < 30


def test_large_results_are_streamed_together() -> None:
    shapes = [(1 << 24,), (1 << 23,), (1 << 24,)] + [(7,)] * 3
    inputs = [eg.vector(f"x{k}") for k in range(6)]
    graph = run_graph(Graph(tuple(inputs), tuple(Out(o.node) for o in updates(2)(*inputs))), {})
    plan = generation.generate(graph, [i.node for i in inputs], ("equal",) * len(generation.uncertain(graph)), "C" * 6, False, CPU)
    branch = plan.steps[0]
    assert isinstance(branch, Branch) and [len(v) for v in branch.variants] == [1, 1]
    codes = [v[0].kernel for v in printed(plan, "pocl").steps[0].variants]
    assert [c.streamed for c in codes] == [False, True] and shapes


def test_every_part_is_told() -> None:
    a, b = eg.vectors("a", "b")
    outputs = [eg.exp(a) + 1,
               eg.tanh(b) * 2]
    values = [np.ones(5, F), np.ones(7, F)]
    f = eg.compile([a, b], outputs, device="pocl")
    f(*values)
    launches = [line for line in f.why().splitlines() if "launch" in line]
    assert len({line.partition("launch")[2] for line in launches}) == len(launches)
    text = f.source()
    assert "exp, add over a.shape[0]" in text and "tanh, mul over b.shape[0]" in text and "test_siblings.py" in text
    profiled = eg.compile([a, b], outputs, device="pocl", profile=True)
    profiled(*values)
    rows = [r.step.text for r in profiled.profile.rows if r.step.kind == "kernel"]
    assert len(rows) == 2 and "exp" in "".join(rows) and "tanh" in "".join(rows)
