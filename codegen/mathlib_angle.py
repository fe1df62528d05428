"""Circular functions and their inverses without branches and builtins, so that compilers vectorise loops over them.

sin, cos and tan (float32) take x to r in [-pi/4, pi/4] in double precision: below 2**50 by Cody and Waite's subtraction of n pi/2 in
two parts, above by the exact products with those bits of 1/(2 pi) that matter, as in Payne and Hanek, Radian reduction for
trigonometric functions (SIGNUM Newsletter 18, 1983).  atan reduces as Cephes does, asin and acos by the half angle as msun does.
"""
from __future__ import annotations

_INVERSE = 0x28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef158  # 1 / (2 pi) in units of 2**-256


def _part(first: int, count: int) -> str:
    """The bits of 1 / (2 pi) whose weights are 2**-first and down."""
    last = first + count - 1
    return (float(_INVERSE >> (256 - last) & ((1 << count) - 1)) * 2.0 ** -last).hex()


def _fraction() -> str:
    """s, a fraction of a turn that a is beyond whole turns; three products are exact, the last is as good as it must be."""
    near, far = ([_part(first + 29 * i, 53 if i == 3 else 29) for i in range(4)] for first in (28, 67))
    products = ", ".join(f"t{i} = a * (low ? {n} : {f})" for i, (n, f) in enumerate(zip(near, far)))
    return f"double {products}, s = " + " + ".join(f"(t{i} - EG_RINT(t{i}))" for i in range(4)) + "; "


_REDUCE = ("double a = x, u = EG_FMA(a, 0x1.45f306dc9c883p-1, 0x1.8p52), n = u - 0x1.8p52; "
           "double r = EG_FMA(n, -0x1.1a62633145c07p-54, EG_FMA(n, -0x1.921fb54442d18p+0, a)); int low = EG_FABSf(x) < 0x1p90f; " +
           _fraction() + "double v = EG_FMA(s, 4.0, 0x1.8p52), w = EG_FMA(v - 0x1.8p52, -0.25, s) * 0x1.921fb54442d18p+2; "
           "int huge = EG_FABSf(x) >= 0x1p50f; uint q = (uint)as_ulong(huge ? v : u); float f = (float)(huge ? w : r), z = f * f; "
           "float sn = EG_FMAf(f * z, POLY(sin, z), f), cs = EG_FMAf(z * z, POLY(cos, z), EG_FMAf(z, -0.5f, 1)); ")
_ATAN = ("int far = a > 0x1.3504f4p1f * b, mid = !far && a > 0x1.a8279ap-2f * b; "
         "$T c = far ? -b : mid ? a - b : a, d = far ? a : mid ? a + b : b, t = c / d, z = t * t; "
         "$T base = far ? $PIO2 : mid ? 0.5f * $PIO2 : 0, rest = far ? $PIO2LO : mid ? 0.5f * $PIO2LO : 0; "
         "$T w = base + (t + EG_FMA$S(t * z, POLY(atan, z), rest)); ")
_ASIN = ("$T a = EG_FABS$S(x); int far = a > 0.5f; $T z = far ? 0.5f - 0.5f * a : x * x, s = far ? EG_SQRT$S(z) : a; "
         "$T t = EG_FMA$S(s * z, POLY(asin, z), s); ")

ANGLES: dict[str, str | dict[str, str]] = {
    "sin": {"f32": _REDUCE + "float y = as_float(as_uint(q & 1 ? cs : sn) ^ ((q & 2) << 30)); return EG_FABSf(x) < 0x1p-12f ? x : y;"},
    "cos": {"f32": _REDUCE + "return as_float(as_uint(q & 1 ? sn : cs) ^ (((q + 1) & 2) << 30));"},
    "tan": {"f32": _REDUCE + "float y = (q & 1 ? -cs : sn) / (q & 1 ? sn : cs); return EG_FABSf(x) < 0x1p-12f ? x : y;"},
    "atan": "$T a = EG_FABS$S(x), b = 1; " + _ATAN + "return EG_COPYSIGN$S(w, x);",
    "atan2": "$T a = EG_FABS$S(x), b = EG_FABS$S(y); int same = a == b && (a == 0 || a == INFINITY); "
             "$T m = a > b ? a : b, scale = m > $HALFMAX ? 0.25f : m < 4 * $LEAST ? $UP : 1; "
             "a = same ? a == 0 ? 0 : 1 : a * scale; b = same ? 1 : b * scale; " +
             _ATAN + "return EG_COPYSIGN$S(EG_COPYSIGN$S(1, y) < 0 ? $PI - (w - $PILO) : w, x);",
    "asin": _ASIN + "return EG_COPYSIGN$S(far ? $PIO2 - (2 * t - $PIO2LO) : t, x);",
    "acos": _ASIN + "$T y = EG_COPYSIGN$S(t, x); return !far ? $PIO2 - (y - $PIO2LO) : x > 0 ? 2 * t : $PI - (2 * t - $PILO);",
}
