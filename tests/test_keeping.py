"""What is kept in memory and what is computed again: kernels, and how many of them compute the operation in question."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import Expr, Kernel, exprs_of, walk
from codegen.order import postorder
from codegen.plan import Launch
from codegen.target import Target
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from tests.plan_runner import CPU, GPU, interpret
from tests.planned import plan_of, taken

LONG, TALL = (100_000,), (2000, 100)


class Case(NamedTuple):
    """A graph of float vectors and matrices; `often`: how many kernels compute `op`, where "gather" is a read at a place that is read."""
    name: str
    op: str
    often: int
    shapes: tuple[tuple[int, ...], ...]
    make: Callable[..., Sequence[Any]]


def apart(y: Any, w: Any) -> list[Any]:
    """Two readers that share no kernel for large sizes: a sum of everything, and a map."""
    return [y.sum(), y + w]


def places(i: Any) -> Any:
    """Integers."""
    return i.astype("int64")


CASES = (
    Case("a function", "exp", 1, (LONG, LONG), lambda x, w: apart(eg.exp(x), w)),
    Case("an operation", "mul", 2, (LONG, LONG), lambda x, w: apart(x * w, w)),
    Case("three operations", "mul", 2, (LONG, LONG), lambda x, w: apart((x + 1) * w - x, w)),
    Case("more than three", "mul", 1, (LONG, LONG), lambda x, w: apart(eg.minimum((x + w) * w - x, x), w)),
    Case("a division", "true_div", 2, (LONG, LONG), lambda x, w: apart(x / w, w)),
    Case("a gather", "gather", 1, (LONG, LONG, LONG), lambda x, w, i: apart(eg.take(x, places(i)), w)),
    Case("a gather along rows", "gather", 1, (TALL, TALL, TALL), lambda x, w, i: apart(eg.take_along_axis(x, places(i), axis=1), w)),
    Case("a gather of whole rows", "gather", 2, (TALL, TALL, (2000,)), lambda x, w, i: apart(eg.take(x, places(i), axis=0), w)),
    Case("a gather of a value for each row", "gather", 1, (LONG, TALL, (2000,)), lambda x, w, i: [eg.take(x, places(i))[:, None] * w]),
    Case("a function that a broadcast repeats", "exp", 1, ((100,), TALL), lambda x, w: [eg.exp(x) * w]),
    Case("a function of a reduction", "exp", 1, (TALL,), lambda x: [x * eg.exp(x.sum(axis=1, keepdims=True)), x.sum(axis=1)]),
    Case("a function of what is joined", "exp", 1, (LONG, LONG), lambda x, w: [eg.concatenate([eg.exp(x), w])]))


def computes(kernel: Kernel, op: str) -> bool:
    """Whether a kernel does an operation."""
    return any(_is(e, op) for e in postorder(e for s in walk(kernel.body) for e in exprs_of(s)))


def _is(expr: Expr, op: str) -> bool:
    if op == "gather":
        return expr.kind == "load" and expr.dtype == "float32" and any(e.kind == "load" for e in postorder(expr.args))
    return expr.kind == "op" and expr.dtype != "index" and expr.value == op


def parts(launch: Launch) -> tuple[Launch, ...]:
    """The launches that a launch stands for."""
    return launch.parts or (launch,)


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_how_often(case: Case, target: Target) -> None:
    plan, sizes, _ = plan_of(case.shapes, case.make, target)
    kernels = [p.kernel for launch in taken(plan.steps, sizes) for p in parts(launch)]
    assert sum(computes(k, case.op) for k in kernels) == case.often


CUT: tuple[Callable[[Any], Any], ...] = (
    lambda g: (g / (1 + g))[:2], lambda g: (g * 2 - g)[:2], lambda g: (g * eg.sigmoid(g))[:0], lambda g: (g / (1 + g))[1],
    lambda g: (g / (1 + g))[:2][::-1], lambda g: (((g * 2 + 1) * 3 - g) * g + 5 - g * g)[:2], lambda g: (g / (1 + g))[:0].sum(),
    lambda g: eg.concatenate([(g / (1 + g))[:1], g[3:]]))


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
@pytest.mark.parametrize("number", range(len(CUT)))
def test_a_gather_that_is_cut_further_on_is_not_computed_as_a_whole(number: int, target: Target) -> None:
    """Places that nobody reads are not looked at, so they may be outside; and nothing is computed for them."""
    x, i = eg.vector("x"), eg.lvector("i")
    values = [np.linspace(1, 2, 7).astype("float32"), np.array([0, 1, 99, 2, 3])]
    graph = run_graph(Graph((x, i), (CUT[number](x[i]),)), {})
    found, = interpret(graph, [x.node, i.node], values, target)
    fine = [values[0], np.array([0, 1, 0, 2, 3])]
    np.testing.assert_allclose(found, eg.compile([x, i], CUT[number](x[i]), device="numpy")(*fine), rtol=1e-6)
