"""Maps of several elements a work-item, under the schedule for GPUs: every length, rank and dtype, functions, gathers and faults."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from codegen.kernel import Builder, Store
from codegen.schedule.several import EACH, MOST, MOST_READS, each
from tests.plan_runner import GPU, interpret

LENGTHS = (0, 1, 15, 16, 63, 64, 65, 127, 128, 200)
MAPS = {
    "sum": lambda x, y, i: [x + y],
    "two": lambda x, y, i: [x * y, eg.abs(x - y) > 1],
    "functions": lambda x, y, i: [eg.exp(x) * eg.tanh(y) + eg.sin(x)],
    "choice": lambda x, y, i: [eg.switch(x > 0, eg.exp(y), x)],
    "beside": lambda x, y, i: [eg.exp(eg.concatenate([x, y]))],
    "taken": lambda x, y, i: [x[i] + y],
    "taken by function": lambda x, y, i: [eg.tanh(x[i]) - y],
    "outer": lambda x, y, i: [eg.exp(x[:, None] * 0.1) + y[None, :40]],
    "row": lambda x, y, i: [(x[:, None] + y[None, :7]).reshape(-1) * 2]}


def alike(symbols, outputs, values, target=GPU):
    made = eg.compile(symbols, outputs, device="numpy", on_unused_input="ignore")
    for got, wanted in zip(interpret(made.graph, [s.node for s in symbols], values, target), made(*values)):
        np.testing.assert_allclose(got, wanted, rtol=2e-6)


@pytest.mark.parametrize("name", MAPS)
def test_every_length(name):
    x, y, i = eg.vector("x"), eg.vector("y"), eg.vector("i", dtype="int64")
    rng = np.random.default_rng(0)
    for n in LENGTHS:
        alike([x, y, i], MAPS[name](x, y, i), [*rng.standard_normal((2, n), dtype="float32"), rng.integers(0, max(n, 1), n)])


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint64", "bool"])
def test_every_dtype(dtype):
    x, y = eg.vector("x", dtype=dtype), eg.vector("y", dtype=dtype)
    for n in (10, 64, 150):
        values = [(np.random.default_rng(k).standard_normal(n) * 5).astype(dtype) for k in range(2)]
        alike([x, y], [eg.where(x != y, x, y)], values)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 9), st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 50]))
def test_any_shape(a, b, c):
    x, y = eg.tensor3("x"), eg.matrix("y")
    rng = np.random.default_rng(a)
    alike([x, y], [x[::-1] * y + 1, x > y], [rng.standard_normal((a, b, c)).astype("f"), rng.standard_normal((b, c)).astype("f")])


@pytest.mark.parametrize("n", [5, 64, 100])
def test_a_fault_in_any_of_them_is_found(n):
    x, i = eg.vector("x"), eg.vector("i", dtype="int64")
    for bad in (0, n // 2, n - 1):
        index = np.arange(n)
        index[bad] = n + 3
        with pytest.raises(IndexError, match=str(n + 3)):
            alike([x, i], [eg.exp(x[i])], [np.zeros(n, "f"), index])


@pytest.mark.parametrize("columns", [1, 3, 16, 30])
def test_rows_are_taken_and_a_fault_in_any_of_them_is_found(columns):
    x, i = eg.matrix("x"), eg.vector("i", dtype="int64")
    table, index = np.random.default_rng(0).random((7, columns), "f"), np.arange(90) % 14 - 7
    alike([x, i], [x[i], eg.exp(x.T[:, i])], [table, index])
    for bad in (0, 50, 89):
        wrong = index.copy()
        wrong[bad] = 7 + bad
        with pytest.raises(IndexError, match=f"index {7 + bad} is out of bounds for axis 0 with size 7"):
            alike([x, i], [x[i]], [table, wrong])


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 5000])
def test_on_a_device(n):
    x, y = eg.vectors("x", "y")
    values = list(np.random.default_rng(0).standard_normal((2, n), dtype="float32"))
    found = eg.compile([x, y], [x + y, eg.exp(x) - y], device="pocl", schedule="gpu")(*values)
    np.testing.assert_array_equal(found[0], values[0] + values[1])
    np.testing.assert_allclose(found[1], np.exp(values[0]) - values[1], rtol=2e-6, atol=1e-6)


def test_what_is_not_repeated():
    """What reads what it writes, and what is long, goes element by element."""
    b = Builder()
    at, long = b.var("i"), b.load("x", "float32", b.var("i"))
    for k in range(MOST + 1):
        long = b.op("add", "float32", long, b.lit(k, "float32"))
    plain = Store("y", at, b.load("x", "float32", at))
    many = b.load("x", "float32", at)
    for k in range(MOST_READS):
        many = b.op("add", "float32", many, b.load(f"x{k}", "float32", at))
    assert each((plain,)) == EACH and each((Store("y", at, many),)) == 1
    assert each((Store("y", at, long),)) == each((plain, Store("z", at, b.load("y", "float32", at)))) == each((plain, plain)) == 1
