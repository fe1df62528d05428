"""The sign of a sum of zeros is NumPy's: 0.0, whatever the signs of the zeros, and of no elements too; in every plan and schedule."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.ops.shape import sum_to
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from tests.plan_runner import CPU, GPU, interpret

SHAPES = [(0,), (1,), (7,), (300,), (0, 3), (3, 0), (1, 5), (5, 1), (7, 4), (4, 7), (300, 2), (2, 300)]
AXES = {"all": None, "first": 0, "last": -1, "none": ()}


def same(got: np.ndarray, want: np.ndarray) -> None:
    """Equal, with the signs of zeros."""
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def zeros(shape: tuple[int, ...], signs: str, dtype: str) -> np.ndarray:
    """Zeros, negative ones or of both signs."""
    found = np.full(shape, -0.0, dtype)
    if signs == "mixed" and found.size:
        found.flat[0] = 0.0
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_sums_of_zeros_are_numpys(axis, shape: tuple[int, ...]) -> None:
    for dtype, signs in (("float32", "negative"), ("float64", "negative"), ("float32", "mixed")):
        x = eg.tensor("x", dtype, (None,) * len(shape))
        values = zeros(shape, signs, dtype)
        out, want = x.sum(axis=axis), np.sum(values, axis=axis)
        for graph in (eg.Graph((x,), (out,)), run_graph(eg.Graph((x,), (out,)), {})):
            same(evaluate(graph.outputs, {x.node: values})[0], want)
            for target in (CPU, GPU):
                same(interpret(graph, [x.node], [values], target)[0], want)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("rank", [1, 2])
def test_sums_of_zeros_on_pocl(rank: int, schedule: str) -> None:
    x = eg.tensor("x", "float32", (None,) * rank)
    f = eg.compile([x], [x.sum(axis=a) for a in AXES.values()], device="pocl", schedule=schedule)
    for shape in [s for s in SHAPES if len(s) == rank] + [(200000,) if rank == 1 else (2, 100000)]:
        values = zeros(shape, "negative", "float32")
        for got, axis in zip(f(values), AXES.values()):
            same(got, np.sum(values, axis=axis))


@pytest.mark.parametrize("target, kept", [((3,), False), ((1,), False), ((4, 3), True), ((1, 3), False), ((4, 1), False)])
def test_zeros_summed_back_to_a_shape(target: tuple[int, ...], kept: bool) -> None:
    """Optimised and not, resolved and general plans agree on the sign, though some of them find that nothing is summed."""
    g, like = eg.matrix("g"), eg.tensor("like", "float32", (None,) * len(target))
    out = sum_to(g, *like.shape)
    for shape in ((4, 3), (1, 3), (4, 1), (1, 1), (0, 3)):
        rest = shape[2 - len(target):]
        small = tuple(1 if t == 1 else s for t, s in zip(target, rest))
        values, other = np.full(shape, -0.0, "float32"), np.ones(small, "float32")
        plain = eg.Graph((g, like), (out, eg.exp(like) + g))
        for graph in (plain, run_graph(plain, {})):
            same(evaluate(graph.outputs[:1], {g.node: values, like.node: other})[0], np.zeros(small, "float32"))
            for device in (CPU, GPU):
                for general in (False, True):
                    got = interpret(graph, [g.node, like.node], [values, other], device, general)[0]
                    same(got, np.zeros(small, "float32"))
