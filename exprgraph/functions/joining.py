"""The functions that put tensors together, take them apart, or repeat them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, constant
from exprgraph.errors import RankError, ShapeError, at, here
from exprgraph.functions.selecting import repeat_each
from exprgraph.functions.shaping import atleast_1d, atleast_2d, ravel
from exprgraph.node import Out, as_symbol
from exprgraph.ops import shape as rows
from exprgraph.ops.index import concat as concat_row
from exprgraph.ops.index import subtensor
from exprgraph.ops.shape import dim_node, dimshuffle
from exprgraph.types import cast_to, normal_axis, promoted, size_argument, size_dim, size_dims

__all__ = ["concat", "concatenate", "horizontal_stack", "hstack", "join", "repeat", "split", "stack", "tile", "vertical_stack", "vstack"]


def concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Out:
    """Tensors one after the other along an axis; flattened first where the axis is None.  dtype: what all are cast to."""
    parts = _cast(arrays, dtype)
    return concat_row(*[ravel(a) for a in parts], axis=0) if axis is None else concat_row(*parts, axis=axis)


concat = concatenate


def join(axis: int, *tensors: Any) -> Out:
    """`concatenate` with the axis first."""
    return concatenate(tensors, axis)


def _cast(arrays: Any, dtype: Any) -> list[Any]:
    return list(arrays) if dtype is None else [cast_to(a, dtypes.canonical(dtype)) for a in arrays]


def stack(arrays: Any, *more: Any, axis: Any = 0, dtype: Any = None) -> Out:
    """Tensors of one shape side by side along a new axis; Python numbers adapt to the dtype of the others.  dtype: what all are cast to."""
    parts = _cast(arrays if isinstance(arrays, tuple | list) else [arrays, *more], dtype)
    if not parts:
        raise RankError(f"stack takes at least one tensor{at(here())}")
    common = promoted(parts)
    outs = [cast_to(a, common) for a in parts]
    rank = outs[0].ndim
    if any(o.ndim != rank for o in outs):
        raise RankError(f"stack takes tensors of one rank; ranks given: {', '.join(str(o.ndim) for o in outs)}{at(here())}")
    axis = normal_axis(axis, rank + 1)
    return concat_row(*[dimshuffle(o, pattern=[*range(axis), -1, *range(axis, rank)]) for o in outs], axis=axis)


def vstack(tup: Any, dtype: Any = None) -> Out:
    """Tensors one below the other; vectors become rows."""
    return concatenate([atleast_2d(a) for a in tup], 0, dtype)


def hstack(tup: Any, dtype: Any = None) -> Out:
    """Tensors one beside the other; vectors end to end."""
    parts = [atleast_1d(a) for a in tup]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1, dtype)


def horizontal_stack(*args: Any) -> Out:
    """Matrices one beside the other."""
    return concatenate(args, 1)


def vertical_stack(*args: Any) -> Out:
    """Matrices one below the other."""
    return concatenate(args, 0)


def split(x: Any, splits: Any = None, *more: Any, splits_size: Any = None, n_splits: int | None = None,
          axis: int | None = None) -> list[Out]:
    """The parts of a tensor along an axis.

    `split(x, 3, axis)`: equal parts, ShapeError where the length is no multiple; `split(x, [2, 5], axis)`: cut at these positions; and
    Theano's `split(x, sizes, n_splits, axis)` or `split(x, splits_size=sizes, n_splits=n)`: parts of these sizes.
    """
    if len(more) == 2:
        n_splits, axis = more
    elif more:
        axis = more[0]
    out, given = as_symbol(x), splits if splits_size is None else splits_size
    axis = normal_axis(axis or 0, out.ndim)
    if n_splits is not None or splits_size is not None:
        return _by_sizes(out, _lengths(given, n_splits), axis)
    if isinstance(given, tuple | list | np.ndarray):
        return _at_positions(out, [p if isinstance(p, Out) else int(p) for p in given], axis)
    return _equal_parts(out, int(given), axis)


def _lengths(given: Any, n_splits: int | None) -> list[Any]:
    if isinstance(given, Out) and given.ndim == 1:
        if n_splits is None:
            raise ShapeError(f"split: n_splits is needed beside a symbolic vector of sizes{at(here())}")
        return [given[i] for i in range(n_splits)]
    found = list(given)
    if n_splits not in (None, len(found)):
        raise ShapeError(f"split: n_splits is {n_splits}, {len(found)} sizes given{at(here())}")
    return found


def _by_sizes(x: Out, lengths: Sequence[Any], axis: int) -> list[Out]:
    """The lengths must sum to that of the axis: concatenation's own rule, read backwards."""
    dims = size_dims([size_argument(n if isinstance(n, Out) else int(n)) for n in lengths])
    given = sum(dims, constant(0))
    x = rows.declared(x, {axis: (given, f"split: the sizes add up to {{right}}, axis {axis} has {{left}} elements")})
    parts, start = [], constant(0)
    for d in dims:
        parts.append(_part(x, axis, start, d))
        start = start + d
    return parts


def _part(x: Out, axis: int, start: Dim, length: Dim) -> Out:
    return subtensor(x, dim_node(start), 1, dim_node(length), axes=(axis,))


def _at_positions(x: Any, positions: Sequence[Any], axis: int) -> list[Out]:
    bounds = [None, *positions, None]
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in zip(bounds, bounds[1:])]


def _equal_parts(x: Out, count: int, axis: int) -> list[Out]:
    length = x.type.shape[axis]
    if count < 1 or (length.const or 0) % count:
        raise ShapeError(f"split: axis {axis} of {length} elements does not split into {count} equal parts{at(here())}")
    return _by_sizes(x, [dim_node(length // count)] * count, axis)


def repeat(x: Any, repeats: Any, axis: Any = None) -> Out:
    """Each element `repeats` times along an axis (of the flattened tensor without one).

    repeats: one integer for all, or an integer vector with a count for each; its sum is a size that each call decides.
    """
    out = ravel(x) if axis is None else as_symbol(x)
    axis = normal_axis(axis or 0, out.ndim)
    if isinstance(repeats, tuple | list | np.ndarray) and np.ndim(repeats):
        return repeat_each(out, np.asarray(repeats), axis)
    if isinstance(repeats, Out) and repeats.ndim:
        return repeat_each(out, repeats, axis)
    return _blocks(out, axis, size_dim(size_argument(repeats)), inner=True)


def tile(A: Any, reps: Any, ndim: int | None = None) -> Out:
    """The tensor laid side by side `reps` times: one integer for the last axis, or one for each (a vector of known length, too).

    ndim: the least number of axes of the result.
    """
    out = as_symbol(A)
    counts = list(reps) if isinstance(reps, tuple | list | np.ndarray) or (isinstance(reps, Out) and reps.ndim) else [reps]
    counts = [1] * (max(out.ndim, ndim or 0) - len(counts)) + counts
    out = dimshuffle(out, pattern=[-1] * (len(counts) - out.ndim) + list(range(out.ndim)))
    for axis, times in enumerate(size_dims([size_argument(int(n) if isinstance(n, np.integer) else n) for n in counts])):
        out = out if times.const == 1 else _blocks(out, axis, times, inner=False)
    return out


def _blocks(x: Out, axis: int, times: Dim, inner: bool) -> Out:
    """Repeat along an axis: a new axis behind it (each element) or before it (the whole) is broadcast and joined with it."""
    shape = list(x.type.shape)
    where = axis + inner
    wide = dimshuffle(x, pattern=[*range(where), -1, *range(where, x.ndim)])
    wide = rows.broadcast_to(wide, *[dim_node(d) for d in (*shape[:where], times, *shape[where:])])
    shape[axis] = shape[axis] * times
    return rows.reshape(wide, *[dim_node(d) for d in shape])
