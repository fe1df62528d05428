"""Which outputs of a function stay on the device, as `compile(output=)` says, and how their values are handed over."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from exprgraph.errors import GraphError, at, here, shortly
from exprgraph.later import Later
from exprgraph.marked import Pack
from exprgraph.resident import DeviceArray

PLACES = ("host", "device")


def places(output: Any, names: tuple[str, ...] | None, count: int) -> tuple[bool, ...]:
    """For each of so many outputs whether it stays; GraphError for anything but one place, or one for each."""
    if output is None or isinstance(output, str):
        return (_stays(output or "host"),) * count
    if isinstance(output, Mapping):
        if names is None or set(output) != set(names):
            raise GraphError(f"output={shortly(output)}: the keys have to be those of a dict of outputs{at(here())}")
        return tuple(_stays(output[name]) for name in names)
    if not isinstance(output, list | tuple) or len(output) != count:
        raise GraphError(f"output={shortly(output)}: expected 'host' or 'device', or one of them for each of {count} outputs{at(here())}")
    return tuple(map(_stays, output))


def _stays(place: Any) -> bool:
    if place not in PLACES:
        raise GraphError(f"output={shortly(place)}: expected 'host' or 'device'{at(here())}")
    return bool(place == "device")


def handing_over(pack: Pack, stays: tuple[bool, ...], executable: Any, named: str) -> Pack:
    """`pack` for the values that an executable gives, of which some stay; named: its device as the user calls it."""
    return (lambda values: pack(left(values, stays, lies_on(executable, named)))) if any(stays) else pack


def left(values: Sequence[Any], stays: tuple[bool, ...], device: str) -> list[Any]:
    """Some values: what a backend left in NumPy's memory is a device array where it stays."""
    return [_handed(v, device) if s and isinstance(v, np.ndarray) else v for v, s in zip_longest(values, stays[:len(values)])]


def _handed(value: np.ndarray[Any, Any], device: str) -> DeviceArray:
    value.flags.writeable = False
    return DeviceArray(value.shape, value.dtype, device, value)


def lies_on(executable: Any, named: str) -> str:
    """The device of an executable, which `named` may describe in other words; of one that is built late, what was built."""
    if isinstance(executable, Later) and executable.found is not None:
        return lies_on(executable.found.executable, executable.found.device)
    spec: str = getattr(getattr(executable, "device", None), "spec", named)
    return spec
