"""Sorting and what follows from it: the best k of an axis, medians and quantiles, searching in sorted vectors, interpolation."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.errors import CallError, RankError, ShapeError, at, here, shortly
from exprgraph.functions.shaping import ravel
from exprgraph.node import Out, as_symbol, make_constant
from exprgraph.ops import index
from exprgraph.ops import sort as rows
from exprgraph.ops.compare import clip, eq, ge, gt, isnan, lt, maximum, minimum, switch
from exprgraph.ops.rounding import ceil, floor, round_half_to_even
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import cast_to, normal_axes, normal_axis, promoted

__all__ = ["argsort", "argtopk", "digitize", "interp", "median", "percentile", "quantile", "searchsorted", "sort", "topk",
           "topk_and_argtopk"]
KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")
METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def _sortable(x: Any, axis: Any, kind: Any, order: Any) -> tuple[Out, int]:
    if kind not in KINDS or order is not None:
        raise CallError(f"sort: kind={shortly(kind)}, order={shortly(order)}: kind is one of {', '.join(map(repr, KINDS[1:]))} (all are "
                        f"stable here), and there are no fields to order by{at(here())}")
    out = ravel(x) if axis is None else as_symbol(x)
    if not out.ndim:
        raise RankError(f"a scalar has no axis to sort along{at(here())}")
    return out, normal_axis(-1 if axis is None else axis, out.ndim)


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Out:
    """The elements in ascending order along an axis (of the flattened tensor where it is None), NaN last; same shape and dtype."""
    out, along = _sortable(a, axis, kind, order)
    return rows.sort(out, axis=along)


def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Out:
    """The positions, int64, that sort the elements along an axis (of the flattened tensor where it is None); equals keep their order."""
    out, along = _sortable(a, axis, kind, order)
    return rows.argsort(out, axis=along)


def argtopk(x: Any, kth: Any, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64") -> Out:
    """The positions of the `kth` largest elements along an axis, or of the -kth smallest where kth is a negative number.

    The best one comes first, of equals the one that comes first in x; NaN is the largest.  `sorted` is accepted: the order is always this
    one.  kth may be an integer scalar of the graph, then it must not be negative.  ShapeError where the axis has fewer elements.
    """
    out, along = _sortable(x, axis, None, None)
    smallest = not isinstance(kth, Out) and int(kth) < 0
    found = rows.argtopk(out, -int(kth) if smallest else kth, axis=along, largest=not smallest)
    return cast_to(found, dtypes.canonical(idx_dtype))


def topk_and_argtopk(x: Any, kth: Any, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64") -> tuple[Out, Out]:
    """`topk` and `argtopk`."""
    out, along = _sortable(x, axis, None, None)
    where = argtopk(out, kth, along, sorted)
    return index.take_along(out, where, axis=along), cast_to(where, dtypes.canonical(idx_dtype))


def topk(x: Any, kth: Any, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64") -> Out:
    """The `kth` largest elements along an axis, or the -kth smallest where kth is negative, in the order of `argtopk`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[0]


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Out:
    """For each element of v the first position, int64, at which it could be put into the sorted vector a (the last one for side "right").

    sorter: positions that sort a.  The shape is that of v.
    """
    if side not in ("left", "right"):
        raise CallError(f"searchsorted: side must be 'left' or 'right', not {shortly(side)}{at(here())}")
    keys, values = as_symbol(a), as_symbol(v)
    if keys.ndim != 1:
        raise RankError(f"searchsorted takes a sorted vector, not a tensor of {keys.ndim} axes{at(here())}")
    keys = keys if sorter is None else index.take(keys, sorter, axis=0)
    if values.ndim:
        return rows.searchsorted(keys, values, side=side)
    return dimshuffle(rows.searchsorted(keys, dimshuffle(values, pattern=[-1]), side=side), pattern=[])


def digitize(x: Any, bins: Any, right: bool = False) -> Out:
    """For each element the number of the interval between the ascending `bins` that it lies in, as numpy.digitize; int64."""
    return searchsorted(bins, x, "left" if right else "right")


def _in_one_row(a: Any, axis: Any) -> tuple[Out, tuple[int, ...]]:
    """The tensor with some axes merged into a last one."""
    out = as_symbol(a)
    axes = normal_axes(axis, out.ndim)
    rest = [i for i in range(out.ndim) if i not in axes]
    turned, shape = dimshuffle(out, pattern=[*rest, *axes]), out.type.shape
    return reshape(turned, *[dim_node(shape[i]) for i in rest], dim_node(product(shape[i] for i in axes))), axes


def _opened(x: Out, axes: tuple[int, ...], rank: int, lead: int = 0) -> Out:
    """A result of a reduction with the reduced axes of length 1 put back."""
    kept = iter(range(lead, x.ndim))
    return dimshuffle(x, pattern=[*range(lead), *(-1 if i in axes else next(kept) for i in range(rank))])


def median(a: Any, axis: Any = None, keepdims: bool = False) -> Out:
    """The middle element along the axes, or the mean of the two middle ones; NaN where there is one, or no element.

    Integers give floatX.
    """
    return quantile(a, 0.5, axis, keepdims=keepdims)


def percentile(a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Out:
    """`quantile` at q / 100."""
    return quantile(a, as_float(q) / 100, axis, method, keepdims)


def as_float(x: Any) -> Any:
    """A number, array or symbol as floats."""
    return cast_to(x, dtypes.as_float(x.dtype)) if isinstance(x, Out) else np.asarray(x, "float64")


def quantile(a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Out:
    """The values below which the parts `q` (between 0 and 1) of the elements along the axes lie.

    q: a number or array, or a float symbol; its axes come first in the result.  method: "linear", "lower", "higher", "nearest" or
    "midpoint".  NaN where there is a NaN among the elements, or none at all.  Integers give floatX.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise CallError(f"quantile: method must be one of {', '.join(map(repr, METHODS))}, not {shortly(method)}{at(here())}")
    if not isinstance(q, Out) and not np.all((np.asarray(q) >= 0) & (np.asarray(q) <= 1)):
        raise ShapeError(f"quantile: parts must lie between 0 and 1{at(here())}")
    out = as_symbol(a)
    values, axes = _in_one_row(cast_to(out, dtypes.as_float(out.dtype)), axis)
    part = as_float(q) if isinstance(q, Out) else as_symbol(np.asarray(q, "float64"))
    found = _at_parts(rows.sort(values, axis=values.ndim - 1), ravel(part), method)
    found = reshape(found, *shape_of(part), *shape_of(values)[:-1])
    return _opened(found, axes, out.ndim, part.ndim) if keepdims else found


def _at_parts(ordered: Out, parts: Any, method: str) -> Out:
    """Sorted rows at fractions of their length, the fractions as a first axis; without elements NaN."""
    last = ordered.ndim - 1
    length: Any = shape_of(ordered)[last]
    place = parts * cast_to(maximum(length - 1, 0), parts.dtype)
    below: Any = cast_to(_ROUNDED[method](place), "int64")
    widened = _with_nan(ordered)
    low = _taken(widened, below, length)
    if method in ("lower", "higher", "nearest"):
        return low
    high = _taken(widened, minimum(below + 1, maximum(length - 1, 0)), length)
    weight: Any = dimshuffle(cast_to(place - floor(place), ordered.dtype), pattern=[0, *[-1] * last])
    weight = switch(weight > 0, cast_to(0.5, ordered.dtype), weight) if method == "midpoint" else weight
    return _between(low, high, weight)


_ROUNDED = {"linear": floor, "lower": floor, "midpoint": floor, "higher": ceil, "nearest": round_half_to_even}


def _between(low: Any, high: Any, weight: Any) -> Out:
    """From one value to the next, exact at both ends; NaN is the greatest, so both show it."""
    step = high - low
    made: Out = switch(eq(low, high), low, switch(ge(weight, 0.5), high - step * (1 - weight), low + step * weight))
    return made


def _with_nan(ordered: Out) -> Out:
    """Rows with NaN behind their end, and in all places where the last element is one."""
    last = ordered.ndim - 1
    end = dimshuffle(make_constant(np.nan, ordered.dtype), pattern=[-1] * ordered.ndim)
    shape = shape_of(ordered)
    made: Out = index.concat(ordered, broadcast_to(end, *shape[:-1], 1), axis=last)
    return made


def _taken(widened: Out, place: Any, length: Any) -> Out:
    """The elements at places of the last axis, as the first axis; NaN where the row has one, which is then its last element."""
    last = widened.ndim - 1
    found = index.take(widened, place, axis=last)
    end = index.take(widened, maximum(length - 1, 0), axis=last)
    shown = dimshuffle(found, pattern=[last, *range(last)])
    made: Out = switch(isnan(dimshuffle(end, pattern=[-1, *range(last)])), cast_to(np.nan, widened.dtype), shown)
    return made


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Out:
    """The values at x of the function that is linear between the points (xp, fp), xp ascending, as numpy.interp.

    Before the first point it is `left`, by default fp[0], behind the last one `right`, by default fp[-1].  With a period, x and xp are
    taken modulo it and xp need not be sorted.  The dtype is the float dtype that x, xp and fp promote to.
    """
    dtype = dtypes.as_float(promoted([x, xp, fp]))
    places, known, values = (cast_to(v if isinstance(v, Out) else np.asarray(v), dtype) for v in (x, xp, fp))
    if known.ndim != 1 or values.ndim != 1:
        raise RankError(f"interp: xp and fp are vectors, not tensors of {known.ndim} and {values.ndim} axes{at(here())}")
    if period is not None:
        places, known, values = _periodic(places, known, values, period)
        left = right = None
    return _interpolated(places, known, values, left, right, dtype)


def _interpolated(x: Any, xp: Any, fp: Any, left: Any, right: Any, dtype: str) -> Out:
    count: Any = shape_of(xp)[0]
    low = clip(searchsorted(xp, x, "right") - 1, 0, maximum(count - 2, 0))
    high = minimum(low + 1, count - 1)
    x0, x1, f0, f1 = (index.take(v, i, axis=0) for v, i in ((xp, low), (xp, high), (fp, low), (fp, high)))
    width: Any = x1 - x0
    inner = f0 + (x - x0) * ((f1 - f0) / switch(eq(width, 0), 1, width))
    first, last = (index.take(v, i, axis=0) for v, i in ((xp, 0), (xp, count - 1)))
    begin = index.take(fp, 0, axis=0) if left is None else cast_to(left, dtype)
    end = index.take(fp, count - 1, axis=0) if right is None else cast_to(right, dtype)
    made: Out = switch(lt(x, first), begin, switch(gt(x, last), end, switch(eq(x, last), index.take(fp, count - 1, axis=0), inner)))
    return made


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Points of one period in order, with the last one before and the first one behind them."""
    turned = xp % period
    order = argsort(turned)
    places, values = index.take(turned, order, axis=0), index.take(fp, order, axis=0)
    ends = [(places[-1:] - period, values[-1:]), (places, values), (places[:1] + period, values[:1])]
    return x % period, index.concat(*(p for p, _ in ends), axis=0), index.concat(*(v for _, v in ends), axis=0)
