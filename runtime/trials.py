"""Trials: a device is tested in a process of its own, so that a driver that ends the process, or never answers, is found like one whose
results are wrong."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

from exprgraph.named import NamedTuple
from runtime import crashes, driver
from runtime.device import Device, fitting
from runtime.verdicts import PASSED, UNTESTED, file_of, keep, recalled

SECONDS = 180
"""How long a device may take: its compiler builds a dozen kernels."""
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Told(NamedTuple):
    """What a process that tested a device said.  began: whether it came as far as the device; trying: in the middle of what it ended;
    problems: family -> what is wrong.  end: how it ended; ours: a fault of the test itself."""
    began: bool
    done: bool
    trying: str
    problems: dict[str, str]
    end: str
    ours: str = ""


def begin(device: Device) -> None:
    """Start a process that tests a device beside this one and outlives it; a shell starts it, so that nobody here has to wait for it."""
    code = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from runtime import trials; trials.beside(*sys.argv[2:])"
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
    file = file_of(device)
    if file is None:
        return
    claim = file.with_suffix(".claim")
    with contextlib.suppress(OSError):
        if not crashes.alive(claim.read_text()):
            claim.unlink()
    with contextlib.suppress(OSError):
        with open(claim, "x") as note:
            note.write(crashes.myself())
        try:
            tested(device)
        finally:
            claim.unlink()


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
        keep(device, said)
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
    with tempfile.TemporaryDirectory(prefix="exprgraph-trial-") as caches:
        text, end = _heard(arguments, caches)
    return heard(text, end, device.name)


def _heard(arguments: list[str], caches: str) -> tuple[str, str]:
    """What the process says, and how it ended.  Options and caches of the user's that may be at fault have no part in a verdict, which
    is remembered."""
    environment = {k: v for k, v in os.environ.items() if k not in driver.OPTIONS and not k.startswith("EXPRGRAPH_")}
    environment |= {"EXPRGRAPH_SELFTEST": "0", "EXPRGRAPH_DEVICE": "numpy", "EXPRGRAPH_CACHE": "off", "POCL_CACHE_DIR": caches}
    try:
        ran = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=environment,
                             stdin=subprocess.DEVNULL)
        text, end = ran.stdout, ended(ran.returncode)
    except subprocess.TimeoutExpired as late:
        text, end = _text(late.stdout), f"no answer within {SECONDS} s"
    except OSError as error:
        text, end = "", str(error)
    return text, end


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
