"""REDUCTIONS: movement rules about folds: over axes of length 1, of a fold of the same kind, of what was turned, broadcast or stacked.

Maxima, minima and truths are the same in every order, and so are sums of integers; sums of floats are in the list of `sums.py`.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from exprgraph.dims import bounds, constant
from exprgraph.matching import Matcher
from exprgraph.node import Out, Params, make_constant
from exprgraph.ops.bits import and_, or_
from exprgraph.ops.compare import maximum, minimum
from exprgraph.ops.shape import dim_node
from exprgraph.patterns import Match, Rule, some, tagged
from exprgraph.rules.conditions import whole_operand
from exprgraph.rules.indexing import DEEP, certain, filled, inner_alone
from exprgraph.rules.movement import pattern, sum_nothing

STACKED = 16
"""The parts of a stack that are folded one by one."""
JOINING = {"max": maximum, "min": minimum, "any": or_, "all": and_}


def fold(name: str, x: Out, axes: tuple[int, ...], keepdims: bool) -> Out:
    """The reduction over axes in their order; over none x, as the rules for that make it."""
    if axes:
        return some(name, (("axis", tuple(sorted(axes))), ("keepdims", keepdims)), x)
    return sum_nothing(x) if name == "sum" else x


def turned(x: Out, axes: tuple[int, ...]) -> Out:
    """x with its axes in this order, -1 a new one; x itself where that is how they are."""
    return x if axes == tuple(range(x.ndim)) else some("dimshuffle", pattern(*axes), x)


def reduced(name: str, x: Out, axes: tuple[int, ...], shown: tuple[int, ...]) -> Out:
    """The reduction over axes, then with the axes of x in the order `shown`; a reduced one, or -1, is one of length 1."""
    if shown == tuple(range(x.ndim)):
        return fold(name, x, axes, True)
    left = [a for a in range(x.ndim) if a not in axes]
    return turned(fold(name, x, axes, False), tuple(left.index(a) if a in left else -1 for a in shown))


def plain(p: Params) -> bool:
    """Whether a fold is one of the kind that users write: of nothing it is an error."""
    return "shift" not in dict(p)


def fold_ones(name: str, x: Out, p: Params) -> Out | None:
    """The reduction without axes of length 1."""
    axes, keeps = dict(p)["axis"], dict(p)["keepdims"]
    ones = tuple(a for a in axes if x.type.shape[a].const == 1)
    if not ones or not plain(p):
        return None
    shown = tuple(a for a in range(x.ndim) if keeps or a not in axes)
    return reduced(name, x, tuple(a for a in axes if a not in ones), shown)


def first_of_one(p: Params, x: Out, root: Out) -> Out | None:
    """The position of the best of one element: 0."""
    return filled(0, root) if all(x.type.shape[a].const == 1 for a in dict(p)["axis"]) else None


def fold_twice(name: str, x: Out, p: Params, q: Params) -> Out | None:
    """One reduction over the axes of two, q after p."""
    if not (plain(p) and plain(q)):
        return None
    inner, keeps = dict(p)["axis"], dict(p)["keepdims"]
    left = [a for a in range(x.ndim) if keeps or a not in inner]
    outer = tuple(left[a] for a in dict(q)["axis"])
    if not outer or not inner:
        return None
    axes = tuple({*inner, *outer})
    shown = tuple(a for a in left if dict(q)["keepdims"] or a not in outer)
    return reduced(name, x, axes, shown)


def fold_turned(name: str, x: Out, p: Params, q: Params) -> Out | None:
    """The reduction of x and then its axes in another order, p, in place of the reduction of that."""
    turn, keeps, axes = dict(p)["pattern"], dict(q)["keepdims"], dict(q)["axis"]
    if {a for a in turn if a >= 0} != set(range(x.ndim)) or not plain(q):
        return None
    shown = tuple(a for k, a in enumerate(turn) if keeps or k not in axes)
    return reduced(name, x, tuple(turn[a] for a in axes if turn[a] >= 0), shown)


def fold_broadcast(name: str, x: Out, q: Params, root: Out) -> Out | None:
    """The reduction of x in place of one over axes along which it was only repeated, at least once."""
    inner, axes = root.node.inputs[0], dict(q)["axis"]
    shape, lead = inner.type.shape, inner.ndim - x.ndim
    many = [a for a in axes if shape[a].const != 1 and bounds(shape[a])[0] >= 1]
    repeated = [a for a in many if a < lead or x.type.shape[a - lead].const == 1]
    if not repeated or not plain(q):
        return None
    sizes = [constant(1) if a in repeated else d for a, d in enumerate(shape)]
    return some(name, q, some("broadcast_to", (), x, *map(dim_node, sizes)))


def number(k: Out) -> Out:
    """The one number of a constant, exactly."""
    return make_constant(Matcher().value(k), k.dtype)


def fold_stacked(name: str, join: Callable[..., Out], p: Params, q: Params, rest: tuple[Out, ...], root: Out) -> Out | None:
    """What few tensors of length 1 along an axis give together in place of the reduction of their concatenation."""
    axis, axes = dict(p)["axis"], dict(q)["axis"]
    if len(rest) > STACKED or axis not in axes or any(x.type.shape[axis].const != 1 for x in rest) or not plain(q):
        return None
    if not certain(root.node.inputs[0]):
        return None
    if dict(q)["keepdims"]:
        return some(name, q, reduce(join, rest))
    flat = [turned(x, tuple(a for a in range(x.ndim) if a != axis)) for x in rest]
    return fold(name, reduce(join, flat), tuple(a - (a > axis) for a in axes if a != axis), False)


def stands_by_itself(match: Match) -> bool:
    """The inner fold has no other readers, and what it folds is made of no fold.

    Rows that are folded again and again share a kernel, which a fold over everything would leave.
    """
    todo, steps = [match.bound["x"].node], 0
    while todo and steps < DEEP:
        steps += 1
        node = todo.pop()
        if node.op.kind == "reduce":
            return False
        todo += [i.node for i in node.inputs] if node.op.kind in ("elementwise", "view") else []
    return inner_alone(match)


def fold_rules(name: str, kinds: str, why: str = "") -> list[Rule]:
    """The rules that are the same for all folds."""
    def rule(text: str, shape: Callable[..., Any], make: Callable[..., Any], when: Callable[[Match], bool] | None = None) -> Rule:
        return Rule(f"{name} {text}", shape, make, when, kinds=kinds, why=why)
    return [
        rule("over one element", lambda x, p: some(name, p, x), lambda x, p: fold_ones(name, x, p)),
        rule(f"of {name}", lambda x, p, q: some(name, q, some(name, p, x)), lambda x, p, q: fold_twice(name, x, p, q), stands_by_itself),
        rule("of dimshuffle", lambda x, p, q: some(name, q, some("dimshuffle", p, x)), lambda x, p, q: fold_turned(name, x, p, q)),
    ]


def best_rules(name: str) -> list[Rule]:
    """The rules of folds that take the best of their elements."""
    join = partial(_joined, JOINING[name].apply)
    kinds = "b" if name in ("any", "all") else "fiub"
    return fold_rules(name, kinds) + [
        Rule(f"{name} of broadcast_to", lambda x, p, q, rest: some(name, q, some("broadcast_to", p, x, rest)),
             lambda x, q, root: fold_broadcast(name, x, q, root), kinds=kinds),
        Rule(f"{name} of stack", lambda p, q, rest: some(name, q, some("concat", p, rest)),
             lambda p, q, rest, root: fold_stacked(name, join, p, q, rest, root), kinds=kinds, why="nothing has to be joined"),
    ]


def _joined(apply: Callable[..., Out], x: Out, y: Out) -> Out:
    return apply((x, y))


POSITIONS = tuple(Rule(f"{name} over one element", lambda x, p, name=name: some(name, p, x), lambda x, p, root: first_of_one(p, x, root),
                       kinds="fiub") for name in ("argmax", "argmin"))
WHOLE = (
    Rule("sum(-x) whole", lambda x, p: some("sum", p, -x), lambda x, p: -some("sum", p, x), kinds="iu", why="wrong for -0.0"),
    Rule("sum(x * k) whole", lambda x, k, p: some("sum", p, x * k), lambda x, k, p: some("sum", p, x) * number(k), whole_operand,
         kinds="iu", why="one product for many"),
)
REDUCTIONS: tuple[Rule, ...] = tagged("movement reductions", (
    *(r for name in ("max", "min", "any", "all") for r in best_rules(name)), *POSITIONS, *WHOLE))
"""All rules about folds that keep every bit, in the order in which they are tried."""
