"""What an index means: NumPy's items of `x[...]`, matched with the axes of x."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, constant
from exprgraph.errors import DTypeError, IndexFault, ShapeError, at, here, shortly
from exprgraph.functions.slicing import Section, section, wrap
from exprgraph.named import NamedTuple
from exprgraph.node import OPERATORS, Out, as_symbol, constant_value, make_constant
from exprgraph.ops.shape import broadcast_to, declared, dim_node, dimshuffle
from exprgraph.types import broadcast_dims, describe, dim_of, known_size, show_shape, size_dim

Item = Dim | Out | slice | EllipsisType | None


class Entry(NamedTuple):
    """One item of an index and the axes that it speaks of: none for None and for an Ellipsis, several for a mask, else one.

    The axes of an Ellipsis have entries of their own.  A position that is known from sizes is a Dim; arrays of positions, positions
    that depend on values, and masks are Outs.
    """
    item: Item
    axes: tuple[int, ...]

    @property
    def is_array(self) -> bool:
        """Whether NumPy counts it as advanced: an array of positions or a mask."""
        return isinstance(self.item, Out) and (self.item.ndim > 0 or self.is_mask)

    @property
    def is_mask(self) -> bool:
        """Whether it is a mask."""
        return isinstance(self.item, Out) and self.item.dtype == "bool"

    @property
    def is_single(self) -> bool:
        """Whether it is one position, known from sizes or not."""
        return isinstance(self.item, Dim) or (isinstance(self.item, Out) and not self.is_array)


class Subscript(NamedTuple):
    """A tensor and an index that fits it, every axis in it."""
    x: Out
    entries: tuple[Entry, ...]


def subscript(x: Out, index: Any) -> Subscript:
    """The index, checked against the axes of x."""
    items = [_item(i) for i in (index if isinstance(index, tuple) else (index,))]
    used = sum(_width(i) for i in items)
    dots = [k for k, i in enumerate(items) if i is ...]
    if len(dots) > 1:
        raise IndexFault(f"an index can have only one Ellipsis ('...'){at(here())}")
    if used > x.ndim:
        raise IndexFault(f"too many indices: {used} for a tensor of {x.ndim} axes{at(here())}")
    where = dots[0] if dots else len(items)
    full: list[Item] = [slice(None)] * (x.ndim - used)
    axis, entries = 0, []
    for item in (*items[:where], *full, *items[where:]):
        axes = tuple(range(axis, axis + _width(item)))
        x, fitting = _fitted(x, item, axes)
        entries.append(Entry(fitting, axes))
        axis += len(axes)
    return Subscript(x, tuple(entries))


def _width(item: Item) -> int:
    """The number of axes that an item speaks of."""
    if item is None or item is ...:
        return 0
    return item.ndim if isinstance(item, Out) and item.dtype == "bool" else 1


def _item(value: Any) -> Item:
    if value is None or isinstance(value, slice | EllipsisType):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return constant(int(value))
    out = index_symbol(value)
    found = dim_of(out) if not out.ndim and out.dtype != "bool" else None
    return out if found is None else found


def index_symbol(value: Any) -> Out:
    """An integer index or a mask as a symbol; DTypeError for anything else."""
    out = as_symbol(np.zeros(0) if isinstance(value, str) else value)
    if not isinstance(value, Out | np.ndarray | str) and 0 in [d.const for d in out.type.shape]:
        out = make_constant(np.zeros([d.const or 0 for d in out.type.shape], "int64"))
    if out.dtype != "bool" and not dtypes.is_int(out.dtype):
        found = repr(value) if isinstance(value, str) else out.dtype
        raise DTypeError(f"an index must be an integer, a slice, None, Ellipsis, an array of integers or a mask, not {found}{at(here())}")
    return out


def _fitted(x: Out, item: Item, axes: tuple[int, ...]) -> tuple[Out, Item]:
    """A tensor and an item of its index; of a mask and its axes, the one whose sizes are less known is declared to have the other's."""
    if not isinstance(item, Out) or not item.ndim:
        return x, item
    if item.dtype != "bool":
        _check_known(item, x.type.shape[axes[0]], axes[0])
        return x, item
    mask, shape = item.type.shape, x.type.shape
    if constant_value(item) is not None:
        return declared(x, {a: (mask[k], f"axis {a} of {describe(x)} has {{left}} elements, axis {k} of the mask has {{right}}")
                            for k, a in enumerate(axes)}), item
    return x, declared(item, {k: (shape[a], f"axis {a} of {describe(x)} has {{right}} elements, axis {k} of the mask has {{left}}")
                              for k, a in enumerate(axes)})


def _check_known(idx: Out, size: Dim, axis: int) -> None:
    """IndexFault for positions and a size that are known already."""
    value, limit = constant_value(idx), size.const
    if value is not None and limit is not None:
        bad = value[(value < -limit) | (value >= limit)]
        if bad.size:
            raise IndexFault(f"index {bad.flat[0]} is out of bounds for axis {axis} with size {limit}{at(here())}")


def section_of(item: Item, size: Dim) -> Section | None:
    """What a single position or a slice cuts from an axis, None for all of it and for what is looked up."""
    if isinstance(item, Dim):
        return Section(wrap(item, size), constant(1), constant(1))
    if not isinstance(item, slice):
        return None
    step = _bound(item.step)
    if step is not None and step.const == 0:
        raise ShapeError(f"slice step cannot be zero{at(here())}")
    found = section(_bound(item.start), _bound(item.stop), constant(1) if step is None else step, size)
    return None if found == (constant(0), constant(1), size) else found


def _bound(value: Any) -> Dim | None:
    if value is None:
        return None
    if isinstance(value, Out):
        if value.ndim or not dtypes.is_int(value.dtype):
            raise DTypeError(f"a slice bound must be an integer scalar, not {value.type}{at(here())}")
        return size_dim(known_size(value, signed=True))
    try:
        return constant(operator.index(value))
    except TypeError:
        raise DTypeError(f"a slice bound must be an integer or None, not {shortly(value)}{at(here())}") from None


def without_masks(sub: Subscript) -> Subscript:
    """The same index with the positions that masks mark; a mask without axes indexes a new last axis of x, of length 1."""
    x, entries = sub.x, list[Entry]()
    for entry in sub.entries:
        if not entry.is_mask:
            entries.append(entry)
            continue
        axes = entry.axes
        if not axes:
            x, axes = dimshuffle(x, pattern=[*range(x.ndim), -1]), (x.ndim,)
        entries += [Entry(idx, (axis,)) for idx, axis in zip(marked(as_symbol(entry.item)), axes)]
    return Subscript(x, tuple(entries))


def marked(mask: Out) -> tuple[Out, ...]:
    """The positions of what is true in a mask, one vector for each axis; one for a mask without axes."""
    value = constant_value(mask)
    if value is not None:
        return tuple(make_constant(i, "int64") for i in np.nonzero(np.atleast_1d(value)))
    return tuple(OPERATORS["nonzero"](mask if mask.ndim else dimshuffle(mask, pattern=[-1])))


def together(entries: Sequence[Entry]) -> tuple[list[Out], tuple[int, ...]]:
    """The arrays of positions, broadcast against each other, and their axes in ascending order."""
    found = sorted((e for e in entries if e.is_array), key=lambda e: e.axes)
    arrays = [as_symbol(e.item) for e in found]
    try:
        common = broadcast_dims([a.type.shape for a in arrays])
    except ShapeError:
        shapes = ", ".join(show_shape(a.type.shape) for a in arrays)
        raise ShapeError(f"the arrays of an index do not broadcast: their shapes are {shapes}{at(here())}") from None
    sizes = [dim_node(d) for d in common]
    spread = [a if a.type.shape == common else broadcast_to(a, *sizes) for a in arrays]
    return spread, tuple(e.axes[0] for e in found)


def layout(entries: Sequence[Entry], rank: int) -> list[int]:
    """For each axis of the result its place in what is looked up, -1 where None inserts one.

    What is looked up has the axes of x in their order, except that the `rank` axes of the arrays stand where the first array's axis was.
    """
    arrays = {a for e in entries if e.is_array for a in e.axes}
    first = min(arrays, default=0)
    kept = [a for e in sorted(entries, key=lambda e: e.axes) if not e.is_array for a in e.axes]
    before = sum(a < first for a in kept)
    place = {a: k if a < first else k + rank for k, a in enumerate(kept)}
    block = list(range(before, before + rank)) if any(e.is_array for e in entries) else []
    found, waiting = (list(block), False) if _apart(entries) else ([], True)
    for entry in entries:
        if entry.is_array:
            found, waiting = found + block * waiting, False
        elif not entry.is_single and entry.item is not ...:
            found += [-1] if entry.item is None else [place[entry.axes[0]]]
    return found


def _apart(entries: Sequence[Entry]) -> bool:
    """Whether arrays and the positions beside them are separated: NumPy then puts the arrays' axes first."""
    advanced = [k for k, e in enumerate(entries) if e.is_array or e.is_single]
    return any(e.is_array for e in entries) and advanced[-1] - advanced[0] >= len(advanced)
