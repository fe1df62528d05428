"""STABLE: rules that are meant to change the result, because the right side is closer to the mathematical value or finite where it is.

Each says where the left side loses.  NaN, infinity and the sign of zero may differ from the left side only where that is the gain.
"""
from __future__ import annotations

from typing import Any

from exprgraph.functions.sugar import log1mexp
from exprgraph.node import Params
from exprgraph.ops.arithmetic import sqr
from exprgraph.ops.compare import clip, isfinite, switch
from exprgraph.ops.transcendental import erf, erfc, exp, expm1, log, log1p, logaddexp, power, sigmoid, softplus
from exprgraph.patterns import Rule, some, tagged
from exprgraph.rules.conditions import aligned, alone, beyond, by_no_case, exp_end, keeps_axes, reduces, together, unshifted
from exprgraph.rules.masks import MASKS

NEAR_ZERO, FAR, TAIL = "1 + x forgets x below 1e-7 or 1e-16", "exp overflows beyond 88 or 709", "1 - s is 0 or rounded near s = 1"
SOFTMAX = "the gradient of exp(x) / sum(exp(x)); " + FAR
RATIO = "the quotient is infinite, and times 0 NaN, where the divisor underflows"


def top(x: Any, p: Params) -> Any:
    """The maxima over the axes of a reduction's parameters, kept as axes of length 1; 0 where they are infinite or NaN."""
    best = some("max", _kept(p), x)
    return switch(isfinite(best), best, 0)


def _kept(p: Params) -> Params:
    return tuple(sorted({**dict(p), "keepdims": True, "shift": True}.items()))  # shift: of no elements it is -inf, not an error


def shifted_log(x: Any, p: Params) -> Any:
    """log(sum(exp(x))) by way of the maximum, with reduced axes kept or dropped as the sum's parameters say."""
    best = top(x, p)
    total = log(some("sum", p, exp(x - best)))
    return total + (best if dict(p)["keepdims"] else _drop(best, dict(p)["axis"]))


def _drop(x: Any, axes: tuple[int, ...]) -> Any:
    return some("dimshuffle", (("pattern", tuple(i for i in range(x.ndim) if i not in axes)),), x)


def shifted_softmax(x: Any, p: Params, around: Any) -> Any:
    """exp(x) / around(sum(exp(x))) by way of the maximum."""
    e = exp(x - top(x, p))
    return e / around(some("sum", p, e))


def shifted_sum(x: Any, z: Any, p: Params, around: Any, y: Any = None) -> Any:
    """(y / s + sum(z / s)) * exp(x) with s = around(sum(exp(x))), the first part only where there is a y, by way of the maximum."""
    e = exp(x - top(x, p))
    total = around(some("sum", p, e))
    below = some("sum", p, z / total)
    return (below if y is None else y / total + below) * e


def ratio(f: Any, x: Any) -> Any:
    """f(x) / f(x) with x where f neither over- nor underflows."""
    end = exp_end(x.dtype)
    near = f(clip(x, -end, end))
    return near / near


LOGARITHMS = tagged("stable logarithms", (
    Rule("log(1 + exp(x))", lambda x: log(1 + exp(x)), lambda x: softplus(x), why=FAR),
    Rule("log1p(exp(x))", lambda x: log1p(exp(x)), lambda x: softplus(x), why=FAR),
    Rule("log(exp(x) + exp(y))", lambda x, y: log(exp(x) + exp(y)), lambda x, y: logaddexp(x, y), why=FAR),
    Rule("log(1 + x)", lambda x: log(1 + x), lambda x: log1p(x), why=NEAR_ZERO),
    Rule("log(sigmoid(x))", lambda x: log(sigmoid(x)), lambda x: -softplus(-x), why="sigmoid underflows below -88 or -709"),
    Rule("log1p(-sigmoid(x))", lambda x: log1p(-sigmoid(x)), lambda x: -softplus(x), why=TAIL),
    Rule("log(exp(x) / y)", lambda x, y: log(exp(x) / y), lambda x, y: x - log(y), why="the quotient underflows: the log of a softmax"),
    Rule("log(sum(exp(x)))", lambda x, p, around: log(around(some("sum", p, exp(x)))), lambda x, p, around: around(shifted_log(x, p)),
         lambda m: reduces(m) and unshifted(m), why=FAR),
    Rule("log(-expm1(x))", lambda x: log(-expm1(x)), lambda x: log1mexp(x), by_no_case, why="expm1 is rounded near -1"),
    Rule("log1p(-exp(x))", lambda x: log1p(-exp(x)), lambda x: log1mexp(x), by_no_case, why="exp is rounded near 1"),
    Rule("softplus(x) - x", lambda x: softplus(x) - x, lambda x: softplus(-x), why="two large equal numbers are subtracted"),
), modulo=True)
DIFFERENCES = tagged("stable differences", (
    Rule("exp(x) - 1", lambda x: exp(x) - 1, lambda x: expm1(x), why=NEAR_ZERO),
    Rule("1 - sigmoid(x)", lambda x: 1 - sigmoid(x), lambda x: sigmoid(-x), why=TAIL),
    Rule("1 - erf(x)", lambda x: 1 - erf(x), lambda x: erfc(x), why=TAIL),
    Rule("1 + erf(x)", lambda x: 1 + erf(x), lambda x: erfc(-x), why="near x = -2 and below two numbers near 1 cancel"),
    Rule("1 - erfc(x)", lambda x: 1 - erfc(x), lambda x: erf(x), why="erfc is rounded near 1"),
), modulo=True)
QUOTIENTS = tagged("stable sigmoid", (
    Rule("1 / (1 + exp(x))", lambda x: 1 / (1 + exp(x)), lambda x: sigmoid(-x), why="one rounding instead of three"),
    Rule("exp(x) * sigmoid(-x)", lambda x: exp(x) * sigmoid(-x), lambda x: sigmoid(x), why=FAR),
), modulo=True)
SOFTMAXES = tagged("stable softmax", (
    Rule("exp(x) / sum(exp(x))", lambda x, p, around: exp(x) / around(some("sum", p, exp(x))),
         lambda x, p, around: shifted_softmax(x, p, around), lambda m: reduces(m) and unshifted(m) and aligned(m), why=FAR),
    Rule("sum(z / sum(exp(x))) * exp(x)", lambda x, z, p, around: some("sum", p, z / around(some("sum", p, exp(x)))) * exp(x),
         lambda x, z, p, around: shifted_sum(x, z, p, around),
         lambda m: reduces(m) and keeps_axes(m) and unshifted(m) and aligned(m), why=SOFTMAX),
    Rule("(y / sum(exp(x)) + sum(z / sum(exp(x)))) * exp(x)",
         lambda x, y, z, p, around: (y / around(some("sum", p, exp(x))) + some("sum", p, z / around(some("sum", p, exp(x))))) * exp(x),
         lambda x, y, z, p, around: shifted_sum(x, z, p, around, y),
         lambda m: reduces(m) and keeps_axes(m) and unshifted(m) and aligned(m), why=SOFTMAX),
), modulo=True)
GRADIENTS = tagged("stable gradients", (
    Rule("y / sigmoid(x) * sigmoid(x)", lambda x, y: y / sigmoid(x) * sigmoid(x), lambda x, y: y, together, why=RATIO),
    Rule("sigmoid(x) / sigmoid(x)", lambda x: sigmoid(x) / sigmoid(x), lambda x: ratio(sigmoid, x), beyond, why=RATIO),
    Rule("(y/s - z/(1-s)) * s * (1-s)",
         lambda x, y, z: (y / sigmoid(x) - z / sigmoid(-x)) * sigmoid(x) * sigmoid(-x),
         lambda x, y, z: y * sigmoid(-x) - z * sigmoid(x), why="the gradient of binary cross-entropy; " + RATIO),
    Rule("y / exp(x) * exp(x)", lambda x, y: y / exp(x) * exp(x), lambda x, y: y, together, why=RATIO),
    Rule("exp(x) / exp(x)", lambda x: exp(x) / exp(x), lambda x: ratio(exp, x), beyond, why=RATIO),
    Rule("(y / exp(x) + z) * exp(x)", lambda x, y, z: (y / exp(x) + z) * exp(x), lambda x, y, z: y + z * exp(x), alone,
         why="the gradient of the log of a softmax; " + RATIO),
    Rule("y / (exp(x) / z) / z", lambda x, y, z: y / (exp(x) / z) / z, lambda x, y, z: y / exp(x), why=RATIO),
), modulo=True)
POWERS = tagged("stable powers", (
    Rule("x ** 2", lambda x: power(x, 2), lambda x: sqr(x), kinds="fiu", why="one product is rounded correctly, a power need not be"),
    Rule("x ** -1", lambda x: power(x, -1.0), lambda x: 1 / x, why="one quotient is rounded correctly, a power need not be"),
))
STABLE: tuple[Rule, ...] = (*LOGARITHMS, *DIFFERENCES, *QUOTIENTS, *SOFTMAXES, *GRADIENTS, *POWERS, *MASKS)
"""All stable rules, in the order in which they are tried."""
