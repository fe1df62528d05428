"""Powers, lengths and error functions without branches and builtins, so that compilers vectorise loops over them.

float32 powers, hypot and erfc go through double, where no term overflows and roundings do not count; float64 powers carry the logarithm
as a sum of two doubles.  erfc is exp(-x*x) times a smooth
function after Shepherd and Laframboise, Chebyshev approximation of (1 + 2x) exp(x*x) erfc x (Math. Comp. 36, 1981).
"""
from __future__ import annotations

# |x| and the number that has its logarithm taken; what that number adds to n; n or the l of zero, infinity and NaN.
_ANY = ("$T a = EG_FABS$S(x), w = a < $LEAST ? a * $UP : a; ", " - (a < $LEAST ? {} : 0)",
        "{0} = a < INFINITY ? a > 0 ? {0} : -INFINITY : a; ")
_USUAL = ("$T w = x > 0 ? x : 1; ", "", "")
_FAR = "*beyond |= !(((x >= $LEAST) & (x < INFINITY)) | ((x == 0) & (y > 0))) | !(EG_FABS$S({}) < {}); "
_BOUND = "double z = l * y; z = z > 200 ? 200 : z; z = z < -200 ? -200 : z; "


def _log2(start: str, more: str, poles: str) -> str:
    """l, the logarithm of a float32 as a double."""
    return (start + "uint e = (as_uint(w) - $ROOT) & 0xff800000u; float n = (float)((int)e >> 23)" + more.format("24.0f") + "; " +
            poles.format("n") + "double m = as_float(as_uint(w) - e), s = (m - 1) / (m + 1), h = s * s; "
            "double l = EG_FMA(s, POLY(powlog_f64, h), (double)n); ")


_EXP2 = ("double t = z + 0x1.8p52, r = z - (t - 0x1.8p52), p = EG_FMA(r, POLY(powexp_f64, r), 1); "
         "p = as_double(as_ulong(p) + (as_ulong(t) << 52)); ")
_TAIL = ("double a = EG_FABS(x), c = a > 28 ? 28 : a, h = c * c, low = EG_FMA(c, c, -h), z = -h, d = (c - 3.75) / (c + 3.75); "
         "double t = EG_FMA(z, $L2E, $MAGIC), n = t - $MAGIC, r = EG_FMA(n, -($LN2LO), EG_FMA(n, -$LN2, z)); "
         "double e = 1 + EG_FMA(r * r, POLY(exp, r), r), p = EG_FMA(e, -low, e) * ((POLY(erfc, d)) / EG_FMA(c, 2.0, 1.0)); "
         "ulong k = as_ulong(t) - as_ulong($MAGIC) + 2 * 1023, k2 = k >> 1; p = p * as_double(k2 << 52) * as_double((k - k2) << 52); "
         "double v = x * x, q = EG_FMA(x, POLY(erf, v), x); ")

def _long_log2(start: str, more: str, poles: str) -> str:
    """The logarithm of a double as the sum of l and m, with 12 bits more than a double: s + s1 is f / (2 + f), the logarithm of 1 + f
    2 / log(2) s (1 + s*s / 3 + ...)."""
    return (
        start + "ulong k = (as_ulong(w) - $ROOT + $BIAS) >> 52; double f = as_double(as_ulong(w) - ((k - 1023) << 52)) - 1; "
        "double n = as_double(k | 0x4330000000000000UL) - (0x1p52 + 1023)" + more.format("54.0") + "; "
        "double d = 2 + f, o = 1 / d, s = f * o, s1 = o * EG_FMA(-s, f - (d - 2), EG_FMA(-s, d, f)); "
        "double z = s * s, z1 = EG_FMA(2 * s, s1, EG_FMA(s, s, -z)), q = z * (POLY(powatanh, z)); "
        "double u = $THIRD + q, u1 = $THIRD - u + q + $THIRDLO, p = z * u, p1 = EG_FMA(z, u, -p) + EG_FMA(z, u1, z1 * u); "
        "double v = 2 * $L2E + p, v1 = 2 * $L2E - v + p + (p1 + 2 * $L2ELO), g = s * v, g1 = EG_FMA(s, v, -g) + EG_FMA(s, v1, s1 * v); "
        "double l = n + g, m = n - l + g + g1; " + poles.format("l"))


_SIGN = ("int whole = EG_RINT$S(y) == y, odd = whole && EG_RINT$S(0.5f * y) != 0.5f * y; "
         "v = y == 0 || a == 1 ? 1 : v; v = odd ? EG_COPYSIGN$S(v, x) : v; return x < 0 && x > -INFINITY && !whole ? as_$T($NANBITS) : v;")
_LONG_EXP2 = "double t = e + $MAGIC, r = e - (t - $MAGIC) + e1; o = EG_FMA(r, POLY(exp2, r), 1); "

# Positive normal numbers and zero to powers that neither overflow nor are denormal (float32: to any).
NEAR_POWERS: dict[str, str | dict[str, str]] = {
    "nearpow": {"f32": _log2(*_USUAL) + _FAR.format("y", "INFINITY") + _BOUND + _EXP2 + "return x == 0 ? 0 : (float)p;",
                "f64": _long_log2(*_USUAL) + "double e = y * l, e1 = EG_FMA(y, l, -e) + y * m; " + _FAR.format("e", "1020") + _LONG_EXP2 +
                       "return x == 0 ? 0 : as_double(as_ulong(o) + (as_ulong(t) << 52));"}}
POWERS: dict[str, str | dict[str, str]] = {
    "pow": {"f32": _log2(*_ANY) + _BOUND + _EXP2 + "float v = (float)p; " + _SIGN,
            "f64": _long_log2(*_ANY) + "double e = y * l, e1 = EG_FMA(y, l, -e) + y * m; e1 = EG_FABS(e) < 1100 ? e1 : 0; "
                   "e = e > 1200 ? 1200 : e; e = e < -1200 ? -1200 : e; " + _LONG_EXP2 +
                   "ulong h = as_ulong(t) - as_ulong($MAGIC) + 2 * 1023, h1 = h >> 1; "
                   "v = o * as_double(h1 << 52) * as_double((h - h1) << 52); " + _SIGN},
    "hypot": {"f32": "double a = x, b = y; float v = (float)EG_SQRT(EG_FMA(a, a, b * b)); "
                     "return EG_FABSf(x) == INFINITY || EG_FABSf(y) == INFINITY ? INFINITY : v;",
              "f64": "double a = EG_FABS(x), b = EG_FABS(y), m = a > b ? a : b, f = m > 0x1p500 ? 0x1p-600 : m < 0x1p-500 ? 0x1p600 : 1; "
                     "double c = a * f, d = b * f, v = EG_SQRT(EG_FMA(c, c, d * d)); "
                     "v *= m > 0x1p500 ? 0x1p600 : m < 0x1p-500 ? 0x1p-600 : 1; "
                     "return a == INFINITY || b == INFINITY ? INFINITY : v;"},
    "erf": {"f32": "float a = EG_FABSf(x), c = a > 4 ? 4 : a, v = x * x, q = EG_FMAf(x, POLY(erf, v), x), z = POLY(erftail, c); "
                   "float t = z + $MAGIC, r = z - (t - $MAGIC), p = EG_FMAf(r, POLY(exp2, r), 1); "
                   "p *= as_float((as_uint(t) - as_uint($MAGIC) + 127) << 23); return a < 1 ? q : EG_COPYSIGNf(1 - p, x);",
            "f64": _TAIL + "return a < 1 ? q : EG_COPYSIGN(1 - p, x);"},
    "erfc": {"f32": "double a = EG_FABSf(x), c = a > 12 ? 12 : a, d = (c - 3.75) / (c + 3.75), z = c * c * -0x1.71547652b82fep0; " + _EXP2 +
                    "p *= (POLY(erfcshort_f64, d)) / EG_FMA(c, 2.0, 1.0); return (float)(x < 0 ? 2 - p : p);",
             "f64": _TAIL + "return a < 0.5 ? 1 - q : x < 0 ? 2 - p : p;"},
}
