"""The functions that rearrange the axes of one tensor: NumPy's and Theano's names and argument names."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph.dims import product
from exprgraph.errors import DTypeError, RankError, ShapeError, at, here
from exprgraph.node import Out, as_symbol, constant_value
from exprgraph.ops import shape as rows
from exprgraph.ops.shape import dim_node, shape_of
from exprgraph.types import broadcast_dims, describe, normal_axes, normal_axis, show_shape, size_argument, size_dims

__all__ = [
    "addbroadcast", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "dimshuffle", "expand_dims", "flatten",
    "moveaxis", "patternbroadcast", "ravel", "reshape", "shape", "shape_padaxis", "shape_padleft", "shape_padright", "size",
    "specify_shape", "squeeze", "swapaxes", "transpose", "unbroadcast"]


def size_list(value: Any) -> list[Any]:
    """A shape argument (an integer, a scalar of the graph, a sequence, a vector of known length) as a list of sizes."""
    known = constant_value(value) if isinstance(value, Out) and value.ndim == 1 else value
    if known is None:
        return list(value)
    if isinstance(known, np.ndarray) and known.dtype.kind not in "iu" and known.size:
        raise DTypeError(f"a size must be an integer, not {known.dtype}{at(here())}")
    if isinstance(known, np.ndarray):
        return [int(n) for n in known.ravel()]
    return list(known) if isinstance(known, tuple | list) else [known]


def sizes(value: Any) -> list[Out]:
    """A shape argument as int64 scalars."""
    return [size_argument(int(s) if isinstance(s, np.integer) else s) for s in size_list(value)]


def shape(x: Any) -> tuple[Out, ...]:
    """The sizes as int64 scalars; asking for them computes nothing else."""
    return shape_of(as_symbol(x))


def size(x: Any, axis: Any = None) -> Out:
    """The number of elements, or that along an axis or several, an int64 scalar."""
    out = as_symbol(x)
    return dim_node(product(out.type.shape[i] for i in normal_axes(axis, out.ndim)))


def reshape(x: Any, *newshape: Any, ndim: int | None = None, shape: Any = None) -> Out:
    """The elements in row-major order under a new shape: integers or integer scalars, one of which may be -1.

    Given one by one or as one sequence.  ndim is accepted and not needed.  ShapeError where the numbers of elements differ, and for -1
    beside a size of 0, except where it follows from the sizes alone: x.reshape((x.shape[0], -1)) takes a batch without rows.
    """
    out = as_symbol(x)
    first = shape if shape is not None else newshape[0] if newshape else ()
    wanted = sizes(first if isinstance(first, tuple | list | np.ndarray) or (isinstance(first, Out) and first.ndim) else newshape or first)
    dims = list(size_dims(wanted))
    unknown = [i for i, d in enumerate(dims) if d.const == -1]
    if len(unknown) > 1:
        raise ShapeError(f"reshape: only one size can be -1{at(here())}")
    for i in unknown:
        rest = product(d for j, d in enumerate(dims) if j != i)
        if rest.const == 0:
            raise ShapeError(f"reshape of {show_shape(out.type.shape)} to {show_shape(dims)}: "
                             f"-1 is undetermined beside a size of 0{at(here())}")
        wanted[i] = dim_node(product(out.type.shape) // rest)
    return out if size_dims(wanted) == out.type.shape else rows.reshape(out, *wanted)


def flatten(x: Any, ndim: int = 1) -> Out:
    """The last axes joined so that `ndim` are left."""
    out = as_symbol(x)
    if ndim < 1 or ndim > max(out.ndim, 1):
        raise ShapeError(f"flatten: a tensor of {out.ndim} axes cannot be flattened to {ndim}{at(here())}")
    lead = out.type.shape[:ndim - 1]
    return reshape(out, shape=tuple(dim_node(d) for d in (*lead, product(out.type.shape[ndim - 1:]))))


def ravel(x: Any) -> Out:
    """All elements as a vector."""
    return flatten(x)


def _permuted(x: Out, pattern: Sequence[int]) -> Out:
    return x if list(pattern) == list(range(x.ndim)) else rows.dimshuffle(x, pattern=pattern)


def transpose(x: Any, *axes: Any) -> Out:
    """The axes in the given order, reversed without one."""
    out = as_symbol(x)
    given: Any = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
    order = list(range(out.ndim))[::-1] if given is None else [normal_axis(a, out.ndim) for a in given]
    if sorted(order) != list(range(out.ndim)):
        raise ShapeError(f"transpose: {given} is no order of {out.ndim} axes{at(here())}")
    return _permuted(out, order)


def swapaxes(x: Any, axis1: Any, axis2: Any) -> Out:
    """Two axes exchanged."""
    out = as_symbol(x)
    order = list(range(out.ndim))
    first, second = normal_axis(axis1, out.ndim), normal_axis(axis2, out.ndim)
    order[first], order[second] = second, first
    return _permuted(out, order)


def moveaxis(a: Any, source: Any, destination: Any) -> Out:
    """Axes moved to new places, the others kept in order."""
    out = as_symbol(a)
    start, end = ([normal_axis(i, out.ndim) for i in (v if isinstance(v, tuple | list) else (v,))] for v in (source, destination))
    if len(start) != len(end) or len(set(start)) != len(start) or len(set(end)) != len(end):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} must name as many distinct axes{at(here())}")
    order = [i for i in range(out.ndim) if i not in start]
    for there, axis in sorted(zip(end, start)):
        order.insert(there, axis)
    return _permuted(out, order)


def dimshuffle(x: Any, *pattern: Any) -> Out:
    """The axes in the order of the pattern, 'x' for a new axis of length 1; an axis left out must have length 1."""
    out = as_symbol(x)
    given = pattern[0] if len(pattern) == 1 and isinstance(pattern[0], tuple | list) else pattern
    if any(p != "x" if isinstance(p, str) else not 0 <= p < out.ndim for p in given):
        raise ShapeError(f"dimshuffle: {tuple(given)} must hold axes of a tensor of {out.ndim} axes and 'x'{at(here())}")
    return _permuted(out, [-1 if isinstance(p, str) else int(p) for p in given])


def expand_dims(x: Any, axis: Any) -> Out:
    """New axes of length 1 at these places of the result."""
    out = as_symbol(x)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = normal_axes(axis, out.ndim + count)
    kept = iter(range(out.ndim))
    return _permuted(out, [-1 if i in new else next(kept) for i in range(out.ndim + count)])


def squeeze(x: Any, axis: Any = None) -> Out:
    """Without the axes known to have length 1, or without those named, which must have it when the function is called."""
    out = as_symbol(x)
    gone = [i for i, one in enumerate(out.broadcastable) if one] if axis is None else normal_axes(axis, out.ndim)
    return _permuted(out, [i for i in range(out.ndim) if i not in gone])


def shape_padleft(t: Any, n_ones: int = 1) -> Out:
    """New axes of length 1 in front."""
    return expand_dims(t, tuple(range(n_ones)))


def shape_padright(t: Any, n_ones: int = 1) -> Out:
    """New axes of length 1 at the end."""
    return expand_dims(t, tuple(range(-n_ones, 0)))


def shape_padaxis(t: Any, axis: int) -> Out:
    """A new axis of length 1 at this place of the result."""
    return expand_dims(t, axis)


def addbroadcast(x: Any, *axes: int) -> Out:
    """The tensor, its axes declared to have length 1; ShapeError at the call where one has not."""
    out = as_symbol(x)
    return specify_shape(out, [1 if i in normal_axes(axes, out.ndim) else None for i in range(out.ndim)])


def unbroadcast(x: Any, *axes: int) -> Out:
    """The tensor as it is: every axis of length 1 broadcasts."""
    return as_symbol(x)


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Out:
    """The tensor, the marked axes declared to have length 1."""
    return addbroadcast(x, *[i for i, one in enumerate(broadcastable) if one])


def broadcast_to(x: Any, shape: Any) -> Out:
    """The tensor repeated along its axes of length 1, and along new leading ones, to this shape."""
    out = as_symbol(x)
    wanted = sizes(shape)
    return out if size_dims(wanted) == out.type.shape else rows.broadcast_to(out, *wanted)


def broadcast_arrays(*args: Any) -> list[Out]:
    """The tensors, each broadcast to the shape that all have together."""
    outs = [as_symbol(a) for a in args]
    common = tuple(dim_node(d) for d in broadcast_dims([o.type.shape for o in outs]))
    return [broadcast_to(o, common) for o in outs]


def specify_shape(x: Any, shape: Any) -> Out:
    """The tensor, its shape declared: sizes, or None for an axis left open; ShapeError where it has another."""
    out = as_symbol(x)
    given = size_list(shape)
    if len(given) != out.ndim:
        raise RankError(f"specify_shape: {len(given)} sizes for a tensor of {out.ndim} axes{at(here())}")
    return rows.declared(out, {
        axis: (size_dims(sizes(value))[0], f"specify_shape: axis {axis} of {describe(out)} has {{left}} elements, not {{right}}")
        for axis, value in enumerate(given) if value is not None})


def _atleast(x: Any, patterns: dict[int, tuple[int, ...]]) -> Out:
    out = as_symbol(x)
    return rows.dimshuffle(out, pattern=patterns[out.ndim]) if out.ndim in patterns else out


def _each(args: Sequence[Any], patterns: dict[int, tuple[int, ...]]) -> Any:
    found = tuple(_atleast(a, patterns) for a in args)
    return found[0] if len(found) == 1 else found


def atleast_1d(*arys: Any) -> Any:
    """Tensors of at least one axis."""
    return _each(arys, {0: (-1,)})


def atleast_2d(*arys: Any) -> Any:
    """Tensors of at least two axes, new ones in front."""
    return _each(arys, {0: (-1, -1), 1: (-1, 0)})


def atleast_3d(*arys: Any) -> Any:
    """Tensors of at least three axes: (n,) becomes (1, n, 1), (n, m) becomes (n, m, 1)."""
    return _each(arys, {0: (-1, -1, -1), 1: (-1, 0, -1), 2: (0, 1, -1)})

