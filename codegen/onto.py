"""Sums of an argument and values scattered over nothing, as values scattered over the argument: one pass over the result less.

A scatter begins by writing what its places hold where nothing is added.  Where its result is only added to an argument of the same
shape, as when rows of a table are increased, that may be the argument's elements; then values are added in NumPy's order, where they have
one.  On a GPU it may also be one number everywhere.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.inline import is_array_constant
from codegen.target import Target
from exprgraph.graph import consumers, rebuild, transform
from exprgraph.node import CONSTANT, INPUT, SHARED, Node, Out
from exprgraph.ops.index import scatter_inc
from exprgraph.ops.table import ROWS

ONTO = scatter_inc.changed(infer=lambda inputs, axis: scatter_inc.infer(inputs[:3], axis=axis),
                           requires=lambda inputs, axis: scatter_inc.requires(inputs[:3], axis=axis))
"""scatter_inc with a fourth operand, to which it adds."""


def onto(outputs: Sequence[Out], target: Target) -> tuple[Out, ...]:
    """The outputs with such sums as one node each."""
    readers = consumers(outputs)
    if not any(n.op is scatter_inc for n in readers):
        return tuple(outputs)
    taken = {o.node for o in outputs}
    alone = {n for n, found in readers.items() if n.op is scatter_inc and len(found) == 1 and n not in taken}

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        pair = _suited(node, inputs, alone, target) if node.op is ROWS["add"] else None
        return rebuild(node, inputs) if pair is None else ONTO.apply((*pair[0].inputs, pair[1]), pair[0].params, pair[0].sources)
    return transform(outputs, change)


def _suited(node: Node, inputs: tuple[Out, ...], alone: set[Node], target: Target) -> tuple[Node, Out] | None:
    """The scatter and the argument that are added up, where these two are."""
    for old, (made, other) in zip(node.inputs, (inputs, inputs[::-1])):
        argument = other.node.op in (INPUT, SHARED) or is_array_constant(other.node)
        fits = made.type == other.type if argument else target.schedule == "gpu" and is_filled(other) and made.dtype == other.dtype
        if old.node in alone and made.node.op is scatter_inc and fits and made.type == node.outs[0]:
            return made.node, other
    return None


def is_filled(out: Out) -> bool:
    """Whether a tensor holds one number everywhere, whatever the index."""
    while out.node.op.name in ("broadcast_to", "dimshuffle"):
        out = out.node.inputs[0]
    return out.node.op is CONSTANT and out.ndim == 0
