"""From a lowered kernel to the launches that it may run as: its forms by the sizes of a call, each scheduled, named and printed.

Nothing here knows a plan: launches name the buffers as their kernel does.  So kernels that are alike are scheduled and printed once.
"""
from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from codegen.alike import Alike, Renaming, Speaker
from codegen.kernel import Kernel, Param
from codegen.naming import named
from codegen.plan import Later
from codegen.schedule import by_length, narrow, parts, split, splits, turned
from codegen.schedule.estimate import picoseconds
from codegen.schedule.faults import apart
from codegen.schedule.stream import streamable, streamed, streams
from codegen.target import Target
from exprgraph.dims import Atom, Dim, constant, minimum
from exprgraph.named import NamedTuple


class Piece(NamedTuple):
    """A launch: the kernel, the names of its buffers there, what it is launched with; scratch: which of the buffers are memory to work in;
    counts: whether the work of its cluster is counted here, not at another launch."""
    kernel: Kernel | Alike
    names: tuple[str, ...]
    dims: tuple[Dim, ...]
    grid: tuple[Dim, ...]
    local: tuple[int, ...]
    access: tuple[str, ...]
    work: Dim
    scratch: tuple[tuple[str, Param], ...] = ()
    counts: bool = True


class Choice(NamedTuple):
    """One of several lists of parts, by the sizes."""
    pick: Dim
    variants: tuple[tuple[Part, ...], ...]


Part = Piece | Choice | Later["Parts"]
Parts = tuple[Part, ...]
Make = Callable[[], Parts]
Put = Callable[[Make], Parts]
"""How a variant stands in its choice: made, or to be made later."""


def piece(kernel: Kernel, target: Target, work: Dim) -> Piece:
    """The launch of a scheduled kernel, named by its text, so that equal kernels are one."""
    kernel, frame = named(apart(kernel) if target.schedule == "cpu" else kernel, target.dialect)
    grid = tuple(g.value if isinstance(g.value, Dim) else constant(g.value) for g in frame.grid)
    names, access = tuple(p.name for p in kernel.params), tuple(p.access for p in kernel.params)
    return Piece(kernel, names, frame.dims, grid, frame.local, access, work)


def made_now(make: Make) -> Parts:
    """The parts."""
    return make()


def made_later(make: Make) -> Parts:
    """A part that is made when somebody looks into it."""
    return (Later(make),)


def as_it_is(kernel: Kernel, target: Target, put: Put) -> Parts:
    """A kernel that is scheduled already; its work is for whoever made it to say."""
    return (piece(kernel, target, constant(0)),)


def map_forms(kernel: Kernel, target: Target, put: Put) -> Parts:
    """A map as it is, and in another form where it reads across long rows."""
    return _forms(kernel, target, False, put)


def row_forms(kernel: Kernel, target: Target, put: Put) -> Parts:
    """A reduction as it is, and in another form for short rows."""
    return _forms(kernel, target, True, put)


def _forms(kernel: Kernel, target: Target, rows: bool, put: Put) -> Parts:
    work = picoseconds(kernel.body)
    short = narrow(kernel, target) if rows else turned(kernel, target)
    if short is None:
        return _passes(kernel, target, work, rows, "", put)

    def other() -> Parts:
        made = short.make()
        return (piece(made, target, work),) if short.scheduled else _passes(made, target, work, rows, "short ", put)
    return other() if short.pick.const else (Choice(short.pick, (_passes(kernel, target, work, rows, "", put), put(other))),)


def _passes(kernel: Kernel, target: Target, work: Dim, rows: bool, form: str, put: Put) -> Parts:
    """The kernel, in the form for the length of its rows, and, for reductions, in two passes where few rows are long."""
    pick, (first, *others) = by_length(kernel, target)
    scheduled = first()
    plain = piece(scheduled, target, work)
    alone: Part = plain
    if others:
        alone = Choice(pick, ((plain,), *(put(lambda make=make: (piece(make(), target, work),)) for make in others)))  # type: ignore[misc]
    if rows and splits(kernel):
        return (Choice(minimum(parts(kernel, target) - 1, 1), ((alone,), put(lambda: _both(kernel, target, work, form)))),)
    return (alone,) if others else _streamed(plain, scheduled, target, put)


def _both(kernel: Kernel, target: Target, work: Dim, form: str) -> Parts:
    """Two passes."""
    both = split(kernel, target)
    own = {p.name for p in kernel.params}
    scratch = {p.name: (form + p.name, p) for part in both[::-1] for p in part.params if p.name not in own}
    return tuple(_working(piece(k, target, w), scratch, k is both[0]) for k, w in zip(both, (work, picoseconds(both[1].body))))


def _working(made: Piece, scratch: dict[str, tuple[str, Param]], counts: bool) -> Piece:
    """A pass with the names of the memory that both passes work in."""
    mine = tuple(scratch[n] for n in made.names if n in scratch)
    return made._replace(names=tuple(scratch[n][0] if n in scratch else n for n in made.names), scratch=mine, counts=counts)


def _streamed(whole: Piece, scheduled: Kernel, target: Target, put: Put) -> Parts:
    """The launch as it is, and where its results are large, past the caches of a CPU."""
    if target.schedule != "cpu" or not streamable(scheduled, target):
        return (whole,)
    later = put(lambda: (piece(streamed(scheduled, target), target, whole.work),))
    return (Choice(streams(scheduled, target), ((whole,), later)),)


class Made:
    """What has been made of the kernels of a plan, by their patterns; put: how variants but the first stand there."""

    def __init__(self, put: Put) -> None:
        self.put = put
        self.speaker = Speaker()
        self.first: dict[Hashable, tuple[tuple[Atom, ...], Parts]] = {}
        self.others: dict[Hashable, Parts] = {}

    def parts(self, kernel: Kernel, target: Target, make: Callable[[Kernel, Target, Put], Parts]) -> Parts:
        """make(kernel, target, put), which is made once for all kernels that are alike."""
        pattern = self.speaker.pattern(kernel)
        key = (make, target._replace(fused_products=False), pattern.key)
        leaves, found = self.first.get(key) or self.first.setdefault(key, (pattern.leaves, make(kernel, target, self.put)))
        if tuple(a.text for a in leaves) == pattern.names:
            return found
        own = (key, pattern.names)
        if own not in self.others:
            renaming = Renaming(leaves, pattern.leaves)
            self.others[own] = tuple(_renamed(p, renaming) for p in found)
        return self.others[own]


def _renamed(part: Part, new: Renaming) -> Part:
    if isinstance(part, Later):
        return Later(lambda: tuple(_renamed(p, new) for p in part.made))
    if isinstance(part, Choice):
        return Choice(new(part.pick), tuple(tuple(_renamed(p, new) for p in v) for v in part.variants))
    assert isinstance(part.kernel, Kernel)
    scratch = tuple((name, p._replace(size=new(p.size))) for name, p in part.scratch)
    return part._replace(kernel=Alike(part.kernel, new), dims=_all(part.dims, new), grid=_all(part.grid, new), work=new(part.work),
                         scratch=scratch)


def _all(dims: Sequence[Dim], new: Renaming) -> tuple[Dim, ...]:
    return tuple(map(new, dims))
