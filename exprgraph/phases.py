"""Phases of a compile (optimise, generate, build, ...): timed for the profile that listens, and told on a terminal where they take long."""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from exprgraph.config import config
from exprgraph.locks import lock

PATIENCE, TICK = 1.0, 0.25
"""Seconds after which a phase is told of, and between the lines about it."""
CLEAR = "\r\x1b[K"
_listener: ContextVar[Any] = ContextVar("exprgraph profile", default=None)
_screen = lock()


@contextmanager
def listening(profile: Any) -> Iterator[None]:
    """Phases in this block are those of a profile, or of nobody where it is None."""
    before = _listener.get()
    _listener.set(profile)
    try:
        yield
    finally:
        _listener.set(before)


@contextmanager
def phase(name: str, what: str = "") -> Iterator[None]:
    """A phase, by its name and what it is about ("12 kernels")."""
    profile, done = _listener.get(), _told(f"{name} {what}".strip())
    start = time.perf_counter_ns()
    try:
        yield
    finally:
        if profile is not None:
            profile.phase(name, start, time.perf_counter_ns() - start)
        if done is not None:
            done.set()


def _told(text: str) -> threading.Event | None:
    """Tell of something until the event is set, if it is still going on after a second, and where there is a terminal."""
    if config.progress == "off" or (config.progress == "auto" and not _is_terminal()):
        return None
    done = threading.Event()
    threading.Thread(target=_tell, args=(sys.stderr, text, done, time.monotonic()), daemon=True, name="exprgraph progress").start()
    return done


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def _tell(stream: Any, text: str, done: threading.Event, start: float) -> None:
    if done.wait(PATIENCE):
        return
    while not done.is_set():
        _write(stream, f"{CLEAR}exprgraph: {text}, {time.monotonic() - start:.0f} s")
        done.wait(TICK)
    _write(stream, CLEAR)


def _write(stream: Any, text: str) -> None:
    with _screen:
        try:
            stream.write(text)
            stream.flush()
        except (AttributeError, OSError, ValueError):  # a terminal that is gone is no reason to fail
            pass
