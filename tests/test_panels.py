"""Panels of columns: full ones with loops of a literal length, and a last one that is not full, of any width and kind of reduction."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import Loop, walk
from codegen.schedule import cpu
from codegen.schedule.panel import PANEL
from codegen.target import Target
from tests import eight
from tests.plan_runner import CPU, interpret

WIDTHS = [1, 9, PANEL - 1, PANEL, PANEL + 1, 2 * PANEL, 2 * PANEL + 40]


def columns(rows: int, width: int, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """A matrix with infinities, a NaN and zeros of both signs in some of its columns."""
    x = rng.standard_normal((rows, width)).astype(dtype)
    for value in (np.inf, -np.inf, np.nan, 0.0, -0.0):
        x[rng.integers(rows), rng.integers(width)] = value
    x[:, width // 2] = -0.0
    return x


def reductions(x: eg.Out) -> list[eg.Out]:
    return [x.max(axis=0), x.min(axis=0), x.sum(axis=0), eg.logsumexp(x, axis=0), x.argmax(axis=0)]


def check(got: list[np.ndarray], x: np.ndarray) -> None:
    """NumPy's results; sums in longer floats."""
    eps = np.finfo(x.dtype).eps
    np.testing.assert_array_equal(got[0], x.max(0))
    np.testing.assert_array_equal(got[1], x.min(0))
    np.testing.assert_array_equal(got[4], x.argmax(0))
    with np.errstate(all="ignore"):
        wide = x.astype(np.longdouble)
        np.testing.assert_allclose(got[2], wide.sum(0), rtol=0, atol=64 * eps * x.shape[0])
        top = np.where(np.isfinite(wide.max(0)), wide.max(0), 0)
        np.testing.assert_allclose(got[3], np.log(np.exp(wide - top).sum(0)) + top, rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_on_pocl(dtype: str, rng: np.random.Generator) -> None:
    x = eg.matrix("x", dtype)
    f = eg.compile([x], reductions(x), device="pocl")
    for rows in (1, 33, 100):
        for width in WIDTHS:
            array = columns(rows, width, dtype, rng)
            check(f(array), array)


@pytest.mark.parametrize("width", [20, PANEL, PANEL + 44, 2 * PANEL])
def test_columns_of_a_number_that_is_known(width: int, rng: np.random.Generator) -> None:
    x = eg.tensor("x", "float32", (None, width))
    f = eg.compile([x], reductions(x), device="pocl")
    array = columns(70, width, "float32", rng)
    check(f(array), array)
    check(interpret(eg.Graph((x,), tuple(reductions(x))), [x.node], [array[:7]], CPU), array[:7])


def test_columns_in_the_interpreter(rng: np.random.Generator) -> None:
    x = eg.matrix("x")
    for width in (9, PANEL, PANEL + 1):
        array = columns(5, width, "float32", rng)
        check(interpret(eg.Graph((x,), tuple(reductions(x))), [x.node], [array], CPU), array)


def test_a_full_panel_has_loops_of_a_literal_length() -> None:
    kernel = cpu.schedule(eight.sum0(), Target())
    trips = [s.trips for s in walk(kernel.body) if isinstance(s, Loop) and s.kind == "vector"]
    assert trips.count(PANEL) == trips.count(None) == len(trips) / 2 > 0
