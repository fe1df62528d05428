"""INDEXING: movement rules about what is read by position: slices of slices, of what was broadcast, set, computed or reduced, and gathers.

A slice is taken before the work, not after it, where something of the work can then be left out, and nothing else needs the whole.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exprgraph.dims import Dim, bounds, constant
from exprgraph.functions.slicing import Section
from exprgraph.node import Out, Params, make_constant
from exprgraph.ops.shape import dim_node
from exprgraph.patterns import Match, Rule, some, tagged
from exprgraph.readers import Readers
from exprgraph.types import size_dims

Cuts = Mapping[int, Section]
GAINING = ("concat", "place", "matmul", "sum", "prod", "max", "min", "any", "all")
"""The rows of which a part costs less than the whole."""
DEEP = 12
"""How many nodes are looked at to find one of them."""
TERMS = 8
"""The terms of a position beyond which slices of slices stay, so that chains of them cost no more than their length."""


def certain(out: Out) -> bool:
    """Whether all that a node asks of sizes holds for all sizes, so that it can go without a trace."""
    return not out.node.op.requires(out.node.inputs, **dict(out.node.params))


def cuts_of(p: Params, sizes: tuple[Out, ...]) -> Cuts:
    """The sections of a subtensor by their axes."""
    return {a: Section(*size_dims(sizes[3 * k:3 * k + 3])) for k, a in enumerate(dict(p)["axes"])}


def whole(cut: Section, size: Dim) -> bool:
    """Whether a section is all of an axis."""
    return cut.start.const == 0 and cut.length == size and (cut.step.const == 1 or size.const == 1)


def within(cut: Section, start: Dim, length: Dim) -> bool:
    """Whether a section without gaps lies between a start and as many elements behind it, whatever the sizes."""
    last = start + length - cut.start - cut.length
    return (cut.step.const == 1 or cut.length.const == 1) and bounds(cut.start - start)[0] >= 0 and bounds(last)[0] >= 0


def read(x: Out, cuts: Cuts) -> Out:
    """x, cut along those axes of which a part is wanted."""
    kept = {a: cuts[a] for a in sorted(cuts) if not whole(cuts[a], x.type.shape[a])}
    return some("subtensor", (("axes", tuple(kept)),), x, *[dim_node(d) for s in kept.values() for d in s]) if kept else x


def filled(value: Any, root: Out) -> Out:
    """A number in the dtype and shape of a tensor."""
    return some("broadcast_to", (), make_constant(value, root.dtype), *map(dim_node, root.type.shape))


def slice_all(x: Out, p: Params, rest: tuple[Out, ...]) -> Out | None:
    """x without the sections that keep all of their axis."""
    cuts = cuts_of(p, rest)
    return read(x, cuts) if any(whole(s, x.type.shape[a]) for a, s in cuts.items()) else None


def slice_twice(x: Out, p: Params, q: Params, rest: tuple[Out, ...], more: tuple[Out, ...], root: Out) -> Out | None:
    """One slice for two, q after p."""
    first, second = cuts_of(p, rest), cuts_of(q, more)
    both = first.keys() & second.keys()
    if both and not (certain(root) and certain(root.node.inputs[0])):
        return None
    joint = {a: Section(first[a].start + second[a].start * first[a].step, first[a].step * second[a].step, second[a].length) for a in both}
    if any(len(d.terms) > TERMS for s in joint.values() for d in s):
        return None
    return read(x, {**first, **second, **joint})


def slice_broadcast(x: Out, q: Params, more: tuple[Out, ...], root: Out) -> Out | None:
    """A part of what was broadcast, broadcast from a part."""
    inner = root.node.inputs[0]
    shape, lead, own = inner.type.shape, inner.ndim - x.ndim, x.type.shape
    cuts = {a - lead: s for a, s in cuts_of(q, more).items() if a >= lead and own[a - lead].const != 1}
    if any(own[a] != shape[a + lead] for a in cuts) or not (certain(root) and certain(inner)):
        return None
    return some("broadcast_to", (), read(x, cuts), *map(dim_node, root.type.shape))


def slice_placed(x: Out, p: Params, q: Params, rest: tuple[Out, ...], more: tuple[Out, ...], root: Out) -> Out | None:
    """A part of zeros with x in them: of x, or of the zeros."""
    axes, cuts = dict(p)["axes"], dict(cuts_of(q, more))
    ends = {a: size_dims(rest[2 * k:2 * k + 2]) for k, a in enumerate(axes)}
    if not (certain(root) and certain(root.node.inputs[0])):
        return None
    for a in sorted(cuts.keys() & ends.keys()):
        (start, step), length, cut = ends.pop(a), x.type.shape[a], cuts[a]
        if cut == (start, step, length):
            del cuts[a]
        elif step.const == 1 and within(cut, start, length):
            cuts[a] = cut._replace(start=cut.start - start)
        else:
            beside = step.const == cut.step.const == 1 and (bounds(cut.start - start - length)[0] >= 0
                                                            or bounds(start - cut.start - cut.length)[0] >= 0)
            return filled(0, root) if beside else None
    part = read(x, cuts)
    sizes = [d for pair in ends.values() for d in pair]
    return some("place", (("axes", tuple(ends)),), part, *map(dim_node, (*sizes, *root.type.shape))) if ends else part


def gains(x: Out, readers: Readers | None) -> bool:
    """Whether a part of x, which nothing else reads, is computed for less than x: it rests on a product, a reduction or a join."""
    todo, steps = [x], 0
    while todo and steps < DEEP:
        steps += 1
        out = todo.pop()
        if readers is None or not readers.alone(out):
            continue
        if out.node.op.name in GAINING:
            return True
        if out.node.op.kind == "elementwise" or out.node.op.name == "dimshuffle":
            todo += [i for i in out.node.inputs if i.ndim]
    return False


def worth(match: Match) -> bool:
    """A part of x costs less than x."""
    x = match.bound["x"]
    return x.node.op.kind in ("elementwise", "view") and gains(x, match.readers)


def inner_alone(match: Match, place: int = 0) -> bool:
    """What the root reads first, or in another place, has no other readers."""
    return match.readers is None or match.readers.alone(match.root.node.inputs[place])


def slice_computed(x: Out, p: Params, rest: tuple[Out, ...]) -> Out | None:
    """An elementwise node of parts in place of a part of one."""
    if x.node.op.kind != "elementwise":
        return None
    cuts, operands = cuts_of(p, rest), []
    for i in x.node.inputs:
        lead, own = x.ndim - i.ndim, i.type.shape
        kept = {a - lead: s for a, s in cuts.items() if a >= lead and (own[a - lead].const != 1 or x.type.shape[a].const == 1)}
        if any(own[a] != x.type.shape[a + lead] for a in kept):
            return None
        operands.append(read(i, kept))
    return x.node.op.apply(tuple(operands), x.node.params, x.node.sources)


def slice_turned(x: Out, p: Params, q: Params, more: tuple[Out, ...]) -> Out | None:
    """A dimshuffle of a part in place of a part of one."""
    turn, cuts = dict(p)["pattern"], cuts_of(q, more)
    if any(turn[a] < 0 and not whole(s, constant(1)) for a, s in cuts.items()):
        return None
    return some("dimshuffle", p, read(x, {turn[a]: s for a, s in cuts.items() if turn[a] >= 0}))


def slice_reduced(name: str, x: Out, p: Params, q: Params, more: tuple[Out, ...]) -> Out | None:
    """The reduction of a part in place of a part of one."""
    axes, keeps = dict(p)["axis"], dict(p)["keepdims"]
    left = [a for a in range(x.ndim) if keeps or a not in axes]
    cuts = {left[a]: s for a, s in cuts_of(q, more).items()}
    return None if cuts.keys() & set(axes) else some(name, p, read(x, cuts))


def slice_of(name: str) -> Rule:
    """The rule for slices of a reduction."""
    return Rule(f"slice of {name}", lambda x, p, q, more: some("subtensor", q, some(name, p, x), more),
                lambda x, p, q, more: slice_reduced(name, x, p, q, more), inner_alone, kinds="fiub", why="less is reduced")


def take_all(x: Out, p: Params, q: Params, rest: tuple[Out, ...]) -> Out | None:
    """x where all of an axis is taken in order."""
    return x if len(rest) == 1 and dict(q)["dtype"] == "int64" and size_dims(rest)[0] == x.type.shape[dict(p)["axis"]] else None


def take_twice(x: Out, i: Out, j: Out, p: Params, q: Params) -> Out | None:
    """x at those of the positions i that j names."""
    once = i.node.op.name != "take"  # else a chain would be turned round once for each of its links
    return some("take", p, x, some("take", (("axis", 0),), i, j)) if p == q and i.ndim == 1 and once else None


SLICES = tagged("movement indexing", (
    Rule("slice of everything", lambda x, p, rest: some("subtensor", p, x, rest), lambda x, p, rest: slice_all(x, p, rest), kinds="fiub"),
    Rule("slice of slice", lambda x, p, q, rest, more: some("subtensor", q, some("subtensor", p, x, rest), more),
         lambda x, p, q, rest, more, root: slice_twice(x, p, q, rest, more, root), kinds="fiub"),
    Rule("slice of broadcast_to", lambda x, p, q, rest, more: some("subtensor", q, some("broadcast_to", p, x, rest), more),
         lambda x, q, more, root: slice_broadcast(x, q, more, root), kinds="fiub"),
    Rule("slice of place", lambda x, p, q, rest, more: some("subtensor", q, some("place", p, x, rest), more),
         lambda x, p, q, rest, more, root: slice_placed(x, p, q, rest, more, root), kinds="fiub", why="what was set is read"),
    Rule("slice of dimshuffle", lambda x, p, q, more: some("subtensor", q, some("dimshuffle", p, x), more),
         lambda x, p, q, more: slice_turned(x, p, q, more), lambda m: gains(m.bound["x"], m.readers), kinds="fiub",
         why="so that the slice reaches what costs"),
    *(slice_of(name) for name in ("max", "min", "any", "all", "argmax", "argmin")),
    Rule("slice of elementwise", lambda x, p, rest: some("subtensor", p, x, rest), lambda x, p, rest: slice_computed(x, p, rest),
         worth, kinds="fiub", why="so that the slice reaches what costs"),
))
TAKES = tagged("movement indexing", (
    Rule("take of all", lambda x, p, q, rest: some("take", p, x, some("iota", q, rest)),
         lambda x, p, q, rest: take_all(x, p, q, rest), kinds="fiub"),
    Rule("take of take", lambda x, i, j, p, q: some("take", q, some("take", p, x, i), j),
         lambda x, i, j, p, q: take_twice(x, i, j, p, q), kinds="fiub"),
))
INDEXING: tuple[Rule, ...] = (*SLICES, *TAKES)
"""All rules about positions, in the order in which they are tried."""
