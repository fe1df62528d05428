"""What is said of samples and of curves: average, cov, corrcoef, count_nonzero, trapezoid, diff, ediff1d."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.errors import RankError, UseError, at, here, shortly
from exprgraph.functions.complexes import conj, imag, real
from exprgraph.functions.indexing import diagonal, getitem
from exprgraph.functions.indexing import diff as differences
from exprgraph.functions.joining import concatenate
from exprgraph.functions.shaping import broadcast_to, moveaxis, ravel
from exprgraph.functions.stats import as_floats, extent, mean
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import sqrt
from exprgraph.ops.compare import clip, maximum, neq
from exprgraph.ops.complexes import complex_
from exprgraph.ops.reduce import sum_
from exprgraph.ops.shape import dimshuffle, shape_of
from exprgraph.types import cast_to, normal_axes, normal_axis, promoted

Axis = int | Sequence[int] | None


def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, keepdims: bool = False) -> Any:
    """The mean, or the weighted mean: sum(a * weights) / sum(weights) over the axes.

    weights have the shape of a, or are a vector along the one axis named.  With returned a pair: the mean and the sum of the weights.
    """
    out: Any = as_floats(a)
    if weights is None:
        found = mean(out, axis, keepdims=keepdims)
        count = cast_to(extent(out, axis, dtypes.part(out.dtype)), found.dtype)
        return (found, broadcast_to(count, shape_of(found))) if returned else found
    out, w = _promoted(out, weights)
    if w.ndim != out.ndim:
        axes = normal_axes(axis, out.ndim)
        if w.ndim != len(axes) or len(axes) != 1:
            raise RankError(f"average: weights of {w.ndim} axes for a tensor of {out.ndim}, averaged over axis {axis}{at(here())}")
        w = dimshuffle(w, pattern=[0 if i == axes[0] else -1 for i in range(out.ndim)])
    w = broadcast_to(w, shape_of(out))
    scale: Any = sum_(w, axis=axis, keepdims=keepdims)
    found = sum_(out * w, axis=axis, keepdims=keepdims) / scale
    return (found, scale) if returned else found


def _promoted(out: Out, weights: Any) -> tuple[Any, Any]:
    w = as_symbol(weights)
    common = promoted([out, w])
    return cast_to(out, common), cast_to(w, common)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
        aweights: Any = None) -> Out:
    """The covariances of the variables in the rows of a matrix (in its columns without rowvar) over the observations; a vector is one row.

    y: further variables.  The sum is divided by the number of observations less ddof, which is 1, or 0 with bias.  fweights: how often
    each observation counts, integers; aweights: how much each weighs.  A matrix, or a scalar for one variable.
    """
    if ddof is not None and (isinstance(ddof, bool) or not isinstance(ddof, int)):
        raise UseError(f"cov: ddof must be an integer or None, not {shortly(ddof)}{at(here())}")
    data: Any = _variables(m, rowvar)
    if y is not None:
        data = concatenate([data, _variables(y, rowvar)], 0)
    less = (0 if bias else 1) if ddof is None else ddof
    w = _weights(data, fweights, aweights)
    if w is None:
        apart = data - mean(data, axis=1, keepdims=True)
        found = apart @ conj(apart.T) / maximum(extent(data, 1, dtypes.part(data.dtype)) - less, 0)
    else:
        total: Any = sum_(w)
        apart = data - sum_(data * w, axis=1, keepdims=True) / total
        scale = total if aweights is None or not less else total - less * sum_(w * cast_to(aweights, w.dtype)) / total
        scale = scale - less if aweights is None else scale
        found = (apart * w) @ conj(apart.T) / maximum(scale, 0)
    return getitem(found, (0, 0)) if data.type.shape[0].const == 1 else found


def _variables(m: Any, rowvar: bool) -> Out:
    out: Any = as_floats(m)
    if out.ndim > 2:
        raise RankError(f"cov takes a matrix or a vector, not a tensor of {out.ndim} axes{at(here())}")
    if out.ndim < 2:
        return dimshuffle(ravel(out), pattern=[-1, 0])
    return out if rowvar else out.T  # type: ignore[no-any-return]


def _weights(data: Out, *given: Any) -> Any:
    found: Any = None
    for w in given:
        if w is not None:
            weight = cast_to(w, dtypes.part(data.dtype))
            if weight.ndim != 1:
                raise RankError(f"cov: weights are a vector, not a tensor of {weight.ndim} axes{at(here())}")
            found = weight if found is None else found * weight
    return found


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Out:
    """The correlations of the variables in the rows: their covariances over the products of their standard deviations, within -1 and 1."""
    found: Any = cov(x, y, rowvar)
    if not found.ndim:
        return found / found  # type: ignore[no-any-return]
    deviations: Any = sqrt(real(diagonal(found)))
    scaled = found / dimshuffle(deviations, pattern=[0, -1]) / deviations
    if dtypes.is_complex(scaled.dtype):
        return complex_(*[clip(part, -1, 1) for part in (real(scaled), imag(scaled))])
    return clip(scaled, -1, 1)


def count_nonzero(a: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """The number of elements over the axes that are not 0, int64; NaN is not 0."""
    return sum_(neq(as_symbol(a), 0), axis=axis, keepdims=keepdims)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Out:
    """The integral of y along an axis by the trapezoidal rule, at points x (a vector, or of the shape of y) or dx apart."""
    curve: Any = moveaxis(as_floats(y), axis, -1)
    if x is None:
        gaps: Any = dx
    else:
        points = as_symbol(x)
        gaps = diff(points if points.ndim == 1 else moveaxis(points, axis, -1))
    late, soon = (getitem(curve, (..., s)) for s in (slice(1, None), slice(None, -1)))
    pairs: Any = (late + soon) / 2
    return sum_(pairs * gaps, axis=-1)


def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Out:
    """The differences of neighbours along an axis, taken n times; of bools whether they differ.

    prepend and append: what is put before and behind the elements first, tensors or scalars (of length 1 along the axis).
    """
    out = as_symbol(a)
    axis = normal_axis(axis, out.ndim)
    ends = [[] if end is None else [_end(end, out, axis)] for end in (prepend, append)]
    return differences(concatenate([*ends[0], out, *ends[1]], axis) if any(ends) else out, n, axis)


def _end(value: Any, like: Out, axis: int) -> Out:
    end = cast_to(value, like.dtype)
    return end if end.ndim else broadcast_to(end, [1 if k == axis else n for k, n in enumerate(shape_of(like))])


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Out:
    """The differences of neighbours of the flattened tensor, between two other vectors or numbers."""
    flat = ravel(ary)
    parts = [p if p is None else ravel(cast_to(p, flat.dtype)) for p in (to_begin, diff(flat), to_end)]
    return concatenate([p for p in parts if p is not None], 0)
