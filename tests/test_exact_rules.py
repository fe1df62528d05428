"""EXACT and MASKS: every rule keeps what its list claims, on all values of small dtypes and on special values of the others."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.patterns import Rule
from exprgraph.rules.exact import EXACT
from exprgraph.rules.masks import MASKS
from tests.exact_checks import check_exact, check_mask
from tests.rule_cases import assert_same_bits


@pytest.mark.parametrize("rule", EXACT, ids=lambda r: f"{r.name}-{r.kinds}")
def test_exact_rules_keep_every_bit_A1_A2_A6(rule: Rule) -> None:
    check_exact(rule)


@pytest.mark.parametrize("rule", MASKS, ids=lambda r: r.name)
def test_mask_rules_change_nothing_but_NaN_and_signs_of_zero(rule: Rule) -> None:
    check_mask(rule)


@pytest.mark.parametrize("k", [2.0 ** -16, 2.0 ** -24, 3e-6])
@pytest.mark.parametrize("real", [False, True])
def test_float16_divided_by_what_has_no_finite_reciprocal(k: float, real: bool) -> None:
    """0 was NaN: times the infinite reciprocal of a constant."""
    x = eg.vector("x", dtype="float16")
    v = np.array([0, 2.0 ** -20, 1], "float16")
    got = eg.compile([x], x / k, device="numpy", optimizer="unsafe" if real else "default")(v)
    np.testing.assert_array_equal(got, eg.compile([x], x / k, device="numpy", optimizer="none")(v))


X, I = np.array([-0.0, 0.0, 1, np.nan, -2], "float32"), np.array([-2**31, -1, 0, 5, 7], "int32")
NEAR = {  # constants that a pattern does not mean, however near
    "minus zeros of both signs": (lambda x: x - np.array([0.0, -0.0] * 2 + [0.0], "float32"), X),
    "plus the other zero": (lambda x: x + 0.0, X), "minus the other zero": (lambda x: x - -0.0, X), "0 less x": (lambda x: 0.0 - x, X),
    "nearly 1": (lambda x: x * np.float32(1 + 2**-23), X), "ones and a two": (lambda x: x * np.array([1, 1, 1, 1, 2], "float32"), X),
    "nearly a power": (lambda x: x / np.float32(2 + 2**-22), X), "a power of NaN": (lambda x: eg.power(x, np.float32(np.nan)), X),
    "-1 in uint8": (lambda x: eg.cast(x, "uint8") * np.uint8(255), I), "whole 256 times": (lambda x: eg.cast(x, "int8") * np.int8(-128), I),
    "shifted by the width": (lambda x: x << 32, I), "by nothing in int8": (lambda x: eg.cast(x, "int8") >> np.int8(-128), I),
}


@pytest.mark.parametrize("case", NEAR)
def test_near_misses_of_constants_change_nothing_A6(case: str) -> None:
    make, values = NEAR[case]
    x = eg.vector("x", dtype=values.dtype.name)
    got, wanted = (eg.compile([x], make(x), device="numpy", optimizer=o)(values) for o in ("full", "none"))
    assert_same_bits(case, wanted, got)
