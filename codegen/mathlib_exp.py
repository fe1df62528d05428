"""Exponentials and logarithms without branches and builtins, so that compilers vectorise loops over them.

Each body is written for both dtypes in the words of `codegen.elementary`.  exp and expm1 reduce x to n log(2) + r as in Cody and Waite,
Software Manual for the Elementary Functions (1980); logarithms split x into 2**k m with m near 1, in float64 with atanh((m - 1) / (m + 1))
as FreeBSD's msun does, which also gives log1p its correction for the rounding of 1 + x.
"""
from __future__ import annotations

# x within bounds, NaN kept: one maximum and one minimum.  Selects that are nested the other way round are compiled to three instructions.
_WITHIN = "$T above = x < %s ? %s : x, z = above > %s ? %s : above; "
_CLAMP, _CLAMP2 = _WITHIN % ("$LOW", "$LOW", "$HIGH", "$HIGH"), _WITHIN % ("$LOW2", "$LOW2", "$HIGH2", "$HIGH2")
_REDUCE = ("$T t = EG_FMA$S(z, $L2E, $MAGIC), n = t - $MAGIC; $T r = EG_FMA$S(n, -($LN2LO), EG_FMA$S(n, -$LN2, z)); ")
# The low bits of t are n plus twice the bias; the bits above them are shifted out.
_BIASED = "($MAGIC + 2 * $B)"
_SCALE = "$U k = as_$U(t), h = k >> 1; $T s = as_$T(h << $M), u = as_$T((k - h) << $M); "

# x = 2**n (1 + f); with s = f / (2 + f), log(1 + f) is 2 atanh(s) = f - s u, where u = f - s*s P and the product counts little.
_SPLIT = {
    "f32": "float w = x < $LEAST ? x * $UP : x; int k = (int)(as_uint(w) - $ROOT) >> 23; "
           "float f = as_float(as_uint(w) - ((uint)k << 23)) - 1, n = (float)k - (x < $LEAST ? 24.0f : 0.0f); ",
    "f64": "double w = x < $LEAST ? x * $UP : x; ulong k = (as_ulong(w) - $ROOT + $BIAS) >> 52; "
           "double f = as_double(as_ulong(w) - ((k - 1023) << 52)) - 1; "
           "double n = as_double(k | 0x4330000000000000UL) - (x < $LEAST ? 0x1p52 + 1077 : 0x1p52 + 1023); "}
_SPLIT = {k: v + "$T s = f / (2 + f), z = s * s, u = EG_FMA$S(-z, POLY(atanh, z), f); " for k, v in _SPLIT.items()}
# y = log(1 + v): c is half of what 1 + v is rounded by (half, so that no scale is infinite), d / (1 + f) what that adds.
_LOG1P = {
    "f32": "float w = v + 1, b = w - 1, c = EG_FMAf(v - b, 0.5f, EG_FMAf(w - b, -0.5f, 0.5f)); "
           "uint e = (as_uint(w) - $ROOT) & 0xff800000u; "
           "float f = as_float(as_uint(w) - e) - 1, d = c * as_float(0x40000000u - e), n = (float)((int)e >> 23); ",
    "f64": "double w = v + 1, b = w - 1, c = EG_FMA(v - b, 0.5, EG_FMA(w - b, -0.5, 0.5)); "
           "ulong e = (as_ulong(w) - $ROOT) & 0xfff0000000000000UL; "
           "double f = as_double(as_ulong(w) - e) - 1, d = c * as_double(0x4000000000000000UL - e); "
           "double n = as_double((e + $BIAS) >> 52 | 0x4330000000000000UL) - (0x1p52 + 1023); "}
_LOG1P = {k: v + "$T s = f / (2 + f), z = s * s, u = EG_FMA$S(-z, POLY(atanh, z), f); "
          "$T y = EG_FMA$S(n, $LN2, f + EG_FMA$S(-s, u, EG_FMA$S(n, $LN2LO, EG_FMA$S(-s, d + d, d)))); " for k, v in _LOG1P.items()}
_POLES = "return x > 0 ? x < INFINITY ? y : x : x == 0 ? -INFINITY : as_$T($NANBITS);"

EXPONENTIALS: dict[str, str | dict[str, str]] = {
    "exp": _CLAMP + _REDUCE.replace("$MAGIC", _BIASED) + "$T e = EG_FMA$S(r * r, POLY(exp, r), r); " +
           _SCALE + "return EG_FMA$S(s, e, s) * u;",
    "exp2": _CLAMP2 + f"$T t = z + {_BIASED}, r = z - (t - {_BIASED}); " + _SCALE + "return EG_FMA$S(r, POLY(exp2, r), 1) * s * u;",
    "expm1": _WITHIN % ("$FLAT", "$FLAT", "$HIGH", "$HIGH") + _REDUCE +
             "$T e = EG_FMA$S(r * r, POLY(exp, r), r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 1)) << $M); "
             "$T y = 2 * EG_FMA$S(s, e, s - 0.5f); return EG_FABS$S(x) < $TINY ? x : y;",
    "sinh": "$T a = EG_FABS$S(x), z = a > $HIGH + 0.6f ? $HIGH + 0.6f : a; " + _REDUCE +
            "$T e = EG_FMA$S(r * r, POLY(exp, r), r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 2)) << $M); "
            "$T q = EG_FMA$S(s, e, s - 0.25f), y = 2 * (q + q / EG_FMA$S(q, 4.0f, 1)); "
            "return a < $TINY ? x : EG_COPYSIGN$S(y, x);",
    "cosh": "$T a = EG_FABS$S(x), z = a > $HIGH + 0.6f ? $HIGH + 0.6f : a; " + _REDUCE +
            "$T e = 1 + EG_FMA$S(r * r, POLY(exp, r), r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 2)) << $M); "
            "$T q = s * e; return 2 * q + 0.125f / q;",
    "tanh": "$T a = EG_FABS$S(x); a = a > 20 ? 20 : a; $T z = a + a; " + _REDUCE +
            "$T e = EG_FMA$S(r * r, POLY(exp, r), r), s = as_$T((as_$U(t) << $M) + (($U)$B << $M)); e = EG_FMA$S(s, e, s - 1); "
            "return EG_COPYSIGN$S(e / (e + 2), x);",
    "log": {k: _SPLIT[k] + "$T y = EG_FMA$S(n, $LN2, EG_FMA$S(n, $LN2LO, EG_FMA$S(-s, u, f))); " + _POLES for k in _SPLIT},
    "log2": {k: _SPLIT[k] + "$T y = n + EG_FMA$S(f, $L2E, EG_FMA$S(f, $L2ELO, -s * u * $L2E)); " + _POLES for k in _SPLIT},
    "log10": {k: _SPLIT[k] + "$T y = EG_FMA$S(n, $L102, EG_FMA$S(f, $L10E, EG_FMA$S(f, $L10ELO, EG_FMA$S(n, $L102LO, -s * u * $L10E)))); " +
              _POLES for k in _SPLIT},
    "log1p": {k: "$T v = x; " + _LOG1P[k] + "y = EG_COPYSIGN$S(y, v); x = w; " + _POLES for k in _LOG1P},
    # log1p of a power of e that is at most 1, which has no poles: with these a compiler makes branches of what stands around it.
    "softplus": {k: "$T p = x > 0 ? x : 0, v = eg_exp_$N(-EG_FABS$S(x)); " + _LOG1P[k] + "return p + y;" for k in _LOG1P},
    "asinh": {k: "$T a = EG_FABS$S(x); int far = a > 0x1p55f; $T v = far ? a : a + a * a / (1 + EG_SQRT$S(EG_FMA$S(a, a, 1))); " +
                 _LOG1P[k] + "return EG_COPYSIGN$S(a < INFINITY ? far ? y + $LN2 : y : a, x);" for k in _LOG1P},
    "acosh": {k: "$T b1 = x - 1; int far = x > 0x1p55f; $T v = far ? x : b1 + EG_SQRT$S(EG_FMA$S(b1, b1, 2 * b1)); " +
                 _LOG1P[k] + "return x >= 1 ? x < INFINITY ? far ? y + $LN2 : y : x : as_$T($NANBITS);" for k in _LOG1P},
    # With t = 2**n near p / q, 2 atanh(a) is n log(2) + 2 atanh(s) and s = (p - t q) / (p + t q); a small t shows the errors of p, q.
    "atanh": "$T a = EG_FABS$S(x), p = 1 + a, q = 1 - a; $U e = (as_$U(p) - as_$U(q) + (($U)1 << ($M - 1))) >> $M; "
             "$T t = as_$T((e + $B) << $M), s = (t < 4 ? EG_FMA$S(a, 1 + t, 1 - t) : EG_FMA$S(-t, q, p)) / EG_FMA$S(t, q, p); "
             "$T n = $FROMBITS, z = s * s, y = EG_FMA$S(n, 0.5f * $LN2, s + EG_FMA$S(s * z, POLY(arctanh, z), n * (0.5f * $LN2LO))); "
             "return EG_COPYSIGN$S(a < 1 ? y : a == 1 ? INFINITY : as_$T($NANBITS), x);",
}
