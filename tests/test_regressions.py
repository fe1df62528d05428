"""What the campaigns of random graphs have found, each reduced to the smallest graph that showed it."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.node import Out
from tests.graphs import Drawn
from tests.test_random_graphs import check_optimiser, check_pocl, check_trees

Made = tuple[list[Out], list[Out], list[np.ndarray]]
RNG = np.random.default_rng(7)


def floats(*shape: int) -> np.ndarray:
    """Normal numbers."""
    return RNG.normal(size=shape).astype("float32")


def empty_slice_gradient() -> Made:
    x = eg.matrix("x")
    return [x], [eg.grad(eg.tanh(eg.tanh(x[0:0])).sum(), x)], [floats(2, 3)]


def empty_slice_beyond_the_end() -> Made:
    x, y = eg.matrix("x"), eg.matrix("y")
    part = eg.tanh(eg.tanh(x[5:7]) * y)
    return [x, y], [eg.grad(eg.tanh(part).sum(), x)], [floats(3, 2), floats(1, 2)]


def empty_slice_of_chosen_elements() -> Made:
    x, labels = eg.matrix("x"), eg.lvector("labels")
    cost = eg.tanh(eg.cross_entropy_with_logits(x, labels)[0:0:2]).sum()
    return [x, labels], [eg.grad(cost, x)], [floats(3, 2), np.array([0, 1, 1])]


def joined_with_nothing_chosen() -> Made:
    x, which, y = eg.matrix("x"), eg.lvector("which"), eg.matrix("y")
    joined = eg.concatenate([eg.take(x, which, axis=0), y, eg.take(y, which, axis=0)], axis=0)
    return [x, which, y], [eg.tanh(joined), joined.sum(axis=0)], [floats(2, 3), np.zeros(0, "int64"), floats(2, 3)]


def sum_of_an_axis_of_one() -> Made:
    x = eg.matrix("x")
    return [x], [x.dimshuffle(0, 1, "x").sum(axis=2)], [floats(4, 2)]


def sum_of_an_axis_of_one_beside_a_sum() -> Made:
    x = eg.matrix("x")
    column = x.dimshuffle(0, 1, "x")
    return [x], [column.prod(axis=2), x.sum(axis=1), x.argmax(axis=1), column.argmax(axis=2)], [floats(4, 2)]


FOUND: dict[str, tuple[str, Callable[[], Made]]] = {
    "empty slice": ("place read its empty operand where nothing lies", empty_slice_gradient),
    "empty slice beyond the end": ("place read what lies behind the operand of an empty slice", empty_slice_beyond_the_end),
    "empty slice of chosen elements": ("place gathered by an index read from an empty tensor", empty_slice_of_chosen_elements),
    "joined with nothing chosen": ("concat checked indices of a part that has no elements", joined_with_nothing_chosen),
    "sum of an axis of one": ("a reduction over axes of length 1 has no loop to stand in", sum_of_an_axis_of_one),
    "sum of an axis of one beside a sum": ("such a reduction joined a cluster and lost its place", sum_of_an_axis_of_one_beside_a_sum),
}
"""By name: what went wrong, and the graph."""


@pytest.mark.parametrize("name", FOUND)
def test_found_by_random_graphs(name: str) -> None:
    drawn = Drawn(*FOUND[name][1]())
    check_optimiser(drawn)
    check_trees(drawn)
    check_pocl(drawn)


@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_nothing_can_be_taken_from_an_empty_axis(device: str) -> None:
    x, which = eg.matrix("x"), eg.lvector("which")
    f = eg.compile([x, which], eg.take(x, which, axis=0), device=device)
    assert f(np.zeros((0, 3), "float32"), np.zeros(0, "int64")).shape == (0, 3)
    with pytest.raises(eg.IndexFault, match="no elements to take"):
        f(np.zeros((0, 3), "float32"), np.array([0]))
