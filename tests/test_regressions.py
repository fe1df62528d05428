"""What the campaigns of random graphs have found, each reduced to the smallest graph that showed it."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import exprgraph as eg
from codegen.target import Target
from exprgraph.node import Graph, Out
from tests.graphs import Drawn
from tests.plan_runner import CPU, GPU, interpret
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


@pytest.mark.parametrize("device", ["numpy", "pocl"])
@pytest.mark.parametrize("scalar", [lambda: eg.scalar("k", dtype="int64"), lambda: eg.scalar("k", dtype="int32") * 2],
                         ids=["the step itself", "computed from it"])
def test_C14_a_step_of_0_is_refused_when_a_call_brings_it(device: str, scalar: Callable[[], Out]) -> None:
    step = scalar()
    k = step if step.name else step.node.inputs[0]
    while k.node.inputs:
        k = k.node.inputs[0]
    f = eg.compile([k], eg.arange(0, 7, step), device=device)
    times = 1 if step is k else 2
    assert [f(v).tolist() for v in (3, -1, 7)] == [list(range(0, 7, times * v)) for v in (3, -1, 7)]
    with pytest.raises(eg.ShapeError, match=r"(?s)arange: the step cannot be 0.*test_regressions\.py:\d+"):
        f(0)


def test_C14_a_step_of_0_beside_symbols_is_refused_at_once() -> None:
    with pytest.raises(eg.ShapeError, match=r"(?s)arange: the step cannot be 0.*test_regressions\.py:\d+"):
        eg.arange(0, eg.scalar("n", dtype="int64"), 0)


OUTSIDE: dict[str, Callable[[Out, Out], Out]] = {
    "take": lambda x, i: eg.tanh(x[i]), "take axis 1": lambda x, i: eg.take(x, i, axis=1),
    "take_along": lambda x, i: eg.take_along_axis(x, i[:, None], axis=0),
    "scatter_add": lambda x, i: eg.grad((x[i] ** 2).sum(), x), "joined": lambda x, i: eg.concatenate([x[:1], x[i]]),
    "summed": lambda x, i: x[i].sum(axis=0)}


@pytest.mark.parametrize("index", [5, -9])
@pytest.mark.parametrize("name", OUTSIDE)
def test_an_index_outside_is_reported_alike_by_both_backends(name: str, index: int) -> None:
    x, i = eg.matrix("x"), eg.lvector("i")
    said = set()
    for device in ("numpy", "pocl"):
        with pytest.raises(eg.IndexFault) as error:
            eg.compile([x, i], OUTSIDE[name](x, i), device=device)(np.zeros((3, 4), "float32"), np.array([1, index]))
        said.add(str(error.value))
    text, = said
    assert f"index {index} is out of bounds for axis" in text and "with size" in text and "test_regressions.py:" in text
    assert text.split(":")[0] in ("take", "take_along", "scatter_add")


@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_an_index_is_checked_for_a_row_although_an_empty_sum_read_it_first(device: str) -> None:
    x, i, y = eg.vector("x"), eg.lvector("i"), eg.matrix("y")
    chosen = x[i]
    f = eg.compile([x, i, y], (chosen[:, None] * y).sum(axis=1) + chosen, device=device)
    assert f(np.ones(3, "float32"), np.array([1, 2]), np.zeros((2, 0), "float32")).tolist() == [1, 1]
    with pytest.raises(eg.IndexFault, match="index 7 is out of bounds"):
        f(np.ones(3, "float32"), np.array([1, 7]), np.zeros((2, 0), "float32"))


JOINED: dict[str, Callable[[Out, Out, Out], list[Out]]] = {
    "joined first": lambda x, y, i: [eg.concatenate([y, x[i]]), x[i]],
    "chosen first": lambda x, y, i: [x[i], eg.concatenate([y, x[i]])],
    "in one kernel": lambda x, y, i: [eg.concatenate([y, x[i]]).sum() + x[i].sum(), x[i].sum() - eg.concatenate([x[i], y]).sum()],
    "computed parts": lambda x, y, i: [eg.concatenate([eg.exp(x[i]), y, x * 2]), eg.concatenate([x, y]).sum(axis=0)],
    "turned": lambda x, y, i: [eg.concatenate([x.T, y.T, x[i].T], axis=1)],
    "gradients": lambda x, y, i: eg.grad((eg.concatenate([x[i], y, x]) ** 2).sum() + (x[1:2] * 2).sum(), [x, y])}


@pytest.mark.parametrize("general", [False, True], ids=["resolved", "general"])
@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("rows", [(0, 3, 0), (3, 0, 0), (0, 0, 0), (3, 0, 2), (0, 1, 0)], ids=str)
@pytest.mark.parametrize("name", JOINED)
def test_parts_without_rows_are_never_read(name: str, rows: tuple[int, int, int], target: Target, general: bool) -> None:
    x, y, i = eg.matrix("x"), eg.matrix("y"), eg.lvector("i")
    outs, values = JOINED[name](x, y, i), [floats(rows[0], 9), floats(rows[1], 9), np.arange(rows[2])]
    want = eg.compile([x, y, i], outs, device="numpy")(*values)
    got = interpret(Graph((x, y, i), tuple(outs)), [x.node, y.node, i.node], values, target, general)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", JOINED)
def test_an_index_in_a_part_is_checked_where_the_part_has_rows(name: str) -> None:
    x, y, i = eg.matrix("x"), eg.matrix("y"), eg.lvector("i")
    f = eg.compile([x, y, i], JOINED[name](x, y, i), device="pocl")
    f(floats(0, 2), floats(3, 2), np.zeros(0, "int64"))
    with pytest.raises(eg.IndexFault, match="take: index 4 is out of bounds for axis 0 with size 2|scatter_add: index 4"):
        f(floats(2, 2), floats(3, 2), np.array([0, 4]))
