"""EXACT and MASKS: every rule keeps what its list claims, on all values of small dtypes and on special values of the others."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.rewrite import Rule
from exprgraph.rules.exact import EXACT
from exprgraph.rules.masks import MASKS
from tests.exact_checks import check_exact, check_mask


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
    with eg.change_flags(real_rules=real):
        got = eg.compile([x], x / k, device="numpy")(v)
    np.testing.assert_array_equal(got, eg.compile([x], x / k, device="numpy", optimizer="none")(v))
