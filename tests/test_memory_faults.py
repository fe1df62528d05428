"""Allocations that fail: what the error says, and that nothing is lost (rows B6, D3, D4, D5)."""
from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import AllocationError
from runtime import function, memory, pages
from runtime.device import session
from runtime.driver import cl
from tests.hand_plans import separate

F = "float32"
N = 640


class Site:
    """A place where memory is allocated, counted, and made to fail."""

    def __init__(self) -> None:
        self.count, self.fails = 0, range(0)
        self.idle: Any = None

    def wrap(self, real: Callable[..., Any], fault: type[Exception]) -> Callable[..., Any]:
        def made(*args: Any) -> Any:
            self.count += 1
            if self.count in self.fails:
                raise fault("injected")
            return real(*args)
        return made


@pytest.fixture(params=["shared", "own"])
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """PoCL on NumPy's memory, and as a device with memory of its own."""
    found = Site()
    if request.param == "own":
        device = separate()
        monkeypatch.setattr(function, "choose", lambda spec: device)
        found.idle = memory.buffers(session(device))
        monkeypatch.setattr(found.idle, "_new", found.wrap(found.idle._new, cl.MemoryError))
    else:
        found.idle = pages.POOL
        real = pages.POOL.obtain
        monkeypatch.setattr(pages.POOL, "obtain", lambda make, nbytes: real(found.wrap(make, MemoryError), nbytes))
    found.idle.clear()
    yield found
    found.fails = range(0)
    found.idle.clear()


def net() -> tuple[Any, Any]:
    """A function with a result, an update and several intermediates, all of 1.6 MB; the variable."""
    x, w = eg.matrix("x"), eg.shared(np.full((N, N), 0.5, F), "w")
    hidden = eg.tanh(x @ w)
    hidden.name = "hidden"
    logits = eg.softmax(hidden @ w, axis=1) @ w
    logits.name = "logits"
    return eg.compile([x], [logits @ hidden], updates={w: w - logits}, device="pocl", name="net"), w


def in_use(f: Any) -> tuple[int, int]:
    """Buffers and bytes that are alive on the device."""
    gc.collect()
    account = f._run.memory.account
    return account.buffers, account.bytes


def test_D3_an_allocation_that_fails_at_each_place_loses_nothing(site: Site) -> None:
    f, w = net()
    rng = np.random.default_rng(1)
    value, start = rng.random((N, N), F), w.get_value()
    wanted = f(value)[0]
    updated = w.get_value()
    failed = 0
    for number in range(1, 50):
        w.set_value(start)
        f.free()
        site.idle.clear()
        if not isinstance(f._run.memory, memory.SharedMemory):
            f._run.memory.leaf(w.cell.version, True)  # the copy of a present value stays, whatever becomes of the call
        before = in_use(f)
        site.count, site.fails = 0, range(number, 10**6)
        try:
            f(value)
        except MemoryError as error:
            failed += 1
            assert isinstance(error, AllocationError) and "net needs" in str(error)
            del error
        else:
            break
        finally:
            site.fails = range(0)
        assert in_use(f) == before
        assert w.get_value() is not None and (w.get_value() == start).all()
        np.testing.assert_array_equal(f(value)[0], wanted)
        np.testing.assert_array_equal(w.get_value(), updated)
    assert failed >= 3 and number < 49


def test_D3_the_error_names_the_three_largest_tensors(site: Site) -> None:
    x = eg.matrix("pixels")
    wide = eg.concatenate([x, x, x, x], axis=1)
    square = wide.T @ wide
    square.name = "square"
    f = eg.compile([x], [square @ square, x + 1], device="pocl", name="gram")
    value = np.ones((300, 300), F)
    f(value)
    f.free()
    site.idle.clear()
    site.count, site.fails = 0, range(1, 10**6)
    with pytest.raises(AllocationError) as caught:
        f(value)
    text = str(caught.value)
    assert "bytes: 'square', float32 (1200, 1200)  at " in text and "test_memory_faults.py:" in text
    assert len(caught.value.tensors) == 3 and caught.value.tensors[0].nbytes >= caught.value.tensors[1].nbytes
    assert "are in use" in text and "cures:" in text and re.search(r"has [\d,]+ bytes", text)


def test_D4_a_call_that_the_device_has_no_room_for_is_refused_before_it_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = eg.vector("x"), eg.shared(np.ones(3, F), "w")
    big = eg.outer(x, x)
    big.name = "big"
    f = eg.compile([x], eg.sort(big.ravel()), updates={w: w + 1}, device="pocl", name="f")
    device = f._run.memory.session.device
    object.__setattr__(device, "memory", in_use(f)[1] + (1 << 20))
    monkeypatch.setattr(memory.cl, "enqueue_nd_range_kernel", lambda *a: pytest.fail("nothing may run"))
    try:
        with pytest.raises(AllocationError, match=r"(?s)this call needs .*'big'|f needs"):
            f(np.ones(2000, F))
    finally:
        object.__setattr__(device, "memory", session(device).device.handle.global_mem_size)
    assert (w.get_value() == 1).all()


def test_D4_idle_buffers_of_a_call_make_room_for_its_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intermediates of ever other sizes: what is in use and what is idle never exceed what the device has."""
    found = separate()
    monkeypatch.setattr(function, "choose", lambda spec: found)
    x = eg.matrix("x")
    chain = x
    for k in range(1, 5):
        chain = eg.concatenate([chain.cumsum(axis=0), chain[:, :40 * k]], axis=1)
    f = eg.compile([x], chain.sum(), device="pocl", name="f")
    told = f.memory((300, 300))
    assert told.peak is not None
    idle, device, most = f._run.memory.idle, f._run.memory.session.device, [0]
    idle.clear()
    gc.collect()
    room, real = f._run.memory.account.bytes + told.peak + 4096, idle._new

    def new(size: int) -> Any:
        most[0] = max(most[0], idle.account.bytes + idle.bytes + size)
        return real(size)
    monkeypatch.setattr(idle, "_new", new)
    before = device.memory
    object.__setattr__(device, "memory", room)
    try:
        f(np.ones((300, 300), F))
    finally:
        object.__setattr__(device, "memory", before)
    assert told.peak / 2 < most[0] <= room


def test_D5_a_buffer_larger_than_the_device_gives_is_refused(site: Site) -> None:
    x = eg.vector("x")
    f = eg.compile([x], eg.outer(x, x) + 1, device="pocl", name="f")
    device = f._run.memory.session.device
    most = device.max_alloc
    object.__setattr__(device, "max_alloc", 1 << 20)
    try:
        with pytest.raises(AllocationError, match=r"(?s)a buffer of [\d,]+ bytes is more than .* gives one buffer: 1,048,576.*f needs"):
            f(np.ones(2000, F))
    finally:
        object.__setattr__(device, "max_alloc", most)
    assert f(np.ones(4, F)).shape == (4, 4)


def test_B6_sizes_whose_product_no_integer_holds(site: Site) -> None:
    n = eg.scalar("n", dtype="int64")
    f = eg.compile([n], eg.zeros((n, n, n)) + 1, device="pocl", name="f")
    with pytest.raises(AllocationError, match="f needs"):
        f(2**40)
    assert f(2).shape == (2, 2, 2)


def test_B6_the_numpy_backend_names_the_operation_and_the_line() -> None:
    n = eg.scalar("n", dtype="int64")
    f = eg.compile([n], eg.zeros((n, 2**20)) + 1, device="numpy")
    with pytest.raises(AllocationError, match=r"(?s)allocate.*test_memory_faults.py:"):
        f(2**38)
    assert f(1).shape == (1, 2**20)
