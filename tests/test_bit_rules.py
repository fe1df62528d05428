"""EXACT rules, proved by z3: for every value of integers of 8, 32 and 64 bits, of truths and of float16."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.patterns import Rule
from exprgraph.rules.exact import EXACT, ROUNDINGS
from tests.bit_checks import computed, counterexample
from tests.rule_cases import assert_same_bits, specials

pytest.importorskip("z3")
WIDTHS = {"i": ("int8", "int32", "int64"), "u": ("uint8", "uint32", "uint64"), "b": ("bool",)}
BITS = {"invert", "and_", "or_", "xor", "left_shift", "right_shift"}
NUMERIC = {"neg", "sub", "sign", "sqr", "relu", "int_div", "mod", "left_shift", "right_shift", "true_div"}
MISSING = {"bool": NUMERIC, "float16": {*BITS, "int_div", "mod"}, **dict.fromkeys(("int8", "uint8", "int32"), {"true_div"})}
"""The rows that do not take a dtype, or that no proof is about."""
RULES = [r for r in EXACT if set(r.kinds) & set(WIDTHS)]
UNARY = ("neg", "abs", "sign", "sqr", "relu", "invert", *(f.name for f in ROUNDINGS), "isnan", "isinf", "isfinite")
BINARY = ("add", "sub", "mul", "true_div", "int_div", "mod", "and_", "or_", "xor", "maximum", "minimum", "lt", "le", "gt", "ge", "eq",
          "neq", "left_shift", "right_shift")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.name}-{r.kinds}")
def test_z3_proves(rule: Rule) -> None:
    for dtype in [d for kind in rule.kinds if kind in WIDTHS for d in WIDTHS[kind]]:
        assert counterexample(rule, dtype) is None, dtype


FLOATS = [r for r in EXACT if "f" in r.kinds and r.name not in ("x ** 1", "x ** 0", "abs(exp(x))", "abs(sigmoid(x))")]
"""z3 knows no powers and no exponentials of floats."""


@pytest.mark.parametrize("rule", FLOATS, ids=lambda r: f"{r.name}-{r.kinds}")
def test_z3_proves_for_float16(rule: Rule) -> None:
    assert counterexample(rule, "float16") is None


@pytest.mark.campaign
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", FLOATS, ids=lambda r: f"{r.name}-{r.kinds}")
def test_campaign_z3_proves_for_wider_floats(rule: Rule, dtype: str) -> None:
    """About a minute; half of it is -x / y of float64."""
    assert counterexample(rule, dtype) is None


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool", "float16"])
def test_the_rows_of_z3_mean_what_numpy_means(dtype: str) -> None:
    """A proof is worth as much as the meanings that it is about."""
    values = specials(dtype)[:17]
    for name in (*UNARY, *BINARY):
        op = eg.ROWS[name]
        if name in MISSING[dtype]:
            continue
        for given in itertools.product(values, repeat=1 if name in UNARY else 2):
            with np.errstate(all="ignore"):
                wanted = np.asarray(op.numpy(*(np.asarray(g) for g in given)))
            got = np.asarray(computed(op, [g.item() for g in given], dtype), wanted.dtype)
            assert_same_bits(f"{name} of {given}", wanted, got)
