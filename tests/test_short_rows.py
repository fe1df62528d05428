"""Rows too short for vectors: neighbouring rows are worked on together, and nobody can tell from the results."""
import numpy as np
import pytest

import exprgraph as eg
from codegen.schedule import short
from tests.plan_runner import CPU, interpret

EXPRESSIONS = {
    "sum": lambda x, c: x.sum(axis=1),
    "mean": lambda x, c: (x * c).mean(axis=1, keepdims=True) + x,
    "prod": lambda x, c: x.prod(axis=1),
    "max": lambda x, c: x.max(axis=1),
    "argmin": lambda x, c: x.argmin(axis=1),
    "any": lambda x, c: (x > c).any(axis=1),
    "softmax": lambda x, c: eg.softmax(x),
    "distances": lambda x, c: eg.exp(-((x[:, None, :] - x[None, :40, :])**2).sum(axis=2)),
    "sum of all": lambda x, c: eg.maximum(x, c).sum(),
    "max of all": lambda x, c: (x + c).max(),
    "sum over three": lambda x, c: (x[:, None, :] * x[None, :3, :] + c).sum(),
    "two sums of all": lambda x, c: ((x * c).sum() - (x - c).max()) / (x.sum() + 7)}
SHAPES = [(3, 5), (31, 3), (32, 12), (33, 13), (64, 8), (65, 9), (700, 1), (1025, 5), (2050, 3)]


def values(shape, dtype, special=False):
    rng = np.random.default_rng(shape)
    x = rng.standard_normal(shape) * 2
    if special:
        x.flat[::17] = np.nan
        x.flat[5::23] = np.inf
    return x.astype(dtype), rng.standard_normal(shape[1:]).astype(dtype)


def agree(name, given, symbols, **options):
    out = EXPRESSIONS[name](*symbols)
    wanted = eg.compile(symbols, out, device="numpy", on_unused_input="ignore")(*given)
    found = eg.compile(symbols, out, device="pocl", schedule="cpu", on_unused_input="ignore", **options)(*given)
    if name == "argmin" or wanted.dtype == bool:
        np.testing.assert_array_equal(found, wanted)
    else:
        single = wanted.dtype == np.float32
        scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1)
        np.testing.assert_allclose(found, wanted, rtol=3e-5 if single else 1e-12, atol=scale * (3e-6 if single else 1e-13))


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.filterwarnings("ignore")
def test_short_rows_on_the_device(name, dtype):
    x, c = eg.matrix("x", dtype=dtype), eg.vector("c", dtype=dtype)
    for shape in SHAPES:
        agree(name, values(shape, dtype), (x, c))


@pytest.mark.parametrize("name", ["sum", "max", "argmin", "softmax", "sum of all", "max of all"])
@pytest.mark.filterwarnings("ignore")
def test_short_rows_with_NaN_and_infinities(name):
    x, c = eg.matrix("x"), eg.vector("c")
    for shape in [(65, 3), (1025, 5), (40, 12)]:
        agree(name, values(shape, "float32", special=True), (x, c))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_short_rows_in_the_interpreter(name):
    x, c = eg.matrix("x", dtype="float64"), eg.vector("c", dtype="float64")
    out = EXPRESSIONS[name](x, c)
    for shape in [(3, 5), (33, 3), (40, 8)]:
        given = values(shape, "float64")
        f = eg.compile([x, c], [out], device="numpy", on_unused_input="ignore")
        found, = interpret(f.graph, [x.node, c.node], list(given), CPU, last=False)
        np.testing.assert_allclose(found, f(*given)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("columns", "variants"), [(3, False), (20, False), (None, True)])
def test_a_length_that_is_known_needs_no_variant(columns, variants):
    x = eg.tensor("x", "float32", shape=(1000, columns))
    f = eg.compile([x], x.sum(axis=1), device="pocl", schedule="cpu")
    assert (f"floordiv({short.LONGEST}" in f.why()) == variants
    value = np.ones((1000, columns or 7), "f")
    np.testing.assert_array_equal(f(value), value.sum(axis=1))
    if columns:
        assert ("_panel" in f.source()) == (columns <= short.LONGEST)
