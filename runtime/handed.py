"""Calls that a thread makes, one after the other, while who made them goes on: on memory shared with NumPy, which has no queue."""
from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from exprgraph.errors import Source, here, renewed
from exprgraph.locks import lock
from exprgraph.resident import DeviceArray
from runtime.calls import attributed
from runtime.device import FORKED, check_process
from runtime.memory import View

NAME = "exprgraph-calls"
AHEAD = 64
"""Calls that may wait for the thread before the caller does."""


class Thread:
    """What makes the calls of all functions of one process, in order."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, NAME)
        self.ahead: deque[Future[None]] = deque()  # the latest; those that are done count until they are looked at

    def hand_over(self, work: Callable[[], None]) -> Future[None]:
        """Have the work done: at once where the interpreter is ending, or by a call that a finaliser makes in the thread itself."""
        if threading.current_thread().name.startswith(NAME):
            return _done(work)
        while len(self.ahead) >= AHEAD:
            with contextlib.suppress(IndexError):  # another caller was sooner
                self.ahead.popleft().exception()
        try:
            made = self.pool.submit(work)
        except RuntimeError:
            return _done(work)
        self.ahead.append(made)  # not before: an interrupt may come between any two lines, and nothing is to be given back
        return made


def _done(work: Callable[[], None]) -> Future[None]:
    """The work, done by the calling thread."""
    made: Future[None] = Future()
    try:
        work()
        made.set_result(None)
    except Exception as error:
        made.set_exception(error)
    return made


_threads: list[Thread] = []
_lock = lock()


def thread() -> Thread:
    """The thread of this process."""
    with _lock:
        if not _threads:
            _threads.append(Thread())
        return _threads[0]


class Handed:
    """A call that the thread makes, or made at once and with an error."""

    def __init__(self, name: str, source: Source, error: Exception | None = None) -> None:
        self.name, self.source, self.future = name, source, Future[None]()
        self.error = None if error is None else attributed(error, name, source)

    def settle(self) -> None:
        """Return when it has finished; its error where it failed."""
        if self.error is None:
            if FORKED:
                check_process()
            self.future.result()
        if self.error is not None:
            raise renewed(self.error)


def start(name: str, device: str, outputs: Sequence[View], values: Sequence[Any],
          run: Callable[[list[Any]], list[Any]]) -> list[DeviceArray]:
    """The results of a call that the thread makes; outputs: a view for each, whose shape and dtype it has."""
    check_process()
    call = Handed(name, here())
    made = [DeviceArray(v.shape, v.dtype, device, None, call) for v in outputs]
    places = [weakref.ref(m) for m in made]
    given = list(values)

    def work() -> None:
        try:
            found = run([v.host() if isinstance(v, DeviceArray) else v for v in given])
            for place, value in zip(places, found):
                array = place()
                if array is not None:
                    array.place(value)
        except Exception as error:
            call.error = attributed(error, call.name, call.source)
        finally:
            given.clear()
    call.future = thread().hand_over(work)
    return made


def failed(name: str, device: str, outputs: Sequence[View], error: Exception) -> list[DeviceArray]:
    """The results of a call that came to an error."""
    call = Handed(name, here(), error)
    return [DeviceArray(v.shape, v.dtype, device, None, call) for v in outputs]
