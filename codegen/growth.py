"""Plans that grow: of a large graph each branch has its first variant only, and others are made when sizes pick them.

What is made later (`codegen.plan.Later`) is a whole variant: it knows its steps, the buffers that they use, the notes of its kernels and
the places where they find faults, so that a plan grows without whoever made it.  Steps that were there before are the same records
afterwards, but for the check of faults where there are more of them.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from codegen.plan import Branch, Buffer, Check, Commit, Later, Launch, More, Note, Plan, Site, Step, touched
from exprgraph.collecting import fewer_collections

Wanted = Callable[[Branch], Iterable[int]]
"""The numbers of the variants of a branch that calls take."""


def every(branch: Branch) -> Iterable[int]:
    """All variants."""
    return range(len(branch.variants))


def flatten(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, those of all variants that have been made too."""
    for step in steps:
        yield step
        if isinstance(step, Branch):
            for variant in step.variants:
                yield from flatten(variant)


def with_parts(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, and the launches that joined ones stand for."""
    for step in flatten(steps):
        yield from (step, *step.parts) if isinstance(step, Launch) else (step,)


def missing(steps: Iterable[Step], wanted: Wanted) -> Iterator[Later[More]]:
    """What calls take that has not been made."""
    for step in steps:
        if isinstance(step, Later):
            yield step
        elif isinstance(step, Branch):
            for number in wanted(step):
                yield from missing(step.variants[number], wanted)


def grown(plan: Plan, wanted: Wanted) -> Plan:
    """The plan with what calls take made; of what that brings, more may be missing."""
    buffers, notes = {b.name: b for b in plan.buffers}, dict.fromkeys(plan.notes)
    sites = list[tuple[Site, ...]]()

    def each(steps: Iterable[Step]) -> tuple[Step, ...]:
        return tuple(s for step in steps for s in one(step))

    def one(step: Step) -> tuple[Step, ...]:
        if isinstance(step, Later):
            more = step.made
            buffers.update((b.name, b) for b in more.buffers)
            notes.update(dict.fromkeys(more.notes))
            sites.append(more.sites)
            return each(more.steps)
        if isinstance(step, Branch):
            taken = set(wanted(step))
            return (step._replace(variants=tuple(each(v) if k in taken else v for k, v in enumerate(step.variants))),)
        return (step,)
    with fewer_collections():
        steps = _checked(each(plan.steps), max(sites, key=len, default=()))
    return plan._replace(buffers=tuple(buffers.values()), steps=steps, notes=tuple(notes))


def _checked(steps: tuple[Step, ...], sites: tuple[Site, ...]) -> tuple[Step, ...]:
    """The steps with a check of these fault sites, before the commit, unless they check as many."""
    before = next((s.sites for s in steps if isinstance(s, Check)), ())
    if len(sites) <= len(before):
        return steps
    assert sites[:len(before)] == before and isinstance(steps[-1], Commit)
    return (*(s for s in steps[:-1] if not isinstance(s, Check)), Check(sites), steps[-1])


def more(steps: tuple[Step, ...], buffers: Mapping[str, Buffer], notes: Iterable[Note], sites: Iterable[Site] = ()) -> More:
    """What these steps add to a plan, of whose buffers and notes some may be theirs."""
    used = dict.fromkeys(b for s in flatten(steps) for b in touched(s))
    return More(steps, tuple(buffers[b] for b in used), tuple(dict.fromkeys(notes)), tuple(sites))


def complete(plan: Plan) -> Plan:
    """The plan with all variants."""
    return grown(plan, every)
