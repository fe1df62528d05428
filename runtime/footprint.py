"""The memory of a call: its tensors with the bytes that are allocated for them, what lives at once, and what an error says of them."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from codegen.growth import flatten
from codegen.notes import note_text
from codegen.plan import Branch, Buffer, HostCall, Launch, Note, OwnCall, Plan, Step
from exprgraph.dims import Dim, constant, product
from exprgraph.errors import AllocationError, at, here
from exprgraph.footprint import KINDS, Footprint, Given, MissingSizeError, Tensor, formula, largest
from exprgraph.footprint import check_sizes as check_sizes
from exprgraph.graph import names
from exprgraph.named import NamedTuple
from exprgraph.node import SHARED, Node, Out
from exprgraph.program import Program
from runtime import pages
from runtime.fit import Fit
from runtime.leaves import Leaves
from runtime.memory import Memory, SharedMemory, room
from runtime.prepared import code_of
from runtime.spare import rounded
from runtime.workspace import alive, loads


class Call(NamedTuple):
    """A plan with the numbers of one call, and the shapes of the call's arguments; under a bound also the bytes that it needs at once."""
    program: Program
    memory: Memory
    fit: Fit
    shapes: tuple[tuple[int, ...], ...]
    needs: int = 0

    @property
    def shared(self) -> bool:
        """Whether kernels work on the memory of NumPy's arrays."""
        return isinstance(self.memory, SharedMemory)

    @property
    def name(self) -> str:
        """The function's."""
        return self.program.options.get("name") or "the function"


def tensors(call: Call) -> list[Tensor]:
    """All tensors of a call, intermediates first."""
    return [*temporaries(call).values(), *_leaves(call), *_results(call), *_constants(call)]


def temporaries(call: Call) -> dict[str, Tensor]:
    """The intermediates by the plan's name."""
    found = {}
    spoken = set(names(call.program.graph.outputs).values())
    for name, nbytes in call.fit.temporaries.items():
        buffer = call.fit.buffers[name]
        found[name] = Tensor(_called(buffer, spoken), "temporaries", buffer.dtype, _shape(call, buffer), call.memory.size(nbytes),
                             buffer.about.source if buffer.about else None)
    return found


def _called(buffer: Buffer, spoken: set[str]) -> str:
    """What the user calls an intermediate; a plan from disk may have been made when he had other names."""
    about = buffer.about
    if about is None:
        return "an intermediate"
    if about.scratch:
        return f"memory to work in for {about.operation}"
    return repr(about.name) if about.name in spoken else f"the result of {about.operation}"


def _shape(call: Call, buffer: Buffer) -> tuple[int, ...]:
    dims = buffer.about.shape if buffer.about else (buffer.size,)
    return tuple(call.fit.found[d.text] for d in dims)


def _leaves(call: Call) -> Iterable[Tensor]:
    for node, shape in zip(call.program.leaves, call.shapes):
        dtype, kept = np.dtype(node.outs[0].dtype), node.op is SHARED
        nbytes = math.prod(shape) * dtype.itemsize
        if not call.shared:
            nbytes = call.memory.size(room(math.prod(shape), dtype.itemsize))
        what = f"{'shared variable' if kept else 'input'} {_known(node)}"
        yield Tensor(what, "shared" if kept else "inputs", dtype.name, shape, nbytes, node.source)


def _known(node: Node) -> str:
    return repr(node.name) if node.name else "without a name"


def _constants(call: Call) -> Iterable[Tensor]:
    buffers = call.fit.buffers
    for name, block in call.fit.constants.items():
        data = buffers[name].data
        if data is not None:
            yield Tensor("a constant", "constants", data.dtype.name, data.shape, max(block.nbytes, block.size), None)


def _results(call: Call) -> Iterable[Tensor]:
    """The outputs.  What is no buffer of its own is copied; on memory of its own into the host's."""
    buffers, seen = call.fit.buffers, set[str]()
    for number, (out, view) in enumerate(zip(call.program.graph.outputs, call.fit.outputs)):
        fresh = buffers[view.buffer].role == "output" and view.buffer not in seen
        seen.add(view.buffer)
        own, nbytes = math.prod(view.shape) * view.dtype.itemsize, 0
        if not call.shared:
            nbytes = call.memory.size(call.fit.rooms[view.buffer]) if fresh else 0
        else:
            nbytes = own if not fresh or own < pages.SMALLEST else rounded(own)
        kind = "outputs" if number < call.program.n_outputs else "updates"
        yield Tensor(_output(out, number, kind), kind, view.dtype.name, view.shape, nbytes, out.node.source)


def _output(out: Out, number: int, kind: str) -> str:
    what = f"output {number}" if kind == "outputs" else "the new value of a shared variable"
    return f"{what}, {out.name!r}" if out.name else f"{what}, of {out.node.op.name}"


class Peak(NamedTuple):
    """The most that a call needs at once: bytes by kind, the step, and the tensors that live then."""
    bytes: dict[str, int]
    step: str
    living: tuple[Tensor, ...]

    @property
    def total(self) -> int:
        """All kinds together."""
        return sum(self.bytes.values())


def peak_of(call: Call) -> Peak:
    """The most that a call needs at once."""
    fit, temps = call.fit, temporaries(call)
    rooms = {n: t.nbytes for n, t in temps.items()}
    load = loads(fit.uses, rooms)
    at = max(range(len(load)), key=load.__getitem__)
    rest = [*_leaves(call), *_results(call), *_constants(call)]
    found = {kind: sum(t.nbytes for t in rest if t.kind == kind) for kind in KINDS}
    found["temporaries"] = fit.space if call.shared else load[at] + _flags(call)
    living = (*(temps[n] for n in alive(fit.uses, rooms)[at]), *rest)
    return Peak(found, _step(fit.steps[at], fit.notes) if at < len(fit.steps) else "the copy of the results", living)


def _flags(call: Call) -> int:
    """The bytes of what kernels report faults in."""
    name = call.fit.flags
    return call.memory.size(call.fit.rooms[name]) if name in call.fit.rooms else 0


def _step(step: Step, notes: Sequence[Note]) -> str:
    if isinstance(step, Launch):
        name = code_of(step).name
        return next((f"kernel {name} ({note_text(n)})" for n in notes if n.kernel == name), f"kernel {name}")
    if isinstance(step, HostCall):
        return f"numpy.{step.function}"
    return f"{step.own.name!r} of your own" if isinstance(step, OwnCall) else "the end of the call"


def told(call: Call, error: BaseException) -> BaseException:
    """An error as the user is told it: one of memory with the largest tensors that the call needs, what is in use, and cures."""
    if not isinstance(error, AllocationError) or error.tensors:
        return error
    peak = peak_of(call)
    made = AllocationError(f"{error}\n{described(call, peak, largest(peak.living))}")
    made.tensors = largest(peak.living)
    made.__cause__ = error.__cause__
    return made


def described(call: Call, peak: Peak, shown: Sequence[Tensor]) -> str:
    """What a call needs, its largest tensors, what is in use, and cures."""
    device, memory = call.memory.session.device, call.memory
    parts = ", ".join(f"{n:,} of {kind}" for kind, n in peak.bytes.items() if n)
    lines = [f"{call.name} needs {peak.total:,} bytes at once ({parts}), the most in {peak.step}; the largest tensors are then",
             *(f"  {t}" for t in shown),
             f"{device.name} has {device.memory:,} bytes, at most {device.max_alloc:,} in one buffer; {memory.account.bytes:,} are in use, "
             f"{memory.idle.bytes:,} idle (idle memory is given back before a call fails)",
             "cures: fewer rows at once; deleting results and functions that are not needed any more (f.free() gives back what a function "
             "keeps); float32 in place of float64; checkpoint() around parts whose gradient is taken"]
    return "\n".join(lines)


def footprint(call: Call) -> Footprint:
    """What `f.memory` tells of a call."""
    peak = peak_of(call)
    return Footprint(call.name, call.memory.session.device.name, {}, tuple(v.shape for v in call.fit.outputs), peak.bytes, peak.total,
                     peak.step, largest(peak.living))


def formulas(program: Program, plan: Plan, used: Callable[[Step], tuple[str, ...]]) -> dict[str, str]:
    """The bytes that calls with a plan take, by kind; used: the buffers that a step uses."""
    fixed = dict.fromkeys(KINDS[:-1], constant(0))
    for node in program.leaves:
        fixed["shared" if node.op is SHARED else "inputs"] += _bytes(node.outs[0].dtype, node.outs[0].shape)
    for number, (out, operand) in enumerate(zip(program.graph.outputs, plan.outputs)):
        fixed["outputs" if number < program.n_outputs else "updates"] += _bytes(out.dtype, operand.shape)
    buffers = {b.name: b for b in plan.buffers}
    fixed["constants"] = constant(sum(b.data.nbytes for b in plan.buffers if b.data is not None))
    steps = [s for s in flatten(plan.steps) if not isinstance(s, Branch)]
    temps = {n: _bytes(b.dtype, (b.size,)) for n, b in buffers.items() if b.role == "temp"}
    scratch = {n for n in temps if (known := buffers[n].about) is not None and known.scratch}
    living = alive([*map(used, steps), tuple(o.buffer for o in plan.outputs)], temps)
    return formula(fixed, [total(temps[n] for n in one if n not in scratch) for one in living], bool(scratch))


def _bytes(dtype: str, shape: Sequence[Dim]) -> Dim:
    return product(shape) * np.dtype(dtype).itemsize


def total(parts: Iterable[Dim]) -> Dim:
    """The sum of some sizes."""
    found = constant(0)
    for part in parts:
        found = found + part
    return found


def imagined(leaves: Leaves, given: Sequence[Given]) -> tuple[list[tuple[int, ...]], list[int], int]:
    """The shapes of a call that nobody makes, the numbers of its atoms, and the elements of the largest argument."""
    shapes = [g.shape or () for g in given]
    numbers = [n for s in shapes for n in s]
    vector = [*numbers, *[0] * len(numbers), *(given[i].value or 0 for i in leaves.scalars)]
    return shapes, vector, max(map(math.prod, shapes), default=0)


def check_known(program: Program, given: Sequence[Given], valued: Iterable[int]) -> None:
    """MissingSizeError where the value is missing of an argument that sizes rest on; valued: the numbers of those."""
    unknown = [repr(program.leaves[i].name) for i in valued if given[i].value is None]
    if unknown:
        raise MissingSizeError(f"memory: sizes rest on the value of {', '.join(unknown)}: give it{at(here())}")
