"""Modes: what NanGuardMode, DebugMode and MonitorMode find and show, on the NumPy backend and on PoCL, with updates and in stages."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import exprgraph as eg
from exprgraph import passes
from exprgraph.close import close
from exprgraph.ops.rows import row
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rewrite import Engine
from exprgraph.rules.exact import EXACT
from exprgraph.rules.movement import MOVEMENT
from runtime import watched
from tests.graphs import Drawn, graphs

F = "float32"
RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
x, y, X = eg.vector("x"), eg.vector("y"), eg.matrix("X")


def trained(mode: Any, **more: Any) -> tuple[Any, Any]:
    """A step of a regression, and its weights."""
    w = eg.shared(np.zeros(3, F), name="w")
    cost = ((X @ w - y)**2).mean()
    return eg.compile([X, y], cost, updates={w: w - 0.1 * eg.grad(cost, w)}, mode=mode, **more), w


DATA = np.arange(12, dtype=F).reshape(4, 3) / 12, np.ones(4, F)
MODES = ["FAST_RUN", "FAST_COMPILE", "DebugMode", "NanGuardMode", "MonitorMode", eg.Mode(optimizer="fast_compile"), eg.Mode("fast_run"),
         eg.NanGuardMode(inf_is_error=False), eg.MonitorMode(lambda *a: None, lambda *a: None), eg.DebugMode(check_kernels=False)]


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m if isinstance(m, str) else "object")
def test_every_mode_gives_the_same_with_updates_and_stages(device: str, mode: Any) -> None:
    f, w = trained(mode)
    plain, v = trained(None)
    for _ in range(3):
        np.testing.assert_allclose(f(*DATA), plain(*DATA), rtol=1e-5)
    np.testing.assert_allclose(w.get_value(), v.get_value(), rtol=1e-5)
    g = eg.compile([x], [eg.arange((x > 0).sum()), x[x > 0] * 2], mode=mode)
    for values in ([1, -1, 2], [-1], [3] * 5):
        kept = np.float32([i for i in values if i > 0])
        for got, want in zip(g(values), (np.arange(kept.size), kept * 2)):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("mode", ["DebugMode", "NanGuardMode", "MonitorMode"])
def test_what_goes_other_ways(device: str, mode: str) -> None:
    """Complex numbers, narrow floats, functions of the user's own, products, sorting, no elements, other functions on the values."""
    z, h = eg.cvector("z"), eg.vector("h", dtype="float16")
    own = eg.as_op([eg.fmatrix], [eg.fmatrix], infer_shape=lambda node, shapes: shapes)(lambda a: a + 1)
    f = eg.compile([z, h, X], [eg.exp(z) * 2, h * 3 + 1, eg.softmax(X @ X.T, axis=1), eg.sort(X, axis=1), X[:0] + 1, eg.cumsum(X, axis=0),
                               eg.exp(own(X * 2))], mode=mode)
    plain = eg.compile([z, h, X], f.outputs, device="numpy")
    values = np.complex64([1 + 2j, -0.5j]), np.float16([1, 2.5]), DATA[0]
    for got, want in zip(f(*values), plain(*values)):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=2e-3 if got.dtype == "float16" else 1e-5)
    w = eg.shared(np.ones(3, F), name="w")
    eg.compile([], [], updates={w: w * 2}, mode=mode)()
    assert eg.compile([], w.sum())() == 6 and w.get_value().tolist() == [2, 2, 2]


def test_G7_modes_that_are_none() -> None:
    for wrong in ("DEBUG_MODE", "nanguardmode", 3, eg.Mode("o3")):
        with pytest.raises(eg.GraphError, match="expected one of"):
            eg.compile([x], x + 1, mode=wrong)
    with eg.change_flags(mode=eg.NanGuardMode()), pytest.raises(eg.GuardFault):
        eg.compile([x], eg.log(x))([-1])
    with eg.change_flags(mode=eg.Mode("none")):
        assert len(eg.compile([x], eg.neg(eg.neg(x))).maker.fgraph.toposort()) == 2
    assert len(eg.compile([x], eg.neg(eg.neg(x)), mode="FAST_RUN").maker.fgraph.toposort()) < 2


# NanGuardMode

def line_of(test: Any, offset: int) -> str:
    return f"test_modes.py:{test.__code__.co_firstlineno + offset}"


def test_a_nan_is_named_with_its_line_and_ranges(device: str) -> None:
    s = eg.shared(np.float32(1), name="s")
    root = eg.sqrt(x * 2)
    f = eg.compile([x], [(root + 1).sum(), x[::-1]], updates={s: s + 1}, mode="NanGuardMode")
    assert f([1, 2])[1].tolist() == [2, 1] and s.get_value() == 2
    with pytest.raises(eg.GuardFault) as caught:
        f([4, -8, 1])
    told = str(caught.value)
    assert "sqrt gave 1 NaN among 3 values, the first at (1,)" in told and "from -16 to 8" in told
    assert line_of(test_a_nan_is_named_with_its_line_and_ranges, 2) in told
    assert s.get_value() == 2 and f([2])[0] == 3 and s.get_value() == 3


CASES = [("nan_is_error", "nan", lambda v: eg.log(v), [-1]), ("inf_is_error", "inf", lambda v: 1 / v, [0]),
         ("big_is_error", "above 1e+10", lambda v: v * v, [1e6]), ("big_is_error", "above 1e+10", lambda v: v @ v, [-1e6]),
         ("inf_is_error", "inf", lambda v: eg.exp(v).sum(), [100]), ("nan_is_error", "nan", lambda v: eg.cumsum(eg.log(v)), [-1])]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("others", [True, False])
def test_each_kind_can_be_allowed(device: str, case: int, others: bool) -> None:
    keyword, word, made, value = CASES[case]
    kinds = dict.fromkeys(("nan_is_error", "inf_is_error", "big_is_error"), others)
    with pytest.raises(eg.GuardFault, match=f"(?i)1 {word[:3]}"):
        eg.compile([x], made(x), mode=eg.NanGuardMode(**{**kinds, keyword: True}))(value)
    eg.compile([x], made(x), mode=eg.NanGuardMode(**{**dict.fromkeys(kinds, True), keyword: False}))(value)


def test_arguments_and_shared_values_are_tested(device: str) -> None:
    s = eg.shared(np.float32([1, np.inf]), name="state")
    with pytest.raises(eg.GuardFault, match=r"argument state has 1 inf among 2 values, the first at \(1,\)"):
        eg.compile([x], x + s, mode="NanGuardMode")([1, 2])
    with pytest.raises(eg.GuardFault, match="argument x has 1 NaN"):
        eg.compile([x], x + 1, mode="NanGuardMode")([np.nan])


def test_the_test_is_in_the_kernel() -> None:
    """One flag word of the plan: no step and no result more than without the mode."""
    guarded, plain = [eg.compile([x], eg.exp(eg.log(x) + 1), device="pocl", mode=m) for m in ("NanGuardMode", None)]
    assert guarded.source().count("kernel void") == plain.source().count("kernel void") == 1
    assert "check" in guarded.why() and "check" not in plain.why()


def test_what_numpy_cannot_compute_is_named_by_the_kernel() -> None:
    """A kernel of the user's own without a meaning for NumPy: the operation and the line, without ranges."""
    twice = eg.RawKernel("kernel void twice(global const float *x, global float *y) { y[get_global_id(0)] = 2 * x[get_global_id(0)]; }",
                         outputs={"y": "x"})
    f = eg.compile([x], eg.log(twice(x)), device="pocl", mode="NanGuardMode")
    assert f([0.5]).tolist() == [0]
    with pytest.raises(eg.GuardFault, match=r"log gave a value that is not allowed\n  at .*test_modes.py"):
        f([-1])
    assert "kernel void" in f.source() and f.why()


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_both_schedules_find_it(schedule: str) -> None:
    f = eg.compile([X], eg.log(X).sum(axis=1), device="pocl", schedule=schedule, mode="NanGuardMode")
    values = np.ones((40, 50), F)
    assert f(values).tolist() == [0] * 40
    values[17, 31] = -1
    with pytest.raises(eg.GuardFault, match=r"log gave 1 NaN among 2000 values, the first at \(17, 31\)"):
        f(values)


# MonitorMode

def test_a_monitor_sees_every_step(device: str) -> None:
    before, after = [], []
    mode = eg.MonitorMode(lambda *seen: before.append(seen), lambda *seen: after.append(seen))
    f = eg.compile([X], [eg.exp(X @ X.T).sum(axis=1), (X + 1).max()], mode=mode)
    got = f(DATA[0])
    assert [i for i, *_ in before] == [i for i, *_ in after] == list(range(len(after))) and after
    assert all(outputs == () for *_, outputs in before)
    assert all(isinstance(a, np.ndarray) for _, _, inputs, outputs in after for a in (*inputs, *outputs))
    for value in got:
        assert any(a.shape == value.shape and np.array_equal(a, value) for *_, outputs in after for a in outputs)
    files = {s.file.rpartition("/")[2] for _, step, *_ in after for s in step.sources}
    assert files == {"test_modes.py"} and all(str(step) and step.name for _, step, *_ in after)


def test_what_a_monitor_raises_ends_the_call(device: str) -> None:
    def stop(i: int, step: Any, inputs: Any, outputs: Any) -> None:
        if outputs[0].size == 3:
            raise KeyError("stop")
    s = eg.shared(np.float32(0), name="s")
    f = eg.compile([x], x + 1, updates={s: s + 1}, mode=eg.MonitorMode(post_func=stop))
    assert f([1, 2]).tolist() == [2, 3] and s.get_value() == 1
    with pytest.raises(KeyError, match="stop"):
        f([1, 2, 3])
    assert s.get_value() == 1 and f([1]).tolist() == [2]


# DebugMode

def planted(rules: str, wrong: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a wrong rule in front of a list."""
    engine = Engine([wrong, *MOVEMENT, *EXACT])
    real = passes.engine
    monkeypatch.setattr(passes, "engine", lambda name: engine if name == rules else real(name))


def test_a_wrong_rule_is_named(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted("exact", Rule("halve it twice", lambda a: eg.sin(a), lambda a: eg.cos(a)), monkeypatch)
    s = eg.shared(np.float32(0), name="s")
    f = eg.compile([x], (eg.sin(x) * 2).sum(), updates={s: s + 1}, mode="DebugMode")
    with pytest.raises(eg.MismatchFault) as caught:
        f([0.5, 1])
    told = str(caught.value)
    assert "rule 'halve it twice' (sin -> cos)" in told and "ULPs" in told
    assert line_of(test_a_wrong_rule_is_named, 3) in told and s.get_value() == 0


def test_a_slightly_wrong_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    planted("exact", Rule("nearly", lambda a: eg.sin(a), lambda a: eg.cos(a - 1.5707)), monkeypatch)
    with pytest.raises(eg.MismatchFault, match="rule 'nearly'"):
        eg.compile([x], eg.sin(x), mode="DebugMode", device="numpy")([0.5, 1])


def test_a_wrong_rule_of_the_plan_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that applies once sizes are known to be equal only."""
    f = eg.compile([x, y], eg.sin(x + y), mode="DebugMode", device="pocl")
    planted("exact", Rule("late", lambda a: eg.sin(a), lambda a: eg.cos(a)), monkeypatch)
    f._run.inner.plans.clear()
    with pytest.raises(eg.MismatchFault, match="rule 'late'"):
        f([1, 2], [1, 2])


def test_a_wrong_kernel_is_named() -> None:
    wrong = row("third", lambda a: a / np.float32(3), "{0} * 0.3333f")
    s = eg.shared(np.float32(0), name="s")
    f = eg.compile([X], [wrong(X + 1).sum(axis=0), eg.exp(X).max()], updates={s: s + 1}, mode="DebugMode", device="pocl")
    with pytest.raises(eg.MismatchFault) as caught:
        f(DATA[0])
    kernel = str(caught.value).partition("kernel '")[2].partition("'")[0]
    assert f"kernel void {kernel}(" in f.source() and "third" in f.source().partition(f"kernel void {kernel}(")[0].rpartition("//")[2]
    assert line_of(test_a_wrong_kernel_is_named, 3) in str(caught.value) and "elements differ" in str(caught.value) and s.get_value() == 0


CHAINS = {"last": lambda a: a, "inside": lambda a: eg.exp(a) * 2, "reduced": lambda a: eg.softmax(a, axis=1).sum(axis=0),
          "both written": lambda a: [eg.tanh(a) + 1, a], "scanned": lambda a: eg.cumsum(a, axis=1)}


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("chain", CHAINS)
def test_the_first_operation_that_is_wrong_is_named(chain: str, schedule: str) -> None:
    """One of several in a kernel, whatever is made of it there."""
    wrong = row("third", lambda a: a / np.float32(3), "{0} * 0.3333f")
    third = wrong(eg.exp(X) + 1)
    f = eg.compile([X], CHAINS[chain](third), mode="DebugMode", device="pocl", schedule=schedule)
    with pytest.raises(eg.MismatchFault, match=r"\(third in (.|\n)*" + line_of(test_the_first_operation_that_is_wrong_is_named, 5)):
        f(DATA[0])
    names = [r.text.partition(" in ")[0] for r in f.debug.rows if r.kind == "kernel"]
    assert names[-1] == "third"


def test_an_operation_that_is_right_by_itself_leaves_the_kernel_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that keep all values may be right, or not to be had."""
    wrong = row("third", lambda a: a / np.float32(3), "{0} * 0.3333f")
    f = eg.compile([X], eg.exp(wrong(X)) * 2, mode="DebugMode", device="pocl")

    def right(nodes: Any, known: Any, options: Any, device: str) -> Any:
        return evaluate([eg.Out(n) for n in nodes], known)

    def none(nodes: Any, known: Any, options: Any, device: str) -> Any:
        raise eg.DeviceError("out of order")
    for stand_in in (right, none):
        monkeypatch.setattr(watched, "computed", stand_in)
        with pytest.raises(eg.MismatchFault, match=r"\(mul in third, exp, mul"):
            f(DATA[0])


def test_a_wrong_call_of_numpy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime import prepared
    f = eg.compile([X], eg.sort(X, axis=1), mode="DebugMode", device="pocl")
    monkeypatch.setattr(prepared, "hosted", lambda name, params: lambda a, out: np.copyto(out, a))
    with pytest.raises(eg.MismatchFault, match=r"kernel 'numpy.sort'"):
        f(DATA[0][:, ::-1])


def test_all_that_was_compared_is_a_table(device: str) -> None:
    f = eg.compile([X], eg.log(1 + eg.exp(X)).sum(axis=0), mode="DebugMode")
    f(DATA[0])
    kinds = {r.kind for r in f.debug.rows}
    assert kinds == ({"rule", "pass"} if device == "numpy" else {"rule", "pass", "kernel"})
    assert str(f.debug).splitlines()[0].split() == ["ULPs", "name", "what", "lines"] and "test_modes.py" in str(f.debug)
    assert eg.compile([X], X + 1).debug is None


def test_a_better_rule_is_no_mismatch(device: str) -> None:
    """Stable forms give numbers where the written ones overflow or lose all digits."""
    f = eg.compile([x], [eg.log(1 + eg.exp(x)), eg.log(1 + x), eg.log(eg.softmax(x))], mode="DebugMode")
    got = f([100, 1e-9, -200, 1e4])
    assert np.isfinite(got[0]).all() and got[1][1] > 0 and np.isfinite(got[2]).all()


def test_faults_of_the_user_are_told_as_ever(device: str) -> None:
    i = eg.ivector("i")
    f = eg.compile([x, i], eg.exp(x)[i] * 2, mode="DebugMode")
    with pytest.raises(IndexError, match="7"):
        f([1, 2], np.int32([7]))
    assert f([0, 0], np.int32([1])).tolist() == [2]


def check(drawn: Drawn, *schedules: str) -> None:
    """No false alarm, and the right values."""
    for schedule in schedules:
        f = eg.compile(drawn.inputs, drawn.outputs, mode="DebugMode", on_unused_input="ignore", device="pocl", schedule=schedule)
        close(f(*drawn.values), drawn.outputs, drawn.by_leaf)


@given(graphs(most=5))
@settings(max_examples=5, deadline=None, suppress_health_check=RELAXED)
def test_random_graphs_are_found_right(drawn: Drawn) -> None:
    check(drawn, "cpu")


@pytest.mark.campaign
@given(graphs(most=8))
@settings(max_examples=200, deadline=None, suppress_health_check=RELAXED)
def test_campaign_random_graphs_are_found_right(drawn: Drawn) -> None:
    check(drawn, "cpu", "gpu")
