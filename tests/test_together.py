"""Launches that the calling thread and the device's other threads do together."""
import gc
import threading

import numpy as np
import pytest

import exprgraph as eg
from codegen import turns
from codegen.opencl import program_source
from codegen.turns import SLOT, SUFFIX, divisible
from runtime import together
from runtime.together import FAR, NEAR, TOGETHER, place, places
from tests.hand_trees import gather, grid_map, row_argmax, tree_sum

MS = 1_000_000_000


@pytest.fixture
def always(monkeypatch):
    """Every launch of more than one work-item is shared."""
    monkeypatch.setattr(together, "HELPED", 0)


@pytest.mark.parametrize(("work", "items", "shareable", "expected"), [
    (0, 12, True, NEAR), (MS, 12, True, TOGETHER), (100 * MS, 12, True, FAR), (MS, 1, True, FAR), (MS, 12, False, FAR),
    (together.HELPED, 1, True, NEAR), (together.HELPED, 2, True, TOGETHER), (together.HELPED - 1, 2, True, NEAR)])
def test_where_a_launch_runs(work, items, shareable, expected):
    assert place(work, items, shareable) == expected


@pytest.mark.parametrize(("low", "high", "shareable", "expected"), [
    (0, float("inf"), True, {NEAR, TOGETHER, FAR}), (0, 10, True, {NEAR}), (MS, MS, True, {TOGETHER, FAR}),
    (0, float("inf"), False, {NEAR, FAR}), (100 * MS, float("inf"), True, {FAR})])
def test_where_a_launch_may_run(low, high, shareable, expected):
    assert places((low, high), shareable) == expected


def test_what_is_known_before_the_sizes_holds_all_that_they_lead_to():
    points = [0, 1, together.HELPED, together.ALONE, together.LONG, 1 + together.LONG, together.HELPED - 1, together.ALONE - 1]
    for low in points:
        for high in [p for p in points if p >= low]:
            for work in [p for p in points if low <= p <= high]:
                for items in (1, 2, 9):
                    assert {place(work, items, s) for s in (True, False)} <= places((low, high), True) | places((low, high), False)
                    assert place(work, items, True) in places((low, high), True)


EXPRESSIONS = {
    "map": lambda x: eg.exp(-x) * 3 + x,
    "rows": lambda x: eg.softmax(x),
    "one number": lambda x: (x * x).sum(),
    "columns": lambda x: eg.logsumexp(x, axis=0),
    "transposed": lambda x: x.T + 1,
    "map of several steps": lambda x: (x - x.mean()) / x.std(axis=0) + x.max(axis=1, keepdims=True),
    "prefix": lambda x: eg.cumsum(x, axis=1),
    "gather": lambda x: x[eg.constant(np.array([0, -1, 0]))]}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("shape", [(700, 300), (6, 40_000), (40_000, 6), (1, 200_000)])
@pytest.mark.usefixtures("always")
def test_shared_launches_give_what_one_device_gives(name, shape, monkeypatch):
    x = eg.matrix("x")
    value = np.random.default_rng(7).standard_normal(shape).astype("f")
    both = eg.compile([x], EXPRESSIONS[name](x), device="pocl")
    found = [both(value) for _ in range(5)]
    monkeypatch.setattr(together, "HELPED", 1 << 60)
    monkeypatch.setattr(together, "ALONE", 1 << 60)
    alone = eg.compile([x], EXPRESSIONS[name](x), device="pocl")(value)
    for f in found:
        np.testing.assert_array_equal(f, alone)


@pytest.mark.usefixtures("always")
def test_counters_are_used_again_only_after_the_helper_was_waited_for():
    x = eg.vector("x")
    f = eg.compile([x], x * 2 + 1, device="pocl")
    value = np.arange(300_000, dtype="f")
    for k in range(3 * together.SLOTS):
        value[:3] = k
        np.testing.assert_array_equal(f(value)[:5], value[:5] * 2 + 1)


@pytest.mark.usefixtures("always")
def test_a_function_may_go_while_the_helper_is_still_on_its_way():
    x = eg.vector("x")
    value = np.arange(100_000, dtype="f")
    for k in range(20):
        f = eg.compile([x], x * 2 + k % 3, device="pocl")
        assert f(value)[-1] == value[-1] * 2 + k % 3
        del f
        gc.collect()
    assert together._free and all(t.memory.size == together.SLOTS * SLOT for t in together._free)


@pytest.mark.usefixtures("always")
def test_several_threads_share_the_helper():
    x = eg.vector("x")
    wrong: list[int] = []

    def work(k):
        f = eg.compile([x], x * k, device="pocl")
        for n in range(200):
            value = np.full(70_000 + n, n, "f")
            if not (f(value) == n * k).all():
                wrong.append(k)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.usefixtures("always")
def test_a_fault_in_a_shared_launch_is_found():
    x, i = eg.vector("x"), eg.ivector("i")
    f = eg.compile([x, i], x[i] + 1, device="pocl")
    value, at = np.arange(5, dtype="f"), np.zeros(400_000, "i4")
    assert f(value, at).sum() == 400_000
    at[399_999] = 9
    with pytest.raises(IndexError, match="9"):
        f(value, at)
    at[399_999] = 4
    assert f(value, at)[-1] == 5


@pytest.mark.parametrize(("kernel", "expected"), [(grid_map(), True), (gather(), True), (row_argmax(), True), (tree_sum(), False)],
                         ids=lambda k: getattr(k, "name", k))
def test_the_second_entry_is_there_for_kernels_without_groups(kernel, expected):
    assert divisible(kernel) == expected == (f"{kernel.name}{SUFFIX}(" in program_source([kernel], "pocl"))
    assert SUFFIX not in program_source([kernel], "portable")


@pytest.mark.usefixtures("always")
def test_a_helper_that_takes_long_is_waited_for(monkeypatch):
    """Without any patience in the kernel the host waits."""
    monkeypatch.setattr(turns, "SPINS", 0)
    x = eg.vector("x")
    y = x
    for _ in range(9):
        y = eg.sin(y + 1)
    f, value = eg.compile([x], y, device="pocl"), np.linspace(0, 1, 200_000, dtype="f")
    first = f(value)
    for _ in range(50):
        np.testing.assert_array_equal(f(value), first)


@pytest.mark.usefixtures("always")
def test_the_helper_stays_awake_until_something_else_needs_its_core():
    x, w = eg.matrix("x"), eg.matrix("w")
    value, weights = np.ones((300, 300), "f"), np.ones((300, 4), "f")
    shared = eg.compile([x], eg.exp(x) * 2, device="pocl")
    product = eg.compile([x, w], x @ w, device="pocl")
    for _ in range(3):
        shared(value), product(value, weights)
    found, = together._helpers.values()
    shared(value)
    assert found.stop[0] == 0
    before = found.stop
    shared(value)
    assert before[0] == 1 and found.stop[0] == 0
    product(value, weights)
    assert found.stop[0] == 1
    np.testing.assert_allclose(shared(value), 2 * np.exp(value), rtol=3e-7)


@pytest.mark.usefixtures("always")
def test_nobody_helps_where_the_process_has_one_core(monkeypatch):
    x = eg.vector("x")
    value = np.arange(300_000, dtype="f")
    monkeypatch.setattr(together.os, "sched_getaffinity", lambda pid: {0}, raising=False)
    monkeypatch.setattr("runtime.direct.turns_for", lambda *args: pytest.fail("there is no second core"))
    f = eg.compile([x], eg.exp(-x) * 2, device="pocl")
    for _ in range(3):
        np.testing.assert_allclose(f(value), 2 * np.exp(-value), rtol=3e-6, atol=1e-37)


def test_a_forked_child_does_not_wait_for_a_helper(monkeypatch):
    monkeypatch.setattr(together, "FORKED", [True])
    together._settle(None)  # would ask the helper, which has no threads there
