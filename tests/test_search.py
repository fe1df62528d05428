"""The equality search: its equalities, what it makes of expressions at each level, its budget, its order, and how it is chosen and seen."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.node import Out
from exprgraph.reference import evaluate
from exprgraph.rewrite import Rule
from exprgraph.rules.equalities import EQUALITIES
from tests.processes import python
from tests.rule_cases import specials
from tests.search_checks import CHECKS, check_exact, check_graph, check_once, check_real, counts, planned, vector

PATTERNS = [r for r in EQUALITIES if r.pattern is not None]


@pytest.mark.parametrize("rule", PATTERNS, ids=lambda r: r.name)
def test_equalities_keep_what_their_tag_promises(rule: Rule) -> None:
    CHECKS[rule.tags[1]](rule)


PLANTED = [
    (check_exact, Rule("x - y turned", lambda x, y: x - y, lambda x, y: -(y - x)), "becomes"),
    (check_exact, Rule("max turned", lambda x, y: eg.maximum(x, y), lambda x, y: eg.maximum(y, x)), "becomes"),
    (check_exact, Rule("x % k", lambda x, k: eg.mod(x, k), lambda x, k: eg.and_(x, k - 1), kinds="i"), "int8"),
    (check_exact, Rule("idle", lambda x: eg.exp(x), lambda x: eg.exp(x)), "nowhere"),
    (check_once, Rule("x * k * k2", lambda x, k, k2: x * k * k2, lambda x, k, k2: x * (k * k2)), "for"),
    (check_real, Rule("exp(x) - exp(y)", lambda x, y: eg.exp(x) - eg.exp(y), lambda x, y: eg.exp(x - y)), "Not equal"),
]


@pytest.mark.parametrize("check, rule, where", PLANTED, ids=lambda r: getattr(r, "name", ""))
def test_planted_equalities_are_caught(check: Callable[[Rule], None], rule: Rule, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check(rule)


X = vector("x")
Y, Z = vector("y", X), vector("z", X)
I, J = vector("i", X, "int32"), vector("j", X, "int32")
A, B = eg.scalar("a"), eg.scalar("b")
POLYNOMIAL = 3 * X**8 + 2 * X**7 - X**6 + 4 * X**5 + X**4 - 5 * X**3 + 2 * X**2 + X - 7
TABLE = [
    ("polynomial", [POLYNOMIAL], {}, {"add": 5, "mul": 8, "sub": 3}),
    ("powers", [X**9 + X**6], {}, {"add": 1, "mul": 2, "sqr": 2}),
    ("two divisions", [X / A + Y / A], {}, {"add": 1, "mul": 1, "true_div": 1}),
    ("shared divisor", [X / Z, Y / Z, A / Z], {}, {"mul": 3, "true_div": 1}),
    ("scalar divisor", [X / A], {}, {"mul": 1, "true_div": 1}),
    ("nested quotients", [X / (Y / Z) / A], {}, {"mul": 2, "true_div": 1}),
    ("common factor", [X * Y + X * Z - X], {}, {"add": 1, "mul": 1, "sub": 1}),
    ("like terms", [X * Y + 2 * Y * X - Z], {}, {"mul": 2, "sub": 1}),
    ("exponentials", [eg.exp(X) * Y * eg.exp(Z) * eg.exp(A)], {}, {"add": 2, "exp": 1, "mul": 1}),
    ("exponential turned", [eg.exp(X) + eg.exp(-X)], {}, {"add": 1, "exp": 1, "true_div": 1}),
    ("logarithms", [eg.log(X) - eg.log(Y)], {}, {"log": 1, "true_div": 1}),
    ("roots", [eg.sqrt(X) * eg.sqrt(Y) / eg.sqrt(Z)], {}, {"mul": 1, "sqrt": 1, "true_div": 1}),
    ("gelu", [0.5 * X * (1 + eg.tanh(0.7978846 * (X + 0.044715 * X**3)))], {}, {"add": 2, "mul": 4, "sqr": 1, "tanh": 1}),
    ("odd function", [eg.erf(X - Y) + eg.erf(Y - X) * Z], {}, {"erf": 1, "mul": 1, "sub": 2}),
    ("choice", [eg.switch(X > 0, eg.exp(X), eg.exp(Y))], {"exp": 1, "gt": 1, "switch": 1}, {"exp": 1, "gt": 1, "switch": 1}),
    ("choice of sums", [eg.switch(X > 0, Y * Z, A * Z)], {"gt": 1, "mul": 1, "switch": 1}, {"gt": 1, "mul": 1, "switch": 1}),
    ("constants", [X * 3 * 5, 7 - (Y + 2), Z / 3 / 5], {"add": 0, "mul": 1, "sub": 1, "true_div": 1}, {"mul": 2, "sub": 1}),
    ("constants that round", [X * 0.1 * 0.3], {"mul": 2}, {"mul": 1}),
    ("squares of differences", [eg.sqr(X - Y) * Z, eg.sqr(Y - X)], {"mul": 1, "sqr": 1, "sub": 1}, {"mul": 1, "sqr": 1, "sub": 1}),
    ("comparisons", [eg.switch(X < Y, A, Z), Y > X], {"lt": 1, "switch": 1}, {"lt": 1, "switch": 1}),
    ("clamps", [eg.maximum(eg.maximum(X, 1), 2)], {"maximum": 1}, {"maximum": 1}),
    ("strength", [I // 8, I % 16, J * 4], {"and_": 1, "left_shift": 1, "right_shift": 1}, {"and_": 1, "left_shift": 1, "right_shift": 1}),
    ("ring", [I * 3 + J * 3 + I * 5 - J], {"add": 1, "left_shift": 2, "mul": 0}, {}),
    ("remainder beside quotient", [I // 7, I % 7], {"int_div": 1, "mul": 1, "sub": 1}, {"int_div": 1, "mul": 1, "sub": 1}),
    ("powers of integers", [I**5 - J], {"mul": 1, "sqr": 2, "sub": 1}, {"mul": 1, "sqr": 2, "sub": 1}),
]


def values_of(outputs: list[Out], benign: bool) -> dict[Any, Any]:
    """Numbers for the symbols of an expression: special ones in all kinds of pairs, or such as rounding does no harm to."""
    rng, found = np.random.default_rng(11), {}
    for symbol in (X, Y, Z, I, J, A, B):
        size = () if not symbol.ndim else (300,)
        if symbol.dtype == "float32":
            pool = rng.uniform(0.4, 1.9, 64).astype("float32") if benign else specials("float32")
        else:
            pool = specials("int32")
        found[symbol.node] = rng.choice(pool, size)
    return found


@pytest.mark.parametrize("name, outputs, default, unsafe", TABLE, ids=lambda v: v if isinstance(v, str) else "")
def test_operations(name: str, outputs: list[Out], default: dict[str, int], unsafe: dict[str, int]) -> None:
    plain = counts(planned(outputs, "default", "-search"))
    exact = check_graph(outputs, values_of(outputs, False), "default", "-stable")
    stable = check_graph(outputs, values_of(outputs, True), "default")
    real = check_graph(outputs, values_of(outputs, True), "unsafe")
    print(name, plain, counts(exact), counts(stable), counts(real))
    assert not default and counts(stable) == plain or {k: counts(stable).get(k, 0) for k in default} == default
    assert {k: counts(real).get(k, 0) for k in unsafe} == unsafe and (not unsafe or set(counts(real)) <= set(unsafe))
