"""The passes: merging, folding, the rule engine, the pipeline's two halves, and the pairs of sizes that calls decide."""
from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph import dims, passes
from exprgraph.errors import ShapeError
from exprgraph.fold import fold
from exprgraph.graph import order
from exprgraph.merge import merge
from exprgraph.node import Graph, Out, make_constant
from exprgraph.pairs import decide, facts, pairs
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rewrite import Engine
from exprgraph.size_program import program
from exprgraph.substituting import substitute

pytestmark = pytest.mark.filterwarnings("error::exprgraph.rewrite.RewriteWarning")


def names(graph: Graph) -> list[str]:
    """The ops of a graph, in order, leaves left out."""
    return [n.op.name for n in order(graph.outputs) if n.op.kind != "leaf"]


def optimised(out, *inputs, **options) -> Graph:
    return passes.run_graph(Graph(inputs, (out,)), options)


# -- merge

def test_merge_unites_what_is_alike_and_its_lines() -> None:
    x, y = eg.vectors("x", "y")
    first = eg.exp(x + y)
    second = eg.exp(y + x)
    graph = merge(Graph((x, y), (first, second, first * second)))
    assert names(graph) == ["add", "exp", "mul"]
    assert graph.outputs[0].node is graph.outputs[1].node
    assert graph.outputs[0].node.sources == first.node.sources | second.node.sources


@pytest.mark.parametrize("make", [
    lambda x: x - eg.exp(x), lambda x: eg.cast(x, "float64") + eg.cast(eg.cast(x, "int32"), "float64"),
    lambda x: x.sum(axis=0, keepdims=True) * x.sum(axis=0)], ids=["different", "params", "keepdims"])
def test_merge_keeps_what_differs(make) -> None:
    x = eg.vector("x")
    graph = Graph((x,), (make(x),))
    assert names(merge(graph)) == names(graph)


def test_merge_tells_constants_apart_by_bits_A6() -> None:
    x = eg.vector("x")
    graph = merge(Graph((x,), (x + 0.0, x + -0.0, x + 0.0, x * make_constant([0.0], "float64"))))
    assert len({o.node for o in graph.outputs}) == 3


def test_merge_leaves_inputs_and_impure_rows_A25() -> None:
    noisy = eg.ROWS["exp"].changed(name="noisy", flags=frozenset({"impure"}))
    x, y = eg.vectors("x", "y")
    assert names(merge(Graph((x, y), (noisy(x) + noisy(x), x + y)))).count("noisy") == 2
    assert x.type != y.type


# -- fold

def test_fold_computes_constants_in_their_dtype() -> None:
    x = eg.fvector("x")
    two = make_constant(2, "float32")
    graph = fold(Graph((x,), (x * eg.exp(eg.sqrt(two)) + 1,)))
    assert names(graph) == ["mul", "add"]
    folded = make_constant(3.0, "float64") / make_constant(4.0, "float64")
    assert fold(Graph((), (folded,))).outputs[0].dtype == "float64"


@pytest.mark.parametrize("make", [
    lambda: eg.ROWS["broadcast_to"](make_constant(1.0, "float32"), 1000, 1000), lambda: eg.ROWS["iota"](10),
    lambda: eg.ROWS["take"](make_constant([1.0, 2.0]), make_constant(5))], ids=["large", "positions", "raises"])
def test_fold_leaves_what_grows_or_raises(make) -> None:
    graph = Graph((), (make(),))
    assert names(fold(graph)) == names(graph)


def test_fold_divides_integers_by_zero_like_numpy_A13() -> None:
    out = make_constant(7, "int32") // make_constant(0, "int32")
    assert evaluate(fold(Graph((), (out,))).outputs, {})[0] == 0


# -- the engine

CASES = {
    "log(1 + x)": (lambda x: eg.log(1 + x), ["log1p"]), "log(x + 1)": (lambda x: eg.log(x + 1), ["log1p"]),
    "constant vector": (lambda x: eg.log(x + make_constant(np.ones(3, "float32"))), ["log1p", "broadcast_to"]),
    "sigmoid": (lambda x: 1 / (1 + eg.exp(-x)), ["sigmoid"]), "softplus": (lambda x: eg.log(1 + eg.exp(x)), ["softplus"]),
    "signs": (lambda x: eg.neg(eg.neg(eg.neg(-x))) * 1 - 0, []), "squares": (lambda x: (-x) * (-x), ["sqr"]),
    "halves": (lambda x: x / 4, ["mul"]), "thirds": (lambda x: x / 3, ["true_div"]),
    "not folded, A1": (lambda x: x * 0, ["mul"]), "not folded, A2": (lambda x: (x - x) + x / x, ["sub", "true_div", "add"]),
    "not folded, A6": (lambda x: x + 0, ["add"]), "not inverted": (lambda x: ~(x < 1), ["lt", "invert"]),
    "log of exp stays, A3": (lambda x: eg.log(eg.exp(x)), ["exp", "log"]),
    "as written, A8": (lambda x: (x + 1e17) - x, ["add", "sub"]),
    "same argument": (lambda x: eg.maximum(eg.exp(x), eg.exp(x)), ["exp"]),
    "choice": (lambda x: eg.switch(x > 0, eg.switch(x > 0, x, 1), 2), ["gt", "switch"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left(case: str) -> None:
    make, left = CASES[case]
    x = eg.vector("x")
    graph = optimised(make(x), x)
    assert [n for n in names(graph) if "size" not in n] == left
    assert (graph.outputs[0].dtype, graph.outputs[0].ndim) == (make(x).dtype, 1)


def test_integer_rings_fold() -> None:
    i = eg.ivector("i")
    assert names(optimised((i + 0) * 1 - (i - i) + i * 0, i)) in ([], ["size", "broadcast_to"])


def test_real_rules_only_on_request_A4() -> None:
    x = eg.vector("x")
    out = eg.sqrt(eg.sqr(x))
    assert names(optimised(out, x)) == ["sqr", "sqrt"]
    assert names(optimised(out, x, optimizer="unsafe")) == ["abs"]
    assert names(optimised(out * 1, x, optimizer="none")) == ["sqr", "sqrt", "mul"]


def test_lines_names_and_inputs_survive() -> None:
    x = eg.vector("x")
    inner = 1 + eg.exp(x)
    out = eg.log(inner)
    out.name = "loss"
    graph = optimised(out, x)
    assert graph.inputs[0] is x and graph.outputs[0].name == "loss"
    assert graph.outputs[0].node.sources >= inner.node.sources | out.node.sources
    assert all("test_rewrite.py" in s.file for s in graph.outputs[0].node.sources)


def test_a_row_of_broadcasts_is_computed_small() -> None:
    x, v = eg.matrix("x"), eg.vector("v")
    graph = optimised(x * eg.exp(eg.ROWS["broadcast_to"](v, *x.shape)), x, v)
    shape = next(n.outs[0].shape for n in order(graph.outputs) if n.op.name == "exp")
    assert shape == v.type.shape
    plan, _ = planned(graph, {x.node: np.ones((2, 3), "float32"), v.node: np.ones(3, "float32")})
    assert names(plan) == ["exp", "mul"]


@pytest.mark.parametrize("length", [0, 1, 3])
def test_what_was_broadcast_stays_broadcast(length: int) -> None:
    x, y = eg.vector("x"), eg.tensor("y", "float32", (1,))
    graph = optimised(eg.second(x, y), x, y)
    assert evaluate(graph.outputs, {x.node: np.ones(length, "float32"), y.node: np.ones(1, "float32")})[0].shape == (length,)


def test_rules_of_the_user() -> None:
    rule = Rule("double", lambda x: x + x, lambda x: x * 2)
    x = eg.vector("x")
    graph, applied = Engine([rule]).sweep(Graph((x,), (eg.exp(x) + eg.exp(x), x + x)))
    assert applied == "double" and names(graph)[-1] == "mul"
    assert graph.outputs[0].node.op.name == "add", "two equal expressions are one only after merging"


def chain(kind: str, x, length: int):
    for _ in range(length):
        x = -x if kind == "neg" else x * 1 if kind == "one" else eg.sin(x)
    return x


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rules that are tried, in turn."""
    found, plain = list[str](), Engine.tried

    def noted(self, candidate, *others):
        found.append(candidate.rule.name)
        return plain(self, candidate, *others)
    monkeypatch.setattr(Engine, "tried", noted)
    return found


def test_rules_that_have_nothing_to_do_at_a_node_are_not_tried_there_again(tried) -> None:
    x, y = eg.vectors("x", "y")
    graph = optimised(eg.log(1 + eg.exp(eg.maximum(x, y) * y)) + (x - y).sum(), x, y)
    assert tried
    tried.clear()
    assert passes.run_graph(graph, {}) is not None and not tried
    optimised(eg.exp(eg.maximum(x, y) + y), x, y)
    assert tried  # of nodes that are new
    tried.clear()
    passes.run_graph(graph, {"rules": (Rule("own", lambda x: eg.maximum(x, x), lambda x: x, source=("f", 1, "")),)})
    assert tried


def test_what_becomes_alike_in_a_sweep_is_one_node_with_the_lines_of_both() -> None:
    x = eg.vector("x")
    first = eg.exp(x * 1)
    second = eg.exp(1 * x)
    engine = Engine([Rule("x * 1", lambda x: x * 1, lambda x: x)])
    graph, last = engine.sweep(Graph((x,), (first + second,)))
    one, other = graph.outputs[0].node.inputs
    assert last == "x * 1" and one.node is other.node and one.node.inputs[0].node is x.node
    assert one.node.sources >= first.node.sources | second.node.sources
    assert first.node.sources != one.node.sources and merge(graph) is graph  # the user's own nodes stay as they are


def test_a_node_of_the_user_gets_no_lines_of_what_becomes_like_it() -> None:
    x = eg.vector("x")
    own = eg.exp(x)
    other = eg.exp(x * 1)
    before = own.node.sources
    graph, _ = Engine([Rule("x * 1", lambda x: x * 1, lambda x: x)]).sweep(Graph((x,), (own, other)))
    assert own.node.sources == before
    both, = {o.node for o in merge(graph).outputs}
    assert both.sources >= before | other.node.sources


def test_a_rule_that_asks_who_reads_is_asked_again_once_fewer_do() -> None:
    x = eg.vector("x")
    engine = Engine([Rule("-exp(x)", lambda x: -eg.exp(x), lambda x: eg.exp(x) * -1, lambda m: m.readers.alone(m.root.node.inputs[0]))])
    inner = eg.exp(x)
    out = -inner
    for _ in range(2):
        assert engine.sweep(Graph((x,), (out, inner)))[1] is None
    assert engine.sweep(Graph((x,), (out,)))[1] == "-exp(x)"


@pytest.mark.parametrize("dtype, value, wanted", [
    ("bool", True, "x * True"), ("float32", 1.0, "x * 1"), ("uint8", 1, "x * 1"), ("float16", -0.0, "x * x"),
    ("float32", 257.0, "x * x")])
def test_rules_are_tried_for_constants_of_their_value_and_dtype_alone(dtype: str, value: object, wanted: str, tried) -> None:
    x = eg.vector("x", dtype=dtype)
    optimised(x * make_constant(value, dtype), x)
    assert set(tried) == {wanted}


@pytest.mark.parametrize("kind, left", [("neg", 0), ("one", 0), ("sin", 20_000)])
def test_long_chains_are_linear_A24_B4(kind: str, left: int) -> None:
    x = eg.vector("x")
    out = chain(kind, x, 20_000)
    began = time.perf_counter()
    graph = optimised(out, x)
    assert len(names(graph)) == left
    assert time.perf_counter() - began < 30


def test_exponential_sharing_B5() -> None:
    x = y = eg.scalar("x")
    for _ in range(60):
        y = y + y
    assert names(optimised(y, x)) == ["add"] * 60


def test_size_arithmetic_stays_readable_as_sizes() -> None:
    x = eg.matrix("x")
    n = x.shape[0]
    out = (x @ x.T).reshape((n * n, 1)) + eg.cast(n * n + n * 1, "float32")
    plan, got = planned(optimised(out, x), {x.node: np.ones((3, 2), "float32")})
    assert got[0].shape == (9, 1) and got[0][0] == 2 + 12


def test_watch_sees_every_pass() -> None:
    x = eg.vector("x")
    seen = []
    passes.run_graph(Graph((x,), (eg.log(1 + x),)), {}, lambda name, before, after: seen.append((name, names(before), names(after))))
    assert [s[0] for s in seen] == [name for name, _ in passes.GRAPH]
    assert (["add", "log"], ["log1p"]) in [s[1:] for s in seen]


# -- pairs, facts, resolve

def sizes_of(graph: Graph, arrays):
    """What a backend does: evaluate Dims with the sizes of a call."""
    def evaluate_dim(dim):
        atoms = dims.atoms([dim])
        values = [int(arrays[a.source]) if isinstance(a, dims.Value) else arrays[a.source].shape[a.axis] for a in atoms]
        return program([dim], atoms)(values)[0]
    return evaluate_dim


def planned(graph: Graph, arrays, options=None):
    """The plan's graph for a call, and its values."""
    found = pairs(graph)
    known = facts(found, decide(found, sizes_of(graph, arrays)))
    plan = passes.run_plan(graph, known, options or {})
    leaves = {i.node: arrays[old.node] for i, old in zip(plan.inputs, graph.inputs)}
    return plan, evaluate(plan.outputs, leaves)


def test_pairs_of_an_addition_C5() -> None:
    x, y = eg.matrix("x"), eg.vector("y")
    found = pairs(Graph((x, y), (x + y, y + x, (x + y) * x)))
    assert [(p.names, p.kind) for p in found] == [(("x", "y"), "bcast")]


@pytest.mark.parametrize("make", [lambda x: x + x, lambda x: x * x.sum(axis=0, keepdims=True), lambda x: x + 1, lambda x: x.T @ x,
                                  lambda x: eg.softmax(x), lambda x: x - x.mean(axis=1, keepdims=True)])
def test_no_pairs_where_sizes_are_provably_right(make) -> None:
    x = eg.matrix("x")
    assert pairs(Graph((x,), (make(x),))) == []


@pytest.mark.parametrize("left, right, outcome", [((2, 3), (3,), "equal"), ((2, 1), (3,), "left"), ((2, 3), (1,), "right"),
                                                  ((2, 1), (1,), "equal"), ((2, 0), (1,), "right"), ((2, 1), (0,), "left")])
def test_a_plan_for_every_outcome_C5(left, right, outcome) -> None:
    x, y = eg.matrix("x"), eg.vector("y")
    out = (eg.tanh(x + y) * y).sum()
    graph = passes.run_graph(Graph((x, y), (out, *eg.grad(out, [x, y]))), {})
    arrays = {x.node: np.random.default_rng(1).standard_normal(left).astype("float32"),
              y.node: np.random.default_rng(2).standard_normal(right).astype("float32")}
    assert decide(pairs(graph), sizes_of(graph, arrays))[0] == outcome
    plan, got = planned(graph, arrays)
    for a, b in zip(got, evaluate((out, *eg.grad(out, [x, y])), arrays)):
        assert a.shape == b.shape and np.allclose(a, b, atol=1e-6)
    assert "bcast" not in " ".join(d.text for n in order(plan.outputs) for t in n.outs for d in t.shape)
    assert "sum_to" not in names(plan)


@pytest.mark.parametrize("make, given, words", [
    (lambda x, y: x + y, ((3,), (4,)), r"(?s)add: sizes 3 and 4.*x \(3,\) and y \(4,\).*test_rewrite\.py"),
    (lambda x, y: eg.exp(x) * y, ((3,), (4,)), r"the result of exp \(3,\) and y \(4,\)"),
    (lambda x, y: eg.dot(x, y), ((3,), (4,)), "y .* has 4 elements, the other has 3"),
], ids=["inputs, C3", "inside, C4", "dot, C4"])
def test_sizes_that_do_not_fit(make, given, words) -> None:
    x, y = eg.vectors("x", "y")
    graph = passes.run_graph(Graph((x, y), (make(x, y),)), {})
    arrays = {s.node: np.zeros(shape, "float32") for s, shape in zip((x, y), given)}
    with pytest.raises(ShapeError, match=words):
        decide(pairs(graph), sizes_of(graph, arrays))


def test_conditions_spare_pairs() -> None:
    x, w, t = eg.matrix("x"), eg.vector("w"), eg.vector("t")
    cost = ((x @ w - t) ** 2).sum()
    graph = passes.run_graph(Graph((x, w, t), (w - 0.1 * eg.grad(cost, w),)), {})
    kinds = [p.kind for p in pairs(graph)]
    assert kinds.count("bcast") == 1, "x @ w against t; the gradient has the length of w because the product asks for it"


def test_facts_are_idempotent_and_ordered() -> None:
    a, b, c = eg.vectors("a", "b", "c")
    graph = Graph((a, b, c), ((a + b) * c,))
    for outcomes in (("equal", "equal"), ("left", "right"), ("right", "equal"), ("equal", "left")):
        known = facts(pairs(graph), outcomes)
        assert all(substitute(d, known) == d for d in known.values())
        size = substitute(graph.outputs[0].type.shape[0], known)
        assert "bcast" not in size.text


def test_resolved_leaves_keep_uid_name_and_place() -> None:
    x, y = eg.matrix("x"), eg.vector("y")
    graph = Graph((x, y), (x + y,))
    plan = passes.run_plan(graph, facts(pairs(graph), ("left",)), {})
    assert [i.node.uid for i in plan.inputs] == [x.node.uid, y.node.uid] and [i.name for i in plan.inputs] == ["x", "y"]
    assert plan.inputs[0].type.shape[1] == 1 and x.type.shape[1].const is None
    own = {i.node for i in plan.inputs}
    assert all(n in own for n in order(plan.outputs) if n.op.kind == "leaf" and n.op.name == "input")


def test_sizes_in_a_plan_name_its_own_leaves() -> None:
    x, y = eg.vectors("x", "y")
    out = (x + y) * eg.cast((x + y).shape[0], "float32") + eg.ROWS["broadcast_to"](eg.sqr(y).sum(), *(x + y).shape)
    graph = passes.run_graph(Graph((x, y), (out,)), {})
    for a, b in ((3, 3), (1, 3), (3, 1)):
        arrays = {x.node: np.ones(a, "float32"), y.node: np.ones(b, "float32")}
        plan, got = planned(graph, arrays)
        assert np.array_equal(got[0], evaluate([out], arrays)[0])
        own = {i.node for i in plan.inputs}
        assert all(n in own for n in order(plan.outputs) if n.op.name == "input")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3]), min_size=4, max_size=4), st.integers(0, 5))
def test_plans_agree_with_the_oracle(sizes, form) -> None:
    a, b, c = eg.matrix("a"), eg.vector("b"), eg.col("c")
    out = [lambda: a * b + c, lambda: eg.exp(b - a) / c, lambda: eg.concatenate([a + c, a - c], axis=0) * b, lambda: (a + b).T @ (a * c),
           lambda: eg.switch(a > b, c, a), lambda: eg.ROWS["broadcast_to"](b, *(a + b).shape) + c][form]()
    cost = eg.sin(out).sum()
    outputs = (out, *eg.grad(cost, [a, b, c], disconnected_inputs="ignore"))
    rows, cols, length, other = sizes
    arrays = {s.node: np.random.default_rng(i).standard_normal(n).astype("float32")
              for i, (s, n) in enumerate([(a, (rows, cols)), (b, (length,)), (c, (other, 1))])}
    try:
        wanted = evaluate(outputs, arrays)
    except ShapeError:
        return
    graph = passes.run_graph(Graph((a, b, c), outputs), {})
    for options in ({}, {"optimizer": "none"}):
        for got, want in zip(planned(graph, arrays, options)[1], wanted):
            assert got.shape == want.shape and np.allclose(got, want, atol=1e-4, rtol=1e-4)


def test_plan_of_an_untouched_graph_is_the_same_graph() -> None:
    x = eg.matrix("x")
    graph = passes.run_graph(Graph((x,), (eg.exp(x) @ x.T,)), {})
    plan = passes.run_plan(graph, {}, {})
    assert isinstance(plan.outputs[0], Out) and names(plan) == names(graph)


def test_a_rule_that_was_out_of_use_once_is_tried_again() -> None:
    """A node is not taken to be at rest where a rule was left out."""
    x = eg.vector("x")
    engine, graph = Engine([Rule("sin", lambda x: eg.sin(x), lambda x: eg.cos(x) * 2)]), Graph((x,), (eg.sin(x),))
    assert engine.sweep(graph, None, {"sin"})[1] is None
    assert engine.sweep(graph, None, set())[1] == "sin"
