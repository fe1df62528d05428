"""Statistics, composed of reductions: mean, var, std, ptp, max_and_argmax, logsumexp."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.functions.complexes import imag, real
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import add, sqr, sqrt
from exprgraph.ops.compare import gt, isfinite, maximum, switch
from exprgraph.ops.reduce import argmax, max_, min_, sum_
from exprgraph.ops.rounding import cast
from exprgraph.ops.shape import dim_node, dimshuffle
from exprgraph.ops.transcendental import exp, log
from exprgraph.types import cast_to, normal_axes

Axis = int | Sequence[int] | None


def as_floats(x: Any, dtype: Any = None) -> Out:
    """A tensor of the float dtype asked for; else of its own, and floatX for integers and bool."""
    out = as_symbol(x)
    return cast_to(out, dtypes.as_float(out.dtype) if dtype is None else dtypes.canonical(dtype))


def extent(x: Any, axis: Axis, dtype: str) -> Any:
    """How many elements the axes hold: a number where that is known, else a scalar of the dtype."""
    total = product(x.type.shape[i] for i in normal_axes(axis, x.ndim))
    return cast(dim_node(total), dtype) if total.const is None else total.const


def mean(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Out:
    """The mean over the axes; integers and bool give floatX, and are summed exactly where 32 bits or fewer hold them.

    The mean of no elements is NaN.  That of float16 is computed in float32, so that its sum has room.
    """
    out = as_symbol(x)
    result = as_floats(out, dtype)
    if result.dtype in dtypes.NARROW:
        return cast_to(mean(out, axis, dtypes.summed_in(result.dtype), keepdims), result.dtype)
    exact = not dtypes.has_gradient(out.dtype) and out.dtype not in ("int64", "uint64")
    total = cast_to(sum_(out if exact else result, axis=axis, keepdims=keepdims), result.dtype)
    return total / extent(out, axis, dtypes.part(result.dtype))  # type: ignore[no-any-return]


def var(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False, corrected: bool = False, dtype: Any = None) -> Out:
    """The variance over the axes: the mean square distance from the mean, divided by the number of elements less ddof.

    Of complex numbers it is real.  corrected subtracts what the rounding of the mean added.  Integers and bool give floatX.  That of
    float16 is computed in float32.
    """
    out: Any = as_floats(x, dtype)
    if out.dtype in dtypes.NARROW:
        return cast_to(var(out, axis, ddof, keepdims, corrected, dtypes.summed_in(out.dtype)), out.dtype)
    count = extent(out, axis, dtypes.part(out.dtype))
    apart = out - mean(out, axis, keepdims=True)
    total: Any = sum_(squared_size(apart), axis=axis, keepdims=keepdims)
    if corrected:
        total = total - squared_size(sum_(apart, axis=axis, keepdims=keepdims)) / count
    below = maximum(count - ddof, 0) if isinstance(count, Out) else max(count - ddof, 0)
    return total / below  # type: ignore[no-any-return]


def squared_size(x: Any) -> Any:
    """x * x, of a complex number the square of its absolute value."""
    return add(sqr(real(x)), sqr(imag(x))) if dtypes.is_complex(x.dtype) else sqr(x)


def std(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False, corrected: bool = False, dtype: Any = None) -> Out:
    """The square root of `var`; its gradient where the variance is 0 is 0."""
    out = as_floats(x, dtype)
    if out.dtype in dtypes.NARROW:
        return cast_to(std(out, axis, ddof, keepdims, corrected, dtypes.summed_in(out.dtype)), out.dtype)
    return safe_sqrt(var(x, axis, ddof, keepdims, corrected, dtype))


def safe_sqrt(x: Any) -> Out:
    """The square root of what is never negative, with derivative 0 at 0."""
    positive = gt(x, 0)
    return switch(positive, sqrt(switch(positive, x, 1)), x * 0)


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """The greatest element less the least."""
    return max_(x, axis=axis, keepdims=keepdims) - min_(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def max_and_argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> tuple[Out, Out]:
    """The greatest element and its position."""
    return max_(x, axis=axis, keepdims=keepdims), argmax(x, axis=axis, keepdims=keepdims)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """log(sum(exp(x))) over the axes without overflow; -inf for no elements and for elements that are all -inf."""
    out = as_floats(x)
    top = max_(out, axis=axis, keepdims=True, shift=True)
    shift = switch(isfinite(top), top, 0)
    total: Any = log(sum_(exp(out - shift), axis=axis, keepdims=True)) + shift
    axes = normal_axes(axis, out.ndim)
    return total if keepdims or not axes else dimshuffle(total, pattern=[i for i in range(out.ndim) if i not in axes])
