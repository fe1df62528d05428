"""Plans of a function by their keys: made or found, and grown where a call takes variants that were left for later."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from codegen.growth import Wanted, complete, every, flatten, grown, missing
from codegen.plan import Branch, Later, Launch, Plan, Step
from codegen.target import Target
from exprgraph.dims import Atom, Dim
from exprgraph.node import Graph
from exprgraph.program import Program
from exprgraph.requires import check
from runtime.generator import Generator
from runtime.prepared import Numbers

MAKING = 0.02
"""Seconds that it takes, about, to make one launch of a form that was left for later, and to build its kernel."""
Key = tuple[tuple[str, ...] | None, str, bool]
"""How sizes that may be 1 relate, the layouts of the arguments, whether indices are wide."""


class Relations:
    """How sizes have to relate, and how those relate that may be 1.  What is looked at for each new size comes from one program."""

    def __init__(self, generator: Generator, graph: Graph, atoms: Sequence[Atom]) -> None:
        self.pairs, self.decide, self.atoms = generator.uncertain(graph), generator.decide, atoms
        self.requirements = generator.requirements(graph)
        both = (*(c for c, _ in self.requirements), *self.pairs)
        self.numbers = Numbers([d for one in both for d in (one.left, one.right)], atoms)

    def value(self, vector: Sequence[int], dim: Dim) -> int:
        """A number of a call that is rarely asked for."""
        return Numbers([dim], self.atoms)(vector)[dim.text]

    def __call__(self, vector: Sequence[int]) -> tuple[str, ...]:
        """How each of the pairs relates in a call; the error of what does not fit."""
        known = self.numbers(vector)

        def value(dim: Dim) -> int:
            return known[dim.text] if dim.text in known else self.value(vector, dim)  # for messages
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


def taken(found: Mapping[str, int], value: Callable[[Dim], int], form: int | None = None, every_form: bool = False) -> Wanted:
    """The variants that a call runs: one of each branch.  found: the numbers of the call; value: those that are not among them; form: the
    form that was found to be the fastest, if any; every_form: whether each of them may run."""
    def wanted(branch: Branch) -> Iterable[int]:
        pick = branch.pick
        if branch.free and every_form:
            return every(branch)
        if branch.free and form is not None:
            return (form,)
        return (found[pick.text] if pick.text in found else value(pick),)
    return wanted


def worth(forms: Sequence[Sequence[Step]], calls: int, run: Callable[[], Any]) -> bool:
    """Whether to make what lacks of the forms of a plan, so that the fastest can be found: not before the calls so far have taken as long
    as that would.  run: one of these calls."""
    lacking = [s for form in forms for s in form if isinstance(s, Later)]
    if not lacking:
        return True
    many = len(lacking) if all(s.kept for s in lacking) else len(forms)  # a plan from disk is made anew
    begin = time.perf_counter()
    run()
    launches = sum(isinstance(s, Launch) for s in flatten(forms[0]))
    return calls * (time.perf_counter() - begin) >= MAKING * launches * many


def lacks(plan: Plan, wanted: Wanted) -> bool:
    """Whether the plan has not all variants that are wanted."""
    return any(True for _ in missing(plan.steps, wanted))


def fuller(plan: Plan, wanted: Wanted, anew: Callable[[], Plan]) -> Plan:
    """The plan with the variants that are wanted.

    One that comes from disk has nothing to make them with: then it is made anew, whole, so that this happens once for whoever shares the
    disk.
    """
    return grown(plan, wanted) if all(later.kept for later in missing(plan.steps, wanted)) else complete(anew())
