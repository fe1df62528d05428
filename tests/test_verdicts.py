"""Self-tests: what a device is tested with, how a fault of any kind is found, where the verdict is kept, and what follows from it."""
from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DeviceError, NoDeviceError
from runtime import chosen, device, selftest, trials, verdicts
from tests.processes import python

FAILED = "failed: scans: wrong"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Self-tests as users have them, with a folder and a memory of their own."""
    monkeypatch.setattr(eg.config, "selftest", True)
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    monkeypatch.setenv("EXPRGRAPH_CACHE", str(tmp_path))
    for name, empty in (("_known", {}), ("_warned", set()), ("_begun", set())):
        monkeypatch.setattr(chosen, name, empty)
    return tmp_path


def test_every_family_is_right_here() -> None:
    assert selftest.check(selftest.families(True), "pocl") is None
    assert "float64" not in selftest.families(False)


@pytest.mark.parametrize("name", selftest.FAMILIES)
def test_a_wrong_result_of_each_family_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One element off in what the device gives."""
    real = eg.compile

    def wrong(inputs: Any, outputs: Any, device: str, **options: Any) -> Any:
        f = real(inputs, outputs, device="numpy", **options)

        def call(*values: Any) -> list[Any]:
            found = [np.array(v) for v in f(*values)]
            if device != "numpy":
                found[-1].flat[-1] += 1 if found[-1].dtype.kind == "i" else abs(found[-1].flat[-1]) * 0.01 + 0.01
            return found
        return call
    monkeypatch.setattr(eg, "compile", wrong)
    assert selftest.check([name], "pocl").startswith(f"{name}: 1 of ")  # type: ignore[union-attr]


def test_B1_a_device_is_tested_in_a_process_of_its_own_and_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is on disk, and no second process is started for it."""
    found = device.choose("basic")
    assert trials.tested(found) == "passed"
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(chosen, "_known", {})
    assert chosen.verdict(found) == "passed" == verdicts.recalled(found) and chosen.choose("basic") is found


CHILDREN = {  # what a process does instead of the test -> the words of the verdict
    "crash": ("import os; os.abort()", "scans: the process was ended by SIGABRT"),
    "exit": ("import os; os._exit(3)", "scans: the process ended with code 3"),
    "hang": ("import time; time.sleep(60)", "scans: no answer within 2 s"),
    "noise": ("print('[1]\\n{'); print(json.dumps({'tried': 'scans', 'problem': 'wrong'}), json.dumps({'done': True}), sep='\\n')",
              "scans: wrong"),
    "ours": ("print(json.dumps({'ours': 'TypeError'}))", None)}


@pytest.mark.parametrize("way", CHILDREN)
def test_D15_however_a_driver_fails_it_is_told(kept: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that aborts, exits, hangs or prints; a fault of the test itself is no verdict."""
    found = device.choose("basic")
    act, words = CHILDREN[way]
    real = subprocess.run

    def run(arguments: Any, **options: Any) -> Any:
        said = [f"print(json.dumps({line}), flush=True)" for line in ({"device": found.name}, {"trying": "scans"})]
        return real([sys.executable, "-c", "\n".join(["import json", *said, act])], **options)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(trials, "SECONDS", 2)
    said = trials.tested(found)
    assert said == (verdicts.UNTESTED if words is None else f"failed: {words}")
    assert verdicts.recalled(found) == (None if words is None else said)


def write(found: device.Device, text: str) -> None:
    """Put a text where the verdict on a device is kept."""
    path = verdicts.file_of(found)
    assert path is not None
    path.write_text(text)


def test_auto_skips_what_failed_with_one_warning(kept: Path) -> None:
    first, second = device.fitting("auto")[:2]
    write(first, json.dumps({"verdict": FAILED}))
    write(second, json.dumps({"verdict": "passed"}))
    with pytest.warns(RuntimeWarning, match="(?s)scans: wrong.*EXPRGRAPH_SELFTEST=0"):
        assert chosen.choose("auto") is second
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chosen.choose("auto") is second
    write(second, json.dumps({"verdict": FAILED}))
    chosen._known.clear()
    x = eg.scalar("x")
    with pytest.warns(RuntimeWarning):
        assert eg.compile([x], x + 1, device="auto").device == "numpy"


def test_an_explicit_device_that_failed_raises_with_the_cure(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(device.choose("basic"), json.dumps({"verdict": FAILED}))
    x = eg.scalar("x")
    with pytest.raises(DeviceError, match=r"(?s)basic.*scans: wrong.*doctor.*EXPRGRAPH_SELFTEST=0.*test_verdicts\.py"):
        eg.compile([x], x + 1, device="basic")
    monkeypatch.setattr(eg.config, "selftest", False)
    assert eg.compile([x], x + 1, device="basic")(1) == 2
    with pytest.raises(NoDeviceError):
        monkeypatch.setattr(eg.config, "selftest", True)
        monkeypatch.setattr(chosen, "fitting", lambda spec: (device.choose("basic"),))
        with pytest.warns(RuntimeWarning):
            chosen.choose("auto")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"verdict": 3}', '{"verdict": "splendid"}', '{"other": "passed"}', "\x00" * 50])
def test_E1_a_file_that_says_nothing_is_no_verdict(kept: Path, text: str) -> None:
    write(device.choose("basic"), text)
    assert verdicts.recalled(device.choose("basic")) is None


@pytest.mark.parametrize("change", [{"driver": "9"}, {"version": "9"}, {"name": "another"}, {"platform": "another"}])
def test_E7_a_verdict_is_that_of_one_driver_on_one_cpu(kept: Path, change: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = device.choose("basic")
    write(found, json.dumps({"verdict": "passed"}))
    assert verdicts.recalled(found) == "passed" and verdicts.recalled(dataclasses.replace(found, **change)) is None
    monkeypatch.setattr(verdicts.pocl, "instructions", lambda: {"mmx"})
    assert verdicts.recalled(found) is None


def test_another_driver_is_tested_before_its_first_use(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PoCL's devices are tested beside the first use, any other one before it; nothing is where nothing can be kept."""
    found = device.choose("basic")
    begun: list[str] = []
    monkeypatch.setattr(trials, "begin", lambda d: begun.append(d.spec))
    monkeypatch.setattr(trials, "tested", lambda d: FAILED)
    strange = dataclasses.replace(found, platform="Acme")
    assert chosen.verdict(found) == verdicts.UNTESTED and begun == [found.spec]
    assert chosen.verdict(strange) == FAILED
    chosen._known.clear()
    monkeypatch.setattr(eg.config, "cache", "off")
    assert chosen.verdict(strange) == verdicts.UNTESTED
    chosen._known.clear()
    monkeypatch.setattr(eg.config, "cache", str(kept))
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert chosen.verdict(strange) == verdicts.UNTESTED


def test_a_first_use_does_not_wait_for_the_test_and_a_later_one_knows(kept: Path) -> None:
    """The real thing, in processes as users start them; two at once leave one verdict."""
    text = ("import exprgraph as eg; x = eg.scalar('x'); print(eg.compile([x], x + 1, device='basic')(1), "
            "next(d.verdict for d in eg.devices() if d.name.startswith('basic')))")
    first, second = python(text, without=(chosen.SETTING,)), python(text, without=(chosen.SETTING,))
    assert first.stdout == "2.0 not tested\n" and not first.stderr and second.stdout.startswith("2.0 "), first.stderr
    until = time.monotonic() + 100
    while not list(kept.glob("verdict-*.json")) or list(kept.glob("*.claim")):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert python(text, without=(chosen.SETTING,)).stdout == "2.0 passed\n" and len(list(kept.glob("verdict-*"))) == 1


def test_a_claim_of_a_process_that_is_no_more_is_taken_over(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = device.choose("basic")
    tested: list[str] = []
    monkeypatch.setattr(trials, "tested", lambda d: tested.append(d.spec))
    monkeypatch.setattr(trials.os, "nice", lambda n: None)
    file = verdicts.file_of(found)
    assert file is not None
    claim = file.with_suffix(".claim")
    claim.write_text(trials.crashes.myself())
    trials.beside(found.spec, found.name)
    assert not tested and claim.exists()
    claim.write_text(f"{trials.crashes._machine()}-0-0")
    trials.beside(found.spec, found.name)
    trials.beside(found.spec, "another")
    assert tested == [found.spec] and not claim.exists()
