"""Gathers and scatters of batches: lanes with tensors of their own, with positions of their own, or with both.

Where both are mapped the lane is one more position.  Positions are checked before the rows that look them up see them, so that a fault
names the axis and the size of one lane.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph.dims import Dim
from exprgraph.node import OPERATORS, Op, Out
from exprgraph.ops.create import iota
from exprgraph.ops.index import place, scatter_add, subtensor, take, take_along
from exprgraph.ops.markers import checked
from exprgraph.ops.points import position, take_at
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle, reshape, shape_of
from exprgraph.ops.sort import pick
from exprgraph.types import cast_to, size_dim


def _moved(x: Out, source: int, target: int, count: int = 1) -> Out:
    """The tensor, `count` neighbouring axes moved to begin at another place."""
    block = list(range(source, source + count))
    rest = [a for a in range(x.ndim) if a not in block]
    pattern = [*rest[:target], *block, *rest[target:]]
    return x if pattern == list(range(x.ndim)) else dimshuffle(x, pattern=pattern)


def _lane(size: Out, like: Out) -> Out:
    """The number of the lane at each place of a mapped tensor."""
    return broadcast_to(dimshuffle(iota(size), pattern=[0, *[-1] * (like.ndim - 1)]), *shape_of(like))


def _every(x: Out, mapped: bool, size: Out) -> Out:
    return x if mapped else broadcast_to(x, size, *shape_of(x))


def taken(x: Out, idx: Out, moving: bool, choosing: bool, axis: int, size: Out) -> Out:
    """`take` along an axis of one lane."""
    if not moving:
        return _moved(take(x, idx, axis=axis), axis, 0)
    where = position(idx, shape_of(x)[axis + 1], axis=axis)
    if not choosing:
        return take(x, where, axis=axis + 1)
    found = take_at(x, _lane(size, where), where, axes=(0, axis + 1))
    return _moved(found, 1, axis + 1, idx.ndim - 1)


def along(x: Out, idx: Out, moving: bool, choosing: bool, axis: int) -> Out:
    """`take_along`: both operands have the batch axis, one of length 1 where they are the same in every lane."""
    a, b = (v if mapped else dimshuffle(v, pattern=[-1, *range(v.ndim)]) for v, mapped in ((x, moving), (idx, choosing)))
    return take_along(a, position(b, shape_of(a)[axis + 1], axis=axis), axis=axis + 1)


def at_points(inputs: Sequence[Out], mapped: Sequence[bool], axes: Sequence[int], size: Out) -> Out:
    """`take_at` along axes of one lane."""
    x, *idx = inputs
    moving, choosing = mapped[0], any(mapped[1:])
    places = [_every(i, m, size) if choosing else i for i, m in zip(idx, mapped[1:])]
    if not moving:
        return _moved(take_at(x, *places, axes=axes), axes[0], 0)
    sizes = shape_of(x)
    where = [position(i, sizes[a + 1], axis=a) for i, a in zip(places, axes)]
    later = [a + 1 for a in axes]
    if not choosing:
        return take_at(x, *where, axes=later)
    found = take_at(x, _lane(size, where[0]), *where, axes=(0, *later))
    return _moved(found, 1, axes[0] + 1, places[0].ndim - 1)


def picked(x: Out, idx: Out, moving: bool, choosing: bool, size: Out) -> Out:
    """`pick`: the lanes of a mapped vector lie one after the other."""
    if not moving:
        return pick(x, idx)
    _, length = x.type.shape
    where: Any = cast_to(_every(idx, choosing, size), "int64")
    first: Any = dimshuffle(iota(size), pattern=[0, *[-1] * (where.ndim - 1)])
    return pick(reshape(x, dim_node(size_dim(size) * length)), first * dim_node(length) + where)


def put(op: Op, inputs: Sequence[Out], mapped: Sequence[bool], axis: int, size: Out) -> Out:
    """A scatter along an axis of one lane: lanes with positions of their own write to ranges of their own of one long axis."""
    idx, g, length = inputs
    choosing, moving = mapped
    if not choosing:
        return op(position(idx, length, axis=axis), g, length, axis=axis + 1)
    where: Any = position(idx, length, axis=axis)
    flat: Any = _lane(size, where)
    flat = flat * length + where
    values = _moved(_every(g, moving, size), 0, axis)
    lanes, extent = size_dim(size), size_dim(length)
    found = op(flat, values, dim_node(lanes * extent), axis=axis)
    sizes = shape_of(found)
    return _moved(reshape(found, *sizes[:axis], size, length, *sizes[axis + 1:]), axis, 0)


def _starts(start: Any, step: Any, length: Dim, extent: Out, axis: int, mapped: Sequence[bool]) -> Out:
    """The positions of a part of an axis, by lane.  A single one has to lie inside; it is shown as the user wrote it."""
    if length.const == 1:
        written = OPERATORS["where"](start < 0, start - extent, start)
        inside = OPERATORS["and_"](OPERATORS["ge"](start, 0), OPERATORS["lt"](start, extent))
        message = f"index {{index}} is out of bounds for axis {axis} with size {{size}}"
        start = checked(written, inside, extent, message=message, place=True)
    first, stride = (dimshuffle(v, pattern=[0, -1]) if m else v for v, m in zip((start, step), mapped))
    made: Out = OPERATORS["add"](first, OPERATORS["mul"](stride, iota(dim_node(length))))
    return made


def section(inputs: Sequence[Out], mapped: Sequence[bool], axes: Sequence[int], size: Out) -> Out:
    """`subtensor`: axes whose part begins elsewhere in each lane are looked up."""
    x, moving = inputs[0], mapped[0]
    own = [k for k in range(len(axes)) if any(mapped[1 + 3 * k:3 + 3 * k])]
    rest = [k for k in range(len(axes)) if k not in own]
    if rest:
        x = subtensor(x, *[s for k in rest for s in inputs[1 + 3 * k:4 + 3 * k]], axes=[axes[k] + moving for k in rest])
    for k in own:
        start, step, length = inputs[1 + 3 * k:4 + 3 * k]
        extent = shape_of(x)[axes[k] + moving]
        where = _starts(start, step, size_dim(length), extent, axes[k], mapped[1 + 3 * k:3 + 3 * k])
        x, moving = taken(x, where, moving, True, axes[k], size), True
    return x


def spot(inputs: Sequence[Out], mapped: Sequence[bool], axes: Sequence[int], size: Out) -> Out:
    """`place`: axes whose part begins elsewhere in each lane are scattered."""
    g, moving = inputs[0], mapped[0]
    ends, sizes = inputs[1:1 + 2 * len(axes)], inputs[1 + 2 * len(axes):]
    own = [k for k in range(len(axes)) if any(mapped[1 + 2 * k:3 + 2 * k])]
    rest = [k for k in range(len(axes)) if k not in own]
    if rest:
        wide = [sizes[a] if a in [axes[k] for k in rest] else s for a, s in enumerate(shape_of(g)[moving:])]
        g = place(g, *[s for k in rest for s in ends[2 * k:2 * k + 2]], *[size] * moving, *wide, axes=[axes[k] + moving for k in rest])
    for k in own:
        axis = axes[k]
        start, step = ends[2 * k:2 * k + 2]
        where = _starts(start, step, g.type.shape[axis + moving], sizes[axis], axis, mapped[1 + 2 * k:3 + 2 * k])
        g, moving = put(scatter_add, (where, g, sizes[axis]), (True, moving), axis, size), True
    return g
