"""Equalities on an e-graph: where the left side of one is found, and what its right side is there."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from exprgraph.errors import Source
from exprgraph.named import NamedTuple
from exprgraph.node import TensorType
from exprgraph.patterns import Fixed, Form, Match, Rule, Wild, trace
from exprgraph.rules.equalities import risk
from exprgraph.search.egraph import Clock, EGraph, Term, same_number

CONSTANTS = ("k", "k2")
"""The arguments of an equality that match constants alone."""


class Side(NamedTuple):
    """An equality that is ready to be looked for, both sides as trees."""
    rule: Rule
    tree: Form
    made: Any


class Found(NamedTuple):
    """A place where an equality applies: the class, what each argument is bound to, and the classes that the left side covers."""
    side: Side
    root: int
    bound: Mapping[str, int]
    covered: tuple[int, ...]


@cache
def prepared(rule: Rule) -> Side:
    """An equality as trees."""
    return Side(rule, trace(rule), trace(rule._replace(pattern=rule.replacement)))


def indexed(rules: Sequence[Rule]) -> dict[str, list[Side]]:
    """Equalities by the row at the root of their left sides."""
    found: dict[str, list[Side]] = {}
    for rule in rules:
        if rule.pattern is not None:
            side = prepared(rule)
            found.setdefault(side.tree.op.name, []).append(side)
    return found


def matches(graph: EGraph, sides: Mapping[str, list[Side]], clock: Clock) -> Iterator[Found]:
    """All places where equalities apply, class by class, until the clock stands still."""
    for number in graph.classes():
        for term in list(graph.terms[number]):
            for side in sides.get(term[0].name, ()):
                if not clock.spend(1):
                    return
                if term[2] and graph.types[term[2][-1]].dtype[0] in side.rule.kinds:
                    yield from _term(graph, side, number, term)


def _term(graph: EGraph, side: Side, number: int, term: Term) -> Iterator[Found]:
    for bound, covered in _parts(graph, side.tree, term, {}, (number,)):
        yield Found(side, number, bound, covered)


def _form(graph: EGraph, tree: Form, number: int, bound: dict[str, int], covered: tuple[int, ...]) -> Iterator[Any]:
    for term in graph.terms[number]:
        if term[0] is tree.op and term[1] == tree.params:
            yield from _parts(graph, tree, term, bound, (*covered, number))


def _parts(graph: EGraph, tree: Form, term: Term, bound: dict[str, int], covered: tuple[int, ...]) -> Iterator[Any]:
    parts = term[2]
    yield from _all(graph, tree.parts, parts, bound, covered)
    if "commutative" in tree.op.flags and parts[0] != parts[1]:
        yield from _all(graph, tree.parts, parts[::-1], bound, covered)


def _all(graph: EGraph, trees: Sequence[Any], parts: Sequence[int], bound: dict[str, int], covered: tuple[int, ...]) -> Iterator[Any]:
    for n, (tree, part) in enumerate(zip(trees, parts)):
        number = graph.find(part)
        if isinstance(tree, Form):
            for first, over in _form(graph, tree, number, bound, covered):
                yield from _all(graph, trees[n + 1:], parts[n + 1:], first, over)
            return
        if isinstance(tree, Fixed):
            if not same_number(graph.values[number], _number(tree, graph.types[number])):
                return
        elif bound.get(tree.name, number) != number or (tree.name in CONSTANTS and graph.values[number] is None):
            return
        else:
            bound = {**bound, tree.name: number}
    yield bound, covered


def _number(tree: Fixed, kind: TensorType) -> Any:
    return tree.value.astype(kind.dtype) if kind.dtype != "bfloat16" else None


def applied(graph: EGraph, found: Found) -> bool:
    """Let what an equality says be so; whether that changed anything."""
    rule, bound = found.side.rule, {n: graph.find(c) for n, c in found.bound.items()}
    if rule.when is not None and not rule.when(Match(root=None, bound=_told(graph, bound), nodes=())):  # type: ignore[arg-type]
        return False
    lines = frozenset[Source]().union(*(graph.lines[graph.find(c)] for c in found.covered))
    before = graph.count
    made = _build(graph, found.side.made, bound, rule, lines, graph.types[next(iter(bound.values()))].dtype, risk(rule))
    return made is not None and graph.union(found.root, made, rule) or graph.count > before


def _told(graph: EGraph, bound: Mapping[str, int]) -> dict[str, Any]:
    """What a condition may look at: the numbers of constants, the types of others."""
    return {n: graph.types[c] if graph.values[c] is None else graph.values[c] for n, c in bound.items()}


def _build(graph: EGraph, tree: Any, bound: Mapping[str, int], rule: Rule, lines: frozenset[Source], dtype: str,
           charge: float = 0.0) -> int | None:
    if isinstance(tree, Wild):
        return graph.find(bound[tree.name])
    if isinstance(tree, Fixed):
        return graph.constant(tree.value, dtype)
    parts = []
    for part in tree.parts:
        made = _build(graph, part, bound, rule, lines, dtype)
        if made is None:
            return None
        parts.append(made)
    return graph.add(tree.op, parts, rule, lines, charge)
