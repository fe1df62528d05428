"""Calls on memory shared with the device: pages, the workspace, direct functions for several sizes, updates, read-only arguments."""
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.errors import AllocationError
from runtime import device, memory, pages
from runtime.workspace import layout
from tests.hand_plans import twice


def small_device(memory_bytes, name):
    found = device.choose()
    return device.Device(**{**found.__dict__, "spec": f"small {name}", "memory": memory_bytes, "max_alloc": memory_bytes})


def test_idle_pages_count_as_in_use_and_go_before_a_call_is_refused():
    f = twice(where=small_device(8 << 20, "pages"))
    pages.POOL.clear()
    f([np.ones((1024, 1280), "f4")])
    idle = pages.POOL.bytes
    assert 5 << 20 <= idle < 6 << 20
    kept, = f([np.ones((1024, 512), "f4")])
    assert pages.POOL.bytes == idle and kept[3, 4] == 2  # 5 and 2 MiB are less than 8
    again, = f([np.ones((1024, 1024), "f4")])  # 5 and 4 are more
    assert pages.POOL.bytes == 0 and again[-1, -1] == 2
    with pytest.raises(AllocationError, match="9,437,184 bytes"):
        f([np.ones((1024, 2304), "f4")])


@pytest.mark.parametrize("obtain", [lambda: pages.POOL.take(3 << 20), lambda: memory.aligned(3 << 20)])
def test_idle_pages_are_given_back_when_an_allocation_fails(monkeypatch, obtain):
    pages.POOL.clear()
    pages.POOL.give(pages.POOL.take(2 << 20))
    real, tried = np.empty, []

    def scarce(*arguments):
        tried.append(pages.POOL.bytes)
        if pages.POOL.bytes:
            raise MemoryError
        return real(*arguments)
    monkeypatch.setattr(np, "empty", scarce)
    obtain()
    assert tried == [2 << 20, 0] and pages.POOL.bytes == 0
    monkeypatch.setattr(np, "empty", lambda *arguments: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(AllocationError, match="3,145,728 bytes"):
        obtain()


def test_idle_pages_are_bounded():
    pool = pages.Pool(limit=10 << 20)
    for page in [pool.take(n << 20) for n in (4, 4, 3, 2)]:
        pool.give(page)
        assert pool.bytes <= 10 << 20
    assert pool.bytes == 9 << 20 and pool.take(2 << 20).nbytes == 2 << 20 and pool.bytes == 7 << 20


def test_alternating_sizes_are_found_by_their_shapes(monkeypatch):
    x, y = eg.matrices("x", "y")
    f = eg.compile([x, y], eg.tanh(x @ y).sum(axis=0) + y.sum(), device="pocl")
    rng = np.random.default_rng(3)
    values = [(rng.random((n, 7), "f4"), rng.random((7, n + 2), "f4")) for n in (3, 30, 5, 300)]
    wanted = [f(*v) for v in values]
    monkeypatch.setattr(f, "_general", None)
    for _ in range(3):
        for arguments, expected in zip(values, wanted):
            np.testing.assert_array_equal(f(*arguments), expected)
    f.trust_input = True
    for arguments, expected in zip(values, wanted):
        np.testing.assert_array_equal(f(*arguments), expected)
    assert not np.shares_memory(f(*values[0]), f(*values[0]))


def test_more_sizes_than_are_remembered():
    x = eg.vector("x")
    f = eg.compile([x], (x * x).sum() + x, device="pocl")
    for _ in range(2):
        for n in range(1, 40):
            np.testing.assert_array_equal(f(np.ones(n, "f4")), np.full(n, n + 1, "f4"))
    assert len(f._run._recent) == 16
    assert f(np.ones(39, "f8").astype("f4")[::-1]).shape == (39,)
    with pytest.raises(eg.CallError):
        f(np.ones(39, "c8"))


def test_a_host_product_needs_no_lock_and_eight_threads_may_run_it():
    x, y = eg.matrices("x", "y")
    f = eg.compile([x, y], x @ y, device="pocl")
    wrong = []

    def work(n):
        value = np.full((n, n), n, "f4")
        for _ in range(200):
            if (f(value, value) != n**3).any():
                wrong.append(n)
    threads = [threading.Thread(target=work, args=(64 + k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_updates_go_from_pointer_to_pointer(monkeypatch):
    w = eg.shared(np.arange(6, dtype="f4"), "w")
    f = eg.compile([], w.sum(), updates={w: w * 2}, device="pocl")
    f(), f()
    monkeypatch.setattr(f._run.state.memory, "leaf", None)  # what an argument lies in could no more be made
    monkeypatch.setattr(f, "_general", None)
    assert [float(f()) for _ in range(3)] == [60, 120, 240]
    before = w.get_value(borrow=True)
    assert not before.flags.writeable and before.tolist() == [0, 32, 64, 96, 128, 160]
    f()
    assert before.tolist() == [0, 32, 64, 96, 128, 160] and w.get_value().tolist() == [0, 64, 128, 192, 256, 320]
    w.set_value(np.ones(6, "f4"))
    assert float(f()) == 6 and w.get_value().tolist() == [2] * 6


def test_read_only_arguments_that_are_parts_of_others():
    x = eg.vector("x")
    f = eg.compile([x], x + 1, device="pocl")
    whole = np.arange(8, dtype="f4")
    for part in (whole[2:6], whole[::2], whole[4:8], whole.view(), np.frombuffer(bytes(16), "f4"), whole[::-1]):
        part.flags.writeable = False
        for _ in range(3):
            np.testing.assert_array_equal(f(part), np.array(part) + 1)


def test_intermediates_that_are_never_needed_at_once_share_memory():
    rooms = {"a": 64, "b": 128, "c": 64}
    offsets, total = layout([("x", "a"), ("a", "b"), ("b", "c"), ("c", "out")], rooms)
    assert total == 192 and offsets["a"] == offsets["c"] and offsets["b"] == 64
    offsets, total = layout([("x", "a"), ("a", "b"), ("b", "c"), ("a", "c")], rooms)
    assert total == 256 and len(set(offsets.values())) == 3


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=12), st.lists(st.integers(1, 9), min_size=8, max_size=8))
def test_intermediates_that_are_needed_at_once_do_not_overlap(uses, lines):
    rooms = {name: 64 * n for name, n in zip("abcdefgh", lines)}
    offsets, total = layout(uses, rooms)
    for step in range(len(uses)):
        alive = [n for n in offsets if any(n in u for u in uses[:step + 1]) and any(n in u for u in uses[step:])]
        places = sorted((offsets[n], offsets[n] + rooms[n]) for n in alive)
        assert all(end <= start for (_, end), (start, _) in zip(places, places[1:]))
    assert set(offsets) == {n for u in uses for n in u}
    assert all(offsets[n] + rooms[n] <= total for n in offsets) and total <= sum(rooms[n] for n in offsets)


def test_a_chain_of_products_needs_less_workspace_than_its_intermediates_have_bytes():
    x = eg.matrix("x", dtype="float64")
    chain = x
    for k in range(5):
        chain = eg.tanh(chain @ x) + k
    f = eg.compile([x], [chain @ x, chain.sum()], device="pocl")
    for n in (1, 40, 200):
        value = np.random.default_rng(n).random((n, n)) / n
        for got, expected in zip(f(value), eg.compile([x], [chain @ x, chain.sum()], device="numpy")(value)):
            np.testing.assert_allclose(got, expected, rtol=1e-12)
    bound = list(f._run._bounds.values())[-1]
    bytes_of_all = sum(bound.fit.temporaries.values())
    assert 0 < f._run.state.workspace.nbytes <= bytes_of_all / 3


def test_a_product_without_elements_needs_no_launch():
    """A plan of one host call whose argument has no elements: what stands for its memory is there before the call."""
    X, w = eg.matrix("X"), eg.vector("w")
    f = eg.compile([X, w], X @ w, device="pocl", schedule="cpu")
    for n, k in ((0, 3), (2, 3), (0, 3), (3, 0), (0, 0)):
        for _ in range(3):
            np.testing.assert_array_equal(f(np.ones((n, k), "f"), np.ones(k, "f")), np.full(n, k, "f"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["mod", "tan", "floor_divide"])
def test_the_first_run_of_a_loop_reports_no_fault_of_a_value_that_the_second_one_replaces(name, dtype):
    """A rare argument gives an index that is of no use in the first run."""
    x, t = eg.vector("x", dtype=dtype), eg.vector("t", dtype=dtype)
    given, table = np.arange(100, dtype=dtype), np.arange(7, dtype=dtype)
    given[3] = 1e9
    index = {"mod": lambda: eg.mod(x, 7), "tan": lambda: eg.clip(eg.tan(x), 0, 6), "floor_divide": lambda: (x // 3) % 7}[name]()
    f = eg.compile([x, t], t[eg.cast(index, "int32")], device="pocl")
    wanted = eg.compile([x, t], t[eg.cast(index, "int32")], device="numpy")(given, table)
    np.testing.assert_allclose(f(given, table), wanted, atol=1)


@pytest.mark.usefixtures("by_driver")
def test_a_fault_of_a_call_that_failed_otherwise_is_forgotten():
    x, i = eg.vector("x"), eg.ivector("i")
    f = eg.compile([x, i], x[i], device="pocl")
    value, at = np.arange(5, dtype="f"), np.array([1, 4], "i4")
    f(value, at), f(value, at)
    state = f._run.state
    state.setting.flags[:] = [1, 99, 5, 0]  # as a kernel leaves them just before an interrupt
    assert isinstance(state.fail(KeyboardInterrupt()), KeyboardInterrupt)
    np.testing.assert_array_equal(f(value, at), [1, 4])


def test_a_workspace_is_given_back_only_when_no_call_uses_it():
    f = twice(where=small_device(64 << 20, "slim"))
    f([np.ones((16, 16), "f4")])
    done = threading.Event()
    with f.state.lock:
        other = threading.Thread(target=lambda: (f.state.slim(), done.set()))
        other.start()
        assert not done.wait(0.2)
    other.join()
    assert done.is_set() and f.state.lock.acquire(blocking=False)
    f.state.lock.release()


@pytest.mark.usefixtures("by_driver")
def test_a_call_within_a_call_is_refused_and_harms_neither(monkeypatch):
    """A signal handler that calls the function which it interrupts would replace the pointers of its kernels."""
    x = eg.vector("x")
    f = eg.compile([x], eg.exp(x) + 1, device="pocl")
    value, other, seen = np.arange(5, dtype="f"), np.full(5, 9, "f"), []
    first = f(value)
    f(value)
    state = f._run.state

    def enter(setting):
        with pytest.raises(RuntimeError, match="reentrant"):
            f(other)
        seen.append(int(state.space[0]))
        type(state).install(state, setting)
    monkeypatch.setattr(state, "install", enter)
    f._run._bounds.clear()
    f._run._recent.clear()
    f._run.quick = lambda *args, **options: None  # the next call writes its function anew, which installs its sizes
    state.setting = None
    np.testing.assert_array_equal(f(value), first)
    assert seen == [1] and not state.space[0]
    monkeypatch.undo()
    np.testing.assert_array_equal(f(value), first)
    np.testing.assert_allclose(f(other), np.exp(other) + 1, rtol=1e-6)
