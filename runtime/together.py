"""Launches that two devices do together: counters for `codegen.turns`, and where a launch runs.

A command for the helping device may come to life long after its launch is done.  It then touches the counter and no more, so a counter
is used again only when the helping queue has been waited for, and its memory lives as long as the process.
"""
from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from typing import Any

import numpy as np

from codegen.turns import DONE, SLOT, STOP
from runtime.device import FORKED, Session
from runtime.driver import cl, failure

PLACES = NEAR, TOGETHER, FAR = "near", "together", "far"
ALONE = 100_000_000
"""Picoseconds below which a launch that cannot be shared runs in the calling thread: waking threads takes some 40 us."""
HELPED = 25_000_000
"""Picoseconds from which on a second thread comes in time to help."""
LONG = 10_000_000_000
"""Picoseconds from which on a launch is left to other threads: the driver holds Python's lock while the calling thread works."""
SLOTS = 128


def can_help(session: Session) -> bool:
    """Whether the threads of a device have a core besides that of the calling thread, which this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(session.device.target.units, cores) > 1


def place(work: float, items: int, shareable: bool) -> str:
    """Where a launch of so many picoseconds and work-items runs, if there is a device in the calling thread."""
    if shareable and items > 1:
        return NEAR if work < HELPED else TOGETHER if work < LONG else FAR
    return NEAR if work < ALONE else FAR


def places(work: tuple[float, float], shareable: bool) -> set[str]:
    """Where it may run if all that is known are bounds of its work."""
    low, high = work
    ends = [w for w in (0, HELPED, ALONE, LONG) if low <= w <= high]
    return {place(w, items, shareable) for w in (low, *ends) for items in (1, 2)}


def sessions(at: str, session: Session, near: Session | None) -> tuple[Session, ...]:
    """The devices that work at a place, the one in the calling thread first."""
    return tuple(s for s, busy in ((near, at != FAR), (session, at != NEAR)) if busy and s is not None)


class Helper:
    """The helping device: the last launch told its threads to stay awake, until it is stopped."""

    def __init__(self, helper: Session) -> None:
        self.queue, self.stop = helper.queue, np.zeros(1, np.int32)

    def halt(self) -> None:
        """Let go of the threads: something else needs their cores or their queue."""
        self.stop[0] = 1


class Turns:
    """Counters, one launch after the other."""

    def __init__(self, helper: Helper) -> None:
        self.helper, self.queue = helper, helper.queue
        self.memory = np.zeros(SLOTS * SLOT, np.int32)
        slots = self.memory.reshape(SLOTS, SLOT)
        self.slots = [(cl.SVM(slot), slot[DONE:DONE + 1]) for slot in slots]
        self.stops = [slot[STOP:STOP + 1] for slot in slots]
        self.next = SLOTS

    def __call__(self) -> tuple[Any, Any, Any]:
        """The argument for a counter that nobody uses, an array of one element that counts what is done, and another one to set when
        the helper has been told of the launch, which lets it go on to that."""
        helper = self.helper
        if self.next == SLOTS:
            helper.halt()
            self.queue.finish()
            self.memory.fill(0)
            self.next = 0
        stop, helper.stop = helper.stop, self.stops[self.next]
        self.next += 1
        return (*self.slots[self.next - 1], stop)


_lock = threading.Lock()
_free: list[Turns] = []
_helpers: dict[int, Helper] = {}


def helper_of(session: Session) -> Helper:
    """The helper of a device, one for all functions."""
    with _lock:
        return _helpers.setdefault(id(session.queue), Helper(session))


def turns_for(owner: object, helper: Session) -> Turns:
    """Counters for the life of the owner, who must not draw from them in two threads at once; then for the next one."""
    device = helper_of(helper)
    with _lock:
        found = next((t for t in _free if t.queue is helper.queue), None)
        if found is not None:
            _free.remove(found)
        else:
            found = Turns(device)
            atexit.register(_settle, found)
    found.next = SLOTS
    weakref.finalize(owner, _free.append, found).atexit = False
    return found


def _settle(turns: Turns) -> None:
    """Before memory goes, the helper is through with it; a forked child has no helper."""
    if FORKED:
        return
    turns.helper.halt()
    with contextlib.suppress(failure):
        turns.queue.finish()
