"""Levels of the optimiser, rules that a mode includes and excludes, rules of the user's own, and the report of what was done."""
from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import kept, store
from exprgraph.graph import order
from exprgraph.modes import OPTIMIZERS
from exprgraph.patterns import some
from exprgraph.rewrite import RewriteWarning
from exprgraph.rules.catalogue import LISTS

F = "float32"
x, y, X = eg.vector("x"), eg.vector("y"), eg.matrix("X")
M = eg.Mode
SOFT = eg.log(1 + eg.exp(x))


def text(out: Any, mode: Any = None, *inputs: Any, **options: Any) -> str:
    """The optimised expression."""
    f = eg.compile(list(inputs) or [x], out, mode=mode, device="numpy", on_unused_input="ignore", **options)
    return eg.pp(f.graph.outputs[0])


# Levels

@pytest.mark.parametrize(("level", "want"), [
    ("none", "exp(log(x * sqrt(4))) * 1"), ("fast_compile", "exp(log(x * 2))"), ("default", "exp(log(x * 2))"), ("unsafe", "x * 2"),
    ("full", "exp(log(x * 2))"), ("fast_run", "exp(log(x * 2))")])
def test_each_level_by_mode_option_and_setting(level: str, want: str) -> None:
    out = eg.exp(eg.log(x * eg.sqrt(4.0))) * 1
    assert text(out, M(level)) == text(out, M("none"), optimizer=level) == want
    with eg.change_flags(optimizer=level):
        assert text(out) == want
    assert M(level) == M(OPTIMIZERS[level])


@pytest.mark.parametrize("use", [lambda: text(x, optimizer="o3"), lambda: text(x, M("o3")), lambda: text(x, M(3))])  # type: ignore[arg-type]
def test_a_level_that_is_none_lists_those_that_are(use: Any) -> None:
    with pytest.raises(eg.GraphError, match="expected one of 'none', 'fast_compile', 'default', 'unsafe'"):
        use()


def test_real_rules_are_a_level_and_no_setting() -> None:
    with pytest.raises(AttributeError, match="no setting 'real_rules'"):
        eg.config.real_rules = True  # type: ignore[attr-defined]


def test_fast_compile_makes_one_form_and_gives_the_same() -> None:
    w = eg.shared(np.eye(6, dtype=F), name="w")
    out = eg.log(1 + eg.exp(X @ w)).sum(axis=1)
    both = [out, eg.grad(out.sum(), w)]
    fast, full, none = (eg.compile([X], both, device="pocl", optimizer=o) for o in ("fast_compile", "default", "none"))
    value = np.linspace(-200, 200, 30, dtype=F).reshape(5, 6)
    for got, want in zip(fast(value), full(value)):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert [any(p.free for p in f._run.plans.values()) for f in (fast, full)] == [False, True]
    assert len(order(fast.graph.outputs)) < len(order(none.graph.outputs))


# Including and excluding

CHOICES = [
    (M().excluding("stable"), "log(1 + exp(x))"), (M().excluding("log(1 + exp(x))", "log(1 + x)"), "log(1 + exp(x))"),
    (M().excluding("stable").including("logarithms"), "softplus(x)"), (M().including("logarithms").excluding("stable"), "log(1 + exp(x))"),
    (M().excluding("all"), "log(1 + exp(x))"), (M("none").including("stable"), "softplus(x)"), (M("none"), "log(1 + exp(x))"),
    (M("fast_compile").excluding("logarithms"), "log(1 + exp(x))"), (M().excluding("exact", "movement"), "softplus(x)")]


@pytest.mark.parametrize(("mode", "want"), CHOICES, ids=lambda c: " ".join(c.chosen) or c.optimizer if isinstance(c, M) else "")
def test_the_last_word_about_a_rule_decides(mode: eg.Mode, want: str) -> None:
    assert text(SOFT, mode) == want
    with eg.change_flags(mode=mode):
        assert text(SOFT) == want
    assert copy.copy(mode) == pickle.loads(pickle.dumps(mode)) == mode and hash(mode) == hash(copy.copy(mode))


@pytest.mark.parametrize(("mode", "want"), [
    (M(), "x * 2"), (M().excluding("fold"), "x * sqrt(4)"), (M("none").including("fold"), "x * sqrt(4)"),
    (M("none").including("fold", "exact"), "x * sqrt(4)"), (M().excluding("all").including("fold"), "x * 2")])
def test_constants_are_folded_where_that_is_not_excluded(mode: eg.Mode, want: str) -> None:
    assert text(x * eg.sqrt(4.0), mode) == want


def test_one_real_rule_alone() -> None:
    mode = M().including("log(exp(x))")
    assert text(eg.log(eg.exp(x)), mode) == "x" and text(eg.exp(eg.log(x)), mode) == "exp(log(x))"


def test_every_word_of_the_table_can_be_excluded() -> None:
    for rules in LISTS.values():
        for rule in rules:
            assert M().excluding(rule.name, *rule.tags).chosen[0] == "-" + rule.name and len(rule.tags) == 2 + (rule.tags[0] == "search")


@pytest.mark.parametrize(("use", "said"), [
    (lambda: M().excluding("stabel"), r"no rule has the name or tag 'stabel'; did you mean 'stable'\?"),
    (lambda: M().including("qqqq"), r"no rule has the name or tag 'qqqq'; eg.rule_table\(\) lists them"),
    (lambda: M().including(3), "a rule, or the name or tag of rules is needed, not 3"),
    (lambda: eg.compile([x], x, mode=M(chosen=("stable",))), "including"),
    (lambda: eg.compile([x], x, mode=M()._replace(chosen=("-nothing",))), "no rule has the name or tag 'nothing'")])
def test_words_that_are_none(use: Any, said: str) -> None:
    with pytest.raises(eg.OptionError, match=said + r"(.|\n)*\n  at .*test_levels.py"):
        use()
    assert text(SOFT) == "softplus(x)"


def test_gradients_follow_the_mode_in_force() -> None:
    cost = eg.log(eg.sigmoid(x)).sum()

    def slope() -> Any:
        return eg.compile([x], eg.grad(cost, x), device="numpy", optimizer="none", mode=M())([-200.0])
    assert slope()[0] == 1
    with eg.change_flags(mode=M().excluding("stable")):
        assert not np.isfinite(slope()[0])
    assert slope()[0] == 1


def test_what_is_chosen_is_part_of_the_keys_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    seen: list[Any] = []
    found = kept.kept
    monkeypatch.setattr(kept, "kept", lambda what, graph, leaves, settings, make: seen.append(settings) or found(
        what, graph, leaves, settings, make))
    modes = [M(), M().excluding("stable"), M().including("stable"), M().including(half("1")), M().including(half("2"))]
    assert [text(SOFT, m) for m in (*modes, *modes)] == ["softplus(x)", "log(1 + exp(x))", *["softplus(x)"] * 3] * 2
    assert len({repr(s) for s in seen}) == 5 and len(list(store.files(tmp_path))) == 5
    assert text(SOFT, M().including(half(None))) == "softplus(x)" and len(list(store.files(tmp_path))) == 5


def test_plans_with_rules_of_no_version_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    for version, said in ((None, "not kept: a rule of its mode has no version"), ("1", "made by this process"), ("1", "from disk")):
        f = eg.compile([x], x / 2 + 1, device="pocl", mode=M().including(half(version)))
        assert said in f.why() and f([4]).tolist() == [3]


# Rules of the user's own

def half(version: str | None = None) -> Any:
    return eg.Rule("half of it", lambda x: x / 2, lambda x: x * 0.25 * 2, version=version, tags="halves")


def sine_of_sine(a: Any) -> Any:
    return eg.sin(eg.sin(a))


def tangent(a: Any) -> Any:
    return eg.tan(a)


SINES = eg.Rule("sin(sin(x))", sine_of_sine, tangent, why="for a test")


def test_a_rule_for_one_call_or_a_block() -> None:
    out = eg.sin(eg.sin(x)) * 1
    assert text(out, M().including(SINES)) == "tan(x)" and text(out) == "sin(sin(x))"
    assert text(out, M("none").including(SINES)) == "tan(x) * 1" and text(out, M("fast_compile").including(SINES)) == "tan(x)"
    assert text(out, M().including(SINES).excluding("own")) == text(out, M().including(SINES).excluding(SINES)) == "sin(sin(x))"
    assert text(out, M().including(SINES).excluding("all").including("sin(sin(x))")) == "tan(x) * 1"
    with eg.change_flags(mode=M().including(SINES)):
        assert text(out) == "tan(x)" and out.eval({x: [0.5]})[0] == np.tan(np.float32(0.5))
        slope = eg.grad(out.sum(), x)
    assert eg.pp(eg.compile([x], slope).graph.outputs[0]) == text(eg.grad(eg.tan(x).sum(), x))


def test_conditions_parameters_and_declining() -> None:
    only = eg.Rule("small", lambda x, k: x * k, lambda x, k, root: root if False else x + x, when=lambda m: m.bound["k"].ndim == 0)
    none = eg.Rule("never", lambda x: eg.exp(x), lambda x: None)
    assert text(x * 2, M().including(only)) == "x + x" and text(eg.exp(x), M().including(none)) == "exp(x)"
    whole = eg.Rule("whole", lambda x: eg.exp(x), lambda x: x, kinds="i")
    assert text(eg.exp(x), M().including(whole)) == "exp(x)"


TANH = eg.Rule("2 * sigmoid(2 * x) - 1", lambda x: 2 * eg.sigmoid(2 * x) - 1, lambda x: eg.tanh(x), why="near 0 it cancels", modulo=True)


@pytest.mark.parametrize("spelling", [
    lambda x: -(1 - 2 * eg.sigmoid(x * 2)), lambda x: -1 + eg.sigmoid(2 * x) * 2,
    lambda x: 2 * eg.sigmoid(x.reshape((-1, 1)) * 2).flatten() - 1,
    lambda x: eg.cast(eg.cast(eg.sigmoid(2 * x), "float64") * 2 - 1, "float32")])
def test_rules_of_the_users_own_are_matched_modulo_spelling(spelling) -> None:
    x = eg.vector("x")
    out = spelling(x)
    f, plain = (eg.compile([x], out, mode=M().including(r), device="numpy") for r in (TANH, TANH._replace(modulo=False)))
    assert "tanh" in eg.pp(f.graph.outputs[0]) and "tanh" not in eg.pp(plain.graph.outputs[0])
    np.testing.assert_allclose(f([1e-3, -3.0]), np.tanh([1e-3, -3.0]), rtol=1e-6)


def test_an_argument_around_stands_for_views() -> None:
    X = eg.matrix("X")
    rule = eg.Rule("exp(sum(x))", lambda x, p, around: eg.exp(around(some("sum", p, x))),
                   lambda x, p, around: around(some("prod", p, eg.exp(x))), modulo=True)
    f = eg.compile([X], eg.exp(X.sum(axis=1).reshape((-1, 1))), mode=M().including(rule), device="numpy")
    assert "prod" in eg.pp(f.graph.outputs[0])
    np.testing.assert_allclose(f(np.ones((2, 3), "float32")), np.full((2, 1), np.exp(3)), rtol=1e-6)


@pytest.mark.parametrize(("make", "said"), [
    (lambda: eg.Rule("a", lambda x: 3, lambda x: x), "its pattern failed: TypeError: it gives 3, which is no expression"),
    (lambda: eg.Rule("a", lambda x: x, lambda x: x), "would meet every tensor"),
    (lambda: eg.Rule("a", lambda x, z: eg.exp(x), lambda x: x), "its pattern does not use z"),
    (lambda: eg.Rule("a", lambda x: eg.exp(x), lambda z: z), "its replacement asks for z; there are x, root"),
    (lambda: eg.Rule("a", lambda x: eg.nothing(x), lambda x: x), "its pattern failed: AttributeError"),  # type: ignore[attr-defined]
    (lambda: eg.Rule("a", eg.exp, lambda x: x), "pattern=.*a function with named arguments is needed"),
    (lambda: eg.Rule("a", None, lambda x: x), "pattern=None: a function"),  # type: ignore[arg-type]
    (lambda: eg.Rule("a", lambda x: eg.exp(x), 3), "replacement=3: a function"),  # type: ignore[arg-type]
    (lambda: eg.Rule("a", lambda x: eg.exp(x), lambda x: x, when=3), "when=3: a function"),  # type: ignore[arg-type]
    (lambda: eg.Rule("", lambda x: eg.exp(x), lambda x: x), "a line of text"),
    (lambda: eg.Rule("a\nb", lambda x: eg.exp(x), lambda x: x), "a line of text"),
    (lambda: eg.Rule("a", lambda x: eg.exp(x), lambda x: x, kinds="fc"), "kinds='fc': some letters"),
    (lambda: eg.Rule("a", lambda x: eg.exp(x), lambda x: x, version=3), "version=3: a line of text"),  # type: ignore[arg-type]
    (lambda: eg.Rule("a", lambda x: eg.exp(x), lambda x: x, tags=[3]), "tags=.3.: texts are needed"),  # type: ignore[list-item]
    (lambda: eg.Rule("a", lambda x: eg.exp(x), lambda x: x, modulo=3), "modulo=3: True or False"),  # type: ignore[arg-type]
    (lambda: eg.Rule("a", lambda x: -x * 1, lambda x: x, modulo=True), "more than signs and factors of 1"),
    (lambda: eg.Rule("a", lambda x: eg.exp(x) * 2, lambda x: x, kinds="i", modulo=True), "modulo=True is for floats"),
    (lambda: eg.Rule("a", lambda x, around: eg.exp(x), lambda x: x), "only with modulo=True"),
    (lambda: M().including(eg.Rule("x - 0", lambda x: eg.exp(x), lambda x: x)), "there is another rule 'x - 0'"),
    (lambda: M().including(half("1"), half("2")), "there is another rule 'half of it'"),
    (lambda: M().including(LISTS["exact"][0]), "was not made by eg.Rule")])
def test_rules_that_are_none_are_refused_at_once(make: Any, said: str) -> None:
    with pytest.raises(eg.OptionError, match=said + r"(.|\n)*\n  at .*test_levels.py"):
        make()


@pytest.mark.parametrize("part", ["replacement", "when"])
def test_a_function_of_the_users_that_fails_is_named_with_both_lines(part: str) -> None:
    def fail(*found: Any) -> Any:
        raise ZeroDivisionError("by zero")
    bad = eg.Rule("bad", lambda x: eg.exp(x), (lambda x: fail()) if part == "replacement" else lambda x: x,
                  when=fail if part == "when" else None)
    out = eg.exp(x)
    with pytest.raises(eg.OwnOpError, match="rule 'bad' failed at exp: ZeroDivisionError: by zero\n  at .*test_levels.py:(.*)\n  defined at"
                       ".*test_levels.py:") as caught:
        text(out, M().including(bad))
    assert isinstance(caught.value.__cause__, ZeroDivisionError) and text(out) == "exp(x)"


@pytest.mark.parametrize(("made", "said"), [
    (lambda x: eg.exp(eg.exp(x)), "rule 'grow' still applies after 16 rounds"),
    (lambda x: eg.exp(x + 1) + eg.exp(x - 1), "rule 'grow' has applied .* times to one graph; it is left out"),
    (lambda x: eg.sin(eg.exp(x)), "not come to rest after 40 sweeps; the last was 'grow'"),
    (lambda x: eg.exp(x) * 1, "not come to rest after 40 sweeps; the last was 'grow' after 'x [*] 1'"),
    (lambda x: eg.cast(x, "int32"), "rule 'grow' changed float32.* to int32.*; left out"),
    (lambda x: eg.stack([x, x]), "rule 'grow' changed float32.* to float32.*; left out")])
def test_a_rule_that_breaks_its_promise_costs_a_warning(made: Any, said: str) -> None:
    grow = eg.Rule("grow", lambda x: eg.exp(x), made)
    with pytest.warns(RewriteWarning, match=said) as told:
        f = eg.compile([x], eg.exp(x), mode=M().including(grow), device="numpy")
    assert all("'grow'" in str(w.message) and w.filename == __file__ for w in told) and len(order(f.graph.outputs)) < 3000


def test_functions_with_rules_pickle_where_these_can_be_found() -> None:
    f = eg.compile([x], eg.sin(eg.sin(x)), mode=M().including(SINES), device="numpy")
    g = pickle.loads(pickle.dumps(f))
    assert g([0.5])[0] == np.tan(np.float32(0.5)) and eg.pp(g.graph.outputs[0]) == "tan(x)"
    plain = pickle.loads(pickle.dumps(eg.compile([x], eg.sin(eg.sin(x)), device="numpy")))
    assert plain([0.5])[0] == np.sin(np.sin(np.float32(0.5)))
    with pytest.raises(eg.GraphError, match="the rule 'half of it' of its mode has no name to be found by(.|\n)*defined at .*test_levels"):
        pickle.dumps(eg.compile([x], x / 2, mode=M().including(half("1")), device="numpy"))


@pytest.mark.parametrize("mode", [eg.DebugMode(), eg.NanGuardMode(), eg.MonitorMode()], ids=["debug", "guard", "monitor"])
def test_modes_that_watch_choose_too(mode: eg.Mode) -> None:
    assert text(SOFT, mode.excluding("stable")) == "log(1 + exp(x))"
    f = eg.compile([x], x / 2, mode=mode.including(half()), device="pocl")
    assert f([4]).tolist() == [2]


# The report

def test_the_report_of_a_function() -> None:
    cost = (eg.log(1 + eg.exp(X * 1)) + X.sum(axis=0)).sum()
    f = eg.compile([X], [cost, eg.grad(cost, X)], device="pocl", name="net")
    f(np.ones((3, 4), F))
    report = f.passes()
    graph, plan = report.halves
    assert (graph.name, plan.name) == ("GRAPH", "PLAN 1")
    assert [p.name for p in graph.passes] == ["merge", "fold", "own", "exact", "stable", "sums", "real", "unassumed"]
    assert graph.passes[0].before == len(order(f._assembly.graph.outputs)) and graph.passes[-1].after == len(order(f.graph.outputs))
    assert eg.pp(graph.after.outputs[0]) == eg.pp(f.graph.outputs[0]) and len(graph.before.outputs) == 2
    rules = {r.rule.name: r for r in graph.rules}
    assert rules["x * 1"].times == 2 and rules["x * 1"].first.startswith("mul -> ") and not rules["x * 1"].inexact
    line = test_the_report_of_a_function.__code__.co_firstlineno + 1
    assert line in {s.line for s in rules["x * 1"].sources} and all(r.matching > 0 and r.tries >= r.times for r in graph.tried)
    assert [p.name for p in plan.passes] == ["resolve", "merge", "fold", "own", "exact", "sums", "search", "relink", "merge again"]
    told = str(report)
    assert told.startswith("what the optimiser did to net\nGRAPH: ") and f"test_levels.py:{line}" in told and repr(report) == told


@pytest.mark.parametrize(("out", "mode", "want"), [
    (SOFT, M(), {"log(1 + exp(x))"}), (SOFT, M().excluding("stable"), set()), (eg.log(eg.exp(x)), M("unsafe"), {"log(exp(x))"}),
    (eg.sin(eg.sin(x)), M().including(SINES), {"sin(sin(x))"}), (x * 1, M(), set()), (SOFT, M("fast_compile"), {"log(1 + exp(x))"}),
    (SOFT, M("none"), set())])
def test_which_rules_changed_the_numerics(out: Any, mode: eg.Mode, want: set[str]) -> None:
    report = eg.compile([x], out, mode=mode, device="numpy").passes()
    assert {r.rule.name for r in report.numerics} == want and all(r.rule.why in str(report) for r in report.numerics)
    assert ("may have changed the numerics" in str(report)) == bool(want)


def test_reports_of_functions_of_all_kinds() -> None:
    z = eg.cvector("z")
    staged = eg.compile([y, z], [y[y > 0] * 2, eg.arange((y > 0).sum()), eg.exp(z) * 1], device="pocl", mode="DebugMode")
    staged(np.float32([1, -1]), np.complex64([1j]))
    assert len(staged.passes().halves) > 2
    f = eg.compile([x, y], x + y * 1, device="pocl")
    for values in ([1, 2], [1]):
        f([1, 2], values)
    assert [h.name for h in f.passes().halves] == ["GRAPH", "PLAN 1", "PLAN 2"]
    for other in (pickle.loads(pickle.dumps(f)), eg.compile([x, y], x + y * 1, device="pocl", background=True)):
        assert "x * 1" in str(other.passes())
        other.wait()


def test_nothing_is_recorded_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that somebody else has optimised tells the same."""
    f = eg.compile([x], SOFT * 1, device="numpy")
    assert f._program.options.get("trace") is None and f.debug is None
    first, again = ([(r.rule.name, r.times, r.tries) for r in f.passes().halves[0].tried] for _ in range(2))
    assert first == again and any(times for _, times, _ in first)


def test_the_table_of_rules() -> None:
    every = eg.rule_table()
    assert len(every.rules) == sum(map(len, LISTS.values())) and len(str(every).splitlines()) == len(every.rules) + 1
    assert {r.tags[1] for r in eg.rule_table("softmax").rules} == {"softmax"} and eg.rule_table("x - 0").rules[0].name == "x - 0"
    assert eg.rule_table("nothing").rules == () and repr(every) == str(every)
    for name, rules in LISTS.items():
        assert {r.tags[0] for r in rules} == ({"exact", "movement"} if name == "exact" else {name})
