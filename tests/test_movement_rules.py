"""MOVEMENT: every rule keeps shape, dtype and bits in all its examples, and the pipeline leaves none of the nodes that it removes."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rules.catalogue import MOVING
from tests.exact_checks import check_casts, check_movement
from tests.movement_examples import EXAMPLES as FIRST
from tests.movement_examples import NUMBERS
from tests.moving_examples import MORE

EXAMPLES = {**FIRST, **MORE}
SOME = ("float16", "float64", "int8", "int64", "uint64", "bool")
"""Dtypes that stand for all where elements are only moved or compared."""
M = eg.matrix("m")
LEFT = {  # an expression, the op that the rules remove from it, and how many of them may be left
    "size": (lambda: (M + 1).shape[1], "size", 2),
    "dimshuffle of dimshuffle": (lambda: M.dimshuffle(1, "x", 0).dimshuffle(2, 0), "dimshuffle", 0),
    "dimshuffle of nothing": (lambda: eg.ROWS["dimshuffle"](M, pattern=(0, 1)), "dimshuffle", 0),
    "reshape of little": (lambda: M.reshape((M.shape[0], 1, M.shape[1])), "reshape", 0),
    "reshape of reshape": (lambda: M.reshape((6,)).reshape((2, 3)), "reshape", 1),
    "broadcast_to of nothing": (lambda: eg.ROWS["broadcast_to"](M, *M.shape), "broadcast_to", 0),
    "broadcast_to of broadcast_to": (lambda: eg.ROWS["broadcast_to"](eg.ROWS["broadcast_to"](M, 4, 3, 2), 5, 4, 3, 2), "broadcast_to", 1),
    "specify_shape of nothing": (lambda: eg.ROWS["specify_shape"](M, *M.shape, messages=("", "")), "specify_shape", 0),
    "sum_to decided": (lambda: eg.ROWS["sum_to"](eg.ROWS["broadcast_to"](M, 4, 3, 2), 1, 2), "sum_to", 0),
    "cast of nothing": (lambda: eg.ROWS["cast"](M, "float32"), "cast", 0),
    "cast of cast": (lambda: eg.ROWS["cast"](eg.ROWS["cast"](M, "float64"), "float32"), "cast", 0),
    "sum over no axis": (lambda: M.sum(axis=()), "sum", 0),
    "prod over no axis": (lambda: M.prod(axis=()), "prod", 0),
    "max over no axis": (lambda: M.max(axis=()), "max", 0),
    "min over no axis": (lambda: M.min(axis=()), "min", 0),
    "any over no axis": (lambda: (M > 0).any(axis=()), "any", 0),
    "all over no axis": (lambda: (M > 0).all(axis=()), "all", 0),
    "assert of what holds": (lambda: eg.ROWS["assert"](M, np.array([True, True])), "assert", 0),
    "broadcast operands": (lambda: eg.exp(eg.ROWS["broadcast_to"](M[0], *M.shape)) * M, "broadcast_to", 0),
}


@pytest.mark.parametrize("rule", MOVING, ids=lambda r: r.name)
def test_movement_rules_keep_every_bit(rule: Rule) -> None:
    some = [d for d in SOME if np.dtype(d).kind in rule.kinds] if rule.name in MORE else ()
    check_movement(rule, EXAMPLES[rule.name], NUMBERS if rule.name in ("sum over no axis", "prod over no axis", "sum_to decided") else some)


def test_chains_of_casts_keep_every_bit() -> None:
    check_casts(next(r for r in MOVING if r.name == "cast of cast"))


@pytest.mark.parametrize("name", LEFT)
def test_movement(name: str) -> None:
    make, op, left = LEFT[name]
    out = make()
    graph = run_graph(Graph((M,), (out,)), {})
    array = np.random.default_rng(3).standard_normal((3, 2)).astype("float32")
    before, after = (evaluate([o], {M.node: array})[0] for o in (out, graph.outputs[0]))
    assert before.dtype == after.dtype and np.array_equal(before, after)
    assert [n.op.name for n in order(graph.outputs)].count(op) <= left


def test_every_movement_rule_has_examples() -> None:
    assert {r.name for r in MOVING} == set(EXAMPLES) and set(LEFT) == set(FIRST)


def test_shapes_compute_nothing_but_sizes() -> None:
    names = {n.op.name for n in order(run_graph(Graph((M,), ((eg.exp(M) @ M.T).shape[0] * 2,)), {}).outputs)}
    assert names <= {"input", "size", "constant", "mul"}
