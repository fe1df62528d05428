"""Complex programs on a device: their executable works on floats, two for each number, that lie as complex numbers do."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exprgraph.complex_pairs import Parted
from exprgraph.footprint import Footprint, Given
from exprgraph.program import Program
from exprgraph.resident import DeviceArray
from exprgraph.within import limit_of
from runtime.executable import DeviceExecutable
from runtime.memory import Array
from runtime.residents import DeviceValue


def floats(value: Any) -> Any:
    """A complex array as a view of floats with a last axis of two, or a copy of it where its byte order is not the processor's; what a
    device holds for a shared variable as the device knows it."""
    if isinstance(value, DeviceValue):
        return value.viewed(np.zeros(0, value.dtype).real.dtype, (*value.shape, 2))
    if isinstance(value, DeviceArray):
        value = value.host()
    array = np.asarray(value)
    if not array.dtype.isnative or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="))
    part = array.real.dtype
    strides = (*array.strides, part.itemsize)
    if array.flags.c_contiguous:
        return array.view(part).reshape(*array.shape, 2) if array.ndim else array.reshape(1).view(part)
    return np.lib.stride_tricks.as_strided(array.real, (*array.shape, 2), strides)


def complexes(value: Array) -> Array:
    """Floats with a last axis of two as complex numbers, on the same memory."""
    whole = value.view(np.result_type(value.dtype, np.complex64)).reshape(value.shape[:-1])
    whole.flags.writeable = value.flags.writeable
    return whole


class PairedExecutable:
    """A program whose leaves or outputs are complex, over the executable of its real form."""

    def __init__(self, program: Program, parted: Parted, inner: DeviceExecutable) -> None:
        self.program, self.inner, self.target, self.device = program, inner, inner.target, inner.device
        self.leaves, self.outputs = parted.leaves, parted.outputs

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on NumPy arrays or residents."""
        given = [floats(v) if c else v for v, c in zip(values, self.leaves, strict=True)]
        limit = limit_of(self.program.options)
        alone = limit is None or not limit.held  # the short ways do not know what other stages hold
        found = self.inner.quick(*given) if alone else None
        if found is None and alone:
            found = self.inner.again(given, False)
        if found is None:
            found = self.inner(given)
        return [self._result(r) if c else r for r, c in zip(found, self.outputs)]

    @staticmethod
    def _result(value: Any) -> Any:
        """A complex output; one of a call that has not finished is waited for, unless the device has memory of its own."""
        if isinstance(value, DeviceValue):
            return value.viewed(np.result_type(value.dtype, np.complex64), value.shape[:-1])
        return complexes(value.host() if isinstance(value, DeviceArray) else value)

    def source(self) -> str:
        """The text of every kernel built so far."""
        return self.inner.source()

    def why(self) -> str:
        """Why the plans are as they are."""
        return self.inner.why()

    def memory_of(self, given: Sequence[Given] | None, sizes: Mapping[str, int]) -> Footprint:
        """What a call takes of memory: complex tensors are shown as floats with a last axis of two."""
        pairs = None if given is None else [g._replace(shape=(*(g.shape or ()), 2)) if c else g for g, c in zip(given, self.leaves)]
        found = self.inner.memory_of(pairs, sizes)
        return replace(found, shapes=tuple(s[:-1] if c else s for s, c in zip(found.shapes, self.outputs)))

    def warm(self) -> None:
        """Build everything that any later call can need."""
        self.inner.warm()

    def free(self) -> None:
        """Give back the memory that is kept between calls."""
        self.inner.free()
