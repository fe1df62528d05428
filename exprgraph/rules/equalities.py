"""EQUALITIES: what the equality search knows, as rules that are read in the direction in which they are written.

The second tag says what an equality promises: "exact" keeps every bit, "stable" rounds once where two roundings were, "real" is true over
the real numbers.  Several constants of one pattern are called k and k2; a right side that is made of constants alone is computed.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exprgraph.node import Op
from exprgraph.ops.arithmetic import absolute, add, int_div, mod, mul, sqr, sqrt, sub, true_div
from exprgraph.ops.bits import and_
from exprgraph.ops.compare import ge, gt, le, lt, maximum, minimum, switch
from exprgraph.ops.transcendental import (
    arcsinh,
    arctan,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    power,
    sigmoid,
    sin,
    sinh,
    softplus,
    tan,
    tanh,
)
from exprgraph.patterns import Match, Rule, tagged

FUNCTIONS = (exp, exp2, expm1, log, log2, log10, log1p, sin, cos, tan, sinh, cosh, tanh, arctan, arcsinh, erf, erfc, sigmoid, softplus,
             sqrt)
ODD = (sin, tan, sinh, tanh, arctan, erf)
BINARY = (add, sub, mul, true_div)


def _number(match: Match, name: str) -> Any:
    return match.bound[name]


def _plain(number: Any) -> bool:
    """Whether a number is finite, not zero and has all its digits."""
    return bool(np.isfinite(number)) and abs(number) >= np.finfo(number.dtype).tiny


def folds(operator: str) -> Callable[[Match], bool]:
    """The condition that k and k2 under an operator of "+-*/" are a float without rounding, so that one rounding is left."""
    def holds(match: Match) -> bool:
        from fractions import Fraction  # rarely needed
        k, k2 = _number(match, "k"), _number(match, "k2")
        if not _plain(k) or not _plain(k2):
            return False
        a, b = Fraction(float(k)), Fraction(float(k2))
        exact = a + b if operator == "+" else a - b if operator == "-" else a * b if operator == "*" else a / b
        with np.errstate(all="ignore"):
            found = np.asarray(float(exact)).astype(k.dtype)
        return (_plain(found) or (operator in "+-" and exact == 0)) and Fraction(float(found)) == exact
    return holds


def _not_one(match: Match) -> bool:
    x = _number(match, "x")
    return not isinstance(x, np.ndarray) or x != 1


def _power_of_two(match: Match) -> bool:
    k = int(_number(match, "k"))
    return k > 0 and k & (k - 1) == 0


def _positive(match: Match) -> bool:
    return int(_number(match, "k")) > 0


def _divides_again(match: Match) -> bool:
    k, k2 = int(_number(match, "k")), int(_number(match, "k2"))
    return min(k, k2) > 0 and k * k2 <= np.iinfo(_number(match, "k").dtype).max


def _normal(match: Match) -> bool:
    return _plain(_number(match, "k")) and _plain(1 / _number(match, "k"))


def _lifted(row: Op, left: bool) -> Rule:
    """A choice between two results of a row that share an operand is the row's result for a choice."""
    kinds = "f" if row is true_div else "fiu"
    if left:
        return Rule(f"switch(c, x {row.name} z, y {row.name} z)", lambda x, y, z, c: switch(c, row(x, z), row(y, z)),
                    lambda x, y, z, c: row(switch(c, x, y), z), kinds=kinds)
    return Rule(f"switch(c, z {row.name} x, z {row.name} y)", lambda x, y, z, c: switch(c, row(z, x), row(z, y)),
                lambda x, y, z, c: row(z, switch(c, x, y)), kinds=kinds)


SHARED = tagged("search exact sharing", (
    Rule("sqr(x - y) turned", lambda x, y: sqr(x - y), lambda x, y: sqr(y - x)),
    Rule("abs(x - y) turned", lambda x, y: absolute(x - y), lambda x, y: absolute(y - x), kinds="fi"),
    *(Rule(f"{f.name}(x, y) turned", lambda x, y, f=f: f(x, y), lambda x, y, g=g: g(y, x), kinds="fiu")
      for f, g in ((lt, gt), (le, ge), (gt, lt), (ge, le))),
))
LIFTED = tagged("search exact choices", (
    *(Rule(f"switch(c, {f.name}(x), {f.name}(y))", lambda x, y, c, f=f: switch(c, f(x), f(y)), lambda x, y, c, f=f: f(switch(c, x, y)),
           why="one of the two is computed") for f in FUNCTIONS),
    *(_lifted(f, True) for f in BINARY), _lifted(sub, False), _lifted(true_div, False),
    *(Rule(f"{f.name}({f.name}(x, k), k2)", lambda x, k, k2, f=f: f(f(x, k), k2), lambda x, k, k2, f=f: f(x, f(k, k2)), kinds="fiu")
      for f in (maximum, minimum)),
))
WHOLE = tagged("search exact strength", (
    Rule("x % 2**n", lambda x, k: mod(x, k), lambda x, k: and_(x, k - 1), _power_of_two, kinds="iu"),
    Rule("x // k // k2", lambda x, k, k2: int_div(int_div(x, k), k2), lambda x, k, k2: int_div(x, k * k2), _divides_again, kinds="iu"),
    Rule("x % k beside x // k", lambda x, k: mod(x, k), lambda x, k: x - int_div(x, k) * k, _positive, kinds="iu"),
    Rule("x - x // k * k", lambda x, k: x - int_div(x, k) * k, lambda x, k: mod(x, k), _positive, kinds="iu"),
))
ONCE = tagged("search stable constants", (
    Rule("x * k * k2", lambda x, k, k2: x * k * k2, lambda x, k, k2: x * (k * k2), folds("*")),
    Rule("x / k / k2", lambda x, k, k2: x / k / k2, lambda x, k, k2: x / (k * k2), folds("*")),
    Rule("x * k / k2", lambda x, k, k2: x * k / k2, lambda x, k, k2: x * (k / k2), folds("/")),
    Rule("x / k2 * k", lambda x, k, k2: x / k2 * k, lambda x, k, k2: x * (k / k2), folds("/")),
    Rule("x / k * k2", lambda x, k, k2: x / k * k2, lambda x, k, k2: x / (k / k2), folds("/")),
    Rule("x * k2 / k", lambda x, k, k2: x * k2 / k, lambda x, k, k2: x / (k / k2), folds("/")),
    Rule("x + k + k2", lambda x, k, k2: x + k + k2, lambda x, k, k2: x + (k + k2), folds("+")),
    Rule("x + k - k2", lambda x, k, k2: x + k - k2, lambda x, k, k2: x + (k - k2), folds("-")),
    Rule("x - k2 + k", lambda x, k, k2: x - k2 + k, lambda x, k, k2: x + (k - k2), folds("-")),
    Rule("x - k - k2", lambda x, k, k2: x - k - k2, lambda x, k, k2: x + (-k - k2), folds("+"),
         why="x - 0.0 keeps -0.0, which x - 3 - -3 does not"),
    Rule("k - x + k2", lambda x, k, k2: k - x + k2, lambda x, k, k2: (k + k2) - x, folds("+")),
    Rule("k - x - k2", lambda x, k, k2: k - x - k2, lambda x, k, k2: (k - k2) - x, folds("-")),
    Rule("k - (x + k2)", lambda x, k, k2: k - (x + k2), lambda x, k, k2: (k - k2) - x, folds("-")),
    Rule("k - (x - k2)", lambda x, k, k2: k - (x - k2), lambda x, k, k2: (k + k2) - x, folds("+")),
    Rule("k - (k2 - x)", lambda x, k, k2: k - (k2 - x), lambda x, k, k2: x + (k - k2), folds("-")),
))
QUOTIENTS = tagged("search real quotients", (
    Rule("x / y shared", lambda x, y: x / y, lambda x, y: x * (1 / y), _not_one, why="rounding, y near the ends of the range"),
    Rule("x / y / z", lambda x, y, z: x / y / z, lambda x, y, z: x / (y * z), why="rounding, overflow"),
    Rule("x / (y / z)", lambda x, y, z: x / (y / z), lambda x, y, z: x * z / y, why="rounding, overflow"),
    Rule("x / y * z", lambda x, y, z: x / y * z, lambda x, y, z: x * z / y, why="rounding, overflow"),
    Rule("x / y + z / w", lambda x, y, z, w: x / y + z / w, lambda x, y, z, w: (x * w + z * y) / (y * w), why="rounding, overflow"),
    Rule("x / y - z / w", lambda x, y, z, w: x / y - z / w, lambda x, y, z, w: (x * w - z * y) / (y * w), why="rounding, overflow"),
    Rule("x / k turned", lambda x, k: x / k, lambda x, k: x * (1 / k), _normal, why="rounding"),
))
EXPONENTIALS = tagged("search real exponentials", (
    Rule("exp(x) times exp(y)", lambda x, y: exp(x) * exp(y), lambda x, y: exp(x + y), why="overflow"),
    Rule("exp(x) over exp(y)", lambda x, y: exp(x) / exp(y), lambda x, y: exp(x - y), why="overflow"),
    Rule("y / exp(x) turned", lambda x, y: y / exp(x), lambda x, y: y * exp(-x), why="overflow"),
    Rule("exp(-x) shared", lambda x: exp(-x), lambda x: 1 / exp(x), why="overflow"),
    Rule("sqr(exp(x))", lambda x: sqr(exp(x)), lambda x: exp(x + x), why="overflow"),
    Rule("sqrt(exp(x))", lambda x: sqrt(exp(x)), lambda x: exp(0.5 * x), why="overflow"),
    Rule("exp(x) ** y", lambda x, y: power(exp(x), y), lambda x, y: exp(x * y), why="overflow"),
    Rule("log(x) + log(y)", lambda x, y: log(x) + log(y), lambda x, y: log(x * y), why="x < 0, overflow"),
    Rule("log(x) - log(y)", lambda x, y: log(x) - log(y), lambda x, y: log(x / y), why="x < 0, overflow"),
    Rule("log(x ** y)", lambda x, y: log(power(x, y)), lambda x, y: y * log(x), why="x < 0, overflow"),
    Rule("log(1 / x)", lambda x: log(1 / x), lambda x: -log(x), why="overflow"),
))
ROOTS = tagged("search real powers", (
    Rule("sqrt(x) * sqrt(y)", lambda x, y: sqrt(x) * sqrt(y), lambda x, y: sqrt(x * y), why="x < 0, overflow"),
    Rule("sqrt(x) / sqrt(y)", lambda x, y: sqrt(x) / sqrt(y), lambda x, y: sqrt(x / y), why="x < 0, overflow"),
    Rule("x / sqrt(x)", lambda x: x / sqrt(x), lambda x: sqrt(x), why="x = 0, infinity"),
    Rule("x ** 1.5", lambda x: power(x, 1.5), lambda x: x * sqrt(x), why="rounding"),
    Rule("x ** -0.5", lambda x: power(x, -0.5), lambda x: 1 / sqrt(x), why="rounding"),
    Rule("x ** 2.5", lambda x: power(x, 2.5), lambda x: sqr(x) * sqrt(x), why="rounding"),
    Rule("x ** -1.5", lambda x: power(x, -1.5), lambda x: 1 / (x * sqrt(x)), why="rounding"),
    Rule("x ** y * x ** z", lambda x, y, z: power(x, y) * power(x, z), lambda x, y, z: power(x, y + z), why="overflow"),
))
ANGLES = tagged("search real angles", (
    Rule("sin**2 + cos**2", lambda x: sqr(sin(x)) + sqr(cos(x)), lambda x: x * 0.0 + 1.0, why="infinity"),
    Rule("cos**2 - sin**2", lambda x: sqr(cos(x)) - sqr(sin(x)), lambda x: cos(x + x), why="rounding"),
    Rule("sin(x) * cos(x)", lambda x: sin(x) * cos(x), lambda x: 0.5 * sin(x + x), why="rounding"),
    Rule("sin(x) / cos(x)", lambda x: sin(x) / cos(x), lambda x: tan(x), why="rounding"),
    Rule("sinh(x) / cosh(x)", lambda x: sinh(x) / cosh(x), lambda x: tanh(x), why="overflow"),
    *(Rule(f"{f.name}(-x) shared", lambda x, f=f: f(-x), lambda x, f=f: -f(x), why="rounding") for f in ODD),
    *(Rule(f"{f.name}(-x) is {f.name}(x)", lambda x, f=f: f(-x), lambda x, f=f: f(x), why="rounding") for f in (cos, cosh)),
    *(Rule(f"{f.name}(y - x) shared", lambda x, y, f=f: f(y - x), lambda x, y, f=f: -f(x - y), why="rounding")
      for f in ODD),
))
COMMON, RING, SHIFTS, SYMPY = (
    Rule("common factors", None, lambda root: None, why="rounding, overflow", tags=("search", "real", "sums")),
    Rule("sums of integers", None, lambda root: None, kinds="iu", why="arithmetic that wraps is a ring", tags=("search", "exact", "sums")),
    Rule("shifts", None, lambda root: None, kinds="iu", why="x * 2**n and x // 2**n", tags=("search", "exact", "strength")),
    Rule("sympy", None, lambda root: None, why="what sympy makes of it", tags=("search", "real", "opinion")))
"""What is no pair of patterns: `exprgraph/search` has the algorithms."""
EQUALITIES: tuple[Rule, ...] = (*SHARED, *LIFTED, *WHOLE, *ONCE, *QUOTIENTS, *EXPONENTIALS, *ROOTS, *ANGLES, COMMON, RING, SHIFTS, SYMPY)
"""All equalities, in the order in which they are tried."""
SAFE, SMALL, LARGE = 0.0, 2.0, 20.0
"""What the risk of an equality costs, in picoseconds: none, that of rounding otherwise, and that of cancellation or of a shorter range."""
RISKY = ("exponentials", "angles")


def risk(rule: Rule | None) -> float:
    """What it costs to rely on an equality."""
    if rule is None or rule.tags[1:2] != ("real",):
        return SAFE
    return LARGE if rule.tags[2] in RISKY else SMALL
