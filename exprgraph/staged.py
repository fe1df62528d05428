"""The executable of a program in stages: each runs on what those before it gave, with the sizes that they computed."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.errors import ShapeError, at
from exprgraph.footprint import Footprint, Given
from exprgraph.node import Node
from exprgraph.program import Executable, Program
from exprgraph.stages import Read, Stage, stages
from exprgraph.within import beside


class Staged:
    """An executable for each stage.  A call waits for the sizes at the end of each, so it is never asynchronous."""

    def __init__(self, program: Program, found: Sequence[Stage], build: Callable[[Program], Executable]) -> None:
        self.program = program
        self.leaves, self.count = program.leaves, len(program.graph.outputs)
        self.steps = [(stage, build(stage.program)) for stage in found]
        self.device = getattr(self.steps[-1][1], "device", None)

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run the stages in order; ShapeError for a size that is negative."""
        known: dict[Node, Any] = dict(zip(self.leaves, values))
        results: list[Any] = [None] * self.count
        for stage, run in self.steps:
            with beside(stage.program.options, _held(stage, known, results)):
                found = run([known[n] for n in stage.takes])
            _keep(stage, found, known, results)
            del found
            for node in stage.last:  # nothing is held longer than it is needed
                del known[node]
        return results

    def source(self) -> str:
        """The kernels of all stages."""
        return "\n".join(run.source() for _, run in self.steps)

    def why(self) -> str:
        """The plans of all stages, and what is read between them."""
        parts = []
        for number, (stage, run) in enumerate(self.steps, 1):
            reads = [f"ReadSize: {read.value.node.op.name}, read as a size{at(read.source)}" for read in stage.reads]
            parts += [f"stage {number} of {len(self.steps)}:", run.why(), *reads]
        return "\n".join(parts)

    def warm(self) -> None:
        """Build everything that any later call can need."""
        for _, run in self.steps:
            run.warm()

    def memory_of(self, given: Sequence[Given] | None, sizes: Mapping[str, int]) -> Footprint:
        """What a call takes of memory: the sizes that it computes are asked for by their names."""
        from exprgraph.staged_memory import footprint  # rarely needed
        return footprint(self.program, self.steps, given, sizes)

    def free(self) -> None:
        """Give back the memory that is kept between calls."""
        for _, run in self.steps:
            run.free()


def _held(stage: Stage, known: Mapping[Node, Any], results: Sequence[Any]) -> int:
    """The bytes of what lives while a stage runs that is none of its own."""
    taken = set(stage.takes)
    lives = [*(v for n, v in known.items() if n not in taken), *(r for r in results if r is not None)]
    return sum(int(v.nbytes) for v in lives)


def _keep(stage: Stage, found: Sequence[Any], known: dict[Node, Any], results: list[Any]) -> None:
    """Note what a stage has given, and the sizes that are read from it."""
    for key, value in zip(stage.gives, found):
        if isinstance(key, int):
            results[key] = value
        else:
            known[key] = value
    for read in stage.reads:
        known[read.leaf] = _size(read, known[read.value.node])


def _size(read: Read, value: Any) -> Any:
    number = np.asarray(value if isinstance(value, np.ndarray | np.generic) else value.host())
    if number < 0 and not read.signed:
        raise ShapeError(f"a size cannot be negative: {int(number)}{at(read.source)}")
    return number


def build(program: Program, backend: Callable[[Program], Executable]) -> Any:
    """The executable of a program by a backend, in stages where sizes have to be read."""
    found = stages(program._replace(options=dict(program.options)))  # options that no other program has
    return Staged(program, found, backend) if found else backend(program)
