"""Common subexpressions: nodes that are built alike become one, which keeps the user's lines of all."""
from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from exprgraph import graph as graphs
from exprgraph.node import INPUT, SHARED, Graph, Node, Out

Key = tuple[Hashable, ...]
ONE_OF_A_KIND = ("impure", "unmergeable")
WIDEST = 1 << 32
"""More outputs than a node has."""


def merge(graph: Graph) -> Graph:
    """The graph with every group of nodes built alike as one node."""
    nodes = graphs.order(graph.outputs)
    alike = _alike(nodes)
    if not alike:
        return graph
    others = {n for group in alike.values() for n in group[1:]}
    new: dict[Node, Out] = {}
    for node in nodes:
        if node in others:
            continue
        inputs = graphs.followed(node.inputs, new)
        if node in alike or inputs is not node.inputs:
            group = alike.get(node, [node])
            made = _united(group, inputs)
            new.update((n, made) for n in group if n is not made.node)
    return Graph(graph.inputs, graphs.followed(graph.outputs, new))


def _alike(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """The nodes that compute what a node before them does: lists that begin with the first, by it."""
    table: dict[Key, Node] = {}
    numbers: dict[Node, int] = {}
    found: dict[Node, list[Node]] = {}
    for node in nodes:
        first = table.setdefault(_key(node, numbers), node)
        if first is node:
            numbers[node] = len(numbers)
        else:
            numbers[node] = numbers[first]
            found.setdefault(first, [first]).append(node)
    return found


def _key(node: Node, numbers: Mapping[Node, int] | None = None) -> Key:
    """What is equal for nodes that are built alike; numbers: those of their inputs, else uids."""
    op = node.op
    if op in (INPUT, SHARED) or not op.flags.isdisjoint(ONE_OF_A_KIND):
        return (id(node),)
    inputs = [(i.node.uid if numbers is None else numbers[i.node]) * WIDEST + i.index for i in node.inputs]
    if len(inputs) > 1 and "commutative" in op.flags:
        inputs.sort()
    return (op, tuple([(name, _hashable(value)) for name, value in node.params]) if node.params else (), *inputs)


class Merging:
    """Merges what is made while a graph is rewritten, so that what reads it is built once: nodes are those of the graph before."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes, self._since = nodes, graphs.mark()
        self._known: dict[Key, Out] | None = None

    def __call__(self, out: Out) -> Out:
        """The tensor, or one built alike; an older node with fewer lines of the user's stays as it is, for `merge`."""
        node = out.node
        if node.uid <= self._since:
            return out
        if self._known is None:
            self._known = {_key(n): Out(n) for n in self._nodes}
        found = self._known.setdefault(_key(node), out)
        first = found.node
        if first is not node and not (node.sources <= first.sources and node.name in (None, first.name)):
            if first.uid <= self._since:
                return out
            first.sources, first.name = first.sources | node.sources, node.name if first.name is None else first.name
        return found


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
