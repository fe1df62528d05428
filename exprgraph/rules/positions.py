"""POSITIONS: stable rules that look for the greatest element before a function that keeps the order, which rounding or overflow may spoil.

The class that a softmax finds most likely is the greatest of its inputs: nothing has to be normalised, and no two inputs become equal.
"""
from __future__ import annotations

from exprgraph.ops.arithmetic import sub, true_div
from exprgraph.ops.transcendental import exp, sigmoid
from exprgraph.patterns import Match, Rule, some, tagged
from exprgraph.rules.conditions import whole_operand

WHY = "rounding makes ties, overflow NaN; and less is computed"
SPREAD = ("dimshuffle", "broadcast_to", "reshape")


def same_in_row(match: Match) -> bool:
    """y is one number for all elements that are compared, and x has the whole shape."""
    y, inner = match.bound["y"], match.root.node.inputs[0]
    axes = [a - inner.ndim + y.ndim for a in dict(match.bound["p"])["axis"]]
    return whole_operand(match) and all(y.type.shape[a].const == 1 for a in axes if a >= 0)


def total_of_exp(match: Match) -> bool:
    """y is the same for all that are compared, and a sum of exponentials, so not negative."""
    node = match.bound["y"].node
    while node.op.name in SPREAD:
        node = node.inputs[0].node
    return node.op.name == "sum" and node.inputs[0].node.op is exp and same_in_row(match)


POSITIONS: tuple[Rule, ...] = tagged("stable positions", (
    *(Rule(f"{name}(exp(x) / sum)", lambda x, y, p, name=name: some(name, p, true_div(exp(x), y)), lambda x, p, name=name: some(name, p, x),
           total_of_exp, why=WHY) for name in ("argmax", "argmin")),
    *(Rule(f"{name}(x - y)", lambda x, y, p, name=name: some(name, p, sub(x, y)), lambda x, p, name=name: some(name, p, x), same_in_row,
           why=WHY) for name in ("argmax", "argmin")),
    *(Rule(f"{name}({f.name}(x))", lambda x, p, f=f, name=name: some(name, p, f(x)), lambda x, p, name=name: some(name, p, x), why=WHY)
      for name in ("argmax", "argmin") for f in (exp, sigmoid)),
))
"""All rules about positions, in the order in which they are tried."""
