"""In which order einsum multiplies its operands, two at a time.

The cost of a step is the number of its multiplications, the product of the lengths of all labels of both operands, plus the number
of elements that it reads and writes.  Lengths that are known when the graph is built count as they are.  Sizes that are not known
yet count as ESTIMATE each, so a length that is computed from them (a slice, a concatenation) follows from that: all orders are right
for all sizes, and the estimate only decides which one is taken.

Up to OPTIMAL operands the cheapest of all orders is found: the labels that a group of operands has left when it is multiplied do not
depend on the order inside the group, so the best order of each group is found once (3**n steps for n operands).  Beyond that the
next pair is the one whose result adds the least to the memory in use, pairs without a common label last.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

from exprgraph.dims import Dim, atoms
from exprgraph.functions.einsum_labels import Labels
from exprgraph.named import NamedTuple
from exprgraph.size_program import program

ESTIMATE = 128
OPTIMAL = 8
Pair = tuple[int, int]
Path = list[tuple[int, ...]]


class Step(NamedTuple):
    """One multiplication: the labels of both sides, the labels that are left, and the cost."""
    left: frozenset[str]
    right: frozenset[str]
    kept: frozenset[str]
    cost: float


def estimate(dim: Dim) -> int:
    """The length that a Dim counts as."""
    found = atoms([dim])
    return max(program([dim], found)([ESTIMATE] * len(found))[0], 1)


class Lengths:
    """The estimated length of each label."""

    def __init__(self, by_label: dict[str, int]) -> None:
        self.by_label = by_label

    def elements(self, labels: frozenset[str]) -> float:
        """The number of elements of a tensor with these labels."""
        return math.prod(float(self.by_label[label]) for label in labels)

    def step(self, left: frozenset[str], right: frozenset[str], needed: frozenset[str]) -> Step:
        """The multiplication of two operands, of whose labels only those that are needed later are kept."""
        kept = (left | right) & needed
        moved = self.elements(left) + self.elements(right) + self.elements(kept)
        return Step(left, right, kept, self.elements(left | right) + moved)


def _needed(terms: Sequence[frozenset[str]], result: frozenset[str], used: Sequence[int]) -> frozenset[str]:
    """The labels of the result and of all terms but those that are used."""
    return result.union(*(t for k, t in enumerate(terms) if k not in used))


def in_turn(terms: Sequence[frozenset[str]], result: frozenset[str], lengths: Lengths) -> list[Pair]:
    """The first two, then what they gave with the third, and so on."""
    return [(0, 1)] + [(0, len(terms) - k) for k in range(2, len(terms))] if len(terms) > 1 else []


def greedy(terms: Sequence[frozenset[str]], result: frozenset[str], lengths: Lengths) -> list[Pair]:
    """The pair whose result adds the least to the memory in use, again and again."""
    left, path = list(terms), list[Pair]()

    def growth(pair: Pair) -> tuple[bool, float, float]:
        a, b = (left[k] for k in pair)
        step = lengths.step(a, b, _needed(left, result, pair))
        return not a & b, lengths.elements(step.kept) - lengths.elements(a) - lengths.elements(b), step.cost
    while len(left) > 1:
        i, j = min(combinations(range(len(left)), 2), key=growth)
        kept = (left[i] | left[j]) & _needed(left, result, (i, j))
        left = [t for k, t in enumerate(left) if k not in (i, j)] + [kept]
        path.append((i, j))
    return path


def optimal(terms: Sequence[frozenset[str]], result: frozenset[str], lengths: Lengths) -> list[Pair]:
    """The cheapest order of all; a group of operands is a number whose binary digits say which ones belong to it."""
    count, everything = len(terms), (1 << len(terms)) - 1
    labels: dict[int, frozenset[str]] = {1 << k: t for k, t in enumerate(terms)}
    best: dict[int, tuple[float, int]] = {1 << k: (0.0, 0) for k in range(count)}
    for group in range(1, everything + 1):
        if group in best:
            continue
        needed = _needed(terms, result, [k for k in range(count) if group >> k & 1])
        choices = []
        part = (group - 1) & group
        while part > group ^ part:
            step = lengths.step(labels[part], labels[group ^ part], needed)
            choices.append((best[part][0] + best[group ^ part][0] + step.cost, part))
            labels[group] = step.kept
            part = (part - 1) & group
        best[group] = min(choices)
    return _as_path({group: part for group, (_, part) in best.items() if part}, count)


def _as_path(parts: dict[int, int], count: int) -> list[Pair]:
    """The tree of groups as places in a list from which two are taken and to whose end the product is put."""
    order, todo = list[int](), [(1 << count) - 1]
    while todo:
        group = todo.pop()
        if group in parts:
            order.append(group)
            todo += [parts[group], group ^ parts[group]]
    here, path = [1 << k for k in range(count)], list[Pair]()
    for group in reversed(order):
        i, j = sorted(here.index(g) for g in (parts[group], group ^ parts[group]))
        here = [g for g in here if g not in (here[i], here[j])] + [group]
        path.append((i, j))
    return path


SEARCHES: dict[object, Callable[[Sequence[frozenset[str]], frozenset[str], Lengths], list[Pair]]] = {
    False: in_turn, "greedy": greedy, "optimal": optimal}


def find(terms: Sequence[Labels], result: Labels, lengths: Lengths, optimize: object) -> list[Pair]:
    """Pairs of places: both operands are taken out of the list, and their product is put at its end."""
    search = SEARCHES.get(optimize) or (optimal if len(terms) <= OPTIMAL else greedy)
    return search([frozenset(t) for t in terms], frozenset(result), lengths)


def steps(terms: Sequence[Labels], result: Labels, lengths: Lengths, path: Sequence[tuple[int, ...]]) -> list[Step]:
    """What each step of a path does."""
    left, found = [frozenset(t) for t in terms], list[Step]()
    for i, j in path:
        found.append(lengths.step(left[i], left[j], _needed(left, frozenset(result), (i, j))))
        left = [t for k, t in enumerate(left) if k not in (i, j)] + [found[-1].kept]
    return found
