"""LIFTS: movement rules that let one movement pass another where that makes it cancel, or leaves less to compute."""
from __future__ import annotations

from collections.abc import Callable

from exprgraph.dims import bounds
from exprgraph.node import Out, Params, make_constant
from exprgraph.ops.compare import eq, ge, gt, le, lt, neq
from exprgraph.ops.shape import dim_node
from exprgraph.patterns import Match, Rule, some, tagged
from exprgraph.rules.indexing import certain
from exprgraph.rules.reductions import turned
from exprgraph.types import dim_of


def shuffle_broadcast(x: Out, q: Params, root: Out) -> Out | None:
    """What was broadcast and turned, turned and then broadcast, so that elementwise nodes see that it is small."""
    lead, turn = root.node.inputs[0].ndim - x.ndim, dict(q)["pattern"]
    own = tuple(a - lead if a >= lead else -1 for a in turn)
    if not certain(root) or any(d.const != 1 for a, d in enumerate(x.type.shape) if a not in own):
        return None
    return some("broadcast_to", (), turned(x, own), *map(dim_node, root.type.shape))


def unturned(x: Out, turn: tuple[int, ...]) -> Out | None:
    """A turned operand without both turns where the second undoes the first, or a scalar; else None."""
    if not x.ndim:
        return x
    first = dict(x.node.params)["pattern"] if x.node.op.name == "dimshuffle" else ()
    inner = x.node.inputs[0] if first else x
    return inner if first and tuple(-1 if a < 0 else first[a] for a in turn) == tuple(range(inner.ndim)) else None


def shuffle_computed(x: Out, p: Params) -> Out | None:
    """An elementwise node of operands in place of a turned one of turned operands."""
    turn = dict(p)["pattern"]
    if x.node.op.kind != "elementwise" or any(i.ndim not in (0, x.ndim) for i in x.node.inputs) or any(
            d.const != 1 for a, d in enumerate(x.type.shape) if a not in turn):
        return None
    operands = [found for i in x.node.inputs if (found := unturned(i, turn)) is not None]
    if len(operands) < len(x.node.inputs) or all(not o.ndim for o in operands):
        return None
    return x.node.op.apply(tuple(operands), x.node.params, x.node.sources)


def reshape_turned(x: Out, p: Params, rest: tuple[Out, ...]) -> Out | None:
    """A reshape of x itself where only axes of length 1 were moved, inserted or dropped."""
    turn, shape = dict(p)["pattern"], x.type.shape
    long = [a for a in range(x.ndim) if shape[a].const != 1]
    return some("reshape", (), x, *rest) if [a for a in turn if a >= 0 and shape[a].const != 1] == long else None


def alone(match: Match) -> bool:
    """Nothing else reads the elementwise node x."""
    return match.readers is None or match.readers.alone(match.bound["x"])


DECIDED: dict[str, Callable[[float, float], bool | None]] = {
    "lt": lambda low, high: True if high < 0 else False if low >= 0 else None,
    "le": lambda low, high: True if high <= 0 else False if low > 0 else None,
    "gt": lambda low, high: True if low > 0 else False if high <= 0 else None,
    "ge": lambda low, high: True if low >= 0 else False if high < 0 else None,
    "eq": lambda low, high: True if low == high == 0 else False if low > 0 or high < 0 else None,
    "neq": lambda low, high: False if low == high == 0 else True if low > 0 or high < 0 else None,
}
"""What a comparison with 0 gives between bounds; None where it may be either."""


def compare_sizes(name: str, x: Out, y: Out) -> Out | None:
    """The truth of a comparison of two sizes that is the same in all calls."""
    if x.ndim or y.ndim:
        return None
    left, right = dim_of(x), dim_of(y)
    found = None if left is None or right is None else DECIDED[name](*bounds(left - right))
    return None if found is None else make_constant(found)


VIEWS = tagged("movement views", (
    Rule("dimshuffle of broadcast_to", lambda x, p, q, rest: some("dimshuffle", q, some("broadcast_to", p, x, rest)),
         lambda x, q, root: shuffle_broadcast(x, q, root), kinds="fiub", why="elementwise nodes compute what is not broadcast"),
    Rule("dimshuffle of elementwise", lambda x, p: some("dimshuffle", p, x), lambda x, p: shuffle_computed(x, p), alone, kinds="fiub",
         why="only where it cancels"),
    Rule("reshape of dimshuffle", lambda x, p, q, rest: some("reshape", q, some("dimshuffle", p, x), rest),
         lambda x, p, rest: reshape_turned(x, p, rest), kinds="fiub"),
))
COMPARED = tagged("movement sizes", tuple(
    Rule(f"{f.name} of sizes", lambda x, y, f=f: f(x, y), lambda x, y, name=f.name: compare_sizes(name, x, y), kinds="i")
    for f in (lt, le, gt, ge, eq, neq)))
LIFTS: tuple[Rule, ...] = (*VIEWS, *COMPARED)
"""All rules that lift movements, and those about what is known of sizes, in the order in which they are tried."""
