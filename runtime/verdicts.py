"""Verdicts: what the self-test of each device found, kept on disk, so that a device is tested once for each version of its driver.

The test runs in a process of its own: a driver that ends the process, or never answers, is found like one whose results are wrong.  It
takes a few seconds.  A device is tested before it is used for the first time, except for PoCL's, the build of which this project's tests
run on: they are tested beside the first use, at low priority, and what is found counts from the next `compile` on.  Nothing is tested
where the verdict could not be kept, or where this Python cannot be started again.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from exprgraph import __version__
from exprgraph.errors import DeviceError, NoDeviceError, at, here
from runtime import crashes, files, pocl
from runtime.device import Device, fitting

SETTING = "EXPRGRAPH_SELFTEST"
"""Set it to 0 to use devices whatever their self-test found, and to run none."""
PASSED = "passed"
UNTESTED = "not tested"
SECONDS = 180
"""How long a device may take: its compiler builds a dozen kernels."""
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_lock = threading.RLock()
_known: dict[str, str] = {}
_warned: set[str] = set()
_begun: set[str] = set()


class Told(NamedTuple):
    """What a process that tested a device said.  began: whether it came as far as the device; trying: in the middle of what it ended;
    problems: family -> what is wrong.  end: how it ended; ours: a fault of the test itself."""
    began: bool
    done: bool
    trying: str
    problems: dict[str, str]
    end: str
    ours: str = ""


def choose(spec: str | None = "auto") -> Device:
    """The best device that fits what the user asks for and whose self-test passed.

    "auto" skips what failed, with a warning; DeviceError for any other name.
    """
    found = fitting(spec)
    if os.environ.get(SETTING) == "0":
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
            warnings.warn(_failure(device, said), RuntimeWarning, stacklevel=2)
    raise NoDeviceError("no device passed its self-test; `python -m exprgraph doctor` says more")


def _failure(device: Device, said: str) -> str:
    return (f"device {device.spec} ({device.name}, {device.platform}) is not used, since its self-test {said}\n"
            f"another driver may be right: `python -m exprgraph doctor` tests it again; {SETTING}=0 uses the device all the same")


def verdict(device: Device) -> str:
    """The verdict on a device: from this process, from disk, or from its self-test, run now."""
    with _lock:
        said = _known.get(device.spec) or recalled(device)
        if said is None and testable():
            if device.pocl:
                _begin(device)
                return UNTESTED
            _announce(device)
            said = tested(device)
        return _known.setdefault(device.spec, said or UNTESTED)


def _announce(device: Device) -> None:
    if sys.stderr.isatty():
        print(f"exprgraph tests {device.name} once, for some seconds ({SETTING}=0 leaves that out)", file=sys.stderr)


def _begin(device: Device) -> None:
    """Start a process that tests a device beside this one and outlives it; a shell starts it, so that nobody here has to wait for it."""
    if device.spec in _begun:
        return
    _begun.add(device.spec)
    code = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from runtime import verdicts; verdicts.beside(*sys.argv[2:])"
    arguments = [sys.executable, "-c", code, json.dumps([_ROOT, *sys.path]), device.spec, device.name]
    with contextlib.suppress(OSError):
        subprocess.run(["/bin/sh", "-c", '"$@" &', "sh", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, start_new_session=True, timeout=10)


def beside(spec: str, name: str) -> None:
    """What that process does: unless another one is at it, test the device."""
    os.nice(10)
    device = next((d for d in fitting(spec) if d.name == name), None)
    if device is None or recalled(device) is not None:
        return
    claim = file_of(device).with_suffix(".claim")
    with contextlib.suppress(OSError):
        if not crashes.alive(claim.read_text()):
            claim.unlink()
    with contextlib.suppress(OSError):
        with open(claim, "x") as file:
            file.write(crashes.myself())
        try:
            tested(device)
        finally:
            claim.unlink()


def recalled(device: Device) -> str | None:
    """The verdict on disk, if there is one that can be read."""
    try:
        found = json.loads(file_of(device).read_text())
        said = found["verdict"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return said if isinstance(said, str) and (said == PASSED or said.startswith("failed")) else None


def file_of(device: Device) -> Path:
    """The file of a device, under all that its results may depend on."""
    parts = [device.name, device.platform, device.version, device.driver, device.kind, str(device.target.units), __version__,
             *sorted(pocl.instructions() if device.kind == "cpu" else ())]
    return files.folder() / f"verdict-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.json"


def testable() -> bool:
    """Whether the test can be run and its verdict kept: in a Python that can be started again, and that is no test itself."""
    plain = os.path.basename(sys.executable or "").lower().startswith(("python", "pypy")) and not getattr(sys, "frozen", False)
    return plain and files.writable() is None


def tested(device: Device) -> str:
    """The verdict of a test now, kept on disk unless nothing could be told.

    All families are built as one program first, which takes a second or so; where that does not succeed, one after the other, so that
    the verdict says which.  That second process also finds the driver's cache emptied where the first one died of it.
    """
    told = _child(device, "all")
    if told.began and (not told.done or told.problems):
        told = _child(device, "each")
    said = judged(told)
    if said != UNTESTED:
        with contextlib.suppress(OSError):
            files.replace(file_of(device), json.dumps({"verdict": said, "device": device.name, "driver": device.driver}))
    with _lock:
        _known[device.spec] = said
    return said


def judged(told: Told) -> str:
    """The verdict on what a process said."""
    if not told.began or told.ours:
        return UNTESTED
    families: dict[str, list[str]] = {}
    for name, what in told.problems.items():
        families.setdefault(what, []).append(name)
    problems = [f"{', '.join(names)}: {what}" for what, names in families.items()]
    if not told.done:
        problems.append(f"{told.trying or 'opening it'}: {told.end}")
    return f"failed: {'; '.join(problems)}" if problems else PASSED


def _child(device: Device, how: str) -> Told:
    """Test a device in a process of its own that finds what this one would find."""
    code = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from runtime import selftest; selftest.main(sys.argv[2:])"
    arguments = [sys.executable, "-c", code, json.dumps([_ROOT, *sys.path]), device.spec, how]
    environment = {**os.environ, SETTING: "0", "EXPRGRAPH_DEVICE": "numpy"}
    try:
        ran = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=environment,
                             stdin=subprocess.DEVNULL)
        text, end = ran.stdout, ended(ran.returncode)
    except subprocess.TimeoutExpired as late:
        text, end = _text(late.stdout), f"no answer within {SECONDS} s"
    except OSError as error:
        text, end = "", str(error)
    return heard(text, end, device.name)


def _text(output: Any) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def ended(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"the process ended with code {code}"
    try:
        return f"the process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"the process was ended by signal {-code}"


def heard(text: str, end: str, name: str) -> Told:
    """What the lines of a test say; what is no line of it was printed by a driver."""
    began, done, trying, problems, ours = False, False, "", dict[str, str](), ""
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if not isinstance(said, dict):
            continue
        began, ours = began or said.get("device") == name, said.get("ours", ours)
        done = done or said.get("done") is True
        trying = said.get("trying", "" if "tried" in said else trying)
        if said.get("problem"):
            problems[said["tried"]] = said["problem"]
    return Told(began, done, trying, problems, end, ours)
