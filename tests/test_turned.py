"""Operands that a map reads across, under the schedule for GPUs: the same bits through tiles in local memory as without."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from codegen.generate import generate, uncertain
from codegen.kernel import Alloc, walk
from codegen.plan import Branch
from tests.plan_runner import GPU, interpret

SHAPES = ((0, 5), (1, 1), (3, 70), (16, 16), (17, 31), (32, 32), (33, 64), (65, 40))
DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int16", "uint32", "int64", "bool")
WIDE = GPU._replace(max_group=64)
MAPS = {
    "one": lambda x, y, z: [x.T + y],
    "several": lambda x, y, z: [y - x.T * x.T + z.T, eg.maximum(y, z.T)],
    "copy": lambda x, y, z: [x.T],
    "shifted": lambda x, y, z: [y[1:, 1:] + x.T[:-1, 1:]],
    "flipped": lambda x, y, z: [y + x.T[::-1]],
    "beside": lambda x, y, z: [eg.concatenate([x.T, y], axis=1)],
    "padded": lambda x, y, z: [eg.pad(x.T, 1) * 2],
    "stepped": lambda x, y, z: [x.T[:, ::2] + y[:, ::2]],
    "taken": lambda x, y, z: [x.T + y[:, eg.arange(y.shape[1])]]}


def drawn(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "bfloat16":
        return eg.compile([], eg.cast(eg.constant(rng.standard_normal(shape).astype("f")), "bfloat16"), device="numpy")()
    return (rng.standard_normal(shape) * 9).astype(dtype)


def both_ways(symbols, outputs, values, target=GPU):
    """By the tree interpreter, which looks for races and bounds: tiles whatever the sizes are, and what the sizes pick."""
    graph = eg.compile(symbols, outputs, device="numpy", on_unused_input="ignore").graph
    wanted = eg.compile(symbols, outputs, device="numpy", on_unused_input="ignore")(*values)
    for last in (True, False):
        for got, expected in zip(interpret(graph, [s.node for s in symbols], values, target, last=last), wanted):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MAPS)
def test_maps_that_read_across(name, shape):
    x, y, z = eg.matrices("x", "y", "z")
    if 0 in shape and name in ("shifted", "padded"):
        pytest.skip("nothing to shift")
    both_ways([x, y, z], MAPS[name](x, y, z), [drawn(shape, "float32"), drawn(shape[::-1], "float32", 1), drawn(shape, "float32", 2)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x, y = eg.matrix("x", dtype=dtype), eg.matrix("y", dtype=dtype)
    both_ways([x, y], [eg.maximum(x.T, y)], [drawn((33, 18), dtype), drawn((18, 33), dtype, 1)], WIDE)


@pytest.mark.parametrize("shape", [(0, 3), (5, 40), (64, 64), (70, 130)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "float16"])
def test_on_a_device(shape, dtype):
    x, y = eg.matrix("x", dtype=dtype), eg.matrix("y", dtype=dtype)
    values = [drawn(shape, dtype), drawn(shape[::-1], dtype, 1)]
    found = eg.compile([x, y], x.T + y, device="pocl", schedule="gpu")(*values)
    np.testing.assert_array_equal(found, eg.compile([x, y], x.T + y, device="numpy")(*values))


@settings(max_examples=25, deadline=None)
@given(st.permutations([0, 1, 2, 3]), st.tuples(*[st.integers(1, 18)] * 4), st.integers(0, 999))
def test_any_permutation(order, sizes, seed):
    x, y = eg.tensor4("x"), eg.tensor4("y")
    value = drawn(sizes, "float32", seed)
    other = drawn(value.transpose(order).shape, "float32", seed + 1)
    got, = interpret(eg.compile([x, y], [x.transpose(*order) * 2 + y], device="numpy").graph, [x.node, y.node], [value, other], GPU,
                     last=True)
    np.testing.assert_array_equal(got, value.transpose(order) * np.float32(2) + other)


def plan_of(symbols, outputs, target):
    graph = eg.compile(symbols, outputs, device="numpy").graph
    outcomes = ("equal",) * len(uncertain(graph))
    return generate(graph, [s.node for s in symbols], outcomes, ["C"] * len(symbols), True, target)


@pytest.mark.parametrize("room,tiles", [(49152, 3), (2 * 33 * 32 * 4, 2), (33 * 32 * 4, 1), (33 * 32 * 4 - 1, 0)])
def test_tiles_fit_into_local_memory(room, tiles):
    """Operands that there is no room for are read where they are; with 64-bit indices as well."""
    w, x, y, z = eg.matrices("w", "x", "y", "z")
    step, = plan_of([w, x, y, z], [x.T * y.T + z.T + w], GPU._replace(local_bytes=room, max_group=256)).steps[:1]
    if not tiles:
        assert not isinstance(step, Branch)
        return
    made = step.variants[1][0].kernel
    assert made.wide and sum(isinstance(s, Alloc) and s.space == "local" for s in walk(made.body)) == tiles


def test_sizes_pick_tiles():
    x = eg.matrix("x")
    step = plan_of([x], [x.T * 2], GPU).steps[0]
    assert isinstance(step, Branch) and "min" in step.pick.text
