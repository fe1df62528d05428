"""Elementary functions of our own: the C bodies of all of them, filled in for a dtype.

Bodies are templates in the words of `WORDS`, with `POLY(name, z)` for a polynomial in z from `codegen.coefficients`.  They have no
branches and call no OpenCL builtins, so compilers vectorise loops over them.  A dtype that a body is not for keeps the builtin.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from string import Template

from codegen.coefficients import POLYNOMIALS
from codegen.mathlib_angle import ANGLES, NEAR_ANGLES, TURNS
from codegen.mathlib_exp import EXPONENTIALS
from codegen.mathlib_power import NEAR_POWERS, POWERS

WORDS = {
    "f32": {"T": "float", "N": "f32", "S": "f", "U": "uint", "I": "int", "M": "23", "B": "127", "MAGIC": "0x1.8p23f",
            "L2E": "0x1.715476p0f", "LN2": "0x1.62e43p-1f", "LN2LO": "-0x1.05c61p-29f", "LOW": "-104.0f", "HIGH": "89.0f",
            "LOW2": "-150.0f", "HIGH2": "129.0f",
            "FLAT": "-20.0f", "TINY": "0x1p-25f", "NANBITS": "0x7fc00000u", "LEAST": "0x1p-126f", "UP": "0x1p24f", "SHIFT": "24",
            "ROOT": "0x3f3504f3u", "ONEBITS": "0x3f800000u", "BIAS": "0x3f800000u", "L2ELO": "0x1.4ae0cp-26f",
            "L10E": "0x1.bcb7b2p-2f", "L10ELO": "-0x1.5b235ep-27f", "L102": "0x1.344136p-2f", "L102LO": "-0x1.ec10cp-27f",
            "PIO2": "0x1.921fb6p0f", "PIO2LO": "-0x1.777a5cp-25f", "PI": "0x1.921fb6p1f", "PILO": "-0x1.777a5cp-24f",
            "PI3": "-0x1.ee59dap-49f", "INVPI": "0x1.45f306p-2f", "NEAR": "0x1p17f", "TOP": "31",
            "FROMBITS": "(float)(int)e",
            "HALFMAX": "0x1p126f"},
    "f64": {"T": "double", "N": "f64", "S": "", "U": "ulong", "I": "long", "M": "52", "B": "1023", "MAGIC": "0x1.8p52",
            "L2E": "0x1.71547652b82fep0", "LN2": "0x1.62e42fefa39efp-1", "LN2LO": "0x1.abc9e3b39803fp-56", "LOW": "-746.0", "HIGH": "710.0",
            "LOW2": "-1076.0", "HIGH2": "1025.0", "FLAT": "-40.0", "TINY": "0x1p-54", "NANBITS": "0x7ff8000000000000UL",
            "LEAST": "0x1p-1022", "UP": "0x1p54", "SHIFT": "54", "ROOT": "0x3fe6a09e667f3bcdUL", "ONEBITS": "0x3ff0000000000000UL",
            "BIAS": "0x3ff0000000000000UL", "L2ELO": "0x1.777d0ffda0d24p-56",
            "L10E": "0x1.bcb7b1526e50ep-2", "L10ELO": "0x1.95355baaafad3p-57", "L102": "0x1.34413509f79ffp-2",
            "L102LO": "-0x1.9dc1da994fd21p-59", "PIO2": "0x1.921fb54442d18p0", "PIO2LO": "0x1.1a62633145c07p-54",
            "PI": "0x1.921fb54442d18p1", "PILO": "0x1.1a62633145c07p-53",
            "PI3": "-0x1.f1976b7ed8fbcp-109", "INVPI": "0x1.45f306dc9c883p-2", "NEAR": "0x1p32", "TOP": "63",
            "THIRD": "0x1.ec709dc3a03fdp-1", "THIRDLO": "0x1.d27f05548af0cp-55",
            "FROMBITS": "as_double(e | 0x4330000000000000UL) - 0x1p52", "HALFMAX": "0x1p1022"}}
_POLYNOMIAL = re.compile(r"POLY\((\w+), (\w+)\)")
BODIES = {**EXPONENTIALS, **ANGLES, **POWERS}
NEAR = {**NEAR_ANGLES, **NEAR_POWERS}
"""Bodies that are right for usual arguments only and say in *beyond that one was not."""
PARAMETERS = {"atan2": "xy", "hypot": "xy", "pow": "xy", "nearpow": "xy"}
TABLES = {"TURNS": TURNS}
LONG = 13
"""Coefficients from which on the length of a chain of products counts for more than one product more."""


def horner(variable: str, coefficients: Sequence[str]) -> str:
    """The text of a polynomial, lowest power first, as nested fused products."""
    text = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        text = f"EG_FMA{'f' * coefficient.endswith('f')}({text}, {variable}, {coefficient})"
    return text


def polynomial(variable: str, coefficients: Sequence[str]) -> str:
    """The text of a polynomial; a long one as the sum of its even and odd powers, which takes half as long from first to last."""
    if len(coefficients) < LONG:
        return horner(variable, coefficients)
    even, odd = (horner(f"({variable} * {variable})", coefficients[i::2]) for i in (0, 1))
    return f"EG_FMA{'f' * coefficients[0].endswith('f')}({odd}, {variable}, {even})"


def body(family: str, short: str) -> str | None:
    """The C body of a function of x, or of x and y; None where there is none of our own."""
    found = BODIES.get(family, NEAR.get(family))
    template = found.get(short) if isinstance(found, dict) else found
    if template is None or short not in WORDS:
        return None
    text = Template(template).substitute(WORDS[short])
    return _POLYNOMIAL.sub(lambda m: polynomial(m[2], POLYNOMIALS.get(m[1]) or POLYNOMIALS[f"{m[1]}_{short}"]), text)
