"""Loops that can meet faults: vector loops note that they met one, another loop finds the first."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate, uncertain
from codegen.growth import flatten
from codegen.kernel import Flag, If, Loop, walk
from codegen.plan import Launch
from exprgraph.errors import IndexFault
from tests.plan_runner import CPU, interpret


def kernels(symbols, out):
    graph = eg.Graph(tuple(symbols), (out,))
    plan = generate(graph, [s.node for s in symbols], ("equal",) * len(uncertain(graph)), "C" * len(symbols), False, CPU)
    return [s.kernel for s in flatten(plan.steps) if isinstance(s, Launch)]


def test_a_gather_is_a_vector_loop_without_branches() -> None:
    """No loop of a gather has both work and a fault's branch; the search for the fault stands under a condition."""
    x, i = eg.vector("x"), eg.lvector("i")
    for kernel in kernels([x, i], x[i] * 2):
        work = [s for s in walk(kernel.body) if isinstance(s, Loop) and s.kind == "vector"]
        assert work and not any(isinstance(s, Flag) for loop in work for s in loop.body)
        assert any(isinstance(s, If) and any(isinstance(t, Flag) for t in walk(s.then)) for s in walk(kernel.body))


@pytest.mark.parametrize("at", [0, 17, 99])
def test_the_first_fault_of_a_chunk_is_reported(at: int) -> None:
    """With its index and the size; what lies behind it is not."""
    x, i = eg.vector("x"), eg.lvector("i")
    values, places = np.arange(10, dtype="float32"), np.arange(100) % 10
    places[at:] = 10 + at
    out = x[i] * 2
    with pytest.raises(IndexFault, match=f"index {10 + at} is out of bounds for axis 0 with size 10"):
        interpret(eg.Graph((x, i), (out,)), [x.node, i.node], [values, places], CPU)
    f = eg.compile([x, i], out, device="pocl")
    with pytest.raises(IndexFault, match=f"index {10 + at} is out of bounds"):
        f(values, places)
    np.testing.assert_array_equal(f(values, places % 10), values[places % 10] * 2)


def test_the_ends_of_int64_are_outside(device: str) -> None:
    """Wrapping does not bring an index back into its axis."""
    x, i = eg.vector("x"), eg.lvector("i")
    f = eg.compile([x, i], x[i])
    for bad in (np.iinfo("int64").min, np.iinfo("int64").max, -4, 3):
        with pytest.raises(IndexFault, match=str(bad)):
            f(np.zeros(3, "float32"), np.array([0, bad]))


@pytest.mark.parametrize("width", [0, 1, 63, 64, 65, 200])
def test_rows_of_a_table_are_copied(width: int) -> None:
    """By the C library from 64 elements on; the fault of a row is looked for once, before its elements."""
    t, i = eg.matrix("t"), eg.lvector("i")
    f = eg.compile([t, i], t[i], device="pocl", schedule="cpu")
    table, places = np.arange(7.0 * width, dtype="float32").reshape(7, width), np.array([6, 0, -1, 3] * 20)
    assert "__builtin_memcpy" in f.source()
    np.testing.assert_array_equal(f(table, places), table[places])
    if width:
        with pytest.raises(IndexFault, match="index 7 is out of bounds for axis 0 with size 7"):
            f(table, np.array([1, 7, 8]))
    else:
        assert f(table, np.array([1, 7])).shape == (2, 0)


@pytest.mark.parametrize("shape", [(3, 2, 3, 70), (2, 2, 2, 3), (0, 0, 0, 0)])
def test_copies_whose_places_nest_deeply(shape: tuple[int, ...]) -> None:
    """The names that such a place needs stand where the loop's index is known."""
    x, value = eg.dtensor4("x"), np.random.default_rng(0).random(shape)
    f = eg.compile([x], x[1:], device="pocl", schedule="cpu")
    assert "__builtin_memcpy" in f.source()
    np.testing.assert_array_equal(f(value), value[1:])


def test_what_is_no_copy_stays_a_loop() -> None:
    """Every second element, elements in reverse, and a dtype that changes."""
    x = eg.matrix("x")
    value = np.arange(400, dtype="float32").reshape(2, 200)
    for out in (x[:, ::2], x[:, ::-1], x.astype("float64"), x + 0):
        f = eg.compile([x], out, device="pocl", schedule="cpu")
        assert "__builtin_memcpy" not in f.source()
        np.testing.assert_array_equal(f(value), out.eval({x: value}))
    parts = eg.compile([x], eg.concatenate([x, x * 2], axis=0), device="pocl", schedule="cpu")
    np.testing.assert_array_equal(parts(value), np.concatenate([value, value * 2]))
