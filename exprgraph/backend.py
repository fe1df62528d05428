"""The backends by name: found when a function is compiled, so that this package imports nothing above it."""
from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from exprgraph import staged
from exprgraph.errors import DeviceError, NoDeviceError, UnknownDeviceError, at, here, shortly
from exprgraph.locks import LOADING
from exprgraph.modes import Mode
from exprgraph.program import Executable, Program
from exprgraph.warned import warn

BACKENDS = {"opencl": "runtime.function:build", "numpy": "exprgraph.reference:build"}
CURE = "pip install pyopencl pocl-binary-distribution"
FORKED = ("this process was forked after OpenCL was used, and OpenCL does not work across a fork: start it with "
          'multiprocessing.get_context("spawn"), or fork before the first compile')
Made = TypeVar("Made")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_warned: list[str] = []
_begun: list[int] = []  # the process that has asked for OpenCL


def resolve(path: str) -> Callable[..., Any]:
    """The function that "package.module:name" means; ImportError where another package of that name hides ours."""
    name, _, attribute = path.partition(":")
    top = _module(name.partition(".")[0])
    places = [os.path.abspath(p) for p in getattr(top, "__path__", [])] or [str(getattr(top, "__file__", "a built-in module"))]
    if os.path.realpath(os.path.join(ROOT, top.__name__)) not in map(os.path.realpath, places):
        raise ImportError(f"another package called {top.__name__!r} was found at {places[0]}; exprgraph needs its own, in {ROOT}: "
                          "rename the other one or take its folder off sys.path", name=name)
    made: Callable[..., Any] = getattr(_module(name), attribute)
    return made


def _module(name: str) -> ModuleType:
    """A module; one that is there needs no lock, which a thread may hold that a forked child does not have."""
    found = sys.modules.get(name)
    if found is not None and not getattr(getattr(found, "__spec__", None), "_initializing", False):
        return found
    with LOADING:
        return importlib.import_module(name)


def build(program: Program, device: str) -> tuple[Executable, str]:
    """The executable for a device, watched as its mode asks, and whether "opencl" or "numpy" builds it.

    "auto" falls back to NumPy, with one warning for the process, where no OpenCL device is to be had; any other name never does.
    """
    mode: Mode = program.options.get("mode") or Mode()
    executable, used = chosen(device, lambda: (staged.build(program, resolve(BACKENDS["opencl"])), "opencl"),
                              lambda: (staged.build(program, resolve(BACKENDS["numpy"])), "numpy"))
    if not mode.plain or program.options.get("profile") is not None:
        from exprgraph.watching import wrapped  # rarely needed
        executable = wrapped(program, executable)
    return executable, used


def chosen(device: str, opencl: Callable[[], Made], numpy: Callable[[], Made]) -> Made:
    """What one of the two makes for a device, as `build` chooses."""
    if device != "numpy":
        if _begun and _begun[-1] != os.getpid():  # before anything is imported that a thread of the parent may have been importing
            raise DeviceError(FORKED + at(here()))
        _begun.append(os.getpid())
        try:
            return opencl()
        except (ImportError, DeviceError) as error:
            reason = _missing(error)
            if reason is not None:
                _begun.clear()
            if reason is None:
                raise
            if device != "auto":
                raise DeviceError(f"device {shortly(device)} is not available: {reason}{at(here())}") from error
            _warn(reason)
    return numpy()


def check_device(device: str) -> None:
    """DeviceError for a device that is not there, before anything is built for it; "auto" and "numpy" are always there."""
    if device != "auto":
        chosen(device, lambda: resolve("runtime.device:fitting")(device), lambda: None)


def _missing(error: Exception) -> str | None:
    """Why there is no device at all, with the cure; None for every other fault, which must not be papered over."""
    if isinstance(error, DeviceError):
        return str(error) if isinstance(error, NoDeviceError) else None
    return f"{error}: {CURE}" if str(getattr(error, "name", None)).startswith("pyopencl") else None


def _warn(reason: str) -> None:
    if not _warned:
        _warned.append(reason)
        warn(f"no OpenCL device, so NumPy computes everything, slowly: {reason}\n"
             '(device="numpy" or EXPRGRAPH_DEVICE=numpy asks for this without a warning)', RuntimeWarning)


def device_name(device: Any) -> str:
    """A device as the user writes it, or the record of one, checked for its form only."""
    device = getattr(device, "spec", device)
    if not isinstance(device, str) or not device.strip():
        raise UnknownDeviceError(f"device={shortly(device, 80)}: a text is needed, like 'auto', 'cpu', 'gpu', 'pocl', 'numpy', '0:1' "
                                 f"or part of a name, or what eg.devices() lists{at(here())}")
    return "numpy" if device.strip().lower() == "numpy" else device.strip()
