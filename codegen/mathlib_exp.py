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

# x = 2**n (1 + f) and log(1 + f) = f + g; then the result outside (0, infinity).
_SPLIT = {
    "f32": "float w = x < $LEAST ? x * $UP : x; int k = (int)(as_uint(w) - $ROOT) >> 23; "
           "float f = as_float(as_uint(w) - ((uint)k << 23)) - 1, n = (float)k - (x < $LEAST ? 24.0f : 0.0f), z = f * f; "
           "float g = EG_FMAf(f * z, POLY(log, f), -0.5f * z); ",
    "f64": "double w = x < $LEAST ? x * $UP : x; ulong k = (as_ulong(w) - $ROOT + $BIAS) >> 52; "
           "double f = as_double(as_ulong(w) - ((k - 1023) << 52)) - 1; "
           "double n = as_double(k | 0x4330000000000000UL) - (x < $LEAST ? 0x1p52 + 1077 : 0x1p52 + 1023); "
           "double s = f / (2 + f), z = s * s, h = 0.5 * f * f, q = z * (POLY(atanh, z)), g = EG_FMA(s, h + q, -h); "}
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
            "$T q = EG_FMA$S(s, e, s - 0.25f); $T y = q < 0x1p60f ? 2 * q + 2 * q / (4 * q + 1) : 2 * q; "
            "return a < $TINY ? x : EG_COPYSIGN$S(y, x);",
    "cosh": "$T a = EG_FABS$S(x), z = a > $HIGH + 0.6f ? $HIGH + 0.6f : a; " + _REDUCE +
            "$T e = 1 + EG_FMA$S(r * r, POLY(exp, r), r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 2)) << $M); "
            "$T q = s * e; return 2 * q + 0.125f / q;",
    "tanh": "$T a = EG_FABS$S(x), e = eg_expm1_$N(a > 20 ? 40 : a + a), y = e / (e + 2); return a < $TINY ? x : EG_COPYSIGN$S(y, x);",
    "log": {k: _SPLIT[k] + "$T y = EG_FMA$S(n, $LN2, f + EG_FMA$S(n, $LN2LO, g)); " + _POLES for k in _SPLIT},
    "log2": {k: _SPLIT[k] + "$T y = n + EG_FMA$S(f, $L2E, EG_FMA$S(f, $L2ELO, g * $L2E)); " + _POLES for k in _SPLIT},
    "log10": {k: _SPLIT[k] + "$T y = EG_FMA$S(n, $L102, EG_FMA$S(f, $L10E, EG_FMA$S(f, $L10ELO, EG_FMA$S(n, $L102LO, g * $L10E)))); " +
              _POLES for k in _SPLIT},
    "log1p": {k: "$T v = x; x = v + 1; $T c = (v < 1 ? v - (x - 1) : 1 - (x - v)) / x; " + _SPLIT[k] +
                 "$T y = EG_FMA$S(n, $LN2, f + (c + EG_FMA$S(n, $LN2LO, g))); y = v < $TINY && v > -$TINY ? v : y; " + _POLES
              for k in _SPLIT},
    # log1p of a power of e that is at most 1, which has no poles: with these a compiler makes branches of what stands around it.
    "softplus": {k: "$T p = x > 0 ? x : 0, v = eg_exp_$N(-EG_FABS$S(x)); x = 1 + v; $T c = (v - (x - 1)) / x; " + _SPLIT[k] +
                    "$T y = EG_FMA$S(n, $LN2, f + (c + EG_FMA$S(n, $LN2LO, g))); return p + (v < $TINY ? v : y);" for k in _SPLIT},
    "asinh": "$T a = EG_FABS$S(x); int far = a > 0x1p55f; $T y = eg_log1p_$N(far ? a : a + a * a / (1 + EG_SQRT$S(EG_FMA$S(a, a, 1)))); "
             "return EG_COPYSIGN$S(far ? y + $LN2 : y, x);",
    "acosh": "$T d = x - 1; int far = x > 0x1p55f; $T y = eg_log1p_$N(far ? x : d + EG_SQRT$S(EG_FMA$S(d, d, 2 * d))); "
             "return x >= 1 ? far ? y + $LN2 : y : as_$T($NANBITS);",
    "atanh": "$T a = EG_FABS$S(x), y = 0.5f * eg_log1p_$N(2 * a / (1 - a)); return a < $TINY ? x : EG_COPYSIGN$S(y, x);",
}
