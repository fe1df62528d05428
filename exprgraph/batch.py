"""Batches: the same graph over many lanes at once, as a graph whose tensors have one more axis in front.

One walk over the nodes takes each to its batch rule.  A node that no mapped tensor reaches stays as it is, one node for all lanes.  A rule
comes from the row itself (`Op.batch`), from `batch_rules.RULES`, or from the kind of the row.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from exprgraph.batch_rules import KINDS, RULES, Step, each
from exprgraph.errors import GraphError, at
from exprgraph.graph import credit, mark, order, rebuild, unchanged
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out
from exprgraph.ops.shape import declared
from exprgraph.ops.shape import size as size_row
from exprgraph.stabilise import stabilised, swapped
from exprgraph.types import size_dim

Place = tuple[Node, int]


class Lane(NamedTuple):
    """What takes the place of a tensor of one lane: with the batch axis in front where it is mapped, else one for all lanes."""
    out: Out
    mapped: bool


def batched(outputs: Sequence[Out], mapped: Mapping[Out, Out], size: Out) -> list[Out]:
    """The outputs, each with a leading batch axis of length `size`, an int64 scalar.

    mapped: for tensors of one lane what takes their place, the same with that axis in front; what else the outputs need is the same in
    every lane.  GraphError, with the line of the node, where a lane would have a size of its own, and for a row without a rule; ShapeError
    for a mapped tensor of another length.
    """
    length = size_dim(size)
    words = "the batch axis of a mapped tensor has {left} elements, there are {right} lanes"
    found = lanes(outputs, {x: Lane(declared(y, {0: (length, words)}), True) for x, y in mapped.items()}, size)
    return [y.out if y.mapped else each(y.out, size) for y in found]


def lanes(outputs: Sequence[Out], given: Mapping[Out, Lane], size: Out) -> list[Lane]:
    """As `batched`, but outputs that are the same in every lane stay without the axis; replacements may be so too."""
    keys = list(given)
    outputs, leaves = stabilised(outputs, keys)
    new: dict[Place, Lane] = {(x.node, x.index): y for x, y in zip(swapped(keys, leaves), given.values())}
    whole = {n for n, _ in new if all((n, k) in new for k in range(len(n.outs)))}
    for node in order(outputs, whole):
        if node not in whole:
            for k, lane in enumerate(_turned(node, new, size)):
                new.setdefault((node, k), lane)
    return [_follow(o, new) for o in outputs]


def _follow(out: Out, new: Mapping[Place, Lane]) -> Lane:
    """What takes the place of a tensor; the user's name stays."""
    made, mapped = new[out.node, out.index]
    name = out.name
    return Lane(made if name is None or name == made.name else Out(made.node, made.index, name), mapped)


def _turned(node: Node, new: Mapping[Place, Lane], size: Out) -> list[Lane]:
    """The outputs of a node of one lane, over all lanes."""
    found = [_follow(i, new) for i in node.inputs]
    inputs, mapped = tuple(f.out for f in found), tuple(f.mapped for f in found)
    if not any(mapped):
        made = node if unchanged(node, inputs) else rebuild(node, inputs).node
        return [Lane(Out(made, k), False) for k in range(len(node.outs))]
    before = mark()
    step = Step(node, inputs, mapped, size)
    if node.op is size_row:
        return [Lane(RULES[node.op](step)[0], False)]
    outs = _apply(step)
    credit(outs, before, node)
    for out, kind in zip(outs, node.outs, strict=True):
        if out.dtype != kind.dtype or out.ndim != kind.ndim + 1:
            raise GraphError(f"the batch rule of {node.op.name} gave {out.type} for a batch of {kind}{at(node.source)}")
    return [Lane(out, True) for out in outs]


def _apply(step: Step) -> tuple[Out, ...]:
    """The outputs by the rule of the row, that of its own first."""
    op = step.node.op
    if op.batch is not None:
        made = op.batch(step.inputs, step.mapped, step.size, **dict(step.node.params))
        return (made,) if isinstance(made, Out) else tuple(made)
    rule = RULES.get(op) or KINDS.get(op.kind)
    if rule is None:
        raise GraphError(f"{op.name}, a row of the kind {op.kind}, has no rule for batches: give it one with batch=..."
                         f"{at(step.node.source)}")
    return rule(step)
