"""Jobs that the calling thread and the device's helpers do together."""
import gc
import os
import threading
import time

import numpy as np
import pytest

import exprgraph as eg
from codegen import switchboard as board
from codegen.jobs import SUFFIX, divisible
from codegen.kernel import frame
from codegen.printed import program_source
from runtime import device, program, together
from runtime.together import FAR, NEAR, place, places
from tests import quick_builds
from tests.hand_trees import gather, grid_map, row_argmax, tree_sum

MS = 1_000_000_000
helped = pytest.mark.skipif(together.helpers_of(device.session(device.choose("pocl"))) < 1, reason="there is one core")


@pytest.fixture
def helpers():
    """The helpers of PoCL's device, asked and woken for every job of more than one work-item, however they have done before."""
    found = together.helper_of(device.session(device.choose("pocl")))
    before = found.box.copy()
    for name in ("HELPED", "WOKEN", "LONELY"):
        found.limit(name, 1)
    yield found
    limits = board.BOX["LIMITS"]
    found.box[limits:limits + len(board.LIMITS)] = before[limits:limits + len(board.LIMITS)]


@pytest.mark.parametrize(("work", "items", "shareable", "expected"), [
    (0, 12, True, NEAR), (MS, 12, True, NEAR), (100 * MS, 12, True, NEAR), (MS, 1, True, FAR), (MS, 12, False, FAR),
    (together.ALONE, 1, True, FAR), (together.ALONE - 1, 1, False, NEAR)])
def test_where_a_launch_runs(work, items, shareable, expected):
    assert place(work, items, shareable) == expected


@pytest.mark.parametrize(("low", "high", "shareable", "expected"), [
    (0, float("inf"), True, {NEAR, FAR}), (0, 10, True, {NEAR}), (MS, MS, True, {NEAR, FAR}),
    (0, float("inf"), False, {NEAR, FAR}), (100 * MS, float("inf"), False, {FAR})])
def test_where_a_launch_may_run(low, high, shareable, expected):
    assert places((low, high), shareable) == expected


def test_what_is_known_before_the_sizes_holds_all_that_they_lead_to():
    points = [0, 1, together.ALONE - 1, together.ALONE, 1 + together.ALONE, MS]
    for low in points:
        for high in [p for p in points if p >= low]:
            for work in [p for p in points if low <= p <= high]:
                for items in (1, 2, 9):
                    for shareable in (True, False):
                        assert place(work, items, shareable) in places((low, high), shareable)


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
def test_shared_jobs_give_what_one_thread_gives_and_the_driver_too(name, shape, helpers, request):
    x = eg.matrix("x")
    value = np.random.default_rng(7).standard_normal(shape).astype("f")
    f = eg.compile([x], EXPRESSIONS[name](x), device="pocl")
    found = [f(value) for _ in range(5)]
    helpers.limit("HELPED", 1 << 60)
    found.append(f(value))
    request.getfixturevalue("by_driver")
    alone = eg.compile([x], EXPRESSIONS[name](x), device="pocl")(value)
    for one in found:
        np.testing.assert_array_equal(one, alone)


@pytest.mark.usefixtures("by_driver")
@pytest.mark.skipif(bool(os.environ.get(quick_builds.SETTING)), reason="all is built with optimisation")
def test_what_another_test_has_built_quickly_is_not_taken(monkeypatch):
    """A sum that one program adds in another order than the other, because it was built without optimisation for a test before."""
    x = eg.matrix("x")
    value = np.random.default_rng(7).standard_normal((700, 300)).astype("f")
    found = []
    for name in ("tests/test_other.py", "tests/test_together.py"):
        with monkeypatch.context() as other:
            other.setenv("PYTEST_CURRENT_TEST", name)
            other.setattr(quick_builds.zlib, "crc32", lambda text: 1)
            found.append(eg.compile([x], eg.softmax(x * 1.25), device="pocl")(value))
    program._cache.built.clear()
    np.testing.assert_array_equal(found[1], eg.compile([x], eg.softmax(x * 1.25), device="pocl")(value))
    assert (found[0] != found[1]).any()


def lines(helpers):
    """The states of the helpers once they have had time to end."""
    for _ in range(2000):
        if (helpers.states == board.CLOSED).all():
            break
        time.sleep(0.001)
    return set(helpers.states.tolist())


@helped
def test_helpers_take_part_and_end_when_nothing_comes(helpers):
    x = eg.vector("x")
    y = x
    for _ in range(9):
        y = eg.sin(y + 1)
    f, value = eg.compile([x], y, device="pocl"), np.linspace(0, 1, 300_000, dtype="f")
    first = f(value)
    tasks = helpers.box[board.BOX["FIRST"] + board.BOX["TASK"]::board.BOX["LINE"]]
    tasks[:] = 0
    for _ in range(20):
        np.testing.assert_array_equal(f(value), first)
    assert tasks.any() and lines(helpers) == {board.CLOSED}
    np.testing.assert_array_equal(f(value), first)


def test_a_function_may_go_while_the_helpers_stand_by(helpers):
    x = eg.vector("x")
    value = np.arange(100_000, dtype="f")
    for k in range(8):
        f = eg.compile([x], x * 2 + k % 3, device="pocl")
        assert f(value)[-1] == value[-1] * 2 + k % 3
        del f
        gc.collect()


@pytest.mark.usefixtures("helpers")
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


@pytest.mark.usefixtures("helpers")
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
def test_kernels_without_groups_are_jobs_too(kernel, expected):
    assert divisible(frame(kernel).traits) == expected == (f"{kernel.name}{SUFFIX}(" in program_source([kernel], "pocl", jobs=True))
    assert SUFFIX not in program_source([kernel], "pocl")


@helped
def test_a_helper_that_has_lost_its_core_is_waited_for_and_not_asked_for_a_while(helpers):
    """Without any patience each helper seems to have lost its core."""
    helpers.limit("PATIENCE", -(1 << 60))
    helpers.limit("LONELY", 1 << 60)
    x = eg.vector("x")
    y = x
    for _ in range(9):
        y = eg.sin(y + 1)
    f, value = eg.compile([x], y, device="pocl"), np.linspace(0, 1, 200_000, dtype="f")
    first, doubt = f(value), board.BOX["DOUBT"]
    helpers.box[doubt] = 0
    until = time.monotonic() + 30
    while not helpers.box[doubt] and time.monotonic() < until:
        np.testing.assert_array_equal(f(value), first)
    assert helpers.box[doubt] > 0
    helpers.box[doubt] = 0


def test_helpers_go_when_something_else_needs_their_cores(helpers):
    x, w = eg.matrix("x"), eg.matrix("w")
    value, weights = np.ones((300, 300), "f"), np.ones((300, 4), "f")
    shared = eg.compile([x], eg.exp(x) * 2, device="pocl")
    product = eg.compile([x, w], x @ w, device="pocl")
    for _ in range(3):
        shared(value), product(value, weights)
    assert helpers.stop[0] == 1
    np.testing.assert_allclose(shared(value), 2 * np.exp(value), rtol=3e-7)


def test_nobody_helps_where_the_process_has_one_core(monkeypatch):
    x = eg.vector("x")
    value = np.arange(300_000, dtype="f")
    monkeypatch.setattr(together.os, "sched_getaffinity", lambda pid: {0}, raising=False)
    f = eg.compile([x], eg.exp(-x) * 2, device="pocl")
    monkeypatch.setattr(f._run.state.helpers, "wake", lambda: pytest.fail("there is no second core"))
    for _ in range(3):
        np.testing.assert_allclose(f(value), 2 * np.exp(-value), rtol=3e-6, atol=1e-37)


def test_where_helpers_cannot_be_woken_calls_go_on_without_them(helpers, monkeypatch):
    x = eg.vector("x")
    f, value = eg.compile([x], eg.exp(x) * 2, device="pocl"), np.linspace(0, 1, 300_000, dtype="f")
    lines(helpers)

    def fail(*args):
        raise together.failure("no more")
    monkeypatch.setattr(together.cl, "enqueue_nd_range_kernel", fail)
    with pytest.warns(RuntimeWarning, match="one core"):
        first = f(value)
    monkeypatch.undo()
    np.testing.assert_array_equal(f(value), first)
    assert helpers.box[together._limit("HELPED")] == together.NEVER


@helped
def test_a_line_that_is_claimed_keeps_its_helper(helpers):
    """A helper whose time is up while somebody is about to post a job would leave an open line with nobody there."""
    lines(helpers)
    helpers.limit("STAYS", 1 << 60)
    helpers.wake()
    until = time.monotonic() + 30
    while helpers.states[0] != board.OPEN and time.monotonic() < until:
        time.sleep(0.001)
    helpers.states[0] = board.CLAIMED
    helpers.limit("STAYS", 0)
    time.sleep(0.05)
    assert helpers.states[0] == board.CLAIMED
    helpers.states[0] = board.OPEN
    assert lines(helpers) == {board.CLOSED}


@helped
def test_open_lines_without_helpers_are_closed_in_time(helpers, monkeypatch):
    x = eg.vector("x")
    f, value = eg.compile([x], eg.exp(x) * 2, device="pocl"), np.linspace(0, 1, 300_000, dtype="f")
    f(value)
    lines(helpers)
    woken = []
    monkeypatch.setattr(helpers, "wake", lambda: woken.append(True))  # it says that it has, and does not
    g = eg.compile([x], eg.exp(x) * 3, device="pocl")
    for _ in range(3 * board.MISSES):
        g(value)
    assert 2 <= len(woken) <= 4


def test_a_doubt_that_lies_too_far_ahead_is_none(helpers):
    """The clock may have jumped, or the process may have been stopped."""
    helpers.limit("LONELY", 1 << 60)
    x = eg.vector("x")
    f, value = eg.compile([x], eg.exp(x) * 2, device="pocl"), np.linspace(0, 1, 300_000, dtype="f")
    f(value)
    tasks = helpers.box[board.BOX["FIRST"] + board.BOX["TASK"]::board.BOX["LINE"]]
    tasks[:] = 0
    helpers.box[board.BOX["DOUBT"]] = 1 << 62
    f(value)
    helpers.box[board.BOX["DOUBT"]] = 0
    assert tasks.any() or together.helpers_of(helpers.session) < 1


def test_warm_builds_what_helpers_run():
    f = eg.compile([x := eg.vector("x")], x * 2, device="pocl")
    f.warm()
    assert f._run.state.helpers._running is not None


def test_a_forked_child_does_not_wait_for_helpers(monkeypatch, helpers):
    monkeypatch.setattr(together, "foreign", lambda: True)
    monkeypatch.setattr(helpers, "halt", lambda: pytest.fail("there are no threads"))
    helpers.leave()


def test_four_threads_with_long_jobs_of_their_own(helpers):
    """Long jobs let go of the lock of the interpreter, so that several are under way at once; the helpers work for one at a time."""
    x = eg.vector("x")
    functions = [eg.compile([x], eg.sin(eg.cos(x * k)).sum(), device="pocl") for k in range(1, 5)]
    value = np.linspace(0, 3, 400_000, dtype="f")
    wanted, wrong = [float(f(value)) for f in functions], []

    def work(f, expected):
        for _ in range(60):
            if float(f(value)) != expected:
                wrong.append(expected)
    threads = [threading.Thread(target=work, args=pair) for pair in [*zip(functions, wanted)] * 2]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
