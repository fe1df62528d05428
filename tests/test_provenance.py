"""The user's lines survive every rule, fusion, gradient and batch: each node of what is compiled tells where it comes from."""
from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings

import exprgraph as eg
from exprgraph.errors import Source
from exprgraph.graph import order
from exprgraph.node import Graph, Node, Out
from exprgraph.passes import run_graph, run_plan
from exprgraph.patterns import Rule
from exprgraph.rewrite import Engine
from exprgraph.rules.catalogue import LISTS
from tests.graphs import graphs
from tests.rule_cases import dtypes_of, grid, specials, walk

OPTIONS = {"optimizer": "unsafe"}


def marked(outputs) -> dict[Source, Node]:
    """Each node with inputs on a line of its own."""
    nodes = [n for n in order(outputs) if n.inputs]
    for number, node in enumerate(nodes, 1):
        node.sources = frozenset({Source("user.py", number)})
    return {Source("user.py", number): node for number, node in enumerate(nodes, 1)}


def lines(node: Node) -> list[int]:
    return sorted(s.line for s in node.sources)


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_all_that_is_compiled_comes_from_the_users_lines(case) -> None:
    inputs, outputs = case[0], case[1]
    known = marked(outputs)
    graph = run_graph(Graph(tuple(inputs), tuple(outputs)), OPTIONS)
    for after in (graph, run_plan(graph, {}, OPTIONS)):
        strange = [n for n in order(after.outputs) if n.inputs and not (n.sources and n.sources <= known.keys())]
        assert not strange, f"{strange[0].op.name} comes from {strange[0].sources}"


REPLACING = [r for name, rules in LISTS.items() if name != "search" for r in rules]
"""Those that an engine applies; what the search uses has a test of its own."""


@pytest.mark.parametrize("rule", list(walk(REPLACING)), ids=lambda r: r.name)
def test_what_a_rule_makes_has_the_lines_of_what_it_replaces(rule: Rule) -> None:
    symbols, values = grid(rule, dtypes_of(rule)[0], specials(dtypes_of(rule)[0]))
    assert rule.pattern is not None
    out = rule.pattern(*symbols)
    known, old = marked([out]), set(order([out]))
    made = Engine([rule]).sweep(Graph(tuple(Out(n) for n in values), (out,)))[0].outputs[0]
    fresh = [n for n in order([made]) if n not in old and n.inputs]
    assert all(n.sources <= known.keys() for n in fresh)
    if made.node in fresh:
        gone = set(known.values()) - set(order([made]))
        assert made.node.sources >= frozenset().union(*(n.sources for n in gone)), f"{lines(made.node)} of {len(known)}"


def below() -> int:
    return sys._getframe(1).f_lineno


def test_gradients_have_the_lines_of_what_they_differentiate() -> None:
    x = eg.vector("x")
    first = below() + 1
    a = eg.sin(x)
    b = eg.tanh(a)
    g = eg.grad(b.sum(), x)
    t = eg.Rop(b, x, x)
    assert {n.op.name: lines(n) for n in order([g]) if n.op.name in ("cos", "sqr", "mul")}.items() >= {
        "cos": [first, first + 2], "sqr": [first + 1, first + 2]}.items()
    assert {n.op.name: lines(n) for n in order([t]) if n.op.name in ("cos", "sqr")} == {
        "cos": [first, first + 3], "sqr": [first + 1, first + 3]}


def test_the_source_of_a_kernel_names_the_lines_that_a_rule_has_joined() -> None:
    x = eg.matrix("x")
    first = below() + 1
    e = eg.exp(x)
    r = e.reshape((-1,))
    o = -(-1 - r)
    y = eg.log(o)
    f = eg.compile([x], y, device="pocl")
    f(np.ones((2, 3), "float32"))
    head = next(line for line in f.source().splitlines() if line.startswith("//"))
    assert "softplus" in head and all(f"test_provenance.py:{first + k}" in head for k in range(4)), head


def test_an_index_fault_in_a_gradient_names_the_line_of_the_forward_index() -> None:
    x, k = eg.vector("x"), eg.lvector("k")
    line = below() + 1
    cost = eg.exp(x[k]).sum()
    f = eg.compile([x, k], eg.grad(cost, x), device="pocl")
    with pytest.raises(IndexError, match=f"test_provenance.py:{line}"):
        f([1.0, 2.0], [5])


@pytest.mark.parametrize("make, told", [
    (lambda A, B: (A @ B)[:1], "matmul part of A (?, ?) @ B (?, ?)"),
    (lambda A, B: eg.tanh(A @ B).T[:, :1], "matmul part of A (?, ?) @ B (?, ?)"),
    (lambda A, B: (A.T @ B.T).T, "matmul B (?, ?) @ A (?, ?)"), (lambda A, B: (A[0] @ B.T)[:1], "@ part of turned B (?, ?)")])
def test_errors_of_sizes_name_what_the_user_has_named(make, told: str) -> None:
    A, B = eg.matrices("A", "B")
    f = eg.compile([A, B], make(A, B), device="numpy")
    with pytest.raises(eg.errors.ShapeError) as error:
        f(np.ones((2, 3), "float32"), np.ones((4, 5), "float32"))
    assert told in str(error.value) and "test_provenance.py" in str(error.value)
