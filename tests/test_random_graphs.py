"""Random graphs: optimised against unoptimised on the oracle, both schedules in the tree interpreter, a sample of them on PoCL."""
from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

import exprgraph as eg
from exprgraph.close import close
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from tests.campaign import CHUNK, Chunk, chunk_seed, from_environment, run_campaign, run_chunk
from tests.graph_pool import Pool
from tests.graph_steps import STEPS
from tests.graphs import Drawn, graphs
from tests.plan_runner import CPU, GPU, interpret

SCHEDULES = ("cpu", "gpu")
RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def optimised(drawn: Drawn) -> Graph:
    """The graph after the first half of the pipeline."""
    return run_graph(Graph((*drawn.inputs, *drawn.shared), tuple(drawn.outputs)), {})


def check_optimiser(drawn: Drawn) -> None:
    """What the optimiser makes is as close to the truth as what it was given."""
    with np.errstate(all="ignore"):
        close(evaluate(optimised(drawn).outputs, drawn.by_leaf), drawn.outputs, drawn.by_leaf)


def check_trees(drawn: Drawn) -> None:
    """Resolved and general plans of both schedules, without a device."""
    graph = optimised(drawn)
    leaves, values = list(drawn.by_leaf), list(drawn.by_leaf.values())
    for target in (CPU, GPU):
        for general, last in ((False, False), (False, True), (True, False)):
            with np.errstate(all="ignore"):
                close(interpret(graph, leaves, values, target, general, last), drawn.outputs, drawn.by_leaf)


def check_pocl(drawn: Drawn) -> None:
    """Compiled and run."""
    for schedule in SCHEDULES:
        f = eg.compile(drawn.inputs, drawn.outputs, device="pocl", schedule=schedule, on_unused_input="ignore")
        close(f(*drawn.values), drawn.outputs, drawn.by_leaf)


@pytest.mark.parametrize("number", range(10))
def test_random_graphs(number: int) -> None:
    """2,000 graphs of the seed: optimised and unoptimised, by NumPy and by generated trees in all ways that there are."""
    chunk = run_chunk(chunk_seed(int(os.environ["EXPRGRAPH_SEED"]), number))
    assert chunk.fault == "" and chunk.graphs >= CHUNK


@given(graphs(most=6))
@settings(max_examples=10, deadline=None, suppress_health_check=RELAXED)
def test_trees_equal_the_oracle(drawn: Drawn) -> None:
    check_trees(drawn)


@given(graphs(most=6))
@settings(max_examples=12, deadline=None, suppress_health_check=RELAXED)
def test_pocl_equals_the_oracle(drawn: Drawn) -> None:
    check_pocl(drawn)


@pytest.mark.campaign
def test_campaign_trees(capsys: pytest.CaptureFixture[str]) -> None:
    """EXPRGRAPH_CAMPAIGN=100000 EXPRGRAPH_CAMPAIGN_FILE=campaign.jsonl pytest -m campaign -k campaign_trees."""
    found = from_environment()
    with capsys.disabled():
        print(f"{sum(c.graphs for c in found)} graphs in {sum(c.seconds for c in found):.0f} s of processor time")
    assert not [c for c in found if c.fault]


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=RELAXED)
def test_every_step_takes_unsigned_integers(data: st.DataObject) -> None:
    """A choice between them and -1 was drawn, which no tensor of theirs holds: one graph in some 150,000 could not be made."""
    for step in dict.fromkeys(STEPS):
        pool = Pool(data.draw, "float32", [2, 3])
        for dtype in ("uint8", "bool"):
            pool.add(pool.leaf(dtype, (2, 3), 0, 3))
        pool.add(step(pool))


def test_a_chunk_of_the_campaign() -> None:
    """Graphs come from the seed; what is wrong is told with its smallest graph, and does not end the search."""
    def wrong(drawn: Drawn, number: int) -> None:
        assert len(drawn.outputs) < 3, "three outputs"
    one, other = (run_chunk(7, wrong, 60) for _ in range(2))
    assert one.fault == other.fault and "three outputs" in one.fault
    fine = run_chunk(12, size=8)
    assert fine.graphs >= 8 and fine.fault == ""


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path) -> None:
    """What the file remembers is not drawn again."""
    where = tmp_path / "campaign.jsonl"
    chunks = [Chunk(chunk_seed(5, k), 100, 1.0, "") for k in range(3)]
    where.write_text("".join(json.dumps(c._asdict()) + "\n" for c in chunks))
    assert run_campaign(300, where, 5) == chunks


@pytest.mark.campaign
@given(graphs(most=10))
@settings(max_examples=300, deadline=None, suppress_health_check=RELAXED)
def test_campaign_pocl(drawn: Drawn) -> None:
    check_pocl(drawn)


def test_examples_do_not_depend_on_what_is_loaded() -> None:
    """Hypothesis draws no constants of the project's modules, of which some are loaded by the first test that needs them."""
    assert not hasattr(providers, "_get_local_constants") or len(providers._get_local_constants()) == 0
