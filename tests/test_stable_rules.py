"""STABLE: every rule is within 4 ULP of the largest term of a reference of many digits, or within the bound stated here, and a gain."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from exprgraph.patterns import Rule
from exprgraph.rules.masks import MASKS
from exprgraph.rules.stable import POWERS, STABLE
from tests.row_rules import ROWS
from tests.rule_cases import drawn, every, grid, tensors, walk
from tests.stable_checks import BESIDE_EXP, BESIDE_MAXIMUM, FROM_ONE, PLAIN, SHIFTED, Bound, check_rounded, check_stable, judge, row_case

pytest.importorskip("mpmath")
BOUNDS: dict[str, Bound] = {
    **dict.fromkeys(("(y / exp(x) + z) * exp(x)", "y / (exp(x) / z) / z"), BESIDE_EXP),
    "log(sum(exp(x)))": FROM_ONE,
    "log(exp(x) + exp(y))": BESIDE_MAXIMUM,
    **dict.fromkeys((name for name, _ in ROWS if not name.startswith("log")), SHIFTED),
}
BY_NAME = {r.name: r for r in STABLE}
SCALAR = [r for r in walk(STABLE) if r not in POWERS + MASKS]


@pytest.mark.parametrize("rule", SCALAR, ids=lambda r: r.name)
def test_stable_rules_are_within_their_bounds_A5(rule: Rule) -> None:
    check_stable(rule, bound=BOUNDS.get(rule.name, PLAIN))


@pytest.mark.campaign
@pytest.mark.parametrize("rule", [r for r in SCALAR if tensors(r) == ["x"]], ids=lambda r: r.name)
def test_campaign_stable_rules_at_many_float16(rule: Rule) -> None:
    values = every("float16")
    points = drawn(rule.name).choice(values[np.isfinite(values)], 1000)
    judged = judge(rule, grid(rule, "float16", points), "float16", BOUNDS.get(rule.name, PLAIN))
    assert np.max(judged.right) <= 4


@pytest.mark.parametrize("name, given", [row for row in ROWS if row[0] in BY_NAME])
def test_stable_rules_of_rows_are_within_their_bounds_A27(name: str, given) -> None:
    check_stable(BY_NAME[name], partial(row_case, given=given), BOUNDS.get(name, PLAIN))


@pytest.mark.parametrize("rule", POWERS, ids=lambda r: r.name)
def test_powers_are_rounded_once_A19(rule: Rule) -> None:
    check_rounded(rule)


def test_every_stable_rule_is_tried() -> None:
    assert {r.name for r in STABLE} == {r.name for r in (*SCALAR, *POWERS, *MASKS)} | {name for name, _ in ROWS if name in BY_NAME}
