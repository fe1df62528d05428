"""Sums over the leading axes of a matrix: panels of columns, several rows in a pass, parts that are joined."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import Accumulate, Builder, Expr, Let, Loop, Store
from codegen.schedule.common import Context, Names
from codegen.schedule.jam import jammed
from codegen.target import Target
from exprgraph.node import Graph
from tests.plan_runner import CPU, GPU, interpret

OVER_ROWS = {
    "sum": lambda x: x.sum(0),
    "weighted": lambda x: (x * eg.arange(x.shape[0]).astype(x.dtype)[:, None]).sum(0),
    "variance": lambda x: x.var(0),
    "max": lambda x: x.max(0),
    "product": lambda x: x.T @ x[:, 0],
    "logsumexp": lambda x: eg.logsumexp(x, axis=0)}
SHAPES = ((1, 9), (7, 8), (8, 1), (9, 300), (33, 1025), (129, 64), (300, 2))


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if wanted.dtype.kind == "i":
        np.testing.assert_array_equal(found, wanted)
    else:
        eps = np.finfo(wanted.dtype).eps
        np.testing.assert_allclose(found, wanted, rtol=100 * eps, atol=100 * eps * np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1))


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(shape)
    return rng.integers(-9, 9, shape).astype(dtype) if dtype.startswith("int") else rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("name", OVER_ROWS)
def test_over_the_leading_axis(name: str, dtype: str, schedule: str) -> None:
    """As NumPy for rows and columns around the sizes of passes and panels, for NaN and infinity, for views."""
    x = eg.matrix("x", dtype)
    own, oracle = (eg.compile([x], OVER_ROWS[name](x), **how) for how in ({"schedule": schedule}, {"device": "numpy"}))
    for shape in SHAPES:
        array = values(shape, dtype)
        close(own(array), oracle(array))
        close(own(array[::2]), oracle(array[::2]))
        if not dtype.startswith("int"):
            array[0, -1], array[-1, 0] = np.inf, np.nan
            close(own(array), oracle(array))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("target", [CPU, GPU])
@pytest.mark.parametrize("name", OVER_ROWS)
@pytest.mark.parametrize("shape", [(3, 9), (17, 3)])
def test_over_the_leading_axis_interpreted(name: str, target: Target, shape: tuple[int, int], last: bool) -> None:
    """No access out of bounds and no race, in one kernel and in two."""
    x, array = eg.matrix("x"), values(shape, "float32")
    found, = interpret(Graph((x,), (OVER_ROWS[name](x),)), [x.node], [array], target, last=last)
    close(found, eg.compile([x], OVER_ROWS[name](x), device="numpy")(array))


def test_passes_of_several_rows() -> None:
    """Simple sums go on by eight rows, longer ones by four, expensive ones and other loops by one."""
    b = Builder()
    i, j, zero, one = b.var("i"), b.var("j"), b.index(0), b.index(1)
    ctx = Context(b, Names.__new__(Names), Target())
    ctx.names._taken = {"i", "j", "h"}

    def rows(value: Expr, *more: Store) -> list[int]:
        inner = Loop("vector", "j", zero, b.index(5), one, (Accumulate(("acc",), j, "sum", (value,)), *more))
        loop = Loop("serial", "i", zero, b.index(20), one, (Let("h", b.load("w", "float32", i)), inner))
        return [r.step.value for r in jammed(ctx, loop)]
    x = b.load("x", "float32", b.add(b.mul(i, b.index(5)), j))
    times = b.op("mul", "float32", x, b.var("h", "float32"))
    longer = times
    for _ in range(5):
        longer = b.op("mul", "float32", longer, b.op("add", "float32", longer, x))
    assert rows(times) == [8, 1] and rows(longer) == [4, 1]
    assert rows(b.op("exp", "float32", x)) == [1] and rows(times, Store("y", j, x)) == [1]
