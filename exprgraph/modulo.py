"""Matching modulo spelling: a pattern is found however a graph writes it.

Sums are matched in both orders and with any signs (x - y is x + -y), products in any order and grouping with quotients, squares and signs
among them, rows behind casts of floats, reshapes, dimshuffles and broadcasts.  See `pattern_trees` for what a pattern becomes.

Sums are not regrouped, since that may cost all digits: log(1 - p + 1e-8) is no log1p.  A product may be, as long as what a rule does not
name keeps its place.  A wild factor that occurs once takes what no other part of a product takes; at the root of a pattern without one,
what is left stays around what the rule makes.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from exprgraph.dims import Dim
from exprgraph.dtypes import is_float, promote
from exprgraph.matching import CARRIERS, Matcher, equal, fit
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out, make_constant
from exprgraph.ops.shape import dim_node
from exprgraph.ops.table import ROWS
from exprgraph.pattern_trees import FACTORS, SUM, TERMS, Factors, Minus, Total, below, term_words
from exprgraph.patterns import AROUND, Fixed, Form, Match, Wild, sort
from exprgraph.readers import Readers
from exprgraph.spelling import Opened, Product, Spelling, again, bare, joined, rest, uncast
from exprgraph.types import cast_to

SEEN_THROUGH = (*FACTORS, "neg", "cast", "sum_to", *CARRIERS)


class State(NamedTuple):
    """What is matched so far: what the arguments are bound to, the nodes that are covered, and to which shapes arguments are broadcast."""
    bound: Mapping[str, Any]
    nodes: tuple[Node, ...]
    wide: Mapping[str, tuple[Dim, ...]] = {}

    def bind(self, name: str, value: Any, shape: tuple[Dim, ...] | None = None) -> State:
        """The state with one more argument bound."""
        return State({**self.bound, name: value}, self.nodes, self.wide if shape is None else {**self.wide, name: shape})

    def cover(self, *nodes: Node) -> State:
        """The state with more nodes covered."""
        return State(self.bound, (*self.nodes, *nodes), self.wide)


class Taken(NamedTuple):
    """What is matched of a product: the state, the numbers of the factors that are taken, and the sign that goes with them."""
    state: State
    factors: frozenset[int]
    sign: int


Shape = tuple[Dim, ...] | None
"""The shape that what an argument is bound to must have; None where its reader broadcasts it."""


class ModuloMatcher(Matcher):
    """Finds patterns however a graph spells them, beside those that are found as they are written."""

    def __init__(self, readers: Readers | None = None) -> None:
        super().__init__(readers)
        self.spelling = Spelling()
        self._words: dict[Node, frozenset[str]] = {}
        self._turned: dict[frozenset[str], frozenset[str]] = {}

    def words(self, node: Node) -> frozenset[str]:
        """What patterns may ask of the inputs of a node: rows behind views, casts and signs, of sums and products those of their parts."""
        if node.op.name == "true_div":
            above, under = (self._seen(i.node) for i in node.inputs)
            if under not in self._turned:
                self._turned[under] = frozenset(below(under))
            return above | self._turned[under]
        return frozenset().union(*(self._seen(i.node) for i in node.inputs))

    def _seen(self, node: Node) -> frozenset[str]:
        """The words of a node that another reads; iterative, since views may be many."""
        todo = [node]
        while todo:
            top = todo[-1]
            inner = top.op.name in SEEN_THROUGH or top.op.name in TERMS
            waiting = [i.node for i in top.inputs if i.node not in self._words] if inner and top not in self._words else []
            todo += waiting
            if not waiting:
                todo.pop()
                if top not in self._words:
                    self._words[top] = self._own(top)
        return self._words[node]

    def _own(self, node: Node) -> frozenset[str]:
        name = node.op.name
        if name in SEEN_THROUGH:
            return self.words(node)
        return frozenset({SUM, *term_words(self.words(node))}) if name in TERMS else frozenset((name,))

    def found(self, tree: Any, out: Out) -> Iterator[Match]:
        """The ways in which a pattern that `spelled` has made matches at a tensor."""
        start = State({}, ())
        sign, bare_tree = (-1, tree.part) if isinstance(tree, Minus) else (1, tree)
        if isinstance(bare_tree, Factors):
            yield from self._product_root(bare_tree, out, sign)
            yield from self._summed_root(bare_tree, out, sign)
        else:
            for state in self._part(tree, out, 1, start, None):
                yield self._match(out, state, _as_it_is)
            for state in self._part(tree, out, -1, start, None) if isinstance(tree, Total) else ():
                yield self._match(out, state, lambda made: -made)

    def _product_root(self, tree: Factors, out: Out, sign: int) -> Iterator[Match]:
        """A product at the root: what the pattern leaves of the factors stays around what the rule makes."""
        product = self.spelling.product(out)
        for taken in self._product(tree.parts, product, State({}, product.covered)):
            absorber = _absorber(tree, taken.state)
            turned = sign * taken.sign
            if absorber is not None:
                state = self._absorb(absorber, product, taken, turned, None)
                if state is not None:
                    yield self._match(out, state, _as_it_is)._replace(joined=joined(product, taken.factors))
            else:
                found = self._match(out, taken.state, partial(_put, product, taken.factors, turned))
                yield found._replace(alone=len(taken.factors) == len(product.factors))

    def _summed_root(self, tree: Factors, out: Out, sign: int) -> Iterator[Match]:
        """A product with sum_to(y) among its factors z: as the sum_to(y * z) that it is, since z is the same along what is summed."""
        product = self.spelling.product(out)
        for i, (factor, power) in enumerate(product.factors):
            if power == 1 and factor.node.op is ROWS["sum_to"] and factor.type.shape == out.type.shape and len(product.factors) > 1:
                others = rest(product, {i})
                assert others is not None
                whole = factor.node.inputs[0] * others
                for match in self._product_root(tree, whole, sign):
                    around = partial(_summed, match.around or _as_it_is, whole, factor.node, out.dtype)
                    yield match._replace(root=out, nodes=(*match.nodes, factor.node), around=around)

    def _match(self, out: Out, state: State, around: Callable[[Out], Out]) -> Match:
        """The match, with its tensors in the widest float that is among them."""
        given = {n: _broadcast(v, state.wide[n]) if n in state.wide else v for n, v in state.bound.items()}
        wide = promote((out.dtype, *(v.dtype for v in given.values() if isinstance(v, Out) and is_float(v.dtype))))
        bound = {n: cast_to(v, wide) if sort(n) == "tensor" and is_float(v.dtype) and is_float(wide) else v for n, v in given.items()}
        return Match(out, bound, state.nodes, lambda made: cast_to(around(made), out.dtype), self.readers)

    def _part(self, part: Any, out: Out, sign: int, state: State, shape: Shape) -> Iterator[State]:
        """The ways in which a part of a pattern matches a tensor times a sign."""
        if isinstance(part, Wild):
            yield from self._wild(part.name, out, sign, state, shape)
        elif isinstance(part, Fixed):
            if equal(part.value if sign > 0 else -part.value, self.value(out)):
                yield state
        elif isinstance(part, Minus):
            yield from self._part(part.part, out, -sign, state, shape)
        elif isinstance(part, Factors):
            yield from self._factors(part, out, sign, state, shape)
        else:
            turned, out, signs = self.spelling.signed(out)
            state = state.cover(*signs)
            if isinstance(part, Total):
                yield from self._total(part, out, sign * turned, state, shape)
            elif sign * turned > 0:
                yield from (self._around if part.op is AROUND else self._row)(part, out, state, shape)

    def _wild(self, name: str, out: Out, sign: int, state: State, shape: Shape) -> Iterator[State]:
        numbers, known, wanted = self.spelling.numbers, state.bound.get(name), sort(name)
        if not is_float(out.dtype) or (known is None and out.type.shape == shape):
            shape = None
        if shape is not None and known is not None and state.wide.get(name) != shape:
            out = _broadcast(out, shape)
        if known is not None:
            if numbers.related(known, out) == sign:
                yield state if sign > 0 else state.cover(out.node)
        elif wanted == "condition":
            if out.dtype == "bool" and sign > 0:
                yield state.bind(name, out)
        elif wanted != "constant" or self.value(out) is not None:
            yield state.bind(name, out if sign > 0 else self.spelling.negative(out), None if wanted == "constant" else shape)

    def _around(self, part: Form, out: Out, state: State, shape: Shape) -> Iterator[State]:
        name, (inner, chain) = str(part.params), bare(out)
        views = tuple(n for n in chain if n.op is not ROWS["cast"])
        known = state.bound.get(name)
        if known is not None and not self._alike(known.chain, views):
            return
        yield from self._part(part.parts[0], inner, 1, state.bind(name, Views(views)).cover(*chain), None)

    def _alike(self, one: Sequence[Node], other: Sequence[Node]) -> bool:
        numbers = self.spelling.numbers
        return len(one) == len(other) and all(
            a.op is b.op and a.params == b.params and all(map(numbers.same, a.inputs[1:], b.inputs[1:])) for a, b in zip(one, other))

    def _row(self, part: Form, out: Out, state: State, shape: Shape) -> Iterator[State]:
        elementwise = part.op.kind == "elementwise" and part.op is not ROWS["cast"]
        if elementwise:
            opened = self.spelling.opened(out, shape is None)
        else:
            inner, casts = uncast(out) if part.op is not ROWS["cast"] else (out, ())
            opened = Opened(inner.node, inner.node.inputs, (*casts, inner.node))
        if opened is None or opened.node.op is not part.op:
            return
        node = opened.node
        fitted = fit(part, node.params, opened.inputs, state.bound)
        if fitted is None:
            return
        bound, parts, inputs = fitted
        state, below = state._replace(bound=bound).cover(*opened.covered), _beneath(node, elementwise, shape)
        yield from self._operands(parts, inputs, state, below)
        if "commutative" in node.op.flags:
            yield from self._operands(parts, inputs[::-1], state, below)

    def _operands(self, parts: Sequence[Any], inputs: Sequence[Out], state: State, shape: Shape) -> Iterator[State]:
        if not parts:
            yield state
            return
        for found in self._part(parts[0], inputs[0], 1, state, shape):
            yield from self._operands(parts[1:], inputs[1:], found, shape)

    def _total(self, part: Total, out: Out, sign: int, state: State, shape: Shape) -> Iterator[State]:
        opened = self.spelling.opened(out, shape is None)
        if opened is None or opened.node.op.name not in TERMS:
            return
        terms = (sign, opened.inputs[0]), (sign if opened.node.op.name == "add" else -sign, opened.inputs[1])
        (s, first), (t, second) = part.terms
        for (u, one), (v, other) in (terms, terms[::-1]):
            for found in self._part(first, one, s * u, state.cover(*opened.covered), shape):
                yield from self._part(second, other, t * v, found, shape)

    def _factors(self, part: Factors, out: Out, sign: int, state: State, shape: Shape) -> Iterator[State]:
        product = self.spelling.product(out)
        for taken in self._product(part.parts, product, state.cover(*product.covered), shape):
            absorber, turned = _absorber(part, taken.state), sign * taken.sign
            if absorber is not None:
                found = self._absorb(absorber, product, taken, turned, shape)
                if found is not None:
                    yield found
            elif len(taken.factors) == len(product.factors) and turned * product.sign > 0:
                yield taken.state

    def _product(self, parts: Sequence[tuple[int, Any]], product: Product, state: State, shape: Shape = None) -> Iterator[Taken]:
        """The ways in which all parts but the absorber match different factors: rows first, then constants, then arguments."""
        often = [p.name for _, p in parts if isinstance(p, Wild)]
        ordered = sorted(parts, key=lambda f: (isinstance(f[1], Fixed), isinstance(f[1], Wild), isinstance(f[1], Wild)
                                               and (-often.count(f[1].name), f[0])))

        def step(n: int, taken: Taken) -> Iterator[Taken]:
            if n == len(ordered):
                yield taken
                return
            power, part = ordered[n]
            if isinstance(part, Wild) and part.name in taken.state.bound:
                again = self._bound(part.name, power, product, taken)
                if again is not None:
                    yield from step(n + 1, again)
            elif isinstance(part, Wild) and n == len(ordered) - 1 and power == 1:
                yield taken
            else:
                for i, factor in enumerate(product.factors):
                    for sign in (1, -1) if isinstance(part, Total) else (1,):
                        if factor.power == power and i not in taken.factors:
                            for found in self._part(part, factor.out, sign, taken.state, shape):
                                yield from step(n + 1, Taken(found, taken.factors | {i}, taken.sign * sign))
        yield from step(0, Taken(state, frozenset(), 1))

    def _bound(self, name: str, power: int, product: Product, taken: Taken) -> Taken | None:
        """What is taken with the factors of a tensor that is known already."""
        numbers, known = self.spelling.numbers, self.spelling.product(taken.state.bound[name])
        factors, sign = set(taken.factors), taken.sign * known.sign
        for wanted in known.factors:
            for i, factor in enumerate(product.factors):
                turned = numbers.related(factor.out, wanted.out) if i not in factors and factor.power == power * wanted.power else 0
                if turned:
                    factors.add(i)
                    sign *= turned
                    break
            else:
                return None
        return Taken(taken.state, frozenset(factors), sign)

    def _absorb(self, name: str, product: Product, taken: Taken, sign: int, shape: Shape) -> State | None:
        """The state with what is left of a product bound to an argument; None where nothing is left, not even a 1."""
        left = rest(product, taken.factors)
        if left is None:
            if not product.ones:
                return None
            left = make_constant(product.sign, product.ones[0].dtype)
        if sort(name) == "constant":
            return taken.state.bind(name, left if sign > 0 else -left) if self.value(left) is not None else None
        if shape is not None:
            left = _broadcast(left, shape)
        return taken.state.bind(name, left if sign > 0 else self.spelling.negative(left))


class Views(NamedTuple):
    """Views of a tensor, the outermost first: called, they are put around another."""
    chain: tuple[Node, ...]

    def __call__(self, out: Out) -> Out:
        return again(self.chain, out)


def _absorber(tree: Factors, state: State) -> str | None:
    """The argument that takes what is left: the one that nothing is bound to."""
    free = [p.name for _, p in tree.parts if isinstance(p, Wild) and p.name not in state.bound]
    return free[0] if free else None


def _broadcast(out: Out, shape: tuple[Dim, ...]) -> Out:
    """The tensor in a shape that it broadcasts to."""
    if out.type.shape == shape:
        return out
    found: Out = ROWS["broadcast_to"](out, *[dim_node(d) for d in shape])
    return found


def _as_it_is(made: Out) -> Out:
    return made


def _put(product: Product, taken: frozenset[int], sign: int, made: Out) -> Out:
    found = rest(product, taken, made)
    assert found is not None
    return found if sign > 0 else -found


def _summed(around: Callable[[Out], Out], whole: Out, sum_to: Node, dtype: str, made: Out) -> Out:
    """What a rule made of the product under a sum_to, summed."""
    inner = _broadcast(around(made), whole.type.shape)
    return cast_to(sum_to.op.apply((inner, *sum_to.inputs[1:]), sum_to.params, sum_to.sources), dtype)


def _beneath(node: Node, elementwise: bool, shape: Shape) -> Shape:
    """The shape for the operands of a node: of an elementwise one under a reduction that of the node itself."""
    return shape if elementwise else node.inputs[0].type.shape if node.inputs else None
