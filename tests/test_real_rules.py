"""REAL, and STABLE too: both sides of every rule are the same real number, proved by sympy where it can, and at rational points."""
from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rules.chains import CHAINS
from exprgraph.rules.masks import MASKS
from exprgraph.rules.real import REAL
from exprgraph.rules.stable import STABLE
from tests.row_rules import ROWS
from tests.rule_cases import grid, rewritten, walk
from tests.stable_checks import check_real, proved, row_case

pytest.importorskip("sympy")
pytest.importorskip("mpmath")
BY_NAME = {r.name: r for r in (*REAL, *STABLE)}
POSITIVE = {"exp(log(x))": "x", "log(sqrt(x))": "x", "sqr(sqrt(x))": "x", "x ** 0.5": "x", "log(exp(x) / y)": "y",
            "log(x ** k)": "x"}
"""The arguments that have to be positive for a pattern to have a real value; both sides are compared where they are."""
SCALAR = list(walk([*REAL, *(r for r in STABLE if r not in MASKS)]))
ROW = [row for row in ROWS if row[0] in BY_NAME]
CHAINED: dict[str, Callable[[Any], Any]] = {
    "(x @ y) @ column": lambda x: (x @ x) @ x[:, :1], "row @ (y @ z)": lambda x: x[:1] @ (x @ x),
    "x @ 0": lambda x: x @ eg.zeros((3, 2), "float32"), "0 @ x": lambda x: eg.zeros((2, 3), "float32") @ x}
POINTS = np.array([float(Fraction(n, d)) for n, d in ((-7, 3), (-1, 2), (1, 3), (5, 7), (2, 1), (19, 8))])


@pytest.mark.parametrize("rule", SCALAR, ids=lambda r: r.name)
def test_sides_agree_at_rational_points(rule: Rule) -> None:
    check_real(rule, grid(rule, "float64", POINTS, constant=3.0))


@pytest.mark.parametrize("name, given", ROW)
def test_sides_of_row_rules_agree_at_rational_points(name: str, given) -> None:
    check_real(BY_NAME[name], row_case(BY_NAME[name], "float32", given, 4))


UNSEEN = ("log(-expm1(x))", "log1p(-exp(x))", "-max(-x)", "-min(-x)")
"""Rules with cases on one side, or maxima on both, which sympy does not see through."""


@pytest.mark.parametrize("rule", [r for r in SCALAR if r.name not in UNSEEN], ids=lambda r: r.name)
def test_sympy_proves(rule: Rule) -> None:
    assert proved(rule, grid(rule, "float64", POINTS[:1], constant=3.0), POSITIVE.get(rule.name, ""))


@pytest.mark.parametrize("name, given", [row for row in ROW if row[0] not in UNSEEN])
def test_sympy_proves_for_rows(name: str, given) -> None:
    assert proved(BY_NAME[name], row_case(BY_NAME[name], "float32", given, 1))


@pytest.mark.parametrize("rule", CHAINS, ids=lambda r: r.name)
def test_chains_of_products_on_whole_numbers(rule: Rule) -> None:
    x = eg.tensor("x", "float32", (3, 3))
    left = CHAINED[rule.name](x)
    right = rewritten(rule, left, [x])
    assert right is not None
    given, got = evaluate([left, right], {x.node: np.array([[1, 2, -1], [0, 3, 1], [2, 2, -2]], "float32")})
    assert given.dtype == got.dtype and np.array_equal(given, got)


@pytest.mark.parametrize("make", [lambda x: (x @ x) @ x, lambda x: x @ (x @ x), lambda x: (x[:, :1] @ x[:1]) @ x[:, :1]])
def test_chains_whose_best_order_a_call_decides_stay(make) -> None:
    x = eg.tensor("x", "float32", (3, 3))
    assert all(rewritten(rule, make(x), [x]) is None for rule in CHAINS)


def test_every_real_rule_is_tried() -> None:
    assert {r.name for r in REAL} == {*(r.name for r in (*SCALAR, *CHAINS)), *(name for name, _ in ROW)} - {r.name for r in STABLE}
