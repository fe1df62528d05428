"""A driver that returns errors: each error at each call of each function it has, while functions are compiled and called (rows D3, D6)."""
from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import AllocationError, DeviceError
from runtime import device, function, native, program
from tests.failing_driver import ERRORS, POINTS, FailingDriver, failing
from tests.hand_plans import separate

__all__ = ["failing"]
F = "float32"
SCALE = itertools.count(3)
"""A number that no kernel has had, so that it is built."""


@pytest.fixture(params=["shared memory", "memory of its own"])
def where(request: pytest.FixtureRequest, apart: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """PoCL by its driver, or as a device with memory of its own."""
    if request.param == "memory of its own":
        monkeypatch.setattr(function, "choose", lambda spec: separate())
    return str(request.param)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts of this test alone, since it loses some, and kernels that the driver launches."""
    found = device._Found()
    found.devices, found.pid = device.devices(), os.getpid()
    for one in (*found.devices, separate()):
        device.session(one)  # so that the sessions of this test have keys of their own
    monkeypatch.setattr(device, "_found", found)
    monkeypatch.setattr(eg.config, "native", False)
    monkeypatch.setattr(native, "_known", {})


def step(factor: int | None = None) -> tuple[Any, Any, Any, np.ndarray[Any, Any]]:
    """A training step, whose kernels are new unless a factor is given: what compiles it, its variable, an argument, and what the step adds
    to the variable."""
    k = np.float32(factor or next(SCALE))
    x, w = eg.vector("x"), eg.shared(np.arange(300, dtype=F), "w")
    value = np.linspace(0, 1, 300, dtype=F)
    return (lambda: eg.compile([x], (w * x).sum(), updates={w: w + x * float(k)}, device="pocl")), w, value, value * k


def test_D2_what_cannot_be_built_names_the_device_that_was_asked_for(apart: None, failing: FailingDriver) -> None:
    """Not the one of its platform that runs short kernels, nor what pyopencl says of it."""
    log = ("clBuildProgram failed: BUILD_PROGRAM_FAILURE\n===\nDevice basic-x failed to build the program\nerror: the cause\n"
           "Build on <pyopencl.Device 'basic-x' at 0x1>:\n(options: )")
    failing.fail("build", 1, device.driver.failure(log), True)
    with pytest.raises(DeviceError) as caught:
        step()[0]()
    asked, text = device.choose("pocl"), str(caught.value)
    assert asked.sibling and text.startswith(f"{asked.name} (Portable") and "basic" not in text and text.endswith("error: the cause")


def expected_class(name: str) -> tuple[type[BaseException], ...]:
    return (AllocationError,) if name in ("no memory", "no resources", "no host memory") else (DeviceError,)


def short(error: BaseException, name: str) -> None:
    """The message names the fault; that of a build also shows the text."""
    text = str(error)
    assert str(ERRORS[name]()).split()[-1] in text and (len(text) < 500 or "could not build" in text or "largest" in text), text


def counts(failing: FailingDriver, act: Any) -> dict[str, int]:
    """How often something calls each function of the driver."""
    failing.behave()
    act()
    return dict(failing.calls)


def points(calls: dict[str, int]) -> list[tuple[str, int]]:
    """Every call that can be made to fail."""
    return [(p, n) for p in POINTS for n in range(1, calls.get(p, 0) + 1)]


def fails(failing: FailingDriver, point: str, number: int, name: str, act: Any) -> bool:
    """Whether something fails, with the right class and a short message, where a call of the driver does; it may also be mended, by idle
    memory that is given back."""
    failing.fail(point, number, ERRORS[name]())
    try:
        act()
    except (AllocationError, DeviceError) as error:
        opening = point in ("build", "context", "queue")
        assert isinstance(error, DeviceError if opening else expected_class(name)), (point, number, error)
        short(error, name)
        return True
    finally:
        failing.behave()
    return False


@pytest.mark.parametrize(("name", "first"), [*((n, False) for n in ERRORS), ("no memory", True), ("lost queue", True)])
def test_D3_D6_an_error_at_each_call_of_a_step(where: str, name: str, first: bool, failing: FailingDriver) -> None:
    """In first calls or later ones: the right class, nothing published, and the next call is right, in a new context where need be."""
    make, w, value, add = step()
    f = make()
    calls = counts(failing, lambda: f(value))
    if not first:
        calls = counts(failing, lambda: f(value))
    assert len(points(calls)) >= 3
    for point, number in points(calls):
        f = make() if first else f
        before = w.get_value()
        failed = fails(failing, point, number, name, lambda f=f: f(value))
        np.testing.assert_allclose(w.get_value(), before + (0 if failed else add), rtol=1e-6, err_msg=f"{point} {number}")
        now = w.get_value()
        np.testing.assert_allclose(f(value), (now * value).sum(), rtol=1e-5, err_msg=f"{point} {number}")
        np.testing.assert_array_equal(w.get_value(), now + add)


@pytest.mark.parametrize("name", ["lost queue"])
def test_B18_D6_an_error_at_each_call_of_a_compile(where: str, name: str, failing: FailingDriver) -> None:
    """Nothing is half built: the same compile is right the next time."""
    calls = counts(failing, lambda: step()[0]())
    assert calls["build"] and calls["kernel"]
    for point, number in points(calls):
        make, w, value, add = step(None if point == "build" else 2)
        fails(failing, point, number, name, make)
        before = w.get_value()
        make()(value)
        np.testing.assert_array_equal(w.get_value(), before + add, err_msg=f"{point} {number}")


def test_D6_a_lost_device_is_opened_anew(where: str, failing: FailingDriver) -> None:
    """All functions of the context go on in a new one; kernels are built for it; values on the host survive."""
    make, w, value, add = step()
    f, g = make(), make()
    f(value), g(value)
    before, old, built = w.get_value(), f._run.near or f._run.session, program.built()
    failing.fail("launch", 1, ERRORS["lost device"](), persistent=True)
    with pytest.raises(DeviceError, match="was lost: .*DEVICE_NOT_AVAILABLE"):
        f(value)
    assert old.lost
    for point in ("context", "queue"):
        failing.fail(point, 1, ERRORS["invalid value"]())
        with pytest.raises(DeviceError, match="cannot be opened: .*INVALID_VALUE"):
            f(value)
    failing.behave()
    for h in (g, f, make()):
        h(value)
    np.testing.assert_allclose(w.get_value(), before + 3 * add, rtol=1e-6)
    opened = {id(h._run.session.context) for h in (f, g)}
    assert len(opened) == 1 and id(old.context) not in opened and program.built() > built


def test_D6_out_of_resources_is_a_loss_where_the_device_gives_no_sign_of_life(failing: FailingDriver, where: str) -> None:
    """Drivers say so both for memory and for a kernel that went astray."""
    make, w, value, add = step()
    f = make()
    f(value)
    f._run.memory.idle.clear()
    old = f._run.session
    point = "finish" if where == "shared memory" else "copy"
    failing.fail(point, 1, ERRORS["no resources"]())
    with pytest.raises(AllocationError):
        f(value)
    assert not old.lost
    failing.fail(point, 1, ERRORS["no resources"](), persistent=True)
    with pytest.raises(DeviceError, match="was lost"):
        f(value)
    failing.behave()
    before = w.get_value()
    assert old.lost
    f(value)
    np.testing.assert_array_equal(w.get_value(), before + add)


@pytest.mark.parametrize("mirror", [False, True])
def test_D6_values_that_were_on_the_device_only(mirror: bool, failing: FailingDriver, apart: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With host_mirror they survive; without it the error says what to do, and set_value cures."""
    monkeypatch.setattr(function, "choose", lambda spec: separate())
    w = eg.shared(np.ones(500, F), "w")
    f = eg.compile([], [], updates={w: w * 2 + float(next(SCALE)) * 0}, device="pocl")
    with eg.change_flags(host_mirror=mirror):
        f()
    failing.fail("launch", 1, ERRORS["lost device"](), persistent=True)
    with pytest.raises(DeviceError, match="host_mirror"):
        f()
    if mirror:
        failing.behave()
        np.testing.assert_array_equal(w.get_value(), np.full(500, 2))
        f()
        np.testing.assert_array_equal(w.get_value(), np.full(500, 4))
        return
    failing.fail("copy", 1, ERRORS["lost device"](), persistent=True)
    with pytest.raises(DeviceError, match="set_value"):
        w.get_value()
    failing.behave()
    w.set_value(np.full(500, 3, F))
    f()
    np.testing.assert_array_equal(w.get_value(), np.full(500, 6))
