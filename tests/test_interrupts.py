"""Ctrl-C at any moment of a compile, of calls and of updates: all is whole afterwards, no lock is held, and the next call is right."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.shared import publish
from runtime import choices, native, pages, program, workshop
from runtime import device as devices
from tests.test_threads import where  # noqa: F401  (a fixture)

F = np.float32
ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")


def interrupted(delay: float, act: Callable[[list[bool]], Any]) -> bool:
    """Whether KeyboardInterrupt, which is raised once, after some seconds, came while something was done; what is done sees it by a list
    that fills, since of an exception in a finaliser Python only speaks."""
    came: list[bool] = []

    def handler(*args: Any) -> None:
        came.append(True)
        raise KeyboardInterrupt
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(delay, 1e-6))
        act(came)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGALRM, before)
    return bool(came)


def free(*locks: Any) -> None:
    """All locks can be taken by another thread."""
    found: list[bool] = []

    def take() -> None:
        for lock in locks:
            found.append(lock.acquire(blocking=False))
            if found[-1]:
                lock.release()
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert all(found)


def locks_of(f: Any, *shared: Any) -> list[Any]:
    """The locks that calls of a function, and compiles, take."""
    run, state = f._run, getattr(f._run, "state", None)
    of_run = [run._lock] if hasattr(run, "_lock") else []
    return [*(s.cell.lock for s in shared), *of_run, *([state.lock] if state is not None else []), program._cache.lock, devices._found.lock,
            choices._lock, native._lock, pages.POOL._lock, *(w.lock for w in workshop._workshops.values())]


def compiled(k: int) -> tuple[Any, Any, Any]:
    """A function with two updates, of several kernels, that no other number gives, and its variables."""
    x, a, b = eg.vector("x"), eg.shared(np.zeros(4, F), "a"), eg.shared(np.zeros((), "int64"), "b")
    y = eg.exp(x - x.max()) * (k % 7 + 1)
    f = eg.compile([x], [y / y.sum(), eg.cumsum(x)[::-1] + k], updates={a: a + x.sum(), b: b + 1})
    return f, a, b


def check(k: int, f: Any, a: Any, b: Any, calls: tuple[int, int]) -> None:
    """Values are right, both updates have happened equally often, which is once more than calls returned at most, and no lock is held."""
    count = int(b.get_value())
    assert calls[0] <= count <= calls[1] and a.get_value().tolist() == [6 * count] * 4
    soft, sums = f(F([1, 2, 3]))
    np.testing.assert_allclose(soft, np.exp([-2, -1, 0]) / np.exp([-2, -1, 0]).sum(), rtol=1e-5)
    assert sums.tolist() == [6 + k, 3 + k, 1 + k] and b.get_value() == count + 1
    free(*locks_of(f, a, b))
    state = getattr(f._run, "state", None)
    assert state is None or not state.space[0]


def moments(turns: int, rng: np.random.Generator) -> None:
    """Compiles that are interrupted, each followed by the same compile, whole."""
    begin = time.perf_counter()
    compiled(0)
    spent = time.perf_counter() - begin
    for turn in range(turns):
        interrupted(rng.random() * spent, lambda came, k=turn + 1: compiled(k))
        begin = time.perf_counter()
        f, a, b = compiled(turn + 1)
        spent = 0.7 * spent + 0.3 * (time.perf_counter() - begin)
        check(turn + 1, f, a, b, (0, 0))


def calls(turns: int, rng: np.random.Generator) -> None:
    """Calls that are interrupted, at sizes that are new now and then."""
    f, a, b = compiled(5)
    begin = time.perf_counter()
    for _ in range(20):
        f(F([1, 2, 3]))
    spent, done = (time.perf_counter() - begin) / 20, 20
    for turn in range(turns):
        value = np.zeros(3 if turn % 3 else int(rng.integers(3, 200)), F)
        value[:3] = [1, 2, 3]
        count = [done]

        def again(came: list[bool], value: Any = value, count: list[int] = count) -> None:
            while not came:
                f(value)
                count[0] += 1
        assert interrupted(rng.random() * spent * (3 if turn % 3 else 20), again)
        check(5, f, a, b, (count[0], count[0] + 1))
        done = int(b.get_value())


def test_D8_compiles_interrupted_at_20_random_moments(where: str, rng: np.random.Generator) -> None:  # noqa: F811
    moments(20 if where == "native" else 5, rng)


def test_D8_calls_interrupted_at_random_moments(where: str, rng: np.random.Generator) -> None:  # noqa: F811
    calls(150, rng)


@pytest.mark.campaign
def test_D8_many_random_moments(where: str, rng: np.random.Generator) -> None:  # noqa: F811
    moments(150, rng)
    calls(4000, rng)


def test_D9_publishing_is_not_cut_in_two_by_an_interrupt(rng: np.random.Generator) -> None:
    """Nor is the taking of many locks, or their return."""
    cells = [eg.shared(np.int64(0)).cell for _ in range(600)]
    step = eg.compile([], updates={eg.Shared(c): eg.Shared(c) + 1 for c in cells[:150]}, device="numpy")
    acts: list[Callable[[], Any]] = [lambda: publish(cells, [np.array(int(c.version) + 1) for c in cells]), step]
    for act, own in zip(acts, (cells, cells[:150])):
        begin = time.perf_counter()
        act()
        spent = time.perf_counter() - begin
        for _ in range(60):
            interrupted(rng.random() * spent, lambda came, act=act: act())
            assert len({int(c.version) for c in own}) == 1
        free(*(c.lock for c in cells))


def test_D9_an_interrupt_while_a_lock_is_waited_for() -> None:
    """The locks that were taken before it are given back."""
    a, b = eg.shared(np.int64(0), "a"), eg.shared(np.int64(0), "b")
    f = eg.compile([], updates={a: a + 1, b: b + 1}, device="numpy")
    ready, end = threading.Event(), threading.Event()

    def hold() -> None:
        with b.cell.lock:
            ready.set()
            end.wait()
    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    came = interrupted(0.05, lambda came: f())
    end.set()
    thread.join()
    assert came
    free(a.cell.lock, b.cell.lock)
    f()
    assert (a.get_value(), b.get_value()) == (1, 1)


def script(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that runs the text."""
    return subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=300, cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


def test_D8_a_first_compile_with_cold_caches_is_interrupted(tmp_path: Path) -> None:
    """Before and while the driver is loaded and builds; then the same process compiles and calls, and finds no half entry."""
    done = script("""
        import signal, sys
        def handler(*a): raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, handler)
        import numpy as np, exprgraph as eg
        came = 0
        for delay in (0.02, 0.1, 0.3, 0.6):
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                x = eg.vector("x")
                f = eg.compile([x], eg.cumsum(eg.tanh(x)) * delay, device="pocl")
                while True:
                    f(np.ones(3, "f4"))
            except KeyboardInterrupt:
                came += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        print(came, eg.compile([x], eg.cumsum(eg.tanh(x)), device="pocl")(np.zeros(2, "f4")))""",
                  POCL_CACHE_DIR=str(tmp_path / "pocl"), EXPRGRAPH_CACHE=str(tmp_path / "own"))
    assert done.stdout.split() == ["4", "[0.", "0.]"], done.stderr
    assert not [p for p in (tmp_path / "own").rglob("*") if p.suffix == ".tmp"]


def test_D7_an_interrupt_waits_for_the_kernel_and_leaves_all_usable() -> None:
    """It comes when the driver returns; nothing is published, and the next call is right."""
    spin = eg.RawKernel("""__kernel void spin(__global const float *x, __global float *y, int n) {
        volatile int k = 0; while (k < n) k++;
        y[get_global_id(0)] = x[get_global_id(0)] + 1; }""", outputs={"y": "x"}, inputs="x, n")
    x, n, w = eg.vector("x"), eg.scalar("n", dtype="int32"), eg.shared(F([1]), "w")
    f = eg.compile([x, n], spin(x, n), updates={w: w + spin(x, n)}, device="pocl")
    f([1], 5)
    assert interrupted(0.005, lambda came: f([1], 20_000_000))
    assert w.get_value().tolist() == [3] and f([2], 5).tolist() == [3] and w.get_value().tolist() == [6]
    free(*locks_of(f, w))


def test_an_interrupt_while_the_driver_is_imported_leaves_it_whole() -> None:
    """A second import of what was left half imported would end the process."""
    done = script("""
        import signal, sys, time, importlib, threading
        import numpy as np, exprgraph as eg
        def handler(*a): raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, handler)
        real, inside = importlib.import_module, threading.Event()
        def slowly(name, *rest):
            if name == "pyopencl":
                inside.set()
                import pyopencl._cl
                time.sleep(0.3)
            return real(name, *rest)
        importlib.import_module = slowly
        threading.Thread(target=lambda: (inside.wait(), signal.setitimer(signal.ITIMER_REAL, 0.1))).start()
        came, x = 0, eg.vector("x")
        try:
            eg.compile([x], x * 2, device="pocl")
        except KeyboardInterrupt:
            came += 1
        print(came, *eg.compile([x], x * 2, device="pocl")(np.ones(2, "f4")))""")
    assert done.stdout.split() == ["1", "2.0", "2.0"], done.stderr
