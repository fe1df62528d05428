"""The pass: each region of a graph in the cheapest form that the equalities of its level find within their budget."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from exprgraph import graph as graphs
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, Graph, Node, Out
from exprgraph.patterns import Rule
from exprgraph.rules.equalities import COMMON, EQUALITIES, RING, SHIFTS, SYMPY
from exprgraph.search import shifts, sums
from exprgraph.search.choice import Choice, Prices, axes_of, best, cost, needed
from exprgraph.search.egraph import Clock, EGraph
from exprgraph.search.matching import Side, applied, indexed, matches
from exprgraph.search.region_graph import Read, built, read
from exprgraph.search.regions import Region, levels, regions

GROWTH, ROOM = 4, 160
"""An e-graph may have so many times the terms of its region, and so many more."""
ROUNDS, SWEEPS = 3, 4
"""How often sums are looked at, and how often all equalities in between."""
STEPS, EACH = 200_000, 12_000
"""What all regions of a graph may spend together, and each of them: matches that are tried and terms that are priced."""
GAIN = 1e-6
"""A form that is not cheaper by so much leaves a region as it is."""


class Rules(NamedTuple):
    """The equalities of a search.  sides: those that are patterns, by row.  tempting: the rows whose mere presence is a reason."""
    all: tuple[Rule, ...]
    sides: dict[str, list[Side]]

    def has(self, rule: Rule) -> Rule | None:
        """A rule, where it is one of these."""
        return rule if rule in self.all else None


@lru_cache(32)
def rules_of(kept: tuple[str, ...]) -> Rules:
    """The equalities of these names."""
    names = frozenset(kept)
    chosen = tuple(r for r in EQUALITIES if r.name in names)
    return Rules(chosen, indexed(chosen))


def search(graph: Graph, kept: tuple[str, ...], trace: Any = None) -> Graph:
    """The graph with its regions in their cheapest forms under the equalities of these names; the graph itself where none is cheaper.

    trace: is told of what was used, by `searched(rules, before, after, nodes, nanoseconds)`.
    """
    rules = rules_of(kept)
    nodes = graphs.order(graph.outputs)
    level, inside = levels(nodes)
    found = regions(nodes, level, inside, graph.outputs)
    clock, improved = Clock(STEPS), dict[Region, tuple[Read, Choice, int]]()
    for region in (r for number in sorted(found) for r in found[number]):
        since = time.perf_counter_ns()
        better = improvement(region, rules, clock) if clock.left > 0 and tempting(region, rules) else None
        if better is not None:
            improved[region] = (*better, time.perf_counter_ns() - since)
    return _rebuilt(graph, nodes, level, inside, found, improved, trace) if improved else graph


def improvement(region: Region, rules: Rules, clock: Clock) -> tuple[Read, Choice] | None:
    """A region as an e-graph and the choice of a form that costs less than what was written; None where none is found."""
    given = min(EACH, clock.left)
    own = Clock(given)
    found = read(region, ROOM + GROWTH * len(region.nodes))
    graph, roots = found.graph, [found.numbers[n, 0] for n in region.roots]
    before = cost(found.choice, roots, Prices(graph, found.axes))
    choice: Choice | None = None
    written = graph.count
    if rules.has(SYMPY):
        from exprgraph.search.opinion import proposed  # rarely needed, and sympy with it
        proposed(found, region, SYMPY)
    seen = set[Any]()
    for left in reversed(range(ROUNDS)):
        _saturate(graph, rules, own, seen)
        if graph.count == written and not graph.joined and not _summed(region, rules):
            break
        choice = best(graph, roots, Prices(graph, found.axes), own)
        if choice is None or not left or not sums.proposed(graph, choice, roots, (rules.has(COMMON), rules.has(RING)), own):
            break
    clock.spend(given - own.left)
    if choice is None or cost(choice, roots, Prices(graph, found.axes)) > before - GAIN:
        return None
    return found, choice


def _saturate(graph: EGraph, rules: Rules, clock: Clock, seen: set[Any]) -> None:
    """Apply the equalities until nothing is new, or the budget is spent."""
    shift = rules.has(SHIFTS)
    for _ in range(SWEEPS):
        changed = shift is not None and shifts.proposed(graph, shift)
        for found in list(matches(graph, rules.sides, clock)):
            key = (found.side.rule.name, found.root, *found.bound.values())
            if key not in seen:
                seen.add(key)
                changed |= applied(graph, found)
        graph.restore()
        if not changed or clock.left <= 0:
            return


def tempting(region: Region, rules: Rules) -> bool:
    """Whether a region has what some equality begins with: most regions of most graphs have not."""
    if rules.has(SYMPY) or _summed(region, rules) or (rules.has(SHIFTS) and any(shifts.shiftable(n) for n in region.nodes)):
        return True
    counts = Counter(n.op.name for n in region.nodes)
    return any(_asks(node, side, counts) for node in region.nodes for side in rules.sides.get(node.op.name, ()))


def _summed(region: Region, rules: Rules) -> bool:
    """Whether sums of products may have something in common: two rows that make such, or a power."""
    for rule in filter(None, map(rules.has, (COMMON, RING))):
        names = [n.op.name for n in region.nodes if n.outs[0].dtype[0] in rule.kinds and n.op.name in sums.FLOAT]
        if "pow" in names or len(names) > 1:
            return True
    return False


def _asks(node: Node, side: Side, counts: Counter[str]) -> bool:
    """Whether the operands of a node are what a left side asks for; where it asks for nothing, whether there is a second such row."""
    rule, tree = side.rule, side.tree
    if node.inputs[-1].dtype[0] not in rule.kinds:
        return False
    if rule.name == "x / y shared" and axes_of(node.inputs[1].type) < axes_of(node.outs[0]):
        return True
    if rule.tags[2] == "sharing" or rule.name.endswith("shared"):
        return counts[tree.op.name] + (counts[side.made.op.name] if side.made.op is not tree.op else 0) > 1
    if "beside" in rule.name and not counts["int_div"]:
        return False
    there = [i.node.op.name for i in node.inputs]
    return all((p.op.name if hasattr(p, "op") else CONSTANT.name) in there
               for p in tree.parts if hasattr(p, "op") or hasattr(p, "value") or p.name in ("k", "k2"))


def _rebuilt(graph: Graph, nodes: Sequence[Node], level: Mapping[Node, int], inside: frozenset[Node], found: Mapping[int, list[Region]],
             improved: Mapping[Region, tuple[Read, Choice, int]], trace: Any) -> Graph:
    """The graph with these regions in their new forms, level by level, so that what a region reads is there."""
    new: dict[Node, Out] = {}
    by_level: dict[int, list[Node]] = {}
    for node in nodes:
        if node not in inside:
            by_level.setdefault(level[node], []).append(node)

    def leaf(out: Out) -> Out:
        return graphs.follow(out, new) if out.node in new else out

    def renewed(node: Node) -> None:
        inputs = graphs.followed(node.inputs, new)
        if inputs is not node.inputs:
            new[node] = graphs.reuse(node, inputs)
    for number in range(max(level.values()) + 1):
        for node in by_level.get(number, ()):
            renewed(node)
        for region in found.get(number, ()):
            if region in improved:
                _taken(region, *improved[region], new, leaf, trace)
            else:
                for node in region.nodes:
                    renewed(node)
    return Graph(graph.inputs, tuple(leaf(o) for o in graph.outputs))


def _taken(region: Region, found: Read, choice: Choice, nanoseconds: int, new: dict[Node, Out], leaf: Any, trace: Any) -> None:
    made = built(found, choice, region.roots, leaf)
    new.update(made)
    if trace is not None:
        used = used_rules(found, choice, region.roots)
        for root in region.roots:
            if made[root].node is not root:
                trace.searched(used, Out(root), made[root], region.nodes, nanoseconds)
                nanoseconds = 0


def used_rules(found: Read, choice: Choice, roots: Sequence[Node]) -> tuple[Rule, ...]:
    """The equalities that a form rests on: those that made its terms, and those that joined what the region had apart."""
    graph = found.graph
    there = needed(choice, [found.numbers[r, 0] for r in roots], graph)
    made = [graph.terms[n][choice[n]] for n in there]
    joined = [rule for rule, number in graph.joined if graph.find(number) in there and number in found.numbers.values()]
    return tuple(dict.fromkeys(r for r in (*made, *joined) if r is not None))
