"""Threads, signals and tasks: whoever calls at once, totals are exact, results are one's own, and nothing waits for ever."""
from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from runtime import device as devices
from runtime import function, native
from tests.hand_plans import separate

F = np.float32
ROOT = Path(__file__).parent.parent
LIMIT = 60
"""Seconds after which a thread counts as stuck."""


@pytest.fixture(params=["native", "driver", "own memory", "numpy"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The ways to compute: native calls, launches by the driver, a device with memory of its own, NumPy."""
    if request.param == "driver":
        for found in devices.devices():
            monkeypatch.setitem(native._known, found.spec, None)
    if request.param == "own memory":
        made = separate()
        monkeypatch.setattr(function, "choose", lambda spec: made)
    with eg.change_flags(device="numpy" if request.param == "numpy" else "pocl"):
        yield request.param


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """work(0), work(1), ... in as many threads that begin at once; what one raises is raised, one that is stuck is a failure."""
    results: list[Any] = [None] * count
    start, faults = threading.Barrier(count), list[BaseException]()

    def run(k: int) -> None:
        try:
            start.wait()
            results[k] = work(k)
        except BaseException as error:
            faults.append(error)
    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(LIMIT)
    assert not any(t.is_alive() for t in threads), "a thread is stuck"
    if faults:
        raise faults[0]
    return results


def script(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that runs the text."""
    return subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=LIMIT, cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


def test_F1_totals_of_32_threads_with_1000_calls_each_are_exact(where: str) -> None:
    """Two variables in one update; sizes of the threads' own, more of them than are remembered by their shapes."""
    x, total, calls = eg.vector("x", dtype="float64"), eg.shared(np.zeros(3), "total"), eg.shared(np.int64(0), "calls")
    f = eg.compile([x], [x.sum(), calls], updates={total: total + x.sum() * np.array([1.0, 2, 3]), calls: calls + 1})
    each = 1000 if where in ("native", "driver") else 200

    def work(k: int) -> set[int]:
        value, seen = np.full(k + 1, 1.0), set[int]()
        for _ in range(each):
            found, number = f(value)
            assert found == k + 1
            seen.add(int(number))
        return seen
    seen = together(32, work)
    assert calls.get_value() == 32 * each and total.get_value().tolist() == [32 * 33 / 2 * each * n for n in (1, 2, 3)]
    assert sorted(n for s in seen for n in s) == list(range(32 * each))  # each number of a call was seen once


def test_F1_updates_of_overlapping_sets_in_any_order_neither_wait_for_ever_nor_get_lost(where: str) -> None:
    a, b, c = (eg.shared(np.int64(0), n) for n in "abc")
    functions = [eg.compile([], updates=u) for u in ([(a, a + 1), (b, b + 1)], [(c, c + 1), (b, b + 1), (a, a + 1)], [(b, b + 1)],
                                                     [(c, c + 1), (a, a + 1)])]
    together(8, lambda k: [functions[(k + i) % 4]() for i in range(100)] and None)
    assert [int(v.get_value()) for v in (a, b, c)] == [600, 600, 400]


def test_readers_see_whole_updates_while_values_are_set(where: str) -> None:
    """One variable is always the negative of the other, whoever looks; a third is set from outside meanwhile."""
    a, b, w = eg.shared(np.arange(1000.0), "a"), eg.shared(-np.arange(1000.0), "b"), eg.shared(np.zeros(5), "w")
    step, look = eg.compile([], updates={a: a * 1.5 + 1, b: b * 1.5 - 1}), eg.compile([], [abs(a + b).max(), w.max() - w.min()])
    done = threading.Event()

    def work(k: int) -> None:
        if k == 0:
            for _ in range(150):
                step()
            done.set()
        elif k == 1:
            while not done.is_set():
                w.set_value(np.full(int(w.get_value().size) % 7 + 1, w.get_value().max() + 1))
        else:
            while not done.is_set():
                assert look() == [0, 0]
    together(6, work)


def test_F1_results_belong_to_the_thread_that_asked(where: str) -> None:
    """Several kernels with intermediates between them, faults in some of the calls, sizes that are met for the first time."""
    x, i = eg.vector("x"), eg.scalar("i", dtype="int64")
    y = eg.exp(x - x.max())
    f = eg.compile([x, i], [y / y.sum(), eg.cumsum(x)[::-1], x[i]])

    def work(k: int) -> int:
        rng, faults = np.random.default_rng(k), 0
        for _ in range(40):
            value, index = rng.integers(0, 9, int(rng.integers(1, 300))).astype(F), int(rng.integers(0, 320))
            try:
                soft, sums, one = f(value, index)
            except IndexError as error:
                faults += 1
                assert index >= value.size and str(index) in str(error)
                continue
            assert index < value.size and one == value[index] and soft.shape == value.shape
            np.testing.assert_allclose(soft.sum(), 1, rtol=1e-5)
            np.testing.assert_array_equal(sums[0], value.sum())
        return faults
    assert sum(together(8, work)) > 0


def test_F2_import_in_a_thread_and_compiling_in_eight() -> None:
    done = script("""
        import threading
        found = []
        def first():
            import exprgraph as eg
            found.append(eg)
        t = threading.Thread(target=first); t.start(); t.join()
        import numpy as np
        eg, values = found[0], [None] * 8
        def work(k):
            x = eg.vector("x")
            values[k] = float(eg.compile([x], (x * (k % 3 + 1)).sum(), device="pocl")(np.ones(4, "f4")))
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(values == [4.0 * (k % 3 + 1) for k in range(8)])""")
    assert done.stdout.split() == ["True"], done.stderr


def test_F5_tasks_of_asyncio(where: str) -> None:
    x, n = eg.vector("x"), eg.shared(np.int64(0), "n")
    f = eg.compile([x], (x * 2).sum(), updates={n: n + 1})

    async def main() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(f, np.full(k + 1, 1, F)) for k in range(40)))
    assert [float(r) for r in asyncio.run(main())] == [2.0 * (k + 1) for k in range(40)] and n.get_value() == 40


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_F5_a_handler_that_calls_functions_meanwhile(where: str) -> None:
    """Another function may always be called; the one that was interrupted says so where it cannot run twice at once.  Neither loses an
    update, and a thread that looks at all stacks meanwhile disturbs nothing.  (It holds the interpreter's lock: faulthandler's own thread
    does not, and reads frames while they change.)"""
    x, n, m = eg.vector("x"), eg.shared(np.int64(0), "n"), eg.shared(np.int64(0), "m")
    f, g = eg.compile([x], eg.cumsum(x), updates={n: n + 1}), eg.compile([], updates={m: m + 1})
    value, counts = np.ones(50, F), {"f": 0, "g": 0, "refused": 0, "done": 0}

    def handler(*args: Any) -> None:
        g()
        counts["g"] += 1
        try:
            f(value)
            counts["f"] += 1
        except RuntimeError as error:
            assert "reentrant" in str(error)
            counts["refused"] += 1
        if not counts["done"]:  # not periodic: where calls take long, signals would stand in line
            signal.setitimer(signal.ITIMER_REAL, 0.002)
    f(value), g()
    before = signal.signal(signal.SIGALRM, handler)
    with open(os.devnull, "w") as nothing:
        def look() -> None:
            while not over.wait(0.05):
                faulthandler.dump_traceback(nothing)
        over, looking = threading.Event(), threading.Thread(target=look)
        looking.start()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            while counts["g"] < 10 or counts["f"] < 300:
                assert f(value)[-1] == 50
                counts["f"] += 1
        finally:
            counts["done"] = 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            over.set()
            looking.join()
    assert n.get_value() == counts["f"] + 1 and m.get_value() == counts["g"] + 1 and counts["g"] > 0


def test_a_change_from_within_an_update_is_refused(where: str) -> None:
    """A function in the graph that sets the very variable, or calls an update of it: its change would be lost."""
    x, w = eg.vector("x"), eg.shared(F([1, 2]), "w")
    acts: list[Callable[[], Any]] = [lambda: w.set_value(F([7, 7])), lambda: other()]
    other = eg.compile([], updates={w: w + 1}, device="numpy")

    @eg.as_op([eg.fvector], [eg.fvector], infer_shape=lambda node, shapes: shapes, pure=False)
    def disturb(a: Any) -> Any:
        acts[0]()
        return a
    f = eg.compile([x], disturb(x), updates={w: w * 2})
    for _ in range(2):
        with pytest.raises((RuntimeError, eg.OwnOpError), match=r"reentrant update(.|\n)*'w'"):
            f([1, 2])
        acts.reverse()
    assert w.get_value().tolist() == [1, 2]
    acts[:] = [lambda: None]
    f([1, 2])
    assert w.get_value().tolist() == [2, 4]


def test_F7_a_subinterpreter_is_told_so() -> None:
    """Declared unsupported; the main interpreter goes on."""
    done = script("""
        try:
            import _xxsubinterpreters as some
        except ImportError:
            print("none here"); raise SystemExit
        try:
            some.run_string(some.create(), "import sys; sys.path.insert(0, '.')\\nimport exprgraph")
        except Exception as error:
            print("does not run in subinterpreters" in str(error))
        import exprgraph""")
    assert done.stdout.strip() in ("True", "none here"), done.stderr


def test_F7_without_the_lock_of_the_interpreter_the_import_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from exprgraph import supported
    supported.check()
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(ImportError, match="PYTHON_GIL=1"):
        supported.check()
