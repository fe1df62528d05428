"""Values and how often they occur: unique, bincount, histogram, membership; sizes that depend on values are decided by each call."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.errors import DTypeError, ShapeError, UseError, at, here, shortly
from exprgraph.functions.selecting import flatnonzero, natural
from exprgraph.functions.shaping import ravel
from exprgraph.functions.sorting import searchsorted
from exprgraph.node import OPERATORS, Out, as_symbol, make_constant
from exprgraph.ops import index
from exprgraph.ops import sort as rows
from exprgraph.ops.bits import invert as flipped
from exprgraph.ops.compare import clip, eq, isnan, maximum, neq, switch
from exprgraph.ops.create import iota
from exprgraph.ops.reduce import max_, min_, sum_
from exprgraph.ops.scan import cumsum
from exprgraph.ops.shape import broadcast_to, dim_node, reshape, shape_of
from exprgraph.types import cast_to, known_size, promoted, size_argument

__all__ = ["Unique", "bincount", "histogram", "histogram_bin_edges", "isin", "union1d", "intersect1d", "setdiff1d", "unique"]


def unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: Any = None,
           equal_nan: bool = True) -> Any:
    """The values that occur in the flattened tensor, ascending, as a vector whose length each call decides.

    With return_index, return_inverse, return_counts a tuple that also has the first place of each value, for each element the place of its
    value (in the shape of `ar`), and how often each value occurs; all int64.  NaNs are one value unless `equal_nan` is False.
    """
    if axis is not None:
        raise UseError(f"unique works on the flattened tensor: an axis is not supported{at(here())}")
    out = as_symbol(ar)
    flat = ravel(out)
    order = rows.argsort(flat, axis=0) if return_index or return_inverse else None
    ordered: Any = rows.sort(flat, axis=0) if order is None else rows.pick(flat, order)
    first = _first(ordered, equal_nan)
    starts = flatnonzero(first)
    found = [rows.pick(ordered, starts)]
    if return_index and order is not None:
        found.append(rows.pick(order, starts))
    if return_inverse and order is not None:
        groups = index.scatter_add(order, cumsum(cast_to(first, "int64"), axis=0) - 1, shape_of(flat)[0], axis=0)
        found.append(reshape(groups, *shape_of(out)))
    if return_counts:
        found.append(_gaps(starts, shape_of(flat)[0]))
    return tuple(found) if len(found) > 1 else found[0]


def _first(ordered: Any, equal_nan: bool) -> Out:
    """Whether an element of a sorted vector differs from the one before it."""
    place: Any = iota(shape_of(ordered)[0])
    before = rows.pick(ordered, maximum(place - 1, 0))
    differs: Any = neq(ordered, before)
    if equal_nan and dtypes.is_float(ordered.dtype):
        differs = differs & flipped(isnan(ordered) & isnan(before))
    made: Out = eq(place, 0) | differs
    return made


def _gaps(starts: Any, end: Any) -> Out:
    """How far it is from each start to the next one, or to the end."""
    ends = index.concat(starts, reshape(end, 1), axis=0)
    made: Out = ends[1:] - starts
    return made


def Unique(return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: Any = None) -> Any:
    """`unique` under its Theano name: options first, then the tensor."""
    return lambda x: unique(x, return_index, return_inverse, return_counts, axis)


def bincount(x: Any, weights: Any = None, minlength: Any = None, assert_nonneg: bool = False) -> Out:
    """How often each of 0, 1, ... occurs in an integer vector, or the sums of `weights` there.

    The length is one more than the largest element, and at least `minlength`; each call decides it.  int64, with weights their dtype.
    ValueFault for a negative element; `assert_nonneg` is accepted, since that is always checked.
    """
    out = as_symbol(x)
    if out.ndim != 1 or not (dtypes.is_int(out.dtype) or out.dtype == "bool"):
        raise DTypeError(f"bincount takes a vector of integers, not {out.type}{at(here())}")
    places: Any = natural(cast_to(out, "int64"))
    top = max_(index.concat(places, as_symbol(np.array([-1], "int64")), axis=0)) + 1
    least = cast_to(0 if minlength is None else minlength, "int64")
    size = known_size(maximum(top, least))
    given = make_constant(1, "int64") if weights is None else as_symbol(weights)
    each = broadcast_to(given, *shape_of(places)) if weights is None else given
    return index.scatter_add(places, each, size, axis=0)



def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None) -> Out:
    """The edges of the intervals that `histogram` counts in, ascending; an int64 or float vector.

    bins: how many intervals of equal width lie between the least and the greatest element (or within `range`, a pair), or the edges.
    """
    out = as_symbol(a)
    if np.ndim(bins) or (isinstance(bins, Out) and bins.ndim):
        return as_symbol(bins)
    if not isinstance(bins, Out) and (isinstance(bins, str) or int(bins) < 1):
        raise ShapeError(f"histogram: bins must be a positive integer or a vector of edges, not {shortly(bins)}{at(here())}")
    low, high = _ends(cast_to(out, dtypes.as_float(out.dtype)), range)
    half: Any = switch(eq(low, high), cast_to(0.5, low.dtype), cast_to(0, low.dtype))
    first, last = low - half, high + half
    place: Any = iota(OPERATORS["add"](size_argument(bins), 1))
    inner: Any = first + cast_to(place, low.dtype) * ((last - first) / cast_to(bins, low.dtype))
    made: Out = switch(place < bins, inner, last)
    return made


def _ends(values: Any, given: Any) -> tuple[Any, Any]:
    """The range of the values, 0 to 1 where there are none, or the one that was given."""
    if given is not None:
        low, high = given
        if not isinstance(low, Out) and not isinstance(high, Out) and not -np.inf < low <= high < np.inf:
            raise ShapeError(f"histogram: the range must be two finite numbers in order, not {given}{at(here())}")
        return cast_to(low, values.dtype), cast_to(high, values.dtype)
    flat, none = ravel(values), eq(dim_node(product(values.type.shape)), 0)
    low, high = (fold(index.concat(flat, make_constant([edge], values.dtype), axis=0)) for fold, edge in ((min_, np.inf), (max_, -np.inf)))
    return switch(none, cast_to(0, values.dtype), low), switch(none, cast_to(1, values.dtype), high)


def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> tuple[Out, Out]:
    """How many elements lie in each interval, int64, and the edges, as numpy.histogram; what lies outside and NaN are not counted.

    weights: what each element counts, in the shape of `a`; the counts then have their dtype.  density: counts divided by their sum and the
    widths of the intervals.
    """
    out = as_symbol(a)
    edges = histogram_bin_edges(out, bins, range)
    common = promoted([out, edges])
    values, marks = ravel(cast_to(out, common)), cast_to(edges, common)
    last: Any = shape_of(marks)[0] - 1
    place: Any = searchsorted(marks, values, "right") - 1
    place = switch(eq(values, index.take(marks, last, axis=0)), last - 1, place)
    inside = (place >= 0) & (place < last)
    each = ravel(as_symbol(weights)) if weights is not None else make_constant(1, "int64")
    counted = switch(inside, each, cast_to(0, each.dtype))
    counts: Any = index.scatter_add(clip(place, 0, maximum(last - 1, 0)), counted, last, axis=0)
    if density:
        counts = cast_to(counts, dtypes.as_float(marks.dtype)) / sum_(cast_to(counts, dtypes.as_float(marks.dtype)))
        counts = counts / cast_to(marks[1:] - marks[:-1], counts.dtype)
    return counts, edges


def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None) -> Out:
    """For each element whether it occurs in `test_elements`; bool, in the shape of `element`.  assume_unique and kind are accepted."""
    common = promoted([element, test_elements])
    values, among = cast_to(element, common), ravel(cast_to(test_elements, common))
    ordered = rows.sort(among, axis=0)
    place: Any = searchsorted(ordered, values)
    padded = index.concat(ordered, make_constant([0], common), axis=0)
    found: Any = (place < shape_of(among)[0]) & eq(rows.pick(padded, place), values)
    return flipped(found) if invert else found


def union1d(ar1: Any, ar2: Any) -> Out:
    """The values that occur in either of two flattened tensors, ascending, each once."""
    common = promoted([ar1, ar2])
    made: Out = unique(index.concat(ravel(cast_to(ar1, common)), ravel(cast_to(ar2, common)), axis=0))
    return made


def intersect1d(ar1: Any, ar2: Any) -> Out:
    """The values that occur in both of two flattened tensors, ascending, each once."""
    values: Any = unique(ar1)
    return index.take(values, flatnonzero(isin(values, ar2)), axis=0)


def setdiff1d(ar1: Any, ar2: Any) -> Out:
    """The values that occur in the first flattened tensor and not in the second one, ascending, each once."""
    values: Any = unique(ar1)
    return index.take(values, flatnonzero(isin(values, ar2, invert=True)), axis=0)
