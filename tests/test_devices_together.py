"""Several devices in one process: `device=` of each function, and values of shared variables that go from one to another, counted."""
from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from runtime import device, function, memory

F = "float32"
SIZE = 4000
PLACES = ("basic", "pthread", "dressed", "numpy")


@pytest.fixture(autouse=True)
def dressed(monkeypatch: pytest.MonkeyPatch) -> memory.Account:
    """PoCL as a GPU with memory of its own, beside the two that there are; its account."""
    found = device.choose("pthread")
    target = found.target._replace(host_shared=False, schedule="gpu", dialect="portable", local_bytes=32768, max_group=256)
    made = dataclasses.replace(found, spec="dressed", sibling=None, target=target, group=(found.handle,))
    monkeypatch.setattr(function, "choose", lambda spec: made if spec == "dressed" else device.choose(spec))
    return memory.account("dressed")


def steps(w: Any) -> dict[str, Any]:
    """For each device a function that doubles a variable and returns its sum before."""
    return {place: eg.compile([], w.sum(), updates={w: w * 2}, device=place) for place in PLACES}


def test_a_variable_goes_round_all_devices() -> None:
    """In any order the next device sees what the last one wrote."""
    w = eg.shared(np.ones(SIZE, F), "w")
    f, value = steps(w), 1.0
    rng = np.random.default_rng(3)
    for place in rng.choice(PLACES, 24):
        assert f[place]() == SIZE * value, place
        value *= 2
        if value > 1e5:
            w.set_value(np.ones(SIZE, F))
            value = 1.0
    np.testing.assert_array_equal(w.get_value(), np.full(SIZE, value))


def test_copies_between_devices_are_counted(dressed: memory.Account) -> None:
    """What stays on a device is copied by nobody; a value is read back once, however many functions of other devices read it."""
    w, v = eg.shared(np.ones(SIZE, F), "w"), eg.shared(np.ones(SIZE, F), "v")
    there = eg.compile([], [], updates={w: w + v}, device="dressed")
    here = [eg.compile([], (w * v).sum(), device=place) for place in ("basic", "pthread", "numpy")]
    there()
    ups, downs = dressed.uploads, dressed.downloads
    for _ in range(5):
        there()
    assert (dressed.uploads, dressed.downloads) == (ups, downs)
    for f in here * 2:
        assert f() == SIZE * 7
    assert (dressed.uploads, dressed.downloads) == (ups, downs + 1)
    there()
    assert (dressed.uploads, dressed.downloads) == (ups, downs + 1)
    back = eg.compile([], [], updates={w: w * 0 + 3}, device="basic")
    back()
    for _ in range(3):
        there()
    assert dressed.uploads == ups + 1 and here[0]() == SIZE * 6


def test_results_are_alike_and_functions_say_where_they_are() -> None:
    x = eg.matrix("x")
    outs = [eg.softmax(x, axis=1), x @ x.T, eg.cumsum(x, axis=0), x.argmax(axis=1)]
    f = {place: eg.compile([x], outs, device=place) for place in PLACES}
    value = np.random.default_rng(1).normal(size=(40, 30)).astype(F)
    wanted = f["numpy"](value)
    for place in PLACES:
        assert f[place].device == place
        for one, other in zip(f[place](value), wanted):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_devices_at_the_same_time() -> None:
    """A thread for each device, all updating one variable: no update is lost."""
    w = eg.shared(np.zeros(SIZE, F), "w")
    f = {place: eg.compile([], [], updates={w: w + 1}, device=place) for place in PLACES}

    def work(place: str) -> None:
        for _ in range(25):
            f[place]()
    threads = [threading.Thread(target=work, args=(place,)) for place in PLACES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(w.get_value(), np.full(SIZE, 100))


def test_the_account_is_that_of_the_device(dressed: memory.Account) -> None:
    """What one device holds is not counted for another."""
    before = memory.account(device.choose("basic").spec).buffers
    w = eg.shared(np.ones(SIZE, F), "w")
    f = eg.compile([], [], updates={w: w + 1}, device="dressed")
    f()
    assert dressed.buffers >= 1 and memory.account(device.choose("basic").spec).buffers == before
