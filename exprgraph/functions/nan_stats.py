"""Reductions that leave out NaN: nansum, nanmean, nanmax and their kin."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.functions.stats import as_floats, safe_sqrt
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import sqr
from exprgraph.ops.bits import invert
from exprgraph.ops.compare import isnan, maximum, switch
from exprgraph.ops.reduce import all_, argmax, argmin, max_, min_, prod, sum_
from exprgraph.ops.rounding import cast
from exprgraph.ops.scan import cumprod, cumsum

Axis = int | Sequence[int] | None
INFINITY = float("inf")


def _filled(a: Any, value: float) -> Out:
    """The tensor with NaN replaced."""
    out = as_symbol(a)
    return switch(isnan(out), value, out) if dtypes.is_float(out.dtype) or dtypes.is_complex(out.dtype) else out


def nansum(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Out:
    """The sum of the elements that are not NaN; 0 where there is none."""
    return sum_(_filled(a, 0.0), axis=axis, dtype=dtype, keepdims=keepdims)


def nanprod(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Out:
    """The product of the elements that are not NaN; 1 where there is none."""
    return prod(_filled(a, 1.0), axis=axis, dtype=dtype, keepdims=keepdims)


def nancumsum(a: Any, axis: Any = None, dtype: Any = None) -> Out:
    """`cumsum` with 0 for NaN."""
    return cumsum(_filled(a, 0.0), axis=axis, dtype=dtype)


def nancumprod(a: Any, axis: Any = None, dtype: Any = None) -> Out:
    """`cumprod` with 1 for NaN."""
    return cumprod(_filled(a, 1.0), axis=axis, dtype=dtype)


def _count(out: Out, axis: Axis, keepdims: bool) -> Any:
    """How many elements are not NaN, in the dtype of the tensor."""
    return cast(sum_(invert(isnan(out)), axis=axis, keepdims=keepdims), out.dtype)


def nanmean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Out:
    """The mean of the elements that are not NaN; NaN where there is none.  Integers and bool give floatX."""
    out = as_floats(a, dtype)
    total: Any = nansum(out, axis, keepdims=keepdims)
    return total / _count(out, axis, keepdims)  # type: ignore[no-any-return]


def nanvar(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> Out:
    """The variance of the elements that are not NaN; NaN where no more than ddof are left."""
    out: Any = as_floats(a, dtype)
    apart: Any = out - nanmean(out, axis, keepdims=True)
    total: Any = nansum(sqr(apart), axis, keepdims=keepdims)
    left = _count(out, axis, keepdims) - ddof
    return switch(left > 0, total / maximum(left, 1e-30), float("nan"))


def nanstd(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> Out:
    """The square root of `nanvar`."""
    variance = nanvar(a, axis, dtype, ddof, keepdims)
    return switch(isnan(variance), variance, safe_sqrt(variance))


def _best(reduce: Callable[..., Out], a: Any, worst: float, axis: Axis, keepdims: bool) -> Out:
    out = as_symbol(a)
    found = reduce(_filled(out, worst), axis=axis, keepdims=keepdims)
    if not dtypes.is_float(out.dtype):
        return found
    return switch(all_(isnan(out), axis=axis, keepdims=keepdims), float("nan"), found)


def nanmax(a: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """The greatest element that is not NaN; NaN where there is none."""
    return _best(max_, a, -INFINITY, axis, keepdims)


def nanmin(a: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """The least element that is not NaN; NaN where there is none."""
    return _best(min_, a, INFINITY, axis, keepdims)


def nanargmax(a: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """The position of the first greatest element that is not NaN; 0 where there is none (NumPy raises)."""
    return argmax(_filled(a, -INFINITY), axis=axis, keepdims=keepdims)


def nanargmin(a: Any, axis: Axis = None, keepdims: bool = False) -> Out:
    """The position of the first least element that is not NaN; 0 where there is none (NumPy raises)."""
    return argmin(_filled(a, INFINITY), axis=axis, keepdims=keepdims)
