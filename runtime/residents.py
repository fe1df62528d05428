"""Device arrays in the memory of a device that has its own."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from exprgraph.resident import Array, Call, DeviceArray, frozen
from runtime.device import FORKED, check_process
from runtime.failures import told


class DeviceValue(DeviceArray):
    """A device array; memory: the `CopiedMemory` that its block belongs to; view: that of the block's first elements, without gaps."""
    __slots__ = ("memory", "block", "view")
    mapped = False

    def __init__(self, memory: Any, block: Any, view: Any, call: Call | None = None, borrowed: bool = False) -> None:
        super().__init__(view.shape, view.dtype, memory.session.device.spec, None, call, borrowed)
        self.memory, self.block, self.view = memory, block, view

    @property
    def call(self) -> Any:
        """The call that computes it, where nobody has waited for it yet."""
        return self._call

    def host(self) -> Array:
        """The value as a read-only array, copied once."""
        if self._host is None:
            self.wait()
            with self._faults():
                self._host = frozen(self.memory.read(self.block, self.view))
        return self._host

    def wait(self) -> None:
        """Return when it has been computed."""
        with self._faults():
            super().wait()

    def copy(self) -> DeviceValue:
        """Another array of the same values in memory of its own."""
        self.wait()
        with self._faults():
            return DeviceValue(self.memory, self.memory.duplicate(self.block), self.view)

    def viewed(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> DeviceValue:
        """The same bytes as elements of another dtype."""
        return DeviceValue(self.memory, self.block, self.view._replace(dtype=dtype, shape=shape), self._call, self.borrowed)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """A fault of the driver is told as one of ours.  A forked child is refused, where the driver would hang."""
        if FORKED:
            check_process()
        with told(self.memory.session):
            yield
