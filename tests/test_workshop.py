"""The context in which programs are built: it is replaced, and with the last one the compiler lets go of what it kept (row D14)."""
from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DeviceError
from runtime import device, native, program, together, workshop
from tests.failing_driver import ERRORS, FailingDriver, failing
from tests.processes import python

__all__ = ["failing"]
F = "float32"
NEAR = next((d for d in device.devices() if d.spec == device.choose("pocl").sibling), None)
pytestmark = pytest.mark.skipif(NEAR is None or native.switchboard(device.session(NEAR)) is None, reason="native calls cannot be made")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sessions and workshops of this test alone, and nothing that other processes have built."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    found = device._Found()
    found.devices, found.pid, found.listed = device.devices(), os.getpid(), True
    monkeypatch.setattr(device, "_found", found)
    monkeypatch.setattr(workshop, "_workshops", {})


def step() -> tuple[Any, Any]:
    """A training step with a fault site and an intermediate, and its variable."""
    x, i, w = eg.vector("x"), eg.lvector("i"), eg.shared(np.arange(6, dtype=F), "w")
    return eg.compile([x, i], (eg.exp(x * 0) * 7 + w[i].sum()).sum(), updates={w: w + x.sum() / 7}, device="pocl"), w


def is_native(f: Any) -> bool:
    """Whether nothing of the driver's is kept for the kernels of a function."""
    kernels = [k for p in f._run.plans.values() for k in p._kernels.values()]
    return bool(kernels) and all(launched is None and built.code and built.program is None for launched, built in kernels)


def test_native_functions_open_no_session(fresh: None) -> None:
    """Compiled, called, given a wrong index, called from several sizes and freed."""
    f, w = step()
    index = np.array([1, 2], "i8")
    for n in (3, 5):
        f(np.ones(n, F), index)
    with pytest.raises(IndexError):
        f(np.ones(3, F), np.array([6, 0], "i8"))
    f.free()
    before = w.get_value().copy()
    f(np.ones(3, F), index)
    assert (w.get_value() > before).all()
    run = f._run
    assert run.session.opened == [] and run.near.opened == [] and not device._found.contexts


def test_a_context_is_replaced_after_so_many_programs(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    guest = SimpleNamespace(leave=lambda: told.append("left"), back=lambda: told.append("back"))
    monkeypatch.setattr(workshop, "BUILDS", 2)
    monkeypatch.setattr(workshop, "GUESTS", [guest])
    assert NEAR is not None
    place = workshop.workshop(NEAR)
    opened = [place.enter().context for _ in range(5)]
    assert [opened.index(c) for c in opened] == [0, 0, 2, 2, 4] and told == ["left", "back"] * 2
    assert workshop.workshop(NEAR) is place


def test_guests_stay_where_a_context_has_to_stay_and_where_a_build_has_failed(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would be gained: the compiler lets go with the last context only."""
    told: list[str] = []
    monkeypatch.setattr(workshop, "GUESTS", [SimpleNamespace(leave=lambda: told.append("left"), back=lambda: told.append("back"))])
    assert NEAR is not None
    place = workshop.workshop(NEAR)
    with monkeypatch.context() as m:
        m.setattr(workshop, "in_use", lambda: True)
        place.close()
    with pytest.raises(native.failure):
        native.entered(device.session(NEAR), "this is no program", 1)
    assert not told and place._opened is None


def test_helpers_that_are_counted_on_come_back(fresh: None) -> None:
    """After `warm` no call builds anything, whatever has been built meanwhile."""
    helpers = together.Helpers(device.session(device.choose("pocl")))
    helpers.ready(always=True)
    before = helpers._running
    helpers.leave()
    assert before is not None and helpers._running is None
    helpers.back()
    assert helpers._running is not None
    helpers.leave()


def test_functions_go_on_when_the_context_of_their_programs_is_gone(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "BUILDS", 1)
    x, value = eg.vector("x"), np.arange(4, dtype=F)
    functions = [eg.compile([x], x * k + 17, device="pocl") for k in (3.0, 4.0, 5.0)]
    assert NEAR is not None
    workshop.workshop(NEAR).close()
    for k, f in enumerate(functions, 3):
        assert f(value).tolist() == (value * k + 17).tolist()
        assert is_native(f)


@pytest.mark.parametrize("point", ["context", "build", "launch"])
@pytest.mark.parametrize("name", ["no memory", "lost device"])
def test_D6_a_driver_that_fails_while_programs_are_built(fresh: None, failing: FailingDriver, point: str, name: str,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """The compile ends in a short error, and the next one is as ever."""
    index = np.array([1, 2], "i8")
    monkeypatch.setattr(program, "PAUSES", ())
    failing.fail(point, 1, ERRORS[name](), persistent=True)
    with pytest.raises((DeviceError, MemoryError)) as found:
        step()
    assert failing.raised and len(str(found.value).splitlines()[0]) < 300
    failing.behave()
    f, w = step()
    f(np.ones(3, F), index)
    assert (w.get_value() > np.arange(6)).all() and is_native(f)


def test_D14_the_compiler_lets_go_of_all_with_the_last_context() -> None:
    """Its library alone takes tens of MiB: they go while functions live, and after helpers have taken part."""
    done = python("""
        import os, numpy as np, exprgraph as eg
        from benchmarks.resident import figures
        from runtime import workshop
        x, value = eg.vector("x"), np.linspace(0, 1, 300_000, dtype="float32")
        f = eg.compile([x], x * int.from_bytes(os.urandom(2), "big") + 0.123, device="pocl")  # which nobody has built
        helpers = f._run.state.helpers
        helpers.limit("HELPED", 1)
        helpers.limit("WOKEN", 1)
        first, before, woken = f(value), figures()[1], helpers._running is not None
        for place in workshop._workshops.values():
            place.close()
        print(before - figures()[1], woken, (f(value) == first).all())
        print(helpers._running is not None or not woken)
        """)
    assert done.returncode == 0, done.stderr
    kept, woken, same, again = done.stdout.split()
    assert int(kept) > 20_000 and same == again == "True" and woken == str(together.helpers_of(device.session(device.choose("pocl"))) > 0)


def test_D13_calls_at_the_very_end_do_without_helpers() -> None:
    """After `atexit` nothing can be built any more, and a finaliser's call is right all the same."""
    done = python("""
        import numpy as np, exprgraph as eg
        x, value = eg.vector("x"), np.linspace(0, 1, 300_000, dtype="float32")
        f = eg.compile([x], eg.exp(x) * 2, device="pocl")
        helpers, first = f._run.state.helpers, f(value)
        helpers.limit("HELPED", 1)
        helpers.limit("WOKEN", 1)
        helpers._end()
        print((f(value) == first).all(), helpers._running)
        """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True None\n", "")
