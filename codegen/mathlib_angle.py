"""Circular functions and their inverses without branches and builtins, so that compilers vectorise loops over them.

sin and cos subtract from |x| that multiple of pi (that odd multiple of pi/2) which leaves r in [-pi/2, pi/2], and are one polynomial in
r; tan leaves [-pi/4, pi/4] and is a ratio of two.  Up to NEAR, three fused steps subtract pi in three parts, as Cody and Waite do.
Above, x / pi without its even integers comes from exact products with those bits of 1/pi that matter, as in Payne and Hanek, Radian
reduction for trigonometric functions (SIGNUM Newsletter 18, 1983).  `nearsin` and the like do without that, and report angles that
needed it.  atan reduces as Cephes does, asin and acos by the half angle as msun does.
"""
from __future__ import annotations

_BITS, _STEP, _WIDTH, _FIRST, _ROWS = 1300, 16, 48, 32, 72


def _arc_cotangent(n: int) -> int:
    """atan(1 / n) in units of 2**-2 * _BITS, by Gregory's series."""
    found, power, k = 0, (1 << 2 * _BITS) // n, 1
    while power:
        found, power, k = found + (power // k if k % 4 == 1 else -(power // k)), power // (n * n), k + 2
    return found


_INVERSE = (1 << 3 * _BITS) // (16 * _arc_cotangent(5) - 4 * _arc_cotangent(239))
"""1 / pi in units of 2**-_BITS: pi by Machin's formula."""


def _part(first: int, count: int, scale: int = 0) -> str:
    """The bits of 1 / pi whose weights are 2**-first and down, times 2**scale."""
    last = first + count - 1
    return (float(_INVERSE >> (_BITS - last) & ((1 << count) - 1)) * 2.0 ** (scale - last)).hex()


TURNS = ", ".join(_part(_STEP * j + _FIRST - 52, _WIDTH, 512) for j in range(_ROWS))
"""The bits of 1 / pi, times 2**512, in overlapping pieces: the piece j holds _WIDTH bits from that of weight 2**(52 - _FIRST - 16 j) on,
the first that makes a difference, but for even integers, in the product with a double of exponent _FIRST + 16 j."""


def _fraction() -> str:
    """s, half turns that b, a float32, is beyond even ones; three products are exact, the last is as good as it must be."""
    near, far = ([_part(first + 29 * i, 53 if i == 3 else 29) for i in range(4)] for first in (1, 57))
    products = ", ".join(f"t{i} = b * (low ? {n} : {f})" for i, (n, f) in enumerate(zip(near, far)))
    return f"int low = a < 0x1p80f; double {products}, s = " + " + ".join(f"(t{i} - 2 * EG_RINT(0.5 * t{i}))" for i in range(4)) + "; "


def _sum(h: str, add: str) -> str:
    """h += add, with what is lost in g."""
    return f"w = {h} + {add}; v = w - {h}; g += ({h} - (w - v)) + ({add} - v); {h} = w; "


# What r is left of, in half turns: sin whole ones, cos odd halves, tan halves.
_CUT = {
    "sin": ("$T t = EG_FMA$S(a, $INVPI, $MAGIC), n = t - $MAGIC; ", "{x}"),
    "cos": ("$T t = EG_FMA$S(a, $INVPI, -0.5f) + $MAGIC, n = t - $MAGIC + 0.5f; ", "{x} - 0.5"),
    "tan": ("$T t = EG_FMA$S(a, 2 * $INVPI, $MAGIC), n = 0.5f * (t - $MAGIC); ", "2 * {x}")}
_BACK = {"sin": "{n}", "cos": "({n} + 0.5)", "tan": "0.5 * {n}"}


def _near(name: str) -> str:
    """r and the bits of t, whose last one or two say which multiple was subtracted."""
    return (f"$T a = EG_FABS$S(x); {_CUT[name][0]}$T r = EG_FMA$S(n, -($PI3), EG_FMA$S(n, -($PILO), EG_FMA$S(n, -$PI, a))); "
            "$U q = as_$U(t); int far = a >= $NEAR; ")


def _far_single(name: str) -> str:
    """The same beyond NEAR, in double precision."""
    back = _BACK[name].format(n="(k - 0x1.8p52)")
    return (f"double b = a; {_fraction()}double k = {_CUT[name][1].format(x='s')} + 0x1.8p52; "
            f"r = far ? (float)((s - {back}) * 0x1.921fb54442d18p+1) : r; q = far ? (uint)as_ulong(k) : q; ")


def _far_double(name: str) -> str:
    """The same beyond NEAR: h + g half turns, then r."""
    even = "({0} - 2 * EG_RINT(0.5 * {0}))"
    words = ", ".join(f"p{i} = b * EG_TURNS[j + {_WIDTH // _STEP * i}]" for i in range(4))
    rests = ", ".join(f"e{i} = EG_FMA(b, EG_TURNS[j + {_WIDTH // _STEP * i}], -p{i})" for i in range(3))
    last = (_ROWS - 1) - 3 * _WIDTH // _STEP
    return (f"int j = ((int)(as_ulong(a) >> 52) - {1023 + _FIRST}) >> 4; j = j < 0 ? 0 : j > {last} ? {last} : j; "
            f"double b = a * 0x1p-512, {words}, {rests}; "
            f"double h = {even.format('p0')} + {even.format('e0')}, f = {even.format('p1')}, g = 0, v, w; h = {even.format('h')}; "
            + _sum("h", "f") + f"h = {even.format('h')}; " + ("f = -0.5; " + _sum("h", "f") if name == "cos" else "") +
            {"tan": "t = 2 * h + $MAGIC; h -= 0.5 * (t - $MAGIC); "}.get(name, "t = h + $MAGIC; h -= t - $MAGIC; ") +
            "w = h + g; g -= w - h; h = w; " + _sum("h", "p2") + _sum("h", "e1") + "f = e2 + p3; " + _sum("h", "f") +
            "w = h + g; g -= w - h; h = EG_FMA(w, $PI, EG_FMA(w, $PILO, g * $PI)); r = far ? h : r; q = far ? as_ulong(t) : q; ")


_SINE = "$T z = r * r, y = EG_FMA$S(r * z, POLY(halfsin, z), r); y = y > 1 ? 1 : y; y = y < -1 ? -1 : y; "
_TANGENT = "$T z = r * r, tn = EG_FMA$S(r * z, POLY(tan, z), r), y = q & 1 ? 1 / tn : tn; "
_SIGNS = {"sin": _SINE + "return as_$T(as_$U(y) ^ (q << $TOP) ^ (as_$U(x) & (($U)1 << $TOP)));",
          "cos": _SINE + "return as_$T(as_$U(y) ^ (~q << $TOP));",
          "tan": _TANGENT + "return as_$T(as_$U(y) ^ (q << $TOP) ^ (as_$U(x) & (($U)1 << $TOP)));"}

# Angles of any size; then those below NEAR: any other makes *beyond true, and the result is of no use.
_ANY = {name: {"f32": _near(name) + _far_single(name) + end, "f64": _near(name) + _far_double(name) + end} for name, end in _SIGNS.items()}
NEAR_ANGLES: dict[str, str | dict[str, str]] = {
    "near" + name: _near(name) + "*beyond |= far && a < INFINITY; " + end for name, end in _SIGNS.items()}
_ATAN = ("int far = a > 0x1.3504f4p1f * b, mid = !far && a > 0x1.a8279ap-2f * b; "
         "$T c = far ? -b : mid ? a - b : a, d = far ? a : mid ? a + b : b, t = c / d, z = t * t; "
         "$T base = far ? $PIO2 : mid ? 0.5f * $PIO2 : 0, rest = far ? $PIO2LO : mid ? 0.5f * $PIO2LO : 0; "
         "$T w = base + (t + EG_FMA$S(t * z, POLY(atan, z), rest)); ")
_ASIN = ("$T a = EG_FABS$S(x); int far = a > 0.5f; $T z = far ? 0.5f - 0.5f * a : x * x, s = far ? EG_SQRT$S(z) : a; "
         "$T t = EG_FMA$S(s * z, POLY(asin, z), s); ")

ANGLES: dict[str, str | dict[str, str]] = {
    **_ANY,
    "atan": "$T a = EG_FABS$S(x), b = 1; " + _ATAN + "return EG_COPYSIGN$S(w, x);",
    "atan2": "$T a = EG_FABS$S(x), b = EG_FABS$S(y), m = a > b ? a : b, scale = m > $HALFMAX ? 0.25f : m < 4 * $LEAST ? $UP : 1; "
             "int same = a == b; a = same ? a == 0 ? 0 : 1 : a * scale; b = same ? 1 : b * scale; " +
             _ATAN + "return EG_COPYSIGN$S(EG_COPYSIGN$S(1, y) < 0 ? $PI - (w - $PILO) : w, x);",
    "asin": _ASIN + "return EG_COPYSIGN$S(far ? $PIO2 - (2 * t - $PIO2LO) : t, x);",
    "acos": _ASIN + "$T y = EG_COPYSIGN$S(t, x); return !far ? $PIO2 - (y - $PIO2LO) : x > 0 ? 2 * t : $PI - (2 * t - $PILO);",
}
