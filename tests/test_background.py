"""Builds in the background: NumPy answers at once, then kernels do; updates go on, and what goes wrong is told."""
from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import backend
from exprgraph.background import Background
from exprgraph.errors import NoDeviceError, UnknownDeviceError
from exprgraph.later import Later
from runtime import device
from tests.test_threads import script

F = np.float32


class Gate:
    """Holds builds for OpenCL until it is opened, or lets them fail."""

    def __init__(self) -> None:
        self.open, self.fault = threading.Event(), list[Exception]()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made, build = Gate(), backend.build

    def held(program: Any, device: str) -> Any:
        if device != "numpy":
            assert made.open.wait(60)
            if made.fault:
                raise made.fault[0]
        return build(program, device)
    monkeypatch.setattr(backend, "build", held)
    yield made
    made.open.set()


def test_numpy_answers_until_kernels_are_there_and_updates_go_on(gate: Gate) -> None:
    x, w = eg.vector("x"), eg.shared(F([1, 2]), "w")
    f = eg.compile([x], x * w, updates={w: w + 1}, device="pocl", background=True)
    g = f.copy(swap={w: eg.shared(F([5, 5]), "other")})
    assert not f.ready and not f.wait(0.01) and "NumPy" in f.why() and "numpy" in f.source().lower() and f.device == "pocl"
    assert f([1, 1]).tolist() == [1, 2] and g([1, 1]).tolist() == [5, 5]
    gate.open.set()
    assert f.wait(60) and f.ready and g.wait() and f._run is g._run and not isinstance(f._run, Background)
    for k in range(2, 6):
        assert f(F([1, 1])).tolist() == [k, k + 1]
    assert g([1, 1]).tolist() == [6, 6] and w.get_value().tolist() == [6, 7] and "kernel" in f.source() and f._lean


def test_calls_in_threads_while_the_function_goes_over(gate: Gate) -> None:
    """Totals are exact across the change, whichever way each call took."""
    x, n, m = eg.vector("x"), eg.shared(np.int64(0), "n"), eg.shared(np.zeros(2), "m")
    f = eg.compile([x], x.sum(), updates={n: n + 1, m: m + x.sum()}, device="pocl", background=True)
    done, counts = threading.Event(), [0] * 4

    def work(k: int) -> None:
        while not done.is_set():
            assert f(np.full(k + 1, 1, F)) == k + 1
            counts[k] += 1
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    gate.open.set()
    assert f.wait(60)
    done.wait(0.2)
    done.set()
    for t in threads:
        t.join()
    assert n.get_value() == sum(counts) and m.get_value().tolist() == [sum((k + 1) * c for k, c in enumerate(counts))] * 2


def test_a_build_that_fails_is_told_once_and_numpy_goes_on(gate: Gate) -> None:
    x = eg.vector("x")
    f = eg.compile([x], x + 1, device="pocl", background=True)
    gate.fault.append(eg.DeviceError("the driver is broken"))
    gate.open.set()
    with pytest.raises(eg.DeviceError, match="the driver is broken"):
        f.wait(60)
    with pytest.warns(RuntimeWarning, match="could not be built in the background(.|\n)*the driver is broken"):
        assert f([1]).tolist() == [2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f([2]).tolist() == [3] and not f.ready and "failed" in f.why()
    with pytest.raises(eg.DeviceError):
        f.wait()


def test_what_numpy_has_no_meaning_for_waits(gate: Gate) -> None:
    x = eg.vector("x")
    raw = eg.RawKernel("__kernel void twice(__global const float *x, __global float *y) { int i = get_global_id(0); y[i] = 2 * x[i]; }",
                       outputs={"y": "x"})
    less = eg.ReductionKernel("float32", "-INFINITY", "a > b ? a : b", arguments="float *x")
    f = eg.compile([x], [raw(x), less(x)], device="pocl", background=True)
    threading.Timer(0.1, gate.open.set).start()
    found = f([1, 2])
    assert found[0].tolist() == [2, 4] and found[1] == 2


TWICE = "__kernel void twice(__global const float *x, __global float *y) { int i = get_global_id(0); y[i] = 2 * x[i]; }"
MORE = "float more(float a, float b) { while (a < b) a = b; return a; }"
SEEN: list[Any] = []


@eg.as_op([eg.fvector], [eg.fvector], infer_shape=lambda shapes: shapes, pure=False)
def seen(a: Any) -> Any:
    SEEN.append(a.tolist())
    return a + 1


SILENT: dict[str, Callable[[Any], Any]] = {
    "alone": lambda x: eg.RawKernel(TWICE, outputs={"y": "x"})(x),
    "lanes": lambda x: eg.vmap(eg.RawKernel(TWICE, outputs={"y": "x"}))(eg.stack([x, x])),
    "inside": lambda x: eg.OpFromGraph([x], [eg.RawKernel(TWICE, outputs={"y": "x"})(x)])(x + 0),
    "map": lambda x: eg.ElementwiseKernel("float x", "more(x, 1)", preamble=MORE)(x),
    "fold": lambda x: eg.ReductionKernel("float32", "-INFINITY", "more(a, b)", arguments="float *x", preamble=MORE)(x),
    "behind a size": lambda x: eg.RawKernel(TWICE, outputs={"y": "x"})(x[:(x > 0).sum()])}


@pytest.mark.parametrize("name", SILENT)
def test_who_answers_is_decided_before_anything_runs(gate: Gate, name: str) -> None:
    """What acts once acts once, whatever NumPy has no meaning for behind it."""
    x = eg.fvector("x")
    SEEN.clear()
    told = list[Any]()
    first = eg.Print("x", global_fn=lambda op, value: told.append(value.tolist()))(seen(x))
    f = eg.compile([x], SILENT[name](first), device="pocl", background=True)
    threading.Timer(0.05, gate.open.set).start()
    f([1, 2])
    assert SEEN == [[1, 2]] and told == [[2, 3]]


def begun_once() -> eg.Function:
    """NumPy has no room for its second stage, where the first has 10 elements and has acted."""
    SEEN.clear()
    x = eg.fvector("x")
    y = seen(x)
    z = eg.zeros(((y > 0).sum() * 100,))
    return eg.compile([x], (eg.exp(eg.sin(z) + eg.cos(z)) * eg.tanh(z)).sum() + y[0], device="pocl", background=True, max_bytes=5_000)


def test_what_acts_once_is_not_begun_where_a_bound_may_refuse_it(gate: Gate) -> None:
    f = begun_once()
    threading.Timer(0.05, gate.open.set).start()
    assert f(np.ones(10, F)) == 2 and len(SEEN) == 1 and f.ready


def test_after_a_failed_build_what_acts_once_is_numpys(gate: Gate) -> None:
    f = failed(gate, begun_once, (np.ones(1, F),))
    assert f(np.ones(1, F)) == 2 and len(SEEN) == 2
    with pytest.raises(eg.AllocationError, match="NumPy's one order"):
        f(np.ones(10, F))
    assert len(SEEN) == 3


def test_the_error_of_a_build_is_raised_anew_and_holds_nothing(gate: Gate) -> None:
    f = failed(gate, lambda: eg.compile([], [eg.constant(1.0) + 1], device="pocl", background=True), ())
    lengths, errors = set(), list[BaseException]()
    for _ in range(3):
        with pytest.raises(eg.DeviceError, match="the driver is broken") as caught:
            f.wait()
        lengths.add(len(caught.traceback))
        errors.append(caught.value)
    assert len(lengths) == 1 and len({id(e) for e in errors}) == 3
    inside = [t.frame.f_locals for t in caught.traceback if t.name in ("held", "built", "build")]
    assert len(inside) == 3 and not any(inside)


def test_mistakes_of_users_come_at_once_and_parts_and_pickles_wait(gate: Gate) -> None:
    x, y = eg.vector("x"), eg.vector("y")
    with pytest.raises(eg.MissingInputError):
        eg.compile([x], x + y, device="pocl", background=True)
    f = eg.compile([x], [x + 1, x * 2], device="pocl", background=True)
    with pytest.raises(TypeError):
        f("no")
    gate.open.set()
    assert f([1], output_subset=[1])[0].tolist() == [2] and f.ready
    assert eg.compile([x], x, device="numpy", background=True).ready


def test_a_device_that_is_not_there_is_told_at_once() -> None:
    x = eg.vector("x")
    before = threading.active_count()
    with pytest.raises(UnknownDeviceError, match="no device fits device='nosuch'"):
        eg.compile([x], x + 1, background=True, device="nosuch")
    assert threading.active_count() == before


def test_a_device_is_told_at_once_where_there_is_no_opencl(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(spec: str) -> None:
        raise NoDeviceError("no platform")
    monkeypatch.setattr(device, "fitting", gone)
    x = eg.vector("x")
    with pytest.raises(eg.DeviceError, match="device 'gpu' is not available: no platform"):
        eg.compile([x], x + 1, background=True, device="gpu")
    f = eg.compile([x], x + 1, background=True, device="auto")
    assert f([1]).tolist() == [2]


def failed(gate: Gate, make: Any, arguments: tuple[Any, ...] = ([1],)) -> Any:
    """A function whose build has failed, which has been told."""
    f = make()
    gate.fault.append(eg.DeviceError("the driver is broken"))
    gate.open.set()
    with pytest.warns(RuntimeWarning, match="the driver is broken"):
        f(*arguments, output_subset=[0])
    return f


def test_after_a_failed_build_parts_and_copies_are_numpys(gate: Gate) -> None:
    x, w = eg.vector("x"), eg.shared(F(3), "w")
    f = failed(gate, lambda: eg.compile([x], [x + w, x * w], updates={w: w + 1}, device="pocl", background=True))
    assert w.get_value() == 4 and f([1], output_subset=[1])[0].tolist() == [4] and w.get_value() == 5
    g = f.copy(delete_updates=True)
    assert [v.tolist() for v in g([1])] == [[6], [5]] and w.get_value() == 5 and g.device == "numpy"
    with pytest.raises(eg.DeviceError):
        f.wait()


def test_results_that_stay_say_where_they_are(gate: Gate) -> None:
    """NumPy's are NumPy's; the first one of an unpickled function names the device too."""
    x = eg.vector("x")
    f = eg.compile([x], [x + 1, x * 2], device="auto", output=["device", "host"], background=True)
    g = eg.compile([x], x * 3, device="numpy", output="device")
    first = f([1])
    assert first[0].device == "numpy" and isinstance(first[1], np.ndarray)
    assert g(first[0]).tolist() == [6] and eg.array(first[0], device="pocl").tolist() == [2]
    gate.open.set()
    assert f.wait(60)
    second = f(first[0])
    assert second[0].device == eg.array([1.0], device="pocl").device and second[0].tolist() == [3] and f(second[0])[0].tolist() == [4]
    late = pickle.loads(pickle.dumps(eg.compile([x], x * 5, device="auto", output="device")))
    assert late([1]).device == second[0].device


def test_a_bound_holds_for_numpy_too_and_is_told_of_the_device(gate: Gate) -> None:
    """NumPy keeps every value of a chain in turn, the kernel none: what NumPy has no room for waits for the kernel."""
    x = eg.vector("x")
    chain = eg.exp(eg.sin(x) + eg.cos(x)) * eg.tanh(x)
    f = eg.compile([x], chain.sum(), device="pocl", background=True, max_bytes=5_000)
    ones = np.ones(1000, F)
    assert f(ones[:100]) == f(ones[:100]) and not f.ready
    threading.Timer(0.05, gate.open.set).start()
    assert f(ones) > 0 and f.ready
    with pytest.raises(eg.AllocationError, match="max_bytes=5,000: no order"):
        f(np.ones(2000, F))


def test_after_a_failed_build_the_bound_is_numpys(gate: Gate) -> None:
    x = eg.vector("x")
    f = failed(gate, lambda: eg.compile([x], [eg.exp(x).sum()], device="pocl", background=True, max_bytes=5_000))
    with pytest.raises(eg.AllocationError, match="NumPy's one order") as caught:
        f(np.ones(2000, F))
    assert "driver" not in str(caught.value)


class Meddled(WeakSet[Any]):
    """A set to which another thread adds while it is read."""

    def __init__(self, late: Later, newcomer: Any) -> None:
        super().__init__()
        self.thread = threading.Thread(target=late.follow, args=(newcomer,))

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            if not self.thread.ident:
                self.thread.start()
                self.thread.join(0.05)
            yield item


class Follower:
    """What notes that it was told."""
    told: Any = None

    def adopt(self, built: Any) -> None:
        """Note it."""
        self.told = built


def test_a_copy_that_is_made_while_functions_go_over_goes_over_too() -> None:
    late, known, newcomer = Later(lambda: "built"), [Follower() for _ in range(3)], Follower()
    late.followers = Meddled(late, newcomer)
    for one in known:
        late.follow(one)
    late.build()
    late.followers.thread.join()
    assert [one.told for one in (*known, newcomer)] == ["built"] * 4


def test_D13_the_process_ends_or_forks_while_kernels_are_built() -> None:
    """It neither hangs nor crashes; the child goes on with NumPy, and waiting there is an error."""
    text = """
        import os, numpy as np, exprgraph as eg
        x, w = eg.vector("x"), eg.shared(np.ones(2, "f4"), "w")
        f = eg.compile([x], eg.softmax(eg.cumsum(x * {k} + w)), updates={{w: w + 1}}, device="pocl", background=True)
        f(np.ones(2, "f4"))
        if {fork} and not os.fork():
            f(np.ones(2, "f4"))
            try:
                print(f.ready or f.wait(), w.get_value()[0], flush=True)
            except eg.DeviceError as error:
                print("forked" in str(error), w.get_value()[0], flush=True)
            os._exit(0)
        if {fork}:
            os.wait()
        """
    for k in range(2):
        done = script(text.format(k=k + 3, fork=False))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = script(text.format(k=7, fork=True))
    assert done.stdout.split() == ["True", "3.0"] and done.returncode == 0, (done.stdout, done.stderr)
