"""Rules about positions: what is found is the greatest as exactly as the inputs say, where what was written makes ties or NaN."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from codegen.target import Target
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rules.positions import POSITIONS
from tests.plan_runner import CPU, GPU, interpret
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
    assert sorted(n.op.name for n in order(graph.outputs) if n.op.kind != "leaf") == ["argmax", "isnan", "max", "switch"]
    assert evaluate(graph.outputs, {x.node: np.array([[1000, 2000, 0]], "float32")})[0] == [1]


NANS = np.array([[1, np.nan, 3], [np.nan] * 3, [2, 3, np.nan], [0, 2, 2], [-np.inf] * 3], "float32")
SPOILT = {"softmax": softly, "eg.softmax": lambda x: eg.softmax(x, axis=1), "log_softmax": lambda x: eg.log_softmax(x, axis=1),
          "less the least": lambda x: x - x.min(axis=1, keepdims=True), "less another": lambda x: x - x[1, 0], "exp": eg.exp,
          "sigmoid": eg.sigmoid, "less a column": lambda x: x - eg.reshape(x.T[0] * 2, (-1, 1))}


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("made", SPOILT)
def test_of_a_row_of_nan_the_first_is_found(made: str, name: str) -> None:
    x = eg.matrix("x")
    for out in (eg.ROWS[name](SPOILT[made](x), axis=1), eg.ROWS[name](SPOILT[made](x), axis=1, keepdims=True)):
        got, wanted = (eg.compile([x], out, device="numpy", optimizer=level)(NANS) for level in ("default", "none"))
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_kernels_find_the_first_nan_too(target: Target) -> None:
    x = eg.matrix("x")
    outs = tuple(eg.ROWS[n](f(x), axis=1) for n in ("argmax", "argmin") for f in (softly, SPOILT["less the least"]))
    graph = run_graph(Graph((x,), outs), {})
    for got in interpret(graph, [x.node], [NANS], target):
        np.testing.assert_array_equal(got[:2], [0, 0])


@pytest.mark.parametrize("make", [
    lambda x: x - x[0], lambda x: x - x.T.T * 2, lambda x: eg.exp(x) / x.sum(axis=1, keepdims=True), lambda x: -x],
    ids=["by column", "by element", "of unknown sign", "turned round"])
def test_what_may_change_the_order_stays(make: Any) -> None:
    x = eg.matrix("x")
    graph = run_graph(Graph((x,), (make(x).argmax(axis=1),)), {})
    assert "argmax" in [n.op.name for n in order(graph.outputs)] and len(order(graph.outputs)) > 2
