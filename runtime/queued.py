"""Calls on devices with memory of their own: for each plan and set of sizes a function that puts the launches of a call into the queue.

The queue runs them in order, so a call whose arguments and results all stay on the device does not wait for them.  One that brings or
returns host memory has finished when it returns, and so has one that updates shared variables and whose kernels can find faults: these
are looked for before anything is published.  Without updates, who reads a result looks for them.
"""
from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from codegen.plan import Buffer
from exprgraph.config import config
from exprgraph.errors import AllocationError, here
from exprgraph.named import NamedTuple
from exprgraph.resident import Call
from runtime.actions import Action, FaultCheck, Run, buffers_of
from runtime.calls import Launched
from runtime.case import Leaf
from runtime.device import FORKED, check_process
from runtime.driver import failure
from runtime.failures import reentrant, translated
from runtime.leaves import Leaves
from runtime.memory import Block, CopiedMemory, View, check_budget
from runtime.residents import DeviceValue
from runtime.workspace import lifetimes


class Sizes(NamedTuple):
    """A plan with the numbers of one call.

    rooms: the bytes of each buffer that is no leaf and no constant; largest: those of the largest buffer or argument.  kept: for each
    leaf, whether it is a shared variable; n_outputs: how many results go to the user.  stays: which of the first results are to stay;
    name: the function's; told: what a fault is called.
    """
    buffers: tuple[Buffer, ...]
    constants: dict[str, Block]
    actions: tuple[Action, ...]
    results: tuple[View, ...]
    rooms: dict[str, int]
    wanted: int
    largest: int
    leaves: tuple[Leaf, ...]
    kept: tuple[bool, ...]
    n_outputs: int
    stays: tuple[bool, ...]
    name: str
    told: Callable[[BaseException], BaseException]

_inside: WeakKeyDictionary[Any, list[bool]] = WeakKeyDictionary()
"""By the lock of an executable, whether a call of it is under way: its functions for all sizes share kernels."""


class Queued:
    """The function: called with one value per leaf it returns one per output, or None where the values are not like those of then.

    The lock, that of the executable, is held while kernels get their arguments and are put into the queue.
    """

    def __init__(self, sizes: Sizes, memory: CopiedMemory, lock: threading.RLock) -> None:
        self.sizes, self.memory, self.lock = sizes, memory, lock
        own = [b for b in sizes.buffers if b.role == "leaf" or b.name in sizes.rooms]
        self.arguments = [(b.name, b.number, sizes.kept[b.number]) for b in own if b.role == "leaf"]
        self.fresh = [(b.name, sizes.rooms[b.name]) for b in own if b.role == "output"]
        self.begins, self.ends = _temporaries(sizes, {b.name: sizes.rooms[b.name] for b in own if b.role == "temp"})
        self.flags = next((b.name for b in own if b.role == "flags"), None)
        self.zeros: Block | None = None
        self.inside = _inside.setdefault(lock, [])
        self.results = list(_results(sizes))
        self.stays = all(ways.stays and ways.view.compact for ways in self.results)
        self.finishes = not self.stays and any(not (w.stays and w.view.compact) and w.view.reach for w in self.results)
        self.check = next((a for a in sizes.actions if isinstance(a, FaultCheck)), None)
        self.updates = len(sizes.results) > sizes.n_outputs

    def __call__(self, *values: Any, checked: bool = False, trusted: bool = False) -> list[Any] | None:
        if FORKED:
            check_process()
        if self.memory.session.lost or (not trusted and not self._fit(values)):
            return None
        try:
            return self._called(values)
        except AllocationError as error:
            raise self.sizes.told(error) from error.__cause__

    def _called(self, values: Sequence[Any]) -> list[Any]:
        with self.lock:
            if self.inside:
                raise reentrant()
            self.inside.append(True)
            try:
                return self._within(values)
            finally:
                self.inside.clear()

    def _within(self, values: Sequence[Any]) -> list[Any]:
        memory, wanted = self.memory, self.sizes.wanted
        if memory.account.bytes + memory.idle.bytes + wanted > memory.session.device.memory:
            check_budget(memory, wanted, self.sizes.largest)
        try:
            return self._run(values)
        except AllocationError:
            if not memory.idle.bytes:
                raise
        memory.idle.clear()  # drivers that give memory at the first use fail at a launch only; nothing has been published
        return self._run(values)

    def _fit(self, values: Sequence[Any]) -> bool:
        """Whether the values are of the form that this was made for, and where the device can use them or copy them at once."""
        for leaf, value in zip(self.sizes.leaves, values):
            resident = type(value) is DeviceValue
            if not resident and type(value) is not np.ndarray or value.shape != leaf.shape or value.dtype is not leaf.dtype:
                return False
            if not (self.memory.accepts(value) if resident else value.flags.c_contiguous and value.flags.aligned):
                return False
            if leaf.value is not None and Leaves.integer(value) != leaf.value:
                return False
        return True

    def _run(self, values: Sequence[Any]) -> list[Any]:
        memory, session = self.memory, self.memory.session
        blocks = dict(self.sizes.constants)
        run, zeros, self.zeros = Run(session, memory, blocks, []), self.zeros, None
        if self.updates:
            self._settle(values, in_doubt=True)
        try:
            call = self._call(values) if self._place(blocks, values) and self.stays else None
            if self.flags is not None:
                if zeros is None:
                    zeros = memory.fresh(self.sizes.rooms[self.flags])
                    memory.zero(zeros)
                blocks[self.flags] = zeros
            later = call is not None and self.check is not None and not self.updates
            self.act(run, values, later)
            found = [self._result(one, blocks, call) for one in self.results]
            if call is not None:
                if later:
                    self._leave_faults(call, zeros)
                    zeros = None
                call.event = run.events[-1] if run.events else None
                memory.leave()
            else:
                if not self.finishes:
                    session.queue.finish()
                self._settle(values)
        except BaseException as error:
            with contextlib.suppress(failure):  # no kernel may still run when its memory is given back
                session.finish()
            if (told := translated(error, session)) is error:
                raise  # with what it was caused by
            raise told from None
        finally:
            blocks.clear()  # a fault that somebody keeps keeps no memory
        self.zeros = zeros
        return found

    def act(self, run: Run, values: Sequence[Any], later: bool) -> None:
        """Put what a call does into the queue; `values` are what it was given.  later: whoever reads a result looks for faults."""
        for number, action in enumerate(self.sizes.actions):
            self.begin(run, number)
            if not later or not isinstance(action, FaultCheck):
                action.run(run)
            for name in self.ends[number]:
                del run.blocks[name]
        self.begin(run, -1)  # of results that no launch writes, since they have no elements

    def begin(self, run: Run, number: int) -> None:
        """Memory for what the action of this number is the first to write."""
        for name, nbytes in self.begins[number]:
            run.blocks[name] = self.memory.fresh(nbytes)

    def _call(self, values: Sequence[Any]) -> Launched:
        """The record of a call that will not have finished when it returns."""
        causes: list[Call] = [v.call for v in values if type(v) is DeviceValue and v.call is not None]
        return Launched(self.sizes.name, here(), self.memory.session, causes)

    @staticmethod
    def _settle(values: Sequence[Any], in_doubt: bool = False) -> None:
        """Wait for the calls that computed the arguments; in_doubt: only for those that may have found faults."""
        for value in values:
            if type(value) is DeviceValue and value.call is not None and (not in_doubt or value.call.doubtful):
                value.wait()

    def _leave_faults(self, call: Launched, flags: Block | None) -> None:
        """Who reads a result looks at the flags, which no other call uses."""
        assert self.check is not None and flags is not None
        view = self.check.flags
        call.doubtful = True
        call.sites, call.flags = self.check.sites, lambda: self.memory.read(flags, view).tolist()

    def _place(self, blocks: dict[str, Block], values: Sequence[Any]) -> bool:
        """A block for every argument and output; whether all arguments are on the device and of this queue."""
        stays, memory = True, self.memory
        for name, number, kept in self.arguments:
            value = values[number]
            blocks[name] = memory.leaf(value, kept)
            stays = stays and (kept if type(value) is np.ndarray else memory.owns(value))
        for name, nbytes in self.fresh:
            blocks[name] = memory.fresh(nbytes)
        return stays

    def _result(self, one: Result, blocks: dict[str, Block], call: Call | None) -> Any:
        block = blocks[one.view.buffer]
        if one.stays and one.view.compact:
            value = DeviceValue(self.memory, block if one.fresh else self.memory.duplicate(block), one.view, call)
            if one.kept and config.host_mirror:
                value.host()
            return value
        array = self.memory.read(block, one.view)
        if one.stays:
            return self.memory.resident(array)
        if not one.fresh:
            array = np.array(array, order="C", copy=True)
            array.flags.writeable = not one.kept
        return array


def _temporaries(sizes: Sizes, rooms: dict[str, int]) -> tuple[list[list[tuple[str, int]]], list[list[str]]]:
    """For each action the intermediates that it is the first to use, with their bytes, and those that are not needed after it."""
    used = [*map(buffers_of, sizes.actions), tuple(v.buffer for v in sizes.results)]
    begins: list[list[tuple[str, int]]] = [[] for _ in used]
    ends: list[list[str]] = [[] for _ in used]
    for name, (first, last) in lifetimes(used, rooms).items():
        begins[first].append((name, rooms[name]))
        ends[last].append(name)
    return begins, ends


class Result(NamedTuple):
    """How an output is handed over.  fresh: its buffer is the call's own, and no other output's.  kept: it is the new value of a shared
    variable; stays: it is not copied to the host."""
    view: View
    fresh: bool
    kept: bool
    stays: bool


def _results(sizes: Sizes) -> list[Result]:
    roles, seen, found = {b.name: b.role for b in sizes.buffers}, set[str](), list[Result]()
    for number, view in enumerate(sizes.results):
        fresh, kept = roles[view.buffer] == "output" and view.buffer not in seen, number >= sizes.n_outputs
        wanted = number < len(sizes.stays) and sizes.stays[number]
        found.append(Result(view, fresh, kept, wanted or (fresh and kept and view.compact)))
        seen.add(view.buffer)
    return found
