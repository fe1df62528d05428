"""Extraction: which term of each class is computed, so that all of a region costs least with what is shared counted once."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exprgraph.node import CONSTANT, TensorType
from exprgraph.search.egraph import Clock, EGraph, Term
from exprgraph.weights import INDEX_DIVISION, weight

Choice = dict[int, Term]
REPEATED = 16
"""About how long an axis is along which a smaller operand is repeated."""
PASSES, TRIES = 12, 12
"""How often all classes are looked at again, and how many classes are tried as shared."""


class Prices:
    """What the terms of an e-graph cost: an operation on what all rows share costs a part of one on all elements."""

    def __init__(self, graph: EGraph, axes: int) -> None:
        self.graph, self.axes = graph, axes
        self._known: dict[tuple[Term, int], float] = {}

    def of(self, term: Term, number: int) -> float:
        """The cost of a term of a class, its risk included."""
        found = self._known.get((term, number))
        if found is None:
            kind = self.graph.types[number]
            plain = 0.0 if not term[2] else operation(term, self.graph.types[term[2][-1]].dtype) + self.graph.risks.get(term, 0.0)
            found = self._known[term, number] = plain * REPEATED ** (axes_of(kind) - self.axes if once_for_rows(kind) else 0)
        return found


def operation(term: Term, dtype: str) -> float:
    """The weight of a term's row; no vector unit divides integers, and products of them take longer than sums."""
    if dtype[0] in "iu" and term[0].name in ("int_div", "mod"):
        return INDEX_DIVISION
    return weight(term[0], dtype) * (2 if dtype[0] in "iu" and term[0].name in ("mul", "sqr") else 1)


def axes_of(kind: TensorType) -> int:
    """The axes that are not known to be of length 1."""
    return sum(d.const != 1 for d in kind.shape)


def once_for_rows(kind: TensorType) -> bool:
    """Whether a value is the same along the innermost axis, so that loops compute it before they begin; others are computed again for
    each element, or kept in memory by a kernel of their own."""
    return not kind.shape or kind.shape[-1].const == 1


def cost(choice: Choice, roots: Iterable[int], prices: Prices, free: frozenset[int] = frozenset()) -> float:
    """What all that the roots need costs, each class once."""
    return sum(prices.of(choice[n], n) for n in needed(choice, roots, prices.graph) if n not in free)


def needed(choice: Choice, roots: Iterable[int], graph: EGraph) -> list[int]:
    """The classes that the roots need, operands first."""
    found: dict[int, None] = {}
    begun, todo = set[int](), [graph.find(r) for r in roots][::-1]
    while todo:
        top = todo[-1]
        if top in begun:
            todo.pop()
            found.setdefault(top)
            continue
        begun.add(top)
        todo += [p for p in (graph.find(q) for q in choice[top][2]) if p not in begun][::-1]
    return list(found)


def best(graph: EGraph, roots: Sequence[int], prices: Prices, clock: Clock) -> Choice | None:
    """A cheap choice: greedy with shared classes counted once, then, while the clock runs, with a class taken for granted that several
    terms would share.  None where there is none without a circle."""
    choice = _greedy(graph, prices, clock, frozenset())
    if choice is None or not all(graph.find(r) in choice for r in roots):
        return None
    least = cost(choice, roots, prices)
    for shared in _shareable(graph, choice, roots, prices)[:TRIES]:
        if clock.left <= 0:
            break
        granted = _greedy(graph, prices, clock, frozenset((shared,)))
        found = least if granted is None else cost(granted, roots, prices)
        if granted is not None and found < least:
            choice, least = granted, found
    return choice


def _shareable(graph: EGraph, choice: Choice, roots: Sequence[int], prices: Prices) -> list[int]:
    """Classes that terms of several classes would read, some of them not chosen now; those that cost most first."""
    readers: dict[int, set[int]] = {graph.find(r): {-1} for r in roots}
    otherwise, there = set[int](), set(needed(choice, roots, graph))
    todo, met = [graph.find(r) for r in roots], set[int]()
    while todo:
        number = todo.pop()
        if number not in met:
            met.add(number)
            for term in graph.terms[number]:
                below = [graph.find(p) for p in term[2]]
                for part in below:
                    readers.setdefault(part, set()).add(number)
                todo += below
                otherwise.update(below if number not in there or choice[number] != term else ())
    worth = [(-prices.of(choice[n], n), n) for n in otherwise if len(readers[n]) > 1 and n in choice and choice[n][2]]
    return [n for _, n in sorted(worth)]


def _greedy(graph: EGraph, prices: Prices, clock: Clock, free: frozenset[int]) -> Choice | None:
    """The cheapest term of each class as far as is known, where a term costs what it needs, each class once."""
    classes, choice = graph.classes(), Choice()
    needs: dict[int, dict[int, float]] = {}
    totals: dict[int, float] = {}
    waiting = set(classes)  # what has not been looked at since something that it reads has changed
    for _ in range(PASSES):
        for number in classes:
            clock.spend(len(graph.terms[number]))
            if number not in waiting:
                continue
            waiting.discard(number)
            for term in graph.terms[number]:
                found = _need(graph, term, number, needs, prices, free)
                total = 0.0 if found is None else sum(found.values())
                if found is not None and (number not in totals or total < totals[number] - 1e-9):
                    needs[number], totals[number], choice[number] = found, total, term
                    waiting |= graph.readers(number)
        if not waiting:
            break
    return choice if _acyclic(graph, choice) else None


def _need(graph: EGraph, term: Term, number: int, needs: Mapping[int, dict[int, float]], prices: Prices,
          free: frozenset[int]) -> dict[int, float] | None:
    """What a term needs, with the cost of each class; None where that is not known yet, or is the class itself."""
    found: dict[int, float] = {}
    for part in term[2]:
        own = needs.get(graph.find(part))
        if own is None or number in own:
            return None
        found.update(own)
    if term[0] is CONSTANT or not term[2]:
        return found | {number: 0.0}
    found[number] = 0.0 if number in free else prices.of(term, number)
    return found


def _acyclic(graph: EGraph, choice: Choice) -> bool:
    """Whether no class needs itself, which choices that were still changing may."""
    state: dict[int, bool] = {}
    for start in choice:
        todo = [start]
        while todo:
            top = todo[-1]
            if top not in state:
                state[top] = False
                below = [graph.find(p) for p in choice[top][2]]
                if any(state.get(b) is False for b in below):
                    return False
                todo += [b for b in below if b not in state]
            else:
                state[todo.pop()] = True
    return True
