"""Loops that run again for rare arguments: which ones do, and that their results are those of one run with the careful functions."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.again import again, carried
from codegen.kernel import Accumulate, Alloc, Builder, Flag, If, Kernel, Let, Loop, Param, Store
from codegen.opencl import kernel_source
from tests.hand_trees import N

B = Builder()
I = B.var("i")
X, Y = B.load("x", "float32", I), B.load("y", "float32", I)
SINE = B.op("sin", "float32", X)


def vector_loop(*body):
    return Loop("vector", "i", B.index(0), B.index(N), B.index(1), body)


@pytest.mark.parametrize("body, wanted", [
    ((Store("y", I, SINE),), []),
    ((Let("s", SINE), If(B.less(I, B.index(7)), (Store("y", I, B.var("s", "float32")),))), []),
    ((Store("y", I, SINE), Flag(B.less(I, I), 0, I, B.index(N))), None),
    ((Store("y", I, B.op("sin", "float32", Y)),), None),
    ((Store("y", I, SINE), Store("x", I, X)), None),
    ((Accumulate(("y",), B.index(0), "sum", (SINE,)),), None),
    ((Accumulate(("a",), B.index(0), "sum", (SINE,)),), ["a"])], ids=[
        "map", "conditional", "fault", "in place", "swap", "in memory", "sum"])
def test_what_is_run_again(body, wanted):
    """What writes nothing that it reads but private scalars, and reports no faults."""
    assert carried(body, {"a"}) == wanted
    kernel = Kernel("k", (Param("x", "float32", "rw", N), Param("y", "float32", "rw", N)),
                    (Alloc("a", "float32", 1, "private", B.lit(0.0, "float32")), vector_loop(*body)))
    for dialect, found in (("pocl", wanted is not None), ("portable", False)):
        text = kernel_source(kernel, dialect)
        assert ("eg_nearsin_f32(&rare" in text) is found and ("if (rare" in text) is found
        assert ("a = a_before;" in text) is (found and wanted == ["a"])


def test_loops_without_rare_cases_stay_as_they_are():
    assert again(["eg_exp_f32(x)", "eg_sinh_f32(x)"], "rare", {}) == ["eg_exp_f32(x)", "eg_sinh_f32(x)"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rare", [1.0, 1e30])
def test_values(dtype, rare):
    """A fused map, a sum and an update in place, with and without an angle that needs the careful functions."""
    x = eg.vector("x", dtype=dtype)
    total = eg.shared(np.zeros(1000, dtype), name="total")
    run = eg.compile([x], [eg.sin(x) * eg.cos(2 * x) + eg.exp(-x * x), eg.tan(x).sum()], updates={total: eg.cos(total) + eg.sin(x)})
    values = np.linspace(-3, 3, 1000).astype(dtype)
    values[500] = rare
    wide, state = values.astype("longdouble"), np.zeros(1000, dtype)
    for _ in range(2):
        mapped, tangents = run(values)
        state = np.cos(state) + np.sin(values)
        tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
        np.testing.assert_allclose(mapped, np.sin(wide) * np.cos((2 * values).astype("longdouble")) + np.exp(-wide * wide), **tolerance)
        np.testing.assert_allclose(tangents, np.tan(wide).sum(), rtol=0, atol=1e5 * np.finfo(dtype).eps)
        np.testing.assert_allclose(total.get_value(), state, **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("edges", [False, True])
def test_remainders(dtype, edges, rng):
    """Exactly NumPy's, next to multiples, for quotients of every size, denormal numbers, zeros and infinities."""
    x, y = eg.vector("x", dtype=dtype), eg.vector("y", dtype=dtype)
    run = eg.compile([x, y], [x % y, x // y])
    b = rng.uniform(0.1, 9, 4000)
    a = np.concatenate([rng.uniform(-100, 100, 2000), (b[2000:] * rng.integers(-1000, 1000, 2000))])
    if edges:
        special = np.array([0, -0.0, 1, -3, np.inf, -np.inf, np.nan, 5e-324, 1e-40, 3e38, -1e30, 2.0**23, 2.0**52, 2.0**60 + 1024])
        pairs = np.meshgrid(special, special)
        a = np.concatenate([a, a * 2.0 ** rng.integers(0, 100, 4000), pairs[0].ravel()])
        b = np.concatenate([b, b, pairs[1].ravel()])
    with np.errstate(all="ignore"):
        a, b = a.astype(dtype), b.astype(dtype)
        for got, want in zip(run(a, b), (np.remainder(a, b), np.floor_divide(a, b))):
            np.testing.assert_array_equal(got, want)
            np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(want[want == 0]))
