"""Where a launch runs, and the threads that help the calling one: they stand by in a kernel of the device that has threads.

What helpers and the calling thread say to each other is in `codegen.switchboard`; here they are woken and let go.
"""
from __future__ import annotations

import atexit
import contextlib
import os
import threading
from typing import Any

from codegen import switchboard as board
from exprgraph.warned import warn
from runtime import crashes
from runtime.device import Opened, Session, foreign
from runtime.driver import cl, failure
from runtime.recipe import forever, lines
from runtime.workshop import GUESTS, compiled

NEVER = 1 << 62
"""More picoseconds of work than any job has."""
PLACES = NEAR, FAR = "near", "far"
ALONE = 100_000_000
"""Picoseconds below which a launch by the driver runs in the calling thread, which holds Python's lock then: waking threads takes some
40 us."""


def helpers_of(session: Session) -> int:
    """The threads of a device that have a core besides that of the calling thread, which this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(session.device.target.units, cores) - 1


def place(work: float, items: int, shareable: bool) -> str:
    """Where a launch of so many picoseconds and work-items runs, if there is a device in the calling thread; shareable: helpers may
    take part."""
    return NEAR if work < ALONE or (shareable and items > 1) else FAR


def places(work: tuple[float, float], shareable: bool) -> set[str]:
    """Where it may run if all that is known are bounds of its work."""
    return {place(w, items, shareable) for w in work for items in (1, 2)}


def _limit(name: str) -> int:
    """The word of the box that holds a limit."""
    return board.BOX["LIMITS"] + list(board.LIMITS).index(name)


class Helpers:
    """The helpers of a device, one set for all functions; `stop` is set to 1 to let them go at once."""

    def __init__(self, session: Session) -> None:
        self.session, self.count = session, max(helpers_of(session), 1)
        first, line, limits = board.BOX["FIRST"], board.BOX["LINE"], board.BOX["LIMITS"]
        self.box = lines(first + line * self.count)
        self.box[limits:limits + len(board.LIMITS)] = list(board.LIMITS.values())
        self.stop = self.box[board.BOX["STOP"]:board.BOX["STOP"] + 1]
        self.states = self.box[first::line]
        self._running: tuple[Opened, Any] | None = None
        self._counted_on = False
        self._lock = threading.RLock()  # again, since a signal handler may call a function of its own
        forever(self.box)
        atexit.register(self._end)
        GUESTS.append(self)

    def ready(self, always: bool = False) -> None:
        """Build what the helpers run, unless it is there; always: from now on it is there whenever a call may need it."""
        with self._lock:
            self._counted_on |= always
            if self._running is None and self.box[_limit("HELPED")] != NEVER:
                crashes.building()
                device = self.session.device
                context = cl.Context([device.handle])
                kernel = cl.Kernel(compiled(context, device, board.source()), board.HELP)
                kernel.set_args(cl.SVM(self.box))
                self._running = Opened(context, cl.CommandQueue(context, device.handle)), kernel

    def _end(self) -> None:
        """The interpreter is ending: calls that finalisers make from here on do without helpers, which could not be built any more."""
        if not foreign():
            self.limit("HELPED", NEVER)
            self.leave()

    def back(self) -> None:
        """Build it again after `leave`, if it is counted on."""
        if self._counted_on and not foreign():
            with contextlib.suppress(failure):  # the next call finds out
                self.ready()

    def wake(self) -> None:
        """Have them stand by, or do without them for good where that fails."""
        try:
            with self._lock, crashes.settling():
                self.ready()
                self.stop[0] = 0
                assert self._running is not None
                opened, kernel = self._running
                cl.enqueue_nd_range_kernel(opened.queue, kernel, (self.count,), (1,))
        except (failure, OSError) as error:
            self.limit("HELPED", NEVER)
            warn(f"{self.session.device.name} does not run the kernel for its other threads, so calls use one core from now on: {error}",
                 RuntimeWarning)

    def limit(self, name: str, value: int) -> None:
        """Set one of the limits of `codegen.switchboard`."""
        self.box[_limit(name)] = value

    def halt(self) -> None:
        """Let go of the threads: something else needs their cores or their queue."""
        self.stop[0] = 1

    def leave(self) -> None:
        """Let go of the threads and of the context: before memory goes, the helpers are through with it; a forked child has none."""
        if foreign():
            return
        with self._lock:
            self.halt()
            if self._running is not None:
                with contextlib.suppress(failure):
                    self._running[0].queue.finish()
            self._running = None


_lock = threading.RLock()
_helpers: dict[str, Helpers] = {}


def helper_of(session: Session) -> Helpers:
    """The helpers of a device."""
    with _lock:
        if session.key not in _helpers:
            _helpers[session.key] = Helpers(session)
        return _helpers[session.key]
