"""EXACT rules of integers and truths, proved by z3 for every value of 8, 32 and 64 bits."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.rewrite import Rule
from exprgraph.rules.exact import EXACT
from tests.bit_checks import computed, counterexample
from tests.rule_cases import specials

pytest.importorskip("z3")
WIDTHS = {"i": ("int8", "int32", "int64"), "u": ("uint8", "uint32", "uint64"), "b": ("bool",)}
RULES = [r for r in EXACT if set(r.kinds) & set(WIDTHS)]
UNARY = ("neg", "abs", "sign", "sqr", "relu", "invert", "floor", "isnan", "isinf", "isfinite")
BINARY = ("add", "sub", "mul", "int_div", "mod", "and_", "or_", "xor", "maximum", "minimum", "lt", "le", "gt", "ge", "eq", "neq",
          "left_shift", "right_shift")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.name}-{r.kinds}")
def test_z3_proves(rule: Rule) -> None:
    for dtype in [d for kind in rule.kinds if kind in WIDTHS for d in WIDTHS[kind]]:
        assert counterexample(rule, dtype) is None, dtype


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_the_rows_of_z3_mean_what_numpy_means(dtype: str) -> None:
    """A proof is worth as much as the meanings that it is about."""
    values = specials(dtype)
    for name in (*UNARY, *BINARY):
        op = eg.ROWS[name]
        if dtype == "bool" and name in ("neg", "sub", "sign", "sqr", "relu", "int_div", "mod", "left_shift", "right_shift"):
            continue
        for given in itertools.product(values, repeat=1 if name in UNARY else 2):
            with np.errstate(all="ignore"):
                wanted = op.numpy(*(np.asarray(g) for g in given))
            assert computed(op, [g.item() for g in given], dtype) == wanted.item(), (name, given)
