"""Numbers of tensors: equal where two are equal but for their spelling, so that a rule which meets x twice knows it again.

The number of -x is minus that of x.  Two tensors have one number where they differ by the order of the operands of a commutative row, by
x - y for x + -y, by casts to a wider float, by reshapes of reshapes and dimshuffles of dimshuffles.  Sums are not regrouped: (a + b) - a
is no b.
"""
from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from exprgraph.dims import Dim
from exprgraph.dtypes import has_gradient
from exprgraph.node import CONSTANT, Node, Out
from exprgraph.ops.table import ROWS

ONE_OF_A_KIND = ("impure", "unmergeable")
SIGNED = ("dimshuffle", "reshape", "broadcast_to")
"""Views whose number changes its sign with that of what they show."""
WIDTH = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
RANGE = {"float16": 5, "bfloat16": 8, "float32": 8, "float64": 11}


def widens(node: Node) -> bool:
    """Whether a node is a cast of floats that loses nothing."""
    if node.op is not ROWS["cast"]:
        return False
    small, large = node.inputs[0].dtype, node.outs[0].dtype
    return small in WIDTH and large in WIDTH and WIDTH[small] <= WIDTH[large] and RANGE[small] <= RANGE[large]


class Numbers:
    """The numbers of the tensors of a graph, found when they are asked for."""

    def __init__(self) -> None:
        self._known: dict[tuple[Node, int], int] = {}
        self._keys: dict[Hashable, int] = {}
        self._row_major: dict[int, tuple[int, tuple[Dim, ...]]] = {}
        self._turned: dict[int, tuple[int, tuple[int, ...], int]] = {}

    def of(self, out: Out) -> int:
        """The number of a tensor; never 0."""
        todo = [out]
        while todo:
            top = todo[-1]
            place = top.node, top.index
            if place in self._known:
                todo.pop()
                continue
            waiting = [i for i in _read(top.node) if (i.node, i.index) not in self._known]
            if waiting:
                todo += waiting
                continue
            self._known[place] = self._number(top)
            todo.pop()
        return self._known[out.node, out.index]

    def related(self, a: Out, b: Out) -> int:
        """1 where two tensors have one number, -1 where one is the other with its sign turned, else 0."""
        if a.node is b.node and a.index == b.index:
            return 1
        if _head(a) is not _head(b):
            return 0
        one, other = self.of(a), self.of(b)
        return 1 if one == other else -1 if one == -other else 0

    def same(self, a: Out, b: Out) -> bool:
        """Whether two tensors have one number."""
        return self.related(a, b) == 1

    def _number(self, out: Out) -> int:
        node = out.node
        given = [self._known[i.node, i.index] for i in _read(node)]
        name, shape = node.op.name, (out.dtype, node.outs[out.index].shape)
        if widens(node):
            return given[0]
        if not has_gradient(out.dtype) or node.op.kind == "leaf" or name not in SIGNED + ("neg", "add", "sub", "mul", "true_div"):
            return self._key(_plain(out, given))
        if name == "neg":
            return -given[0]
        if name in ("add", "sub"):
            a, b = sorted((given[0], given[1] if name == "add" else -given[1]), key=abs)
            return self._key(("add", shape, a, b)) if a > 0 else -self._key(("add", shape, -a, -b))
        if name in SIGNED:
            return self._view(node, out, given[0])
        sides = [abs(n) for n in given]
        key = (name, shape, *(sorted(sides) if name == "mul" else sides))
        return self._key(key) * (1 if (given[0] > 0) == (given[1] > 0) else -1)

    def _view(self, node: Node, out: Out, shown: int) -> int:
        """The number of a view; views of views are one view."""
        sign, shown = (1, shown) if shown > 0 else (-1, -shown)
        shape, inner = out.type.shape, node.inputs[0].type.shape
        pattern = node.param("pattern") if node.op.name == "dimshuffle" else ()
        kept = [a for a in pattern if a >= 0]
        if node.op.name == "reshape" or (node.op.name == "dimshuffle" and kept == sorted(kept)):
            base, inner = self._row_major.get(shown, (shown, inner))
            return sign * (base if shape == inner else self._made(self._row_major, ("reshape", shape, base), (base, inner)))
        if node.op.name == "broadcast_to":
            return sign * (shown if shape == inner else self._key(("broadcast_to", shape, shown)))
        base, first, rank = self._turned.get(shown, (shown, tuple(range(len(inner))), len(inner)))
        pattern = tuple(-1 if a < 0 else first[a] for a in pattern)
        if pattern == tuple(range(rank)):
            return sign * base
        return sign * self._made(self._turned, ("dimshuffle", pattern, base), (base, pattern, rank))

    def _made(self, known: dict[int, Any], key: Hashable, value: Any) -> int:
        number = self._key(key)
        known.setdefault(number, value)
        return number

    def _key(self, key: Hashable) -> int:
        return self._keys.setdefault(key, len(self._keys) + 1)


def _head(out: Out) -> Any:
    """What tensors of one number have in common, found without looking further: the row behind signs and views, or the very leaf."""
    node = out.node
    while node.op.name in SIGNED or node.op.name == "neg" or widens(node):
        node = node.inputs[0].node
    return node if node.op.kind == "leaf" and node.op is not CONSTANT else ROWS["add"] if node.op.name == "sub" else node.op


def _read(node: Node) -> Iterator[Out]:
    """The inputs that a number depends on: what nobody may merge is known by itself."""
    return iter(()) if node.op.kind == "leaf" or not node.op.flags.isdisjoint(ONE_OF_A_KIND) else iter(node.inputs)


def _plain(out: Out, given: list[int]) -> Hashable:
    node = out.node
    if node.op is CONSTANT:
        return CONSTANT.name, node.params, node.outs[0].dtype
    if node.op.kind == "leaf" or not node.op.flags.isdisjoint(ONE_OF_A_KIND):
        return node, out.index
    return node.op, node.params, out.index, out.dtype, tuple(sorted(given) if "commutative" in node.op.flags else given)
