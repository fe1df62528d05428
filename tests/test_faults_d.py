"""Faults of devices, calls, threads and processes (rows D2 to D14, F1 to F6) and of gradients (rows I1 to I9)."""
from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import exprgraph as eg
from tests.faults import WAYS, same

F, D = np.float32, np.float64


def script(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that runs the text."""
    return subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment}, cwd=os.path.dirname(os.path.dirname(__file__)))


def test_D2_a_device_of_the_environment_that_is_not_there() -> None:
    """The error lists the devices that are."""
    done = script("import exprgraph as eg; x = eg.vector(); eg.compile([x], x + 1)", EXPRGRAPH_DEVICE="radion")
    assert done.returncode and "radion" in done.stderr and "DeviceError" in done.stderr and "float64" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_D9_a_fault_changes_nothing(way: str) -> None:
    """An index out of bounds in one update: no update happens, and the next call is right."""
    a, b, i = eg.shared(np.arange(3.0), "a"), eg.shared(np.zeros(3), "b"), eg.scalar("i", dtype="int64")
    f = eg.compile([i], a[i], updates={b: b + 1, a: a + a[i]}, **WAYS[way])
    with pytest.raises(IndexError):
        f(3)
    same([a.get_value(), b.get_value()], [np.arange(3.0), np.zeros(3)])
    same([f(2), a.get_value(), b.get_value()], [2.0, np.arange(3.0) + 2, np.ones(3)])


@pytest.mark.parametrize("way", WAYS)
def test_D11_results_and_arguments_are_the_callers(way: str) -> None:
    """Writing into a result or an argument after a call disturbs no other result and no later call."""
    x, w = eg.vector("x"), eg.shared(np.arange(4, dtype=F), "w")
    f = eg.compile([x], [x, w, x * 1, eg.constant(np.ones(4, F)), w], **WAYS[way])
    value = np.arange(4, dtype=F)
    first = f(value)
    kept = [r.copy() for r in first]
    value[...] = 9
    same(first, kept)
    for k, result in enumerate(first):
        result[...] = -k
    second = f(np.arange(4, dtype=F))
    same(second, kept)
    same(first, [np.full(4, -float(k)) + 0 for k in range(5)], atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_D12_the_value_of_a_shared_variable(way: str) -> None:
    """get_value and set_value copy; the size may change, rank and dtype may not."""
    start = np.arange(3, dtype=F)
    w = eg.shared(start, "w")
    f = eg.compile([], w * 2, **WAYS[way])
    start[0], w.get_value()[1] = 50, 50
    same([f()], [np.array([0, 2, 4])])
    new = np.ones(5, F)
    w.set_value(new)
    new[0] = 50
    same([f()], [np.full(5, 2)])
    for wrong in (np.ones((2, 2), F), np.ones(3), np.ones(3, complex)):
        with pytest.raises(TypeError):
            w.set_value(wrong)
    same([f()], [np.full(5, 2)])


def test_D13_exits() -> None:
    """A process ends quietly whatever is still alive: functions, results, shared values, the driver's module gone first."""
    for tail in ("", "import sys; sys.modules.pop('pyopencl'); del f", "import gc; f.me = f; r.flags.writeable"):
        done = script(f"""
            import numpy as np, exprgraph as eg
            x, w = eg.vector(), eg.shared(np.ones(5, 'float32'))
            f = eg.compile([x], x + w, updates={{w: w + 1}}, device='pocl')
            r = f(np.ones(5, 'float32'))
            {tail}""")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_D14_calls_leave_nothing_behind(way: str) -> None:
    """Thousands of calls with results dropped and sizes changing: memory stays flat."""
    x, w = eg.vector("x"), eg.shared(np.zeros(1000, F), "w")
    f = eg.compile([x], [x * 2, x.sum()], updates={w: w + 1}, **WAYS[way])
    sizes = [np.ones(n, F) for n in range(20_000, 20_400, 10)]

    def calls(n: int) -> int:
        for k in range(n):
            f(sizes[k % len(sizes)])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = calls(300)
    assert calls(1500) - before < 20_000  # KiB; what is kept of every call alone would be 240,000


@pytest.mark.parametrize("way", WAYS)
def test_F1_one_function_in_many_threads(way: str) -> None:
    """Eight threads call one function with values and sizes of their own; updates are counted once each."""
    x, n = eg.vector("x"), eg.shared(np.int64(0), "n")
    f = eg.compile([x], [x * 2, x.sum()], updates={n: n + 1}, **WAYS[way])

    def work(k: int) -> bool:
        v = np.full(k + 1, k, F)
        return all(np.array_equal(d, v * 2) and s == k * (k + 1) for d, s in (f(v) for _ in range(40)))
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert n.get_value() == 320


def test_F2_compiling_in_many_threads() -> None:
    """Eight threads build graphs, gradients and functions at the same time."""
    def work(k: int) -> float:
        x = eg.vector("x")
        cost = (eg.tanh(x * (k % 4 + 1)) ** 2).sum()
        return float(eg.compile([x], eg.grad(cost, x), device="pocl")(np.full(3, 0.1, F))[0])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    scale = np.arange(8) % 4 + 1
    np.testing.assert_allclose(found, 2 * np.tanh(0.1 * scale) * (1 - np.tanh(0.1 * scale) ** 2) * scale, rtol=1e-5)


def test_F3_a_forked_child_says_so() -> None:
    """OpenCL does not survive a fork: the child raises instead of hanging, for old functions and for new ones; NumPy still works."""
    done = script("""
        import os, numpy as np, exprgraph as eg
        x = eg.vector()
        f = eg.compile([x], x + 1, device='pocl')
        f(np.ones(3, 'float32'))
        pid = os.fork()
        if pid == 0:
            seen = 0
            for act in (lambda: f(np.ones(3, 'float32')), lambda: eg.compile([x], x + 2, device='pocl')):
                try:
                    act()
                except eg.DeviceError as error:
                    seen += 'fork' in str(error)
            seen += eg.compile([x], x + 2, device='numpy')(np.ones(1, 'float32'))[0] == 3
            os._exit(10 + seen)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), f(np.ones(1, 'float32')))
    """)
    assert done.stdout.split() == ["13", "[2.]"], done.stderr


@pytest.mark.parametrize("way", ["native", "driver"])
def test_F6_a_kernel_leaves_other_threads_alone(way: str, request: pytest.FixtureRequest) -> None:
    """While a kernel runs for a while, another thread of Python keeps counting."""
    if way == "driver":
        request.getfixturevalue("by_driver")
    x = eg.vector("x", dtype="float64")
    y = x
    for _ in range(3):
        y = eg.sin(y)
    f, v = eg.compile([x], y.sum(), device="pocl"), np.ones(600_000)
    f(v)
    counted = 0
    for _ in range(5):  # a busy machine may not let this thread run while one kernel does
        thread = threading.Thread(target=f, args=(v,))
        thread.start()
        while thread.is_alive():
            counted += 1
        if counted > 1000:
            break
    assert counted > 1000


EDGES = {  # expression of a float64 vector, the point, the gradient of its sum
    "I2 ties of a maximum": (lambda x: x.max() * 6, [2, 2, 1, 2], [2, 2, 0, 2]),
    "I2 ties of two": (lambda x: eg.maximum(x, 1.0) + eg.minimum(x, 1.0), [1, 0, 2], [1, 1, 1]),
    "I2 abs, sign and relu at 0": (lambda x: abs(x) + eg.sign(x) + eg.relu(x), [0, 2, -2], [0, 2, -1]),
    "I2 power 0 at 0": (lambda x: x ** 0 + x ** 0.0, [0, 1], [0, 0]),
    "I2 power 1 and 2 at 0": (lambda x: x ** 1 + x ** 2, [0, 3], [1, 7]),
    "I2 clip inside and outside": (lambda x: eg.clip(x, 0, 1), [0.5, -1, 2], [1, 0, 0]),
    "I3 flat": (lambda x: eg.floor(x) + eg.round(x) * 2 + (x > 0.5) + x, [0.3, 0.5, 1], [1, 1, 1]),
    "I4 read twice": (lambda x: x * x[::-1] + x, [1, 2, 3], [7, 5, 3]),
    "I7 product with a zero": (lambda x: x.prod(), [2, 0, 3], [0, 6, 0]),
    "I7 product with two": (lambda x: x.prod(), [0, 0, 3], [0, 0, 0]),
    "I7 norm at 0": (lambda x: x.norm(2), [0, 0], [0, 0]),
    "I7 variance of one": (lambda x: x.var(), [3], [0]),
    "I8 log of sigmoid": (lambda x: eg.log(eg.sigmoid(x)), [800, -800, 0, 1e-8], [0, 1, 0.5, 0.5 - 2.5e-9]),
    "I8 logsumexp": (lambda x: eg.logsumexp(x), [800, 800, -800], [0.5, 0.5, 0]),
    "I8 log of softmax": (lambda x: eg.log_softmax(x)[0], [800, 0, 0], [0, 0, 0]),
    "I9 repeated indices": (lambda x: x[np.array([0, 0, 2, 0])] * 2, [1, 1, 1], [6, 0, 2]),
    "I5 nothing to sum": (lambda x: x[:0] * 3, [1, 2], [0, 0])}


@pytest.mark.parametrize("way", WAYS)
def test_gradients_at_the_edges(way: str) -> None:
    """The subgradients that are documented, finite wherever they can be."""
    x = eg.vector("x", dtype="float64")
    slopes = [eg.grad(make(x).sum(), x) for make, _, _ in EDGES.values()]
    f = {size: eg.compile([x], [s for s, e in zip(slopes, EDGES.values()) if len(e[1]) == size], **WAYS[way]) for size in (1, 2, 3, 4)}
    for size, g in f.items():
        cases = [(n, e) for n, e in EDGES.items() if len(e[1]) == size]
        for point in {tuple(map(float, e[1])): None for _, e in cases}:
            for (name, edge), got in zip(cases, g(np.array(point))):
                if tuple(map(float, edge[1])) == point:
                    np.testing.assert_allclose(got, edge[2], rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_I6_the_second_gradient_of_softmax(way: str) -> None:
    """The Hessian of a weighted softmax, against differences of its gradient."""
    x, v = eg.vector("x", dtype="float64"), eg.vector("v", dtype="float64")
    slope = eg.grad((eg.softmax(x) * np.array([1.0, -2, 3])).sum(), x)
    f = eg.compile([x, v], [slope, eg.grad((slope * v).sum(), x)], on_unused_input="ignore", **WAYS[way])
    at, along, h = np.array([0.3, -0.2, 1.0]), np.array([1.0, 2, -1]), 1e-5
    numeric = (f(at + h * along, along)[0] - f(at - h * along, along)[0]) / (2 * h)
    np.testing.assert_allclose(f(at, along)[1], numeric, rtol=1e-7, atol=1e-10)
