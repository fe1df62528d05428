"""Executables that are built when they are needed first; the functions that follow one go over to what was built."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from exprgraph.locks import lock
from exprgraph.named import NamedTuple
from exprgraph.program import Executable, Program


class Built(NamedTuple):
    """What a build gives: the optimised program, its executable, and the device that this is for."""
    program: Program
    executable: Executable
    device: str


class Follower(Protocol):
    """A function that goes over to what was built."""

    def adopt(self, built: Built) -> None:
        """Use it from the next call on."""


class Later:
    """An executable that is built when it is needed first: by a call, or by whoever waits for it.  A build that fails is tried again."""

    def __init__(self, make: Callable[[], Built]) -> None:
        self.make, self.found = make, None
        self.followers: WeakSet[Any] = WeakSet()
        self._lock, self._joining = lock(), lock()

    found: Built | None

    def follow(self, follower: Follower) -> None:
        """Have a function go over to what is built, now or when it is there."""
        with self._joining:
            self.followers.add(follower)
        if self.found is not None:
            follower.adopt(self.found)

    def build(self) -> Built:
        """What is built, for all who follow."""
        with self._lock:
            if self.found is None:
                found = self.make()
                self.found = found
            with self._joining:  # a set does not take what comes while it is read
                known = list(self.followers)
            for one in known:
                one.adopt(self.found)
            return self.found

    def settled(self) -> str | None:
        """Wait for what is built, then say what parts of it are built for where that is not the device that was asked for."""
        self.wait()
        return None

    def wait(self, timeout: float | None = None) -> Built | None:
        """What is built; the error of the build."""
        return self.build()

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on what is built."""
        return self.build().executable(values)

    def source(self) -> str:
        """The text of the kernels."""
        return self.build().executable.source()

    def why(self) -> str:
        """Why the plans are as they are."""
        return self.build().executable.why()

    def warm(self) -> None:
        """Build everything that any later call can need."""
        self.build().executable.warm()

    def memory_of(self, given: Any, sizes: Any) -> Any:
        """What a call takes of memory."""
        return self.build().executable.memory_of(given, sizes)

    def free(self) -> None:
        """Give back what is kept between calls."""
        if self.found is not None:
            self.found.executable.free()
