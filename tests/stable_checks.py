"""What the lists STABLE and REAL claim, as checks of one rule: AssertionError with the point where it is not so."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from exprgraph.graph import order
from exprgraph.node import INPUT, Node, Out, leaf, make_constant
from exprgraph.patterns import Rule, arguments, sort
from exprgraph.reference import evaluate
from tests.rule_cases import Array, Case, assert_same_bits, both_sides, drawn, dtypes_of, grid, meaning, sides, specials, tensors
from tests.rule_meanings import algebra, digit, digits, rational

ULPS = 4.0
FAR = 1000
"""The size of inputs up to which the pattern itself has a reference; beyond it is what the rule makes, which agrees up to here."""
AGREE = 2.0 ** -160
NOTHING = -1400
"""The binary exponent of what is too small to be told from 0 beside 1 in the digits of the reference; no float is as small."""


class Bound(NamedTuple):
    """A bound other than 4 ULP of the largest term: ulps(dtype) of it, the terms at least so large; `inside` says at which points."""
    why: str
    ulps: Callable[[str], float] = lambda dtype: ULPS
    term: float = 0.0
    inside: Callable[[Mapping[str, Array], str], Any] = lambda values, dtype: True


def _finite_exp(values: Mapping[str, Array], dtype: str) -> Any:
    """Where exp(x) is finite."""
    return values["x"].astype("float64") <= np.log(np.float64(np.finfo(dtype).max))


PLAIN = Bound("no other")
SHIFTED = Bound("x less the maximum of its row is rounded, and exp makes of that its relative error, times the difference",
                ulps=lambda dtype: ULPS - float(np.log(np.float64(np.finfo(dtype).smallest_subnormal))))
FROM_ONE = Bound("the sum begins with the exponential of the maximum, 1", term=1.0)
BESIDE_MAXIMUM = Bound("the larger argument and the logarithm beside it, both near -log(2) or log(2), may cancel", term=0.5)
BESIDE_EXP = Bound("exp(x) by itself, which both sides have, must be finite", inside=_finite_exp)


def extremes(dtype: str) -> Array:
    """Tiny and huge numbers of both signs, and both sides of where exp overflows, underflows, and 1 + x forgets x."""
    info = np.finfo(dtype)
    top, low = float(np.log(np.float64(info.max))), float(-np.log(np.float64(info.smallest_subnormal)))
    sizes = [float(info.smallest_subnormal), float(info.tiny), float(info.eps) / 3, float(info.eps) * 1.3, 1e-3, 0.4, 1, 3, 9.5, 0.6 * top,
             0.99 * top, 1.005 * top, (top + low) / 2, 0.99 * low, 1.2 * low, float(info.max)]
    return np.array([s * x for x in sizes for s in (1, -1)] + [float(info.eps) - 1, 1 - float(info.eps)]).astype(dtype)


def others(dtype: str) -> Array:
    """A few factors and terms of both signs."""
    return np.array([-2.5, -1e-3, 0.7, 1, 17], dtype)


def scalar_case(rule: Rule, dtype: str) -> Case:
    """All combinations of an extreme x with a few y and z, of two extremes where the rule treats x and y alike."""
    alike = tensors(rule) == ["x", "y"] and "exp(y)" in rule.name
    return grid(rule, dtype, {"x": extremes(dtype), "y": extremes(dtype)[::3] if alike else others(dtype), "z": others(dtype)})


def row_case(rule: Rule, dtype: str, given: Mapping[str, Any], count: int = 60) -> Case:
    """For a rule with parameters rows of extreme x, a few y and z; `given` has the parameters, and shapes without the number of rows."""
    symbols, values, rng = list[Any](), dict[Node, Array](), drawn(rule.name)
    for name in arguments(rule):
        if sort(name) in ("params", "views"):
            symbols.append(given[name])
        elif sort(name) == "constant":
            symbols.append(make_constant(given[name], dtype))
        else:
            shape = (count, *given[name]) if given[name] is not None else ()
            pool = extremes(dtype) if name == "x" else others(dtype)
            symbols.append(Out(leaf(INPUT, dtype, (None,) * len(shape), name)))
            values[symbols[-1].node] = rng.choice(pool[np.abs(pool) <= FAR], shape)
    return symbols, values


class Judged(NamedTuple):
    """The errors of both sides in units of the last place of the largest term, where the mathematical value is a float."""
    left: Array
    right: Array
    left_own: float
    right_own: float


def check_stable(rule: Rule, cases: Callable[[Rule, str], Case] = scalar_case, bound: Bound = PLAIN) -> None:
    """The right side is within its bound at every point, in every dtype, and nowhere worse in general; somewhere it is better."""
    gained = set()
    for dtype in dtypes_of(rule):
        judged, most = judge(rule, cases(rule, dtype), dtype, bound), bound.ulps(dtype)
        worst = float(np.max(judged.right))
        assert worst <= most, f"{rule.name}: {worst:.3g} ULP off in {dtype}, {most:.3g} allowed"
        assert judged.right_own <= max(most, 4 * judged.left_own), (
            f"{rule.name}: worse in {dtype} than what it replaces, {judged.right_own:.3g} ULP for {judged.left_own:.3g}")
        if (judged.left > 2 * most + judged.right).any():
            gained.add(dtype)
    assert {"float32", "float64"} <= gained, f"{rule.name}: nowhere better than what it replaces"


class Reference(NamedTuple):
    """Both sides of a rule at the points of a case: what is true there, the unit of the largest term, and where that is known."""
    left: Out
    right: Out
    exact: Any
    units: Any
    known: Array

    @np.errstate(all="ignore")
    def error(self, got: Array) -> Array:
        """The distance of values from the truth, in units of the largest term."""
        return np.asarray(np.abs(_error(got, self.exact))[self.known] / self.units[self.known], float)


@np.errstate(all="ignore")
def reference(rule: Rule, case: Case, dtype: str, bound: Bound) -> Reference:
    """What a rule is judged by at the points of a case."""
    values = case[1]
    left, right = both_sides(rule, case) or (None, None)
    assert left is not None and right is not None
    leaves = {n: np.frompyfunc(digit, 1, 1)(v) for n, v in values.items()}
    done = meaning(right, leaves, digits()[1], digit)
    exact, written = done[right.node], meaning(left, leaves, digits()[1], digit)[left.node]
    near = _near(values, exact.shape)
    _assert_agree(rule.name, exact, written, near)
    units = np.maximum(terms(right, done, dtype), _ulp(np.full(exact.shape, digit(np.float64(bound.term)), object), dtype))
    known = _representable(exact, dtype) & bound.inside({n.name or "": v for n, v in values.items()}, dtype)
    known &= _representable(units * 2.0 ** np.finfo(dtype).nmant, dtype) & (near | ~_nan(written))
    assert known.any(), f"{rule.name}: no point to judge it at"
    return Reference(left, right, exact, units, known)


@np.errstate(all="ignore")
def judge(rule: Rule, case: Case, dtype: str, bound: Bound) -> Judged:
    """Both sides against the reference at the points of a case."""
    found = reference(rule, case, dtype, bound)
    own = _ulp(found.exact, dtype)[found.known]
    got = [evaluate([side], case[1])[0] for side in (found.left, found.right)]
    strict = [float(np.max(np.abs(_error(g, found.exact))[found.known] / own)) for g in got]
    return Judged(found.error(got[0]), found.error(got[1]), *strict)


def _near(values: Mapping[Node, Array], shape: tuple[int, ...]) -> Array:
    """Where all arguments are small enough for the pattern to have a reference; the rows of reductions are."""
    flat = [np.abs(v) <= FAR for v in values.values() if v.shape == shape]
    return np.all(flat, axis=0) if len(flat) == len(values) else np.ones(shape, bool)


def _assert_agree(name: str, exact: Any, written: Any, near: Array) -> None:
    """Both sides are the same real number wherever the pattern has one."""
    known = near & ~_nan(exact) & ~_nan(written) & (np.abs(exact) < np.inf) & (np.abs(written) < np.inf)
    apart = np.abs(exact - written) > AGREE * np.maximum(np.abs(exact), np.abs(written)) + digits()[0].ldexp(1, NOTHING)
    assert known.any() and not (apart & known).any(), f"{name}: not the same real number on both sides"


def terms(out: Out, done: Mapping[Node, Any], dtype: str) -> Any:
    """The unit in the last place of the largest intermediate term of a tensor, carried to it through sums, products and quotients."""
    units: dict[Node, Any] = {}
    for node in order([out]):
        units[node] = _unit(node, [units[i.node] for i in node.inputs], [done[i.node] for i in node.inputs], done[node], dtype)
    return units[out.node]


def _unit(node: Node, units: list[Any], given: list[Any], value: Any, dtype: str) -> Any:
    name = node.op.name
    if node.op.kind == "leaf" or name == "size":
        return np.zeros(value.shape, object)
    if node.op.kind == "view" or name in ("neg", "cast"):
        return node.op.numpy(units[0], *given[1:], **dict(node.params)) if node.op.kind == "view" else units[0]
    own = _ulp(value, dtype)
    if name in ("add", "sub"):
        return _largest(own, *units, *(_ulp(g, dtype) for g in given))
    if name in ("mul", "true_div"):
        first = units[0] * np.abs(given[1]) if name == "mul" else units[0] / np.abs(given[1])
        second = units[1] * np.abs(given[0]) if name == "mul" else units[1] * np.abs(value) / np.abs(given[1])
        return _largest(own, first, second)
    if name == "sum":
        reduced = np.frompyfunc(max, 2, 1).reduce(_largest(units[0], _ulp(given[0], dtype)), axis=dict(node.params)["axis"],
                                                  keepdims=dict(node.params)["keepdims"])
        return _largest(own, reduced)
    return own


def _largest(*units: Any) -> Any:
    found = units[0]
    for u in units[1:]:
        found = np.frompyfunc(max, 2, 1)(found, u)
    return found


def _ulp(values: Any, dtype: str) -> Any:
    """The distance of neighbours among the floats of a dtype at each of mpmath's numbers."""
    info, mp = np.finfo(dtype), digits()[0]
    least = int(np.log2(np.float64(info.smallest_subnormal)))

    def one(value: Any) -> Any:
        if not value or not mp.isfinite(value):
            return mp.ldexp(1, least)
        return mp.ldexp(1, max(mp.frexp(value)[1] - 1 - info.nmant, least))
    return np.frompyfunc(one, 1, 1)(values)


def _representable(exact: Any, dtype: str) -> Array:
    most = digit(np.float64(np.finfo(dtype).max))
    return np.array(np.frompyfunc(lambda v: bool(abs(v) <= most), 1, 1)(exact), bool)


def _nan(values: Any) -> Array:
    return np.array(np.frompyfunc(lambda v: bool(v != v), 1, 1)(values), bool)


def _error(got: Array, exact: Any) -> Any:
    """The distance of floats from the truth, infinite where a float is none."""
    inf = digits()[0].inf
    return np.frompyfunc(lambda g, e: inf if g != g or abs(g) == inf else g - e, 2, 1)(np.frompyfunc(digit, 1, 1)(got), exact)


def check_rounded(rule: Rule) -> None:
    """The right side is the float nearest to the truth, of integers the left side to the bit."""
    for dtype in dtypes_of(rule):
        if not dtype.startswith("float"):
            assert_same_bits(rule.name, *sides(rule, grid(rule, dtype, specials(dtype))))
            continue
        judged = judge(rule, scalar_case(rule, dtype), dtype, PLAIN)
        assert judged.right_own <= 0.5, f"{rule.name}: {judged.right_own:.3g} ULP off in {dtype}, one rounding is 0.5"


@np.errstate(all="ignore")
def check_real(rule: Rule, case: Case) -> None:
    """Both sides are the same real number at every point of a case where the pattern has one, in digits that no rounding spoils."""
    symbols, values = case
    left, right = both_sides(rule, case) or (None, None)
    assert left is not None and right is not None
    leaves = {n: np.frompyfunc(digit, 1, 1)(v) for n, v in values.items()}
    written, exact = (meaning(side, leaves, digits()[1], lambda v: _fraction(v))[side.node] for side in (left, right))
    _assert_agree(rule.name, exact, written, np.ones(exact.shape, bool))


def _fraction(value: Any) -> Any:
    """A constant as the fraction that it is a rounding of."""
    mp, exact = digits()[0], rational(value)
    return exact if isinstance(exact, bool) else mp.mpf(exact.p) / exact.q


def proved(rule: Rule, case: Case, positive: str = "") -> bool:
    """Whether sympy proves that both sides are the same for all real arguments, those named in `positive` above 0."""
    sympy, table = algebra()
    left, right = both_sides(rule, case) or (None, None)
    assert left is not None and right is not None
    leaves = {n: _named(n.name or "", v.shape, positive) for n, v in case[1].items()}
    written, made = (meaning(side, leaves, table, rational)[side.node] for side in (left, right))
    return all(sympy.simplify(a - b) == 0 for a, b in zip(written.ravel(), made.ravel()))


def _named(name: str, shape: tuple[int, ...], positive: str) -> Any:
    sympy = algebra()[0]
    found = np.empty(shape, object)
    for place in np.ndindex(*shape):
        found[place] = sympy.Symbol(f"{name}{place}", **{"positive" if name in positive else "real": True})
    return found
