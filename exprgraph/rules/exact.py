"""EXACT: rules that keep every bit, of NaN, infinities, -0.0 and the limits of integers; always applied."""
from __future__ import annotations

from exprgraph.ops.arithmetic import absolute, int_div, mod, neg, reciprocal, sign, sqr
from exprgraph.ops.bits import and_, invert, left_shift, or_, right_shift, xor
from exprgraph.ops.compare import eq, ge, gt, isfinite, isinf, isnan, le, lt, maximum, minimum, neq, relu, switch
from exprgraph.ops.markers import disconnected_grad, zero_grad
from exprgraph.ops.rounding import ceil, floor, identity, round_half_away_from_zero, round_half_to_even, second, trunc
from exprgraph.ops.transcendental import exp, power, sigmoid
from exprgraph.patterns import Rule, tagged
from exprgraph.rules.conditions import boolean, power_of_two, value

NUMBERS, ANY, WHOLE, RING, BITS = "fiu", "fiub", "iu", "iub", "iub"
ROUNDINGS = (floor, ceil, trunc, round_half_to_even, round_half_away_from_zero)

NEUTRAL = tagged("exact neutral", (
    Rule("x * 1", lambda x: x * 1, lambda x: x, kinds=NUMBERS),
    Rule("x * True", lambda x: x * True, lambda x: x, kinds="b"),
    Rule("x / 1", lambda x: x / 1, lambda x: x),
    Rule("x - 0", lambda x: x - 0, lambda x: x, kinds=NUMBERS, why="x + 0.0 is not here: -0.0 + 0.0 is 0.0"),
    Rule("x + -0.0", lambda x: x + -0.0, lambda x: x),
    Rule("x + 0", lambda x: x + 0, lambda x: x, kinds=WHOLE),
    Rule("x + False", lambda x: x + False, lambda x: x, kinds="b"),
    Rule("x // 1", lambda x: int_div(x, 1), lambda x: x, kinds=WHOLE),
    Rule("0 // x", lambda x: int_div(0, x), lambda x: 0, kinds=WHOLE, why="by 0 too: integers have no infinity"),
    Rule("0 % x", lambda x: mod(0, x), lambda x: 0, kinds=WHOLE, why="by 0 too"),
    Rule("x % 1", lambda x: mod(x, 1), lambda x: 0, kinds=WHOLE),
    Rule("x * 0", lambda x: x * 0, lambda x: 0, kinds=WHOLE),
    Rule("x * False", lambda x: x * False, lambda x: False, kinds="b"),
    Rule("x - x", lambda x: x - x, lambda x: 0, kinds=WHOLE),
    Rule("x ** 1", lambda x: power(x, 1), lambda x: x, kinds=NUMBERS),
    Rule("x ** 0", lambda x: power(x, 0), lambda x: 1, kinds=NUMBERS, why="nan ** 0 is 1"),
    Rule("identity", lambda x: identity(x), lambda x: x, kinds=ANY),
    Rule("second", lambda x, y: second(x, y), lambda x, y: y, kinds=ANY),
    Rule("disconnected_grad", lambda x: disconnected_grad(x), lambda x: x, kinds=ANY, why="gradients have been taken"),
    Rule("zero_grad", lambda x: zero_grad(x), lambda x: x, kinds=ANY, why="gradients have been taken"),
))
SIGNS = tagged("exact signs", (
    Rule("-(-x)", lambda x: neg(neg(x)), lambda x: x, kinds=NUMBERS),
    Rule("0 - x", lambda x: 0 - x, lambda x: -x, kinds=WHOLE),
    Rule("-0.0 - x", lambda x: -0.0 - x, lambda x: -x),
    Rule("x * -1", lambda x: x * -1, lambda x: -x, kinds="fi"),
    Rule("x + -y", lambda x, y: x + -y, lambda x, y: x - y, kinds=NUMBERS),
    Rule("x - -y", lambda x, y: x - -y, lambda x, y: x + y, kinds=NUMBERS),
    Rule("-x * -y", lambda x, y: -x * -y, lambda x, y: x * y, kinds=NUMBERS),
    Rule("-x / -y", lambda x, y: -x / -y, lambda x, y: x / y),
    Rule("-x * y", lambda x, y: -x * y, lambda x, y: -(x * y), kinds=NUMBERS),
    Rule("-x / y", lambda x, y: -x / y, lambda x, y: -(x / y)),
    Rule("x / -y", lambda x, y: x / -y, lambda x, y: -(x / y)),
    Rule("-(x - y)", lambda x, y: -(x - y), lambda x, y: y - x, kinds=WHOLE, why="in floats -(x - x) is -0.0"),
    Rule("x * x", lambda x: x * x, lambda x: sqr(x), why="not for integers: sizes are integers, and a Dim knows products"),
    Rule("sqr(-x)", lambda x: sqr(-x), lambda x: sqr(x), kinds=NUMBERS),
    Rule("sqr(abs(x))", lambda x: sqr(absolute(x)), lambda x: sqr(x), kinds=NUMBERS),
    Rule("abs(-x)", lambda x: absolute(-x), lambda x: absolute(x), kinds="fi"),
    Rule("abs(abs(x))", lambda x: absolute(absolute(x)), lambda x: absolute(x), kinds=ANY),
    Rule("abs(sqr(x))", lambda x: absolute(sqr(x)), lambda x: sqr(x)),
    Rule("abs(exp(x))", lambda x: absolute(exp(x)), lambda x: exp(x)),
    Rule("abs(sigmoid(x))", lambda x: absolute(sigmoid(x)), lambda x: sigmoid(x)),
    Rule("abs(x) * abs(y)", lambda x, y: absolute(x) * absolute(y), lambda x, y: absolute(x * y)),
    Rule("abs(x) / abs(y)", lambda x, y: absolute(x) / absolute(y), lambda x, y: absolute(x / y)),
    Rule("abs(x) unsigned", lambda x: absolute(x), lambda x: x, kinds="ub"),
    Rule("sign(sign(x))", lambda x: sign(sign(x)), lambda x: sign(x), kinds=NUMBERS),
    Rule("relu(relu(x))", lambda x: relu(relu(x)), lambda x: relu(x), kinds=NUMBERS),
    Rule("relu(x) unsigned", lambda x: relu(x), lambda x: x, kinds="u"),
    Rule("1 / x", lambda x: reciprocal(x), lambda x: 1 / x, why="one spelling for all other rules"),
    Rule("x / 2**n", lambda x, k: x / k, lambda x, k: x * (1 / value(k)), power_of_two, why="both round the same real number"),
))
ROUNDED = tagged("exact rounding", (
    *(Rule(f"{f.name}(whole)", lambda x, f=f: f(x), lambda x: x, kinds=RING) for f in ROUNDINGS),
    *(Rule(f"{f.name}({g.name}(x))", lambda x, f=f, g=g: f(g(x)), lambda x, g=g: g(x)) for f in ROUNDINGS for g in ROUNDINGS),
))
CHOICES = tagged("exact choices", (
    Rule("maximum(x, x)", lambda x: maximum(x, x), lambda x: x, kinds=ANY),
    Rule("minimum(x, x)", lambda x: minimum(x, x), lambda x: x, kinds=ANY),
    Rule("maximum(maximum(x, y), y)", lambda x, y: maximum(maximum(x, y), y), lambda x, y: maximum(x, y), kinds=ANY),
    Rule("minimum(minimum(x, y), y)", lambda x, y: minimum(minimum(x, y), y), lambda x, y: minimum(x, y), kinds=ANY),
    Rule("maximum(x, 0) unsigned", lambda x: maximum(x, 0), lambda x: x, kinds="u"),
    Rule("minimum(x, 0) unsigned", lambda x: minimum(x, 0), lambda x: 0, kinds="u"),
    Rule("switch(c, x, x)", lambda c, x: switch(c, x, x), lambda c, x: x, kinds=ANY),
    Rule("switch(True, x, y)", lambda x, y: switch(True, x, y), lambda x, y: x, kinds=ANY),
    Rule("switch(False, x, y)", lambda x, y: switch(False, x, y), lambda x, y: y, kinds=ANY),
    Rule("switch(c, True, False)", lambda c: switch(c, True, False), lambda c: c, boolean),
    Rule("switch(c, False, True)", lambda c: switch(c, False, True), lambda c: invert(c), boolean),
    Rule("switch(not c, x, y)", lambda c, x, y: switch(invert(c), x, y), lambda c, x, y: switch(c, y, x), kinds=ANY),
    Rule("switch(c, switch(c, x, y), z)", lambda c, x, y, z: switch(c, switch(c, x, y), z), lambda c, x, y, z: switch(c, x, z), kinds=ANY),
    Rule("switch(c, x, switch(c, y, z))", lambda c, x, y, z: switch(c, x, switch(c, y, z)), lambda c, x, y, z: switch(c, x, z), kinds=ANY),
))
LOGIC = tagged("exact logic", (
    Rule("x and x", lambda x: and_(x, x), lambda x: x, kinds=BITS),
    Rule("x or x", lambda x: or_(x, x), lambda x: x, kinds=BITS),
    Rule("x xor x", lambda x: xor(x, x), lambda x: 0, kinds=BITS),
    Rule("x and 0", lambda x: and_(x, 0), lambda x: 0, kinds=WHOLE),
    Rule("x or 0", lambda x: or_(x, 0), lambda x: x, kinds=WHOLE),
    Rule("x xor 0", lambda x: xor(x, 0), lambda x: x, kinds=WHOLE),
    Rule("x and False", lambda x: and_(x, False), lambda x: False, kinds="b"),
    Rule("x and True", lambda x: and_(x, True), lambda x: x, kinds="b"),
    Rule("x or False", lambda x: or_(x, False), lambda x: x, kinds="b"),
    Rule("x or True", lambda x: or_(x, True), lambda x: True, kinds="b"),
    Rule("x xor False", lambda x: xor(x, False), lambda x: x, kinds="b"),
    Rule("x xor True", lambda x: xor(x, True), lambda x: invert(x), kinds="b"),
    Rule("not not x", lambda x: invert(invert(x)), lambda x: x, kinds=BITS),
    Rule("x << 0", lambda x: left_shift(x, 0), lambda x: x, kinds=WHOLE),
    Rule("x >> 0", lambda x: right_shift(x, 0), lambda x: x, kinds=WHOLE),
))
COMPARISONS = tagged("exact comparisons", (
    *(Rule(f"not {f.name}", lambda x, y, f=f: invert(f(x, y)), lambda x, y, g=g: g(x, y), kinds=RING, why="wrong for NaN")
      for f, g in ((lt, ge), (le, gt), (gt, le), (ge, lt))),
    Rule("not eq", lambda x, y: invert(eq(x, y)), lambda x, y: neq(x, y), kinds=ANY),
    Rule("not neq", lambda x, y: invert(neq(x, y)), lambda x, y: eq(x, y), kinds=ANY),
    *(Rule(f"{f.name}(x, 0) unsigned", lambda x, f=f: f(x, 0), lambda x, r=r: r, kinds="u") for f, r in ((lt, False), (ge, True))),
    *(Rule(f"{f.name}(0, x) unsigned", lambda x, f=f: f(0, x), lambda x, r=r: r, kinds="u") for f, r in ((gt, False), (le, True))),
    *(Rule(f"{f.name}(x, x)", lambda x, f=f: f(x, x), lambda x: False, kinds=ANY) for f in (lt, gt)),
    *(Rule(f"{f.name}(x, x)", lambda x, f=f: f(x, x), lambda x: True, kinds=RING) for f in (le, ge, eq)),
    Rule("neq(x, x)", lambda x: neq(x, x), lambda x: False, kinds=RING),
    Rule("neq(x, x) of floats", lambda x: neq(x, x), lambda x: isnan(x)),
    *(Rule(f"{f.name}(whole)", lambda x, f=f: f(x), lambda x, r=r: r, kinds=RING)
      for f, r in ((isnan, False), (isinf, False), (isfinite, True))),
))
EXACT: tuple[Rule, ...] = (*NEUTRAL, *SIGNS, *ROUNDED, *CHOICES, *LOGIC, *COMPARISONS)
"""All exact rules, in the order in which they are tried."""
