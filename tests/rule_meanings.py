"""What rows mean over other numbers than NumPy's: mpmath's of many digits, sympy's expressions, z3's bit vectors."""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

Table = Mapping[str, Callable[..., Any]]
ARITHMETIC: Table = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg, "sqr": lambda x: x * x,
                     "cast": lambda x: x, "identity": lambda x: x, "second": lambda x, y: y, "sum": operator.add,
                     "switch": lambda c, x, y: x if c else y, "and_": lambda x, y: x and y, "or_": lambda x, y: x or y,
                     "invert": lambda x: not x, "gt": operator.gt}
"""What is the same for all numbers; `and`, `or` and `not` of truths only."""
BITS = 1900


@lru_cache(maxsize=1)
def digits() -> tuple[Any, Table]:
    """mpmath, with digits enough that 1 + exp(-745) and 1 + 2**-1074 are not 1, and the rows over its numbers; what is not real is NaN."""
    from mpmath.ctx_mp import MPContext
    mp = MPContext()
    mp.prec = BITS
    mpf = mp.mpf
    nan, inf = mpf("nan"), mpf("inf")

    def kept(function: Callable[..., Any]) -> Callable[..., Any]:
        return lru_cache(maxsize=4096)(function)

    def quotient(x: Any, y: Any) -> Any:
        return x / y if y else nan if not x or mp.isnan(x) else inf * mp.sign(x)

    def logarithm(x: Any) -> Any:
        return mp.log(x) if x > 0 else nan if x != 0 else -inf

    def logistic(x: Any) -> Any:
        small = mp.exp(-abs(x))
        return (1 if x >= 0 else small) / (1 + small)

    def larger(x: Any, y: Any) -> Any:
        return x if x >= y or mp.isnan(x) else y

    def power(x: Any, y: Any) -> Any:
        return quotient(mpf(1), x ** -y) if y < 0 and y == int(y) else mp.power(x, y) if x >= 0 or y == int(y) else nan

    return mp, {**ARITHMETIC, "true_div": quotient, "exp": kept(mp.exp), "log": kept(logarithm), "abs": abs, "max": larger,
                "sqrt": kept(lambda x: mp.sqrt(x) if x >= 0 else nan), "pow": kept(power), "reciprocal": lambda x: quotient(mpf(1), x),
                "min": lambda x, y: -larger(-x, -y), "clip": lambda x, low, high: -larger(-larger(x, low), -high),
                "log1p": kept(lambda x: mp.log1p(x) if x > -1 else logarithm(x + 1)), "expm1": kept(mp.expm1), "erf": kept(mp.erf),
                "erfc": kept(lambda x: mp.erfc(x) if abs(x) < 1000 else mpf(0 if x > 0 else 2)),
                "sigmoid": kept(logistic), "isfinite": mp.isfinite,
                "softplus": kept(lambda x: larger(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))),
                "logaddexp": kept(lambda x, y: larger(x, y) + mp.log1p(mp.exp(-abs(x - y))))}


def digit(value: Any) -> Any:
    """A number of Python's or NumPy's as one of mpmath's, exactly."""
    return bool(value) if isinstance(value, bool | np.bool_) else digits()[0].mpf(float(value))


@lru_cache(maxsize=1)
def algebra() -> tuple[Any, Table]:
    """sympy and the rows over its expressions."""
    import sympy as s
    return s, {**ARITHMETIC, "true_div": operator.truediv, "exp": s.exp, "log": s.log, "abs": s.Abs, "sqrt": s.sqrt, "pow": s.Pow,
               "reciprocal": lambda x: 1 / x, "log1p": lambda x: s.log(1 + x), "expm1": lambda x: s.exp(x) - 1, "erf": s.erf,
               "erfc": lambda x: 1 - s.erf(x), "sigmoid": lambda x: 1 / (1 + s.exp(-x)), "softplus": lambda x: s.log(1 + s.exp(x)),
               "logaddexp": lambda x, y: s.log(s.exp(x) + s.exp(y)), "max": s.Max, "min": s.Min,
               "clip": lambda x, low, high: s.Min(s.Max(x, low), high), "isfinite": lambda x: True}


def rational(value: Any) -> Any:
    """A number as one of sympy's: the fraction of a small denominator that it is a rounding of."""
    exact = Fraction(value).limit_denominator(10 ** 6)
    return value if isinstance(value, bool) else algebra()[0].Rational(exact.numerator, exact.denominator)


@lru_cache(maxsize=1)
def truths() -> Table:
    """The rows over z3's truths, which bool tensors hold."""
    import z3
    return {**vectors(False), "add": z3.Or, "mul": z3.And, "maximum": z3.Or, "minimum": z3.And, "abs": lambda x: x,
            "lt": lambda x, y: z3.And(z3.Not(x), y), "gt": lambda x, y: z3.And(x, z3.Not(y)), "le": z3.Implies,
            "ge": lambda x, y: z3.Implies(y, x)}


@lru_cache(maxsize=1)
def floats() -> Table:
    """The rows over z3's floats, of any width, rounded to the nearest; truths are z3's."""
    import z3
    nearest = z3.RNE()

    def rounding(mode: Any) -> Callable[..., Any]:
        return lambda x: z3.fpRoundToIntegral(mode, x)

    def number(value: float, x: Any) -> Any:
        return z3.FPVal(value, x.sort())

    def first(better: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, y: z3.If(z3.Or(better(x, y), z3.fpIsNaN(x)), x, y)

    def sign(x: Any) -> Any:
        return z3.If(z3.fpIsNaN(x), x, z3.If(z3.fpIsZero(x), number(0.0, x), z3.If(z3.fpIsNegative(x), number(-1.0, x), number(1.0, x))))

    return {**vectors(True), "add": lambda x, y: z3.fpAdd(nearest, x, y), "sub": lambda x, y: z3.fpSub(nearest, x, y),
            "mul": lambda x, y: z3.fpMul(nearest, x, y), "true_div": lambda x, y: z3.fpDiv(nearest, x, y), "neg": z3.fpNeg, "abs": z3.fpAbs,
            "sqr": lambda x: z3.fpMul(nearest, x, x), "reciprocal": lambda x: z3.fpDiv(nearest, number(1.0, x), x), "sign": sign,
            "floor": rounding(z3.RTN()), "ceil": rounding(z3.RTP()), "trunc": rounding(z3.RTZ()), "round_half_to_even": rounding(nearest),
            "round_half_away_from_zero": rounding(z3.RNA()), "maximum": first(z3.fpGEQ), "minimum": first(z3.fpLEQ),
            "relu": lambda x: z3.If(z3.fpLEQ(x, number(0.0, x)), number(0.0, x), x), "lt": z3.fpLT, "le": z3.fpLEQ, "gt": z3.fpGT,
            "ge": z3.fpGEQ, "eq": z3.fpEQ, "neq": z3.fpNEQ, "isnan": z3.fpIsNaN, "isinf": z3.fpIsInf,
            "isfinite": lambda x: z3.Not(z3.Or(z3.fpIsNaN(x), z3.fpIsInf(x)))}


@lru_cache(maxsize=2)
def vectors(signed: bool) -> Table:
    """The rows over z3's bit vectors, signed or not; truths are z3's too."""
    import z3

    def less(x: Any, y: Any) -> Any:
        return x < y if signed else z3.ULT(x, y)

    def chosen(c: Any, x: Any, y: Any) -> Any:
        return z3.If(c, x, y)

    def zero(x: Any) -> Any:
        return z3.BitVecVal(0, x.size())

    def one(x: Any) -> Any:
        return z3.BitVecVal(1, x.size())

    def quotient(x: Any, y: Any) -> Any:
        if not signed:
            return chosen(y == 0, zero(x), z3.UDiv(x, y))
        uneven = z3.And(z3.SRem(x, y) != 0, (x < 0) != (y < 0))
        return chosen(y == 0, zero(x), x / y - chosen(uneven, one(x), zero(x)))

    def truth(on_bits: Callable[..., Any], on_truths: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: (on_truths if z3.is_bool(given[0]) else on_bits)(*given)

    def shifted(shift: Callable[..., Any], out: Callable[[Any], Any]) -> Callable[..., Any]:
        return lambda x, n: chosen(z3.ULT(n, x.size()), shift(x, n), out(x))

    def sign(x: Any) -> Any:
        return chosen(x == 0, zero(x), chosen(less(x, zero(x)), -one(x), one(x)))

    same = dict.fromkeys(("floor", "ceil", "trunc", "round_half_to_even", "round_half_away_from_zero", "disconnected_grad", "zero_grad"),
                         lambda x: x)
    return {**ARITHMETIC, **same, "switch": chosen, "int_div": quotient,
            "mod": lambda x, y: chosen(y == 0, zero(x), x - quotient(x, y) * y), "sign": sign,
            "abs": lambda x: chosen(less(x, zero(x)), -x, x), "relu": lambda x: chosen(less(zero(x), x), x, zero(x)),
            "pow": _power, "maximum": lambda x, y: chosen(less(x, y), y, x), "minimum": lambda x, y: chosen(less(y, x), y, x),
            "and_": truth(operator.and_, z3.And), "or_": truth(operator.or_, z3.Or), "xor": truth(operator.xor, z3.Xor),
            "invert": truth(operator.invert, z3.Not), "lt": less, "gt": lambda x, y: less(y, x), "le": lambda x, y: z3.Not(less(y, x)),
            "ge": lambda x, y: z3.Not(less(x, y)), "eq": operator.eq, "neq": operator.ne, "isnan": lambda x: z3.BoolVal(False),
            "isinf": lambda x: z3.BoolVal(False), "isfinite": lambda x: z3.BoolVal(True),
            "left_shift": shifted(operator.lshift, zero),
            "right_shift": shifted(operator.rshift, lambda x: chosen(x < 0, -one(x), zero(x))) if signed else shifted(z3.LShR, zero)}


def _power(x: Any, n: Any) -> Any:
    """A power whose exponent is a known number that is not negative."""
    import z3
    found = z3.BitVecVal(1, x.size())
    for _ in range(z3.simplify(n).as_long()):
        found = found * x
    return found


def vector(dtype: str) -> Callable[[Any], Any]:
    """What makes one of z3's numbers of a number of a dtype."""
    import z3
    if dtype.startswith("float"):
        return lambda value: z3.BoolVal(value) if isinstance(value, bool) else z3.FPVal(float(value), float_sort(dtype))
    width = np.dtype(dtype).itemsize * 8
    return lambda value: z3.BoolVal(value) if isinstance(value, bool) else z3.BitVecVal(int(value), width)


def float_sort(dtype: str) -> Any:
    """z3's sort of a float."""
    import z3
    info = np.finfo(dtype)
    return z3.FPSort(info.bits - info.nmant - 1, info.nmant + 1)
