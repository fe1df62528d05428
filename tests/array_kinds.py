"""The kinds of devices that device arrays lie on, for their tests: memory shared with NumPy, memory of its own, and no device at all."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.resident import DeviceArray
from runtime import arrays, function
from runtime.memory import account, data_of
from tests.hand_plans import separate

KINDS = ("pocl", "separate", "numpy")
F = "float32"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What to write as `device=`: on "separate" PoCL has memory of its own."""
    if request.param == "separate":
        dress(monkeypatch)
    return str(request.param)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind with memory of its own."""
    dress(monkeypatch)
    return "separate"


def dress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let "separate" be the name of PoCL with memory of its own."""
    for module in (arrays, function):
        real = module.choose
        monkeypatch.setattr(module, "choose", lambda spec, real=real: separate() if spec == "separate" else real(spec))


def moved(kind: str) -> tuple[int, int]:
    """The copies to and from the device so far."""
    found = account("separate" if kind == "separate" else arrays.choose("pocl").spec)
    return found.uploads, found.downloads


def place(value: DeviceArray) -> int:
    """Where its elements lie."""
    return data_of(value.host()) if value.mapped else int(value.block.buffer.int_ptr)  # type: ignore[attr-defined]


def stays(inputs: Any, outputs: Any, kind: str, **options: Any) -> Any:
    """A function whose results are device arrays."""
    return eg.compile(inputs, outputs, device=kind, output="device", **options)


def ones(kind: str, *shape: int, dtype: str = F) -> DeviceArray:
    """A device array of small numbers."""
    return eg.array(np.arange(np.prod(shape)).reshape(shape).astype(dtype), device=kind)
