"""Builds by a thread, while NumPy answers the calls."""
from __future__ import annotations

import atexit
import os
import threading
import traceback
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import cached_property
from types import TracebackType
from typing import Any
from weakref import WeakSet

from exprgraph.bodies import opened
from exprgraph.errors import AllocationError, DeviceError, at, here, renewed
from exprgraph.graph import order
from exprgraph.later import Built, Later
from exprgraph.named import NamedTuple
from exprgraph.own.op import SILENT
from exprgraph.program import Executable, Program
from exprgraph.staying import left
from exprgraph.warned import warn

AGAIN = 0.05
"""Seconds after which who waits looks around, so that Ctrl-C comes through."""
_running: WeakSet[threading.Thread] = WeakSet()


def _settle() -> None:
    """Before the interpreter is taken down: no thread may be within the driver then."""
    for thread in list(_running):
        thread.join()


def _forget() -> None:
    """A forked child has none of the threads."""
    _running.clear()


atexit.register(_settle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Nature(NamedTuple):
    """What decides who answers a call of a program, before anything of it runs.

    silent: something has no meaning for NumPy.  once: the user's own may do more than compute, so that no call is begun twice.
    bounded: a call may be refused for its memory.
    """
    silent: bool
    once: bool
    bounded: bool


def nature(program: Program) -> Nature:
    """Of all of a program, with what is inside its bodies and of all its stages."""
    ops = {n.op for n in order(opened(program.graph.outputs))}
    mode = program.options.get("mode")
    acts = any("impure" in op.flags and op.kind == "composite" for op in ops) or (mode is not None and mode.monitor is not None)
    return Nature(any(SILENT in op.flags for op in ops), acts, program.options.get("max_bytes") is not None)


class Background(Later):
    """An executable that is being built by a thread: NumPy's until then, for what it has a meaning and the room for; other calls wait.

    program and plain: what NumPy runs.  What goes wrong is told once by a warning, at a call, and raised by `wait`.
    """
    error: BaseException | None
    where: TracebackType | None

    def __init__(self, program: Program, plain: Executable, make: Callable[[], Built]) -> None:
        super().__init__(make)
        self.program, self.plain, self.error, self.where = program, plain, None, None
        self.pid, self.done, self.told = os.getpid(), threading.Event(), False
        settings = copy_context()  # of those that hold in a block around the compile
        self.thread = threading.Thread(target=settings.run, args=(self._run,), name="exprgraph build", daemon=True)
        _running.add(self.thread)
        self.thread.start()

    @cached_property
    def nature(self) -> Nature:
        """Who may answer."""
        return nature(self.program)

    def _run(self) -> None:
        try:
            self.build()
        except BaseException as error:  # whoever waits is told
            traceback.clear_frames(error.__traceback__)  # lines are told, arrays are let go of
            self.error, self.where = error, error.__traceback__
        finally:
            self.done.set()

    def wait(self, timeout: float | None = None) -> Built | None:
        """What was built, or None where it is not there in so many seconds; the error of the build; DeviceError in a forked child."""
        left = float("inf") if timeout is None else timeout
        while self.found is None and not self.done.is_set() and left > 0:
            if self.pid != os.getpid():
                raise DeviceError(f"this process was forked while kernels were being built, and has no thread that does it: calls are "
                                  f"answered by NumPy here{at(here())}")
            self.done.wait(min(AGAIN, left))
            left -= AGAIN
        if self.error is not None:
            raise renewed(self.error).with_traceback(self.where)
        return self.found

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on what there is."""
        if self.found is not None:
            return self.found.executable(values)
        self._tell()
        found = self._by_numpy(values)
        if found is None:
            built = self.wait()
            assert built is not None
            return built.executable(values)
        return left(found, self.program.stays, "numpy")

    def _by_numpy(self, values: Sequence[Any]) -> list[Any] | None:
        """What NumPy answers; None where kernels have to."""
        silent, once, bounded = self.nature
        if silent or (once and bounded and self._other() is not None):
            return None
        try:
            return self.plain(values)
        except AllocationError:
            if once or self._other() is None:
                raise
            return None

    def _other(self) -> Built | None:
        """What was built, for a call that NumPy has no room for; None where that has failed."""
        try:
            return self.wait()
        except Exception:  # it is told by a warning
            return None

    def _tell(self) -> None:
        """Warn, once, where the build has failed."""
        if self.error is not None and not self.told:
            self.told = True
            said = str(self.error).partition("\n")[0]
            warn(f"kernels could not be built in the background, so NumPy goes on computing, slowly; f.wait() raises the error: {said}",
                 RuntimeWarning)

    def settled(self) -> str | None:
        """Wait for the end of the build; NumPy where it has failed, or has no thread."""
        found = self._other()
        self._tell()
        return None if found is not None else "numpy"

    def source(self) -> str:
        """What NumPy evaluates, or the text of the kernels."""
        return (self.plain if self.found is None else self.found.executable).source()

    def why(self) -> str:
        """That NumPy answers, and until when."""
        if self.found is not None:
            return self.found.executable.why()
        return "NumPy answers, since " + (f"the build failed: {self.error}" if self.error else "kernels are being built")

    def warm(self) -> None:
        """Wait, and build the rest."""
        built = self.wait()
        if built is not None:
            built.executable.warm()

    def memory_of(self, given: Any, sizes: Any) -> Any:
        """What a call takes of memory as things are."""
        return (self.plain if self.found is None else self.found.executable).memory_of(given, sizes)
