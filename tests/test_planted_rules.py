"""A wrong rule planted in any list is caught by the checks that the rules of the list pass, and the message says where it is wrong."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.ops.rounding import cast
from exprgraph.patterns import Rule, some
from exprgraph.rules.conditions import finite_constant, value
from exprgraph.rules.indexing import slice_reduced
from exprgraph.rules.masks import kept
from exprgraph.rules.movement import shuffle_twice
from exprgraph.rules.reductions import fold_twice
from tests.bit_checks import counterexample
from tests.exact_checks import check_casts, check_exact, check_mask, check_movement
from tests.movement_examples import EXAMPLES, NUMBERS
from tests.moving_examples import SUMS as ORDERED
from tests.row_rules import KEPT
from tests.rule_cases import grid
from tests.stable_checks import check_real, check_rounded, check_stable, proved, row_case
from tests.sums_checks import check_sums

EXACT = [
    (Rule("x + 0", lambda x: x + 0, lambda x: x), r"float16\(0\.0\) becomes np\.float16\(-0\.0"),
    (Rule("x - x", lambda x: x - x, lambda x: 0.0), "nan"),
    (Rule("x == x", lambda x: eg.eq(x, x), lambda x: True), "False"),
    (Rule("not x < y", lambda x, y: eg.invert(x < y), lambda x, y: x >= y), "becomes"),
    (Rule("abs(x) >= 0", lambda x: eg.abs(x) >= 0, lambda x: True, kinds="i"), "False"),
    (Rule("-x // y", lambda x, y: eg.int_div(-x, y), lambda x, y: -eg.int_div(x, y), kinds="i"), "int8"),
    (Rule("x * 2 / 2", lambda x: x * 2 / 2, lambda x: x), "inf"),
    (Rule("x * 3 // 3", lambda x: eg.int_div(x * 3, 3), lambda x: x, kinds="u"), "uint8"),
    (Rule("x / k", lambda x, k: x / k, lambda x, k: x * (1 / value(k)), finite_constant), "x / k by"),
    (Rule("x + y - x", lambda x, y: x + y - x, lambda x, y: y), "becomes"),
    (Rule("maximum(x, y)", lambda x, y: eg.maximum(x, y), lambda x, y: eg.switch(x > y, x, y), kinds="fi"), "becomes"),
]
BROKEN = [
    (Rule("another dtype", lambda x: eg.exp(x), lambda x: cast(eg.exp(x), "int32")), "changed float16.*int32"),
    (Rule("another rank", lambda x: eg.exp(x), lambda x: eg.exp(x).dimshuffle("x", 0)), "changed"),
    (Rule("no rest at a node", lambda x, y: eg.maximum(x, y), lambda x, y: eg.maximum(y, x)), "16 rounds"),
    (Rule("no rest", lambda x: eg.sin(x), lambda x: eg.identity(eg.sin(eg.abs(x)))), "never rests"),
    (Rule("deaf", lambda x: eg.exp(x), lambda x: eg.exp(x) * 1, lambda match: False), "does not apply"),
    (Rule("idle", lambda x: eg.exp(x), lambda x: None), "does not apply"),
]


@pytest.mark.parametrize("rule, where", [*EXACT, *BROKEN], ids=lambda r: getattr(r, "name", ""))
def test_planted_exact_rules(rule: Rule, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_exact(rule)


@pytest.mark.parametrize("rule", [r for r, _ in EXACT if set(r.kinds) & set("iu")], ids=lambda r: r.name)
def test_planted_rules_of_integers_have_counterexamples(rule: Rule) -> None:
    z3 = pytest.importorskip("z3")
    found = counterexample(rule, "int32" if "i" in rule.kinds else "uint32")
    assert isinstance(found, z3.ModelRef) == (rule.name != "maximum(x, y)"), "all but one are wrong of integers"


MOVEMENT = [
    (Rule("dimshuffle of dimshuffle", lambda x, p, q: some("dimshuffle", q, some("dimshuffle", p, x)),
          lambda x, p, q: shuffle_twice(x, q, p)), "out of range"),
    (Rule("dimshuffle of dimshuffle", lambda x, p, q: some("dimshuffle", q, some("dimshuffle", p, x)),
          lambda x, p, q: some("dimshuffle", (("pattern", tuple(sorted(dict(shuffle_twice(x, p, q).node.params)["pattern"]))),), x)),
     "becomes|changed"),
    (Rule("dimshuffle of nothing", lambda x, p: some("dimshuffle", p, x), lambda x, p: x.T if x.ndim == 2 else None), "rounds"),
    (Rule("reshape of reshape", lambda x, p, rest, more: some("reshape", p, some("reshape", p, x, rest), more),
          lambda x, more: some("reshape", (), x.T, *more)), "becomes"),
    (Rule("sum over no axis", lambda x, p: some("sum", p, x), lambda x: x), "-0.0"),
    (Rule("cast of nothing", lambda x, p: some("cast", p, x), lambda x: eg.neg(eg.neg(x)) + 0.0), "0.0"),
    (Rule("broadcast_to of nothing", lambda x, p, rest: some("broadcast_to", p, x, rest), lambda x: x[::-1]), "becomes|changed|rests"),
]


@pytest.mark.parametrize("rule, where", MOVEMENT, ids=lambda r: getattr(r, "name", ""))
def test_planted_movement_rules(rule: Rule, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_movement(rule, EXAMPLES[rule.name], NUMBERS[:3])


def test_a_planted_rule_of_casts() -> None:
    with pytest.raises(AssertionError, match="becomes"):
        check_casts(Rule("cast of cast", lambda x, p, q: some("cast", q, some("cast", p, x)), lambda x, q: some("cast", q, x)))


SUMS = [
    (Rule("sum(x * y)", lambda x, y, p: some("sum", p, x * y), lambda x, y, p: some("sum", p, x) * some("sum", p, y)), "sum\\(x \\* y\\)"),
    (Rule("sum of stack", lambda p, q, rest: some("sum", q, some("concat", p, rest)),
          lambda p, q, rest: some("sum", q, eg.maximum(rest[0], rest[1]))), "becomes"),
    (Rule("slice of sum", lambda x, p, q, more: some("subtensor", q, some("sum", p, x), more),
          lambda x, p, q, more: slice_reduced("sum", -x, p, q, more)), "becomes"),
    (Rule("sum of sum", lambda x, p, q: some("sum", q, some("sum", p, x)),
          lambda x, p, q: fold_twice("sum", x * (1 + 2**-6), p, q)), "becomes"),
]


@pytest.mark.parametrize("rule, where", SUMS, ids=lambda r: getattr(r, "name", ""))
def test_planted_sums_rules(rule: Rule, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_sums(rule, ORDERED[rule.name])


MASKS = [
    Rule("switch(c, x, 0) + y", lambda c, x, y: kept(c, x) + y, lambda c, x, y: kept(c, x + y)),
    Rule("switch(c, x, 0) / y", lambda c, x, y: kept(c, x) / y, lambda c, x, y: kept(c, x) * (1 / y)),
]


@pytest.mark.parametrize("rule", MASKS, ids=lambda r: r.name)
def test_planted_mask_rules(rule: Rule) -> None:
    with pytest.raises(AssertionError, match="where all factors are finite"):
        check_mask(rule)


STABLE = [
    (Rule("no gain", lambda x: 1 - eg.sigmoid(x), lambda x: 1 - 1 / (1 + eg.exp(-x))), "nowhere better"),
    (Rule("the other way", lambda x: eg.sigmoid(-x), lambda x: 1 - eg.sigmoid(x)), "worse in float16"),
    (Rule("overflows", lambda x: eg.log(1 + eg.exp(x)), lambda x: eg.log1p(eg.exp(x))), "inf ULP off"),
    (Rule("two roundings", lambda x: eg.log(1 + x), lambda x: eg.log1p(x * 3 / 3)), "ULP off in float"),
    (Rule("not the same", lambda x: eg.log(1 + x), lambda x: eg.log1p(x) * 1.001), "not the same real number"),
    (Rule("first terms", lambda x: eg.exp(x) - 1, lambda x: x + x * x / 2), "not the same real number"),
]


@pytest.mark.parametrize("rule, where", STABLE, ids=lambda r: getattr(r, "name", ""))
def test_planted_stable_rules(rule: Rule, where: str) -> None:
    pytest.importorskip("mpmath")
    with pytest.raises(AssertionError, match=where):
        check_stable(rule)


def test_planted_stable_rules_of_rows() -> None:
    pytest.importorskip("mpmath")
    plain = Rule("without the maximum", lambda x, p: eg.exp(x) / some("sum", p, eg.exp(x)),
                 lambda x, p: 1 / some("sum", p, eg.exp(x)) * eg.exp(x))
    with pytest.raises(AssertionError, match="inf ULP off"):
        check_stable(plain, partial(row_case, given={"x": (4,), "p": KEPT}))


def test_planted_rounding() -> None:
    pytest.importorskip("mpmath")
    with pytest.raises(AssertionError, match="one rounding is 0.5"):
        check_rounded(Rule("x ** -1", lambda x: eg.power(x, -1.0), lambda x: 1 / (x * 3) * 3))
    with pytest.raises(AssertionError, match="becomes"):
        check_rounded(Rule("x ** 2", lambda x: eg.power(x, 2), lambda x: eg.abs(x), kinds="i"))


REAL = [
    (Rule("sqrt(sqr(x))", lambda x: eg.sqrt(eg.sqr(x)), lambda x: x), ""),
    (Rule("x * y / y", lambda x, y: x * y / y, lambda x, y: y), ""),
    (Rule("exp(x) * exp(y)", lambda x, y: eg.exp(x) * eg.exp(y), lambda x, y: eg.exp(x * y)), ""),
    (Rule("log(x * y)", lambda x, y: eg.log(x * y), lambda x, y: eg.log(x) - eg.log(y)), "xy"),
    (Rule("x / k", lambda x, k: x / k, lambda x, k: x * (1 / (value(k) + 1))), ""),
]


@pytest.mark.parametrize("rule, positive", REAL, ids=lambda r: getattr(r, "name", ""))
def test_planted_real_rules(rule: Rule, positive: str) -> None:
    pytest.importorskip("mpmath")
    pytest.importorskip("sympy")
    case = partial(grid, rule, "float64", np.array([-1.5, 0.25, 3]), 3.0)
    with pytest.raises(AssertionError, match="not the same real number"):
        check_real(rule, case())
    assert not proved(rule, case(), positive)
