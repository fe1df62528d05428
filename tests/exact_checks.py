"""What the lists EXACT, MOVEMENT and MASKS claim, as checks of one rule: AssertionError with the dtype and the value where it is not so."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from exprgraph.node import INPUT, Out, leaf
from exprgraph.patterns import Rule, arguments, sort
from exprgraph.reference import evaluate
from tests.rule_cases import (
    DTYPES,
    Case,
    assert_same_bits,
    bits,
    both_sides,
    dtypes_of,
    every,
    grid,
    rewritten,
    sides,
    some_halves,
    specials,
    spread,
    tensors,
)

CONSTANTS = (4.0, -0.5, *(s * 2.0 ** e for e in (-149, -127, -126, -99, -24, -16, -15, -14, 13, 14, 15, 99, 126, 127) for s in (1, -1)),
             0.0, -0.0, 3.0, 0.1, np.inf, np.nan)
"""What a constant argument may be: powers of two near the ends of each float's range, and what is no power of two."""
SHAPES = ((3, 2), (1, 2), (3, 1), (0, 2), (1, 1))


def exact_cases(rule: Rule, dtype: str) -> Iterator[Case]:
    """All combinations of special values; all values of float16 for one tensor, all pairs of 8-bit integers, many pairs of float16."""
    yield grid(rule, dtype, specials(dtype))
    count = len(tensors(rule))
    if dtype in ("int8", "uint8") and count <= 2 or dtype == "float16" and count == 1:
        yield grid(rule, dtype, every(dtype))
    elif dtype == "float16" and count == 2:
        yield grid(rule, dtype, some_halves())


def check_exact(rule: Rule) -> None:
    """Both sides have the same bits, NaN as NaN, in every dtype of the rule's kinds, and the same shape where operands are broadcast."""
    constant = any(sort(n) == "constant" for n in arguments(rule))
    for dtype in dtypes_of(rule):
        if constant:
            check_constants(rule, dtype)
        else:
            for case in exact_cases(rule, dtype):
                assert_same_bits(rule.name, *sides(rule, case))
    first = dtypes_of(rule)[0]
    assert_same_bits(rule.name, *sides(rule, grid(rule, first, specials(first), mesh=True)))
    pair = spread(rule, first)
    if pair is not None:
        assert_same_bits(rule.name, *evaluate(pair[:2], pair[2]))


def check_constants(rule: Rule, dtype: str) -> None:
    """For every constant the rule declines, or keeps every bit; it does not decline all."""
    points, found = every(dtype) if dtype == "float16" else specials(dtype), 0
    for constant in CONSTANTS:
        with np.errstate(over="ignore"):
            case = grid(rule, dtype, points, constant)
            pair = both_sides(rule, case, constant=True)
        if pair is not None:
            found += 1
            left, right = evaluate(pair, case[1])
            assert_same_bits(f"{rule.name} by {constant}", left, right)
    assert found, f"{rule.name}: declines every constant"


def check_mask(rule: Rule) -> None:
    """Both sides are equal, up to the sign of zero, where every factor is finite and not 0; else only NaN may differ, and becomes 0."""
    for dtype in dtypes_of(rule):
        case = grid(rule, dtype, specials(dtype)[:12])
        left, right = sides(rule, case)
        plain = np.all([np.isfinite(v) & ((v != 0) | (v.dtype == bool)) for v in case[1].values()], axis=0)
        same = (bits(left) == bits(right)) | ((left == 0) & (right == 0))
        assert same[plain].all(), f"{rule.name}: differs in {dtype} where all factors are finite and not 0"
        assert (same | (np.isnan(left) & (right == 0))).all(), f"{rule.name}: changes more in {dtype} than NaN to 0"


Make = Callable[[Any], Out]


def check_movement(rule: Rule, examples: Sequence[Make], dtypes: Sequence[str] = ()) -> None:
    """In each example the rule applies to some shape, and keeps shape, dtype and every bit on every shape, of known sizes and unknown."""
    for number, make in enumerate(examples):
        fired = [_moved(rule, make, dtype, shape, known)
                 for dtype in dtypes or dtypes_of(rule) for shape in SHAPES for known in (False, True)]
        assert any(fired), f"{rule.name}: does not apply to example {number}"


def _moved(rule: Rule, make: Make, dtype: str, shape: tuple[int, ...], known: bool) -> bool:
    x = Out(leaf(INPUT, dtype, shape if known else (None,) * len(shape), "x"))
    pool = specials(dtype)
    values = {x.node: np.resize(pool, shape)}
    left = make(x)
    right = rewritten(rule, left, [x])
    if right is None:
        return False
    assert_same_bits(f"{rule.name} of {shape}", *evaluate([left, right], values))
    return True


def check_casts(rule: Rule) -> None:
    """The rule for two casts on every chain of three dtypes, on special values."""
    from exprgraph.ops.rounding import cast
    names = [d for kind in DTYPES.values() for d in kind]
    for start in names:
        for between in names:
            for end in names:
                _moved(rule, lambda x, between=between, end=end: cast(cast(x, between), end), start, (24,), False)
