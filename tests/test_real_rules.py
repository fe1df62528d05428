"""REAL, and STABLE too: both sides of every rule are the same real number, proved by sympy where it can, and at rational points."""
from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from exprgraph.patterns import Rule
from exprgraph.rules.masks import MASKS
from exprgraph.rules.real import REAL
from exprgraph.rules.stable import STABLE
from tests.row_rules import ROWS
from tests.rule_cases import grid, walk
from tests.stable_checks import check_real, proved, row_case

pytest.importorskip("sympy")
pytest.importorskip("mpmath")
BY_NAME = {r.name: r for r in (*REAL, *STABLE)}
POSITIVE = {"exp(log(x))": "x", "log(sqrt(x))": "x", "sqr(sqrt(x))": "x", "x ** 0.5": "x", "log(exp(x) / y)": "y"}
"""The arguments that have to be positive for a pattern to have a real value; both sides are compared where they are."""
SCALAR = list(walk([*REAL, *(r for r in STABLE if r not in MASKS)]))
ROW = [row for row in ROWS if row[0] in BY_NAME]
POINTS = np.array([float(Fraction(n, d)) for n, d in ((-7, 3), (-1, 2), (1, 3), (5, 7), (2, 1), (19, 8))])


@pytest.mark.parametrize("rule", SCALAR, ids=lambda r: r.name)
def test_sides_agree_at_rational_points(rule: Rule) -> None:
    check_real(rule, grid(rule, "float64", POINTS, constant=3.0))


@pytest.mark.parametrize("name, given", ROW)
def test_sides_of_row_rules_agree_at_rational_points(name: str, given) -> None:
    check_real(BY_NAME[name], row_case(BY_NAME[name], "float32", given, 4))


@pytest.mark.parametrize("rule", SCALAR, ids=lambda r: r.name)
def test_sympy_proves(rule: Rule) -> None:
    assert proved(rule, grid(rule, "float64", POINTS[:1], constant=3.0), POSITIVE.get(rule.name, ""))


@pytest.mark.parametrize("name, given", ROW)
def test_sympy_proves_for_rows(name: str, given) -> None:
    assert proved(BY_NAME[name], row_case(BY_NAME[name], "float32", given, 1))
