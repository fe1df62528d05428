"""The rules at work: names, what is left out, what has no end, and values after the whole pipeline."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.node import Graph, Out
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rewrite import Engine, RewriteWarning
from exprgraph.rules.exact import EXACT
from exprgraph.rules.movement import MOVEMENT
from exprgraph.rules.real import REAL
from exprgraph.rules.stable import STABLE

pytestmark = pytest.mark.filterwarnings("error::exprgraph.rewrite.RewriteWarning")


def test_the_gradient_of_a_handmade_softmax_is_stable() -> None:
    x, w = eg.dmatrix("x"), eg.dmatrix("w")
    share = eg.exp(x) / eg.exp(x).sum(axis=1, keepdims=True)
    rows = np.array([[1000.0, 1001, -3], [1, 2, 3]])
    values = {x.node: rows, w.node: np.arange(6.0).reshape(2, 3)}
    for cost, stable in (((w * share).sum(), (w * eg.softmax(x)).sum()), (eg.tanh(share).sum(), eg.tanh(eg.softmax(x)).sum())):
        got, wanted = (evaluate(simplified(eg.grad(c, x), x, w).outputs, values)[0] for c in (cost, stable))
        assert np.allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_logsumexp_of_infinite_rows_A27() -> None:
    x = eg.dmatrix("x")
    graph = simplified(eg.log(eg.exp(x).sum(axis=1)), x)
    rows = np.array([[-np.inf, -np.inf], [np.inf, 0], [1000, 1000], [-1000, -1000.0]])
    got = evaluate(graph.outputs, {x.node: rows})[0]
    assert np.allclose(got, [-np.inf, np.inf, 1000 + np.log(2), -1000 + np.log(2)])


def simplified(out: Out, *inputs: Out) -> Graph:
    """What the GRAPH half makes of an expression."""
    from exprgraph.passes import run_graph
    return run_graph(Graph(inputs, (out,)), {})


def test_names_are_unique_and_stable_rules_say_why() -> None:
    names = [(r.name, r.kinds) for r in (*EXACT, *STABLE, *REAL, *MOVEMENT)]
    assert len(set(names)) == len(names)
    assert all(r.why for r in (*STABLE, *REAL))


def test_a_rule_that_changes_the_dtype_is_left_out() -> None:
    broken = Rule("broken", lambda x: eg.exp(x), lambda x: eg.cast(x, "int32"))
    x = eg.vector("x")
    with pytest.warns(RewriteWarning, match="broken.*float32.*int32"):
        graph, applied = Engine([broken]).sweep(Graph((x,), (eg.exp(x),)))
    assert applied is None and graph.outputs[0].node.op.name == "exp"


def test_a_rule_without_end_is_reported_A24() -> None:
    loop = Rule("loop", lambda x, y: eg.maximum(x, y), lambda x, y: eg.maximum(y, x))
    x, y = eg.scalars("x", "y")
    with pytest.warns(RewriteWarning, match="loop"):
        Engine([loop]).sweep(Graph((x, y), (eg.maximum(x, y),)))
