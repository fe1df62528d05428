"""A driver that fails when it is told to: it stands in front of pyopencl and raises a given error at the n-th call of a given function."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import direct
from runtime.driver import cl

POINTS = {"build": (cl.Program, "build"), "kernel": (cl, "Kernel"), "buffer": (cl, "Buffer"), "launch": (cl, "enqueue_nd_range_kernel"),
          "copy": (cl, "enqueue_copy"), "finish": (cl.CommandQueue, "finish"), "flush": (cl.CommandQueue, "flush"),
          "arguments": (cl.Kernel, "set_args"), "argument": (cl.Kernel, "set_arg"), "context": (cl, "Context"),
          "queue": (cl, "CommandQueue")}
"""What can be made to fail: where it lies, and its name."""


class FailingDriver:
    """Counts the calls of each point; `fail` arms it.  persistent: every call of the point fails from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        self.armed: tuple[str, int, Exception, bool] | None = None
        self.raised = 0
        for point, (place, name) in POINTS.items():
            monkeypatch.setattr(place, name, self._guarded(point, getattr(place, name)))
        direct._compiled.cache_clear()  # what was written before knows the driver itself

    def fail(self, point: str, number: int, error: Exception, persistent: bool = False) -> None:
        """From now on the call of that number (1 is the next one) of a point raises."""
        self.calls.clear()
        self.armed, self.raised = (point, number, error, persistent), 0

    def behave(self) -> None:
        """Fail no more, and count from zero."""
        self.armed = None
        self.calls.clear()

    def _guarded(self, point: str, real: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.calls[point] += 1
            if self.armed is not None and self.armed[0] == point:
                _, number, error, persistent = self.armed
                if self.calls[point] == number or (persistent and self.calls[point] > number):
                    self.raised += 1
                    raise error
            return real(*arguments, **keywords)
        return call


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingDriver]:
    """The driver of this process, which fails when it is told to."""
    yield FailingDriver(monkeypatch)
    monkeypatch.undo()
    direct._compiled.cache_clear()


ERRORS = {
    "no memory": lambda: cl.MemoryError("clSomething failed: MEM_OBJECT_ALLOCATION_FAILURE"),
    "no resources": lambda: cl.RuntimeError("clSomething failed: OUT_OF_RESOURCES"),
    "no host memory": lambda: cl.RuntimeError("clSomething failed: OUT_OF_HOST_MEMORY"),
    "invalid value": lambda: cl.LogicError("clSomething failed: INVALID_VALUE"),
    "lost queue": lambda: cl.LogicError("clSomething failed: INVALID_COMMAND_QUEUE"),
    "lost device": lambda: cl.RuntimeError("clSomething failed: DEVICE_NOT_AVAILABLE")}
