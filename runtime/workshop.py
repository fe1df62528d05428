"""The workshop: a context in which programs are built that the driver never launches, and which is replaced when it has had its share.

PoCL keeps what its compiler knows of every program that it has built (constants, metadata, a library of builtins: some 10 KiB a program,
90 MiB in all) until the last context of the process goes.  Of a program that is called natively nothing is needed but the code, which
stays loaded by itself.
"""
from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from runtime.declared import SKIPPED, declared
from runtime.device import Device, Opened, in_use
from runtime.driver import cl, failure

BUILDS = 64
"""How many programs are built in a context: a new one costs some 20 ms."""


class Guest(Protocol):
    """Who has another context that can be made anew."""

    def leave(self) -> None:
        """Let go of it."""

    def back(self) -> None:
        """Make it anew, if somebody counts on it."""


GUESTS: list[Guest] = []
"""Those whose contexts go where a context is replaced: the compiler lets go of what it knows with the last one."""


class Workshop:
    """The context of a device in which programs are built, and a queue to start them once."""

    def __init__(self, device: Device) -> None:
        self.device, self.lock = device, threading.RLock()
        self.count = 0
        self._opened: Opened | None = None

    def enter(self) -> Opened:
        """The context and the queue for one program.  Whoever holds them may go on with them when others have replaced them."""
        with self.lock:
            if self.count >= BUILDS:
                self.close()
            if self._opened is None:
                context = cl.Context([self.device.handle])
                self._opened = Opened(context, cl.CommandQueue(context, self.device.handle))
            self.count += 1
            return self._opened

    def leave(self) -> None:
        """Let go of the context."""
        with self.lock:
            self._opened, self.count = None, 0

    def close(self) -> None:
        """Let go of the context, and of all others unless one has to stay."""
        with self.lock:
            self.leave()
            guests = [] if in_use() else list(GUESTS)
            for guest in guests:
                guest.leave()
            for guest in guests:
                guest.back()


def compiled(context: Any, device: Device, text: str, options: Sequence[str] = ()) -> Any:
    """A program that was built for a device; an error of the driver where it cannot be."""
    short = declared(text) if device.pocl else None
    if short is not None:
        try:
            return _compiled(context, device, short, (*options, SKIPPED))
        except failure as error:
            if "error:" not in str(error):  # nothing in the text was refused: that is for whoever knows of damaged caches
                raise
    return _compiled(context, device, text, options)


def _compiled(context: Any, device: Device, text: str, options: Sequence[str]) -> Any:
    program = cl.Program(context, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.CompilerWarning)
        program.build(list(options), devices=[device.handle])
    if device.pocl and not program.get_info(cl.program_info.NUM_KERNELS):
        raise failure("the program has no kernels")
    return program


_lock = threading.RLock()
_workshops: dict[str, Workshop] = {}


def workshop(device: Device) -> Workshop:
    """The workshop of a device."""
    with _lock:
        return _workshops.setdefault(device.spec, Workshop(device))
