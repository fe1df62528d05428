"""Tensors with some elements replaced or increased: what `x[index] = y` and `x[index] += y` would make of x, as new tensors."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, bounds, constant, maximum, product
from exprgraph.errors import DTypeError, ShapeError, UseError, at, here
from exprgraph.functions.indexing import cut, looked_up, sections
from exprgraph.functions.shaping import ravel
from exprgraph.functions.slicing import Section
from exprgraph.functions.subscript import Entry, Subscript, layout, together, without_masks
from exprgraph.node import OPERATORS, Out, as_symbol, make_constant
from exprgraph.ops import index as rows
from exprgraph.ops.create import iota
from exprgraph.ops.markers import checked as check
from exprgraph.ops.points import apart, flat_position, merged, position
from exprgraph.ops.scan import cumsum
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import cast_to, show_shape

__all__ = ["inc_subtensor", "set_subtensor"]


def set_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Out:
    """What `t[index] = y` would make of t, as a new tensor, where x is `t[index]`; `t[index].set(y)` is the same.

    y broadcasts to the shape of x.  Of several values for one place the last one counts.  The other arguments are accepted and change
    nothing: no tensor is ever changed.  UseError where x was not made by indexing, DTypeError where y cannot be cast to the dtype of t
    within its kind, ShapeError where y does not broadcast, ValueFault for a mask with another number of places than y has values.
    """
    return _assigned(x, y, "set_subtensor")


def inc_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Out:
    """What `np.add.at(t, index, y)` would make of t, as a new tensor, where x is `t[index]`; `t[index].inc(y)` is the same.

    As `set_subtensor`, but y is added, and of several values for one place all are.
    """
    return _assigned(x, y, "inc_subtensor")


def _assigned(x: Any, y: Any, name: str) -> Out:
    sub: Subscript | None = getattr(x, "subscript", None)
    if sub is None:
        raise UseError(f"{name}: the first argument must be an indexed tensor, as in {name}(x[1:], y){at(here())}")
    return changed(sub, y, name)


def changed(sub: Subscript, y: Any, name: str) -> Out:
    """The indexed tensor with y at the places of the index; name: "set_subtensor", or "inc_subtensor" to add it."""
    value, add, dtype = _value(y, sub.x.dtype, name), name == "inc_subtensor", sub.x.dtype
    if add and dtype == "bool":  # as NumPy: a sum of truth values is true where one of them is
        sub, value = sub._replace(x=cast_to(sub.x, "int64")), cast_to(value, "int64")
    masks = [e for e in sub.entries if e.is_mask]
    lone = len(masks) == 1 and sum(e.is_array for e in sub.entries) == 1
    return cast_to(_masked(sub, value, masks[0], add) if lone else _placed(without_masks(sub), sub.x.ndim, value, add), dtype)


def _value(y: Any, dtype: str, name: str) -> Out:
    """The value in the dtype of the tensor, where that is a cast within a kind or to a wider kind."""
    weak = dtypes.is_weak(y)
    own = {"b": "bool", "i": "int64", "f": "float64", "c": "complex128"}[dtypes.weak_kind(y)] if weak else as_symbol(y).dtype
    fits = np.can_cast("int8" if weak and own == "int64" else own, dtype, "same_kind") or (weak and own == "int64" and dtypes.is_int(dtype))
    if not fits:
        raise DTypeError(f"{name}: {own} values do not fit into a {dtype} tensor without losing their kind: cast them{at(here())}")
    return cast_to(y, dtype)


def _placed(sub: Subscript, rank: int, value: Out, add: bool) -> Out:
    """The change that slices, positions and arrays describe; axes of x beyond `rank` have length 1 and are dropped."""
    arrays, axes = together(sub.entries)
    parts = sections(sub)
    inner = looked_up(cut(sub.x, parts), sub.entries)
    shape = inner.type.shape
    if arrays:
        block = arrays[0].type.shape
        shape = (*shape[:axes[0]], *block, *(d for a, d in enumerate(shape) if a > axes[0] and a not in axes))
    value = _turned(value, layout(sub.entries, arrays[0].ndim if arrays else 0), shape)
    if not arrays:
        inner = broadcast_to(value, *map(dim_node, shape))
    elif add:
        inner = _sums(inner, arrays, axes, broadcast_to(value, *map(dim_node, shape)))
    else:
        inner = _replaced(inner, arrays, axes, value)
    made = _put_back(sub, inner, parts, add)
    return made if made.ndim == rank else dimshuffle(made, pattern=list(range(rank)))


def _turned(value: Out, pattern: Sequence[int], shape: Sequence[Dim | None]) -> Out:
    """A value for the result of an index, with the axes of what is looked up instead, of length 1 where it broadcasts.

    Axis k of the result is axis pattern[k] of what is looked up.  shape: that of the latter, None for a length that depends on values.
    """
    target = [constant(1) if p < 0 else shape[p] for p in pattern]
    given = value.type.shape
    extra = len(given) - len(target)
    for own, wanted in zip([*given[::-1]], [*target[::-1], *[constant(1)] * max(extra, 0)]):
        if own.const not in (None, 1) and wanted is not None and wanted.const not in (None, own.const):
            shown = show_shape([d or value.type.shape[0] for d in target])
            raise ShapeError(f"values of shape {show_shape(given)} do not broadcast to the indexed shape {shown}{at(here())}")
    source = {p: k + extra for k, p in enumerate(pattern) if p >= 0 and k + extra >= 0}
    turned = [source.get(p, -1) for p in range(len(shape))]
    return value if turned == list(range(value.ndim)) else dimshuffle(value, pattern=turned)


def _replaced(x: Out, arrays: Sequence[Out], axes: Sequence[int], value: Out) -> Out:
    """x with the values at the positions that the arrays name; the last of equal positions wins."""
    block, first, sizes = arrays[0].type.shape, axes[0], shape_of(x)
    count = product(block)
    if count.const == 0:
        return x
    flat, total = flat_position(arrays, [sizes[a] for a in axes], axes)
    winner: Any = rows.scatter_max(flat, reshape(iota(dim_node(count)), *map(dim_node, block)), total, axis=0)
    hit = dimshuffle(reshape(winner, *(sizes[a] for a in axes)), pattern=[axes.index(a) if a in axes else -1 for a in range(x.ndim)]) >= 0
    before, after = value.type.shape[:first], value.type.shape[first + len(block):]
    if all(d.const == 1 for d in value.type.shape[first:first + len(block)]):
        kept, order = [*range(first), *[-1] * len(axes), *range(first + len(block), value.ndim)], merged(x.ndim, axes)
        taken = dimshuffle(value, pattern=[kept[order.index(a)] for a in range(x.ndim)])
    else:
        line = reshape(broadcast_to(value, *map(dim_node, (*before, *block, *after))), *map(dim_node, (*before, count, *after)))
        line = rows.take(_some(line, first), OPERATORS["maximum"](winner, 0), axis=first)
        taken = apart(line, [*map(dim_node, before), *(sizes[a] for a in axes), *map(dim_node, after)], axes)
    return _chosen(hit, taken, x)


def _sums(x: Out, arrays: Sequence[Out], axes: Sequence[int], value: Out) -> Out:
    """What is to be added to x: the sums of the values at the positions that the arrays name."""
    sizes = shape_of(x)
    if len(axes) == 1:
        return rows.scatter_inc(arrays[0], value, sizes[axes[0]], axis=axes[0])
    flat, total = flat_position(arrays, [sizes[a] for a in axes], axes)
    spread = rows.scatter_inc(flat, value, total, axis=axes[0])
    return apart(spread, [sizes[a] for a in merged(x.ndim, axes)], axes)


def _put_back(sub: Subscript, inner: Out, parts: dict[int, Section], add: bool) -> Out:
    """x with what was cut from it replaced, or increased, by `inner`."""
    x = sub.x
    single = {e.axes[0]: e.item for e in sub.entries if e.is_single and isinstance(e.item, Out)}
    inside = [_inside(x, parts)] if parts else []
    inside += [_along(iota(size), axis, x.ndim) == position(idx, size, axis=axis)
               for axis, idx in single.items() for size in [shape_of(x)[axis]]]
    if parts:
        ends = [dim_node(d) for s in parts.values() for d in s[:2]]
        inner = rows.place(inner, *ends, *[1 if a in single else n for a, n in enumerate(shape_of(x))], axes=tuple(parts))
    where = inside[0] if inside else None
    for more in inside[1:]:
        where = OPERATORS["and_"](where, more)
    if add:
        return _raised(x, inner if where is None else OPERATORS["where"](where, inner, cast_to(_nothing(x), x.dtype)))
    return inner if where is None else _chosen(where, inner, x)


def _inside(x: Out, parts: dict[int, Section]) -> Any:
    """Where the parts of the axes are, over axes of length 1 beside them."""
    true = broadcast_to(make_constant(True), *[dim_node(parts[a].length) if a in parts else 1 for a in range(x.ndim)])
    ends = [dim_node(d) for s in parts.values() for d in s[:2]]
    return rows.place(true, *ends, *[n if a in parts else 1 for a, n in enumerate(shape_of(x))], axes=tuple(parts))


def _along(vector: Out, axis: int, rank: int) -> Any:
    return dimshuffle(vector, pattern=[0 if a == axis else -1 for a in range(rank)])


def _chosen(where: Out, value: Out, x: Out) -> Out:
    """x with the value, which broadcasts to its shape, where the condition holds."""
    spread = value if value.type.shape == x.type.shape else broadcast_to(value, *shape_of(x))
    made: Out = OPERATORS["where"](where, spread, x)
    return made


def _raised(x: Out, more: Out) -> Out:
    made: Out = OPERATORS["add"](x, more)
    return made


def _nothing(x: Out) -> complex | int:
    """What changes no element when it is added, the sign of a zero neither."""
    if dtypes.is_complex(x.dtype):
        return complex(-0.0, -0.0)
    return -0.0 if dtypes.is_float(x.dtype) else 0


def _some(x: Out, axis: int) -> Out:
    """x with at least one element, maybe a zero, along an axis."""
    size = x.type.shape[axis]
    if bounds(size)[0] > 0:
        return x
    sizes = [dim_node(maximum(d, 1)) if a == axis else dim_node(d) for a, d in enumerate(x.type.shape)]
    return rows.place(x, 0, 1, *sizes, axes=(axis,))


def _masked(sub: Subscript, value: Out, entry: Entry, add: bool) -> Out:
    """The change that a mask describes, beside slices and positions only: no size depends on how many places it has."""
    mask, axes = as_symbol(entry.item), entry.axes
    parts, first = sections(sub), min(axes, default=0)
    inner = looked_up(cut(sub.x, parts), sub.entries)
    shape = inner.type.shape
    behind = [d for a, d in enumerate(shape) if a >= first and a not in axes]
    value = _turned(value, layout(sub.entries, 1), [*shape[:first], None, *behind])
    if value.type.shape[first].const == 1:
        spread = dimshuffle(value, pattern=[*range(first), *[-1] * len(axes), *range(first + 1, value.ndim)])
    else:
        line = rows.take(_some(value, first), _ranks(mask, value.type.shape[first]), axis=first)
        dims = (*value.type.shape[:first], *mask.type.shape, *value.type.shape[first + 1:])
        spread = reshape(line, *map(dim_node, dims))
    hit = dimshuffle(mask, pattern=[axes.index(a) if a in axes else -1 for a in range(inner.ndim)])
    if add:
        zero = broadcast_to(cast_to(_nothing(inner), inner.dtype), *shape_of(inner))
        return _put_back(sub, _chosen(hit, spread, zero), parts, True)
    return _put_back(sub, _chosen(hit, spread, inner), parts, False)


def _ranks(mask: Out, given: Dim) -> Out:
    """For each place of a mask the number of the value that belongs there, of as many as the mask has places, or of one for all."""
    marks: Any = cast_to(ravel(mask), "int64")
    count, wanted = dim_node(given), marks.sum()
    fits = OPERATORS["or_"](OPERATORS["eq"](count, wanted), OPERATORS["eq"](count, 1))
    last: Any = check(count, fits, wanted, message="{index} values for the {size} places where a mask is true")
    found: Out = OPERATORS["maximum"](OPERATORS["minimum"](cumsum(marks) - 1, last - 1), 0)
    return found
