"""Graphs and plans as bytes: random ones come back as they were, over the leaves of another process too."""
from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings

from codegen.generate import generate
from codegen.plan import Code
from codegen.printed import printed
from exprgraph import graph_records, keys
from exprgraph.dims import Dim
from exprgraph.errors import Source
from exprgraph.graph import key
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, leaf
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from exprgraph.requires import uncertain
from runtime import plan_records
from tests.graphs import Drawn, graphs
from tests.plan_runner import CPU, GPU

RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def program(drawn: Drawn) -> tuple[Graph, list[Node]]:
    """The graph as it is written, and its leaves in the order of a call."""
    return Graph((*drawn.inputs, *drawn.shared), tuple(drawn.outputs)), list(drawn.by_leaf)


def others(leaves: list[Node]) -> list[Node]:
    """Leaves like these, of a process that has counted further."""
    for _ in range(1 + len(leaves) * 7 % 95):
        leaf(INPUT, "float32", ())
    return [leaf(INPUT if n.op is INPUT else SHARED, n.outs[0].dtype, tuple(d.const for d in n.outs[0].shape)) for n in leaves]


@given(graphs())
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
def test_graphs_come_back_over_other_leaves(drawn: Drawn) -> None:
    graph, leaves = program(drawn)
    found = keys.structure(graph, leaves)
    made = Graph(graph.inputs, run_graph(graph, {}).outputs)
    content = graph_records.written(made, leaves, found.lines, graph_records.slots(found.nodes))
    new = others(leaves)
    outputs = graph_records.read(content, new, found.lines, found.nodes)
    assert key(Graph(tuple(map(Out, new)), outputs)) == key(Graph(tuple(map(Out, leaves)), made.outputs))
    with np.errstate(all="ignore"):
        wanted = evaluate(made.outputs, drawn.by_leaf)
        got = evaluate(outputs, dict(zip(new, drawn.by_leaf.values())))
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(one, other)
    again = graph_records.written(Graph((), outputs), new, found.lines, graph_records.slots(found.nodes))
    assert graph_records.read(again, leaves, found.lines, found.nodes)[0].type == made.outputs[0].type


def same(one: Any, other: Any, lines: Collection[Source]) -> bool:
    """Whether two records of plans say the same, Dims and arrays by what they are; of lines only those that the graph has."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, Dim | Code):
        return one == other
    if isinstance(one, tuple) and not isinstance(one, Source):
        left, right = ([v for v in side if v is not None and (not isinstance(v, Source) or v in lines)] for side in (one, other))
        return type(one) is type(other) and len(left) == len(right) and all(same(a, b, lines) for a, b in zip(left, right))
    return type(one) is type(other) and one == other


@given(graphs(most=6))
@settings(max_examples=20, deadline=None, suppress_health_check=RELAXED)
def test_plans_come_back_as_they_were(drawn: Drawn) -> None:
    graph, leaves = program(drawn)
    found = keys.structure(graph, leaves)
    made = Graph(graph.inputs, run_graph(graph, {}).outputs)
    for target in (CPU, GPU):
        for outcomes in (("equal",) * len(uncertain(made)), None):
            plan = printed(generate(made, leaves, outcomes, "C" * len(leaves), False, target), target.dialect)
            content = plan_records.written(plan, leaves, found.lines, found.nodes)
            assert same(plan_records.read(content, leaves, found.lines, found.nodes), plan, found.lines)
            new = others(leaves)
            moved = plan_records.read(content, new, found.lines, found.nodes)
            back = plan_records.written(moved, new, found.lines, found.nodes)
            assert same(plan_records.read(back, leaves, found.lines, found.nodes), plan, found.lines)


@given(graphs())
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
def test_keys_do_not_see_names_lines_or_numbers(drawn: Drawn) -> None:
    graph, leaves = program(drawn)
    first = keys.structure(graph, leaves).parts
    new = others(leaves)
    content = graph_records.written(graph, leaves, [], {})
    copy = Graph(tuple(map(Out, new)), graph_records.read(content, new, [], []))
    second = keys.structure(copy, new).parts
    assert {k: v for k, v in first.items() if k != "lines"} == {k: v for k, v in second.items() if k != "lines"}
