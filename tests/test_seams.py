"""Where features meet: what one of them keeps, sends or shares must not be taken for what another one asked for."""
from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import cache_command, store
from runtime import arrays, chosen, doctor
from tests.array_kinds import dress
from tests.processes import python

F = np.float32


def test_a_copy_without_updates_pickles_as_what_it_is() -> None:
    x, w = eg.vector("x"), eg.shared(np.ones(2, F), name="w")
    f = eg.compile([x], [x * 2, x + w], updates={w: w + x}, device="pocl")
    g = f.copy(delete_updates=True)
    text = pickle.dumps(g)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(f))(np.ones(2, F))[0], 2)
    again = pickle.loads(text)
    assert len(again(np.ones(2, F))) == 2 and not again.targets and len(g(np.ones(2, F))) == 2


def test_what_is_watched_here_is_not_what_others_unpickle() -> None:
    x = eg.vector("x")
    plain, guarded = eg.compile([x], eg.log(x), device="pocl"), eg.compile([x], eg.log(x), mode="NanGuardMode", profile=True, device="pocl")
    kept = pickle.dumps(guarded)
    assert np.isnan(pickle.loads(pickle.dumps(plain))(-np.ones(2, F))).all()
    assert np.isnan(pickle.loads(kept)(-np.ones(2, F))).all()
    with pytest.raises(eg.GuardFault):
        guarded(-np.ones(2, F))


@pytest.mark.parametrize("background", [False, True])
def test_a_function_stays_deterministic_outside_the_block_that_asked_for_it(background: bool) -> None:
    t, i, x = eg.vector("t"), eg.ivector("i"), eg.vector("x")
    with eg.change_flags(deterministic=True):
        f = eg.compile([t, i, x], eg.inc_subtensor(t[i], x), schedule="gpu", device="pocl", background=background)
    f.wait()
    f(np.zeros(5, F), np.int32([1, 1, 3]), np.ones(6, F)[::2])
    assert not merges(f)
    g = eg.compile([t, i, x], eg.inc_subtensor(t[i], x), schedule="gpu", device="pocl")
    assert merges(g)


def merges(f: Any) -> list[str]:
    """The lines in which values are merged atomically; faults are noted so, too."""
    return [line for line in f.source().splitlines() if "cmpxchg" in line and "*)flags" not in line]


def test_memory_that_pyopencl_was_given_is_not_given_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    dress(monkeypatch)
    x = eg.vector("x")
    f = eg.compile([x], x * 2, device="separate", output="device")
    given = eg.to_pyopencl(f(eg.array(np.ones(1000, F), device="separate")))
    for _ in range(3):
        np.asarray(f(eg.array(np.full(1000, 50, F), device="separate")))
        gc.collect()
    np.testing.assert_array_equal(given.get(), 2)


def test_a_call_without_arguments_that_stays_takes_a_new_layout_of_its_variable() -> None:
    base = np.ones(1 << 22, F)
    s = eg.shared(base[:1 << 21].copy(), name="s")
    f = eg.compile([], eg.exp(eg.sin(eg.exp(eg.tanh(s)))), output="device", device="pocl")
    first = np.asarray(f())
    s.set_value(base[::2], borrow=True)
    np.testing.assert_array_equal(np.asarray(f()), first)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_call_from_a_handler_within_a_watched_call_is_refused_and_spoils_nothing() -> None:
    x = eg.vector("x")
    f = eg.compile([x], eg.exp(eg.sin(x)).sum(), device="pocl", profile=True)
    big, small = np.ones(300000, F), np.zeros(3, F)
    wanted, told = f(big), list[str]()

    def handler(*_: object) -> None:
        try:
            assert f(small) == 3
            assert f.profile.rows
        except RuntimeError as error:
            told.append(str(error))
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    try:
        found = [f(big) for _ in range(60)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(v == wanted for v in found) and all("reentrant" in t for t in told)


@pytest.mark.parametrize("make", [
    lambda x: eg.compile([x], x * 2, device="pocl", background=True),
    lambda x: pickle.loads(pickle.dumps(eg.compile([x], x * 3, device="pocl")))], ids=["background", "unpickled"])
def test_memory_is_told_of_whatever_runs(make: Callable[[Any], Any]) -> None:
    x = eg.vector("x")
    f = make(x)
    assert f.memory((1000,)).peak >= 8000 and "x.shape[0]" in str(f.memory())


def test_names_of_intermediates_are_those_of_the_script_that_reads(tmp_path: Path) -> None:
    text = """
        import numpy as np, exprgraph as eg
        x, y = eg.matrices("x", "y")
        {a} = x @ y; {a}.name = "{a}"
        {b} = eg.cumsum({a}, axis=0); {b}.name = "{b}"
        f = eg.compile([x, y], eg.cumsum({b} * {a}, axis=1).sum(), device="pocl")
        print("from disk" in f.why(), f.memory((300, 300), (300, 300)))
    """
    first = python(text.format(a="alpha", b="beta"), EXPRGRAPH_CACHE=tmp_path).stdout
    second = python(text.format(a="beta", b="alpha"), EXPRGRAPH_CACHE=tmp_path).stdout
    assert first.startswith("False") and second.startswith("True") and "'alpha'" in first
    swap = first.replace("alpha", "?").replace("beta", "alpha").replace("?", "beta")
    assert second.partition(" ")[2] == swap.partition(" ")[2]


def test_a_guard_names_the_operation_though_results_stay() -> None:
    x = eg.vector("x")
    f = eg.compile([x], eg.log(x), mode="NanGuardMode", output="device", device="pocl")
    with pytest.raises(eg.GuardFault, match="(?s)log.*its inputs are.*from -1"):
        np.asarray(f(-np.ones(3, F)))


def twice(**options: Any) -> Any:
    """A call of a kernel that NumPy has no meaning for, with a NaN behind it."""
    raw = eg.RawKernel("kernel void twice(global const float *x, global float *y) { y[get_global_id(0)] = 2 * x[get_global_id(0)]; }",
                       outputs={"y": "x"})
    x = eg.vector("x")
    return eg.compile([x], eg.log(raw(x)), **options)([-1])


def logarithm(**options: Any) -> Any:
    x = eg.vector("x")
    return eg.compile([x], eg.log(x) + 1, **options)([-1])


def taken(**options: Any) -> Any:
    x, i = eg.vector("x"), eg.ivector("i")
    return eg.compile([x, i], eg.exp(x)[i], **options)([1], np.int32([5]))


def shaped(**options: Any) -> Any:
    x = eg.vector("x")
    return eg.compile([x], x.reshape((2, 3)) + 1, **options)([1])


@pytest.mark.parametrize("options", [{"device": "numpy"}, {"device": "pocl"}, {"device": "pocl", "background": True}],
                         ids=["numpy", "pocl", "background"])
@pytest.mark.parametrize(("call", "mode", "error"), [
    (logarithm, "NanGuardMode", eg.GuardFault), (twice, "NanGuardMode", eg.GuardFault), (taken, "NanGuardMode", eg.IndexFault),
    (taken, "DebugMode", eg.IndexFault), (taken, None, eg.IndexFault), (shaped, "DebugMode", eg.ShapeError), (shaped, None, eg.ShapeError)])
def test_an_error_comes_alone(call: Callable[..., Any], mode: Any, error: type[Exception], options: dict[str, Any]) -> None:
    """Where what led to it says nothing more, no other traceback comes before it."""
    wanted = error if call is not twice or options["device"] != "numpy" else eg.OwnOpError
    with pytest.raises(wanted) as caught:
        call(mode=mode, **options)
    told = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in told and "direct cause" not in told


@pytest.mark.parametrize("mode", ["FAST_RUN", "NanGuardMode", "DebugMode"])
def test_an_unpickled_function_names_the_line_it_was_written_in(mode: str, device: str) -> None:
    """It is watched no more, but knows where its operations come from."""
    x, i = eg.vector("x"), eg.ivector("i")
    line = test_an_unpickled_function_names_the_line_it_was_written_in.__code__.co_firstlineno + 5
    f = pickle.loads(pickle.dumps(eg.compile([x, i], eg.exp(x)[i], mode=mode, device=device)))
    with pytest.raises(IndexError, match=rf"test_seams.py:{line}"):
        f([1], np.int32([5]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_F3_a_forked_child_finds_the_locks_of_memory_free() -> None:
    done = python("""
        import os, threading, time, sys
        import numpy as np, exprgraph as eg
        x = eg.vector("x")
        f = eg.compile([x], x * 2, device="pocl")
        big = np.ones(1 << 19, "f")
        held, over = f(big), False
        def busy():
            while not over:
                f(big)
        threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
        [t.start() for t in threads]
        bad = 0
        for _ in range(8):
            time.sleep(0.01)
            pid = os.fork()
            if not pid:
                del held
                os._exit(0)
            until = time.monotonic() + 20
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > until:
                    os.kill(pid, 9)
                    bad += 1
                time.sleep(0.01) if time.monotonic() < until + 1 else sys.exit("lost")
        over = True
        print(bad)
    """, EXPRGRAPH_NATIVE="1")
    assert done.stdout == "0\n", done.stderr


def test_explaining_takes_device_arrays_and_settings_take_0_and_1() -> None:
    x = eg.vector("x")
    assert "nothing is wrong" in str(eg.explain(x * 2, {x: eg.array(np.ones(3, F), device="pocl")}))
    with eg.change_flags(deterministic=1):
        assert eg.config.deterministic is True
    with pytest.raises(ValueError):
        eg.config.deterministic = 2


def test_clearing_removes_verdicts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    store.Store("graph").put("ab" * 32, b"x")
    (tmp_path / "verdict-1.json").write_text("{}")
    assert cache_command.main(["clear"]) == 0 and "1 entries" in capsys.readouterr().out
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_E15_a_cache_may_be_cleared_while_others_compile(tmp_path: Path) -> None:
    """PoCL's folder stays, empty, for the processes that write to it."""
    done = python("""
        import subprocess, sys, numpy as np, exprgraph as eg
        x = eg.vector("x")
        for k in (2.5, 3.5):
            print(eg.compile([x], x * k, device="pocl")(np.ones(2, "f")))
            subprocess.run([sys.executable, "-m", "exprgraph", "cache", "clear"], check=True, capture_output=True)
        """, EXPRGRAPH_CACHE=tmp_path, without=("POCL_CACHE_DIR",))
    assert done.stdout == "[2.5 2.5]\n[3.5 3.5]\n" and not done.stderr


def test_arrays_go_to_no_device_that_failed_its_test() -> None:
    assert arrays.choose is chosen.choose


def test_the_doctor_sees_that_the_device_asked_for_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eg.config, "device", "quantum")
    found = list(doctor._asked())
    assert len(found) == 1 and found[0].level == doctor.WRONG and "quantum" in found[0].text and "EXPRGRAPH_DEVICE" in found[0].cure
    monkeypatch.setattr(eg.config, "device", "pocl")
    assert not list(doctor._asked())


def test_memory_of_a_copy_without_values_asks_for_their_shapes() -> None:
    x, w = eg.vector("x"), eg.shared(np.ones(3, F), name="w")
    f = eg.compile([x], x * w, device="pocl").without_values()
    with pytest.raises(eg.CallError, match="the shape is missing of w"):
        f.memory((3,))
    assert f.memory((3,), w=(3,)).peak > 0
