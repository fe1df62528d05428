"""How arithmetic carries facts on: bounds by the ends of intervals in the dtype's own arithmetic, whose rounding keeps the order."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from struct import pack, unpack
from typing import Any

import numpy as np

from exprgraph.dtypes import FLOATS, is_float, largest
from exprgraph.known.record import ELEMENTS, INF, NUMBER, PLUS, WHOLE, Facts, of_dtype, within
from exprgraph.node import Node, Op
from exprgraph.ops.arithmetic import absolute, add, int_div, mod, mul, neg, reciprocal, rsqrt, sign, sqr, sqrt, sub, true_div
from exprgraph.ops.rounding import cast, ceil, floor, round_half_away_from_zero, round_half_to_even, trunc

Given = Sequence[Facts]
Carry = Callable[[Node, Given], Facts]
MOST = largest("float32")
ONE = Facts(1.0, 1.0, ELEMENTS)


def words(*pairs: tuple[str, bool]) -> frozenset[str]:
    """The words that hold."""
    return frozenset(word for word, found in pairs if found)


def every(word: str, given: Given) -> bool:
    """Whether a word holds of all operands."""
    return all(word in f.holds for f in given)


def ends(dtype: str, compute: Callable[..., Any], given: Given) -> tuple[float, float]:
    """The least and the greatest of what a function that rounds in order makes of the ends of its operands; its NaNs are left out.

    Floats of 16 bits may be float32 between the nodes of a kernel: both results lie within.  Integers are computed as Python's, so they
    do not wrap.
    """
    values = product(*((f.low, f.high) for f in given))
    if not is_float(dtype):
        found = [compute(*v) for v in values]
        return min(found), max(found)
    if dtype not in FLOATS:
        return -INF, INF
    if dtype == "float16":
        with np.errstate(all="ignore"):
            wide = [float(e) for v in values if (e := compute(*map(np.float32, v))) == e] or [-INF, INF]
            wide += [float(np.float16(e)) for e in wide]
        return min(wide), max(wide)
    got = [float(e) for v in values if (e := compute(*map(float, v))) == e] or [-INF, INF]
    low, high = min(got), max(got)
    return (low, high) if dtype == "float64" else (_single(low, -INF, MOST), _single(high, -MOST, INF))


def _single(value: float, below: float, above: float) -> float:
    """A float64 result of float32 operands as float32, which rounding twice does not change; what is beyond it as said."""
    return below if value < -MOST else above if value > MOST else unpack("f", pack("f", value))[0]


def _dtype(node: Node) -> str:
    return node.outs[0].dtype


def _sum(node: Node, given: Given, flip: bool = False) -> Facts:
    """a + b, or a - b: NaN where infinities cancel; -0.0 where both terms are."""
    a, b = given
    other = Facts(-b.high, -b.low) if flip else b
    meets = (a.low == -INF and other.high == INF) or (a.high == INF and other.low == -INF)
    plus = PLUS in a.holds or (not b.zero if flip else PLUS in b.holds)
    return within(_dtype(node), *ends(_dtype(node), lambda x, y: x + y, (a, other)),
                  words((NUMBER, every(NUMBER, given) and not meets), (PLUS, plus), (WHOLE, every(WHOLE, given))))


def _unsigned(*given: Facts) -> bool:
    """Whether no element has a minus, that of -0.0 neither."""
    return all(f.low >= 0 and PLUS in f.holds for f in given)


def _product(node: Node, given: Given) -> Facts:
    a, b = given
    undefined = (a.zero and not b.bounded) or (b.zero and not a.bounded)
    return within(_dtype(node), *ends(_dtype(node), lambda x, y: x * y, given),
                  words((NUMBER, every(NUMBER, given) and not undefined), (PLUS, _unsigned(a, b)), (WHOLE, every(WHOLE, given))))


def _quotient(node: Node, given: Given) -> Facts:
    """a / b of floats; what may be divided by a zero has a bound only where neither has a minus."""
    a, b = given
    number = every(NUMBER, given) and not (a.zero and b.zero) and (a.bounded or b.bounded)
    held = words((NUMBER, number), (PLUS, _unsigned(a, b)))
    if not b.zero:
        return within(_dtype(node), *ends(_dtype(node), lambda x, y: x / y, given), held)
    return Facts(0.0 if _unsigned(b) and a.low >= 0 else -INF, INF, held)


def _floor_quotient(node: Node, given: Given) -> Facts:
    """Integers over zero give 0."""
    a, b = given
    if is_float(_dtype(node)):
        return Facts(-INF, INF, words((WHOLE, True)))
    if b.low > 0:
        return within(_dtype(node), *ends(_dtype(node), lambda x, y: x // y, given))
    return within(_dtype(node), 0, a.high) if a.low >= 0 and b.low >= 0 else of_dtype(_dtype(node))


def _remainder(node: Node, given: Given) -> Facts:
    a, b = given
    if is_float(_dtype(node)) or b.low < 0:
        return of_dtype(_dtype(node))
    return within(_dtype(node), 0, max(0, min(b.high - 1, a.high if a.low >= 0 else b.high)))


def _negative(node: Node, given: Given) -> Facts:
    x, = given
    return within(_dtype(node), -x.high, -x.low, x.holds & {NUMBER, WHOLE})


def _size(x: Facts) -> tuple[float, float]:
    """The bounds of the absolute value."""
    return 0 if x.zero else min(abs(x.low), abs(x.high)), max(abs(x.low), abs(x.high))


def _absolute(node: Node, given: Given) -> Facts:
    x, = given
    return within(_dtype(node), *_size(x), x.holds & {NUMBER, WHOLE} | {PLUS})


def _square(node: Node, given: Given) -> Facts:
    x, = given
    return within(_dtype(node), *ends(_dtype(node), lambda v: v * v, [Facts(*_size(x))]), x.holds & {NUMBER, WHOLE} | {PLUS})


def _sign(node: Node, given: Given) -> Facts:
    x, = given
    low, high = (-1 if x.low < 0 else 0 if x.low == 0 else 1), (1 if x.high > 0 else 0 if x.high == 0 else -1)
    return within(_dtype(node), low, high, x.holds & {NUMBER, PLUS} | {WHOLE})


def _root(node: Node, given: Given) -> Facts:
    x, = given
    low, high = ends(_dtype(node), np.sqrt, [Facts(max(x.low, 0.0), max(x.high, 0.0))])
    return within(_dtype(node), max(low, 0.0), high, x.holds & {PLUS} | words((NUMBER, NUMBER in x.holds and x.low >= 0)))


def _one_over(node: Node, given: Given) -> Facts:
    return _quotient(node, (ONE, given[0]))


def _one_over_root(node: Node, given: Given) -> Facts:
    x, = given
    return Facts(0.0 if _unsigned(x) else -INF, INF, words((NUMBER, NUMBER in x.holds and x.low >= 0), (PLUS, _unsigned(x))))


def _rounded(op: Op) -> Carry:
    """Rounding up or to the nearest makes -0.0 of what is a little below zero."""
    def whole(value: float) -> float:
        found: float = op.numpy(np.asarray(value)).item()
        return found

    def carry(node: Node, given: Given) -> Facts:
        x, = given
        if not is_float(_dtype(node)):
            return x
        plus = PLUS in x.holds and (op is floor or x.low >= 0)
        return within(_dtype(node), *ends(_dtype(node), whole, given), words((NUMBER, NUMBER in x.holds), (PLUS, plus), (WHOLE, True)))
    return carry


def _cast(node: Node, given: Given) -> Facts:
    """Between integers what does not fit wraps; of floats to integers what does not fit has no bounds."""
    x, (source, target) = given[0], (node.inputs[0].dtype, _dtype(node))
    if target == "bool":
        return Facts(0 if x.zero else 1, 0 if x.low == x.high == 0 and NUMBER in x.holds else 1, ELEMENTS)
    if is_float(target):
        plus = PLUS in x.holds and (x.low >= 0 or not is_float(source))
        return within(target, *_cast_ends(x, source, target),
                      words((NUMBER, NUMBER in x.holds), (PLUS, plus), (WHOLE, WHOLE in x.holds)))
    if is_float(source):
        return within(target, int(x.low), int(x.high)) if x.finite else of_dtype(target)
    return within(target, x.low, x.high)


def _cast_ends(x: Facts, source: str, target: str) -> tuple[float, float]:
    """The ends in a float dtype, rounded at once, and by way of float32 as kernels do."""
    if target not in FLOATS or not (source in FLOATS or not is_float(source)):
        return -INF, INF
    ends_: Any = np.array([x.low, x.high], source if not is_float(source) else "float64")
    with np.errstate(all="ignore"):
        found = [*ends_.astype(target), *(ends_.astype("float32") if target == "float16" else ())]
    return float(min(found)), float(max(found))


TABLE: Mapping[Op, Carry] = {
    add: _sum, sub: lambda node, given: _sum(node, given, flip=True), mul: _product, true_div: _quotient, int_div: _floor_quotient,
    mod: _remainder, neg: _negative, absolute: _absolute, sqr: _square, sign: _sign, sqrt: _root, reciprocal: _one_over,
    rsqrt: _one_over_root, cast: _cast,
    **{op: _rounded(op) for op in (floor, ceil, trunc, round_half_to_even, round_half_away_from_zero)}}
"""How each row carries the facts of its operands on to its result."""
