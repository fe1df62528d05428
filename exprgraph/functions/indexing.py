"""Indexing as in NumPy: `x[...]`, and the functions that pick elements."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph.dims import Dim, constant, maximum, minimum, product
from exprgraph.errors import DTypeError, RankError, ShapeError, at, here, shortly
from exprgraph.functions.shaping import flatten, ravel
from exprgraph.functions.slicing import Section
from exprgraph.functions.subscript import Entry, Subscript, index_symbol, layout, section_of, subscript, together, without_masks
from exprgraph.node import OPERATORS, Out, as_symbol
from exprgraph.ops import index as rows
from exprgraph.ops.points import take_at
from exprgraph.ops.shape import dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import normal_axes, normal_axis, size_dim

__all__ = ["diag", "diagonal", "diff", "flip", "getitem", "roll", "take", "take_along_axis", "trace"]


def getitem(x: Any, index: Any) -> Out:
    """x[index] with NumPy's meaning: integers, slices, None, Ellipsis, arrays of integers and masks in any mixture.

    Integers and slice bounds may be Python integers or integer scalars of the graph; an integer that depends on the values of tensors
    is looked up when the function runs.  Arrays of integers broadcast against each other; their axes stand where they stood if they
    stood side by side, else first.  A mask counts as the arrays of the positions where it is true; it
    has the sizes of its axes, also where it has no elements.

    IndexFault for an index outside its axis, at once where both are known, else when called; ShapeError (a ValueError) for a step of 0,
    for arrays that do not broadcast and for a mask of other sizes than its axes; DTypeError for other kinds of indices.
    """
    out = as_symbol(x)
    found = subscript(out, index)
    made = picked(found)
    made = Out(out.node, out.index, out.name) if made is out else made
    made.subscript = found
    return made


def picked(sub: Subscript) -> Out:
    """Cut, look up positions, then arrays, and put the axes where NumPy has them."""
    plain = without_masks(sub)
    x = looked_up(cut(plain.x, sections(plain)), plain.entries)
    arrays, axes = together(plain.entries)
    if len(arrays) == 1:
        x = rows.take(x, arrays[0], axis=axes[0])
    elif arrays:
        x = take_at(x, *arrays, axes=axes)
    pattern = layout(plain.entries, arrays[0].ndim if arrays else 0)
    return x if pattern == list(range(x.ndim)) else dimshuffle(x, pattern=pattern)


def sections(sub: Subscript) -> dict[int, Section]:
    """What slices and known positions cut, by axis; nothing for an axis that stays whole."""
    found = {e.axes[0]: section_of(e.item, sub.x.type.shape[e.axes[0]]) for e in sub.entries if len(e.axes) == 1}
    return {axis: s for axis, s in found.items() if s is not None}


def cut(x: Out, parts: dict[int, Section]) -> Out:
    """The parts of the axes."""
    sizes = [dim_node(d) for s in parts.values() for d in s]
    return rows.subtensor(x, *sizes, axes=tuple(parts)) if parts else x


def looked_up(x: Out, entries: Sequence[Entry]) -> Out:
    """x at the positions that depend on values, each of whose axes stays, with length 1."""
    for entry in entries:
        if entry.is_single and isinstance(entry.item, Out):
            axis, = entry.axes
            x = dimshuffle(rows.take(x, entry.item, axis=axis), pattern=[*range(axis), -1, *range(axis, x.ndim - 1)])
    return x


def _integers(value: Any) -> Out:
    """Positions, not a mask."""
    out = index_symbol(value)
    if out.dtype == "bool":
        raise DTypeError(f"take needs integers, not a mask: write x[mask]{at(here())}")
    return out


def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Out:
    """The elements of `a` at integer positions along an axis (of the flattened tensor without one); mode: raise, wrap or clip."""
    out = ravel(a) if axis is None else as_symbol(a)
    axis = normal_axis(axis or 0, out.ndim)
    idx: Any = rows.index_array(_integers(indices))
    size: Any = shape_of(out)[axis]
    if mode not in ("raise", "wrap", "clip"):
        raise ShapeError(f"take: mode must be 'raise', 'wrap' or 'clip', not {shortly(mode)}{at(here())}")
    if mode == "wrap":
        idx = idx % size
    elif mode == "clip":
        idx = OPERATORS["minimum"](OPERATORS["maximum"](idx, 0), size - 1)
    return rows.take(out, idx, axis=axis)


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Out:
    """For each place of `indices` the element of `arr` at that position along `axis`; the other axes broadcast."""
    idx = _integers(indices)
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
    return rows.concat(*[cut(out, {axis: p}) for p in parts], axis=axis)


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
    return cut(lines, {len(others): Section(start, m + 1, length)})


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
