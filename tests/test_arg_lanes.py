"""argmax and argmin along rows, in lanes: the first of equal values, NaN before all, every length around that of a block."""
import numpy as np
import pytest

import exprgraph as eg
from tests.plan_runner import CPU, interpret

LENGTHS = (1, 2, 15, 16, 63, 64, 65, 100, 127, 128, 129, 1000)
FORMS = {"rows": lambda x, f: f(x, axis=1), "columns": lambda x, f: f(x, axis=0), "all": lambda x, f: f(x),
         "of more": lambda x, f: f(x * 2 + 1, axis=1)}
KINDS = ("distinct", "ties", "equal", "NaN", "infinite", "zeros")


def values(kind, shape, dtype):
    rng = np.random.default_rng(shape)
    x = rng.integers(-3, 4, shape) if kind in ("ties", "NaN") else rng.permutation(np.prod(shape)).reshape(shape) % 120
    x = x.astype(dtype)
    if kind == "equal":
        x[:] = 5
    if np.dtype(dtype).kind == "f":
        if kind == "NaN":
            x.flat[rng.integers(0, x.size, max(x.size // 40, 1))] = np.nan
        if kind == "infinite":
            x[:] = -np.inf if shape[1] % 2 else np.inf
        if kind == "zeros":
            x = np.where(rng.random(shape) < 0.5, 0.0, -0.0).astype(dtype)
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("function", ["argmax", "argmin"])
def test_the_place_is_the_one_that_NumPy_gives(function, name, dtype):
    x = eg.matrix("x", dtype=dtype)
    if dtype == "bool" and name == "of more":
        name = "rows"
    f = eg.compile([x], FORMS[name](x, getattr(eg, function)), device="pocl", schedule="cpu")
    for n in LENGTHS:
        for kind in KINDS:
            for shape in ((3, n), (n, 3)):
                value = values(kind, shape, dtype)
                wanted = FORMS[name](value, getattr(np, function))
                np.testing.assert_array_equal(f(value), wanted, err_msg=f"{kind} {shape}")


@pytest.mark.parametrize("name", ["rows", "all"])
def test_the_place_in_the_interpreter(name):
    x = eg.matrix("x")
    for n in (3, 64, 70, 130):
        for kind in ("ties", "NaN", "infinite"):
            value = values(kind, (2, n), "float32")
            f = eg.compile([x], [FORMS[name](x, eg.argmax)], device="numpy")
            found, = interpret(f.graph, [x.node], [value], CPU, last=False)
            np.testing.assert_array_equal(found, FORMS[name](value, np.argmax))
