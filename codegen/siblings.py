"""Siblings: launches that do not depend on each other run as one launch, as the updates of the parameters of a training step.

**What may join.**  Clusters of one level read lower levels only, so none reads or writes what another one writes; that is looked at once
more by name.  A launch suits if its work-items never meet and it reports no faults: of several faults the one of the first kernel is told.
Launches of one size of groups join, in the order of the plan, each looked at once, until a bound is met.

**What is gained.**  A launch: 5 us on a GPU, 1.5 us through the driver of a CPU, nothing for native calls, but that small launches together
may be enough for helpers to take part.  Nothing is lost: a joined kernel calls the bodies of its parts, equal parts one body, so a program
is no longer, and an item finds its part by as many comparisons as there are parts.  Memory is what a cluster over one space takes, whose
results are all there at once; calls that are watched, or bound in memory, run the parts one by one.

**Which form of each part.**  Parts choose forms by sizes.  The joined kernel has the plain forms, and is picked where each part picks
its own.  Where some part does not, those that have two forms of one launch (large results are streamed) join in the second form, and all
others are launched apart, since work is large then and a launch is little beside it.  Where variants are made later, all are: which of them
have two forms of one launch is not known then.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from codegen.growth import with_parts
from codegen.joined import joined, tree_of
from codegen.kernel import Alloc, Barrier, Flag, Stmt, walk
from codegen.notes import Notes
from codegen.plan import Branch, Later, Launch, More, Note, Step
from codegen.target import Target
from exprgraph.dims import Dim, constant, minimum

STATEMENTS = {"cpu": 1 << 10, "gpu": 1 << 8}
"""Statements in the bodies of a joined kernel, by schedule: the time to compile a kernel grows faster than its text, and on GPUs all parts
get as many registers as the largest one needs, which that is a bound of too."""
WORD = 8
"""Bytes of an argument at most."""
Put = Callable[[Sequence[Step]], tuple[Step, ...]]


@dataclass
class _Group:
    """Parts that join: of each its step and its forms, the plain one first; what they read and write; bytes of arguments, and the
    statements of each body."""
    steps: list[Step] = field(default_factory=list)
    forms: list[tuple[Launch, ...]] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    bytes: int = 0
    bodies: dict[str, int] = field(default_factory=dict)

    def made(self, later: Put) -> list[Step]:
        """The steps of the group: one, or those of a single part; later: how the launches apart stand beside their joined one."""
        if len(self.steps) < 2:
            return self.steps
        plain, pick = joined([f[0] for f in self.forms]), _pick(self.steps)
        if pick.const == 0:
            return [plain]
        apart = any(isinstance(s, Branch) and len(f) == 1 for s, f in zip(self.steps, self.forms))
        other = later(self.steps) if apart else (joined([f[-1] for f in self.forms]),)
        return [Branch(minimum(pick, 1), ((plain,), other))]


class Siblings:
    """Joins launches for a target; remembers which kernels suit.  later: how the launches apart stand beside their joined one."""

    def __init__(self, target: Target, later: Put = tuple) -> None:
        self.target, self.known, self.later = target, dict[str, int](), later

    def together(self, level: Iterable[Sequence[Step]]) -> list[Step]:
        """The steps of clusters that do not depend on each other, with what suits joined."""
        found, groups = list[Step](), dict[int, _Group]()
        for steps in level:
            forms = self._forms(steps)
            if not forms:
                found += steps
                continue
            size = math.prod(forms[0].local)
            if size in groups and not self._add(groups[size], steps[0], forms):
                found += groups.pop(size).made(self.later)
            if size not in groups:
                self._add(groups.setdefault(size, _Group()), steps[0], forms)
        return [*found, *(s for g in groups.values() for s in g.made(self.later))]

    def _forms(self, steps: Sequence[Step]) -> tuple[Launch, ...]:
        """The plain form of what can join, and the other one where it has two launches to choose from."""
        if len(steps) != 1:
            return ()
        step = steps[0]
        if isinstance(step, Branch) and not step.free:
            first, *others = (self._forms(v) for v in step.variants)
            both = len(first) == len(others) == len(others[0]) == 1
            return (first[0], others[0][0]) if both else first[:1]
        return (step,) if isinstance(step, Launch) and self._length(step) else ()

    def _length(self, launch: Launch) -> int:
        """The statements of a kernel that suits, else 0."""
        name = launch.kernel.name
        if name not in self.known:
            inside = walk(tree_of(launch).body)
            self.known[name] = len(inside) if _suits(inside, launch) else 0
        return self.known[name]

    def _add(self, group: _Group, step: Step, forms: tuple[Launch, ...]) -> bool:
        """Let a part join a group, if it fits in and does not depend on those that are there."""
        reads, writes = ({b for f in forms for b, a in zip(f.buffers, f.access) if a in kinds} for kinds in (("r",), ("w", "rw")))
        nbytes = group.bytes + WORD * max(len(f.buffers) + len(f.dims) + len(f.grid) for f in forms)
        bodies = group.bodies | {forms[0].kernel.name: self._length(forms[0])}
        room = nbytes <= self.target.argument_bytes and sum(bodies.values()) <= STATEMENTS[self.target.schedule]
        if group.steps and (not room or writes & (group.reads | group.writes) or reads & group.writes):
            return False
        group.steps.append(step)
        group.forms.append(forms)
        group.reads |= reads
        group.writes |= writes
        group.bytes, group.bodies = nbytes, bodies
        return True


def apart_later(steps: Sequence[Step], notes: Notes) -> tuple[Step, ...]:
    """Steps that a plan gets later; notes: those of their kernels, among others."""
    return (Later(lambda: More(tuple(steps), (), told(steps, notes))),)


def _pick(steps: Iterable[Step]) -> Dim:
    """0 where each of these steps takes its plain form."""
    total = constant(0)
    for step in steps:
        if isinstance(step, Branch):
            total = total + step.pick + _pick(step.variants[0])
    return total


def _suits(inside: Iterable[Stmt], launch: Launch) -> bool:
    """Whether the work-items of a kernel have nothing to do with each other, and nothing can go wrong in them."""
    plain = not any(isinstance(s, Barrier | Flag) or (isinstance(s, Alloc) and s.space == "local") for s in inside)
    return plain and (math.prod(launch.local) == 1 or len(launch.grid) == 1)


def told(steps: Iterable[Step], notes: Notes) -> tuple[Note, ...]:
    """The notes of the kernels that are launched; a joined one has those of its parts."""
    found: dict[Note, None] = {}
    for launch in (s for s in with_parts(steps) if isinstance(s, Launch)):
        for part in launch.parts or (launch,):
            own = notes.get((part.kernel.name, part.about.lines), ())
            found.update((n if part is launch else n._replace(kernel=launch.kernel.name), None) for n in own)
    return tuple(found)
