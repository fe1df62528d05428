"""Common subexpressions: nodes that are built alike become one, which keeps the user's lines of all."""
from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from exprgraph import graph as graphs
from exprgraph.node import INPUT, SHARED, Graph, Node, Out

Key = tuple[Hashable, ...]


def merge(graph: Graph) -> Graph:
    """The graph with every group of nodes built alike as one node."""
    nodes = graphs.order(graph.outputs)
    group, count = _groups(nodes)
    if count == len(nodes):
        return graph
    members: dict[int, list[Node]] = {}
    for node in nodes:
        members.setdefault(group[node], []).append(node)
    new: dict[Node, Out] = {}
    for alike in members.values():
        inputs = graphs.followed(alike[0].inputs, new)
        if len(alike) > 1 or inputs is not alike[0].inputs:
            made = _united(alike, inputs)
            new.update((n, made) for n in alike if n is not made.node)
    return Graph(graph.inputs, graphs.followed(graph.outputs, new))


def _groups(nodes: Iterable[Node]) -> tuple[dict[Node, int], int]:
    """For each node the number of the group of nodes that compute the same, and how many groups there are."""
    table: dict[Key, int] = {}
    group: dict[Node, int] = {}
    for node in nodes:
        group[node] = table.setdefault(_key(node, group), len(table))
    return group, len(table)


def _key(node: Node, group: dict[Node, int]) -> Key:
    op = node.op
    if op in (INPUT, SHARED) or not op.flags.isdisjoint(("impure", "unmergeable")):
        return (id(node),)
    inputs = [(group[i.node], i.index) for i in node.inputs]
    if len(inputs) > 1 and "commutative" in op.flags:
        inputs.sort()
    return (op, tuple([(name, _hashable(value)) for name, value in node.params]) if node.params else (), *inputs)


def _hashable(value: Any) -> Hashable:
    """A parameter as part of a key; bodies are compared by structure."""
    if isinstance(value, Graph):
        return ("graph", graphs.key(value))
    if isinstance(value, tuple):
        return tuple(_hashable(v) for v in value)
    hashable: Hashable = value
    return hashable


def _united(alike: list[Node], inputs: tuple[Out, ...]) -> Out:
    first = alike[0]
    sources = first.sources.union(*(n.sources for n in alike[1:])) if len(alike) > 1 else first.sources
    name = next((n.name for n in alike if n.name is not None), None)
    if sources == first.sources and name == first.name and graphs.unchanged(first, inputs):
        return Out(first)
    return Out(Node(first.op, first.params, inputs, first.outs, sources, name))
