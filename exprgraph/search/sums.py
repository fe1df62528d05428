"""Sums of products: what is written with + - * / and whole powers, with its terms joined and its common factors taken out.

An equality for each law would find these forms too, but associativity alone doubles an e-graph with every term.  So a sum is read as a
table, product -> coefficient, and one factor after the other is taken out of as many terms as have it: Horner's form, where there is
one variable.  What comes of it is one more term of the class.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exprgraph.errors import Source
from exprgraph.named import NamedTuple
from exprgraph.ops.table import ROWS
from exprgraph.patterns import Rule
from exprgraph.rules.equalities import risk
from exprgraph.search.choice import Choice, axes_of, needed
from exprgraph.search.egraph import Clock, EGraph

Product = tuple[tuple[int, int], ...]
"""Factors, classes, and how often each is one."""
Sum = dict[Product, Any]
LONGEST, HIGHEST, DEEPEST = 48, 64, 60
"""The terms of a sum, the exponent and the depth beyond which a part is left as it is."""
FLOAT = ("add", "sub", "neg", "mul", "sqr", "true_div", "pow")
WHOLE = ("add", "sub", "neg", "mul", "sqr", "pow")


class Way(NamedTuple):
    """How far a sum is read.  spread: whether products of sums by other factors are multiplied out; apart: whether what several terms
    read stays one factor; merged: whether exponentials of a product become one."""
    spread: bool
    apart: bool
    merged: bool = False


WAYS = (Way(False, True), Way(True, True), Way(False, False), Way(True, False), Way(False, True, True))


def proposed(graph: EGraph, choice: Choice, roots: list[int], rules: tuple[Rule | None, Rule | None], clock: Clock) -> bool:
    """Add the forms of all sums that are chosen; whether there are new ones.  rules: for floats and for integers, None where not asked."""
    before, equal = graph.count, list[tuple[int, int, Rule]]()
    order = needed(choice, roots, graph)
    readers = _readers(graph, choice, order, roots)
    for number in order:
        dtype = graph.types[number].dtype
        rule = rules[0] if dtype[0] == "f" else rules[1] if dtype[0] in "iu" else None
        if rule is not None and _is_sum(graph, choice, number) and _worth(graph, choice, number, readers):
            for way in WAYS if dtype[0] == "f" else WAYS[:4]:
                made = _form(graph, _Reader(graph, choice, readers, way, dtype, clock), number, rule)
                equal += [] if made is None else [(number, made, rule)]
    joined = [graph.union(*e) for e in equal]  # not before: the choice is of the classes as they are
    graph.restore()
    return any(joined) or graph.count > before


def _readers(graph: EGraph, choice: Choice, order: list[int], roots: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {n: [] for n in order}
    for number in order:
        for part in {graph.find(p): None for p in choice[number][2]}:
            found[part].append(number)
    for root in {graph.find(r): None for r in roots}:
        found[root].append(-1)
    return found


def _is_sum(graph: EGraph, choice: Choice, number: int) -> bool:
    op, _, parts = choice[number]
    if graph.values[number] is not None or op.name not in (FLOAT if graph.types[number].dtype[0] == "f" else WHOLE):
        return False
    return op.name != "pow" or exponent_of(graph, parts[1]) is not None


def _worth(graph: EGraph, choice: Choice, number: int, readers: dict[int, list[int]]) -> bool:
    """Whether a sum is not a part of one larger sum alone, and not of leaves alone."""
    users = readers[number]
    if len(users) == 1 and users[0] >= 0 and _is_sum(graph, choice, users[0]) and _alike(graph, choice, number, users[0]):
        return False
    return choice[number][0].name == "pow" or any(_is_sum(graph, choice, graph.find(p)) for p in choice[number][2])


def _alike(graph: EGraph, choice: Choice, number: int, user: int) -> bool:
    """Whether both are sums or both are products, so that the larger one is read through the smaller."""
    additive = ("add", "sub", "neg")
    return (choice[number][0].name in additive) == (choice[user][0].name in additive) or choice[user][0].name in additive


def exponent_of(graph: EGraph, number: int) -> int | None:
    """The exponent that a class is, where it is a whole one."""
    value = graph.values[graph.find(number)]
    if value is None or value != np.trunc(value) or not 1 < abs(value) <= HIGHEST:
        return None
    return int(value)


class _Reader:
    """Reads classes as sums."""

    def __init__(self, graph: EGraph, choice: Choice, readers: dict[int, list[int]], way: Way, dtype: str, clock: Clock) -> None:
        self.clock = clock
        self.graph, self.choice, self.readers, self.way, self.dtype = graph, choice, readers, way, dtype
        self.lines, self.depth = frozenset[Source](), 0
        self.whole = dtype[0] in "iu"

    def sum(self, number: int, top: bool = False) -> Sum:
        """A class as a sum; one that cannot be read is a factor."""
        number = self.graph.find(number)
        value = self.graph.values[number]
        if value is not None and np.isfinite(value):
            return {(): int(value) if self.whole else float(value)} if value else {}
        if not _is_sum(self.graph, self.choice, number) or (not top and self.way.apart and len(self.readers.get(number, ())) > 1):
            return _factor(number)
        self.lines |= self.graph.lines[number]
        op, _, parts = self.choice[number]
        self.depth += 1
        found = READ[op.name](self, *parts) if self.depth < DEEPEST and self.clock.spend(1) else None
        self.depth -= 1
        return found if found is not None and len(found) <= LONGEST else _factor(number)

    def one(self, number: int) -> Sum:
        """A class as one product."""
        found = self.sum(number)
        return found if len(found) == 1 else _factor(self.graph.find(number))


def _factor(number: int) -> Sum:
    return {((number, 1),): 1}


def _plus(reader: _Reader, a: int, b: int, sign: int = 1) -> Sum:
    found = dict(reader.sum(a))
    for product, coefficient in reader.sum(b).items():
        total = found.get(product, 0) + sign * coefficient
        found[product] = total
    return {p: c for p, c in found.items() if c}


def _times(reader: _Reader, a: int, b: int, sign: int = 1) -> Sum | None:
    left, right = reader.sum(a), reader.sum(b) if sign > 0 else reader.one(b)
    if len(left) > 1 and len(right) > 1 or (not reader.way.spread and max(len(left), len(right)) > 1):
        left, right = reader.one(a), reader.one(b)
    found: Sum = {}
    for p, c in left.items():
        for q, d in right.items():
            if sign < 0 and (not d or not np.isfinite(c / d)):
                return None
            product = _multiplied(p, q, sign)
            if product is None:
                return None
            found[product] = found.get(product, 0) + (c * d if sign > 0 else c / d)
    return {p: c for p, c in found.items() if c}


def _multiplied(p: Product, q: Product, sign: int) -> Product | None:
    powers = dict(p)
    for factor, exponent in q:
        powers[factor] = powers.get(factor, 0) + sign * exponent
    found = tuple(sorted((f, e) for f, e in powers.items() if e))
    return None if any(abs(e) > HIGHEST for _, e in found) else found


def _raised(reader: _Reader, a: int, exponent: int) -> Sum | None:
    (product, coefficient), = reader.one(a).items() or [((), 0)]
    if not coefficient:
        return None
    found = tuple((f, e * exponent) for f, e in product)
    if any(abs(e) > HIGHEST for _, e in found) or (reader.whole and exponent < 0):
        return None
    with np.errstate(all="ignore"):
        return {found: coefficient ** exponent if reader.whole else float(np.float64(coefficient) ** exponent)}


READ: dict[str, Callable[..., Sum | None]] = {
    "add": _plus, "sub": lambda r, a, b: _plus(r, a, b, -1), "neg": lambda r, a: {p: -c for p, c in r.sum(a).items()},
    "mul": _times, "true_div": lambda r, a, b: _times(r, a, b, -1), "sqr": lambda r, a: _raised(r, a, 2),
    "pow": lambda r, a, b: _raised(r, a, exponent_of(r.graph, b) or 1)}
"""What each row makes of sums."""


def _form(graph: EGraph, reader: _Reader, number: int, rule: Rule) -> int | None:
    found = reader.sum(number, top=True)
    return _Writer(graph, reader, rule).sum(list(found.items())) if found and found != _factor(number) else None


class _Writer:
    """Writes sums as terms of an e-graph; None where there is no room."""

    def __init__(self, graph: EGraph, reader: _Reader, rule: Rule) -> None:
        self.graph, self.reader, self.rule, self.dtype, self.lines = graph, reader, rule, reader.dtype, reader.lines
        self.risk = risk(rule)

    def row(self, name: str, *parts: int | None) -> int | None:
        """A row of parts that are there."""
        known = [p for p in parts if p is not None]
        return self.graph.add(ROWS[name], known, self.rule, self.lines, self.risk) if len(known) == len(parts) else None

    def number(self, value: Any) -> int | None:
        """A constant."""
        if self.reader.whole:
            info = np.iinfo(self.dtype)
            value = (int(value) - int(info.min)) % (int(info.max) - int(info.min) + 1) + int(info.min)
        with np.errstate(all="ignore"):
            array = np.asarray(value).astype(self.dtype)
        return self.graph.constant(array, self.dtype) if np.isfinite(array) else None

    def sum(self, terms: list[tuple[Product, Any]]) -> int | None:
        """A sum, with its common factors taken out."""
        factor = _common(self.graph, terms) if len(terms) > 1 else None
        if factor is None:
            return self._added([self._signed(p, c) for p, c in terms])
        inside, outside = _split(terms, factor)
        common = factor if isinstance(factor, tuple) else ()
        scale = 1 if isinstance(factor, tuple) else factor
        within = self.sum(inside)
        made = self._product((common,) if common else (), scale, within)
        if not outside:
            return made
        rest = [self._signed(p, c) for p, c in outside] if _common(self.graph, outside) is None else [(self.sum(outside), 1)]
        return self._added([*rest, (made, 1)])

    def _signed(self, product: Product, coefficient: Any) -> tuple[int | None, int]:
        sign = -1 if coefficient < 0 and not self.dtype.startswith("u") else 1
        return self._product(product, sign * coefficient, None), sign

    def _added(self, parts: list[tuple[int | None, int]]) -> int | None:
        if any(p is None for p, _ in parts):
            return None
        parts = sorted(parts, key=lambda ps: (axes_of(self.graph.types[ps[0] or 0]), -ps[1]))
        first = next((k for k, (_, s) in enumerate(parts) if s > 0), None)
        if first is None:
            return self.row("neg", self._added([(p, -s) for p, s in parts]))
        total = parts[first][0]
        for k, (part, sign) in enumerate(parts):
            if k != first:
                total = self.row("add" if sign > 0 else "sub", total, part)
        return total

    def _product(self, product: Product, coefficient: Any, within: int | None) -> int | None:
        """A product, of a sum too where there is one: what is divided by is divided by once."""
        if self.reader.way.merged:
            product = self._exponentials(product)
        above = [raised(self.row, f, e) for f, e in product if e > 0] + [within] * (within is not None)
        below = [raised(self.row, f, -e) for f, e in product if e < 0]
        if coefficient != 1 or not above:
            above.append(self.number(coefficient))
        numerator = self._folded(above)
        return self.row("true_div", numerator, self._folded(below)) if below else numerator

    def _folded(self, factors: list[int | None]) -> int | None:
        if any(f is None for f in factors):
            return None
        known = sorted((f for f in factors if f is not None), key=lambda f: (axes_of(self.graph.types[f]), self.graph.values[f] is None))
        total: int | None = known[0]
        for f in known[1:]:
            total = self.row("mul", total, f)
        return total

    def _exponentials(self, product: Product) -> Product:
        """The product with its exponentials as one."""
        found = [(f, e) for f, e in product if self.reader.choice.get(f, (None,))[0] is ROWS["exp"]]
        if sum(abs(e) for _, e in found) < 2:
            return product
        made = self.row("exp", self.sum([(((self.graph.find(self.reader.choice[f][2][0]), 1),), e) for f, e in found]))
        rest = tuple(fe for fe in product if fe not in found)
        return product if made is None else (*rest, (made, 1))


def raised(row: Callable[..., int | None], factor: int | None, exponent: int) -> int | None:
    """A power by squaring: no product on the way is beyond the range where the power is not.  row: makes a row of classes."""
    if exponent < 2 or factor is None:
        return factor if exponent == 1 else None
    half = raised(row, factor, exponent // 2)
    squared = None if half is None else row("sqr", half)
    return squared if exponent % 2 == 0 or squared is None else row("mul", factor, squared)


def _common(graph: EGraph, terms: list[tuple[Product, Any]]) -> Any:
    """What is taken out of several terms: a power of a factor, as a tuple, or a coefficient; None where nothing is in two."""
    counts: dict[tuple[int, bool], int] = {}
    for product, _ in terms:
        for factor, exponent in product:
            counts[factor, exponent > 0] = counts.get((factor, exponent > 0), 0) + 1
    ranked = [((n - 1) * (1 if up else 7), -f, (f, up)) for (f, up), n in counts.items() if n > 1]
    if ranked:
        factor, up = max(ranked)[2]
        least = min(abs(e) for p, _ in terms for f, e in p if f == factor and (e > 0) == up)
        return factor, least if up else -least
    scales = [abs(c) for _, c in terms if abs(c) != 1]
    twice = [s for s in scales if scales.count(s) > 1]
    return twice[0] if twice and not graph.full else None


def _split(terms: list[tuple[Product, Any]], factor: Any) -> tuple[list[tuple[Product, Any]], list[tuple[Product, Any]]]:
    """The terms that a common factor is taken out of, and the others."""
    inside, outside = list[tuple[Product, Any]](), list[tuple[Product, Any]]()
    for product, coefficient in terms:
        if not isinstance(factor, tuple):
            (inside if abs(coefficient) == factor else outside).append((product, coefficient))
            continue
        exponent = dict(product).get(factor[0], 0)
        taken = exponent * factor[1] > 0
        (inside if taken else outside).append((product, coefficient))
    return [(_less(p, factor), c if isinstance(factor, tuple) else 1 if c > 0 else -1) for p, c in inside], outside


def _less(product: Product, factor: Any) -> Product:
    if not isinstance(factor, tuple):
        return product
    return _multiplied(product, (factor,), -1) or ()
