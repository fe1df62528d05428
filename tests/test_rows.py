"""Generic over the table of rows: every elementwise row gets these tests by standing in the table."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.dtypes import FLOATS, REAL
from exprgraph.errors import DTypeError
from exprgraph.node import Op, Out
from exprgraph.ops import complexes
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads
from tests.plan_runner import CPU, GPU, interpret

ELEMENTWISE = [r for r in ROWS.values() if r.kind == "elementwise" and r.name not in ("cast", "assert", "checked", *complexes.TABLE)]
"""Those between real and complex numbers have the like in tests/test_complex.py, assertions and checks in tests/test_markers.py."""
LIMITS = {"float16": [np.nan, np.inf, -np.inf, -0.0, 0.0, 6e-8, 65504.0, 0.5, 2.5],
          "float32": [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 3.4e38, 0.5, 2.5], "bool": [True, False],
          "float64": [np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1.7e308, 0.5, 2.5]}


def limits(dtype: str) -> list:
    """Values at which arithmetic of a dtype is special."""
    if dtype in LIMITS:
        return LIMITS[dtype]
    info = np.iinfo(dtype)
    return [info.min, info.max, 0, 1, 2, 7, -1 if info.min else 3, -7 if info.min else 64]


def arguments(row: Op, dtype: str, seed: int) -> list[np.ndarray]:
    """Arguments of one dtype: every pair of special values, then random ones from the row's domain."""
    rng = np.random.default_rng(seed)
    special = np.array(limits(dtype), dtype)
    grid = np.meshgrid(*[special] * min(len(row.domain), 2), indexing="ij")
    found = []
    for k, (low, high) in enumerate(row.domain):
        drawn = rng.uniform(low, high, 40) if dtype in FLOATS else rng.integers(0, 2, 40) if dtype == "bool" else rng.integers(0, 9, 40)
        found.append(np.concatenate([grid[min(k, len(grid) - 1)].ravel(), drawn.astype(dtype)]))
    return found


def taken(row: Op) -> list[tuple[list[Out], Out]]:
    """The row on symbols of every dtype that it takes."""
    found = []
    for dtype in REAL:
        symbols = [eg.tensor(f"x{k}", dtype, (None,)) for k in range(len(row.domain))]
        try:
            found.append((symbols, row(*symbols)))
        except DTypeError:
            continue
    return found


def usable(row: Op, symbols: list[Out], values: list[np.ndarray]) -> list[np.ndarray]:
    """The arguments for which the row has a value at all: integers to negative powers and indices outside their axis have none."""
    if row.name == "pow" and symbols[0].dtype in REAL[1:9]:
        return [values[0], np.abs(values[1]) % 8]
    if row.name == "position":
        back = 0 if values[0].dtype.kind == "u" else 5
        return [values[0] % 5 - values[0] % 2 * back, values[1] % 3 + 5]
    return values


def agree(got: np.ndarray, wanted: np.ndarray, exact: np.ndarray, ulp: float) -> None:
    """Equal, or within `ulp` units in the last place of the exact value; NaN, infinities and signs of zero agree."""
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
        return
    with np.errstate(all="ignore"):
        wide = exact.astype("longdouble")
        # a result in the denormal range of a function with rounding may be flushed or off by one spacing
        near = np.abs(got - wide) <= (ulp + 1) * np.spacing(np.maximum(np.abs(wanted), np.finfo(got.dtype).tiny))
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted)) | (near & np.isfinite(wanted) & np.isfinite(got))
    bad = np.flatnonzero(~same | ((wanted == 0) & (got == 0) & (np.signbit(got) != np.signbit(wanted))))
    assert not bad.size, f"{bad.size} differ, first at {bad[0]}: {got[bad[0]]!r} for {wanted[bad[0]]!r}"


def oracle(row: Op, symbols: list[Out], values: list[np.ndarray], out: Out) -> tuple[np.ndarray, np.ndarray]:
    """The row's NumPy meaning, and the same computed in the next wider dtype; integers that become float32 have been rounded then."""
    leaves = {s.node: v for s, v in zip(symbols, values)}
    own, = evaluate([out], leaves)
    if own.dtype == "float32" and values[0].dtype.kind in "iu":
        floats = [eg.tensor(s.name, "float64", (None,)) for s in symbols]
        out, leaves = row(*floats), {s.node: v.astype("float32").astype("float64") for s, v in zip(floats, values)}
    wide, = evaluate([out], leaves, {"float16": "float32", "float32": "float64"})
    return own, wide


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda r: r.name)
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_value_on_pocl(row: Op, schedule: str) -> None:
    """Special and random values.  On a CPU every dtype that the row takes.  On a GPU, whose kernels call the same functions and which the
    driver builds one by one, every third dtype, another third for the next row: so each row and each dtype is met, with several of
    the other."""
    cases = taken(row)
    assert cases, "a row that takes no dtype"
    if schedule == "gpu":
        cases = cases[ELEMENTWISE.index(row) % min(3, len(cases))::3]
    inputs = [s for symbols, _ in cases for s in symbols]
    values = [usable(row, symbols, arguments(row, symbols[0].dtype, k)) for k, (symbols, _) in enumerate(cases)]
    f = eg.compile(inputs, [out for _, out in cases], device="pocl", schedule=schedule, optimizer="none")
    results = f(*[v for vs in values for v in vs])
    for (symbols, out), vs, got in zip(cases, values, results):
        own, wide = oracle(row, symbols, vs, out)
        agree(got, own, wide, row.ulp)


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda r: r.name)
def test_value_in_the_interpreter(row: Op) -> None:
    """The generated trees of both schedules, and empty and length-1 axes, with checks of bounds and races."""
    for symbols, out in taken(row)[:1] + taken(row)[-1:]:
        for count in (0, 1, 5):
            values = [v[-count:] if count else v[:0] for v in usable(row, symbols, arguments(row, symbols[0].dtype, count))]
            own, wide = oracle(row, symbols, values, out)
            for target in (CPU, GPU):
                graph = eg.Graph(tuple(symbols), (out,))
                got, = interpret(graph, [s.node for s in symbols], values, target)
                agree(got, own, wide, row.ulp)


@pytest.mark.parametrize("row", [r for r in ELEMENTWISE if "smooth" in r.flags], ids=lambda r: r.name)
def test_first_and_second_gradient(row: Op) -> None:
    """Finite differences in random directions, in float64."""
    rng = np.random.default_rng(5)
    point = [rng.uniform(low, high, (2, 3)) for low, high in row.domain]
    check_grads(row, point, order=2)


@pytest.mark.parametrize("row", [r for r in ELEMENTWISE if len(r.domain) == 2], ids=lambda r: r.name)
def test_broadcast_operands(row: Op) -> None:
    """Ranks and length-1 axes as in NumPy, decided by the sizes of the call."""
    dtype = "float32" if any(s[0].dtype == "float32" for s, _ in taken(row)) else "int32"
    rng = np.random.default_rng(7)
    for left, right in [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((1,), (4,)), ((0, 3), (1, 3))]:
        a, b = (eg.tensor(n, dtype, (None,) * len(s)) for n, s in (("a", left), ("b", right)))
        out = row(a, b)
        draws = [rng.uniform(*row.domain[k], s).astype(dtype) if dtype == "float32" else rng.integers(0, 5, s).astype(dtype)
                 for k, s in enumerate((left, right))]
        draws = usable(row, [a, b], draws)
        own, wide = oracle(row, [a, b], draws, out)
        for target in (CPU, GPU):
            for general in (False, True):
                got, = interpret(eg.Graph((a, b), (out,)), [a.node, b.node], draws, target, general)
                agree(got, own, wide, row.ulp)
