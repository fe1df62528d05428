"""Indexing as in NumPy: `x[...]` with integers, slices, None, Ellipsis and one integer array, and the functions that pick elements."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, constant, maximum, minimum, product
from exprgraph.errors import DTypeError, IndexFault, RankError, ShapeError, UseError, at, here
from exprgraph.functions.shaping import flatten, ravel
from exprgraph.functions.slicing import Section, section, wrap
from exprgraph.node import OPERATORS, Out, as_symbol
from exprgraph.ops import index as rows
from exprgraph.ops.shape import dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import dim_of, known_size, normal_axes, normal_axis, size_dim

__all__ = ["diag", "diagonal", "diff", "flip", "getitem", "roll", "take", "take_along_axis", "trace"]
Item = Dim | Out | slice | EllipsisType | None


def getitem(x: Any, index: Any) -> Out:
    """x[index] with NumPy's meaning.

    Integers and slice bounds may be Python integers or integer scalars of the graph; an integer that depends on the values of tensors
    is looked up when the function runs.  One integer array may stand among them.  IndexFault for an index outside its axis, at
    once where both are known, else when called; ShapeError (a ValueError) for a step of 0; UseError for what is not supported.
    """
    out = as_symbol(x)
    items = _expand([_item(i) for i in (index if isinstance(index, tuple) else (index,))], out)
    picks = [i for i in items if i is not None]
    sections = {a: s for a, (i, n) in enumerate(zip(picks, out.type.shape)) if (s := _section(i, n)) is not None}
    return _gather(_cut(out, sections), items)


def _item(value: Any) -> Item:
    if value is None or isinstance(value, slice | EllipsisType):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return constant(int(value))
    out = index_symbol(value)
    found = dim_of(out) if not out.ndim else None
    return out if found is None else found


def index_symbol(value: Any) -> Out:
    """An integer index as a symbol; UseError for a mask, DTypeError for what is not an integer."""
    empty = not isinstance(value, Out) and isinstance(value, list | tuple) and not value
    out = as_symbol(np.zeros(0, "int64") if empty else value) if not isinstance(value, str) else None
    if out is not None and out.dtype == "bool":
        raise UseError("indexing by a boolean mask is not supported yet: its result has a size that depends on values; "
                       f"write where(mask, x, 0), or find the positions in NumPy and pass them in{at(here())}")
    if out is None or not dtypes.is_int(out.dtype):
        raise DTypeError(f"an index must be an integer, a slice, None or Ellipsis, not {value if out is None else out.dtype}{at(here())}")
    return out


def _expand(items: list[Item], x: Out) -> list[Dim | Out | slice | None]:
    """One item for each axis of x, and None where an axis is inserted."""
    used = sum(i is not None and i is not ... for i in items)
    dots = [k for k, i in enumerate(items) if i is ...]
    if len(dots) > 1:
        raise IndexFault(f"an index can have only one Ellipsis ('...'){at(here())}")
    if used > x.ndim:
        raise IndexFault(f"too many indices: {used} for a tensor of {x.ndim} axes{at(here())}")
    if sum(isinstance(i, Out) and i.ndim > 0 for i in items) > 1:
        raise UseError("indexing by several integer arrays at once is not supported yet: x[arange(n), y] is "
                       "take_along_axis(x, y[:, None], axis=1)[:, 0], and categorical_crossentropy(p, y) where it is for that loss"
                       f"{at(here())}")
    where = dots[0] if dots else len(items)
    full: list[Item] = [slice(None)] * (x.ndim - used)
    return [i for i in (*items[:where], *full, *items[where + 1:]) if not isinstance(i, EllipsisType)]


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
        raise DTypeError(f"a slice bound must be an integer or None, not {value!r}{at(here())}") from None


def _section(item: Dim | Out | slice, size: Dim) -> Section | None:
    """What to cut from an axis before gathering, None for all of it."""
    if isinstance(item, Dim):
        return Section(wrap(item, size), constant(1), constant(1))
    if isinstance(item, Out):
        return None
    step = _bound(item.step)
    if step is not None and step.const == 0:
        raise ShapeError(f"slice step cannot be zero{at(here())}")
    found = section(_bound(item.start), _bound(item.stop), constant(1) if step is None else step, size)
    return None if found == (constant(0), constant(1), size) else found


def _cut(x: Out, sections: dict[int, Section]) -> Out:
    sizes = [dim_node(d) for s in sections.values() for d in s]
    return rows.subtensor(x, *sizes, axes=tuple(sections)) if sections else x


def _gather(x: Out, items: Sequence[Dim | Out | slice | None]) -> Out:
    """Look up the arrays, drop the axes of integers, insert those of None, and put the axes of an array where NumPy puts them."""
    axes = [k for k, i in enumerate(items) if i is not None]
    labels = [(k, 0) for k in axes]
    for axis in reversed(range(len(axes))):
        item = items[axes[axis]]
        if isinstance(item, Out):
            x = rows.take(x, item, axis=axis)
            labels[axis:axis + 1] = [(axes[axis], j) for j in range(item.ndim)]
    order = sorted(range(len(items)), key=lambda k: not isinstance(items[k], Out)) if _apart(items) else range(len(items))
    pattern: list[int] = []
    for k in order:
        inserted = items[k] is None
        pattern += [-1] if inserted else [] if isinstance(items[k], Dim) else [p for p, (owner, _) in enumerate(labels) if owner == k]
    return x if pattern == list(range(x.ndim)) else dimshuffle(x, pattern=pattern)


def _apart(items: Sequence[Dim | Out | slice | None]) -> bool:
    """Whether an array and the integers beside it are separated: NumPy then puts the array's axes first."""
    advanced = [k for k, i in enumerate(items) if isinstance(i, Dim | Out)]
    arrays = any(isinstance(items[k], Out) and items[k].ndim for k in advanced)  # type: ignore[union-attr]
    return arrays and advanced[-1] - advanced[0] >= len(advanced)


def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Out:
    """The elements of `a` at integer positions along an axis (of the flattened tensor without one); mode: raise, wrap or clip."""
    out = ravel(a) if axis is None else as_symbol(a)
    axis = normal_axis(axis or 0, out.ndim)
    idx: Any = rows.index_array(index_symbol(indices))
    size: Any = shape_of(out)[axis]
    if mode not in ("raise", "wrap", "clip"):
        raise ShapeError(f"take: mode must be 'raise', 'wrap' or 'clip', not {mode!r}{at(here())}")
    if mode == "wrap":
        idx = idx % size
    elif mode == "clip":
        idx = OPERATORS["minimum"](OPERATORS["maximum"](idx, 0), size - 1)
    return rows.take(out, idx, axis=axis)


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Out:
    """For each place of `indices` the element of `arr` at that position along `axis`; the other axes broadcast."""
    idx = index_symbol(indices)
    return rows.take_along(ravel(arr), idx, axis=0) if axis is None else rows.take_along(arr, idx, axis=axis)


def flip(m: Any, axis: Any = None) -> Out:
    """The elements in reverse order along the axes (all without `axis`)."""
    out = as_symbol(m)
    axes = normal_axes(axis, out.ndim)
    return getitem(out, tuple(slice(None, None, -1 if i in axes else None) for i in range(out.ndim)))


def roll(a: Any, shift: Any, axis: Any = None) -> Out:
    """The elements moved by `shift` places along an axis, those that leave at the end coming back at the start."""
    out = as_symbol(a)
    if axis is None:
        return reshape(roll(ravel(out), shift, 0), *shape_of(out))
    axis = normal_axis(axis, out.ndim)
    size: Dim = out.type.shape[axis]
    left = size - size_dim(as_symbol(shift)) % size
    parts = [Section(left, constant(1), size - left), Section(constant(0), constant(1), left)]
    return rows.concat(*[_cut(out, {axis: p}) for p in parts], axis=axis)


def diff(a: Any, n: int = 1, axis: Any = -1) -> Out:
    """The differences of neighbours along an axis, taken n times; of bools whether they differ."""
    out: Any = as_symbol(a)
    before = (slice(None),) * normal_axis(axis, out.ndim)
    if n < 0:
        raise ShapeError(f"diff: n must be at least 0, not {n}{at(here())}")
    for _ in range(n):
        late, soon = getitem(out, (*before, slice(1, None))), getitem(out, (*before, slice(None, -1)))
        out = OPERATORS["neq" if out.dtype == "bool" else "sub"](late, soon)
    made: Out = out
    return made


def diagonal(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1) -> Out:
    """The diagonals of the matrices in two axes, as the last axis of the result."""
    out = as_symbol(a)
    first, second = normal_axis(axis1, out.ndim), normal_axis(axis2, out.ndim)
    if first == second:
        raise ShapeError(f"diagonal: axis1 and axis2 are both {first}{at(here())}")
    others = [i for i in range(out.ndim) if i not in (first, second)]
    n, m = out.type.shape[first], out.type.shape[second]
    length = maximum(minimum(n + min(offset, 0), m - max(offset, 0)), 0)
    lines = flatten(dimshuffle(out, pattern=[*others, first, second]), len(others) + 1)
    start = minimum(max(offset, 0) + max(-offset, 0) * m, n * m)
    return _cut(lines, {len(others): Section(start, m + 1, length)})


def diag(v: Any, k: int = 0) -> Out:
    """The k-th diagonal of a matrix, or the square matrix with a vector on its k-th diagonal."""
    out = as_symbol(v)
    if out.ndim != 1:
        if out.ndim != 2:
            raise RankError(f"diag takes a vector or a matrix, not a tensor of {out.ndim} axes{at(here())}")
        return diagonal(out, k)
    size = out.type.shape[0] + abs(k)
    start = max(k, 0) + max(-k, 0) * size
    sizes = [dim_node(d) for d in (start, size + 1, product([size, size]))]
    return reshape(rows.place(out, *sizes, axes=(0,)), dim_node(size), dim_node(size))


def trace(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    """The sum of a diagonal."""
    return diagonal(a, offset, axis1, axis2).sum(axis=-1)
