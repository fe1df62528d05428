"""Rules about positions: what is found is the greatest as exactly as the inputs say, where what was written makes ties or NaN."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rules.positions import POSITIONS
from tests.rule_cases import drawn, rewritten


def softly(x: Any) -> Any:
    """A softmax over rows as people write it."""
    return eg.exp(x) / eg.exp(x).sum(axis=1, keepdims=True)


MADE: dict[str, Callable[[Any], Any]] = {
    "exp(x) / sum": softly, "x - y": lambda x: x - x.min(axis=1, keepdims=True), "exp(x)": eg.exp, "sigmoid(x)": eg.sigmoid}
NEAR = np.array([[1, 1 + 2**-23, 1 - 2**-24], [-0.5, 0.25, 0.25], [15, 15.000001, 14], [-3, -2.9999998, -4], [30, 29, 28]], "float32")


@pytest.mark.parametrize("rule", POSITIONS, ids=lambda r: r.name)
def test_the_position_is_that_of_the_exact_values(rule: Rule) -> None:
    name, _, inner = rule.name.partition("(")
    x = eg.matrix("x")
    left = eg.ROWS[name](MADE[inner[:-1]](x), axis=1)
    right = rewritten(rule, left, [x])
    assert right is not None
    rows = np.concatenate([NEAR, drawn(rule.name).standard_normal((40, 3)).astype("float32")])
    given, got = evaluate([left, right], {x.node: rows})
    exact = evaluate([MADE[inner[:-1]](eg.cast(x, "float64"))], {x.node: rows})[0]
    best = getattr(np, name)(exact, axis=1)
    assert got.dtype == given.dtype and np.array_equal(got, best)


def test_rounding_spoils_what_is_written() -> None:
    x = eg.matrix("x")
    row = np.array([[15, 15.000001, 14]], "float32")
    assert evaluate([eg.sigmoid(x).argmax(axis=1)], {x.node: row})[0] == [0]
    assert eg.compile([x], eg.sigmoid(x).argmax(axis=1), device="numpy")(row) == [1]


@pytest.mark.parametrize("make", [eg.softmax, eg.log_softmax, softly], ids=["softmax", "log_softmax", "as written"])
def test_the_class_of_a_softmax_is_that_of_its_inputs(make: Any) -> None:
    x = eg.matrix("x")
    made = make(x, axis=1) if make is not softly else make(x)
    graph = run_graph(Graph((x,), (made.argmax(axis=1),)), {})
    assert [n.op.name for n in order(graph.outputs)] == ["input", "argmax"]
    assert evaluate(graph.outputs, {x.node: np.array([[1000, 2000, 0]], "float32")})[0] == [1]


@pytest.mark.parametrize("make", [
    lambda x: x - x[0], lambda x: x - x.T.T * 2, lambda x: eg.exp(x) / x.sum(axis=1, keepdims=True), lambda x: -x],
    ids=["by column", "by element", "of unknown sign", "turned round"])
def test_what_may_change_the_order_stays(make: Any) -> None:
    x = eg.matrix("x")
    graph = run_graph(Graph((x,), (make(x).argmax(axis=1),)), {})
    assert "argmax" in [n.op.name for n in order(graph.outputs)] and len(order(graph.outputs)) > 2
