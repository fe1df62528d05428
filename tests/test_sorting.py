"""Sorting, searching, counting and selecting, against NumPy: by NumPy's own functions, and made of other rows."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import CallError, DTypeError, IndexFault, RankError, ShapeError, UseError, ValueFault
from exprgraph.ops.table import ROWS
from exprgraph.testing import check_grads
from runtime.topk import best_positions
from tests.plan_runner import CPU, GPU, interpret

HOSTLESS = CPU._replace(host_shared=False)
DTYPES = ("bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float32", "float64")


def values(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Few different values, so that there are equals; of floats NaN, infinities and both zeros too."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 3.0, 1e-40], dtype), shape)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.choice(np.array([info.min, info.max, 0, 1, 5, info.max - 1], dtype), shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_rows_on_every_dtype(dtype: str) -> None:
    """sort, argsort, argtopk and searchsorted by the interpreter: by NumPy, and made of other rows under both schedules."""
    x, v = eg.tensor("x", dtype, (None, None)), eg.tensor("v", dtype, (None,))
    rows = [ROWS["sort"](x, axis=0), ROWS["argsort"](x), ROWS["argtopk"](x, 2, axis=1), ROWS["argtopk"](x, 1, axis=0, largest=False),
            ROWS["searchsorted"](v, x), ROWS["searchsorted"](v, x, side="right")]
    a, b = values(dtype, (3, 5)), np.sort(values(dtype, (6,), 1))
    graph = eg.Graph((x, v), tuple(rows))
    wanted = eg.compile([x, v], rows, device="numpy")(a, b)
    np.testing.assert_array_equal(wanted[1], np.argsort(a, kind="stable"))
    for target in (CPU, HOSTLESS, GPU) if dtype in ("float32", "int64") else (CPU, GPU):
        for got, want in zip(interpret(graph, [x.node, v.node], [a, b], target), wanted):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


class Case(NamedTuple):
    """A function of exprgraph and NumPy's, on arguments."""
    name: str
    ours: Callable[..., Any]
    numpys: Callable[..., Any]
    arguments: tuple[np.ndarray, ...]


M = np.random.default_rng(3).normal(size=(4, 6)).astype("float32")
I = np.random.default_rng(4).integers(0, 5, (3, 4))
V = np.array([3, 1, 2, 1, 3, 0, np.nan, 2, np.nan], "float64")
E = np.zeros((0,), "float32")
B = np.array([[True, False, True, True], [False] * 4, [True, True, False, False]])
CASES = [
    Case("sort of all", lambda x: eg.sort(x, None), lambda x: np.sort(x, None), (M,)),
    Case("sort method", lambda x: x.sort(0), lambda x: np.sort(x, 0), (M,)),
    Case("argsort of all", lambda x: eg.argsort(x, axis=None), lambda x: np.argsort(x, None, kind="stable"), (I,)),
    Case("argsort of nothing", eg.argsort, np.argsort, (E,)),
    Case("topk", lambda x: eg.topk(x, 3), lambda x: -np.sort(-x, 1)[:, :3], (M,)),
    Case("topk of columns", lambda x: eg.topk(x, -2, axis=0), lambda x: np.sort(x, 0)[:2], (M,)),
    Case("searchsorted", lambda x: eg.searchsorted(np.array([-1., 0, 1]), x), lambda x: np.searchsorted([-1., 0, 1], x), (M,)),
    Case("searchsorted of a number", lambda x: eg.searchsorted(x, 2), lambda x: np.searchsorted(x, 2), (np.arange(5),)),
    Case("searchsorted sorter", lambda x: eg.searchsorted(x, [1, 2], sorter=eg.argsort(x)),
         lambda x: np.searchsorted(x, [1, 2], sorter=np.argsort(x)), (np.array([3, 1, 2]),)),
    Case("digitize", lambda x: eg.digitize(x, [-1., 0, 1], right=True), lambda x: np.digitize(x, [-1., 0, 1], right=True), (M,)),
    Case("median", eg.median, np.median, (M,)),
    Case("median of rows", lambda x: eg.median(x, axis=1, keepdims=True), lambda x: np.median(x, 1, keepdims=True), (M,)),
    Case("median with NaN", eg.median, np.median, (V,)),
    Case("median of ints", lambda x: eg.median(x, axis=(0, 1)), lambda x: np.float32(np.median(x)), (I,)),
    Case("quantiles", lambda x: eg.quantile(x, [0.1, 0.5, 1.0], axis=0), lambda x: np.quantile(x, [0.1, 0.5, 1.0], axis=0), (M,)),
    *(Case(f"quantile {m}", lambda x, m=m: eg.quantile(x, 0.3, 1, m), lambda x, m=m: np.quantile(x, 0.3, 1, method=m), (M,))
      for m in ("lower", "higher", "nearest", "midpoint")),
    Case("percentile", lambda x: eg.percentile(x, 40), lambda x: np.percentile(x, 40), (M,)),
    Case("unique", lambda x: eg.unique(x, True, True, True), lambda x: np.unique(x, True, True, True), (I,)),
    Case("unique with NaN", eg.unique, np.unique, (V,)),
    Case("unique with each NaN", lambda x: eg.unique(x, equal_nan=False), lambda x: np.unique(x, equal_nan=False), (V,)),
    Case("unique of nothing", lambda x: eg.unique(x, return_counts=True), lambda x: np.unique(x, return_counts=True), (E,)),
    Case("Unique", lambda x: eg.Unique(True, True)(x), lambda x: np.unique(x, True, True), (I,)),
    Case("bincount", eg.bincount, np.bincount, (I[0],)),
    Case("bincount of nothing", lambda x: eg.bincount(x, minlength=3), lambda x: np.bincount(x, minlength=3), (np.zeros(0, int),)),
    Case("bincount with weights", lambda x, w: eg.bincount(x, w, 9), lambda x, w: np.bincount(x, w, 9), (I[0], np.arange(4.))),
    Case("histogram", lambda x: eg.histogram(x, 5), lambda x: np.histogram(x, 5), (M,)),
    Case("histogram of edges", lambda x: eg.histogram(x, [-1., 0, 2]), lambda x: np.histogram(x, [-1., 0, 2]), (M,)),
    Case("histogram in a range", lambda x: eg.histogram(x, 4, (-1, 1), density=True), lambda x: np.histogram(x, 4, (-1, 1), density=True),
         (M.astype("float64"),)),
    Case("histogram with weights", lambda x, w: eg.histogram(x, 3, weights=w), lambda x, w: np.histogram(x, 3, weights=w),
         (M.astype("float64"), np.arange(24.).reshape(4, 6))),
    Case("histogram of nothing", lambda x: eg.histogram(x, 3), lambda x: np.histogram(x, 3), (np.zeros(0),)),
    Case("isin", lambda x: eg.isin(x, [1, 3]), lambda x: np.isin(x, [1, 3]), (I,)),
    Case("isin of nothing", lambda x, y: eg.isin(x, y, invert=True), lambda x, y: np.isin(x, y, invert=True), (I, np.zeros(0, int))),
    Case("union1d", eg.union1d, np.union1d, (I, I[0] + 3)),
    Case("intersect1d", eg.intersect1d, np.intersect1d, (I, I[0] + 2)),
    Case("setdiff1d", eg.setdiff1d, np.setdiff1d, (I, I[0])),
    Case("interp", lambda x: eg.interp(x, [-1., 0, 2], [3., 1, 5]), lambda x: np.interp(x, [-1., 0, 2], [3., 1, 5]),
         (np.array([-3, -1, -0.5, 0, 1, 2, 2.5, np.nan]),)),
    Case("interp with ends", lambda x: eg.interp(x, [1.], [2.], -7, 9), lambda x: np.interp(x, [1.], [2.], -7, 9), (np.arange(3.),)),
    Case("interp in a period", lambda x: eg.interp(x, [5., 1, 3], [1., 2, 3], period=4),
         lambda x: np.interp(x, [5., 1, 3], [1., 2, 3], period=4), (np.linspace(-5, 9, 15),)),
    Case("nonzero", eg.nonzero, np.nonzero, (B,)),
    Case("nonzero of floats", lambda x: x.nonzero(), np.nonzero, (V,)),
    Case("nonzero of nothing", eg.nonzero, np.nonzero, (np.zeros((0, 3)),)),
    Case("nonzero as a matrix", lambda x: eg.nonzero(x, True), lambda x: np.stack(np.nonzero(x)), (B,)),
    Case("argwhere", eg.argwhere, np.argwhere, (B,)),
    Case("flatnonzero", eg.flatnonzero, np.flatnonzero, (B,)),
    Case("nonzero_values", eg.nonzero_values, lambda x: x[x != 0], (I,)),
    Case("extract", lambda x: eg.extract(x > 1, x), lambda x: np.extract(x > 1, x), (I,)),
    Case("compress", lambda x: eg.compress([False, True, True], x, axis=0), lambda x: np.compress([False, True, True], x, 0), (I,)),
    Case("compress short", lambda x, c: eg.compress(c, x), lambda x, c: np.compress(c, x), (I, np.array([0, 1, 1]))),
    Case("repeat by counts", lambda x, n: eg.repeat(x, n, 0), lambda x, n: np.repeat(x, n, 0), (I, np.array([2, 0, 3]))),
    Case("repeat by one count", lambda x: eg.repeat(x, [2]), lambda x: np.repeat(x, [2]), (I,)),
    Case("repeat by known counts", lambda x: eg.repeat(x, [1, 2, 0, 4], axis=1), lambda x: np.repeat(x, [1, 2, 0, 4], 1), (I,)),
]


@pytest.mark.parametrize("case, device, schedule", [  # each is made of rows, which are all tested under both schedules
    *((case, device, "auto") for case in CASES for device in ("numpy", "pocl")), *((case, "pocl", "gpu") for case in CASES[::5])],
    ids=lambda one: getattr(one, "name", one))
def test_functions_are_numpys(case: Case, device: str, schedule: str) -> None:
    """The same values and shapes as NumPy's function; floats to the last digits."""
    symbols = [eg.tensor(f"x{k}", a.dtype.name, (None,) * a.ndim) for k, a in enumerate(case.arguments)]
    made = case.ours(*symbols)
    got = eg.compile(symbols, list(made) if isinstance(made, tuple) else [made], device=device, schedule=schedule)(*case.arguments)
    with np.errstate(all="ignore"):
        found = case.numpys(*case.arguments)
    wanted = list(found) if isinstance(found, tuple) else [found]
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted):
        assert g.shape == np.shape(w) and g.dtype.kind == np.asarray(w).dtype.kind
        np.testing.assert_allclose(g, w, rtol=1e-6 if g.dtype == "float32" else 1e-13, atol=1e-6 if g.dtype == "float32" else 1e-13)


SMOOTH = [
    ("sort", lambda x: eg.sort(x, axis=0)), ("sort of all", lambda x: eg.sort(x, None)), ("topk", lambda x: eg.topk(x, 2)),
    ("median", lambda x: eg.median(x, axis=1)), ("quantile", lambda x: eg.quantile(x, 0.3)),
    ("interp", lambda x: eg.interp(x, np.array([-2., 0.1, 2]), np.array([1., 3, -1]))),
    ("compress", lambda x: eg.compress(np.array([True, False, True]), x, axis=0)), ("nonzero_values", lambda x: eg.nonzero_values(x) ** 2),
    ("repeat", lambda x: eg.repeat(x, np.array([2, 0, 1]), axis=0)), ("unique", lambda x: eg.unique(x) * np.arange(12.)),
    ("weights", lambda x: eg.bincount(np.arange(12) % 5, x.ravel())),
]


@pytest.mark.parametrize("name,function", SMOOTH, ids=[name for name, _ in SMOOTH])
def test_gradients(name: str, function: Callable[[Any], Any]) -> None:
    """Against finite differences, to second order."""
    check_grads(function, [np.random.default_rng(7).permutation(np.linspace(-1.9, 1.7, 12)).reshape(3, 4)])


def test_A17_sort_puts_nan_last_and_keeps_the_order_of_equals() -> None:
    """As NumPy, for zeros of both signs too."""
    x = eg.dvector()
    a = np.array([np.nan, 0.0, -0.0, -np.inf, np.nan, 0.0])
    for device, schedule in (("numpy", "auto"), ("pocl", "cpu"), ("pocl", "gpu")):
        got = eg.compile([x], [eg.argsort(x), eg.argtopk(x, 4)], device=device, schedule=schedule)(a)
        assert got[0].tolist() == [3, 1, 2, 5, 0, 4] and got[1].tolist() == [0, 4, 1, 2]


def test_topk_of_long_rows_with_equals_and_nan() -> None:
    """What is filtered by lanes, by a partition, or one by one gives the same: the best first, NaN the largest, of equals the first."""
    rng = np.random.default_rng(8)
    for n, k, dtype in [(400, 3, "float32"), (400, 3, "int64"), (90, 3, "float64"), (40, 4, "int64"), (700, 1, "float32")]:
        x = rng.integers(-60, 60, (5, n)).astype(dtype)
        if dtype.startswith("float"):
            x[1, 7], x[3, [2, 9]] = np.nan, np.nan
        for largest in (True, False):
            weight = np.where(x == x, -x if largest else x, -np.inf if largest else np.inf)
            np.testing.assert_array_equal(best_positions(x, k, 1, largest), np.argsort(weight, 1, kind="stable")[:, :k])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "int64", "float16", "float32", "float64"])
def test_topk_by_filters_is_the_row_A17(dtype: str, rng: np.random.Generator) -> None:
    """Few and many equals, infinities, zeros of both signs, NaN in few places and in most; also of no rows and one by one."""
    reference = ROWS["argtopk"].numpy
    for n, k, span, nans in [(500, 4, 10**4, 0), (501, 4, 10**4, 1), (777, 3, 10**4, 300), (130, 2, 9, 0), (96, 8, 10**4, 90),
                             (1000, 1, 10**4, 1000), (48, 4, 100, 0), (12, 12, 5, 2)]:
        x = rng.integers(0, span, (6, n)).astype(dtype)
        if dtype.startswith("float"):
            x = x - x.dtype.type(span // 2)
            x[0, :3], x[1, 5:9] = [np.inf, -np.inf, -0.0], [0.0, -0.0, np.inf, -np.inf]
            for row in x[2:]:
                row[rng.permutation(n)[:nans]] = np.nan
        for given in (x, x[:1], x[:0]):
            for largest in (True, False):
                np.testing.assert_array_equal(best_positions(given, k, 1, largest), reference(given, k, 1, largest))


def test_rows_are_added_onto_a_table_in_one_kernel() -> None:
    """As NumPy's add.at, in its order and with the signs of zeros; as one launch on a CPU."""
    t, i, g = eg.matrix("t"), eg.lvector("i"), eg.matrix("g")
    f = eg.compile([t, i, g], t[i].inc(g), device="pocl", schedule="cpu")
    table, places, rows = np.random.default_rng(1).random((5, 3), "float32"), np.array([0, 4, 4, -2]), np.ones((4, 3), "float32") / 3
    table[2] = -0.0
    want = table.copy()
    np.add.at(want, places, rows)
    got = f(table, places, rows)
    assert (got == want).all() and np.signbit(got[2]).all() and f.why().count("launch") == 1
    with pytest.raises(IndexFault, match="scatter_inc: index 7 is out of bounds for axis 0 with size 5"):
        f(table, np.array([0, 1, 2, 7]), rows)


BAD: list[tuple[str, type[Exception], Callable[[], Any]]] = [
    ("no axis to sort", RankError, lambda: eg.sort(eg.scalar())),
    ("kind='bogo'", CallError, lambda: eg.sort(eg.vector(), kind="bogo")),
    ("side must be", CallError, lambda: eg.searchsorted(eg.vector(), 1, side="middle")),
    ("sorted vector", RankError, lambda: eg.searchsorted(eg.matrix(), 1)),
    ("k is 3", ShapeError, lambda: eg.topk(eg.tensor("x", "float32", (2,)), 3)),
    ("between 0 and 1", ShapeError, lambda: eg.quantile(eg.vector(), 1.5)),
    ("method must be", CallError, lambda: eg.quantile(eg.vector(), 0.5, method="best")),
    ("vector of integers", DTypeError, lambda: eg.bincount(eg.vector())),
    ("axis is not supported", UseError, lambda: eg.unique(eg.matrix(), axis=0)),
    ("at least 1 axis", RankError, lambda: eg.nonzero(eg.scalar())),
    ("vector as its condition", RankError, lambda: eg.compress(eg.bmatrix(), eg.vector())),
    ("vector of integers", DTypeError, lambda: eg.repeat(eg.vector(), eg.vector())),
    ("bins must be", ShapeError, lambda: eg.histogram(eg.vector(), 0)),
    ("in order", ShapeError, lambda: eg.histogram(eg.vector(), 3, (2, 1))),
    ("xp and fp are vectors", RankError, lambda: eg.interp(1.0, eg.matrix(), eg.vector())),
]


@pytest.mark.parametrize("message,error,make", BAD, ids=[f"{m} {k}" for k, (m, _, _) in enumerate(BAD)])
def test_bad_input_is_refused(message: str, error: type[Exception], make: Callable[[], Any]) -> None:
    """With the user's line."""
    with pytest.raises(error, match=message) as caught:
        make()
    assert "test_sorting.py" in str(caught.value)


def test_bad_values_are_faults_of_the_call(device: str) -> None:
    """A negative count, a k beyond the axis, a condition that is too long, counts that do not fit; then the function still works."""
    i, x, k = eg.lvector("i"), eg.vector("x"), eg.lscalar("k")
    three = np.float32([1, 2, 3])
    for function, bad, good, error in [
            (eg.compile([i], eg.bincount(i)), [np.array([1, -2])], [np.array([1, 2])], ValueFault),
            (eg.compile([x, k], eg.topk(x, k)), [three, 4], [three, 2], ShapeError),
            (eg.compile([i, x], eg.compress(i, x)), [np.array([0, 0, 0, 1]), three], [np.array([1, 0]), three], IndexFault),
            (eg.compile([x, i], eg.repeat(x, i)), [three, np.array([1, 2])], [three, np.array([1, 2, 0])], ShapeError),
            (eg.compile([x, i], eg.repeat(x, i)), [three, np.array([1, -2, 1])], [three, np.array([1, 2, 0])], ValueFault)]:
        with pytest.raises(error, match="test_sorting.py"):
            function(*bad)
        function(*good)
