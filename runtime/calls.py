"""Calls that return before they have finished: whose they are, where the user made them, and what they came to."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from codegen.plan import Site
from exprgraph.errors import Source, renewed
from exprgraph.resident import Call
from runtime.actions import fault_of
from runtime.device import FORKED, Session, check_process
from runtime.driver import failure
from runtime.failures import translated

DEEPEST = 64
"""Calls in a row that know of each other."""


def attributed(error: Exception, name: str, source: Source) -> Exception:
    """The error of a call in the name of its function, with the line of the call: one that came from a call before keeps its own."""
    if getattr(error, "of_a_call", False):
        return error
    try:
        told = type(error)(f"{error}\n  in the call of {name} at {source}")
    except Exception:  # an error of the user's own, made otherwise
        told = error
    told.__cause__, told.of_a_call = error.__cause__, True  # type: ignore[attr-defined]
    return told.with_traceback(None)  # whose frames would keep what the call worked on


class Launched:
    """A call whose launches are in a queue.  sites: where its kernels can find faults, which they leave in what `flags` reads.

    causes: the calls whose results it was given, whose errors it has.  doubtful: whether its kernels or theirs can find faults.  After
    some calls in a row faults are looked for, and what a driver may yet say of the first of them is left to the driver.
    """

    def __init__(self, name: str, source: Source, session: Session, causes: Iterable[Call]) -> None:
        self.name, self.source, self.session = name, source, session
        self.event: Any = None
        self.sites: Sequence[Site] = ()
        self.flags: Callable[[], Sequence[int]] | None = None
        self.error: Exception | None = None
        self.finished = False
        self._lock = threading.RLock()
        self.causes = tuple({id(c): c for c in causes}.values())
        self.doubtful = any(getattr(c, "doubtful", True) for c in self.causes)
        self.depth = 1 + max((getattr(c, "depth", 0) for c in self.causes), default=0)
        if self.depth > DEEPEST:
            if self.doubtful:
                self._inherit()
            self.causes, self.depth = (), 1

    def settle(self) -> None:
        """Return when it has finished; its error, or that of the call whose results it was given, where one failed."""
        if FORKED:
            check_process()
        with self._lock:
            if not self.finished:
                self._finish()
        if self.error is not None:
            raise renewed(self.error)

    def _finish(self) -> None:
        self._inherit()
        if self.error is None:
            try:
                self._look()
            except (failure, Exception) as error:
                told = translated(error, self.session)
                self.error = attributed(told if isinstance(told, Exception) else error, self.name, self.source)
        self.finished, self.flags, self.event = True, None, None

    def _inherit(self) -> None:
        """The first error among the calls before becomes this one's."""
        for cause in self.causes:
            try:
                cause.settle()
            except Exception as error:
                self.error = self.error or error
        self.causes = ()

    def _look(self) -> None:
        if self.event is None:  # the last thing that it put into the queue was no launch of ours
            self.session.queue.finish()
        else:
            self.event.wait()
        found = self.flags() if self.flags is not None else ()
        if found and found[0]:
            raise fault_of(self.sites, found)
