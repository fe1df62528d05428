"""How functions, choices, comparisons and logic carry facts on."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from exprgraph.dtypes import FLOATS
from exprgraph.known.arithmetic import Carry, Given, every, words
from exprgraph.known.record import ELEMENTS, INF, NUMBER, PLUS, WHOLE, Facts, greatest, join, of_dtype, within
from exprgraph.node import Node, Op
from exprgraph.ops.bits import and_, invert, or_, right_shift, xor
from exprgraph.ops.compare import clip, eq, ge, gt, isfinite, isinf, isnan, le, lt, maximum, minimum, neq, relu, switch
from exprgraph.ops.transcendental import (
    arctan,
    arctan2,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    hypot,
    log,
    log1p,
    log2,
    log10,
    power,
    sigmoid,
    sin,
    softplus,
    tanh,
)

SLACK = 64
"""The units in the last place by which a function may be off; bounds that follow from its operand are so much wider."""
YES, NO, EITHER = Facts(1, 1, ELEMENTS), Facts(0, 0, ELEMENTS), Facts(0, 1, ELEMENTS)


def _dtype(node: Node) -> str:
    return node.outs[0].dtype


def _wider(dtype: str, value: float, up: bool) -> float:
    """A bound of a function that is off by a few units: further out; infinite, or 0, where the dtype has no such number."""
    if not math.isfinite(value):
        return value
    eps = float(np.finfo(dtype).eps)
    moved = value + (1 if up else -1) * (SLACK * eps * abs(value) + SLACK * float(np.finfo(dtype).tiny))
    most = greatest(dtype)
    return INF if moved > most and up else -INF if moved < -most and not up else max(-most, min(most, moved))


def rising(op: Op, low: float, high: float, start: float = -INF, plus: bool = False) -> Carry:
    """A function that rises between `low` and `high`, which it never leaves, from `start` on, before which it is NaN."""
    def carry(node: Node, given: Given) -> Facts:
        x, dtype = given[0], _dtype(node)
        number = words((NUMBER, NUMBER in x.holds and x.low >= start), (PLUS, plus))
        if dtype not in FLOATS:
            return Facts(low, high, number)
        with np.errstate(all="ignore"):
            first, last = (float(op.numpy(np.float64(max(v, start)))) for v in (x.low, x.high))
        return Facts(max(low, _wider(dtype, first, False)), min(high, max(low, _wider(dtype, last, True))), number)
    return carry


def between(low: float, high: float, plus: bool = False, finite: bool = False) -> Carry:
    """A function with values between these bounds.  finite: its operands have to be, else it is NaN."""
    def carry(node: Node, given: Given) -> Facts:
        eps = 0.0 if math.isinf(high) else SLACK * float(np.finfo(_dtype(node)).eps) if _dtype(node) in FLOATS else 0.5
        number = every(NUMBER, given) and (not finite or all(f.bounded for f in given))
        return Facts(low - eps, high + eps, words((NUMBER, number), (PLUS, plus)))
    return carry


def _power(node: Node, given: Given) -> Facts:
    base, _ = given
    if _dtype(node) not in FLOATS or base.low < 0 or PLUS not in base.holds:
        return of_dtype(_dtype(node))
    return Facts(0.0, INF, words((NUMBER, every(NUMBER, given)), (PLUS, True)))


def _best(pick: Callable[..., float]) -> Carry:
    """The larger or the smaller of two; NaN wins, so what is a number is so of both."""
    def carry(node: Node, given: Given) -> Facts:
        holds = ELEMENTS.intersection(*(f.holds for f in given))
        return within(_dtype(node), pick(f.low for f in given), pick(f.high for f in given), holds)
    return carry


def _clip(node: Node, given: Given) -> Facts:
    x, low, high = given
    return _best(min)(node, (_best(max)(node, (x, low)), high))


def _relu(node: Node, given: Given) -> Facts:
    x, = given
    return within(_dtype(node), max(x.low, 0), max(x.high, 0), x.holds & {NUMBER, WHOLE} | {PLUS})


def _switch(node: Node, given: Given) -> Facts:
    condition, a, b = given
    return join(a) if condition.low == 1 else join(b) if condition.high == 0 else join(a, b)


def decided(op: Op, a: Facts, b: Facts) -> bool | None:
    """Whether a comparison holds of all elements or of none; None where that is not known.  What is NaN compares false, but for `neq`."""
    if op in (gt, ge):
        return decided(lt if op is gt else le, b, a)
    if op in (eq, neq):
        apart = a.high < b.low or b.high < a.low
        alike = a.low == a.high == b.low == b.high and every(NUMBER, (a, b))
        return (op is neq) if apart else (op is eq) if alike else None
    sure, never = (a.high < b.low, a.low >= b.high) if op is lt else (a.high <= b.low, a.low > b.high)
    return False if never else True if sure and every(NUMBER, (a, b)) else None


def _comparison(op: Op) -> Carry:
    def carry(node: Node, given: Given) -> Facts:
        found = decided(op, *given)
        return EITHER if found is None else YES if found else NO
    return carry


def _and(node: Node, given: Given) -> Facts:
    """Of integers the result has no bit that one of them has not, and a minus only where both have one."""
    signless = [f.high for f in given if f.low >= 0]
    low = min(f.low for f in given) if _dtype(node) == "bool" else 0
    return within(_dtype(node), low, min(signless)) if signless else of_dtype(_dtype(node))


def _or(node: Node, given: Given) -> Facts:
    if _dtype(node) == "bool":
        return Facts(max(f.low for f in given), max(f.high for f in given), ELEMENTS)
    return _bits(node, given)


def _bits(node: Node, given: Given) -> Facts:
    """Without a minus the result has no more bits than the longer of them."""
    if any(f.low < 0 for f in given):
        return of_dtype(_dtype(node))
    return within(_dtype(node), 0, 2 ** max(int(f.high).bit_length() for f in given) - 1)


def _not(node: Node, given: Given) -> Facts:
    x, = given
    return Facts(1 - x.high, 1 - x.low, ELEMENTS) if _dtype(node) == "bool" else of_dtype(_dtype(node))


def _shifted(node: Node, given: Given) -> Facts:
    return within(_dtype(node), 0, given[0].high) if given[0].low >= 0 else of_dtype(_dtype(node))


def _test(sure: Callable[[Facts], bool | None]) -> Carry:
    def carry(node: Node, given: Given) -> Facts:
        found = sure(given[0])
        return EITHER if found is None else YES if found else NO
    return carry


NANS: Mapping[Op, Callable[[Facts], bool | None]] = {
    isnan: lambda x: False if NUMBER in x.holds else None, isinf: lambda x: False if x.bounded else None,
    isfinite: lambda x: True if x.finite else None}
"""What facts say of the tests for NaN and infinity."""
QUARTER = math.pi / 2
TABLE: Mapping[Op, Carry] = {
    exp: rising(exp, 0.0, INF, plus=True), exp2: rising(exp2, 0.0, INF, plus=True), expm1: rising(expm1, -1.0, INF),
    sigmoid: rising(sigmoid, 0.0, 1.0, plus=True), softplus: rising(softplus, 0.0, INF, plus=True), tanh: rising(tanh, -1.0, 1.0),
    log: rising(log, -INF, INF, 0.0), log2: rising(log2, -INF, INF, 0.0), log10: rising(log10, -INF, INF, 0.0),
    log1p: rising(log1p, -INF, INF, -1.0),
    erf: between(-1.0, 1.0), erfc: between(0.0, 2.0), arctan: between(-QUARTER, QUARTER), arctan2: between(-math.pi, math.pi),
    cosh: between(1.0, INF, plus=True), sin: between(-1.0, 1.0, finite=True), cos: between(-1.0, 1.0, finite=True),
    hypot: between(0.0, INF, plus=True), power: _power,
    maximum: _best(max), minimum: _best(min), clip: _clip, relu: _relu, switch: _switch,
    **{op: _comparison(op) for op in (lt, le, gt, ge, eq, neq)}, **{op: _test(sure) for op, sure in NANS.items()},
    and_: _and, or_: _or, xor: _bits, invert: _not, right_shift: _shifted}
"""How each row carries the facts of its operands on to its result."""
