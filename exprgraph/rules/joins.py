"""JOINS: movement rules about concatenations: of one tensor, of nothing, of concatenations, of neighbours, and parts of one."""
from __future__ import annotations

from exprgraph.dims import constant
from exprgraph.functions.slicing import Section
from exprgraph.node import Out, Params
from exprgraph.patterns import Rule, some, tagged
from exprgraph.rules.indexing import certain, cuts_of, read, within

MOST = 64
"""The parts of a concatenation that rules look through, so that chains of them cost no more than their length."""
Parts = tuple[Out, ...]


def join(p: Params, parts: Parts) -> Out:
    """The parts one after the other, one part as it is."""
    return parts[0] if len(parts) == 1 else some("concat", p, parts)


def join_few(p: Params, rest: Parts, root: Out) -> Out | None:
    """A concatenation without the parts that have no elements; one part as it is."""
    parts = tuple(x for x in rest if x.type.shape[dict(p)["axis"]].const != 0) or rest[:1]
    return join(p, parts) if len(rest) == 1 or (len(parts) < len(rest) and certain(root)) else None


def join_flat(p: Params, rest: Parts) -> Out | None:
    """One concatenation for those along the same axis."""
    parts = [x.node.inputs if x.node.op.name == "concat" and x.node.params == p else (x,) for x in rest]
    flat = tuple(x for inner in parts for x in inner)
    return join(p, flat) if len(rest) < len(flat) <= MOST else None


def join_neighbours(p: Params, rest: Parts) -> Out | None:
    """Parts that lie side by side in one tensor, as one part of it."""
    axis, found = dict(p)["axis"], list[Out]()
    for x in rest:
        both = side_by_side(found[-1], x, axis) if found else None
        found[-1:] = [*found[-1:], x] if both is None else [both]
    return join(p, tuple(found)) if len(found) < len(rest) else None


def side_by_side(left: Out, right: Out, axis: int) -> Out | None:
    """Two parts of one tensor as one, where the second begins with what follows the first."""
    if not left.node.op.name == right.node.op.name == "subtensor" or left.node.inputs[0].node is not right.node.inputs[0].node:
        return None
    x, first, second = left.node.inputs[0], *(dict(cuts_of(n.params, n.inputs[1:])) for n in (left.node, right.node))
    if axis not in first or axis not in second or not (certain(left) and certain(right)):
        return None
    a, b = first.pop(axis), second.pop(axis)
    if first != second or a.step.const != 1 or b.step.const != 1 or a.start + a.length != b.start:
        return None
    return read(x, {**first, axis: Section(a.start, a.step, a.length + b.length)})


def slice_joined(p: Params, q: Params, rest: Parts, more: Parts, root: Out) -> Out | None:
    """The part of a concatenation that lies in one of its parts, of that part alone."""
    axis, cuts, offset = dict(p)["axis"], cuts_of(q, more), constant(0)
    if axis not in cuts or len(rest) > MOST or not certain(root.node.inputs[0]):
        return None
    for x in rest:
        size = x.type.shape[axis]
        if within(cuts[axis], offset, size):
            return read(x, {**cuts, axis: cuts[axis]._replace(start=cuts[axis].start - offset)})
        offset = offset + size
    return None


JOINS = tagged("movement joins", (
    Rule("concat of few", lambda p, rest: some("concat", p, rest), lambda p, rest, root: join_few(p, rest, root), kinds="fiub"),
    Rule("concat of concat", lambda p, rest: some("concat", p, rest), lambda p, rest: join_flat(p, rest), kinds="fiub"),
    Rule("concat of neighbours", lambda p, rest: some("concat", p, rest), lambda p, rest: join_neighbours(p, rest), kinds="fiub",
         why="what was split is put together"),
    Rule("slice of concat", lambda p, q, rest, more: some("subtensor", q, some("concat", p, rest), more),
         lambda p, q, rest, more, root: slice_joined(p, q, rest, more, root), kinds="fiub"),
))
"""All rules about concatenations, in the order in which they are tried."""
