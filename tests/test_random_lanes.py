"""Random graphs over batches: every lane against the graph of one lane, on the oracle and, for a sample, in generated code."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.batch import batched
from exprgraph.close import close
from exprgraph.errors import GraphError
from exprgraph.node import Graph, Out
from exprgraph.ops.shape import shape_of
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from tests.graphs import Drawn, graphs
from tests.plan_runner import CPU, GPU, interpret

RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
LANES = 3


def shuffled(value: np.ndarray, lane: int) -> np.ndarray:
    """The same elements in another order, so that positions stay inside their axes."""
    order = np.random.default_rng(lane).permutation(value.size)
    return value.ravel()[order].reshape(value.shape) if lane else value


def over_lanes(draw: Any, drawn: Drawn) -> tuple[list[Out], list[Out], list[np.ndarray], list[list[np.ndarray]]]:
    """Inputs and outputs of the batch, the arguments of its call, and those of each lane; what cannot be a batch is drawn again."""
    chosen = [draw(st.booleans()) for _ in drawn.inputs]
    assume(any(chosen))
    inputs = [eg.tensor(f"b{k}", x.dtype, (None,) * (x.ndim + 1)) if c else x for k, (x, c) in enumerate(zip(drawn.inputs, chosen))]
    lanes = [[shuffled(v, i) if c else v for v, c in zip(drawn.values, chosen)] for i in range(LANES)]
    mapped = {x: y for x, y, c in zip(drawn.inputs, inputs, chosen) if c}
    size = shape_of(next(iter(mapped.values())))[0]
    whole = {x: eg.specify_shape(y, (size, *[None] * x.ndim)) for x, y in mapped.items()}
    try:
        outputs = batched(drawn.outputs, whole, size)
    except GraphError as error:
        assert "differs from lane to lane" in str(error)
        assume(False)
    values = [np.stack([lane[k] for lane in lanes]) if c else v for k, (v, c) in enumerate(zip(drawn.values, chosen))]
    return inputs, outputs, values, lanes


def check(drawn: Drawn, got: list[np.ndarray], lanes: list[list[np.ndarray]]) -> None:
    """Every lane by itself."""
    shared = {s.node: s.get_value(borrow=True) for s in drawn.shared}
    for i, lane in enumerate(lanes):
        with np.errstate(all="ignore"):
            close([g[i] for g in got], drawn.outputs, {x.node: v for x, v in zip(drawn.inputs, lane)} | shared)


@given(st.data(), graphs(most=6))
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
def test_lanes_on_the_oracle(data: Any, drawn: Drawn) -> None:
    inputs, outputs, values, lanes = over_lanes(data.draw, drawn)
    leaves = {x.node: v for x, v in zip(inputs, values)} | {s.node: s.get_value(borrow=True) for s in drawn.shared}
    with np.errstate(all="ignore"):
        check(drawn, evaluate(outputs, leaves), lanes)
        check(drawn, evaluate(run_graph(Graph((*inputs, *drawn.shared), tuple(outputs)), {}).outputs, leaves), lanes)


@given(st.data(), graphs(most=5))
@settings(max_examples=12, deadline=None, suppress_health_check=RELAXED)
def test_lanes_in_the_interpreter(data: Any, drawn: Drawn) -> None:
    inputs, outputs, values, lanes = over_lanes(data.draw, drawn)
    leaves = {x.node: v for x, v in zip(inputs, values)} | {s.node: s.get_value(borrow=True) for s in drawn.shared}
    graph = run_graph(Graph((*inputs, *drawn.shared), tuple(outputs)), {})
    for target in (CPU, GPU):
        with np.errstate(all="ignore"):
            check(drawn, interpret(graph, list(leaves), list(leaves.values()), target), lanes)


@pytest.mark.campaign
@given(st.data(), graphs(most=10))
@settings(max_examples=2000, deadline=None, suppress_health_check=RELAXED)
def test_campaign_lanes(data: Any, drawn: Drawn) -> None:
    inputs, outputs, values, lanes = over_lanes(data.draw, drawn)
    leaves = {x.node: v for x, v in zip(inputs, values)} | {s.node: s.get_value(borrow=True) for s in drawn.shared}
    with np.errstate(all="ignore"):
        check(drawn, evaluate(outputs, leaves), lanes)
