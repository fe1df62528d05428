"""The device of a compile: the best that fits what the user asks for and whose self-test passed.

The test runs in a process of its own (`runtime/trials.py`) and takes a few seconds.  A device is tested before it is used for the first
time, except for PoCL's, the build of which this project's tests run on: they are tested beside the first use, at low priority, and what
is found counts from the next `compile` on.  Nothing is tested where the verdict could not be kept, or where this Python cannot be started
again.
"""
from __future__ import annotations

import os
import sys
import threading

from exprgraph import store
from exprgraph.config import Config, config
from exprgraph.errors import DeviceError, NoDeviceError, at, here
from exprgraph.hardware import brief
from exprgraph.warned import warn
from runtime.device import Device, fitting
from runtime.verdicts import UNTESTED, recalled

SETTING = Config.selftest.variable
"""Set it to 0 to use devices whatever their self-test found, and to run none."""
_lock = threading.RLock()
_known: dict[str, str] = {}
_warned: set[str] = set()
_begun: set[str] = set()


def choose(spec: str | None = "auto") -> Device:
    """The best device that fits what the user asks for and whose self-test passed.

    "auto" skips what failed, with a warning; DeviceError for any other name.
    """
    found = fitting(spec)
    if not config.selftest:
        return found[0]
    auto = (spec or "auto").strip().lower() == "auto"
    for device in found:
        said = verdict(device)
        if not said.startswith("failed"):
            return device
        if not auto:
            raise DeviceError(f"{_failure(device, said)}{at(here())}")
        if device.spec not in _warned:
            _warned.add(device.spec)
            warn(_failure(device, said), RuntimeWarning)
    raise NoDeviceError("no device passed its self-test; `python -m exprgraph doctor` says more")


def _failure(device: Device, said: str) -> str:
    return (f"device {device.spec} ({brief(device.name)}) is not used, since its self-test {brief(said)}\n"
            f"`python -m exprgraph doctor` says all and tests it again; {SETTING}=0 uses the device all the same")


def verdict(device: Device) -> str:
    """The verdict on a device: from this process, from disk, or from its self-test, run now."""
    with _lock:
        said = _known.get(device.spec) or recalled(device)
        if said is None and testable():
            from runtime import trials  # once for each device and version of its driver
            if device.pocl:
                if device.spec not in _begun:
                    _begun.add(device.spec)
                    trials.begin(device)
                return UNTESTED
            _announce(device)
            said = trials.tested(device)
        return _known.setdefault(device.spec, said or UNTESTED)


def _announce(device: Device) -> None:
    if sys.stderr.isatty():
        print(f"exprgraph tests {device.name} once, for some seconds ({SETTING}=0 leaves that out)", file=sys.stderr)


def testable() -> bool:
    """Whether the test can be run and its verdict kept: in a Python that can be started again, and that is no test itself."""
    plain = os.path.basename(sys.executable or "").lower().startswith(("python", "pypy")) and not getattr(sys, "frozen", False)
    base = store.folder()
    return plain and base is not None and store.usable(base)
