"""Watched calls: the steps of a plan one at a time, each shown to those who monitor, compare or time it.

Every value lies in a buffer of its own, on devices that share NumPy's memory too, so that it can be read after each step.  Nothing here
is loaded or run unless a mode or a profile asks for it.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from codegen.notes import note_text
from codegen.plan import HostCall, Launch, OwnCall
from exprgraph.debugging import Trace, compare_trace
from exprgraph.modes import Mode
from exprgraph.named import NamedTuple
from exprgraph.node import Node
from exprgraph.resident import Call
from exprgraph.steps import Step, Watcher
from runtime.actions import Action, FaultCheck, FunctionCall, KernelCall, OwnAction, Run
from runtime.bandwidth import bandwidth
from runtime.checker import Checker
from runtime.driver import cl, failure
from runtime.memory import Array, Block, CopiedMemory
from runtime.prepared import Bound
from runtime.queued import Queued, Result, Sizes
from runtime.suspects import computed

Shape = tuple[int, ...]
IN, OUT = Step("copy", "copy in", "arguments to buffers"), Step("copy", "copy out", "results to arrays")


class Told(NamedTuple):
    """What is known of an action before it runs: the step, the buffers that it reads and writes, bytes and floating-point operations."""
    step: Step
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    nbytes: int
    flops: int


class Watch(NamedTuple):
    """What is known of a bound plan.  steps: for each action, None for those that are none.  shapes: by buffer.  nodes: the leaves."""
    steps: tuple[Told | None, ...]
    shapes: dict[str, Shape]
    nodes: tuple[Node, ...]
    options: Mapping[str, Any]
    trace: Trace | None


def watch(bound: Bound, nodes: Sequence[Node], options: Mapping[str, Any], trace: Trace | None) -> Watch:
    """What is known of a bound plan."""
    fit, found = bound.fit, bound.fit.found
    steps = [s for s in fit.steps if _runs(s, found)]
    left, texts = iter(steps), {n.kernel: note_text(n).rpartition(", from ")[0] for n in fit.notes}
    known = tuple(None if isinstance(a, FaultCheck) else _told(next(left), bound, found, texts) for a in bound.actions)
    shapes: dict[str, Shape] = {n: (found[b.size.text],) for n, b in fit.buffers.items()}
    for step in steps:
        if isinstance(step, Launch | HostCall):
            shapes |= {name: tuple(found[d.text] for d in shape) for name, shape in step.about.writes}
    shapes |= {v.buffer: v.shape for v in fit.outputs if v.compact}
    return Watch(known, shapes, tuple(nodes), options, trace)


def _runs(step: Any, found: Mapping[str, int]) -> bool:
    if isinstance(step, Launch):
        return all(found[g.text] > 0 for g in step.grid)
    return isinstance(step, HostCall | OwnCall)


def _told(step: Any, bound: Bound, found: Mapping[str, int], texts: Mapping[str, str]) -> Told:
    flops, reach = 0, None
    if isinstance(step, OwnCall):
        what = Step("own", step.own.name, "of your own", (step.source,) if step.source else ())
        reads, writes = tuple(o.buffer for o in step.inputs), tuple(o.buffer for o in step.outputs)
    else:
        launch, flops, reach = isinstance(step, Launch), found[step.about.flops.text], found[step.about.reach.text]
        name = step.kernel.name if launch else f"numpy.{step.function}"
        what = Step("kernel" if launch else "numpy", name, texts.get(name, ""), step.about.lines)
        reads = tuple(dict.fromkeys(step.buffers)) if launch else tuple(o.buffer for o in step.inputs)
        writes = tuple(name for name, _ in step.about.writes)
    reads = tuple(n for n in reads if n not in writes)
    return Told(what, reads, writes, _bytes(bound, found, writes, None) + _bytes(bound, found, reads, reach), flops)


def _bytes(bound: Bound, found: Mapping[str, int], names: Sequence[str], most: int | None) -> int:
    """The bytes of some buffers, of each at most so many elements."""
    buffers = [bound.fit.buffers[n] for n in names]
    counts = [found[b.size.text] if most is None else min(found[b.size.text], most) for b in buffers]
    return sum(n * np.dtype(b.dtype).itemsize for n, b in zip(counts, buffers))


class Watched(Queued):
    """The function of a bound plan whose steps are watched; it waits for each of them."""

    def __init__(self, sizes: Sizes, memory: CopiedMemory, lock: threading.RLock, watch: Watch) -> None:
        super().__init__(sizes, memory, lock)
        self.watch = watch

    def act(self, run: Run, values: Sequence[Any], later: bool) -> None:
        """Run the actions one after the other."""
        mode: Mode = self.watch.options.get("mode") or Mode()
        profile = self.watch.options.get("profile")
        if profile is not None:
            profile.device(run.session.device.name, partial(bandwidth, run.session))
        watcher, checker = Watcher(mode.monitor), self._checker(mode, values)
        for number, (action, one) in enumerate(zip(self.sizes.actions, self.watch.steps)):
            self.begin(run, number)  # what nobody reads any more stays, since whoever watches may
            if one is None:
                action.run(run)
                continue
            inputs = self._arrays(run, one.reads) if watcher.looks else ()
            watcher.before(one.step, inputs)
            self._timed(run, action, one)
            if watcher.looks:
                watcher.after(one.step, inputs, self._arrays(run, one.writes))
            if checker is not None:
                checker.check(number, one.step, lambda name: self._array(run, name))
        self.begin(run, -1)

    def _place(self, blocks: dict[str, Block], values: Sequence[Any]) -> bool:
        start = time.perf_counter_ns()
        super()._place(blocks, values)
        self._copied(IN, start, sum(v.nbytes for v in values if isinstance(v, np.ndarray)))
        return False  # such a call has finished when it returns

    def _result(self, one: Result, blocks: dict[str, Block], call: Call | None) -> Any:
        start = time.perf_counter_ns()
        found = super()._result(one, blocks, call)
        if isinstance(found, np.ndarray):
            self._copied(OUT, start, found.nbytes)
        return found

    def _copied(self, step: Step, start: int, nbytes: int) -> None:
        """Count a copy, where a call that nobody watches makes it too."""
        profile = self.watch.options.get("profile")
        if profile is not None and not self.memory.session.device.target.host_shared:
            profile.add(step, self.memory.session.device.name, start, time.perf_counter_ns() - start, nbytes, 0)

    def _checker(self, mode: Mode, values: Sequence[Any]) -> Checker | None:
        """What compares kernels in this call, after it has compared the rewrites of the plan."""
        trace = self.watch.trace
        if trace is None or mode.debug is None:
            return None
        leaves = {n.uid: v if isinstance(v, np.ndarray) else np.asarray(v.host()) for n, v in zip(self.watch.nodes, values)}
        if mode.debug.rewrites:
            compare_trace(trace, leaves, self.watch.options["compared"])
        writes = [() if one is None else one.writes for one in self.watch.steps]
        if not mode.debug.kernels:
            return None
        return Checker(trace.places, leaves, writes, self.watch.options["compared"],
                       partial(computed, options=self.watch.options, device=self.memory.session.device.spec))

    def _arrays(self, run: Run, names: Sequence[str]) -> tuple[Array, ...]:
        return tuple(self._array(run, n) for n in names)

    def _array(self, run: Run, name: str) -> Array:
        """A copy of what is in a buffer, in the shape of what lies there; of scratch memory without a shape."""
        buffer = next(b for b in self.sizes.buffers if b.name == name)
        shape = self.sizes.leaves[buffer.number].shape if buffer.role == "leaf" else self.watch.shapes[name]
        found = np.empty(shape, buffer.dtype)
        if found.size:
            cl.enqueue_copy(run.session.queue, found, run.blocks[name].buffer, is_blocking=True)
        return found

    def _timed(self, run: Run, action: Action, one: Told) -> None:
        profile = self.watch.options.get("profile")
        run.session.queue.finish()
        start = time.perf_counter_ns()
        event = profile is not None and isinstance(action, KernelCall)
        spent = (_by_event if event else _by_clock)(run, action)
        if profile is not None:
            profile.add(one.step, run.session.device.name, start, spent, one.nbytes, one.flops)


@lru_cache(maxsize=16)
def _timing(context: Any, device: Any) -> Any:
    """A queue whose events tell the time."""
    return cl.CommandQueue(context, device, properties=cl.command_queue_properties.PROFILING_ENABLE)


def _by_event(run: Run, action: Action) -> int:
    """The nanoseconds of a launch by its event, which is dropped; by the clock where a driver's events do not tell."""
    queue = _timing(run.session.context, run.session.device.handle)
    start = time.perf_counter_ns()
    event: Any = action.run(run._replace(session=run.session.on(queue)))
    queue.finish()
    try:
        return int(event.profile.end - event.profile.start)
    except failure:
        return time.perf_counter_ns() - start


def _by_clock(run: Run, action: Action) -> int:
    """The nanoseconds of a function on arrays, without the copies that only watching needs; of a kernel of the user's own, of the step."""
    spent: list[int] = []
    if isinstance(action, FunctionCall | OwnAction) and getattr(action, "kernel", None) is None:
        action = action._replace(function=partial(_clocked, action.function, spent))
    start = time.perf_counter_ns()
    action.run(run)
    run.session.queue.finish()
    return spent[0] if spent else time.perf_counter_ns() - start


def _clocked(function: Callable[..., Any], spent: list[int], *arguments: Any, **keywords: Any) -> None:
    start = time.perf_counter_ns()
    function(*arguments, **keywords)
    spent.append(time.perf_counter_ns() - start)
