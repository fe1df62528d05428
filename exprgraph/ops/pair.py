"""What rows mean on complex numbers, in terms of real rows: a complex tensor is a pair of real ones, and so is a complex result.

A row takes complex operands if it has a formula: row(..., pair=formula).  The formula is called with a Pair for each complex operand, a
real tensor for each other one, and the row's parameters; it gives a Pair where the row's result is complex, else a real tensor.  EACH
stands for a row that does the same to both parts.  Formulas name rows in OPERATORS, since rows of all themes use them.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from exprgraph import dtypes
from exprgraph.named import NamedTuple
from exprgraph.node import OPERATORS, constant_value

Formula = Callable[..., Any]
EACH = "each"
LARGEST_POWER = 8
"""Constant whole exponents up to this are written out as products."""


class Pair(NamedTuple):
    """The real and the imaginary part of a complex tensor, of one dtype and one shape."""
    re: Any
    im: Any


def _(name: str, *operands: Any, **params: Any) -> Any:
    """A row or function by name."""
    return OPERATORS[name](*operands, **params)


def _negative(x: Any) -> Any:
    """Whether the sign is minus, that of a zero too."""
    return _("or_", x < 0, _("and_", _("eq", x, 0), 1 / x < 0))


def _signed(size: Any, sign: Any) -> Any:
    return _("switch", _negative(sign), -size, size)


def size(z: Pair) -> Any:
    """The absolute value."""
    return _("hypot", z.re, z.im)


def angle(z: Pair) -> Any:
    """The angle, between -pi and pi."""
    return _("arctan2", z.im, z.re)


def product(a: Pair, b: Pair) -> Pair:
    """a * b."""
    return Pair(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


def quotient(a: Pair, b: Pair) -> Pair:
    """a / b, without overflow where the result has none: by the quotient of the smaller part of b by the larger one."""
    wide = _("ge", abs(b.re), abs(b.im))
    large, small = _("switch", wide, b.re, b.im), _("switch", wide, b.im, b.re)
    first, second = _("switch", wide, a.re, a.im), _("switch", wide, a.im, a.re)
    zero = _("eq", large, 0)
    ratio = small / _("switch", zero, 1, large)
    below = _("switch", zero, 0, large + small * ratio)
    return Pair((first + second * ratio) / below, _("switch", wide, second - first * ratio, first * ratio - second) / below)


def one_over(z: Pair) -> Pair:
    """1 / z."""
    one = _("second", z.re, 1.0)
    return quotient(Pair(_("cast", one, z.re.dtype), _("cast", _("second", z.re, 0.0), z.re.dtype)), z)


def square(z: Pair) -> Pair:
    """z * z."""
    return product(z, z)


def root(z: Pair) -> Pair:
    """The square root whose real part is not negative."""
    larger = _("sqrt", abs(z.re) * 0.5 + size(z) * 0.5)
    other = abs(z.im) * 0.5 / _("switch", _("eq", larger, 0), 1, larger)
    smaller = _("switch", _("isinf", z.im), abs(z.im), other)
    turned = _negative(z.re)
    return Pair(_("switch", turned, smaller, larger), _signed(_("switch", turned, larger, smaller), z.im))


def direction(z: Pair) -> Pair:
    """z / abs(z), 0 for 0."""
    length = size(z)
    some = _("switch", _("eq", length, 0), 1, length)
    return Pair(z.re / some, z.im / some)


def exponential(z: Pair) -> Pair:
    """e to the power z."""
    scale = _("exp", z.re)
    return Pair(scale * _("cos", z.im), _("switch", _("eq", z.im, 0), z.im, scale * _("sin", z.im)))


def exponential_less_one(z: Pair) -> Pair:
    """exp(z) - 1, exact for small z."""
    half = _("sin", z.im * 0.5)
    return Pair(_("expm1", z.re) * _("cos", z.im) - half * half * 2, _("exp", z.re) * _("sin", z.im))


def _log_size(a: Any, b: Any) -> Any:
    """log(hypot(a, b)), exact where that is near 1."""
    length = _("hypot", a, b)
    more, less = _("maximum", abs(a), abs(b)), _("minimum", abs(a), abs(b))
    near = _("and_", length > 0.5, length < 2)
    return _("switch", near, _("log1p", (more - 1) * (more + 1) + less * less) * 0.5, _("log", length))


def logarithm(z: Pair) -> Pair:
    """The natural logarithm, with an imaginary part between -pi and pi."""
    return Pair(_log_size(z.re, z.im), angle(z))


def logarithm_of_more(z: Pair) -> Pair:
    """log(1 + z), exact for small z."""
    small = size(z) < 0.5
    exact = _("log1p", z.re * (z.re + 2) + z.im * z.im) * 0.5
    return Pair(_("switch", small, exact, _log_size(z.re + 1, z.im)), _("arctan2", z.im, z.re + 1))


def scaled(formula: Callable[[Pair], Pair], before: float = 1.0, after: float = 1.0) -> Callable[[Pair], Pair]:
    """after * formula(before * z)."""
    def call(z: Pair) -> Pair:
        found = formula(Pair(z.re * before, z.im * before))
        return Pair(found.re * after, found.im * after)
    return call


def sine(z: Pair) -> Pair:
    """The sine."""
    return Pair(_("sin", z.re) * _("cosh", z.im), _("cos", z.re) * _("sinh", z.im))


def cosine(z: Pair) -> Pair:
    """The cosine."""
    return Pair(_("cos", z.re) * _("cosh", z.im), -(_("sin", z.re) * _("sinh", z.im)))


def tangent(z: Pair) -> Pair:
    """The tangent."""
    t, h, s = _("tan", z.re), _("tanh", z.im), 1 / _("cosh", z.im)
    below = t * t * (h * h) + 1
    return Pair(t * (s * s) / below, h * (t * t + 1) / below)


def sinh(z: Pair) -> Pair:
    """The hyperbolic sine."""
    return Pair(_("sinh", z.re) * _("cos", z.im), _("cosh", z.re) * _("sin", z.im))


def cosh(z: Pair) -> Pair:
    """The hyperbolic cosine."""
    return Pair(_("cosh", z.re) * _("cos", z.im), _("sinh", z.re) * _("sin", z.im))


def tanh(z: Pair) -> Pair:
    """The hyperbolic tangent."""
    turned = tangent(Pair(z.im, z.re))
    return Pair(turned.im, turned.re)


def power(a: Pair, b: Pair) -> Pair:
    """a to the power b; 1 where b is 0, and where a is 0 else 0 for b with a positive real part and NaN for others."""
    whole = _whole(b)
    if whole is not None:
        return _multiplied(a, whole)
    found = exponential(product(b, logarithm(a)))
    nothing, zero = (_("and_", _("eq", z.re, 0), _("eq", z.im, 0)) for z in (b, a))
    at_zero = _("switch", b.re > 0, 0.0, math.nan)
    re, im = (_("switch", zero, at_zero, part) for part in found)
    return Pair(_("switch", nothing, 1, re), _("switch", nothing, 0, im))


def _whole(b: Pair) -> int | None:
    """A constant exponent that is written out as products."""
    known, turned = constant_value(b.re), constant_value(b.im)
    if known is None or turned is None or known.ndim or turned != 0 or not 1 <= known <= LARGEST_POWER or known != int(known):
        return None
    return int(known)


def _multiplied(a: Pair, exponent: int) -> Pair:
    found = a
    for digit in bin(exponent)[3:]:
        found = product(found, found)
        found = product(found, a) if digit == "1" else found
    return found


def both(name: str) -> Callable[..., Any]:
    """Whether something holds of both parts."""
    return lambda *zs: _("and_", _(name, *(z.re for z in zs)), _(name, *(z.im for z in zs)))


def either(name: str) -> Callable[..., Any]:
    """Whether something holds of one of the parts."""
    return lambda *zs: _("or_", _(name, *(z.re for z in zs)), _(name, *(z.im for z in zs)))


def products(name: str) -> Callable[..., Pair]:
    """A product of many numbers: that of their sizes, and the sum of their angles, as integers, which wrap where a turn is complete."""
    turn = math.pi / 2.0**63

    def call(z: Pair, **params: Any) -> Pair:
        total = _({"prod": "sum", "cumprod": "cumsum"}[name], _("cast", _("round_half_to_even", angle(z) / turn), "int64"), **params)
        length, turned = _(name, size(z), **params), _("cast", total, z.re.dtype) * turn
        return Pair(length * _("cos", turned), length * _("sin", turned))
    return call


def matrix_product(a: Pair, b: Pair) -> Pair:
    """Four real products."""
    def times(x: Any, y: Any) -> Any:
        return _("matmul", x, y)
    return Pair(times(a.re, b.re) - times(a.im, b.im), times(a.re, b.im) + times(a.im, b.re))


def converted(x: Any, dtype: str) -> Pair:
    """A cast to a complex dtype."""
    part = dtypes.part(dtype)
    if isinstance(x, Pair):
        return Pair(_("cast", x.re, part), _("cast", x.im, part))
    real = _("cast", x, part)
    return Pair(real, _("second", real, _("cast", 0, part)))


def behind(a: Any, b: Any) -> Any:
    """b, in the shape of both."""
    first = a.re if isinstance(a, Pair) else a
    return Pair(_("second", first, b.re), _("second", first, b.im)) if isinstance(b, Pair) else _("second", first, b)


def positions(*sizes: Any, dtype: str) -> Pair:
    """0 .. n-1."""
    return converted(_("iota", *sizes, dtype="int64"), dtype)


def polar(length: Any, turned: Any) -> Pair:
    """The number of this absolute value and angle."""
    return Pair(length * _("cos", turned), length * _("sin", turned))
