"""KNOWN: rules that ask what is known of values and of matrices; those of the list exact keep every bit, as all there do."""
from __future__ import annotations

from exprgraph.assuming import needless
from exprgraph.facts import known, of
from exprgraph.functions.creation import eye
from exprgraph.functions.indexing import diagonal
from exprgraph.known.functions import decided
from exprgraph.known.matrices import band, turned
from exprgraph.known.record import LOWER, NUMBER, ORTHOGONAL, PLUS, SORTED, SYMMETRIC, UPPER, Facts
from exprgraph.node import Out
from exprgraph.ops.arithmetic import absolute, int_div, mod, mul, sign
from exprgraph.ops.compare import clip, eq, ge, gt, isfinite, isinf, isnan, le, lt, maximum, minimum, neq, relu, switch
from exprgraph.ops.create import iota
from exprgraph.ops.rounding import ceil, floor, round_half_away_from_zero, round_half_to_even, trunc
from exprgraph.ops.shape import declared, dimshuffle, shape_of
from exprgraph.patterns import Match, Rule, some, tagged

ANY, NUMBERS, WHOLE = "fiub", "fiu", "iu"
ROUNDINGS = (floor, ceil, trunc, round_half_to_even, round_half_away_from_zero)
UNSIGNED = known("x", "nonnegative", nan=True)


def facts(match: Match, *names: str) -> tuple[Facts, ...]:
    """What is known of what some arguments have met."""
    return tuple(of(match.bound[n]) for n in names)


def _number(*given: Facts) -> bool:
    return all(NUMBER in f.holds for f in given)


def _over(x: Facts, y: Facts) -> bool:
    """No number of x is below one of y, and y is no NaN, which would win."""
    return x.low >= y.high and _number(y)


def _beyond(x: Facts, y: Facts) -> bool:
    """As `_over`, and where both are zero they are of one sign."""
    return _over(x, y) and (x.low > y.high or x.low != 0 or (PLUS in x.holds and PLUS in y.holds))


def _flipped(f: Facts) -> Facts:
    """The facts with the order turned round."""
    return Facts(-f.high, -f.low, f.holds)


def larger(x: Out, y: Out) -> Out | None:
    """The one of two that is never smaller; of equal zeros `maximum` takes the first."""
    a, b = of(x), of(y)
    return x if _over(a, b) else y if _beyond(b, a) else None


def smaller(x: Out, y: Out) -> Out | None:
    """The one of two that is never larger."""
    a, b = _flipped(of(x)), _flipped(of(y))
    return x if _over(a, b) else y if _beyond(b, a) else None


def clipped(x: Out, y: Out, z: Out) -> Out | None:
    """x where it lies between y and z; else with the one bound that it may pass."""
    a, low, high = of(x), of(y), of(z)
    above, below = _over(a, low), _over(_flipped(a), _flipped(high))
    if above:
        return x if below else minimum(x, z)
    return maximum(x, y) if below and low.high <= high.low else None


def remains(match: Match) -> bool:
    """x is at least 0 and less than y."""
    x, y = facts(match, "x", "y")
    return x.low >= 0 and x.high < y.low


def transposes(match: Match) -> bool:
    """The axes are those of x, the last two exchanged, and its matrices are symmetric."""
    n = match.bound["x"].ndim
    return n >= 2 and dict(match.bound["p"])["pattern"] == (*range(n - 2), n - 1, n - 2) and SYMMETRIC in facts(match, "x")[0].holds


def in_order(match: Match) -> bool:
    """x is sorted along the axis of the row."""
    return bool(dict(match.bound["p"])["axis"] == match.bound["x"].ndim - 1) and SORTED in facts(match, "x")[0].holds


def keeps_triangle(match: Match) -> bool:
    """The condition holds on the whole triangle that x is zero outside of."""
    found, x = band(match.bound["c"].node), match.bound["x"]
    if found is None or match.bound["c"].type.shape[-2:] != x.type.shape[-2:]:
        return False
    first, last = found
    holds = facts(match, "x")[0].holds
    return (LOWER in holds and first is None and (last or 0) >= 0) or (UPPER in holds and last is None and (first or 0) <= 0)


def cancels(match: Match) -> bool:
    """One operand is the transpose of the other, and orthogonal."""
    x, y = match.bound["x"], match.bound["y"]
    return turned(x, y) and ORTHOGONAL in of(x).holds


def is_diagonal(match: Match) -> bool:
    """The matrices y are diagonal, and square, as symmetric ones are."""
    sides, holds = match.bound["y"].type.shape[-2:], facts(match, "y")[0].holds
    return {LOWER, UPPER} <= holds and (SYMMETRIC in holds or sides[0] == sides[1])


def _row(y: Out) -> Out:
    """The diagonals of square matrices as rows."""
    found = _diagonals(y)
    return dimshuffle(found, pattern=[*range(found.ndim - 1), -1, found.ndim - 1])


def _diagonals(y: Out) -> Out:
    square = declared(y, {y.ndim - 1: (y.type.shape[-2], "a diagonal matrix is square, not {right} by {left}")})
    return diagonal(square, 0, y.ndim - 2, y.ndim - 1)


def _column(y: Out) -> Out:
    found = _diagonals(y)
    return dimshuffle(found, pattern=[*range(found.ndim), -1])


def _positions(x: Out) -> Out | None:
    return iota(shape_of(x)[0]) if x.ndim == 1 else None


def _identity(x: Out, y: Out) -> Out | None:
    return eye(shape_of(x)[-2], dtype=x.dtype) if x.ndim == y.ndim == 2 else None


VALUES = tagged("exact facts", (
    Rule("assume of what is known", lambda x, p: some("assume", p, x), lambda x, root: needless(x, root), kinds=ANY),
    Rule("abs(x), x >= 0", lambda x: absolute(x), lambda x: x, UNSIGNED, kinds="fi"),
    Rule("relu(x), x >= 0", lambda x: relu(x), lambda x: x, UNSIGNED, kinds="fi"),
    Rule("relu(x), x <= 0", lambda x: relu(x), lambda x: 0, known("x", "nonpositive"), kinds="fi"),
    Rule("sign(x), x > 0", lambda x: sign(x), lambda x: 1, known("x", "positive"), kinds=NUMBERS),
    Rule("sign(x), x < 0", lambda x: sign(x), lambda x: -1, known("x", "negative"), kinds="fi"),
    *(Rule(f"{f.name}(x), x whole", lambda x, f=f: f(x), lambda x: x, known("x", "integer", nan=True)) for f in ROUNDINGS),
    Rule("isnan(x), x a number", lambda x: isnan(x), lambda x: False, known("x", "number")),
    Rule("isinf(x), x bounded", lambda x: isinf(x), lambda x: False, known("x", "finite", nan=True)),
    Rule("isfinite(x), x finite", lambda x: isfinite(x), lambda x: True, known("x", "finite")),
    *(Rule(f"{f.name} decided", lambda x, y, f=f: f(x, y), lambda x, y, f=f: decided(f, of(x), of(y)), kinds=ANY)
      for f in (lt, le, gt, ge, eq, neq)),
    Rule("maximum decided", lambda x, y: maximum(x, y), lambda x, y: larger(x, y), kinds=ANY),
    Rule("minimum decided", lambda x, y: minimum(x, y), lambda x, y: smaller(x, y), kinds=ANY),
    Rule("clip decided", lambda x, y, z: clip(x, y, z), lambda x, y, z: clipped(x, y, z), kinds=NUMBERS),
    Rule("x // y, 0 <= x < y", lambda x, y: int_div(x, y), lambda x, y: 0, remains, kinds=WHOLE),
    Rule("x % y, 0 <= x < y", lambda x, y: mod(x, y), lambda x, y: x, remains, kinds=WHOLE),
))
PLACES = tagged("exact facts", (
    Rule("transpose of symmetric", lambda x, p: some("dimshuffle", p, x), lambda x: x, transposes, kinds=ANY),
    Rule("sort of sorted", lambda x, p: some("sort", p, x), lambda x: x, in_order, kinds=ANY),
    Rule("argsort of sorted", lambda x, p: some("argsort", p, x), lambda x: _positions(x), in_order, kinds=ANY),
))
KNOWN: tuple[Rule, ...] = (*VALUES, *PLACES)
"""Rules that keep every bit, in the order in which they are tried."""
MATRICES = tagged("real matrices", (
    Rule("switch(c, x, 0), x a triangle inside", lambda c, x: switch(c, x, 0), lambda c, x: x, keeps_triangle, kinds=NUMBERS, why="-0.0"),
    Rule("x @ x.T, x orthogonal", lambda x, y, p: some("matmul", p, x, y), lambda x, y: _identity(x, y), cancels, why="rounding"),
    Rule("x @ y, y diagonal", lambda x, y, p: some("matmul", p, x, y), lambda x, y: mul(x, _row(y)), is_diagonal,
        why="NaN and infinities spread along a row"),
    Rule("y @ x, y diagonal", lambda x, y, p: some("matmul", p, y, x), lambda x, y: mul(_column(y), x), is_diagonal,
        why="NaN and infinities spread along a column"),
))
"""Rules about matrices that are true over the real numbers: what a product makes of NaN, infinities and roundings is lost."""
