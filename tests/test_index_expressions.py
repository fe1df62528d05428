"""Random index expressions to read, to set and to increase, against NumPy: by the NumPy backend, by interpreted kernels and on PoCL."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph import reference, staged
from exprgraph.functions.assigning import changed
from exprgraph.functions.indexing import picked
from exprgraph.node import Graph, Node, Out
from exprgraph.program import Program
from exprgraph.testing import check_grads
from tests.index_cases import Case, built, cases, drawn, valid, wanted
from tests.plan_runner import CPU, GPU, interpret

WAYS = st.sampled_from(["read", "set", "inc"])
QUICK: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}


class Asked(NamedTuple):
    """A graph, its leaves with their arrays, and what NumPy makes of it."""
    out: Out
    leaves: list[Node]
    values: list[np.ndarray]
    want: np.ndarray


def asked(case: Case, way: str, known: bool, number: int = 0) -> Asked:
    """The result of a case in one way; number: part of the names of the leaves."""
    found = built(case, known, number)
    if way == "read":
        return Asked(picked(found.subscript), found.leaves, found.values, case.value[case.index])
    y = drawn(case)
    symbol = eg.tensor(f"y{number}", y.dtype.name, (None,) * y.ndim)
    out = changed(found.subscript, symbol, f"{way}_subtensor")
    return Asked(out, [*found.leaves, symbol.node], [*found.values, y], wanted(case, way, y))


def ran(found: Asked, backend: Callable[[Program], Any]) -> None:
    """What a backend makes of it, in stages where sizes are read."""
    graph = Graph(tuple(Out(n) for n in found.leaves), (found.out,))
    got, = staged.build(Program(graph, tuple(found.leaves), 1, {}), backend)(found.values)
    assert got.dtype == found.want.dtype
    np.testing.assert_array_equal(got, found.want)


def by_trees(target) -> Callable[[Program], Any]:
    """Kernels for a target, interpreted with checks of bounds and races."""
    return lambda program: lambda values: interpret(program.graph, list(program.leaves), [np.asarray(v) for v in values], target)


def both(case: Case, way: str, known: bool, target) -> None:
    """One case by NumPy and by interpreted kernels."""
    assume(valid(case))
    found = asked(case, way, known)
    ran(found, reference.build)
    ran(found, by_trees(target))


@settings(max_examples=2000, **QUICK)
@given(cases(), WAYS, st.booleans(), st.sampled_from([CPU, GPU]))
def test_index_expressions(case: Case, way: str, known: bool, target) -> None:
    """C8, C9, C10, B15."""
    both(case, way, known, target)


@pytest.mark.campaign
@settings(max_examples=50000, **QUICK)
@given(cases(), WAYS, st.booleans(), st.sampled_from([CPU, GPU]))
def test_many_index_expressions(case: Case, way: str, known: bool, target) -> None:
    """C8, C9, C10, B15: once in a while."""
    both(case, way, known, target)


@settings(max_examples=25, **QUICK)
@given(st.lists(st.tuples(cases(), WAYS, st.booleans()), min_size=8, max_size=8), st.sampled_from(["cpu", "gpu"]))
def test_index_expressions_on_pocl(several: list[tuple[Case, str, bool]], schedule: str) -> None:
    """C8, C9, C10, B15: eight at a time, through the whole of `compile`."""
    assume(all(valid(case) for case, _, _ in several))
    found = [asked(*one, number) for number, one in enumerate(several)]
    leaves = [Out(n) for f in found for n in f.leaves]
    f = eg.compile(leaves, [f.out for f in found], device="pocl", schedule=schedule, on_unused_input="ignore")
    for got, one in zip(f(*[v for f in found for v in f.values]), found):
        assert got.dtype == one.want.dtype
        np.testing.assert_array_equal(got, one.want)


@settings(max_examples=300, **QUICK)
@given(cases(), WAYS)
def test_gradients_of_index_expressions(case: Case, way: str) -> None:
    """I9, B15: of the tensor and of the values, twice; what is overwritten gets none, and of equal places the last value all of it."""
    assume(valid(case))
    point = [case.value, drawn(case)] if way != "read" else [case.value]

    def result(x: Any, y: Any = None) -> Out:
        part = eg.cast(x, "float64")[case.index]
        made: Out = part if y is None else part.set(y) if way == "set" else part.inc(y)
        return made ** 2 + made
    check_grads(result, point, order=2)
