"""What the list SUMS claims, as a check of one rule: the same terms in another order, so that only rounding differs."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exprgraph.node import INPUT, Out, leaf
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from tests.exact_checks import SHAPES, Make
from tests.rule_cases import drawn, rewritten, specials

DTYPES = ("float16", "float32", "float64", "int64", "uint64")
TERMS = 64
"""So many roundings of the sum of the absolute values may lie between the two sides."""


def check_sums(rule: Rule, examples: Sequence[Make]) -> None:
    """In each example both sides agree: exactly on small whole numbers and on integers, by NaN and infinity, and up to rounding.

    The rounding is measured against the sum of the absolute values of the terms, which is what the example makes of absolute values.
    """
    for number, make in enumerate(examples):
        fired = [_agree(rule, make, dtype, shape, known) for dtype in DTYPES for shape in SHAPES for known in (False, True)]
        assert any(fired), f"{rule.name}: does not apply to example {number}"


def _agree(rule: Rule, make: Make, dtype: str, shape: tuple[int, ...], known: bool) -> bool:
    x = Out(leaf(INPUT, dtype, shape if known else (None,) * len(shape), "x"))
    left = make(x)
    right = rewritten(rule, left, [x])
    if right is None:
        return False
    rng, whole = drawn(rule.name), np.resize(np.array([2, -1, 0, 3, 1, -2]).astype(dtype), shape)
    for values in (whole, np.resize(specials(dtype), shape), rng.standard_normal(shape).astype(dtype)):
        given, got = evaluate([left, right], {x.node: values})
        scale, = evaluate([left], {x.node: np.abs(values)})
        _close(rule.name, given, got, scale, exact=values is whole or values.dtype.kind != "f")
    return True


def _close(name: str, given: np.ndarray, got: np.ndarray, scale: np.ndarray, exact: bool) -> None:
    assert (given.dtype, given.shape) == (got.dtype, got.shape), f"{name}: {given.dtype}{given.shape} becomes {got.dtype}{got.shape}"
    with np.errstate(all="ignore"):
        unit = 0 if exact else TERMS * np.finfo(given.dtype).eps * np.abs(scale)
        same = (given == got) | (np.isnan(given) & np.isnan(got)) | (np.abs(given - got) <= unit)
    assert same.all(), f"{name}: {given[~same].flat[0]!r} becomes {got[~same].flat[0]!r}"
