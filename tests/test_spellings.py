"""Stable rules are found however their pattern is spelled, and what they make is as close to the truth as from the plain spelling."""
from __future__ import annotations

import collections
from functools import partial

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.node import Out
from exprgraph.patterns import Rule, arguments, sort
from exprgraph.rules.stable import STABLE
from tests.row_rules import ROWS
from tests.rule_cases import drawn
from tests.spellings import WAYS, respelled
from tests.stable_checks import ULPS, Bound, reference, row_case, scalar_case
from tests.test_stable_rules import BOUNDS, PLAIN

pytest.importorskip("mpmath")
COUNT = 50
TELLING = {"exp", "log", "log1p", "expm1", "sigmoid", "softplus", "logaddexp", "erf", "erfc", "max"}
BOTH_WAYS = Bound("1 / exp(x), which a spelling may have by itself, must be finite",
                  inside=lambda values, dtype: np.abs(values["x"]) <= np.log(np.finfo(dtype).max))
SPELT = {**BOUNDS, "y / (exp(x) / z) / z": BOTH_WAYS}
"""The bounds of the rules, and those where a spelling has an intermediate value that the pattern has not."""
RATIOS = {"exp(x) / exp(x)", "sigmoid(x) / sigmoid(x)"}
"""Rules with a pattern that is 1: written with a factor 1, it is another rule's, which leaves that factor alone."""
MODULO = [r for r in STABLE if r.modulo]
PLAIN_CASES = [(r, scalar_case) for r in MODULO if not any(sort(n) in ("params", "views") for n in arguments(r))]
ROW_CASES = [(r, partial(row_case, given=given, count=12)) for name, given in ROWS for r in MODULO if r.name == name]


def telling(out: Out) -> collections.Counter[str]:
    """How often each costly row is computed."""
    return collections.Counter(n.op.name for n in order([out]) if n.op.name in TELLING)


def compiled(inputs, out):
    return eg.compile(inputs, out, device="numpy", on_unused_input="ignore")


@pytest.mark.parametrize("rule, cases", [*PLAIN_CASES, *ROW_CASES], ids=lambda p: getattr(p, "name", ""))
def test_a_rule_is_found_in_every_spelling_A5(rule: Rule, cases) -> None:
    case, bound, rng = cases(rule, "float32"), SPELT.get(rule.name, PLAIN), drawn(f"spellings {rule.name}")
    judged, inputs, values = reference(rule, case, "float32", bound), [Out(n) for n in case[1]], list(case[1].values())
    wanted = telling(compiled(inputs, judged.left).graph.outputs[0])
    for number in range(COUNT):
        ways = tuple(WAYS) if number % 2 else (tuple(WAYS)[number // 2 % len(WAYS)],)
        spelling = respelled(judged.left, rng, ways)
        f = compiled(inputs, spelling)
        gone = rule.name in RATIOS and not telling(f.graph.outputs[0])
        assert gone or telling(f.graph.outputs[0]) == wanted, f"{eg.pp(spelling)} became {eg.pp(f.graph.outputs[0])}"
        worst = np.max(judged.error(f(*values)))
        assert worst <= max(bound.ulps("float32"), ULPS), f"{worst:.3g} ULP off: {eg.pp(spelling)} became {eg.pp(f.graph.outputs[0])}"
