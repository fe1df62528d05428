"""REAL: rules that are true over the real numbers; used with `optimizer="unsafe"`, since they change NaN, infinity and rounding."""
from __future__ import annotations

from exprgraph.ops.arithmetic import absolute, sqr, sqrt
from exprgraph.ops.transcendental import exp, log, power
from exprgraph.patterns import Rule, some, tagged
from exprgraph.rules.chains import CHAINS
from exprgraph.rules.conditions import finite_constant, value, whole_operand
from exprgraph.rules.reductions import plain

CANCELLED = tagged("real cancellation", (
    Rule("x + 0.0", lambda x: x + 0.0, lambda x: x, why="-0.0"),
    Rule("x * 0.0", lambda x: x * 0.0, lambda x: 0.0, why="NaN, infinity, signs"),
    Rule("x - x of floats", lambda x: x - x, lambda x: 0.0, why="NaN, infinity"),
    Rule("x / x", lambda x: x / x, lambda x: 1.0, why="0, NaN, infinity"),
    Rule("x * y / y", lambda x, y: x * y / y, lambda x, y: x, why="y = 0, rounding, overflow"),
    Rule("x / y * y", lambda x, y: x / y * y, lambda x, y: x, why="y = 0, rounding, overflow"),
    Rule("x + y - y", lambda x, y: x + y - y, lambda x, y: x, why="rounding"),
    Rule("x - y + y", lambda x, y: x - y + y, lambda x, y: x, why="rounding"),
    Rule("0 / x", lambda x: 0.0 / x, lambda x: 0.0, why="0, NaN, signs"),
    Rule("0 - x of floats", lambda x: 0.0 - x, lambda x: -x, why="-0.0"),
))
EXPONENTIALS = tagged("real exponentials", (
    Rule("exp(x) * exp(y)", lambda x, y: exp(x) * exp(y), lambda x, y: exp(x + y), why="overflow"),
    Rule("exp(x) / exp(y)", lambda x, y: exp(x) / exp(y), lambda x, y: exp(x - y), why="overflow"),
    Rule("log(exp(x))", lambda x: log(exp(x)), lambda x: x, why="overflow"),
    Rule("exp(log(x))", lambda x: exp(log(x)), lambda x: x, why="x < 0"),
    Rule("log(x ** k)", lambda x, k: log(power(x, k)), lambda x, k: value(k) * log(x), why="x < 0, overflow"),
    Rule("log(sqrt(x))", lambda x: log(sqrt(x)), lambda x: 0.5 * log(x), why="rounding"),
))
POWERS = tagged("real powers", (
    Rule("sqrt(sqr(x))", lambda x: sqrt(sqr(x)), lambda x: absolute(x), why="overflow"),
    Rule("sqr(sqrt(x))", lambda x: sqr(sqrt(x)), lambda x: x, why="x < 0"),
    Rule("x ** 0.5", lambda x: power(x, 0.5), lambda x: sqrt(x), why="-infinity, -0.0"),
    Rule("x ** 3", lambda x: power(x, 3), lambda x: x * sqr(x), why="rounding"),
    Rule("x ** 4", lambda x: power(x, 4), lambda x: sqr(sqr(x)), why="rounding"),
))
FACTORS = tagged("real factors", (
    Rule("x / k", lambda x, k: x / k, lambda x, k: x * (1 / value(k)), finite_constant, why="rounding"),
    Rule("x * y + x * z", lambda x, y, z: x * y + x * z, lambda x, y, z: x * (y + z), why="rounding, overflow"),
    Rule("x * y - x * z", lambda x, y, z: x * y - x * z, lambda x, y, z: x * (y - z), why="rounding, overflow"),
    Rule("-max(-x)", lambda x, p: -some("max", p, -x), lambda x, p: some("min", p, x), lambda m: plain(m.bound["p"]), why="-0.0"),
    Rule("-min(-x)", lambda x, p: -some("min", p, -x), lambda x, p: some("max", p, x), why="-0.0"),
    Rule("sum(-x)", lambda x, p: some("sum", p, -x), lambda x, p: -some("sum", p, x), why="-0.0"),
    Rule("sum(x * k)", lambda x, k, p: some("sum", p, x * k), lambda x, k, p: value(k) * some("sum", p, x),
         whole_operand, why="rounding, overflow"),
))
REAL: tuple[Rule, ...] = (*CANCELLED, *EXPONENTIALS, *POWERS, *FACTORS, *CHAINS)
"""All real rules, in the order in which they are tried."""
