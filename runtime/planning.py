"""Plans of a function by their keys: made or found, and grown where a call takes variants that were left for later."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codegen.growth import Wanted, complete, every, grown, missing
from codegen.plan import Branch, Plan
from codegen.target import Target
from exprgraph.dims import Atom, Dim
from exprgraph.node import Graph
from exprgraph.program import Program
from exprgraph.requires import check
from runtime.generator import Generator
from runtime.prepared import Numbers

Key = tuple[tuple[str, ...] | None, str, bool]
"""How sizes that may be 1 relate, the layouts of the arguments, whether indices are wide."""


class Relations:
    """How sizes have to relate, and how those relate that may be 1.  What is looked at for each new size comes from one program."""

    def __init__(self, generator: Generator, graph: Graph, atoms: Sequence[Atom]) -> None:
        self.pairs, self.decide, self.atoms = generator.uncertain(graph), generator.decide, atoms
        self.requirements = generator.requirements(graph)
        both = (*(c for c, _ in self.requirements), *self.pairs)
        self.numbers = Numbers([d for one in both for d in (one.left, one.right)], atoms)

    def __call__(self, vector: Sequence[int]) -> tuple[str, ...]:
        """How each of the pairs relates in a call; the error of what does not fit."""
        known = self.numbers(vector)

        def value(dim: Dim) -> int:
            return known[dim.text] if dim.text in known else Numbers([dim], self.atoms)(vector)[dim.text]  # for messages
        check(self.requirements, value)
        return tuple(self.decide(self.pairs, value))


def generated(generator: Generator, program: Program, target: Target, key: Key, traces: dict[Key, Any]) -> Plan:
    """The plan for a key; traces: where what happens to it is noted, if the program's options ask for that."""
    outcomes, layouts, wide = key
    options = program.options
    if options.get("trace") is not None:
        traces[key] = type(options["trace"])()
        options = {**options, "trace": traces[key]}
    return generator.generate(program.graph, program.leaves, outcomes, tuple(layouts), wide, target, options.get("name") or "", options)


def taken(found: Mapping[str, int]) -> Wanted:
    """The variants that a call with these numbers may run: one of each branch, and all where the fastest is found by trying."""
    def wanted(branch: Branch) -> tuple[int, ...]:
        if branch.free:
            return tuple(every(branch))
        number = found.get(branch.pick.text)
        return () if number is None else (number,)
    return wanted


def fuller(plan: Plan, wanted: Wanted, anew: Callable[[], Plan]) -> Plan | None:
    """The plan with the variants that are wanted, or None if it has them.

    One that comes from disk has nothing to make them with: then it is made anew, whole, so that this happens once for whoever shares the
    disk.
    """
    lacking = list(missing(plan.steps, wanted))
    if not lacking:
        return None
    return grown(plan, wanted) if all(later.kept for later in lacking) else complete(anew())
