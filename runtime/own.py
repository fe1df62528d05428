"""Functions and kernels of the user's own: built with their plan, and made actions with the numbers of a call."""
from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from codegen.plan import OwnCall
from exprgraph import dtypes
from exprgraph.errors import OwnOpError, Source, at, defined
from exprgraph.locks import lock
from exprgraph.named import NamedTuple
from exprgraph.own.head import CURE
from exprgraph.own.raw import RawSource
from runtime import crashes
from runtime.actions import OwnAction, Run
from runtime.device import Session
from runtime.driver import cl, failure
from runtime.memory import Array, Block, View, aligned, data_of, pointer
from runtime.own_text import mismatch, refused

GUARD = 4096
"""Bytes on both sides of a result that are looked at after a checked run."""
PATTERN = 0xA5
SMALL = 1 << 16
"""Bytes of results up to which a kernel is checked unless the user says otherwise."""
KEPT = 256
Make = Callable[[tuple[View, ...], tuple[View, ...], tuple[int, ...]], OwnAction]
_lock = lock()
_programs: OrderedDict[tuple[str, str], Any] = OrderedDict()


def own_step(step: OwnCall, session: Session) -> Make:
    """What makes the actions of a step; OwnOpError where its kernel cannot be built."""
    if step.own.kernel is None:
        return lambda inputs, outputs, sizes: OwnAction(partial(_call, step, sizes), inputs, outputs)
    return Kernel(step, session).action


def _call(step: OwnCall, sizes: tuple[int, ...], inputs: tuple[Array, ...], outputs: tuple[Array, ...]) -> None:
    """Let a function compute the outputs."""
    for out, result in zip(outputs, step.own.run(inputs, [o.shape for o in outputs], sizes, step.source)):
        out[...] = result


def _program(raw: RawSource, source: Source | None, session: Session) -> Any:
    """The user's program, built once for each device."""
    key = session.key, raw.text
    with _lock:
        if key in _programs:
            _programs.move_to_end(key)
            return _programs[key]
    head = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n" * ("double" in raw.text)
    options = [*session.device.options, "-cl-kernel-arg-info"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.CompilerWarning)
        try:
            crashes.building()
            made = cl.Program(session.context, f"{head}#line 1\n{raw.text}\n")
            made.build(options, devices=[session.device.handle])
        except failure as error:
            raise OwnOpError(f"{session.named} could not build the kernel {raw.name}\n"
                             + refused(raw.text, str(error)) + at(source) + defined(raw.source)) from None
    with _lock:
        _programs[key] = made
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
    return made


class Numbers(NamedTuple):
    """The sizes of a launch: of all items, of a group where the user gave it, and the integers and elements of local arrays."""
    grid: tuple[int, ...]
    group: tuple[int, ...] | None
    integers: tuple[int, ...]


class Kernel:
    """A kernel that one thread at a time launches."""

    def __init__(self, step: OwnCall, session: Session) -> None:
        self.step, self.session = step, session
        self.raw: RawSource = step.own.kernel
        self.alignment = max((a.alignment for a in self.raw.arguments), default=1)
        program = _program(self.raw, step.source, session)
        try:
            self.kernel = cl.Kernel(program, self.raw.name)
        except failure as error:
            raise self._error(f"its program, after macros and conditions, has no such kernel: {error}") from error
        wrong = mismatch(self.kernel, self.raw.parameters)
        if wrong:
            raise self._error(f"its head says {wrong[0]}, {session.device.name} found {wrong[1]}: {CURE}")

    def action(self, inputs: tuple[View, ...], outputs: tuple[View, ...], sizes: tuple[int, ...]) -> OwnAction:
        """The action for the numbers of a call; OwnOpError for groups that do not fit."""
        axes, raw = self.raw.axes, self.raw
        group = sizes[axes:2 * axes] if raw.grouped else None
        numbers = Numbers(sizes[:axes], group, sizes[axes * (1 + raw.grouped):])
        if group is not None and any(n < 1 or g % n for g, n in zip(numbers.grid, group)):
            raise self._error(f"a global size of {numbers.grid} is not made of whole groups of {group}")
        wanted = sum(numbers.integers[a.number] * a.width * np.dtype(a.dtype).itemsize for a in raw.arguments if a.kind == "local")
        room = int(self.session.device.handle.local_mem_size)
        if wanted > room:
            raise self._error(f"it asks for {wanted:,} bytes of local memory, {self.session.device.name} has {room:,}")
        return OwnAction(partial(self._on_host, numbers), inputs, outputs, partial(self._on_device, numbers))

    def _error(self, what: str) -> OwnOpError:
        return OwnOpError(f"{self.raw.name}: {what}{at(self.step.source)}{defined(self.raw.source)}")

    def _on_host(self, numbers: Numbers, inputs: tuple[Array, ...], outputs: tuple[Array, ...]) -> None:
        """Run on memory that the device shares with NumPy."""
        self._lanes(numbers, inputs, outputs, self.raw.mapped)

    def _lanes(self, numbers: Numbers, inputs: Sequence[Array], outputs: Sequence[Array], levels: Sequence[Sequence[bool]]) -> None:
        if levels:
            for lane in range(len(outputs[0])):
                given = [a[lane, ...] if m else a for a, m in zip(inputs, levels[0])]
                self._lanes(numbers, given, [o[lane, ...] for o in outputs], levels[1:])
        elif self.raw.check or (self.raw.check is None and sum(o.nbytes for o in outputs) <= SMALL):
            self._guarded(numbers, inputs, outputs)
        else:
            self._run(numbers, inputs, outputs)

    def _guarded(self, numbers: Numbers, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Run on results between guards, and look at these."""
        around = [aligned(2 * GUARD + o.nbytes) for o in outputs]
        inside = [np.ndarray(o.shape, o.dtype, a, GUARD) for a, o in zip(around, outputs)]
        for a, o in zip(around, outputs):
            a[:GUARD] = a[GUARD + o.nbytes:] = PATTERN
        self._run(numbers, inputs, inside)
        for name, a, i, o in zip(self.raw.outputs, around, inside, outputs):
            self._check(name, a[:GUARD], a[GUARD + o.nbytes:])
            o[...] = i

    def _check(self, name: str, before: Array, after: Array) -> None:
        for guard, side in ((before, "before the first"), (after, "behind the last")):
            if (guard != PATTERN).any():
                raise self._error(f"it wrote {side} element of its result {name}")

    def _run(self, numbers: Numbers, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        """Run on memory as it is where the vectors of the kernel may lie there, else on copies."""
        given = [self._placed(np.ascontiguousarray(a), True) for a in inputs]
        outputs = [self._placed(o, False) for o in results]
        idle = 0 in numbers.grid
        for a in (a for a in self.raw.arguments if a.kind == "output"):
            out, fill = outputs[a.number], self.raw.fill if self.raw.fill is not None else 0 if idle else None
            if a.start is not None:
                out[...] = given[a.start]
            elif fill is not None:
                out.fill(fill)
        if not idle:
            self._launch(numbers, [_pointer(a) for a in given], [_pointer(o) for o in outputs], lambda k: given[k])
            self._finish(numbers)
        for result, output in zip(results, outputs):
            if output is not result:
                result[...] = output

    def _placed(self, array: Array, filled: bool) -> Array:
        """The array, or where the kernel's vectors cannot lie there another one like it."""
        if data_of(array) % self.alignment == 0 or not array.size:
            return array
        found = np.ndarray(array.shape, array.dtype, aligned(array.nbytes))
        if filled:
            found[...] = array
        return found

    def _launch(self, numbers: Numbers, inputs: Sequence[Any], outputs: Sequence[Any], value: Callable[[int], Array]) -> None:
        """Put the kernel into the queue; value: what an input that is a scalar holds."""
        found: list[Any] = []
        for a in self.raw.arguments:
            if a.kind in ("input", "output"):
                found.append((inputs if a.kind == "input" else outputs)[a.number])
            elif a.kind == "local":
                found.append(cl.LocalMemory(max(numbers.integers[a.number], 1) * a.width * np.dtype(a.dtype).itemsize))
            else:
                number = value(a.number) if a.kind == "value" else self._fitting(numbers.integers[a.number], a.dtype)
                found.append(number.reshape(()).astype("int8" if a.dtype == "bool" else a.dtype)[()])
        try:
            self.kernel.set_args(*found)
            cl.enqueue_nd_range_kernel(self.session.queue, self.kernel, numbers.grid, numbers.group)
        except (failure, TypeError, ValueError) as error:
            raise self._refused(numbers, error) from error

    def _fitting(self, number: int, dtype: str) -> Array:
        """An integer that a parameter of the dtype can hold."""
        if not dtypes.fits(number, dtype):
            raise self._error(f"{number} is no {dtype}, which its parameter takes")
        return np.array(number)

    def _finish(self, numbers: Numbers) -> None:
        try:
            self.session.queue.finish()
        except failure as error:
            raise self._refused(numbers, error) from error

    def _refused(self, numbers: Numbers, error: Exception) -> OwnOpError:
        groups = f"groups of {numbers.group}" if numbers.group is not None else "groups as the driver likes"
        return self._error(f"{self.session.device.name} did not run it on {numbers.grid} items in {groups}: {error}")

    def _on_device(self, numbers: Numbers, run: Run, inputs: tuple[View, ...], outputs: tuple[View, ...]) -> None:
        """Run on a device with memory of its own."""
        blocks, results = [run.blocks[v.buffer] for v in inputs], [run.blocks[v.buffer] for v in outputs]
        shapes = [v.shape for v in outputs]
        self._copied_lanes(numbers, run, blocks, inputs, results, shapes, self.raw.mapped)

    def _copied_lanes(self, numbers: Numbers, run: Run, blocks: Sequence[Block], views: Sequence[View], results: Sequence[Block],
                      shapes: Sequence[tuple[int, ...]], levels: Sequence[Sequence[bool]]) -> None:
        """The kernel on copies of the parts that each lane has."""
        dtypes_ = [np.dtype(t).itemsize for t in self._result_dtypes()]
        sizes = [int(np.prod(shape, dtype=np.int64)) * t for shape, t in zip(shapes, dtypes_)]
        if not levels:
            return self._device(numbers, run, blocks, views, results, sizes)
        lanes = shapes[0][0]
        for lane in range(lanes):
            given, own = list(blocks), [run.memory.fresh(max(n // lanes, 1)) for n in sizes]
            for k in (k for k, m in enumerate(levels[0]) if m):
                part = _bytes(views[k]) // lanes
                given[k] = run.memory.fresh(max(part, 1))
                _copy(run, given[k], blocks[k], part, 0, lane * part)
            inside = [v._replace(shape=v.shape[1:], reach=v.reach // lanes) if m else v for v, m in zip(views, levels[0])]
            self._copied_lanes(numbers, run, given, inside, own, [s[1:] for s in shapes], levels[1:])
            for whole, made, n in zip(results, own, sizes):
                _copy(run, whole, made, n // lanes, lane * (n // lanes), 0)
        return None

    def _result_dtypes(self) -> list[str]:
        return [a.dtype for a in sorted((a for a in self.raw.arguments if a.kind == "output"), key=lambda a: a.number)]

    def _device(self, numbers: Numbers, run: Run, inputs: Sequence[Block], views: Sequence[View], outputs: Sequence[Block],
                sizes: Sequence[int]) -> None:
        around = [run.memory.fresh(n + 2 * GUARD) for n in sizes] if self.raw.check else []
        for block, n in zip(around, sizes):
            cl.enqueue_fill_buffer(run.session.queue, block.buffer, np.uint8(PATTERN), 0, n + 2 * GUARD)
        inside = [b.buffer.get_sub_region(GUARD, max(n, 1)) for b, n in zip(around, sizes)] or [b.buffer for b in outputs]
        idle = 0 in numbers.grid
        for a in (a for a in self.raw.arguments if a.kind == "output" and sizes[a.number]):
            fill = self.raw.fill if self.raw.fill is not None else 0 if idle else None
            if a.start is not None:
                cl.enqueue_copy(run.session.queue, inside[a.number], inputs[a.start].buffer, byte_count=sizes[a.number])
            elif fill is not None:
                cl.enqueue_fill_buffer(run.session.queue, inside[a.number], np.array(fill).astype(a.dtype)[()], 0, sizes[a.number])
        if not idle:
            self._launch(numbers, [b.buffer for b in inputs], inside, lambda k: run.memory.read(inputs[k], views[k]))
        for name, block, n, out in zip(self.raw.outputs, around, sizes, outputs):
            ends = [np.empty(GUARD, np.uint8) for _ in range(2)]
            for end, begin in zip(ends, (0, GUARD + n)):
                cl.enqueue_copy(run.session.queue, end, block.buffer, src_offset=begin, is_blocking=True)
            self._check(name, *ends)
            _copy(run, out, block, n, 0, GUARD)


def _bytes(view: View) -> int:
    return int(np.prod(view.shape, dtype=np.int64)) * int(view.dtype.itemsize)


def _copy(run: Run, to: Block, of: Block, nbytes: int, begin: int, start: int) -> None:
    if nbytes:
        cl.enqueue_copy(run.session.queue, to.buffer, of.buffer, byte_count=nbytes, dst_offset=begin, src_offset=start)


_nothing = aligned(4096)


def _pointer(array: Array) -> Any:
    """What a kernel is given for an array, which may be empty."""
    return pointer(array if array.size else _nothing)
