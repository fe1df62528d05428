"""Maxima and minima of floats by their ranks: in the order of floats, NaN first, and of the same bits in every dialect."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.kernel import Accumulate, Builder, Kernel, Loop, Param, Store, walk
from codegen.ranks import INTEGER, RANKINGS
from codegen.schedule.common import context
from codegen.schedule.extrema import by_rank
from codegen.target import Target
from exprgraph.dims import constant
from tests import eight
from tests.plan_runner import CPU, GPU, interpret
from tests.pocl_runner import run_pocl

NUMPY = {"max": np.max, "min": np.min}
ORDERED = {d: [-np.inf, -np.finfo(d).max, -2.5, -1, -np.finfo(d).tiny, -np.finfo(d).smallest_subnormal, -0.0,
               0.0, np.finfo(d).smallest_subnormal, np.finfo(d).tiny, 1, 2.5, np.finfo(d).max, np.inf] for d in INTEGER}
LENGTHS = (1, 2, 15, 16, 17, 64, 333, 1000)


def nans(dtype: str) -> np.ndarray:
    """NaNs of both signs, with the least, the usual and the largest payload."""
    kind = np.dtype(INTEGER[dtype])
    infinite, top = np.array(np.inf, dtype).view(kind), np.iinfo(kind).max
    found = np.array([infinite + 1, np.array(np.nan, dtype).view(kind), top], kind)
    return np.concatenate([found, found | np.iinfo(kind).min]).view(dtype)


@pytest.mark.parametrize("dtype", INTEGER)
@pytest.mark.parametrize("combine", NUMPY)
def test_ranks_are_in_the_order_of_floats(combine: str, dtype: str) -> None:
    rank, (value,) = RANKINGS[combine].rank, RANKINGS[combine].values
    values = np.array(ORDERED[dtype], dtype)
    ranks, wild = rank.numpy(values), rank.numpy(nans(dtype))
    assert ranks.dtype == wild.dtype == INTEGER[dtype] and (np.diff(ranks.astype(object)) > 0).all()
    assert wild.min() > ranks.max() if combine == "max" else wild.max() < ranks.min()
    for array in (values, nans(dtype)):
        assert value.numpy(rank.numpy(array)).tobytes() == array.tobytes()
    worst = np.iinfo(INTEGER[dtype])
    assert ranks[0] == worst.min if combine == "max" else ranks[-1] == worst.max  # where integer combines start


@pytest.mark.parametrize("dialect", ["pocl", "portable"])
@pytest.mark.parametrize("dtype", INTEGER)
@pytest.mark.parametrize("combine", NUMPY)
def test_generated_ranks_are_those_of_the_rows(combine: str, dtype: str, dialect: str, rng: np.random.Generator) -> None:
    bits = rng.integers(np.iinfo(INTEGER[dtype]).min, np.iinfo(INTEGER[dtype]).max, 300, INTEGER[dtype])
    values = np.concatenate([np.array(ORDERED[dtype], dtype), nans(dtype), bits.view(dtype)])
    rank, (value,) = RANKINGS[combine].rank, RANKINGS[combine].values
    b, n = Builder(), constant(values.size)
    i, kind = b.var("i"), INTEGER[dtype]
    body = (Store("k", i, b.op(rank, kind, b.load("x", dtype, i))), Store("y", i, b.op(value, dtype, b.load("k", kind, i))))
    kernel = Kernel("ranks", (Param("x", dtype, "r", n), Param("k", kind, "rw", n), Param("y", dtype, "w", n)),
                    (Loop("vector", "i", b.index(0), b.index(n), b.index(1), body),))
    memory = {"x": values, "k": np.zeros(values.size, kind), "y": np.zeros(values.size, dtype)}
    run_pocl(kernel, memory, int, dialect)
    np.testing.assert_array_equal(memory["k"], rank.numpy(values))
    assert memory["y"].tobytes() == values.tobytes()


@pytest.mark.parametrize("dialect", ["pocl", "portable"])
@pytest.mark.parametrize("combine", ["argmax", "argmin"])
def test_generated_ranks_of_places_are_those_of_the_rows(combine: str, dialect: str, rng: np.random.Generator) -> None:
    values = np.tile(np.concatenate([np.array(ORDERED["float32"], "float32"), nans("float32")]), 5)
    places = np.concatenate([rng.integers(0, 2**31 - 1, values.size - 2), [0, 2**31 - 1]])
    ranking, b, n = RANKINGS[combine], Builder(), constant(values.size)
    i, k = b.var("i"), b.load("k", "int64", b.var("i"))
    body = (Store("k", i, b.op(ranking.rank, "int64", b.load("x", "float32", i), b.load("p", "int64", i))),
            Store("y", i, b.op(ranking.values[0], "float32", k)), Store("q", i, b.op(ranking.values[1], "int64", k)))
    params = (Param("x", "float32", "r", n), Param("p", "int64", "r", n), Param("k", "int64", "rw", n), Param("y", "float32", "w", n))
    kernel = Kernel("places", (*params, Param("q", "int64", "w", n)), (Loop("vector", "i", b.index(0), b.index(n), b.index(1), body),))
    memory = {"x": values, "p": places} | {name: np.zeros(values.size, d) for name, d in (("k", "int64"), ("y", "float32"), ("q", "int64"))}
    run_pocl(kernel, memory, int, dialect)
    np.testing.assert_array_equal(memory["k"], ranking.rank.numpy(values, places))
    np.testing.assert_array_equal(memory["y"], values)
    np.testing.assert_array_equal(memory["q"], places)


@pytest.mark.parametrize("combine", ["argmax", "argmin"])
def test_ranks_of_places_put_the_first_of_equals_first(combine: str) -> None:
    rank, better = RANKINGS[combine].rank.numpy, np.greater if combine == "argmax" else np.less
    top = np.inf if combine == "argmax" else -np.inf
    for first, second in ((1.5, 1.5), (0.0, -0.0), (-0.0, 0.0), (top, top), *zip(nans("float32"), nans("float32")[::-1])):
        assert better(rank(np.float32(first), np.int64(3)), rank(np.float32(second), np.int64(4)))
        assert better(rank(np.float32(np.nan), np.int64(4)), rank(np.float32(first), np.int64(3))) or np.isnan(first)
    none = np.iinfo("int64").min if combine == "argmax" else np.iinfo("int64").max
    assert better(rank(np.float32(-top), np.int64(2**31 - 1)), none) or rank(np.float32(-top), np.int64(2**31 - 1)) == none


def rows_of(dtype: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of ordinary and of special numbers: each NaN alone, infinities, zeros of both signs, nothing but one value."""
    rows = [rng.standard_normal(length), -rng.random(length), rng.choice(ORDERED[dtype], length), rng.choice([0.0, -0.0], length)]
    rows += [np.full(length, v) for v in (-np.inf, np.inf, -0.0, -1e-40)]
    array = np.array(rows, dtype)
    wild = array[rng.integers(0, len(rows), 24)]
    wild[np.arange(24), rng.integers(0, length, 24)] = np.tile(nans(dtype), 4)
    return np.concatenate([array, wild])


def check(results: list[np.ndarray], array: np.ndarray) -> None:
    """Results of max and min and their places over the rows, then over everything, are NumPy's."""
    wanted = [f(array, axis=a) for a in (1, None) for f in (*NUMPY.values(), np.argmax, np.argmin)]
    for got, want in zip(results, wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def extrema(dtype: str) -> tuple[eg.Out, list[eg.Out]]:
    """A matrix with its maxima and minima and their places."""
    x = eg.matrix("x", dtype)
    return x, [f(x, axis=a) for a in (1, None) for f in (eg.max, eg.min, eg.argmax, eg.argmin)]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", INTEGER)
def test_extrema_on_pocl(dtype: str, schedule: str, rng: np.random.Generator) -> None:
    x, outs = extrema(dtype)
    f = eg.compile([x], outs, device="pocl", schedule=schedule)
    for length in LENGTHS:
        array = rows_of(dtype, length, rng)
        check(f(array), array)
        check(f(array[:4]), array[:4])


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("dtype", INTEGER)
def test_extrema_in_the_interpreter(dtype: str, target, rng: np.random.Generator) -> None:
    x, outs = extrema(dtype)
    for length in (1, 17, 40):
        array = rows_of(dtype, length, rng)
        check(interpret(eg.Graph((x,), tuple(outs)), [x.node], [array], target), array)


def test_places_beyond_half_a_rank_are_not_ranked() -> None:
    """A tree with 64-bit indices keeps positions as they are."""
    kernel = eight.argmax()
    for wide in (False, True):
        body = by_rank(context(kernel, Target()), kernel.body, wide)
        assert any(isinstance(s, Accumulate) and s.combine == "max" for s in walk(body)) is not wide


def test_a_maximum_beside_other_reductions(rng: np.random.Generator) -> None:
    """One loop with a maximum, a sum and a position, and one over two axes."""
    x = eg.tensor("x", "float32", (None, None, None))
    outs = [x.max(axis=2), x.sum(axis=2), x.argmax(axis=2), x.min(axis=(1, 2)), (x * x).max(axis=(1, 2))]
    f = eg.compile([x], outs, device="pocl")
    for shape in ((3, 5, 1), (3, 5, 70), (2, 300, 3)):
        a = rng.standard_normal(shape).astype("float32")
        top, total, place, low, square = f(a)
        np.testing.assert_array_equal(top, a.max(2))
        np.testing.assert_allclose(total, a.sum(2), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(place, a.argmax(2))
        np.testing.assert_array_equal(low, a.min((1, 2)))
        np.testing.assert_array_equal(square, (a * a).max((1, 2)))
