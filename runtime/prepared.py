"""Prepared plans: a plan with its compiled size program and kernels, and a plan bound to the sizes of a call, ready to run."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from codegen.kernel import Kernel
from codegen.plan import Branch, Buffer, Check, Commit, HostCall, Launch, Operand, Plan, Site, Step
from exprgraph import dims
from exprgraph.dims import Atom, Dim
from exprgraph.errors import at
from runtime import program
from runtime.device import Session
from runtime.driver import cl
from runtime.memory import Array, Block, Memory, View, room, view_of
from runtime.program import Printer

FUNCTIONS: dict[str, Callable[..., Any]] = {"matmul": np.matmul}
FLAGS = "flags"


class Numbers:
    """Dims compiled into one program over the atoms of the leaves."""

    def __init__(self, wanted: Iterable[Dim], atoms: Sequence[Atom]) -> None:
        unique = {d.text: d for d in wanted}
        self.dims = tuple(unique.values())
        self.texts = tuple(unique)
        self._run = dims.program(self.dims, atoms)

    def __call__(self, vector: Sequence[int]) -> dict[str, int]:
        """The values by the text of the Dim."""
        return dict(zip(self.texts, self._run(vector)))


class Run(NamedTuple):
    """One call under way: the memory and the block of each buffer."""
    session: Session
    memory: Memory
    blocks: dict[str, Block]


class KernelCall(NamedTuple):
    """A launch with its numbers."""
    kernel: Any
    buffers: tuple[str, ...]
    scalars: tuple[int, ...]
    grid: tuple[int, ...]
    local: tuple[int, ...]

    def run(self, run: Run) -> None:
        """Put it into the queue."""
        self.kernel.set_args(*[run.blocks[b].buffer for b in self.buffers], *self.scalars)
        cl.enqueue_nd_range_kernel(run.session.queue, self.kernel, self.grid, self.local)


class FunctionCall(NamedTuple):
    """A NumPy function on views of host memory."""
    function: Callable[..., Any]
    inputs: tuple[View, ...]
    output: View

    def run(self, run: Run) -> None:
        """Wait for what is in the queue, then call."""
        run.session.queue.finish()
        self.function(*[self._on(run, v) for v in self.inputs], out=self._on(run, self.output))

    def _on(self, run: Run, view: View) -> Array:
        return run.memory.read(run.blocks[view.buffer], view)


class FaultCheck(NamedTuple):
    """The end of a plan whose kernels can find faults."""
    sites: tuple[Site, ...]
    flags: View

    def run(self, run: Run) -> None:
        """Wait; the error of its site where a kernel has found a fault."""
        run.session.queue.finish()
        site, index, size, _ = run.memory.read(run.blocks[self.flags.buffer], self.flags).tolist()
        if site:
            found = self.sites[site - 1]
            raise found.error(found.message.format(index=index, size=size) + at(found.source))


Action = KernelCall | FunctionCall | FaultCheck


class Bound(NamedTuple):
    """A plan with the numbers of one call.

    actions: what to run, in order.  rooms: the bytes of each buffer that is no leaf and no constant; wanted: their sum.  outputs: a
    view for each.  copies: whether strided arguments are copied first.
    """
    prepared: Prepared
    actions: tuple[Action, ...]
    rooms: dict[str, int]
    wanted: int
    outputs: tuple[View, ...]
    copies: bool


def flatten(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, those of all variants too."""
    for step in steps:
        yield step
        if isinstance(step, Branch):
            for variant in step.variants:
                yield from flatten(variant)


def chosen(steps: Iterable[Step], pick: Callable[[Dim], int]) -> Iterator[Step]:
    """The steps in order, at each branch those of the variant that is picked."""
    for step in steps:
        if isinstance(step, Branch):
            yield from chosen(step.variants[pick(step.pick)], pick)
        else:
            yield step


def _mentioned(plan: Plan) -> Iterator[Dim]:
    operands = list(plan.outputs)
    for step in flatten(plan.steps):
        if isinstance(step, Launch):
            yield from (*step.dims, *step.grid)
        elif isinstance(step, HostCall):
            operands += [*step.inputs, step.output]
        elif isinstance(step, Branch):
            yield step.pick
    for operand in operands:
        yield from (operand.offset, *operand.shape, *operand.strides)


class Prepared:
    """A plan, its size program and its kernels.

    The kernels that every call needs and those of first variants are built at once, in one program; those of other variants when
    they are first picked, or by `complete`.
    """

    def __init__(self, plan: Plan, atoms: Sequence[Atom], session: Session, memory: Memory, printer: Printer) -> None:
        self.plan, self.session, self.printer = plan, session, printer
        self.buffers = {b.name: b for b in plan.buffers}
        self.flags = next((b.name for b in plan.buffers if b.role == FLAGS), FLAGS)
        if any(isinstance(s, Check) or (isinstance(s, Launch) and s.kernel.flags) for s in flatten(plan.steps)):
            self.buffers.setdefault(self.flags, Buffer(self.flags, FLAGS, 0, "int64", dims.constant(4)))
        self.numbers = Numbers([*(b.size for b in self.buffers.values()), *_mentioned(plan)], atoms)
        self.constants = {b.name: memory.constant(b.data) for b in plan.buffers if b.data is not None}
        self._kernels: dict[str, Any] = {}
        self._build(chosen(plan.steps, lambda pick: 0))

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of all variants, each once."""
        return list({s.kernel.name: s.kernel for s in flatten(self.plan.steps) if isinstance(s, Launch)}.values())

    def complete(self) -> None:
        """Build the kernels of all variants."""
        self._build(flatten(self.plan.steps))

    def _build(self, steps: Iterable[Step]) -> None:
        """Build what is missing among the kernels that these steps launch."""
        missing = {s.kernel.name: s for s in steps if isinstance(s, Launch) and s.kernel.name not in self._kernels}
        if not missing:
            return
        for launch, made in zip(missing.values(), program.build(self.session, [s.kernel for s in missing.values()], self.printer)):
            kernel = launch.kernel
            self._kernels[kernel.name] = program.ready(made, len(kernel.params) + kernel.flags, len(launch.dims), kernel.wide)

    def bind(self, found: dict[str, int], copies: bool) -> Bound:
        """The plan with the numbers of a call."""
        steps = list(chosen(self.plan.steps, lambda pick: found[pick.text]))
        self._build(steps)
        used = {n for s in steps for n in self._names(s)} | {o.buffer for o in self.plan.outputs}
        own = [b for b in self.buffers.values() if b.role in ("output", FLAGS) or (b.role == "temp" and b.name in used)]
        rooms = {b.name: room(found[b.size.text], np.dtype(b.dtype).itemsize) for b in own}
        outputs = tuple(self._view(o, found) for o in self.plan.outputs)
        return Bound(self, tuple(self._actions(steps, found)), rooms, sum(rooms.values()), outputs, copies)

    def _names(self, step: Step) -> tuple[str, ...]:
        """The buffers that a step reads or writes."""
        if isinstance(step, HostCall):
            return tuple(o.buffer for o in (*step.inputs, step.output))
        return self._arguments(step) if isinstance(step, Launch) else ()

    def _actions(self, steps: Sequence[Step], found: dict[str, int]) -> Iterator[Action]:
        for step in steps:
            if isinstance(step, Launch):
                grid = tuple(found[g.text] for g in step.grid)
                if all(n > 0 for n in grid):
                    yield KernelCall(self._kernels[step.kernel.name], self._arguments(step), tuple(found[d.text] for d in step.dims),
                                     grid, step.local)
            elif isinstance(step, HostCall):
                yield FunctionCall(FUNCTIONS[step.function], tuple(self._view(o, found) for o in step.inputs),
                                   self._view(step.output, found))
            elif isinstance(step, Check):
                yield FaultCheck(step.sites, view_of(self.flags, np.dtype("int64"), 0, (4,), (1,)))
            else:
                assert isinstance(step, Commit)

    def _arguments(self, launch: Launch) -> tuple[str, ...]:
        """The buffers of a launch, the flags at the end where the kernel takes them and the plan does not list them."""
        return launch.buffers + (self.flags,) * (len(launch.kernel.params) + launch.kernel.flags - len(launch.buffers))

    def _view(self, operand: Operand, found: dict[str, int]) -> View:
        return view_of(operand.buffer, np.dtype(self.buffers[operand.buffer].dtype), found[operand.offset.text],
                       tuple(found[d.text] for d in operand.shape), tuple(found[d.text] for d in operand.strides))
