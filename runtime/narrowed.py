"""Programs with float64 on a device that has none: their executable works on float32, and the user's arrays keep their dtype."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph.downcast import SMALLER, Downcast
from runtime.executable import DeviceExecutable
from runtime.paired import PairedExecutable


class NarrowedExecutable:
    """A program of wide floats over the executable of its float32 form; results of float64 come back on the host."""

    def __init__(self, cast: Downcast, inner: DeviceExecutable | PairedExecutable) -> None:
        self.cast, self.inner, self.device = cast, inner, inner.device

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on NumPy arrays or residents; what is beyond float32's range becomes infinite, as in a cast."""
        given = [v if wide is None else _narrow(v, wide) for v, wide in zip(values, self.cast.leaves, strict=True)]
        return [v if wide is None else _widen(v, wide) for v, wide in zip(self.inner(given), self.cast.outputs, strict=True)]

    def source(self) -> str:
        """The text of every kernel built so far."""
        return self.inner.source()

    def why(self) -> str:
        """Why the plans are as they are."""
        return (f'{self.device.name} has no float64: {self.cast.tensors} tensors are computed in float32 (missing_float64="downcast")\n'
                f"{self.inner.why()}")

    def warm(self) -> None:
        """Build everything that any later call can need."""
        self.inner.warm()

    def memory_of(self, given: Any, sizes: Any) -> Any:
        """What a call takes of memory on the device."""
        return self.inner.memory_of(given, sizes)

    def free(self) -> None:
        """Give back the memory that is kept between calls."""
        self.inner.free()


def _host(value: Any) -> Any:
    return value.host() if hasattr(value, "host") else value


def _narrow(value: Any, wide: str) -> Any:
    with np.errstate(over="ignore"):
        return np.asarray(_host(value)).astype(SMALLER[wide])


def _widen(value: Any, wide: str) -> Any:
    found = np.asarray(_host(value)).astype(wide)
    found.flags.writeable = isinstance(value, np.ndarray) and value.flags.writeable
    return found
