"""Memory of a device with memory of its own: buffers are handed out again only when nothing sees them, and never without bound."""
from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import AllocationError, DeviceError, IndexFault
from runtime import actions, calls, driver, function, memory, residents
from runtime import device as devices
from runtime.device import session
from runtime.driver import cl
from runtime.spare import Spare
from tests.hand_plans import separate

F = "float32"
SIZE = 3000


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """PoCL as a device with memory of its own; its idle buffers."""
    found = separate()
    monkeypatch.setattr(function, "choose", lambda spec: found)
    idle = memory.buffers(session(found))
    idle.clear()
    return idle


def variable(*shape: int) -> Any:
    """A shared variable of small integers, whose sums are exact."""
    return eg.shared(np.arange(np.prod(shape)).reshape(shape).astype(F) % 17)


def step(w: Any, new: Any, **options: Any) -> Any:
    """A function that only updates a variable."""
    return eg.compile([], [], updates={w: new}, device="pocl", schedule="gpu", **options)


def test_updates_alternate_between_two_buffers() -> None:
    w = variable(SIZE)
    f, start, seen = step(w, w + 1), w.get_value(), []
    f()
    for _ in range(8):
        f()
        seen.append(w.cell.version.block.buffer.int_ptr)
    assert len(set(seen)) == 2
    np.testing.assert_array_equal(w.get_value(), start + 9)


HOLDS: dict[str, Callable[[Any], Any]] = {
    "the version": lambda w: w.cell.version, "a borrowed value": lambda w: w.get_value(borrow=True),
    "a view of it": lambda w: w.get_value(borrow=True)[5:, ::2].T, "a copy": lambda w: w.get_value()}


@pytest.mark.parametrize("hold", HOLDS)
def test_what_is_held_keeps_its_value(hold: str) -> None:
    w = variable(40, 60)
    f, start = step(w, w * 2 + 1), w.get_value()
    held, wanted = [], []
    for _ in range(6):
        f()
        start = start * 2 + 1
        held.append(HOLDS[hold](w))
        wanted.append(start[5:, ::2].T if hold == "a view of it" else start)
    for one, expected in zip(held, wanted):
        np.testing.assert_array_equal(one.host() if hold == "the version" else one, expected)


def test_variables_that_get_the_same_value_share_nothing() -> None:
    a, b = variable(SIZE), variable(SIZE)
    swap = eg.compile([], [], updates={a: b, b: a}, device="pocl", schedule="gpu")
    both = eg.compile([], [], updates={a: a + b, b: a + b}, device="pocl", schedule="gpu")
    first, second = step(a, a + 1), step(b, b * 3)
    b.set_value(b.get_value() + 1)
    x, y = a.get_value(), b.get_value()
    for act in (swap, first, both, second, swap, first, both, second):
        act()
        x, y = {swap: (y, x), first: (x + 1, y), both: (x + y, x + y), second: (x, y * 3)}[act]
        np.testing.assert_array_equal(a.get_value(), x)
        np.testing.assert_array_equal(b.get_value(), y)


def test_results_and_workspace_come_back(device: Any) -> None:
    x = eg.matrix("x")
    f = eg.compile([x], [eg.softmax(x @ x, axis=1), x.sum()], device="pocl", schedule="gpu")
    value, used = np.ones((70, 70), F), []
    for _ in range(4):
        f(value)
        gc.collect()
        used.append(device.bytes)
    assert used[0] and len(set(used)) == 1
    f.free()
    assert not device.bytes and f(value)[1] == 4900


def test_idle_buffers_are_bounded(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "limit", 1 << 20)
    x = eg.vector("x")
    f = eg.compile([x], x + 1, device="pocl", schedule="gpu")
    for n in (1, 40_000, 80_000, 20_000, 300_000, 50_000):
        np.testing.assert_array_equal(f(np.ones(n, F)), np.full(n, 2, F))
        assert device.bytes <= 1 << 20


@pytest.mark.parametrize("times", [1, 10**9])
def test_a_failed_allocation_empties_the_pool(device: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """And is tried once more; where that fails too, nothing has changed."""
    w = variable(SIZE)
    f, start, left, real = step(w, eg.concatenate([w, w])), w.get_value(), [times], device._new
    f()
    device.keep(1 << 20, real(1 << 20))

    def failing(size: int) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise cl.MemoryError("injected")
        return real(size)
    monkeypatch.setattr(device, "_new", failing)
    if times == 1:
        f()
        assert device.bytes < 1 << 20
    else:
        with pytest.raises(AllocationError, match="injected"):
            f()
        assert w.get_value().size == 2 * SIZE and device.bytes < 1 << 20
        monkeypatch.setattr(device, "_new", real)
        f()
    np.testing.assert_array_equal(w.get_value(), np.tile(start, 4))


def test_memory_that_is_missing_at_the_launch_is_found_in_the_pool(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers that give memory at its first use fail there."""
    w = variable(SIZE)
    f, start, real = step(w, w + 1), w.get_value(), cl.enqueue_nd_range_kernel
    f()

    def failing(*arguments: Any) -> Any:
        if device.bytes:
            raise cl.MemoryError("injected")
        return real(*arguments)
    device.keep(1 << 20, device._new(1 << 20))
    monkeypatch.setattr(actions.cl, "enqueue_nd_range_kernel", failing)
    f()
    np.testing.assert_array_equal(w.get_value(), start + 2)


def test_calls_that_stay_on_the_device_do_not_wait(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    w, x, n = variable(SIZE), eg.vector("x"), 3 * memory.AHEAD
    f, start, left = step(w, w + 1), w.get_value(), []
    g = eg.compile([x], [], updates={w: w + x}, device="pocl", schedule="gpu")
    real = memory.CopiedMemory.leave
    monkeypatch.setattr(memory.CopiedMemory, "leave", lambda self: (left.append(self), real(self)))
    for _ in range(n):
        f()
    assert len(left) == n
    g(np.ones(SIZE, F))
    assert len(left) == n
    f.sync_shared()
    np.testing.assert_array_equal(w.get_value(), start + n + 1)


def test_a_value_of_another_queue_is_waited_for(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    w, z = variable(SIZE), variable(SIZE)
    f, start = step(w, w + 1), w.get_value()
    f()
    found, waited = separate(), []
    monkeypatch.setattr(function, "choose", lambda spec: replace(found, spec="another"))
    g = step(z, w + z)
    monkeypatch.setattr(memory.DeviceValue, "wait", lambda self: waited.append(self.memory.session.queue.finish()))
    monkeypatch.setattr(memory.CopiedMemory, "leave", lambda self: pytest.fail("another queue's buffer may be given away"))
    g()
    np.testing.assert_array_equal(z.get_value(), start + 1 + start)
    assert waited and g._run.session.queue.int_ptr != f._run.session.queue.int_ptr


def test_a_fault_changes_nothing_and_the_next_call_is_right() -> None:
    w, i = variable(50), eg.shared(np.arange(50)[::-1])
    f, start = step(w, w[i] + 1), w.get_value()
    f()
    i.set_value(np.full(50, 50))
    for _ in range(2):
        with pytest.raises(IndexFault, match="index 50"):
            f()
    np.testing.assert_array_equal(w.get_value(), start[::-1] + 1)
    i.set_value(np.arange(50))
    f()
    np.testing.assert_array_equal(w.get_value(), start[::-1] + 2)


def test_functions_in_threads_keep_their_buffers_apart() -> None:
    wrong = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        w = variable(SIZE)
        f, g, value = step(w, w * 0.5 + seed), step(w, w[::-1] + 1), w.get_value()
        for _ in range(60):
            if rng.random() < 0.5:
                f()
                value = value * np.float32(0.5) + np.float32(seed)
            else:
                g()
                value = value[::-1] + 1
            if rng.random() < 0.1 and not np.array_equal(w.get_value(), value):
                wrong.append(seed)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_sizes_that_change_and_sizes_that_values_decide() -> None:
    w, n = eg.shared(np.ones(5, F)), eg.shared(np.int64(3))
    f = step(w, eg.concatenate([w, eg.arange(n).astype(F)]))
    value = np.ones(5, F)
    for k in (3, 3, 0, 4, 3, 4):
        n.set_value(np.int64(k))
        f()
        value = np.concatenate([value, np.arange(k, dtype=F)])
        np.testing.assert_array_equal(w.get_value(), value)


def test_what_is_larger_than_all_that_is_kept_drives_nothing_out() -> None:
    pool: Spare[str] = Spare(100)
    pool.keep(60, "small")
    pool.keep(101, "large")
    assert pool.found(60) == "small" and pool.found(101) is None and pool.bytes == 0


def test_D4_the_last_attempt_asks_for_no_more_than_is_needed(monkeypatch) -> None:
    """And small buffers are no larger than they have to be."""
    pool, asked, nbytes = memory.Buffers(session(separate())), list[int](), 1_100_000

    def refuse(size: int) -> str:
        asked.append(size)
        if size > nbytes:
            raise driver.failure("MEM_OBJECT_ALLOCATION_FAILURE")
        return "buffer"
    monkeypatch.setattr(pool, "_new", refuse)
    assert pool.take(nbytes) == ("buffer", nbytes) and asked == [pool.size(nbytes), nbytes]
    assert pool.size(64) == 64


def test_faults_of_calls_that_did_not_wait_are_ours(monkeypatch) -> None:
    w = variable(50)
    f = step(w, w + 1)
    f()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise driver.failure("INVALID_OPERATION")
    with monkeypatch.context() as patch:
        patch.setattr(memory.cl, "enqueue_copy", broken)
        with pytest.raises(DeviceError, match="failed: INVALID_OPERATION"):
            w.get_value()
    assert w.get_value()[0] == 1


def test_F3_a_forked_child_neither_reads_nor_waits(monkeypatch) -> None:
    """It would wait for a queue that is its parent's."""
    w = variable(50)
    f = step(w, w + 1)
    f()
    monkeypatch.setattr(devices, "FORKED", [True])
    monkeypatch.setattr(residents, "FORKED", [True])
    monkeypatch.setattr(calls, "FORKED", [True])
    monkeypatch.setattr(devices._found, "pid", -1)
    with pytest.raises(DeviceError, match="forked"):
        w.get_value()
    with pytest.raises(DeviceError, match="forked"):
        f.sync_shared()


def test_D13_a_child_that_was_forked_before_OpenCL_was_used_waits_at_its_end(monkeypatch) -> None:
    pool = memory.Buffers(session(separate()))
    waited = []
    pool.session = SimpleNamespace(finish=lambda: waited.append(True))
    monkeypatch.setattr(devices, "FORKED", [True])
    pool._finish()
    monkeypatch.setattr(devices._found, "pid", -1)
    pool._finish()
    assert waited == [True]
