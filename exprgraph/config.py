"""The settings, read in one place: `config.floatX`, `config.device`, ...; an unknown name is an error with the nearest one."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CHOICES: dict[str, tuple[object, ...]] = {
    "floatX": ("float32", "float64"), "real_rules": (False, True), "host_mirror": (False, True), "missing_float64": ("raise", "downcast"),
    "deterministic": (False, True),
    "on_unused_input": ("raise", "warn", "ignore"), "optimizer": ("full", "none"), "schedule": ("auto", "cpu", "gpu")}


class Config:
    """The settings of the process.  Each may also be set by an environment variable EXPRGRAPH_<NAME> before the import.

    floatX: dtype of `matrix()` and of int/int, "float32" or "float64".  device: what `compile(device=None)` uses.  real_rules: also
    use rules that are true over the reals only.  deterministic: no float atomics on a GPU.  on_unused_input: "raise", "warn" or
    "ignore".  optimizer: "full" or "none".  schedule: "auto" follows the device's kind; "cpu" or "gpu" force one.
    missing_float64: what `compile` does with float64 on a device that has none: "raise", or "downcast" to compute in float32.
    host_mirror: after each update on a device with memory of its own, copy the new value of a shared variable to the host too, so that it
    survives the loss of the device.
    """
    __slots__ = ("floatX", "device", "real_rules", "deterministic", "on_unused_input", "optimizer", "schedule", "host_mirror",
                 "missing_float64")

    def __init__(self) -> None:
        self.floatX: str = os.environ.get("EXPRGRAPH_FLOATX", "float32")
        self.device: str = os.environ.get("EXPRGRAPH_DEVICE", "auto")
        self.real_rules: bool = os.environ.get("EXPRGRAPH_REAL_RULES", "0") == "1"
        self.deterministic: bool = os.environ.get("EXPRGRAPH_DETERMINISTIC", "0") == "1"
        self.on_unused_input: str = os.environ.get("EXPRGRAPH_ON_UNUSED_INPUT", "raise")
        self.optimizer: str = os.environ.get("EXPRGRAPH_OPTIMIZER", "full")
        self.schedule: str = os.environ.get("EXPRGRAPH_SCHEDULE", "auto")
        self.missing_float64: str = os.environ.get("EXPRGRAPH_MISSING_FLOAT64", "raise")
        self.host_mirror: bool = os.environ.get("EXPRGRAPH_HOST_MIRROR", "0") == "1"

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__slots__:
            raise AttributeError(f"config has no setting {name!r}{_nearest(name, self.__slots__)}")
        choices = _CHOICES.get(name)
        if choices is not None and value not in choices:
            raise ValueError(f"config.{name} = {value!r}: expected one of {', '.join(map(repr, choices))}")
        object.__setattr__(self, name, value)


def _nearest(name: str, names: tuple[str, ...]) -> str:
    import difflib
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


config = Config()


@contextmanager
def change_flags(**settings: Any) -> Iterator[None]:
    """Set some settings for the length of a `with` block."""
    before = {name: getattr(config, name, None) for name in settings}
    try:
        for name, value in settings.items():
            setattr(config, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)
