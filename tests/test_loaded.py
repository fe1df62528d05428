"""Machine code that is loaded without a build: when it is, when it is not, and what becomes of entries that do not hold."""
from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import store
from runtime import device, loaded, native, pins, program
from runtime.device import Session
from tests.processes import python

NEAR = device.session(next(d for d in device.devices() if d.name.startswith("basic") and d.kind == "cpu"))
COUNT = """
    import numpy as np, pyopencl as cl
    made, build = [], cl.Program.build
    cl.Program.build = lambda self, *a, **k: made.append(self._source) or build(self, *a, **k)
    import exprgraph as eg
    x, w = eg.vector('x'), eg.shared(np.zeros(3, 'f'))
    f = eg.compile([x], [(x * 2).sum(), eg.softmax(x)], updates={w: w + x}, device='pocl')
    value = np.arange(3, dtype='f')
    print(len(made), [a.tolist() for a in f(value)], [a.tolist() for a in f(value)], w.get_value().tolist())
"""
pytestmark = pytest.mark.skipif(native.switchboard(NEAR) is None, reason="no native calls here")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is kept, of this test alone."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    return tmp_path


def compiled(factor: float) -> tuple[Any, int]:
    """A function whose kernels this process does not know, and how many programs were built for it."""
    program._cache.built.clear()
    before, x = program.built(), eg.vector("x")
    f = eg.compile([x], x * factor - 17, device="pocl")
    np.testing.assert_array_equal(f(np.arange(4, dtype="f")), np.arange(4, dtype="f") * np.float32(factor) - 17)
    return f, program.built() - before


def entry(folder: Path) -> Path:
    """The one entry of machine code."""
    (found,) = [e.path for e in store.files(folder) if e.path.parent.parent.name == "machines"]
    return found


def test_a_second_process_builds_nothing(tmp_path: Path) -> None:
    """Neither the function's kernels nor the switchboard; its results are the first one's."""
    runs = [python(COUNT, EXPRGRAPH_CACHE=tmp_path, EXPRGRAPH_SELFTEST=0) for _ in range(2)]
    assert [r.stderr for r in runs] == ["", ""]
    (first, found), (second, again) = (r.stdout.split(" ", 1) for r in runs)
    assert int(first) == 2 and int(second) == 0 and found == again


def test_kernels_are_built_once_and_loaded_after_that(kept: Path) -> None:
    f, builds = compiled(3.25)
    assert builds == 1
    g, builds = compiled(3.25)
    assert builds == 0 and g.why().count("launch") == f.why().count("launch")


def rewritten(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what an entry says, and seal it again."""
    told = json.loads(store.verified(path.read_bytes()) or b"")
    path.write_bytes(store.sealed(json.dumps(change(told)).encode()))


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no file": lambda t: {**t, "file": t["file"] + "x"},
    "fewer places": lambda t: {**t, "places": []}, "more places": lambda t: {**t, "places": t["places"] * 2},
    "a place outside": lambda t: {**t, "places": [1 << 40]}, "a place before": lambda t: {**t, "places": [-(1 << 20)]},
    "words as places": lambda t: {**t, "places": ["here"]}, "nothing": lambda t: None, "a list": lambda t: [t],
    "no digest": lambda t: {"file": t["file"], "places": t["places"]}, "a folder": lambda t: {**t, "file": os.path.dirname(t["file"])},
    "a file that is no code": lambda t: {**t, "file": __file__, "digest": loaded._digest(Path(__file__).read_bytes())}}


@pytest.mark.parametrize("name", CHANGES)
def test_an_entry_that_does_not_hold_is_a_miss_and_mended(name: str, kept: Path) -> None:
    compiled(5.75)
    path = entry(kept)
    whole = path.read_bytes()
    rewritten(path, CHANGES[name])
    assert compiled(5.75)[1] == 1
    assert entry(kept) == path and path.read_bytes() == whole and compiled(5.75)[1] == 0


@pytest.mark.parametrize("change", [
    lambda s: (s._replace(device=device_with(s, driver="9")), "text"), lambda s: (s._replace(device=device_with(s, name="other")), "text"),
    lambda s: (s._replace(device=device_with(s, options=("-w",))), "text"), lambda s: (s, "another text")])
def test_what_is_part_of_the_key(change: Any) -> None:
    assert loaded._name(*change(NEAR)) != loaded._name(NEAR, "text")


def device_with(session: Session, **other: Any) -> Any:
    """The device of a session, with other properties."""
    from dataclasses import replace
    return replace(session.device, **other)


def test_the_environment_and_the_cpu_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {loaded._name(NEAR, "text")}
    with monkeypatch.context() as m:
        m.setenv("POCL_CACHE_DIR", "/elsewhere")
        found.add(loaded._name(NEAR, "text"))
    for name in ("PYOPENCL_BUILD_OPTIONS", "POCL_EXTRA_BUILD_FLAGS"):
        with monkeypatch.context() as m:
            m.setenv(name, "-g")
            found.add(loaded._name(NEAR, "text"))
    with monkeypatch.context() as m:
        m.setattr(loaded.pocl, "instructions", lambda: {"sse2"})
        found.add(loaded._name(NEAR, "text"))
    assert len(found) == 5


def test_a_changed_file_in_a_cache_of_the_users_own_is_never_run(tmp_path: Path) -> None:
    """Neither loaded nor found by the driver: the program is built under another name, and a warning names the file."""
    places = {"EXPRGRAPH_CACHE": tmp_path / "ours", "POCL_CACHE_DIR": tmp_path / "theirs", "EXPRGRAPH_SELFTEST": 0}
    first = python(COUNT, **places)
    assert first.returncode == 0, first.stderr
    changed = list((tmp_path / "theirs").glob("**/eg_door.so"))
    for file in changed:
        file.write_bytes(b"\x7fELF" + bytes(500))
    for builds in (2, 0):
        again = python(COUNT, **places)
        assert again.returncode == 0 and again.stdout == first.stdout.replace("2", str(builds), 1)
        assert again.stderr.count("is not what PoCL wrote there") == 2


def test_E11_programs_of_one_key_are_told_apart(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "_name", lambda session, text: "ab" * 32)
    assert [compiled(factor)[1] for factor in (8.5, 9.5, 9.5, 8.5)] == [1, 1, 0, 1]


def test_nothing_is_remembered_of_a_cache_that_goes_with_the_process(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded.crashes, "private", lambda: True)
    assert compiled(7.5)[1] == 1 and not list(kept.glob("machines/*/*"))


def test_functions_of_several_files_are_not_kept(kept: Path) -> None:
    """`malloc` and a function of the interpreter: two files, or one that is no cache's; an address of nothing."""
    import ctypes
    python_own = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value or 0
    board = native.switchboard(NEAR)
    assert board is not None
    assert pins.places([python_own, board.sure.code]) is None and pins.places([8]) is None and pins.places([]) is None
    loaded.remember(NEAR, "text", pins.Found([8], ()))
    loaded.remember(NEAR, "text", None)
    assert not list(kept.glob("machines/*/*"))
