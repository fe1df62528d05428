"""The pipeline as a whole: a second run changes nothing, no hash seed changes a text, and equal layers cost what one of them does."""
from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import exprgraph as eg
from codegen import generate as generation
from codegen import variants
from codegen.alike import Alike
from codegen.growth import flatten, with_parts
from codegen.kernel import frame
from codegen.plan import Plan
from codegen.printed import printed
from codegen.target import Target
from exprgraph.close import close
from exprgraph.graph import key, order
from exprgraph.node import Graph, Out
from exprgraph.pairs import decide
from exprgraph.passes import run_graph
from tests.graphs import Drawn, graphs
from tests.kernel_counts import CASES, Case, Ours, arguments
from tests.large_graphs import Large, chain, drawn, training_step
from tests.plan_runner import CPU, GPU, Sizes, interpret
from tests.processes import python

LAYERS = {"chain": lambda: chain(60), "drawn": lambda: drawn(60), "training step": lambda: training_step(4)}


def graph_of(case: Case) -> Graph:
    """The graph of a case, with inputs of unknown sizes."""
    inputs = [eg.tensor(f"x{k}", a.dtype.name, (None,) * a.ndim) for k, a in enumerate(arguments(case, dict.fromkeys("nmkhz", 3)))]
    return Graph(tuple(inputs), tuple(case.make(Ours(), *inputs)))


def rests(graph: Graph) -> bool:
    """Whether the optimised graph is what the optimiser makes of it."""
    once = run_graph(graph, {})
    for node in order(once.outputs):
        node.rest = ()  # else rules would not look again
    return key(run_graph(once, {})) == key(once)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_second_run_changes_nothing(case: Case) -> None:
    assert rests(graph_of(case))


@pytest.mark.parametrize("name", LAYERS)
def test_a_second_run_changes_nothing_in_large_graphs(name: str) -> None:
    assert rests(LAYERS[name]().graph)


@given(graphs(most=6))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_second_run_changes_nothing_in_random_graphs(graph: Drawn) -> None:
    assert rests(Graph((*graph.inputs, *graph.shared), tuple(graph.outputs)))


def optimise(large: Large) -> Graph:
    """The graph after the first half of the pipeline."""
    return run_graph(large.graph, {})


def plan_of(large: Large, target: Target = CPU) -> Plan:
    """The plan for the values of a large graph."""
    graph = run_graph(large.graph, {})
    outcomes = decide(generation.uncertain(graph), Sizes(large.leaves, large.values))
    return generation.generate(graph, large.leaves, outcomes, ["C"] * len(large.leaves), False, target)


def digest() -> str:
    """The texts of the kernels of several graphs, in the order of their steps, as one number."""
    texts = [s.kernel.text for make in LAYERS.values() for s in flatten(printed(plan_of(make()), "pocl").steps) if hasattr(s, "kernel")]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def test_hash_seeds_change_no_text(tmp_path: Path) -> None:
    text = "from tests.test_pipeline import digest; print(digest())"
    one, other = (python(text, PYTHONHASHSEED=seed, EXPRGRAPH_CACHE=tmp_path / seed) for seed in ("1", "2"))
    assert one.returncode == 0, one.stderr
    assert one.stdout == other.stdout and len(one.stdout) == 65


def several(sizes: list[tuple[int, int, int]]) -> Large:
    """The same expressions of inputs of different sizes."""
    inputs, outputs, values = list[Out](), list[Out](), list[np.ndarray]()
    for k, (n, m, d) in enumerate(sizes):
        x, w = eg.matrix(f"x{k}"), eg.matrix(f"w{k}")
        inputs += [x, w]
        outputs += [eg.softmax(x, axis=1) @ w, x.mean(axis=0), eg.cumsum(eg.tanh(x), axis=1), x.var()]
        values += [np.sin(np.arange(a * b)).reshape(a, b).astype("float32") for a, b in ((n, m), (m, d))]
    return Large(Graph(tuple(inputs), tuple(outputs)), [i.node for i in inputs], values)


SIZES = [(3, 4, 2), (5, 2, 6), (2, 7, 3)]


def test_what_is_alike_is_scheduled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times the expressions: three times the launches, and no more kernels are made."""
    made: list[str] = []
    monkeypatch.setattr(variants, "named",
                        lambda kernel, dialect: (made.append("") or kernel._replace(name=f"k{len(made)}"), frame(kernel)))
    counted = []
    for sizes in (SIZES[:1], SIZES):
        made.clear()
        launches = len(list(with_parts(plan_of(several(sizes)).steps)))
        counted.append((launches, len(made)))
    (few, first), (many, second) = counted
    assert many > 2.5 * few and second == first > 5


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
@pytest.mark.parametrize("last", [False, True])
def test_kernels_that_are_alike_have_their_own_sizes(target: Target, last: bool) -> None:
    """Kernels that are made from others have their own sizes, and so the values."""
    large = several(SIZES)
    graph = run_graph(large.graph, {})
    found = interpret(graph, large.leaves, large.values, target, last=last)
    close(found, large.graph, dict(zip(large.leaves, large.values)))
    assert any(isinstance(s.kernel, Alike) for s in flatten(plan_of(large, target).steps) if hasattr(s, "kernel"))


def calls(work: Callable[[], object]) -> int:
    """How many functions some work calls: what it costs, on any machine."""
    count = [0]

    def told(frame: object, event: str, argument: object) -> None:
        count[0] += event in ("call", "c_call")
    sys.setprofile(told)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count[0]


@pytest.mark.parametrize("make", [chain, drawn])
def test_the_cost_of_a_node_does_not_grow(make: Callable[[int], Large]) -> None:
    """To optimise and to generate four times the nodes takes at most twice as much for each of them."""
    for work, n in ((optimise, 200), (plan_of, 60)):
        work(make(n))  # what is loaded and built once
        few, many = (calls(partial(work, make(k))) / k for k in (n, 4 * n))
        assert many < 2 * few
