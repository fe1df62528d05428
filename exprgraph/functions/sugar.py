"""Other names of the elementwise rows, and small elementwise functions composed of them."""
from __future__ import annotations

import builtins
import functools
import math
from typing import Any

from exprgraph import dtypes
from exprgraph.errors import CallError, UseError, at, here, shortly
from exprgraph.functions.complexes import imag, real
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import absolute, add, deg2rad, int_div, mod, mul, neg, rad2deg, reciprocal, sign, sqr, sub, true_div
from exprgraph.ops.bits import and_, invert, left_shift, or_, right_shift, xor
from exprgraph.ops.compare import clip as clip_row
from exprgraph.ops.compare import eq, ge, gt, isfinite, isnan, le, lt, maximum, minimum, neq, switch, truth
from exprgraph.ops.complexes import complex_
from exprgraph.ops.reduce import all_
from exprgraph.ops.rounding import cast, identity, round_half_away_from_zero, round_half_to_even, second
from exprgraph.ops.transcendental import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    exp,
    expm1,
    log,
    log1p,
    logaddexp,
    power,
    sigmoid,
    sin,
    softplus,
)
from exprgraph.types import cast_to, promoted

where = switch
abs_, sgn, inv, square, pow = absolute, sign, reciprocal, sqr, power
subtract, multiply, divide, true_divide, negative, positive = sub, mul, true_div, true_div, neg, identity
floor_div, floor_divide, remainder = int_div, int_div, mod
less, less_equal, greater, greater_equal, equal, not_equal, ne = lt, le, gt, ge, eq, neq, neq
bitwise_and, bitwise_or, bitwise_xor, bitwise_not, bitwise_invert = and_, or_, xor, invert, invert
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
asin, acos, atan, atan2, asinh, acosh, atanh = arcsin, arccos, arctan, arctan2, arcsinh, arccosh, arctanh
radians, degrees, rint, fill = deg2rad, rad2deg, round_half_to_even, second
expit, log1pexp = sigmoid, softplus
LN2 = math.log(2)
ROUNDINGS = {"half_to_even": round_half_to_even, "half_away_from_zero": round_half_away_from_zero}


def round(x: Any, mode: str = "half_to_even", decimals: int = 0) -> Out:
    """The nearest number of so many decimals, in the dtype of x; halves go to the even one, or away from zero with mode
    "half_away_from_zero".  Negative decimals round to tens, hundreds, ..."""
    if not isinstance(mode, str) or mode not in ROUNDINGS:
        raise UseError(f"round: mode must be one of {', '.join(map(repr, ROUNDINGS))}, not {shortly(mode)}{at(here())}")
    out = as_symbol(x)
    if not decimals or (decimals > 0 and not dtypes.is_float(out.dtype)):
        return ROUNDINGS[mode](out)
    wide: Any = out if dtypes.is_float(out.dtype) else cast(out, "float64")
    scale = 10.0 ** builtins.abs(decimals)
    scaled = ROUNDINGS[mode](wide * scale if decimals > 0 else wide / scale)
    return cast_to(true_div(scaled, scale) if decimals > 0 else mul(scaled, scale), out.dtype)


def iround(x: Any, mode: str = "half_to_even") -> Out:
    """`round` as int64."""
    return cast(round(x, mode), "int64")


def divmod(a: Any, b: Any) -> tuple[Out, Out]:
    """The quotient rounded down and the remainder."""
    return int_div(a, b), mod(a, b)


def ceil_intdiv(a: Any, b: Any) -> Out:
    """The quotient of integers rounded up."""
    quotient = int_div(a, b)
    if quotient.dtype in dtypes.UNSIGNED:
        return add(quotient, cast(neq(mod(a, b), 0), quotient.dtype))
    return neg(int_div(neg(a), b))


def _several(name: str, values: tuple[Any, ...]) -> list[Any]:
    if not values:
        raise CallError(f"{name} takes at least one argument{at(here())}")
    return [v if dtypes.is_weak(v) else as_symbol(v) for v in values]


def smallest(*values: Any) -> Out:
    """The elementwise minimum of any number of values."""
    return as_symbol(functools.reduce(minimum, _several("smallest", values)))


def largest(*values: Any) -> Out:
    """The elementwise maximum of any number of values."""
    return as_symbol(functools.reduce(maximum, _several("largest", values)))


def clip(x: Any, min: Any = None, max: Any = None) -> Out:
    """x no less than min and no more than max, each of which may be None; NaN stays, and max wins where it is below min."""
    if min is not None and max is not None:
        return clip_row(x, min, max)
    floor = as_symbol(x) if min is None else maximum(x, min)
    return floor if max is None else minimum(floor, max)


def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Out:
    """Whether abs(a - b) <= atol + rtol * abs(b), or both are the same infinity; NaN is close to NaN only with equal_nan."""
    dtype = dtypes.as_float(promoted((a, b)))
    x, y = cast_to(a, dtype), cast_to(b, dtype)
    near = and_(le(absolute(sub(x, y)), add(mul(absolute(y), rtol), atol)), isfinite(y))
    close = or_(near, eq(x, y))
    return or_(close, and_(isnan(x), isnan(y))) if equal_nan else close


def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Out:
    """Whether all elements are close, a scalar."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


def logical_and(a: Any, b: Any) -> Out:
    """Whether neither is zero."""
    return and_(truth(a), truth(b))


def logical_or(a: Any, b: Any) -> Out:
    """Whether one is not zero."""
    return or_(truth(a), truth(b))


def logical_xor(a: Any, b: Any) -> Out:
    """Whether exactly one is not zero."""
    return xor(truth(a), truth(b))


def logical_not(x: Any) -> Out:
    """Whether it is zero."""
    return invert(truth(x))


def nan_to_num(x: Any, nan: Any = 0, posinf: Any = None, neginf: Any = None) -> Out:
    """x with NaN and the infinities replaced by numbers: 0 and the limits of its dtype unless said otherwise."""
    out = as_symbol(x)
    if dtypes.is_complex(out.dtype):
        return complex_(*[nan_to_num(part, nan, posinf, neginf) for part in (real(out), imag(out))])
    if not dtypes.is_float(out.dtype):
        return out
    limit, inf = dtypes.largest(out.dtype), float("inf")
    bounded = switch(eq(out, inf), limit if posinf is None else posinf, switch(eq(out, -inf), -limit if neginf is None else neginf, out))
    return switch(isnan(out), nan, bounded)


def logaddexp2(a: Any, b: Any) -> Out:
    """log2(2**a + 2**b) without overflow."""
    x, y = (mul(cast_to(v, dtypes.as_float(promoted((a, b)))), LN2) for v in (a, b))
    return true_div(logaddexp(x, y), LN2)


def log1mexp(x: Any) -> Out:
    """log(1 - exp(x)) for negative x, exact for x near 0 and for x far below."""
    near = gt(x, -LN2)
    small, large = switch(near, x, -1.0), switch(near, -1.0, x)
    return switch(near, log(neg(expm1(small))), log1p(neg(exp(large))))


def fmax(a: Any, b: Any) -> Out:
    """The larger of the two, or the one that is not NaN."""
    return switch(isnan(a), b, switch(isnan(b), a, maximum(a, b)))


def fmin(a: Any, b: Any) -> Out:
    """The smaller of the two, or the one that is not NaN."""
    return switch(isnan(a), b, switch(isnan(b), a, minimum(a, b)))


def heaviside(x: Any, h0: Any) -> Out:
    """0 for negative x, 1 for positive x, h0 for x = 0; NaN stays."""
    dtype = dtypes.as_float(promoted((x, h0)))
    out: Any = cast_to(x, dtype)
    return switch(eq(out, 0), cast_to(h0, dtype), switch(gt(out, 0), 1.0, switch(isnan(out), out, 0.0)))


def sinc(x: Any) -> Out:
    """sin(pi x) / (pi x), 1 at 0."""
    angle: Any = mul(cast_to(x, dtypes.as_float(promoted((x,)))), math.pi)
    zero = eq(angle, 0)
    safe = switch(zero, 1.0, angle)
    return switch(zero, 1.0, true_div(sin(safe), safe))
