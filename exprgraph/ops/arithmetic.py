"""Elementwise arithmetic: sums, products, quotients, remainders, signs, squares and roots, one row per operation."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.dtypes import FLOATS, INTS, as_float, is_complex
from exprgraph.node import OPERATORS, Op, Out
from exprgraph.ops.pair import EACH, direction, one_over, product, quotient, root, size, square
from exprgraph.ops.rows import no_slope, row, table
from exprgraph.types import to_part

Cotangents = tuple[Out | None, ...]
NUMBERS = INTS + FLOATS
NOT_ZERO = (0.3, 3.0)
WRAP = "({T})(({U}){0} %s ({U}){1})"
"""Integers go through unsigned types: signed overflow is undefined in C and wraps in NumPy."""


def _absolute(x: Any) -> Any:
    return x if x.dtype == bool else np.abs(x)


def _sign(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.sign(x)
    length = np.abs(x)
    return x / np.where(length == 0, 1, length)


def _sign_grad(g: Any, y: Any, x: Out) -> Cotangents:
    """A complex direction has a slope across itself."""
    if not is_complex(x.dtype):
        return (None,)
    length: Any = absolute(x)
    across = (g - y * y * OPERATORS["conj"](g)) * 0.5
    return (across / OPERATORS["switch"](OPERATORS["eq"](length, 0), 1, length),)


def _mod_grad(g: Out, y: Out, a: Out, b: Out) -> Cotangents:
    return g, -g * int_div(a, b)


add = row("add", np.add, {"f": "{0} + {1}", "b": "{0} | {1}", "*": WRAP % "+"}, lambda g, y, a, b: (g, g), arity=2,
          flags="commutative smooth", pair=EACH, doc="a + b; integers wrap; `or` for bool.")
sub = row("sub", np.subtract, {"f": "{0} - {1}", "*": WRAP % "-"}, lambda g, y, a, b: (g, -g), arity=2, takes=NUMBERS,
          flags="smooth", pair=EACH, doc="a - b; integers wrap.")
mul = row("mul", np.multiply, {"f": "{0} * {1}", "b": "{0} & {1}", "*": WRAP % "*"}, lambda g, y, a, b: (g * b, g * a), arity=2,
          flags="commutative smooth", pair=product, doc="a * b; integers wrap; `and` for bool.")
true_div = row("true_div", np.true_divide, "{0} / {1}", lambda g, y, a, b: (g / b, -g * y / b), arity=2, takes=FLOATS, compute=as_float,
               domain=((-3.0, 3.0), NOT_ZERO), ulp=2.5, flags="smooth", pair=quotient, doc="a / b in floats; integers give floatX.")
int_div = row("int_div", np.floor_divide, "eg_floordiv_{N}({0}, {1})", no_slope(2), arity=2, takes=NUMBERS,
              domain=((-3.0, 3.0), NOT_ZERO), flags="zero_grad", doc="The quotient rounded down; integers over zero give 0.")
mod = row("mod", np.remainder, "eg_mod_{N}({0}, {1})", _mod_grad, arity=2, takes=NUMBERS, domain=((-3.0, 3.0), NOT_ZERO),
          doc="The remainder of `int_div`, with the sign of b; integers over zero give 0.")
neg = row("neg", np.negative, {"f": "-({0})", "*": "({T})(0 - ({U}){0})"}, lambda g, y, x: (-g,), takes=NUMBERS, flags="smooth",
          pair=EACH, doc="-x; integers wrap.")
absolute = row("abs", _absolute, {"f": "EG_FABS{S}({0})", "i": "eg_abs_{N}({0})", "*": "{0}"}, lambda g, y, x: (g * sign(x),),
               infer=to_part, flags="conjugated", pair=size, doc="The absolute value; the lowest integer stays itself.")
sign: Op = row("sign", _sign, {"*": "eg_sign_{N}({0})"}, _sign_grad, takes=NUMBERS, flags="zero_grad conjugated", pair=direction,
               doc="-1, 0 or 1; NaN for NaN.  Of a complex number x / abs(x), 0 for 0.")
sqr = row("sqr", np.square, "eg_sqr_{N}({0})", lambda g, y, x: (g * 2 * x,), takes=NUMBERS, flags="smooth", pair=square,
          doc="x * x.")
sqrt = row("sqrt", np.sqrt, "EG_SQRT{S}({0})", lambda g, y, x: (g * 0.5 / y,), takes=FLOATS, compute=as_float, domain=(NOT_ZERO,),
           ulp=3.0, flags="smooth", pair=root, doc="The square root.")
rsqrt = row("rsqrt", lambda x: np.reciprocal(np.sqrt(x)), "({T})1 / EG_SQRT{S}({0})", lambda g, y, x: (g * -0.5 * y / x,), takes=FLOATS,
            compute=as_float, domain=(NOT_ZERO,), ulp=5.5, flags="smooth", pair=lambda z: one_over(root(z)),
            doc="1 / sqrt(x).")
reciprocal = row("reciprocal", np.reciprocal, "({T})1 / {0}", lambda g, y, x: (-g * y * y,), takes=FLOATS, compute=as_float,
                 domain=(NOT_ZERO,), ulp=2.5, flags="smooth", pair=one_over, doc="1 / x.")
deg2rad: Op = row("deg2rad", np.deg2rad, "{0} * EG_RADIANS{S}", lambda g, y, x: (deg2rad(g),), takes=FLOATS, compute=as_float,
              flags="smooth", doc="Degrees to radians.")
rad2deg: Op = row("rad2deg", np.rad2deg, "{0} * EG_DEGREES{S}", lambda g, y, x: (rad2deg(g),), takes=FLOATS, compute=as_float,
              flags="smooth", doc="Radians to degrees.")

TABLE = table([add, sub, mul, true_div, int_div, mod, neg, absolute, sign, sqr, sqrt, rsqrt, reciprocal, deg2rad, rad2deg])
