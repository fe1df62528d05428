"""Exponentials and logarithms without branches and builtins, so that compilers vectorise loops over them.

Each body is written for both dtypes in the words of `WORDS`.  exp and expm1 reduce x to n log(2) + r as in Cody and Waite, Software
Manual for the Elementary Functions (1980); log splits x into 2**k m with m near 1, and in float64 uses atanh((m - 1) / (m + 1)) as
FreeBSD's msun does.  All polynomials are our own fits: benchmarks/fit_polynomials.py.
"""
from __future__ import annotations

from collections.abc import Sequence
from string import Template

from codegen.coefficients import POLYNOMIALS

WORDS = {
    "f32": {"T": "float", "N": "f32", "S": "f", "U": "uint", "I": "int", "M": "23", "B": "127", "MAGIC": "0x1.8p23f",
            "L2E": "0x1.715476p0f", "LN2": "0x1.62e43p-1f", "LN2LO": "-0x1.05c61p-29f", "LOW": "-104.0f", "HIGH": "89.0f", "LOW2": "-150.0f", "HIGH2": "129.0f",
            "FLAT": "-20.0f", "TINY": "0x1p-25f", "NANBITS": "0x7fc00000u", "LEAST": "0x1p-126f", "UP": "0x1p24f", "SHIFT": "24",
            "ROOT": "0x3f3504f3u", "ONEBITS": "0x3f800000u", "BIAS": "0x3f800000u"},
    "f64": {"T": "double", "N": "f64", "S": "", "U": "ulong", "I": "long", "M": "52", "B": "1023", "MAGIC": "0x1.8p52",
            "L2E": "0x1.71547652b82fep0", "LN2": "0x1.62e42fefa39efp-1", "LN2LO": "0x1.abc9e3b39803fp-56", "LOW": "-746.0", "HIGH": "710.0",
            "LOW2": "-1076.0", "HIGH2": "1025.0", "FLAT": "-40.0", "TINY": "0x1p-54", "NANBITS": "0x7ff8000000000000UL",
            "LEAST": "0x1p-1022", "UP": "0x1p54", "SHIFT": "54", "ROOT": "0x3fe6a09e667f3bcdUL", "ONEBITS": "0x3ff0000000000000UL",
            "BIAS": "0x3ff0000000000000UL"}}


def horner(variable: str, coefficients: Sequence[str], suffix: str) -> str:
    """The text of a polynomial, lowest power first, as nested fused products."""
    text = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        text = f"EG_FMA{suffix}({text}, {variable}, {coefficient})"
    return text


_SCALE = "$U k = as_$U(t) - as_$U(($T)$MAGIC) + 2 * $B, h = k >> 1; return p * as_$T(h << $M) * as_$T((k - h) << $M);"
_REDUCE = ("$T t = EG_FMA$S(z, $L2E, $MAGIC), n = t - $MAGIC; $T r = EG_FMA$S(n, -($LN2LO), EG_FMA$S(n, -$LN2, z)); ")

BODIES: dict[str, str | dict[str, str]] = {
    "exp": "$T z = x < $LOW ? $LOW : x > $HIGH ? $HIGH : x; " + _REDUCE + "$T p = 1 + EG_FMA$S(r * r, $EXP, r); " + _SCALE,
    "exp2": "$T z = x < $LOW2 ? $LOW2 : x > $HIGH2 ? $HIGH2 : x; $T t = z + $MAGIC, r = z - (t - $MAGIC); "
            "$T p = EG_FMA$S(r, $EXP2, 1); " + _SCALE,
    "expm1": "$T z = x < $FLAT ? $FLAT : x > $HIGH ? $HIGH : x; " + _REDUCE +
             "$T e = EG_FMA$S(r * r, $EXP, r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 1)) << $M); "
             "$T y = 2 * EG_FMA$S(s, e, s - 0.5f); return EG_FABS$S(x) < $TINY ? x : y;",
    "sinh": "$T a = EG_FABS$S(x), z = a > $HIGH + 0.6f ? $HIGH + 0.6f : a; " + _REDUCE +
            "$T e = EG_FMA$S(r * r, $EXP, r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 2)) << $M); "
            "$T q = EG_FMA$S(s, e, s - 0.25f); $T y = q < 0x1p60f ? 2 * q + 2 * q / (4 * q + 1) : 2 * q; return a < $TINY ? x : EG_COPYSIGN$S(y, x);",
    "cosh": "$T a = EG_FABS$S(x), z = a > $HIGH + 0.6f ? $HIGH + 0.6f : a; " + _REDUCE +
            "$T e = 1 + EG_FMA$S(r * r, $EXP, r), s = as_$T((as_$U(t) - as_$U(($T)$MAGIC) + ($B - 2)) << $M); "
            "$T q = s * e; return 2 * q + 0.125f / q;",
    "tanh": "$T a = EG_FABS$S(x), e = eg_expm1_$N(a > 20 ? 40 : a + a), y = e / (e + 2); return a < $TINY ? x : EG_COPYSIGN$S(y, x);",
    "log": {
        "f32": "float w = x < $LEAST ? x * $UP : x; int k = (int)(as_uint(w) - $ROOT) >> 23; "
               "float f = as_float(as_uint(w) - ((uint)k << 23)) - 1; "
               "float n = (float)k - (x < $LEAST ? 24.0f : 0.0f), z = f * f; "
               "float y = EG_FMAf(n, $LN2, f + EG_FMAf(f * z, $LOG, EG_FMAf(z, -0.5f, n * $LN2LO))); "
               "return x > 0 ? (x < INFINITY ? y : x) : x == 0 ? -INFINITY : as_float($NANBITS);",
        "f64": "double w = x < $LEAST ? x * $UP : x; ulong k = (as_ulong(w) - $ROOT + ($BIAS)) >> 52; "
               "double f = as_double(as_ulong(w) - ((k - 1023) << 52)) - 1; "
               "double n = as_double(k | 0x4330000000000000UL) - (x < $LEAST ? 0x1p52 + 1077 : 0x1p52 + 1023); "
               "double s = f / (2 + f), z = s * s, h = 0.5 * f * f, q = z * ($ATANH); "
               "double y = EG_FMA(n, $LN2, f - (h - EG_FMA(s, h + q, n * $LN2LO))); "
               "return x > 0 ? (x < INFINITY ? y : x) : x == 0 ? -INFINITY : as_double($NANBITS);"}}


def body(family: str, short: str) -> str | None:
    """The C body of a function of x, None where there is none of our own."""
    found = BODIES.get(family)
    template = found[short] if isinstance(found, dict) and short in found else found
    if not isinstance(template, str) or short not in WORDS:
        return None
    words = dict(WORDS[short])
    for name, variable in (("exp", "r"), ("exp2", "r"), ("log", "f"), ("atanh", "z")):
        if f"{name}_{short}" in POLYNOMIALS:
            words[name.upper()] = horner(variable, POLYNOMIALS[f"{name}_{short}"], words["S"])
    return Template(template).substitute(words)
