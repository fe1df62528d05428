"""How a tensor is spelled: what lies behind casts, reshapes and broadcasts, products as lists of factors, and products without some.

A view of an elementwise node is that node on views of its operands, and a cast among floats is looked through: what a rule makes is
computed in the widest float that it met.  A product is a tree of `mul`, `true_div`, `sqr` and `neg` over its factors.  Rules take factors
out of it and may put one in the place of those; what stays keeps its place, so nothing is regrouped that the rule did not ask for.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from exprgraph.dtypes import is_float
from exprgraph.matching import CARRIERS, DEEPEST
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out, constant_value, make_constant
from exprgraph.numbering import Numbers, widens
from exprgraph.ops.shape import dim_node
from exprgraph.ops.table import ROWS

ARITHMETIC = ("add", "sub", "mul", "true_div", "sqr", "neg", "cast")
MOST = 8
"""Factors of a product; what lies deeper is one factor."""


class Opened(NamedTuple):
    """An elementwise node behind views and casts of floats, its operands seen through the same views; covered: all these nodes."""
    node: Node
    inputs: tuple[Out, ...]
    covered: tuple[Node, ...]


class Factor(NamedTuple):
    """A factor of a product; power: 1, or -1 for a divisor."""
    out: Out
    power: int


class Product(NamedTuple):
    """A product as a tree over the numbers of its factors: ("mul" or "true_div", left, right), or a number; and its sign.

    ones: factors that are the number 1, which have the number -1 in the tree.
    """
    tree: Any
    factors: tuple[Factor, ...]
    sign: int
    covered: tuple[Node, ...]
    ones: tuple[Out, ...] = ()


class Rest(NamedTuple):
    """What is left of a part of a product without some factors, None for nothing; owed: what was put in belongs above a fraction bar."""
    out: Out | None
    owed: bool = False


class Spelling:
    """The spellings that were looked at in one sweep: equal views are made once."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self._opened: dict[tuple[Node, bool], Opened | None] = {}
        self._views: dict[tuple[Node, int], Out] = {}
        self._products: dict[Node, Product] = {}

    def opened(self, out: Out, loose: bool = True) -> Opened | None:
        """The elementwise node that a float tensor shows; loose: what reads the tensor broadcasts anyway.  None where it shows none."""
        key = out.node, loose
        if key not in self._opened:
            one = len(out.node.outs) == 1
            self._opened[key] = None if not one else self._open(out.node, loose) if is_float(out.dtype) else _as_written(out)
        return self._opened[key]

    def _open(self, node: Node, loose: bool) -> Opened | None:
        chain = list(_chain(node))
        inner = chain[-1].inputs[0].node if chain else node
        if inner.op.kind != "elementwise" or inner.op is ROWS["cast"] or len(inner.outs) != 1:
            return None
        views = [n for n in chain if n.op is not ROWS["cast"]]
        while loose and views and views[0].op is ROWS["broadcast_to"]:
            views = views[1:]
        inputs = inner.inputs
        for view in reversed(views):
            inputs = tuple(self._seen(view, i) for i in inputs)
        return Opened(inner, inputs, (*chain, inner))

    def _seen(self, view: Node, out: Out) -> Out:
        """An operand of what a view shows, seen through that view."""
        key = view, self.numbers.of(out)
        if key not in self._views:
            self._views[key] = _through(view, out)
        return self._views[key]

    def signed(self, out: Out) -> tuple[int, Out, tuple[Node, ...]]:
        """The sign that the signs before a tensor make, the tensor without them, and what is looked through."""
        sign, found, covered = 1, self.opened(out), tuple[Node, ...]()
        while found is not None and found.node.op is ROWS["neg"]:
            sign, out, covered = -sign, found.inputs[0], (*covered, *found.covered)
            found = self.opened(out)
        return sign, out, covered

    def product(self, out: Out) -> Product:
        """A tensor as a product of up to eight factors: of one where it is none."""
        if out.node not in self._products or len(out.node.outs) != 1:
            self._products[out.node] = self._product(out)
        return self._products[out.node]

    def _product(self, out: Out) -> Product:
        factors, ones, covered, sign = list[Factor](), list[Out](), list[Node](), 1
        room = MOST

        def expand(part: Out, power: int) -> Any:
            nonlocal sign, room
            turned, part, signs = self.signed(part)
            sign *= turned
            covered.extend(signs)
            found = self.opened(part) if room > 1 else None
            name = None if found is None else found.node.op.name
            if _is_one(part):
                ones.append(part)
                return -1
            if found is None or name not in ("mul", "true_div", "sqr"):
                factors.append(Factor(part, power))
                return len(factors) - 1
            room -= 1
            covered.extend(found.covered)
            sides = found.inputs * 2 if name == "sqr" else found.inputs
            below = name == "true_div"
            return ("true_div" if below else "mul", expand(sides[0], power), expand(sides[1], -power if below else power))
        tree = expand(out, 1)
        return Product(tree, tuple(factors), sign, tuple(covered), tuple(ones))

    def negative(self, out: Out) -> Out:
        """The tensor with its sign turned."""
        sign, bare, _ = self.signed(out)
        if sign < 0:
            return bare
        found = self.opened(bare)
        if found is not None and found.node.op is ROWS["sub"] and found.node is bare.node:
            made: Out = found.inputs[1] - found.inputs[0]
            return made
        turned: Out = -bare
        return turned


def _as_written(out: Out) -> Opened | None:
    """Conditions and integers are not looked through, and their sums and products are not taken apart."""
    node = out.node
    return Opened(node, node.inputs, (node,)) if node.op.kind == "elementwise" and node.op.name not in ARITHMETIC else None


def _chain(node: Node) -> Iterator[Node]:
    """The views and casts of floats above what they show, the outermost first, and no more of them than DEEPEST.

    A cast to a narrower float and back stays: it is there for what it rounds.
    """
    for _ in range(DEEPEST):
        is_cast = node.op is ROWS["cast"] and is_float(node.inputs[0].dtype)
        if not is_cast and not (node.op.kind == "view" and node.op.name in CARRIERS) or (is_cast and _rounds(node)):
            return
        yield node
        node = node.inputs[0].node


def _rounds(node: Node) -> bool:
    """Whether a cast takes back a cast that has lost digits."""
    inner = node.inputs[0].node
    return widens(node) and inner.op is node.op and is_float(inner.inputs[0].dtype) and not widens(inner)


def bare(out: Out) -> tuple[Out, tuple[Node, ...]]:
    """What a tensor shows behind views and casts of floats, and these, the outermost first."""
    chain = tuple(_chain(out.node)) if is_float(out.dtype) else ()
    return (chain[-1].inputs[0] if chain else out), chain


def uncast(out: Out) -> tuple[Out, tuple[Node, ...]]:
    """A tensor without casts among floats around it, and these casts."""
    casts = list[Node]()
    while out.node.op is ROWS["cast"] and is_float(out.dtype) and is_float(out.node.inputs[0].dtype) and not _rounds(out.node):
        casts.append(out.node)
        out = out.node.inputs[0]
    return out, tuple(casts)


def _is_one(out: Out) -> bool:
    value = constant_value(out)
    return value is not None and value.size == 1 and bool(value.reshape(-1)[0] == 1)


def again(views: Collection[Node], out: Out) -> Out:
    """A tensor behind the views that another was behind."""
    for node in reversed(tuple(views)):
        out = node.op.apply((out, *node.inputs[1:]), node.params, node.sources)
    return out


def _through(view: Node, out: Out) -> Out:
    value = constant_value(out)
    if value is not None and value.size == 1:
        return make_constant(value.reshape(()), out.dtype)
    shown = view.inputs[0].type.shape
    if view.op is ROWS["dimshuffle"]:
        lead = len(shown) - out.ndim
        if lead:
            out = ROWS["dimshuffle"].apply((out,), (("pattern", (*[-1] * lead, *range(out.ndim))),), view.sources)
        return view.op.apply((out,), view.params, view.sources)
    if out.type.shape != shown:
        out = ROWS["broadcast_to"](out, *[dim_node(d) for d in shown])
    return view.op.apply((out, *view.inputs[1:]), view.params, view.sources)


def rest(product: Product, taken: Collection[int], put: Out | None = None) -> Out | None:
    """The product without some factors; put: what stands for them.  None where nothing is left.

    A quotient that stands for factors on both sides of the bar takes their places: what is above its own bar that of the first above, what
    is below that of the first below, so that nothing is divided earlier than it was.  Anything else takes the place of the first.
    """
    places = _places(product, taken, put)
    first = min(places, default=None)

    def left(tree: Any, below: bool) -> Rest:
        if isinstance(tree, int):
            if tree == first and below and len(places) == 1:
                return Rest(None, True)
            return Rest(places[tree] if tree in places else None if tree < 0 or tree in taken else product.factors[tree].out)
        name, a, b = tree
        if name == "mul":
            one, other = left(a, below), left(b, below)
            if one.owed or other.owed:
                kept = one.out if other.owed else other.out
                return Rest(None, True) if kept is None else Rest(_over(kept, put) if put is not None else kept)
            return Rest(_times(one.out, other.out))
        one, other = left(a, below), left(b, not below)
        above = _times(one.out, put) if other.owed else one.out
        return Rest(above if other.out is None else _over(above, other.out), one.owed)
    found = left(product.tree, False).out
    if product.sign > 0:
        return found
    return -found if found is not None else None


def joined(product: Product, taken: Collection[int]) -> int:
    """How many products and quotients `rest` makes that the graph has not computed so, but with factors among them that are taken."""
    count = 0

    def left(tree: Any) -> tuple[bool, bool]:
        nonlocal count
        if isinstance(tree, int):
            return tree >= 0 and tree not in taken, tree in taken
        (above, one), (right, other) = left(tree[1]), left(tree[2])
        count += (one or other) and right and (above or tree[0] == "true_div")
        return above or right, one or other
    left(product.tree)
    return count


def _places(product: Product, taken: Collection[int], put: Out | None) -> dict[int, Out]:
    """What is put at which factors."""
    if put is None:
        return {}
    above, below = ([i for i in sorted(taken) if product.factors[i].power == power] for power in (1, -1))
    if above and below and put.node.op is ROWS["true_div"]:
        return {above[0]: put.node.inputs[0], below[0]: put.node.inputs[1]}
    return {min(taken): put}


def _times(a: Out | None, b: Out | None) -> Out | None:
    if a is None or b is None:
        return a if b is None else b
    made: Out = a * b
    return made


def _over(a: Out | None, b: Out) -> Out:
    made: Out = 1 / b if a is None else a / b
    return made
