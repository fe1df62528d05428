"""Graphs made stable before they are transformed: forward mode and batches turn a pattern into another, which the rules may not know.

log(sigmoid(x)) is stable once the rules for it have seen it.  Its tangent, a product of slopes, overflows where the slopes do, and over a
batch there are reshapes in between.  So the rules see a graph first, and what they make of it is transformed.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exprgraph.config import config
from exprgraph.fold import fold
from exprgraph.graph import leaves as graph_leaves
from exprgraph.graph import order
from exprgraph.kept import kept
from exprgraph.merge import merge
from exprgraph.modes import Mode, kept_on_disk
from exprgraph.node import INPUT, SHARED, Graph, Node, Out
from exprgraph.ops.markers import disconnected_grad, zero_grad
from exprgraph.replace import copied, stand_in

Place = tuple[Node, int]
ONCE = ("impure", "unmergeable")
"""Flags of rows that do something whenever they are computed: a graph with one stays as it is, so that it is not there twice."""
MARKERS = (disconnected_grad, zero_grad)
"""Rows that the exact rules drop, which only gradients look at: a graph with one stays as it is too."""


def stabilised(outputs: Sequence[Out], cuts: Sequence[Out]) -> tuple[list[Out], dict[Place, Out]]:
    """The outputs as the stable rules make them, with leaves in place of the tensors of `cuts`; and for each such leaf its tensor.

    Inputs and shared variables among the cuts stay themselves; where no stable rule applies all does.  `restored` puts the tensors back.
    """
    if any(not n.op.flags.isdisjoint(ONCE) or n.op in MARKERS for n in order(outputs, {c.node for c in cuts})):
        return list(outputs), {}
    inner = {(c.node, c.index): c for c in cuts if c.node.op not in (INPUT, SHARED)}
    leaves = {place: stand_in(c) for place, c in inner.items()}
    graph = Graph((), tuple(copied(outputs, leaves) if leaves else outputs))
    mode = config.mode
    options = mode.choice if isinstance(mode, Mode) else {}
    if kept_on_disk(options):
        found = kept("stabilised", graph, graph_leaves(graph.outputs), options.get("chosen") or None, lambda: _swept(graph, options))
    else:
        found = _swept(graph, options)
    if not found:
        return list(outputs), {}
    return list(found), {(leaf.node, 0): inner[place] for place, leaf in leaves.items()}


def _swept(graph: Graph, options: Mapping[str, Any]) -> tuple[Out, ...]:
    """The outputs as the stable rules make them, or rules of the user's; none where no such rule applies."""
    from exprgraph.passes import rewritten, swept  # they load all rules
    own, applied = swept("own", merge(fold(graph)), options)
    found, fired = swept("stable", rewritten(("exact",), own, options), options)
    return () if applied is None and fired is None else rewritten(("own", "stable", "exact"), found, options).outputs


def swapped(tensors: Sequence[Out], leaves: dict[Place, Out]) -> list[Out]:
    """Tensors that were cut off, or others, with the leaves that `stabilised` has put in their place."""
    known = {(x.node, x.index): Out(node) for (node, _), x in leaves.items()}
    return [known.get((x.node, x.index), x) for x in tensors]


def restored(outputs: Sequence[Out | None], leaves: dict[Place, Out]) -> list[Out | None]:
    """The outputs with the tensors that `stabilised` has cut off."""
    made = iter(copied([o for o in outputs if o is not None], leaves) if leaves else [o for o in outputs if o is not None])
    return [None if o is None else next(made) for o in outputs]
