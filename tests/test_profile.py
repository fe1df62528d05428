"""Profiles and progress: what is counted, its table and its trace, and that nothing is there where nobody asks for it."""
from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import phases
from exprgraph.phases import listening, phase
from exprgraph.profiles import KEPT, Profile, Summary, new
from exprgraph.steps import Step
from runtime import bandwidth, device

ROOT = Path(__file__).resolve().parent.parent
F = "float32"
X, x = eg.matrix("X"), eg.vector("x")
A = np.arange(6000, dtype=F).reshape(60, 100) / 6000


def profiled(**more: Any) -> Any:
    """A function with several steps and an update."""
    w = eg.shared(np.ones((100, 3), F), name="w")
    made = [eg.softmax(X, axis=1), eg.sort(X, axis=1), (X @ w).sum(axis=0)]
    return eg.compile([X], made, updates={w: w / 2}, profile=True, name="net", **more)


def test_steps_are_counted_with_their_lines(device: str) -> None:
    f = profiled()
    assert f.profile.calls == 0 and f.profile.rows == ()
    plain = eg.compile([X], eg.softmax(X, axis=1))
    for _ in range(3):
        np.testing.assert_allclose(f(A)[0], plain(A), rtol=1e-6)
    assert f.profile.calls == 3 and f.profile.name == "net"
    assert all(r.times % 3 == 0 and r.nanoseconds > 0 for r in f.profile.rows)
    assert [r.nanoseconds for r in f.profile.rows] == sorted((r.nanoseconds for r in f.profile.rows), reverse=True)
    kinds = {r.step.kind for r in f.profile.rows}
    assert kinds == {"op"} if device == "numpy" else {"kernel"} < kinds <= {"kernel", "numpy", "copy"}
    assert {s.file.rpartition("/")[2] for r in f.profile.rows for s in r.step.sources} == {"test_profile.py"}
    text = str(f.profile)
    assert text.startswith("net: 3 calls in ") and "test_profile.py:" in text and "exp" in text
    assert set(f.profile.phases) >= ({"optimise"} if device == "numpy" else {"optimise", "generate"})


def test_bytes_and_operations_are_those_of_the_step() -> None:
    """A product of 60 x 100 by 100 x 3, a map of 100 elements, a look at a corner of a matrix."""
    w = eg.matrix("w")
    f = eg.compile([X, w, x], [X @ w, eg.exp(x) * 2 + 1, X[:2, :2] + 1], profile=True, device="pocl")
    f(A, np.ones((100, 3), F), np.ones(100, F))
    rows = {frozenset(r.step.text.partition(" over ")[0].split(", ")) or r.step.name: r for r in f.profile.rows}
    product = next(r for r in f.profile.rows if r.flops == 2 * 60 * 100 * 3)
    assert product.nbytes >= 4 * (60 * 100 + 100 * 3 + 60 * 3)
    mapped = next(r for names, r in rows.items() if "exp" in names)
    assert (mapped.nbytes, mapped.flops) == (4 * 200, 300)
    corner = next(r for names, r in rows.items() if "subtensor" in names and "exp" not in names)
    assert (corner.nbytes, corner.flops) == (4 * 8, 4)


def test_events_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are timed by profiling events; nobody keeps any."""
    from runtime import watched
    seen = []
    real = watched._by_event
    monkeypatch.setattr(watched, "_by_event", lambda run, action: seen.append(real(run, action)) or seen[-1])
    f = eg.compile([x], eg.exp(x).sum(), profile=True, device="pocl")
    f(np.ones(100_000, F))
    row, = (r for r in f.profile.rows if r.step.kind == "kernel" and r.times == 1 and r.nanoseconds == seen[0])
    assert row.nanoseconds > 0


def test_a_trace_is_what_perfetto_reads(device: str, tmp_path: Path) -> None:
    f = profiled()
    f(A)
    f.profile.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert {e["ph"] for e in events} == {"X", "M"} and {e["name"] for e in events if e["ph"] == "M"} == {"process_name", "thread_name"}
    assert all(e["dur"] >= 0 and isinstance(e["ts"], float) and e["pid"] == 1 and e["tid"] >= 1 for e in spans)
    steps = [e for e in spans if e["cat"] != "compile"]
    assert len(steps) == sum(r.times for r in f.profile.rows)
    assert all("test_profile.py" in e["args"]["lines"] for e in steps if e["cat"] != "copy")
    kernels = [e["ts"] for e in steps if e["cat"] != "copy"]
    assert kernels == sorted(kernels)


def test_the_summary_knows_all_functions(device: str) -> None:
    f = eg.compile([x], x + 1, profile=True, name="counted in the summary")
    f([1])
    assert f.profile in eg.profile_summary().profiles and "counted in the summary" in str(eg.profile_summary())
    with eg.change_flags(profile=True):
        assert eg.compile([x], x + 1).profile is not None and eg.compile([x], x + 1, profile=False).profile is None
    assert eg.function([x], x + 1, profile=True).profile is not None


def test_functions_without_a_name_are_told_by_the_line_or_the_output(device: str) -> None:
    y = x * 2
    y.name = "doubled"
    made = [eg.compile([x], x + k, profile=True) for k in range(2)] + [eg.compile([x], y, profile=True), eg.function([], [], profile=True)]
    line = test_functions_without_a_name_are_told_by_the_line_or_the_output.__code__.co_firstlineno + 3
    names = [f.profile.name for f in made]
    assert names == [f"f at test_profile.py:{line}"] * 2 + ["doubled", f"f at test_profile.py:{line}"]
    told = Summary(tuple(f.profile for f in made))
    assert [f"f at test_profile.py:{line} #{k}" in str(told) for k in (1, 2, 3, 4)] == [True] * 3 + [False]
    assert str(told).count("doubled") == 1
    processes = [e["args"]["name"] for e in told.trace()["traceEvents"] if e["name"] == "process_name"]
    assert len(set(processes)) == 4 and processes[2] == "doubled"


def test_stages_share_a_profile(device: str) -> None:
    f = eg.compile([x], x[x > 0] * 2, profile=True)
    f([1, -1, 2])
    assert {s.step.kind for s in f.profile.rows} and f.profile.calls == 1


def test_nothing_is_there_where_nobody_asks() -> None:
    """No wrapper, no copied memory, the native way; and what watches is not even loaded."""
    own = ("exprgraph.watching", "exprgraph.profiles", "exprgraph.debugging", "exprgraph.guards", "runtime.watched", "runtime.bandwidth")
    code = ("import sys, numpy as np, exprgraph as eg; x = eg.vector('x')\n"
            "f = eg.compile([x], (x * 2).sum(), device='pocl'); f([1]); f([1])\n"
            f"print(f.profile, type(f._run).__name__, f._run.quick(np.float32([3])), [m for m in sys.modules if m in {own}])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout == "None DeviceExecutable [array(6., dtype=float32)] []\n"


def test_the_summary_at_the_end_of_a_process() -> None:
    code = "import exprgraph as eg; x = eg.vector('x'); f = eg.compile([x], x * 2, name='doubled', device='numpy'); f([1])"
    for setting, wanted in (("exit", True), ("1", False), ("0", False)):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT), "EXPRGRAPH_PROFILE": setting})
        assert ("doubled" in done.stderr) == wanted and done.stdout == ""


def test_a_trace_keeps_the_latest_steps_only() -> None:
    profile = Profile("p")
    for k in range(KEPT + 10):
        profile.add(Step("kernel", "k"), "d", k, 1, 4, 1)
    assert len(profile.events()) == KEPT and profile.events()[0].start == 10 and profile.rows[0].times == KEPT + 10


def test_threads_add_at_once() -> None:
    profile = new("threads")

    def add() -> None:
        for k in range(2000):
            profile.add(Step("kernel", f"k{k % 3}"), "d", k, 2, 4, 1)
    threads = [threading.Thread(target=add) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(r.times for r in profile.rows) == 16000 and sum(r.nanoseconds for r in profile.rows) == 32000


def test_a_device_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    session = device.session(device.choose("pocl"))
    monkeypatch.setattr(bandwidth, "_known", {})
    monkeypatch.setattr(bandwidth, "NBYTES", 1 << 22)
    rate = bandwidth.bandwidth(session)
    assert 1e7 < rate < 1e14
    monkeypatch.setattr(bandwidth, "_measured", lambda session: 1 / 0)
    assert bandwidth.bandwidth(session) == rate


# Progress

class Terminal(io.StringIO):
    """A stream that says it is a terminal."""
    def isatty(self) -> bool:
        return True


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than a hundredth of a second is told of."""
    monkeypatch.setattr(phases, "PATIENCE", 0.01)
    monkeypatch.setattr(phases, "TICK", 0.01)


def shown(stream: Any, monkeypatch: pytest.MonkeyPatch, long: bool = True) -> str:
    """What a phase writes to a stream."""
    monkeypatch.setattr(sys, "stderr", stream)
    with phase("build", "12 kernels"):
        for _ in range(500):
            if not long or stream.getvalue():
                break
            time.sleep(0.01)
    for _ in range(500):
        if not long or not any(t.name == "exprgraph progress" for t in threading.enumerate()):
            break
        time.sleep(0.01)
    return stream.getvalue()


def test_long_work_is_told_of_on_a_terminal(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch)
    assert "exprgraph: build 12 kernels, " in text and text.endswith(phases.CLEAR)


def test_nothing_is_told_early_in_a_pipe_or_where_it_is_off(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "_tell", lambda *a: (_ for _ in ()).throw(AssertionError("told")))
    before = threading.active_count()
    assert shown(io.StringIO(), monkeypatch, long=False) == "" and threading.active_count() == before
    with eg.change_flags(progress="off"):
        assert shown(Terminal(), monkeypatch, long=False) == "" and threading.active_count() == before


def test_short_work_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert phases.PATIENCE >= 1 and shown(Terminal(), monkeypatch, long=False) == ""


def test_it_can_be_asked_for_in_a_pipe(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with eg.change_flags(progress="on"):
        assert "build 12 kernels" in shown(io.StringIO(), monkeypatch)


def test_a_terminal_that_is_gone_is_no_fault(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Terminal()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        with phase("build"), eg.change_flags(progress="on"), phase("inner"):
            time.sleep(0.05)


def test_phases_belong_to_who_listens() -> None:
    outer, inner = Profile("outer"), Profile("inner")
    with listening(outer), phase("a"):
        with listening(inner), phase("b"):
            pass
        with listening(None), phase("c"):
            pass
    assert set(outer.phases) == {"a"} and set(inner.phases) == {"b"}


def test_a_plan_from_disk_is_profiled_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines, bytes and operations of steps are kept with the plan, with the lines of who reads it."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    seen = []
    for _ in range(2):
        f = eg.compile([X], eg.exp(eg.softmax(X, axis=1)).sum(), profile=True, device="pocl")
        f(A)
        seen.append(sorted((r.step, r.times, r.nbytes, r.flops) for r in f.profile.rows))
    assert seen[0] == seen[1] and all(step.sources for step, *_ in seen[0] if step.kind != "copy") and "from disk" in f.why()
