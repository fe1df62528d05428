"""Calls that have not finished when they return: order, what waits, and faults, which come with the line of the call at each read."""
from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import AllocationError, DeviceError, IndexFault, ValueFault
from runtime import calls, driver, handed, later, memory
from tests.array_kinds import F, dress, moved, ones, stays

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["pocl", "separate"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kinds on which calls need not wait; no call is so short that it is made at once."""
    monkeypatch.setattr(later, "ALONE", 0)
    if request.param == "separate":
        dress(monkeypatch)
    return str(request.param)


@pytest.fixture
def pocl(monkeypatch: pytest.MonkeyPatch) -> str:
    """Memory shared with NumPy."""
    monkeypatch.setattr(later, "ALONE", 0)
    return "pocl"


@contextmanager
def held() -> Iterator[None]:
    """The thread that makes calls waits until the end of the block."""
    go = threading.Event()
    waiting = handed.thread().hand_over(lambda: go.wait(60) and None)
    try:
        yield
    finally:
        go.set()
        waiting.result()


def warmed(f: Any, *args: Any) -> Any:
    """The function, which knows calls like this one."""
    for _ in range(2):
        f(*args).wait()
    return f


def double(kind: str, **options: Any) -> Any:
    v = eg.vector("v")
    return stays([v], v * 2, kind, **options)


def picker(kind: str, **options: Any) -> Any:
    """v[i], which finds faults."""
    v, i = eg.vector("v"), eg.lvector("i")
    return stays([v, i], v[i], kind, **options)


def at(kind: str, *places: int) -> Any:
    return eg.array(np.array(places), device=kind)


def line() -> int:
    """The line of the caller."""
    return sys._getframe(1).f_lineno


def test_a_call_returns_before_it_has_been_made(pocl: str) -> None:
    x = ones(pocl, 100)
    f = warmed(double(pocl), x)
    with held():
        y = f(x)
        z = f(y)
        assert y.pending and z.pending and y.shape == (100,) and z.dtype == F and repr(z)
    np.testing.assert_array_equal(np.asarray(z), np.arange(100) * 4)
    assert not z.pending and not np.asarray(z).flags.writeable


def test_what_waits(pocl: str) -> None:
    """Host arrays, host results and updates: such a call has finished when it returns, its arguments before it."""
    x, w = ones(pocl, 100), eg.shared(np.zeros(100, F))
    v, u = eg.vector("v"), eg.vector("u")
    f, g = warmed(double(pocl), x), eg.compile([v], v + 1, device=pocl)
    step = eg.compile([v], v.sum(), updates={w: w + v}, output="device", device=pocl)
    both = stays([v, u], v + u, pocl)
    step(x), both(x, x).wait()
    for _ in range(3):
        assert not both(x, np.ones(100, F)).pending and not step(f(x)).pending
        np.testing.assert_array_equal(g(f(x)), np.arange(100) * 2 + 1)
    np.testing.assert_array_equal(w.get_value(), np.arange(100) * 7)
    with held():
        assert both(x, x).pending


def test_short_calls_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless what they are given is not there yet."""
    x = ones("pocl", 100)
    f = warmed(double("pocl"), x)
    with held():
        assert not f(x).pending
    monkeypatch.setattr(later, "ALONE", 0)
    g = double("pocl")
    g(x).wait()
    with held():
        y = g(x)
        z = f(y)
        assert y.pending and z.pending
    np.testing.assert_array_equal(np.asarray(z), np.arange(100) * 4)


def test_many_calls_are_made_in_order_and_no_more_wait_than_may(kind: str) -> None:
    x = ones(kind, 40)
    v = eg.vector("v")
    f = warmed(stays([v], v + 1, kind), x)
    before = moved(kind)
    y, n = x, 3 * handed.AHEAD + memory.AHEAD
    for _ in range(n):
        y = f(y)
    assert moved(kind) == before
    np.testing.assert_array_equal(np.asarray(y), np.arange(40) + n)


def test_results_that_nobody_reads_are_let_go_of(pocl: str) -> None:
    x = ones(pocl, 1 << 18)
    f = warmed(double(pocl), x)
    with held():
        y = f(x)
        gone = weakref.ref(y)
        del y
        gc.collect()
        assert gone() is None
    np.testing.assert_array_equal(np.asarray(f(x))[:3], [0, 2, 4])


def test_D10_a_fault_comes_with_the_line_of_the_call_at_each_read(kind: str) -> None:
    x = ones(kind, 5)
    f, g = picker(kind, name="pick"), warmed(double(kind, name="twice"), x)
    warmed(f, x, at(kind, 0, 1))
    good, bad = at(kind, 4, 3), at(kind, 0, 9)
    y = f(x, bad); where = line()  # noqa: E702
    z, fine = g(y), f(x, good)
    errors = []
    for one in (y, z, y, z, y):
        with pytest.raises(IndexFault) as error:
            np.asarray(one)
        errors.append(error.value)
    assert len({id(e) for e in errors}) == 5 and len({str(e) for e in errors}) == 1
    text = str(errors[0])
    assert text.startswith("take: index 9 is out of bounds for axis 0 with size 5\n  at ")
    assert text.endswith(f"in the call of pick at {__file__}:{where}") and text.count("in the call of") == 1
    assert fine.tolist() == [4, 3] and f(x, good).tolist() == [4, 3]
    for read in (y.wait, y.tolist, y.copy, lambda: y.item(0), lambda: np.asarray(z)):
        with pytest.raises(IndexFault, match="pick"):
            read()


def test_D10_who_waits_for_a_failed_argument_is_told_whose_fault_it_is(kind: str) -> None:
    x, v = ones(kind, 5), eg.vector("v")
    f, host = picker(kind, name="pick"), eg.compile([v], v + 1, device=kind)
    step = eg.compile([v], [], updates={(w := eg.shared(np.zeros(2, F))): w + v}, device=kind)
    warmed(f, x, at(kind, 0, 1)), host(x), step(np.ones(2, F))
    y = f(x, at(kind, 7, 0))
    for _ in range(2):
        with pytest.raises(IndexFault, match="index 7.*\n.*\n.*in the call of pick"):
            host(y)
    with pytest.raises(IndexFault, match="in the call of pick"):
        step(y)
    assert w.get_value().tolist() == [1, 1]
    assert host(x)[0] == 1


def test_D9_D10_a_call_that_updates_looks_for_faults_before_it_publishes(kind: str) -> None:
    w, i = eg.shared(np.zeros(3, F)), eg.lvector("i")
    step = eg.compile([i], w.sum(), updates={w: w[i] + 1}, device=kind, output="device")
    step(at(kind, 0, 1, 2)), step(at(kind, 0, 1, 2))
    for _ in range(2):
        with pytest.raises(IndexFault) as error:
            step(at(kind, 0, 1, 5))
        assert "in the call of" not in str(error.value)
        assert w.get_value().tolist() == [2, 2, 2]
    assert float(step(at(kind, 2, 1, 0))) == 6 and w.get_value().tolist() == [3, 3, 3]


def test_D10_a_failed_array_in_a_shared_variable_fails_each_read(kind: str) -> None:
    x, v = ones(kind, 5), eg.vector("v")
    f, w = picker(kind, name="pick"), eg.shared(np.zeros(2, F))
    g = stays([v], v * w, kind)
    warmed(f, x, at(kind, 0, 1)), g(ones(kind, 2))
    w.set_value(f(x, at(kind, 7, 0)))
    for read in (w.get_value, w.get_value, lambda: g(ones(kind, 2)).tolist(), lambda: w.get_value(borrow=True)):
        with pytest.raises(IndexFault, match="in the call of pick"):
            read()
    w.set_value(f(x, at(kind, 3, 4)))
    assert g(ones(kind, 2)).tolist() == [0, 4] and w.get_value().tolist() == [3, 4]


def test_other_refusals_come_late_too(kind: str) -> None:
    n, v = eg.ivector("n"), eg.vector("v")
    power = stays([n], 2 ** n, kind, name="power")
    positive = stays([v], eg.Assert("all have to be positive")(v, (v > 0).all()) * 2, kind, name="checked")
    good, bad = eg.array(np.array([1, 2], "int32"), device=kind), eg.array(np.array([1, -2], "int32"), device=kind)
    warmed(power, good), warmed(positive, eg.array(np.ones(3, F), device=kind))
    y, z = power(bad), positive(eg.array(np.array([1, -1, 1], F), device=kind))
    with pytest.raises(ValueFault, match="in the call of power"):
        y.wait()
    with pytest.raises(AssertionError, match="have to be positive(.|\n)*in the call of checked"):
        z.wait()
    assert power(good).tolist() == [2, 4]


def test_a_long_row_of_calls_knows_its_first_fault(kind: str) -> None:
    i = eg.lvector("i")
    f = stays([i], eg.arange(10)[i], kind, name="look")
    x = at(kind, 1, 2)
    warmed(f, x)
    y = f(at(kind, 3, 99))
    for _ in range(3 * calls.DEEPEST):
        y = f(y)
    with pytest.raises(IndexFault, match="index 99"):
        y.wait()
    if kind == "separate":
        z = f(x)
        for _ in range(3 * calls.DEEPEST):
            z = f(z)
            assert z.call.depth <= calls.DEEPEST
        assert z.tolist() == [1, 2]


def test_D3_memory_that_is_missing_is_told_at_the_read(pocl: str) -> None:
    x = ones(pocl, 100)
    f = warmed(double(pocl, name="twice"), x)
    shapes, bound = list(f._run._recent.items())[-1]

    def failing(*args: Any, **options: Any) -> Any:
        raise AllocationError("injected")
    f._run._recent[shapes] = bound._replace(quick=failing)
    y = f(x)
    f._run._recent[shapes] = bound
    with pytest.raises(AllocationError, match="injected\n  in the call of twice at"):
        y.wait()
    assert f(x).tolist()[3] == 6


def test_D6_D10_a_fault_of_the_driver_is_that_of_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    dress(monkeypatch)
    x = ones("separate", 100)
    f, g = warmed(double("separate", name="twice"), x), warmed(double("separate", name="other"), x)
    y, z = f(x), g(x)

    def broken() -> None:
        raise driver.failure("INVALID_KERNEL_ARGS")
    y.call.event = SimpleNamespace(wait=broken)
    assert z.tolist()[1] == 2
    for _ in range(2):
        with pytest.raises(DeviceError, match="failed: INVALID_KERNEL_ARGS\n  in the call of twice at"):
            np.asarray(y)


def test_D8_an_interrupt_while_waiting_loses_nothing(pocl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = ones(pocl, 100)
    f = warmed(double(pocl), x)
    y = f(x)

    def interrupted(self: Any) -> None:
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(handed.Handed, "settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            y.wait()
    assert y.pending and y.tolist()[2] == 4


def raising_at(line: int) -> Any:
    """What `sys.settrace` takes to interrupt `hand_over` once when it comes to a line of its own."""
    code = handed.Thread.hand_over.__code__
    left = [None]

    def local(frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and frame.f_lineno == line and left:
            left.pop()
            raise KeyboardInterrupt
        return local
    return lambda frame, event, argument: local if frame.f_code is code else None


def interrupt_everywhere(pool: Any, met: list[int]) -> None:
    """At each line as many interrupts as there are places, and one more; then calls find room at once."""
    for line in sorted({n for *_, n in handed.Thread.hand_over.__code__.co_lines() if n})[1:]:
        for _ in range(handed.AHEAD + 1):
            sys.settrace(raising_at(line))
            try:
                pool.hand_over(lambda: None)
            except KeyboardInterrupt:
                met.append(line)
            finally:
                sys.settrace(None)
    pool.hand_over(lambda: met.append(0)).exception()


def test_D8_an_interrupt_at_any_line_of_handing_over_takes_no_place() -> None:
    pool, met = handed.Thread(), list[int]()
    thread = threading.Thread(target=interrupt_everywhere, args=(pool, met), daemon=True)
    thread.start()
    thread.join(10)
    pool.pool.shutdown(wait=False)
    assert met[-1:] == [0] and len(set(met)) > 3


def test_threads_make_calls_of_one_function(kind: str) -> None:
    x = ones(kind, 64)
    v = eg.vector("v")
    f, wrong = warmed(stays([v], v + 1, kind), x), list[Any]()

    def work(n: int) -> None:
        y = x
        for _ in range(n):
            y = f(y)
        if not np.array_equal(np.asarray(y), np.arange(64) + n):
            wrong.append(n)
    threads = [threading.Thread(target=work, args=(30 + k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not wrong and not any(t.is_alive() for t in threads)


def test_a_call_by_a_finaliser_in_the_thread_is_made_at_once(pocl: str) -> None:
    x = ones(pocl, 10)
    f, found = warmed(double(pocl), x), list[Any]()
    handed.thread().hand_over(lambda: found.append(f(x).tolist())).result(60)
    assert found == [[2 * k for k in range(10)]]


CODE = """
import os, sys
import numpy as np, exprgraph as eg
from runtime import later
{before}
v, i = eg.vector("v"), eg.lvector("i")
f = eg.compile([v], eg.exp(eg.sin(v)), device="pocl", output="device", schedule="{schedule}")
g = eg.compile([v, i], v[i], device="pocl", output="device", schedule="{schedule}")
x, j = eg.array(np.ones({n}, "float32"), device="pocl"), eg.array(np.zeros({n}, "int64"), device="pocl")
f(x).wait(), g(x, j).wait()
y = f(x)
for _ in range(20):
    y = g(f(y), j)
{after}
print("done", flush=True)
"""
DRESSED = 'from tests import on_device; on_device._dress()'


def run(**parts: Any) -> str:
    code = CODE.format(**{"before": "", "after": "", "schedule": "auto", "n": 200_000, **parts})
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


@pytest.mark.parametrize("before", ["", DRESSED], ids=["pocl", "dressed"])
@pytest.mark.parametrize("after", ["", "del f, g, v, i", "del y, x"], ids=["live", "without functions", "without arrays"])
def test_D13_the_interpreter_may_end_while_calls_are_under_way(before: str, after: str) -> None:
    assert run(before=before, after=after, schedule="gpu" if before else "auto") == "done\n"


FORK = """
pid = os.fork()
if pid == 0:
    try:
        {read}
    except Exception as error:
        print(type(error).__name__, "forked" in str(error), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
y.wait()
"""


@pytest.mark.parametrize("before", ["", DRESSED], ids=["pocl", "dressed"])
@pytest.mark.parametrize("read", ["y.wait()", "f(x)", "print(np.asarray(y)[0])"])
def test_F3_a_forked_child_is_told_so(before: str, read: str) -> None:
    after = "y = f(x)" + FORK.format(read=read)
    assert run(before=before, after=after, schedule="gpu" if before else "auto", n=1_000_000) == "DeviceError True\ndone\n"


def test_D10_short_calls_fail_when_read_as_long_ones_do() -> None:
    x = ones("pocl", 5)
    f, g = picker("pocl", name="pick"), double("pocl", name="twice")
    for n in (2, 3):  # sizes that are new are no exception
        y = f(x, at("pocl", *[9] * n))
        z = g(y)
        for one in (y, z, y):
            with pytest.raises(IndexFault, match=rf"index 9(.|\n)*in the call of pick at {__file__}"):
                one.wait()
    assert f(x, at("pocl", 1, 2)).tolist() == [1, 2]
    host = np.array([9, 9])
    with pytest.raises(IndexFault) as error:
        f(x, host)
    assert "in the call" not in str(error.value)
