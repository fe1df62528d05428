"""What a graph asks of the sizes of a call: conditions that they must fulfil, and pairs whose relation decides the plan."""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

from exprgraph.collecting import fewer_collections
from exprgraph.dims import Dim
from exprgraph.errors import Source, at
from exprgraph.graph import order
from exprgraph.named import NamedTuple
from exprgraph.node import Condition, Graph, Node
from exprgraph.pairs import Pair, pairs


class Requirement(NamedTuple):
    """A condition on the sizes of a call, with the user's line."""
    condition: Condition
    source: Source | None


_last: list[tuple[tuple[weakref.ref[Node], ...], tuple[Pair, ...]]] = []  # the graph that was asked about last, while it lives


def uncertain(graph: Graph) -> tuple[Pair, ...]:
    """The pairs of sizes whose relation a call has to decide."""
    with fewer_collections():
        found = tuple(pairs(graph))
    _last[:] = [(tuple(weakref.ref(o.node, _forget) for o in graph.outputs), found)]
    return found


def uncertain_again(graph: Graph) -> tuple[Pair, ...]:
    """The same for whoever asks a second time and shows no names, which may have changed."""
    for refs, found in _last[:]:
        if len(refs) == len(graph.outputs) and all(ref() is o.node for ref, o in zip(refs, graph.outputs)):
            return found
    return uncertain(graph)


def _forget(ref: object) -> None:
    _last.clear()


def requirements(graph: Graph) -> tuple[Requirement, ...]:
    """The conditions that the sizes of a call must fulfil."""
    found: dict[tuple[str, str, str], Requirement] = {}
    for node in order(graph.outputs):
        for c in node.op.requires(node.inputs, **dict(node.params)):
            if c.left.const is None or c.right.const is None:
                found.setdefault((c.kind, c.left.text, c.right.text), Requirement(c, node.source))
    return tuple(found.values())


def check(found: Iterable[Requirement], evaluate: Callable[[Dim], int]) -> None:
    """The error of the first condition that the sizes of a call do not fulfil."""
    for condition, source in found:
        left, right = evaluate(condition.left), evaluate(condition.right)
        if not condition.holds(left, right):
            raise condition.error(condition.message.format(left=left, right=right) + at(source))
