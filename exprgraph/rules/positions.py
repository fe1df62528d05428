"""POSITIONS: stable rules that look for the greatest element before a function that keeps the order, which rounding or overflow may spoil.

The class that a softmax finds most likely is the greatest of its inputs: nothing has to be normalised, and no two inputs become equal.
A NaN in a row of inputs makes the whole row NaN, and of a row of NaN the first is found, as NumPy does; so that is looked for too.
"""
from __future__ import annotations

from exprgraph.node import Node, Out, Params
from exprgraph.ops.arithmetic import sub, true_div
from exprgraph.ops.compare import isnan, switch
from exprgraph.ops.transcendental import exp, sigmoid
from exprgraph.patterns import Match, Rule, some, tagged
from exprgraph.rules.conditions import whole_operand
from exprgraph.rules.indexing import DEEP

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


def found_in(name: str, x: Out, y: Out, p: Params) -> Out:
    """The position in x, 0 where y, which is one number for a row, is NaN: by way of x where y is folded from it."""
    inner = before(x)
    folded = any(n.op.kind == "reduce" and inner.node in below(n) for n in below(y.node))
    spoilt = isnan(some("max", (*p, ("shift", True)), inner) if folded else once(y, x.ndim, p))
    return switch(spoilt, 0, some(name, p, x))


def before(x: Out) -> Out:
    """x without what was subtracted from all of a row of it."""
    while x.node.op is sub and x.node.inputs[0].type.shape == x.type.shape:
        x = x.node.inputs[0]
    return x


def below(node: Node) -> set[Node]:
    """The node and what it reads, some steps far."""
    seen, todo = set[Node](), [node]
    while todo and len(seen) < DEEP:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += [i.node for i in node.inputs]
    return seen


def once(y: Out, ndim: int, p: Params) -> Out:
    """One element of y for each row, with the axes that a reduction with these parameters of a tensor of this rank leaves."""
    axes, kept = dict(p)["axis"], dict(p)["keepdims"]
    turn = tuple(a - ndim + y.ndim if a >= ndim - y.ndim else -1 for a in range(ndim) if kept or a not in axes)
    return some("dimshuffle", (("pattern", turn),), y)


POSITIONS: tuple[Rule, ...] = tagged("stable positions", (
    *(Rule(f"{name}(exp(x) / sum)", lambda x, y, p, name=name: some(name, p, true_div(exp(x), y)),
           lambda x, y, p, name=name: found_in(name, x, y, p), total_of_exp, why=WHY) for name in ("argmax", "argmin")),
    *(Rule(f"{name}(x - y)", lambda x, y, p, name=name: some(name, p, sub(x, y)),
           lambda x, y, p, name=name: found_in(name, x, y, p), same_in_row, why=WHY) for name in ("argmax", "argmin")),
    *(Rule(f"{name}({f.name}(x))", lambda x, p, f=f, name=name: some(name, p, f(x)), lambda x, p, name=name: some(name, p, x), why=WHY)
      for name in ("argmax", "argmin") for f in (exp, sigmoid)),
))
"""All rules about positions, in the order in which they are tried."""
