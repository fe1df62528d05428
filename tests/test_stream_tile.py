"""Streamed results and tiled operands: the same bits as without, for every length, alignment and dtype, and no place that is not theirs."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from codegen.interpret_checks import Misaligned
from codegen.interpret_source import python_of
from codegen.kernel import Alloc, Builder, Kernel, Let, Loop, Param, Store
from codegen.opencl import kernel_source
from codegen.schedule import stream, tile
from exprgraph.dims import constant
from tests.plan_runner import CPU, interpret

LENGTHS = (0, 1, 7, 8, 9, 63, 64, 65, 127, 130, 1000)
SHAPES = ((0, 5), (1, 1), (3, 70), (64, 64), (65, 63), (130, 9), (200, 131))


def drawn(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 9).astype(dtype)


def agree(outputs, symbols, values, **options):
    wanted = eg.compile(symbols, outputs, device="numpy")(*values)
    found = eg.compile(symbols, outputs, device="pocl", schedule="cpu", **options)(*values)
    for got, expected in zip(found, wanted):
        np.testing.assert_array_equal(got, expected)


@pytest.fixture
def every_result_streams(monkeypatch):
    monkeypatch.setattr(stream, "FILL", 0)
    monkeypatch.setattr(stream, "LEAST", 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "int16", "bool"])
@pytest.mark.parametrize("interpreted", [True, False])
def test_streamed_maps(dtype, interpreted, every_result_streams):
    x = eg.vector("x", dtype=dtype)
    y = eg.switch(x > 1, x, x * 0)
    for n in LENGTHS:
        value = drawn(n, dtype)
        if interpreted:
            got, = interpret(eg.compile([x], [y], device="numpy").graph, [x.node], [value], CPU, last=True)
            np.testing.assert_array_equal(got, np.where(value > 1, value, 0))
        else:
            agree([y], [x], [value])


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_begin_between_vectors(shape, every_result_streams):
    """The rows of a matrix are aligned as they come; two results of one loop stream together."""
    x, b = eg.matrix("x"), eg.vector("b")
    agree([x + b, (x - b).max(axis=1) if 0 not in shape else b, x * 2, x > b], [x, b], [drawn(shape, "f"), drawn(shape[1], "f")])
    f = eg.compile([x, b], [x + b], device="pocl", schedule="cpu")
    f(drawn(shape, "f"), drawn(shape[1], "f"))
    assert "nontemporal" in f.source() or 0 in shape


def test_small_results_do_not_stream():
    x = eg.vector("x")
    f = eg.compile([x], x * 2 + 1, device="pocl", schedule="cpu")
    f(drawn(1000, "f"))
    assert "variant min(" in f.why() and "x.shape[0]" in f.why()
    np.testing.assert_array_equal(f(drawn(1 << 21, "f")), drawn(1 << 21, "f") * 2 + 1)


def test_a_stream_that_is_not_aligned_is_found():
    b = Builder()
    lane = b.var("lane")
    copy = Loop("stream", "lane", b.index(0), b.index(8), b.index(1), (Store("y", b.add(lane, b.index(4)), b.load("a", "float32", lane)),))
    body = (Alloc("a", "float32", 8, "private", b.lit(0, "float32")), copy)
    kernel = Kernel("k", (Param("y", "float32", "w", constant(64)),), body)
    assert "misaligned" in python_of(kernel, False).text
    from codegen.interpret import run
    with pytest.raises(Misaligned, match="y\\[4\\]"):
        run(kernel, {"y": np.zeros(64, "float32")}, {})
    assert "nontemporal" in kernel_source(kernel, "pocl") and "nontemporal" not in kernel_source(kernel, "portable")


def test_a_stream_loop_only_copies():
    b = Builder()
    lane = b.var("lane")
    body = (Loop("stream", "lane", b.index(0), b.index(8), b.index(1), (Let("v", lane), Store("y", lane, lane))),)
    with pytest.raises(ValueError, match="not a copy"):
        kernel_source(Kernel("k", (Param("y", "float32", "w", constant(64)),), body), "pocl")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_transposed_operands(shape, dtype):
    x, y, z = eg.matrix("x", dtype=dtype), eg.matrix("y", dtype=dtype), eg.tensor3("z", dtype=dtype)
    values = [drawn(shape, dtype), drawn(shape[::-1], dtype), drawn((3, *shape), dtype)]
    agree([x.T + y, y - x.T * x.T, z.transpose(2, 1, 0) + z.transpose(2, 1, 0)[:, ::-1]], [x, y, z], values)


def test_the_tile_is_there():
    x, y = eg.matrices("x", "y")
    f = eg.compile([x, y], x.T + 2 * y, device="pocl", schedule="cpu")
    assert f"[{(tile.SIDE_BYTES // 4) ** 2}]" in f.source()


@settings(max_examples=60, deadline=None)
@given(st.permutations([0, 1, 2, 3]), st.tuples(*[st.integers(1, 20)] * 4), st.integers(0, 999))
def test_any_permutation(order, sizes, seed):
    x, y = eg.tensor4("x"), eg.tensor4("y")
    value = drawn(sizes, "f", seed)
    other = drawn(value.transpose(order).shape, "f", seed + 1)
    got, = interpret(eg.compile([x, y], [x.transpose(*order) * 2 + y], device="numpy").graph, [x.node, y.node], [value, other], CPU)
    np.testing.assert_array_equal(got, value.transpose(order) * np.float32(2) + other)
