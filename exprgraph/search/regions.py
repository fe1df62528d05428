"""Regions: the elementwise parts of a graph that are searched, none of which reads what another of its own level computes."""
from __future__ import annotations

from collections.abc import Sequence

from exprgraph.dtypes import COMPLEX
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, Node, Out, no_refusal
from exprgraph.ops.table import ROWS

LARGEST = 80
"""The nodes of a region; a larger one is cut in the order of its nodes."""
MOVING = ("view", "gather")
OTHERS = frozenset(("bfloat16", *COMPLEX))
"""The dtypes whose rows are not searched."""


class Region(NamedTuple):
    """Nodes, operands first, and those of them that others read."""
    nodes: tuple[Node, ...]
    roots: tuple[Node, ...]


def levels(nodes: Sequence[Node]) -> tuple[dict[Node, int], frozenset[Node]]:
    """The level of each node and which can be in a region: one that cannot is a level above its operands, so that what a region reads
    never depends on the region."""
    frozen = indices(nodes)
    level: dict[Node, int] = {}
    inside: set[Node] = set()
    for node in nodes:
        below = max((level[i.node] for i in node.inputs), default=0)
        taken = searchable(node) and node not in frozen
        level[node] = below if taken else below + 1
        if taken:
            inside.add(node)
    return level, frozenset(inside)


def searchable(node: Node) -> bool:
    """Whether a node is one of exprgraph's own elementwise rows on real numbers, without faults and effects."""
    op = node.op
    if op.kind != "elementwise" or ROWS.get(op.name) is not op or len(node.outs) != 1 or not op.flags.isdisjoint(("impure", "unmergeable")):
        return False
    if node.outs[0].dtype in OTHERS or not OTHERS.isdisjoint([i.dtype for i in node.inputs]):
        return False
    return op.refuses is no_refusal or not op.refuses(node.inputs, **dict(node.params))


def indices(nodes: Sequence[Node]) -> frozenset[Node]:
    """What sizes and positions are computed from: integers that have an algebra of their own."""
    found: set[Node] = set()
    for node in reversed(nodes):
        for k, i in enumerate(node.inputs):
            position = node in found or (node.op.kind != "elementwise" and (k > 0 or node.op.kind not in MOVING))
            scalar = not i.ndim
            if i.dtype[:1] in "iu" and (scalar or (position and node.op.kind not in ("reduce", "scan", "contract"))):
                found.add(i.node)
    return frozenset(n for n in found if n.op is not CONSTANT)


def regions(nodes: Sequence[Node], level: dict[Node, int], inside: frozenset[Node], outputs: Sequence[Out]) -> dict[int, list[Region]]:
    """The regions of each level: nodes that are connected, by what they read too."""
    group: dict[Node, Node] = {}
    by_leaf: dict[tuple[int, Node], Node] = {}

    def find(node: Node) -> Node:
        while group[node] is not node:
            group[node] = node = group[group[node]]
        return node
    for node in nodes:
        if node in inside:
            group[node] = node
            for i in node.inputs:
                if i.node.op is CONSTANT:
                    continue
                near = i.node if i.node in inside and level[i.node] == level[node] else by_leaf.setdefault((level[node], i.node), node)
                group[find(near)] = find(node)
    members: dict[Node, list[Node]] = {}
    for node in nodes:
        if node in inside:
            members.setdefault(find(node), []).append(node)
    return _by_level([part for m in members.values() for part in _cut(m)], nodes, level, outputs)


def _cut(nodes: list[Node]) -> list[list[Node]]:
    return [nodes[k:k + LARGEST] for k in range(0, len(nodes), LARGEST)]


def _by_level(parts: list[list[Node]], nodes: Sequence[Node], level: dict[Node, int], outputs: Sequence[Out]) -> dict[int, list[Region]]:
    number = {n: k for k, part in enumerate(parts) for n in part}
    read = {o.node for o in outputs}
    for node in nodes:
        read.update(i.node for i in node.inputs if number.get(i.node, -1) != number.get(node, -2))
    found: dict[int, list[Region]] = {}
    for part in parts:
        found.setdefault(level[part[0]], []).append(Region(tuple(part), tuple(n for n in part if n in read)))
    return found
