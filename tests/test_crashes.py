"""Drivers that end the process while they build, and damaged files in PoCL's cache (row E2)."""
from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import exprgraph as eg
from exprgraph import backend
from exprgraph.errors import DeviceError
from runtime import crashes, device, doctor, program
from tests.processes import python

CALL = """
    import numpy as np, exprgraph as eg
    x = eg.vector('x')
    f = eg.compile([x], [(x * 2).sum(), eg.cumsum(x)], device='basic')
    print(*f(np.ones(4, 'float32')), flush=True)
"""
OURS = {"without": ("POCL_CACHE_DIR",)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is kept, of this test alone."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    monkeypatch.setenv("EXPRGRAPH_CACHE", str(tmp_path))
    return tmp_path


def damage(folder: Path, pattern: str, text: bytes) -> int:
    """Overwrite the files of PoCL's cache that fit; how many."""
    found = list(folder.glob(f"pocl-*/**/{pattern}"))
    for file in found:
        file.write_bytes(text)
    return len(found)


def test_E2_pocls_cache_lies_below_ours_and_mends_itself_after_an_abort(folder: Path) -> None:
    """A damaged binary ends one process; that is noted, and the next one is right."""
    first = python(CALL, **OURS)
    assert first.stdout == "8.0 [1. 2. 3. 4.]\n" and not first.stderr
    assert damage(folder, "*.so", b"garbled")
    second = python(CALL, **OURS)
    assert second.returncode < 0 and not second.stdout and len(os.listdir(folder / crashes.NOTES)) == 1
    third = python(CALL, **OURS)
    assert (third.returncode, third.stdout) == (0, first.stdout) and not os.listdir(folder / crashes.NOTES)


def test_E2_a_binary_whose_digest_is_known_is_not_loaded_when_damaged(folder: Path) -> None:
    """It is removed before the driver finds it, built again, and known again."""
    call = CALL.replace("basic", "pocl")
    expected = python(call, **OURS).stdout
    assert damage(folder, "eg_door.so", b"garbled") == 2
    for _ in range(2):
        healed = python(call, **OURS)
        assert (healed.returncode, healed.stdout, healed.stderr) == (0, expected, "") and not os.listdir(folder / crashes.NOTES)
    assert not [f for f in folder.glob("pocl-*/**/eg_door.so") if f.read_bytes() == b"garbled"]


@pytest.mark.parametrize("text", [b"", b"garbled" * 5000], ids=["empty", "garbled"])
def test_E2_a_damaged_program_is_built_under_another_name(folder: Path, text: bytes) -> None:
    """PoCL gives a program without kernels then, and complains when the process ends; the next process finds the cache emptied."""
    expected = python(CALL, **OURS).stdout
    assert damage(folder, "program.bc", text)
    assert python(CALL, **OURS).stdout == expected
    assert [name[-4:] for name in os.listdir(folder / crashes.NOTES)] == ["-0-0"]
    healed = python(CALL, **OURS)
    assert (healed.returncode, healed.stdout, healed.stderr) == (0, expected, "") and not os.listdir(folder / crashes.NOTES)


def test_E2_a_cache_of_the_users_is_left_alone_and_the_doctor_tells_of_it(folder: Path, tmp_path: Path) -> None:
    """Where the user has put PoCL's cache is not ours to empty; notes do not pile up."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "kept").write_text("")
    for number in (0, 1):
        note = crashes._write(f"{crashes._machine()}-{number}x-0")
        assert note is not None
        note.write_text(str(own))
    crashes.prepare("x")
    assert (own / "kept").exists() and len(crashes.dead()) == 2
    assert [f.cure for f in doctor.cache() if f.level == doctor.WRONG] == [f"rm -r {own}"] * 2 and not crashes.dead()
    for number in range(crashes.REMEMBERED + 1):
        crashes._write(f"{crashes._machine()}-{number}x-0").write_text(str(own))  # type: ignore[union-attr]
    crashes.prepare("x")
    assert not crashes.dead() and (own / "kept").exists()


def test_E3_notes_of_the_living_and_of_other_machines_stay(folder: Path) -> None:
    """Only a process of this machine that is no more counts as dead; one that has got the id of another is not that other."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        here, start = crashes._machine(), crashes._start(sleeper.pid)
        names = {f"{here}-{sleeper.pid}-{start}": True, f"{here}-{sleeper.pid}-{start}1": False, "0123456789ab-1-1": True,
                 crashes.myself(): True, f"{here}-0-0": False, "nonsense": True}
        for name in names:
            crashes._write(name)
        assert {p.name for p in crashes.dead()} == {name for name, lives in names.items() if not lives}
    finally:
        sleeper.communicate(b"\n")
    assert f"{here}-{sleeper.pid}-{start}" in {p.name for p in crashes.dead()}


def test_a_note_lasts_as_long_as_somebody_builds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashes, "_state", crashes._State())
    with crashes.settling():
        crashes.building()
        crashes.building()
        assert os.listdir(folder / crashes.NOTES) == [crashes.myself()]
    assert not os.listdir(folder / crashes.NOTES)
    with pytest.raises(KeyboardInterrupt), crashes.settling():
        crashes.building()
        raise KeyboardInterrupt
    assert not os.listdir(folder / crashes.NOTES)


def test_emptying_leaves_the_folder_to_processes_that_use_it(folder: Path) -> None:
    cache = folder / "pocl-x"
    (cache / "AB" / "CD").mkdir(parents=True)
    crashes.empty(cache)
    assert os.listdir(cache) == [] and os.listdir(folder) == ["pocl-x"]
    crashes.empty(folder / "not there")


@pytest.mark.parametrize(("place", "said"), [
    ("", "it is empty"), ("file", "it is no folder"), ("file/below", "Not a directory"), ("x" * 300, "name too long"), ("a\0b", "null"),
    ("new/deep", None), (".", None)])
def test_E8_why_a_cache_of_pocl_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str | None) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(os, "environ", {crashes.POCL_CACHE: str(tmp_path / place) if place else ""})
    found = crashes.unusable()
    assert found is None if said is None else said in str(found) and "POCL_CACHE_DIR" in str(found) and len(str(found)) < 350


def test_E8_a_cache_of_pocl_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PoCL is left out: no device, the doctor and an error of the driver's all say why; other devices are found."""
    def platform(name: str, devices: tuple[Any, ...]) -> Any:
        return SimpleNamespace(name=name, get_devices=lambda: devices)
    offered = [platform("Portable Computing Language", ())]
    monkeypatch.setattr(device, "_found", device._Found())
    monkeypatch.setattr(device.driver, "cl", SimpleNamespace(get_platforms=lambda: offered))
    monkeypatch.setenv(crashes.POCL_CACHE, os.devnull)
    for found in (lambda: device.devices(), lambda: backend.chosen("pocl", device.devices, lambda: ())):
        with pytest.raises(DeviceError, match="POCL_CACHE_DIR=/dev/null .*it is no folder.*: unset POCL_CACHE_DIR") as caught:
            found()
        assert "pip install" not in str(caught.value)
    said = [str(f) for check in (doctor.found_devices, doctor.binaries) for f in check()]
    assert len(said) == 2 and all("WRONG" in s and crashes.CURE in s and "pip install" not in s for s in said)
    monkeypatch.setattr(device, "devices", lambda: ())
    with pytest.raises(DeviceError, match="no device fits device='pocl'\n.*it is no folder"):
        device.choose("pocl")
    session: Any = SimpleNamespace(device=SimpleNamespace(pocl=True), named="pthread (PoCL)")
    assert "it is no folder" in program.report(session, "text", "it", RuntimeError("clBuildProgram failed: BUILD_PROGRAM_FAILURE\n"))


def test_E8_a_full_disk_is_no_place_for_pocls_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its compiler would end the process: a folder of this process elsewhere is used."""
    monkeypatch.setattr(crashes.shutil, "disk_usage", lambda place: SimpleNamespace(free=0 if str(folder) in str(place) else 1 << 40))
    monkeypatch.delenv(crashes.POCL_CACHE)
    made = folder.parent / "elsewhere"
    monkeypatch.setattr(crashes, "_own", lambda: str(made))
    crashes.prepare("x")
    assert os.environ[crashes.POCL_CACHE] == str(made) and crashes.unusable() is None
    monkeypatch.setenv(crashes.POCL_CACHE, str(folder))
    assert "its disk is full" in str(crashes.unusable())


@pytest.mark.parametrize("place", ["a file", "{devnull}/x", "off"])
def test_E8_where_nothing_can_be_kept_all_works_with_a_warning(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").write_text("")
    at = place.format(devnull=os.devnull) if "{" in place else place if place == "off" else str(tmp_path / place)
    done = python(CALL, EXPRGRAPH_CACHE=at, XDG_CACHE_HOME=tmp_path / "other", **OURS)
    assert done.stdout == "8.0 [1. 2. 3. 4.]\n" and done.stderr.count("Warning") == (place != "off"), done.stderr
    assert ("EXPRGRAPH_CACHE" in done.stderr) == (place != "off") and (tmp_path / "other" / "pocl").exists()


def test_E8_pocl_without_any_place_for_its_cache(tmp_path: Path) -> None:
    """A folder of this process alone, which goes with it."""
    done = python("import tempfile; tempfile.tempdir = " + repr(str(tmp_path)) + "\n" + textwrap.dedent(CALL), EXPRGRAPH_CACHE="off",
                  XDG_CACHE_HOME=os.devnull, **OURS)
    assert (done.stdout, done.stderr, os.listdir(tmp_path)) == ("8.0 [1. 2. 3. 4.]\n", "", [])
