"""Elementwise exponentials, logarithms, powers, circular and hyperbolic functions, and stable functions made of them."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.dtypes import FLOATS, as_float, has_gradient
from exprgraph.errors import at, here
from exprgraph.node import Op, Out, Refusal, as_symbol, constant_value
from exprgraph.ops.arithmetic import NUMBERS, Cotangents, sqr, sqrt
from exprgraph.ops.bits import and_
from exprgraph.ops.compare import eq, isinf, lt, switch
from exprgraph.ops.pair import (
    Formula,
    cosine,
    exponential,
    exponential_less_one,
    logarithm,
    logarithm_of_more,
    scaled,
    sine,
    tangent,
)
from exprgraph.ops.pair import (
    cosh as pair_cosh,
)
from exprgraph.ops.pair import (
    power as pair_power,
)
from exprgraph.ops.pair import (
    sinh as pair_sinh,
)
from exprgraph.ops.pair import (
    tanh as pair_tanh,
)
from exprgraph.ops.rows import ANY, Grad, row, table
from exprgraph.types import Accepted, elementwise, same

Interval = tuple[float, float]
POSITIVE, INSIDE, BEYOND = (0.1, 5.0), (-0.9, 0.9), (1.1, 5.0)
LN2, LN10, SLOPE = math.log(2), math.log(10), 2 / math.sqrt(math.pi)


def _float(name: str, numpy: Callable[..., Any], c: str, grad: Grad, ulp: float, doc: str, domain: Sequence[Interval] = (ANY,),
           flags: str = "", pair: Formula | None = None) -> Op:
    """A row that computes in floats; ulp is OpenCL's bound for the builtin."""
    return row(name, numpy, c, grad, arity=len(domain), takes=FLOATS, compute=as_float, domain=domain, ulp=ulp,
               flags="expensive smooth " + flags, doc=doc, pair=pair)


def _one(name: str, numpy: Callable[..., Any], grad: Grad, ulp: float, doc: str, domain: Interval = ANY, builtin: str = "",
         pair: Formula | None = None) -> Op:
    """A function of one argument that OpenCL has too, by the name of `builtin` where that differs."""
    return _float(name, numpy, f"eg_{builtin or name}_{{N}}({{0}})", grad, ulp, doc, (domain,), pair=pair)


def _by_element(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of Python's math module on arrays, which NumPy has no loop for; computed in float64."""
    loop = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(loop(x.astype("float64"))).astype(x.dtype)


def _sigmoid(x: Any) -> Any:
    one, e = x.dtype.type(1), np.exp(-np.abs(x))
    return np.where(x >= 0, one, e) / (one + e)


def _softplus(x: Any) -> Any:
    return np.where(x > 0, x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x)))


def _arctan2_grad(g: Out, y: Out, a: Out, b: Out) -> Cotangents:
    scaled = g / (a * a + b * b)
    return scaled * b, -scaled * a


def _hypot_grad(g: Out, y: Out, a: Out, b: Out) -> Cotangents:
    scaled = g / switch(eq(y, 0), 1, y)
    return scaled * a, scaled * b


def _logaddexp_grad(g: Out, y: Out, a: Out, b: Out) -> Cotangents:
    gap = switch(and_(eq(a, b), isinf(a)), 0, a - b)
    return g * sigmoid(gap), g * sigmoid(-gap)


def _power(a: Any, b: Any) -> Any:
    """C's power: newer NumPys take the root for a single exponent of 0.5, with another answer for -infinity and -0.0."""
    found = np.power(a, b)
    return np.where((b == 0.5) & ((a == 0) | (a == -np.inf)), np.abs(a), found) if a.dtype.kind == "f" else found


def _pow_accept(*args: Any) -> Accepted:
    if len(args) == 2:
        _refuse_negative_power(as_symbol(args[0]), as_symbol(args[1]))
    return _pow_promote(*args)


def _refuse_negative_power(base: Out, exponent: Out) -> None:
    """Integers to a negative constant power are an error, as in NumPy; exponents that a call brings are left to the call."""
    known = constant_value(exponent)
    if known is not None and known.dtype.kind == "i" and not has_gradient(base.dtype) and (known < 0).any():
        raise ValueError(f"integers to negative integer powers are not allowed: {base.dtype} ** {known.min()}; "
                         f"cast the base to a float{at(here())}")


def _negative_powers(inputs: tuple[Out, ...]) -> list[Refusal]:
    """What only a call can know: the negative exponents of integers."""
    exponent = inputs[1]
    known = constant_value(exponent)
    if not exponent.dtype.startswith("int") or (known is not None and bool((known >= 0).all())):
        return []
    message = f"pow: integers to negative integer powers are not allowed: {exponent.dtype} ** {{index}}; cast the base to a float"
    return [Refusal(lt(exponent, 0), exponent, message)]


def _pow_grad(g: Out, y: Out, a: Out, b: Out) -> Cotangents:
    """Safe at 0**0 (no slope) and at 0**b (no slope for b); a constant exponent builds no logarithm."""
    known = constant_value(b)
    if known is None:
        at_zero = eq(a, 0)
        base = switch(and_(at_zero, eq(b, 0)), 1, a)
        return g * b * base ** (b - 1), g * switch(at_zero, 0, y) * log(switch(at_zero, 1, a))
    if known.ndim:
        return g * b * switch(and_(eq(a, 0), known == 0), 1, a) ** (known - 1), None
    exponent = complex(known)
    return _constant_power_grad(g, a, exponent if exponent.imag else exponent.real), None


def _constant_power_grad(g: Out, a: Out, exponent: complex) -> Out | None:
    if exponent in (0.0, 1.0):
        return g if exponent else None
    slope: Out = g * exponent * (a if exponent == 2.0 else a ** (exponent - 1.0))
    return slope


_pow_promote = elementwise("pow", 2, NUMBERS, same)

exp = _one("exp", np.exp, lambda g, y, x: (g * y,), 3.0, "e to the power x.", pair=exponential)
exp2 = _one("exp2", np.exp2, lambda g, y, x: (g * y * LN2,), 3.0, "2 to the power x.", pair=scaled(exponential, LN2))
expm1 = _one("expm1", np.expm1, lambda g, y, x: (g * exp(x),), 3.0, "exp(x) - 1, exact for small x.", pair=exponential_less_one)
log = _one("log", np.log, lambda g, y, x: (g / x,), 3.0, "The natural logarithm.", POSITIVE, pair=logarithm)
log2 = _one("log2", np.log2, lambda g, y, x: (g / (x * LN2),), 3.0, "The logarithm to base 2.", POSITIVE,
            pair=scaled(logarithm, after=1 / LN2))
log10 = _one("log10", np.log10, lambda g, y, x: (g / (x * LN10),), 3.0, "The logarithm to base 10.", POSITIVE,
             pair=scaled(logarithm, after=1 / LN10))
log1p = _one("log1p", np.log1p, lambda g, y, x: (g / (x + 1),), 2.0, "log(1 + x), exact for small x.", (-0.9, 5.0),
             pair=logarithm_of_more)
sin = _one("sin", np.sin, lambda g, y, x: (g * cos(x),), 4.0, "The sine of an angle in radians.", pair=sine)
cos: Op = _one("cos", np.cos, lambda g, y, x: (-g * sin(x),), 4.0, "The cosine of an angle in radians.", pair=cosine)
tan = _one("tan", np.tan, lambda g, y, x: (g * (sqr(y) + 1),), 5.0, "The tangent of an angle in radians.", (-1.2, 1.2),
           pair=tangent)
arcsin = _one("arcsin", np.arcsin, lambda g, y, x: (g / sqrt((1 - x) * (x + 1)),), 4.0, "The angle whose sine is x.", INSIDE, "asin")
arccos = _one("arccos", np.arccos, lambda g, y, x: (-g / sqrt((1 - x) * (x + 1)),), 4.0, "The angle whose cosine is x.", INSIDE, "acos")
arctan = _one("arctan", np.arctan, lambda g, y, x: (g / (sqr(x) + 1),), 5.0, "The angle whose tangent is x.", ANY, "atan")
sinh = _one("sinh", np.sinh, lambda g, y, x: (g * cosh(x),), 4.0, "The hyperbolic sine.", pair=pair_sinh)
cosh: Op = _one("cosh", np.cosh, lambda g, y, x: (g * sinh(x),), 4.0, "The hyperbolic cosine.", pair=pair_cosh)
tanh = _one("tanh", np.tanh, lambda g, y, x: (g * (1 - sqr(y)),), 5.0, "The hyperbolic tangent.", pair=pair_tanh)
arcsinh = _one("arcsinh", np.arcsinh, lambda g, y, x: (g / sqrt(sqr(x) + 1),), 4.0, "The inverse of sinh.", ANY, "asinh")
arccosh = _one("arccosh", np.arccosh, lambda g, y, x: (g / sqrt((x - 1) * (x + 1)),), 4.0, "The inverse of cosh.", BEYOND, "acosh")
arctanh = _one("arctanh", np.arctanh, lambda g, y, x: (g / ((1 - x) * (x + 1)),), 5.0, "The inverse of tanh.", INSIDE, "atanh")
erf = _one("erf", _by_element(math.erf), lambda g, y, x: (g * SLOPE * exp(-sqr(x)),), 16.0, "The error function.")
erfc = _one("erfc", _by_element(math.erfc), lambda g, y, x: (g * -SLOPE * exp(-sqr(x)),), 16.0, "1 - erf(x), exact for large x.")
sigmoid = _float("sigmoid", _sigmoid, "eg_sigmoid_{N}({0})", lambda g, y, x: (g * y * (1 - y),), 8.0, "1 / (1 + exp(-x)), for every x.")
softplus = _float("softplus", _softplus, "eg_softplus_{N}({0})", lambda g, y, x: (g * sigmoid(x),), 6.0, "log(1 + exp(x)), for every x.")
logaddexp = _float("logaddexp", np.logaddexp, "eg_logaddexp_{N}({0}, {1})", _logaddexp_grad, 6.0, "log(exp(a) + exp(b)), stable.",
                   ((0.1, 3.0), (0.1, 3.0)), "commutative")
arctan2 = _float("arctan2", np.arctan2, "eg_atan2_{N}({0}, {1})", _arctan2_grad, 6.0, "The angle of the point (b, a).", (POSITIVE, ANY))
hypot = _float("hypot", np.hypot, "eg_hypot_{N}({0}, {1})", _hypot_grad, 4.0, "sqrt(a*a + b*b) without overflow.", (POSITIVE, ANY),
               "commutative")
power = row("pow", _power, "eg_pow_{N}({0}, {1})", _pow_grad, arity=2, accept=_pow_accept,
            domain=(POSITIVE, (-2.0, 2.0)), ulp=16.0, flags="expensive smooth", refuses=_negative_powers, pair=pair_power,
            doc="a to the power b; integers wrap.  A negative integer power of integers is a ValueError.")

TABLE = table([
    exp, exp2, expm1, log, log2, log10, log1p, sin, cos, tan, arcsin, arccos, arctan, sinh, cosh, tanh, arcsinh, arccosh, arctanh,
    erf, erfc, sigmoid, softplus, logaddexp, arctan2, hypot, power])
