"""Sums in blocks of a literal length and what is left of a row: every length around a block, special values wherever they stand."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import Builder, Expr, Kernel, Loop, Param
from codegen.opencl import kernel_source
from codegen.schedule import cpu
from codegen.schedule.reduction import FREE
from codegen.target import Target
from exprgraph.dims import constant
from tests import eight
from tests.plan_runner import CPU, GPU, interpret

B = Builder()
LENGTHS = [1, 2, FREE - 1, FREE, FREE + 1, 2 * FREE - 1, 2 * FREE, 3 * FREE + 7]
I, ONE = B.var("i"), B.index(1)


def number(n: int) -> Expr:
    return B.index(n)


@pytest.mark.parametrize("start, stop, step, trips", [
    (number(0), number(7), ONE, 7), (number(3), number(7), ONE, 4), (number(9), number(7), ONE, 0), (I, B.add(I, number(5)), ONE, 5),
    (I, B.add(B.var("j"), number(5)), ONE, None), (I, B.add(number(5), I), ONE, None), (I, number(5), ONE, None),
    (number(0), I, ONE, None), (number(0), number(8), number(2), None), (I, B.mul(I, number(2)), ONE, None)])
def test_trips_of_a_loop(start: Expr, stop: Expr, step: Expr, trips: int | None) -> None:
    assert Loop("vector", "k", start, stop, step, ()).trips == trips


@pytest.mark.parametrize("dialect, hints", [("pocl", 1), ("portable", 0)])
def test_blocks_of_literal_length_are_interleaved(dialect: str, hints: int) -> None:
    text = kernel_source(cpu.schedule(eight.softmax(), Target()), dialect)
    assert text.count("interleave_count") == hints


def test_a_short_loop_is_not_interleaved() -> None:
    loop = Loop("vector", "i", B.index(0), B.index(64), ONE, ())
    kernel = Kernel("few", (Param("y", "float32", "w", constant(64)),), (loop,))
    assert "interleave_count" not in kernel_source(kernel, "pocl")
    assert "interleave_count" in kernel_source(kernel._replace(body=(loop._replace(stop=B.index(256)),)), "pocl")


def rows_of(dtype: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """Ordinary rows; rows with an infinity or a NaN at an end or anywhere, with both infinities; a row of negative zeros."""
    rows = rng.standard_normal((9, length)).astype(dtype)
    for k, (place, value) in enumerate([(0, np.inf), (-1, np.nan), (-1, -np.inf), (rng.integers(length), np.nan), (length // 2, np.inf)]):
        rows[k, place] = value
    rows[5, 0], rows[5, -1] = np.inf, -np.inf
    rows[6] = -0.0
    return rows


def check(got: list[np.ndarray], rows: np.ndarray) -> None:
    """The sums of rows, and their softmax, against NumPy in longer floats."""
    with np.errstate(all="ignore"):
        wide = rows.astype(np.longdouble)
        powers = np.exp(wide - wide.max(1, keepdims=True))
        wanted, shares = wide.sum(1), powers / powers.sum(1, keepdims=True)
        size = np.nan_to_num(np.abs(wide).sum(1), posinf=0)
    eps = np.finfo(rows.dtype).eps
    for k, (sum_, want) in enumerate(zip(got[0], wanted)):
        np.testing.assert_allclose(sum_, want, rtol=0, atol=8 * eps * max(size[k], 1))
    np.testing.assert_allclose(got[1], shares, rtol=64 * eps, atol=np.finfo(rows.dtype).tiny)
    assert not np.signbit(got[0][6])


def graph(dtype: str) -> tuple[eg.Out, list[eg.Out]]:
    x = eg.matrix("x", dtype)
    return x, [x.sum(axis=1), eg.softmax(x)]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_any_length_on_pocl(dtype: str, schedule: str, rng: np.random.Generator) -> None:
    x, outs = graph(dtype)
    f = eg.compile([x], outs, device="pocl", schedule=schedule)
    for length in LENGTHS:
        rows = rows_of(dtype, length, rng)
        check(f(rows), rows)
    assert f(np.zeros((3, 0), dtype))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [FREE - 1, FREE, FREE + 1, 2 * FREE])
def test_rows_of_a_size_that_is_known(size: int, rng: np.random.Generator) -> None:
    x = eg.tensor("x", "float32", (None, size))
    f = eg.compile([x], [x.sum(axis=1), eg.softmax(x)], device="pocl")
    rows = rows_of("float32", size, rng)
    check(f(rows), rows)


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_rows_of_any_length_in_the_interpreter(target: Target, rng: np.random.Generator) -> None:
    x, outs = graph("float32")
    for length in (1, FREE - 1, FREE, FREE + 1, 2 * FREE):
        rows = rows_of("float32", length, rng)
        check(interpret(eg.Graph((x,), tuple(outs)), [x.node], [rows], target), rows)
