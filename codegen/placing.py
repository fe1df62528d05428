"""From parts to steps: launches on the buffers of a plan, and what is told of them.

Variants that are made later hold on to this and to the trees of their kernels, not to whoever made the plan.
"""
from __future__ import annotations

from functools import partial

from codegen.growth import flatten, more
from codegen.memory import scratch
from codegen.notes import Notes, noted
from codegen.plan import About, Branch, Buffer, Later, Launch, Meaning, More, Note, Step
from codegen.variants import Choice, Parts, Piece
from exprgraph.collecting import fewer_collections
from exprgraph.dims import RESULTS, Dim, constant
from exprgraph.named import NamedTuple


class Told(NamedTuple):
    """What is told of the launches of a cluster: a note and a description, the shapes of what lies in the buffers that it writes, and
    what is said of memory that they work in."""
    note: Note
    about: About
    shapes: dict[str, tuple[Dim, ...]]
    working: Meaning | None


class Placing(NamedTuple):
    """The buffers of a plan by name, and the notes of its kernels."""
    buffers: dict[str, Buffer]
    notes: Notes

    def steps(self, told: Told, parts: Parts, names: dict[str, str]) -> list[Step]:
        """The launches that work on the buffers of these names."""
        found = list[Step]()
        for part in parts:
            if isinstance(part, Piece):
                found.append(self.launch(told, part, names))
            elif isinstance(part, Choice):
                found.append(Branch(part.pick, tuple(tuple(self.steps(told, v, names)) for v in part.variants)))
            else:
                found.append(Later(partial(self._more, told, part, names)))
        return found

    def _more(self, told: Told, later: Later[Parts], names: dict[str, str]) -> More:
        """The launches of a variant that is made later than its plan."""
        with fewer_collections(), RESULTS.meanwhile():
            steps = tuple(self.steps(told, later.made, names))
            launches = [s for s in flatten(steps) if isinstance(s, Launch)]
            return more(steps, self.buffers, [told.note._replace(kernel=s.kernel.name) for s in launches])

    def launch(self, told: Told, made: Piece, names: dict[str, str]) -> Launch:
        """One launch, on the buffers of these names and on scratch memory that gets its name here."""
        for name, param in made.scratch:
            if name not in names:
                names[name] = scratch(self.buffers, param, told.working)
        buffers = tuple(names[n] for n in made.names)
        noted(self.notes, told.note._replace(kernel=made.kernel.name))
        writes = tuple((b, told.shapes.get(b, (self.buffers[b].size,))) for b, a in zip(buffers, made.access) if a != "r")
        about = told.about._replace(flops=told.about.flops if made.counts else constant(0), writes=writes)
        return Launch(made.kernel, buffers, made.dims, made.grid, made.local, made.work, made.access, about)
