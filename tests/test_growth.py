"""Plans that grow: large graphs get variants when calls take them, and nobody can tell but by the time and by what is reported."""
from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from codegen import generate as generation
from codegen import growth
from codegen.memory import Memory
from codegen.plan import Branch, Check, Commit, Later, Launch, More, Plan, Site
from codegen.printed import printed
from codegen.schedule import stream
from codegen.target import Target
from exprgraph import requires
from exprgraph.dims import constant
from exprgraph.graph import order
from exprgraph.node import Graph, Out
from exprgraph.passes import run_graph
from runtime import choices, executable, kept_plans, planning, program
from runtime.prepared import chosen
from tests.large_graphs import drawn
from tests.plan_runner import CPU, GPU

EXPRESSIONS = {
    "softmax": lambda x: [eg.softmax(x, axis=1)],
    "sums of rows and columns": lambda x: [(x * x).sum(axis=1), eg.exp(x).sum(axis=0)],
    "turned": lambda x: [eg.tanh(x).T + 1],
    "sum of all": lambda x: [eg.maximum(x, 0.5).sum()],
    "variance": lambda x: [((x - x.mean(axis=1, keepdims=True))**2).mean(axis=1)],
    "product": lambda x: [eg.relu(x @ x.T)],
    "running sums": lambda x: [eg.cumsum(eg.sigmoid(x), axis=1)],
    "two layers": lambda x: [eg.softmax(eg.softmax(x, axis=1) * 3 - 1, axis=0)],
    "siblings": lambda x: [eg.exp(x[0] + 1), eg.exp(x[1] + 1), eg.sin(x[:, 0])],
    "product and maps": lambda x: [eg.relu((x * 2) @ x[:64].T + 1)],
    "mean of a product": lambda x: [eg.tanh(x @ x.T[:, :2]).mean(), x + 1],
    "rows by number": lambda x: [eg.log(1 + (x[eg.cast(x[:, 0] * 2, "int64")] @ x[0]).mean())]}
SHAPES = [(3, 4), (1200, 3), (2, 60_000), (40, 90)]
"""Small; short rows; few long rows; what is streamed."""


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every graph is a large one, and so are most results."""
    monkeypatch.setattr(generation, "LARGE", 0)
    monkeypatch.setattr(stream, "FILL", 0)
    monkeypatch.setattr(stream, "LEAST", 1 << 12)


@pytest.fixture
def kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of this test's own."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path / "kept"))


def values(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers between 0 and 1."""
    return np.random.default_rng(shape).random(shape, dtype="f")


def plan_of(name: str, target: Target) -> Plan:
    """The plan of an expression as the runtime is given it."""
    x = eg.matrix("x")
    graph = run_graph(Graph((x,), tuple(Out(o.node) for o in EXPRESSIONS[name](x))), {})
    outcomes = ("equal",) * len(generation.uncertain(graph))
    return printed(generation.generate(graph, [x.node], outcomes, "C", False, target), "pocl")


def unmade(plan: Plan) -> int:
    """How many variants are made later."""
    return len(list(growth.missing(plan.steps, growth.every)))


def launched(plan: Plan) -> Counter[str]:
    """The kernels of a plan, how often each is launched, joined ones by their parts."""
    steps = [s for s in growth.flatten(plan.steps) if isinstance(s, Launch)]
    return Counter(p.kernel.name for s in steps for p in (s.parts or (s,)))


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_plan_that_has_grown_is_the_whole_one(name: str, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plan_of(name, target)
    monkeypatch.setattr(generation, "LARGE", 0)
    small = plan_of(name, target)
    grown = growth.complete(small)
    assert not unmade(whole) and not unmade(grown)
    assert set(launched(grown)) == set(launched(whole)) and set(launched(small)) <= set(launched(whole))
    assert {n.operations for n in grown.notes} == {n.operations for n in whole.notes}
    names = {b.name for b in grown.buffers}
    assert all(set(s.buffers) <= names for s in growth.flatten(grown.steps) if isinstance(s, Launch))
    checks = [[s.sites for s in plan.steps if isinstance(s, Check)] for plan in (grown, whole)]
    assert checks[0] == checks[1] and bool(checks[0]) == (name == "rows by number")
    assert isinstance(grown.steps[-1], Commit)
    alone = ("product", "running sums", "siblings", *(["turned"] if target is CPU else ["product and maps"]))
    if name not in alone:
        assert unmade(small) and len(launched(small)) < len(launched(whole))


def test_the_steps_that_were_there_are_the_same_records(lazy: None) -> None:
    small = plan_of("variance", CPU)
    before = {id(s) for s in growth.flatten(small.steps) if isinstance(s, Launch)}
    grown = growth.complete(small)
    assert before <= {id(s) for s in growth.flatten(grown.steps) if isinstance(s, Launch)}
    twice = growth.complete(small)
    assert [id(s) for s in growth.flatten(grown.steps) if isinstance(s, Launch)] == [
        id(s) for s in growth.flatten(twice.steps) if isinstance(s, Launch)]


def test_the_check_of_faults_grows() -> None:
    sites = [Site(name, None) for name in "abc"]

    def plan(*before: Check) -> Plan:
        made = Later(lambda: More((), (), (), tuple(sites)))
        return Plan((), (Branch(constant(0), ((), (made,))), *before, Commit()), ())
    for before in (), (Check(tuple(sites[:1])),), (Check(tuple(sites)),):
        grown = growth.complete(plan(*before))
        assert grown.steps[1:] == (Check(tuple(sites)), Commit())
        assert growth.grown(plan(*before), lambda branch: [0]).steps[1:] == (*before, Commit())


def test_a_plan_grows_by_what_is_wanted_only() -> None:
    made: list[str] = []

    def later(name: str, steps: tuple[Any, ...] = ()) -> tuple[Later[More], ...]:
        def make() -> More:
            made.append(name)
            return More(steps, (), ())
        return (Later(make),)
    inner = Branch(constant(1), ((), later("inner")))
    plan = Plan((), (Branch(constant(0), ((), later("first", (inner,)), later("second"))),), ())
    plan = growth.grown(plan, lambda b: [1] if len(b.variants) == 3 else [])
    assert made == ["first"] and unmade(plan) == 2
    assert len(list(growth.missing(plan.steps, lambda b: [0]))) == 0
    plan = growth.complete(plan)
    assert sorted(made) == ["first", "inner", "second"] and not unmade(plan)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_calls_of_all_sizes(name: str, schedule: str, lazy: None) -> None:
    x = eg.matrix("x")
    f, oracle = (eg.compile([x], EXPRESSIONS[name](x), device=d, **o) for d, o in (("pocl", {"schedule": schedule}), ("numpy", {})))
    begun = f.source()
    for shape in (*SHAPES, *SHAPES[:2]):
        given = values(shape)
        for one, wanted in zip(f(given), oracle(given), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=3e-4, atol=3e-4 * max(1, float(np.abs(wanted).max())))
    if name == "softmax":
        assert f.source().count("__kernel") > begun.count("__kernel")


def test_short_rows_make_their_form_once(lazy: None, kept: None) -> None:
    x = eg.matrix("x")
    f = eg.compile([x], eg.softmax(x, axis=1), device="pocl", schedule="cpu")
    run = f._run
    f(values((3, 40)))
    (first,) = run.plans.values()
    assert "made when a call takes it" in f.why() and unmade(first.plan)
    short = f(values((2000, 3)))
    (second,) = run.plans.values()
    assert unmade(second.plan) < unmade(first.plan)
    np.testing.assert_array_equal(f(values((2000, 3))), short)
    f(values((2100, 3)))
    assert list(run.plans.values()) == [second]
    f.warm()
    (third,) = run.plans.values()
    assert not unmade(third.plan) and "made when" not in f.why()
    np.testing.assert_array_equal(f(values((2000, 3))), short)


def test_after_warm_no_new_plan_is_left_incomplete(lazy: None) -> None:
    x, y = eg.matrix("x"), eg.matrix("y")
    f = eg.compile([x, y], eg.softmax(x + y, axis=1), device="pocl", schedule="cpu")
    f.warm()
    for shapes in ((4, 5), (4, 5)), ((2000, 3), (2000, 1)), ((2000, 1), (1, 3)):
        f(*map(values, shapes))
    assert not any(unmade(p.plan) for p in f._run.plans.values())


def test_what_comes_from_disk_is_made_whole_where_it_lacks_something(lazy: None, kept: None) -> None:
    x = eg.matrix("x")
    made = [eg.compile([x], eg.softmax(x * 2, axis=1), device="pocl", schedule="cpu") for _ in range(2)]
    first, second = (f._run for f in made)
    assert "from disk" in made[1].why() and all(unmade(p.plan) for run in (first, second) for p in run.plans.values())
    wanted = eg.compile([x], eg.softmax(x * 2, axis=1), device="numpy")
    for shape in SHAPES[:2]:
        np.testing.assert_allclose(made[1](values(shape)), wanted(values(shape)), rtol=1e-5)
    assert not any(unmade(p.plan) for p in second.plans.values())
    third = eg.compile([x], eg.softmax(x * 2, axis=1), device="pocl", schedule="cpu")
    assert "from disk" in third.why() and not any(unmade(p.plan) for p in third._run.plans.values())
    np.testing.assert_array_equal(third(values(SHAPES[1])), made[1](values(SHAPES[1])))


def softmax() -> Any:
    """A function whose plan grows."""
    x = eg.matrix("x")
    return eg.compile([x], eg.softmax(x, axis=1), device="pocl", schedule="cpu")


def test_a_lesser_plan_does_not_take_the_place_of_a_fuller_one_on_disk(lazy: None, kept: None) -> None:
    first, second = softmax(), softmax()
    second(values(SHAPES[1]))
    first(values(SHAPES[1]))
    assert any(unmade(p.plan) for p in first._run.plans.values())
    assert "made anew for further variants" in second.why()
    assert not any(unmade(p.plan) for p in softmax()._run.plans.values())


def test_only_what_is_made_is_told_as_generated(lazy: None, kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    f, told = softmax(), list[str]()
    phase = executable.phase
    monkeypatch.setattr(executable, "phase", lambda name, *rest: told.append(name) or phase(name, *rest))
    f(values((3, 40)))
    assert "generate" not in told
    f(values(SHAPES[1]))
    f(values((1201, 3)))
    assert told.count("generate") == 1


def test_what_is_built_stays_built(lazy: None, kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few kernels the process remembers."""
    f, built, compiled = softmax(), list[str](), program._compile
    f(values((3, 40)))
    monkeypatch.setattr(program, "KEPT", 1)
    monkeypatch.setattr(program, "_compile", lambda s, text, names, jobs: built.extend(names) or compiled(s, text, names, jobs))
    f(values(SHAPES[1])), f(values(SHAPES[2])), f.memory(), f(values((5, 70)))
    assert built and len(built) == len(set(built)) and not any(k.name in built for k in first_kernels(f))


def first_kernels(f: Any) -> list[Any]:
    """The kernels that the plan of a function began with."""
    (prepared,) = f._run.plans.values()
    return [s.kernel for s in chosen(prepared.plan.steps, lambda pick: 0) if isinstance(s, Launch)]


def test_an_interrupt_leaves_a_warm_function_without_half_a_plan(lazy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executable, "NARROW", 1 << 12)
    f, complete = softmax(), executable.Prepared.complete
    f.warm()

    def interrupted(self: Any) -> None:
        monkeypatch.setattr(executable.Prepared, "complete", complete)
        raise KeyboardInterrupt
    monkeypatch.setattr(executable.Prepared, "complete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        f(values(SHAPES[2]))
    assert len(f._run.plans) == 1
    np.testing.assert_allclose(f(values(SHAPES[2])).sum(axis=1), 1, rtol=1e-4)
    assert len(f._run.plans) == 2 and not any(unmade(p.plan) for p in f._run.plans.values())


def test_what_is_left_for_later_does_not_hold_on_to_the_graph(lazy: None) -> None:
    x = eg.matrix("x")
    graph = Graph((x,), (Out(eg.softmax(eg.tanh(x) + 1, axis=1).node),))
    seen = weakref.WeakSet(n for n in order(graph.outputs) if n is not x.node)
    plan = printed(generation.generate(graph, [x.node], ("equal",) * len(generation.uncertain(graph)), "C", False, CPU), "pocl")
    assert seen
    del graph
    gc.collect()
    assert unmade(plan) and not seen


def test_the_formula_of_memory_knows_all_variants(lazy: None, kept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x = eg.matrix("x")
    _, f = (eg.compile([x], eg.softmax(x, axis=1).sum(axis=0), device="pocl", schedule="cpu") for _ in range(2))  # from disk
    assert "from disk" in f.why() and "made when" in f.why()
    plans = list(f._run.plans.values())
    lazily = f.memory()
    assert list(f._run.plans.values()) == plans
    monkeypatch.setattr(f._run, "generator", None)  # nothing is made a second time
    assert f.memory().formula == lazily.formula
    monkeypatch.setattr(generation, "LARGE", 1 << 30)
    whole = eg.compile([x], eg.softmax(x, axis=1).sum(axis=0), device="pocl", schedule="cpu").memory()
    assert lazily.formula == whole.formula


def forms(f: Any) -> list[bool]:
    """Of each form of the one plan whether it has been made."""
    (prepared,) = f._run.plans.values()
    return [not any(isinstance(s, Later) for s in variant) for variant in prepared.free.variants]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Forms are timed in the third and the fifth call; how many were, of which the last is the fastest."""
    asked: list[int] = []
    monkeypatch.setattr(choices, "OFTEN", (3, 5))
    monkeypatch.setattr(choices, "_known", {})
    monkeypatch.setattr(choices, "fastest", lambda runs, current: asked.append(len(runs)) or [run() for run in runs] and len(runs) - 1)
    return asked


def dense() -> tuple[Any, Any]:
    """A function whose plan has two forms, and the oracle."""
    x = eg.matrix("x")
    small, oracle = (eg.compile([x], EXPRESSIONS["product and maps"](x), device=d) for d in ("pocl", "numpy"))
    return small, oracle


def test_a_form_is_made_when_sizes_pick_it(lazy: None, kept: None) -> None:
    f, oracle = dense()
    assert forms(f) == [True, False]
    f(values((600, 300)))
    assert forms(f) == [True, False]
    for shape in (4, 3), (3000, 40), (6, 700):
        np.testing.assert_allclose(f(values(shape)), oracle(values(shape)), rtol=1e-5)
    assert forms(f) == [True, True] and "made when" in f.why()


def test_forms_are_timed_when_calls_have_taken_as_long_as_making_them(lazy: None, kept: None, timed: list[int],
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAKING", 1e6)
    f, oracle = dense()
    value = values((600, 300))
    for call in range(1, 6):
        np.testing.assert_allclose(f(value), oracle(value), rtol=1e-4)
        if call == 3:
            assert not timed and forms(f) == [True, False]
            monkeypatch.setattr(planning, "MAKING", 0)
    assert timed == [2] and forms(f) == [True, True]


def test_the_form_that_was_found_to_be_the_fastest_is_the_one_that_is_made(lazy: None, kept: None, timed: list[int],
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAKING", 0)
    value = values((600, 300))
    first, oracle = dense()
    for _ in range(4):
        np.testing.assert_allclose(first(value), oracle(value), rtol=1e-4)
    assert timed == [2] and forms(first) == [True, True]
    monkeypatch.setattr(kept_plans.PLANS, "get", lambda name: None)
    second, _ = dense()
    assert forms(second) == [True, False]
    np.testing.assert_allclose(second(value), oracle(value), rtol=1e-4)
    assert forms(second) == [True, True] and timed == [2]


@pytest.mark.parametrize("owner, at", [(generation._Generator, "_once"), (generation._Generator, "_variants"), (Memory, "touch"),
                                       (Memory, "take"), (Memory, "name")])
def test_an_interrupt_while_a_variant_is_made_is_forgotten(owner: type, at: str, lazy: None, kept: None,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun leaves no parameters and no memory behind for the kernels that are made when the call comes again."""
    x = eg.matrix("x")
    both = [EXPRESSIONS[n](x) for n in ("mean of a product", "product and maps", "two layers")]
    f, oracle = (eg.compile([x], [o for outputs in both for o in outputs], device=d) for d in ("pocl", "numpy"))
    plain, calls, due = getattr(owner, at), [0], [1]

    def interrupted(self: Any, *rest: Any) -> Any:
        made = plain(self, *rest)
        calls[0] += 1
        if calls[0] == due[0]:
            due[0] *= 2
            raise KeyboardInterrupt
        return made
    monkeypatch.setattr(owner, at, interrupted)
    interrupts = 0
    for shape in (400, 300), (4, 3), (2000, 70):
        while True:
            try:
                found = f(values(shape))
                break
            except KeyboardInterrupt:
                interrupts += 1
        for one, wanted in zip(found, oracle(values(shape)), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=3e-4)
    assert interrupts


def test_a_bound_on_memory_asks_for_all_forms(lazy: None, kept: None) -> None:
    x = eg.matrix("x")
    f = eg.compile([x], EXPRESSIONS["product and maps"](x), device="pocl", max_bytes=1 << 30)
    f(values((4, 3)))
    assert forms(f) == [True, True]


def test_a_fault_in_a_form_that_is_made_later(lazy: None, kept: None) -> None:
    x = eg.matrix("x")
    f = eg.compile([x], EXPRESSIONS["rows by number"](x), device="pocl")
    for shape in (4, 3), (3000, 40), (40_000, 3):
        value = values(shape)
        f(value)
        value[shape[0] // 2, 0] = shape[0]
        with pytest.raises(IndexError, match=f"index {2 * shape[0]} is out of bounds"):
            f(value)


@pytest.mark.parametrize("options", [{"mode": "DebugMode"}, {"mode": "NanGuardMode"}, {"profile": True}, {"max_bytes": 1 << 30}], ids=str)
def test_growth_under_options(options: dict[str, Any], lazy: None) -> None:
    x = eg.matrix("x")
    f = eg.compile([x], EXPRESSIONS["siblings"](x), device="pocl", schedule="cpu", **options)
    oracle = eg.compile([x], EXPRESSIONS["siblings"](x), device="numpy")
    for shape in SHAPES:
        for one, wanted in zip(f(values(shape)), oracle(values(shape)), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-6)


def test_a_large_graph_has_first_variants_only() -> None:
    large = drawn(900)
    graph = run_graph(large.graph, {})
    made = generation.generate(graph, large.leaves, None, ["C"] * len(large.leaves), False, CPU)
    assert unmade(made)


def test_uncertain_sizes_of_the_last_graph_are_known_while_it_lives() -> None:
    x, y = eg.matrix("x"), eg.matrix("y")
    graph = Graph((x, y), (Out((x + y).node),))
    found = requires.uncertain(graph)
    assert found and requires.uncertain_again(graph) is found
    other = Graph((x,), (Out(eg.exp(x).node),))
    assert requires.uncertain_again(other) == () and requires.uncertain_again(graph) == found
    del graph, other
    gc.collect()
    assert not requires._last
