"""Facts: every row's claims hold of values that keep to the facts of its operands; wrong claims are caught; the lattice; deep graphs."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph import facts
from exprgraph.known import functions, matrices
from exprgraph.known.record import ELEMENTS, INF, NUMBER, PLUS, Facts, implies, join, meet, of_array, of_dtype
from exprgraph.known.words import broken
from exprgraph.node import INPUT, Graph, Node, Out, leaf
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from tests import fact_checks as checks
from tests.graphs import Drawn, graphs
from tests.rule_cases import drawn

R = eg.ROWS
SCALARS = [op for op in facts.CARRIES if op.kind == "elementwise" and op not in (R["cast"], R["assert"])]
V = {"axis": 1}
MOVES: dict[str, Any] = {
    "size": lambda x: R["size"](x, axis=0), "bcast_size": lambda x: R["bcast_size"](x.shape[0], x.shape[1]),
    "read_size": lambda x: R["read_size"](eg.cast(abs(eg.cast(x[0, 0] > 0, "int64")), "int64")),
    "iota": lambda x: eg.arange(x.shape[0], dtype=x.dtype), "identity": eg.identity, "second": lambda x: eg.second(x[0], x),
    "assert": lambda x: R["assert"](x, True), "barrier": lambda x: R["barrier"](x), "grad_clip": lambda x: eg.grad_clip(x, -1, 1),
    "grad_scale": lambda x: eg.grad_scale(x, 2.0), "undefined_grad": eg.undefined_grad, "zero_grad": eg.zero_grad,
    "disconnected_grad": eg.disconnected_grad, "specify_shape": lambda x: R["specify_shape"](x, *x.shape, messages=("", "")),
    "dimshuffle": lambda x: x.T, "reshape": lambda x: x.reshape((-1,)), "subtensor": lambda x: x[1:, ::-1],
    "broadcast_to": lambda x: R["broadcast_to"](x, 2, *x.shape), "place": lambda x: R["place"](x, 1, 2, 9, x.shape[1], axes=(0,)),
    "concat": lambda x: eg.concatenate([x, x[::-1]]), "take": lambda x: eg.take(x, [0, 0], axis=1), "take_along": lambda x:
    eg.take_along_axis(x, eg.zeros_like(x, "int64"), 1), "take_at": lambda x: x[[0], [0]], "pick": lambda x: R["pick"](x[0], eg.arange(1)),
    "sum": lambda x: R["sum"](x, axis=(0,)) if x.dtype != "bool" else x.sum(), "sum_to": lambda x: R["sum_to"](x, 1, x.shape[1]),
    "cumsum": lambda x: R["cumsum"](x, axis=1), "prod": lambda x: R["prod"](x, axis=(1,)), "max": lambda x: x.max(axis=0),
    "min": lambda x: x.min(axis=1), "cummax": lambda x: eg.cummax(x, axis=0), "cummin": lambda x: eg.cummin(x, axis=1),
    "any": lambda x: x.any(axis=1), "all": lambda x: x.all(axis=1), "argmax": lambda x: x.argmax(axis=0), "argmin": lambda x: x.argmin(),
    "sort": lambda x: eg.sort(x, axis=-1), "argsort": lambda x: eg.argsort(x, axis=1),
    "searchsorted": lambda x: eg.searchsorted(eg.sort(x[0]), x),
    "flatnonzero": lambda x: R["flatnonzero"](x[0] == x[0], (x[0] == x[0]).sum()),
    "scatter_add": lambda x: R["scatter_add"]([0, 0], x[:1, :].T[[0, 0]], 3, axis=0), "matmul": lambda x: R["matmul"](x, x.T),
    "longest sum": lambda x: eg.cast(x, "int64").sum(), "max of none": lambda x: R["max"](x[:0], axis=(0,), keepdims=True, shift=True),
    "softmax": lambda x: eg.softmax(eg.cast(x, "float32")), "mean": lambda x: eg.cast(x, "float32").mean(),
}
MATRICES: dict[str, tuple[Any, int]] = {
    "transpose": (lambda x: x.T, 1), "negative": (lambda x: -x, 1), "scaled": (lambda x: x * 2, 1), "root": (lambda x: eg.sqrt(abs(x)), 1),
    "exp": (eg.exp, 1), "spread": (lambda x: R["broadcast_to"](x, 2, *x.shape), 1), "row": (lambda x: x + x[0], 1),
    "part": (lambda x: R["broadcast_to"](x, 4, *x.shape)[1:3], 1), "inner part": (lambda x: x[1:], 1),
    "to int": (lambda x: eg.cast(x, "int32"), 1),
    "repeated": (lambda x: eg.maximum(x[:1], x), 1), "lower": (eg.tril, 1), "upper": (eg.triu, 1),
    "lower, more": (lambda x: eg.tril(x, 1), 1),
    "lower, less": (lambda x: eg.tril(x, -1), 1), "upper, more": (lambda x: eg.triu(x, -1), 1), "gram": (lambda x: x.T @ x, 1),
    "outer gram": (lambda x: x @ x.T, 1), "sum": (lambda x, y: x + y, 2), "difference": (lambda x, y: x - y, 2),
    "product": (lambda x, y: x * y, 2),
    "matmul": (lambda x, y: x @ y, 2), "choice": (lambda x, y: eg.switch(x > y, x, y), 2), "larger": (eg.maximum, 2),
    "masked": (lambda x, y: eg.switch(eg.tri(3, 3, dtype="bool"), x, 0 * y), 2), "identity": (lambda x: eg.eye(3) + 0 * x, 1),
}
MASKS = {f"{op} {k} {turn}": (op, k, turn) for op in ("lt", "le", "gt", "ge", "eq") for k in (-1, 0, 1) for turn in (False, True)}
VECTORS: dict[str, Any] = {
    "plus one": lambda x: x + np.array(1, x.dtype), "minus one": lambda x: x - np.array(1, x.dtype),
    "one minus": lambda x: np.array(1, x.dtype) - x,
    "doubled": lambda x: x * np.array(2, x.dtype), "narrowed": lambda x: eg.cast(x, "int8"), "wide": lambda x: eg.cast(x, "int64"),
    "turned": lambda x: x[::-1], "part": lambda x: x[1:], "column": lambda x: x.reshape((-1, 1)), "taken": lambda x: x[eg.argsort(x)],
    "repeated": lambda x: x[[0, 0]], "sorted": lambda x: eg.sort(x), "order": lambda x: eg.argsort(x), "beside": lambda x: x + x[:1],
    "from the end": lambda x: eg.take(x, [0, -1]), "places": lambda x: eg.arange(x.shape[0]) - 1,
    "few": lambda x: eg.arange(4, dtype="int8"),
    "many": lambda x: eg.arange(300, dtype="int8") if x.dtype == "int8" else eg.arange(3000, dtype="float16"),
    "true ones": lambda x: eg.flatnonzero(x > 3)}


@pytest.mark.parametrize("op", SCALARS, ids=lambda op: op.name)
def test_elementwise_rows_keep_to_what_they_claim(op: Any) -> None:
    checks.check_elementwise(op)


def test_casts_keep_to_what_they_claim() -> None:
    checks.check_cast()


@pytest.mark.parametrize("name", MOVES)
def test_other_rows_keep_to_what_they_claim(name: str) -> None:
    floats = ("float32", "float64")
    checks.check_moves(name, MOVES[name], floats if name in ("grad_clip", "grad_scale") else
                       ("float16", "float32", "int64", "uint64") if name in ("sum", "prod", "cumsum", "sum_to", "scatter_add",
                           "matmul") else
                       ("float32", "float16", "int8", "int64", "uint8", "bool"))


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_keep_to_what_is_claimed(name: str) -> None:
    checks.check_matrices(name, *MATRICES[name])


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_rows_and_columns(name: str) -> None:
    op, k, turn = MASKS[name]
    rows, columns = eg.arange(3).dimshuffle(0, "x"), eg.arange(3)
    mask = R[op](*((rows + k, columns) if turn else (columns, rows + k)))
    assert matrices.band(mask.node) is not None
    checks.check(name, mask, {})


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_keep_to_what_is_claimed(name: str) -> None:
    checks.check_vectors(name, VECTORS[name])


def test_every_claim_is_tried() -> None:
    assert {op.name for op in facts.CARRIES} - {op.name for op in SCALARS} - {"cast"} <= set(MOVES)


PLANTED = {
    "relu": lambda node, given: Facts(1e-3, INF), "exp": lambda node, given: Facts(0.0, 1e30), "abs": lambda node,
    given: Facts(0, 127, ELEMENTS),
    "add": lambda node, given: Facts(-INF, INF, given[0].holds & given[1].holds), "ceil": lambda node, given: given[0],
    "mul": lambda node, given: Facts(-INF, INF, given[0].holds & given[1].holds & {PLUS}),
    "sqrt": lambda node, given: Facts(0.0, INF, given[0].holds & {NUMBER}), "neg": lambda node, given: Facts(-given[0].high, -given[0].low),
    "maximum": lambda node, given: given[0], "lt": lambda node, given: functions.YES if given[0].high < given[1].low else functions.EITHER,
    "int_div": lambda node, given: Facts(1, 2 ** 63, ELEMENTS) if given[0].low > 0 else of_dtype("float64"),
    "sigmoid": lambda node, given: Facts(1e-9, 1.0), "floor": lambda node, given: Facts(given[0].low, given[0].high),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_claims_are_caught(name: str, monkeypatch) -> None:
    monkeypatch.setitem(facts.CARRIES, R[name], PLANTED[name])
    with pytest.raises(AssertionError, match=name):
        checks.check_elementwise(R[name], draws=150)


@pytest.mark.parametrize("name, planted", [
    ("sum", lambda node, given: Facts(given[0].low, INF)), ("concat", lambda node, given: given[0]._replace(high=0)),
    ("subtensor", lambda node, given: given[0]._replace(holds=given[0].holds | {"sorted"})),
    ("argmax", lambda node, given: Facts(0, 1, ELEMENTS)), ("place", lambda node, given: given[0])])
def test_planted_claims_of_other_rows_are_caught(name: str, planted: Any, monkeypatch) -> None:
    monkeypatch.setitem(facts.CARRIES, R[name], planted)
    with pytest.raises(AssertionError, match=name):
        checks.check_moves(name, MOVES[name])


def test_planted_words_about_matrices_are_caught(monkeypatch) -> None:
    monkeypatch.setattr(matrices, "OF_ZEROS", (*matrices.OF_ZEROS, R["exp"]))
    with pytest.raises(AssertionError, match="diagonal"):
        checks.check_matrices("exp", eg.exp)


def test_it_is_a_lattice() -> None:
    rng = drawn("lattice")
    for dtype in ("float32", "int8", "bool"):
        for _ in range(200):
            a, b = checks.fact(rng, dtype), checks.fact(rng, dtype)
            both, either = meet(a, b), join(a, b)
            assert implies(a, either) and implies(b, either) and either == join(b, a) and meet(a, either) == a
            assert both == meet(b, a) and (both is None or (implies(both, a) and implies(both, b) and join(a, both) == join(a)))


def test_arrays_have_the_facts_that_they_keep_to() -> None:
    for array in (np.array([0.0, -0.0, 2]), np.array([[1, 2], [2, 5]]), np.array([np.nan]), np.zeros((0, 3)), np.eye(3),
        np.array([3, 1, 2]),
                  np.array([True]), np.array(-0.0), np.array([1.5, np.inf]), np.arange(4.0)):
        assert broken(of_array(array), array) is None
    assert {"unique", "sorted"} <= of_array(np.arange(4)).holds and "symmetric" in of_array(np.eye(2)).holds
    assert of_array(np.array([3, 1, 1])).holds == ELEMENTS


def test_other_dtypes_and_unknown_rows_say_nothing() -> None:
    z = eg.complex(eg.vector("x"), eg.vector("y"))
    assert facts.of(z * z) == Facts(-INF, INF) and facts.of(abs(z)) == Facts(-INF, INF)
    assert facts.of(R["argtopk"](eg.vector("x"), 2)) == of_dtype("int64")


def chain(n: int) -> Out:
    x: Any = Out(leaf(INPUT, "float32", (None,), "x"))
    for i in range(n):
        op = R[("relu", "sqr", "floor", "exp")[i % 4]]
        x = Out(Node(op, (), (x,), (x.type,), frozenset()))
    return x


def test_deep_graphs_are_looked_at_once_and_in_linear_time() -> None:
    def seconds(n: int) -> float:
        out = chain(n)
        start = time.process_time()
        assert facts.of(out).low >= 0
        return (time.process_time() - start) / n
    small, large = min(seconds(500) for _ in range(3)), min(seconds(8000) for _ in range(2))
    assert large < 3 * small


def test_each_node_is_looked_at_once(monkeypatch) -> None:
    seen, carry = [], facts._carry
    monkeypatch.setattr(facts, "_carry", lambda node: seen.append(node) or carry(node))
    nodes = eg.graph.order([chain(400)])
    for node in nodes:  # as rules ask, from the inputs on
        facts.of(Out(node))
    facts.of(Out(nodes[-1]))
    assert len(seen) == len(set(seen)) == 400


@given(graphs())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_node_of_random_graphs_keeps_to_what_is_known(drawn: Drawn) -> None:
    check_graph(drawn)


@pytest.mark.campaign
@given(st.sampled_from(("float16", "float32", "float64")).flatmap(lambda dtype: graphs(dtype=dtype)))
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
def test_campaign_every_node_of_random_graphs_keeps_to_what_is_known(drawn: Drawn) -> None:
    check_graph(drawn)


def check_graph(drawn: Drawn) -> None:
    """As written, and as the optimiser makes it."""
    def checked(one: Any, node: Node, inputs: Any) -> Any:
        found = one(node, inputs)
        if len(found) == 1 and node.outs[0].dtype not in ("complex64", "complex128"):
            checks.assert_keeps(node.op.name, Out(node), found[0])
        return found
    for outputs in (drawn.outputs, run_graph(Graph((*drawn.inputs, *drawn.shared), tuple(drawn.outputs)), {}).outputs):
        evaluate(outputs, drawn.by_leaf, around=checked)
