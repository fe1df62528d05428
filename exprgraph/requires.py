"""What a graph asks of the sizes of a call: conditions that they must fulfil, and pairs whose relation decides the plan."""
from __future__ import annotations

from typing import NamedTuple

from exprgraph.errors import Source
from exprgraph.graph import order
from exprgraph.node import Condition, Graph
from exprgraph.pairs import Pair, pairs


class Requirement(NamedTuple):
    """A condition on the sizes of a call, with the user's line."""
    condition: Condition
    source: Source | None


def uncertain(graph: Graph) -> tuple[Pair, ...]:
    """The pairs of sizes whose relation a call has to decide."""
    return tuple(pairs(graph))


def requirements(graph: Graph) -> tuple[Requirement, ...]:
    """The conditions that the sizes of a call must fulfil."""
    found: dict[tuple[str, str, str], Requirement] = {}
    for node in order(graph.outputs):
        for c in node.op.requires(node.inputs, **dict(node.params)):
            if c.left.const is None or c.right.const is None:
                found.setdefault((c.kind, c.left.text, c.right.text), Requirement(c, node.source))
    return tuple(found.values())
