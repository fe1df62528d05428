"""The conditions that rules name: small predicates of a match."""
from __future__ import annotations

import math
from typing import Any

from exprgraph import facts
from exprgraph.matching import Matcher
from exprgraph.node import Node, Out
from exprgraph.numbering import RANGE
from exprgraph.patterns import Match
from exprgraph.spelling import bare, uncast

BESIDE_MAXIMUM = ("dimshuffle", "broadcast_to", "switch", "reshape", "disconnected_grad", "zero_grad", "isinf", "isfinite", "second")


def value(out: Out) -> float:
    """The one value of a constant that a rule has bound."""
    found: Any = Matcher().value(out)
    return float(found)


def boolean(match: Match) -> bool:
    """What is replaced is bool: True and False match 1.0 and 0.0 too."""
    return match.root.dtype == "bool"


def always(match: Match) -> bool:
    """The condition c is the constant True."""
    known: Any = Matcher().value(match.bound["c"])
    return known is not None and bool(known)


def power_of_two(match: Match) -> bool:
    """The constant k is a power of two and finite like its reciprocal, so that dividing and multiplying round alike."""
    return finite_constant(match) and math.frexp(abs(value(match.bound["k"])))[0] == 0.5


def finite_constant(match: Match) -> bool:
    """The constant k and its reciprocal are finite normal numbers of the dtype."""
    number = value(match.bound["k"])
    if not math.isfinite(number) or number == 0:
        return False
    return abs(math.frexp(number)[1]) < (15 if match.root.dtype == "float16" else 100)


def unshifted(match: Match) -> bool:
    """x is not yet something minus a maximum."""
    node: Node = bare(match.bound["x"])[0].node
    if node.op.name != "sub":
        return True
    todo, steps = [node.inputs[1].node], 0
    while todo and steps < 16:
        steps += 1
        node = todo.pop()
        if node.op.name == "max":
            return False
        if node.op.name in BESIDE_MAXIMUM:
            todo += [i.node for i in node.inputs]
    return True


def by_no_case(match: Match) -> bool:
    """x is not yet one of two cases."""
    return uncast(match.bound["x"])[0].node.op.name != "switch"


def reduces(match: Match) -> bool:
    """The reduction has an axis to reduce."""
    return bool(dict(match.bound["p"])["axis"])


def keeps_axes(match: Match) -> bool:
    """The reduction keeps its axes, with length 1."""
    return bool(dict(match.bound["p"])["keepdims"])


def reduces_nothing(match: Match) -> bool:
    """The reduction is over no axis."""
    return not reduces(match)


def whole_operand(match: Match) -> bool:
    """x alone has the shape of what is reduced."""
    shape = match.root.node.inputs[0].type.shape
    return bool(match.bound["x"].type.shape == shape)


def aligned(match: Match) -> bool:
    """The views around the reduction put each axis that is kept where x has it."""
    x, p = match.bound["x"], dict(match.bound["p"])
    places: list[int | None] = [None if a in p["axis"] else a for a in range(x.ndim) if p["keepdims"] or a not in p["axis"]]
    for view in reversed(match.bound["around"].chain):
        inner, outer = view.inputs[0].type.shape, view.outs[0].shape
        if view.op.name == "dimshuffle":
            places = [None if a < 0 else places[a] for a in dict(view.params)["pattern"]]
        elif view.op.name == "broadcast_to":
            places = [*[None] * (len(outer) - len(inner)), *places]
        else:
            kept = [(a, d) for a, d in zip(places, inner) if d.const != 1]
            if [d for _, d in kept] != [d for d in outer if d.const != 1]:
                return False
            rest = iter(kept)
            places = [None if d.const == 1 else next(rest)[0] for d in outer]
    return all(a is None or a == x.ndim - len(places) + k for k, a in enumerate(places))


def together(match: Match) -> bool:
    """What y takes is multiplied as it was, or is one product: several are further ones on the way, which may overflow."""
    return match.joined < 2


def beyond(match: Match) -> bool:
    """exp(x) may be so large or so small that it has lost digits."""
    found, end = facts.of(match.bound["x"]), exp_end(match.root.dtype)
    return found.low < -end or found.high > end


def exp_end(dtype: str) -> int:
    """A whole number that exp of it and of its opposite leave a quarter of the exponents above and below."""
    return int((2 ** (RANGE[dtype] - 1) - 2) * math.log(2) * 0.75)


def alone(match: Match) -> bool:
    """The pattern is all that there is at the root."""
    return match.alone
