"""Random index expressions to read, to set and to increase, against NumPy, in the tree interpreter, the NumPy backend and on PoCL."""
from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.functions.assigning import changed
from exprgraph.functions.indexing import picked
from exprgraph.node import Graph, Out
from exprgraph.reference import evaluate, sizes
from tests.index_cases import Built, Case, built, cases, drawn, lone_mask, valid, wanted
from tests.plan_runner import CPU, GPU, interpret

WAYS = st.sampled_from(["read", "set", "inc"])
QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}


def graph_of(case: Case, way: str, known: bool) -> tuple[Out, Built, np.ndarray | None]:
    """The result of a case, its leaves with their arrays, and what NumPy is to assign."""
    found = built(case, known, masks=way != "read" and lone_mask(case))
    if way == "read":
        return picked(found.subscript), found, None
    y = drawn(case)
    symbol = eg.tensor("y", y.dtype.name, (None,) * y.ndim)
    out = changed(found.subscript, symbol, f"{way}_subtensor")
    return out, found._replace(leaves=[*found.leaves, symbol.node], values=[*found.values, y]), y


def by_numpy(out: Out, found: Built) -> np.ndarray:
    """The value by the NumPy backend, whose type must be what was promised."""
    given_values = dict(zip(found.leaves, found.values))
    sizes(Graph(tuple(Out(n) for n in found.leaves), (out,))).check(given_values)
    got, = evaluate([out], given_values)
    return got


def check(case: Case, way: str, known: bool, run) -> None:
    """One case in one way."""
    assume(valid(case))
    out, found, y = graph_of(case, way, known)
    want = wanted(case, way, y)
    for got in run(out, found):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def interpreted(target):
    """By the trees for a kind of device."""
    return lambda out, found: interpret(Graph(tuple(Out(n) for n in found.leaves), (out,)), found.leaves, found.values, target)


@settings(max_examples=2000, **QUICK)
@given(cases(), WAYS, st.booleans())
def test_index_expressions_by_numpy(case: Case, way: str, known: bool) -> None:
    """C8, C9, C10, B15: the meaning of the graph."""
    check(case, way, known, lambda out, found: [by_numpy(out, found)])


@settings(max_examples=1000, **QUICK)
@given(cases(), WAYS, st.booleans(), st.sampled_from([CPU, GPU]))
def test_index_expressions_by_trees(case: Case, way: str, known: bool, target) -> None:
    """C8, C9, C10, B15: the kernels of both schedules, with checks of bounds and races."""
    check(case, way, known, interpreted(target))
