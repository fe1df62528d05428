"""The functions of shape, creation and statistics by NumPy's names: values on both backends, gradients, wrong arguments."""
import re
from functools import partial

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import CallError, DTypeError, RankError, ShapeError, UseError, ValueFault
from exprgraph.reference import evaluate
from tests.function_table import Row, agree, check_slope, check_values

RNG = np.random.default_rng(6)
V, M, T = RNG.normal(size=5), RNG.normal(size=(3, 4)), RNG.normal(size=(2, 3, 4))
I, B = np.arange(12).reshape(3, 4) - 5, M > 0
N = np.where(RNG.random((3, 4)) < 0.4, np.nan, M)
N[1] = np.nan
P = np.array([[2, 0, 1, 3], [3, 2, 1, 0], [0, 1, 2, 3]])


def both(name, call, *arrays, smooth=True):
    """The same text for exprgraph and for NumPy."""
    return Row(name, partial(call, eg), partial(call, np), arrays, smooth)


def permuted(x, y):
    return np.take_along_axis(x, np.broadcast_to(y, x.shape), -1)


def filled(a, val, offset=0):
    out = a.copy()
    for i in range(a.shape[0]):
        if 0 <= i + offset < a.shape[1]:
            out[i, i + offset] = val
    return out


def wrapped(a):
    out = a.copy()
    np.fill_diagonal(out, 7, wrap=True)
    return out


def cube_filled(a):
    out = a.copy()
    np.fill_diagonal(out, 7)
    return out


SHAPE = [
    *[both(f"rot90 {k} {axes}", lambda e, x, k=k, axes=axes: e.rot90(x, k, axes), T) for k in (-1, 0, 1, 2, 3, 5)
      for axes in ((0, 1), (2, 0))],
    both("fliplr", lambda e, x: e.fliplr(x), M), both("flipud", lambda e, x: e.flipud(x), V),
    both("flip", lambda e, x: e.flip(x, (0, 2)), T),
    *[both(f"roll {s} {a}", lambda e, x, s=s, a=a: e.roll(x, s, a), T)
      for s, a in ((1, None), (-7, 1), ((1, 2), (0, 2)), (2, (1, 2)), ((1, 1), 1), ((1, 2), None))],
    *[both(f"rollaxis {a} {s}", lambda e, x, a=a, s=s: e.rollaxis(x, a, s), T) for a, s in ((2, 0), (0, 2), (0, 3), (1, 1), (-1, 1))],
    both("dstack", lambda e, x, y: e.dstack([x, y]), M, M), both("dstack of vectors", lambda e, x: e.dstack([x, x, x]), V),
    both("column_stack", lambda e, x, y: e.column_stack([x, y, x]), V, RNG.normal(size=(5, 2))),
    both("block", lambda e, x, v: e.block([[x, x], [v, v]]), M, V[:4]), both("block of vectors", lambda e, x: e.block([x, x]), V),
    Row("stacklists", lambda x, y: eg.stacklists([[x, y], [y, x]]), lambda x, y: np.array([[x, y], [y, x]]), [V, 2 * V]),
    *[both(f"array_split {n} {a}", lambda e, x, n=n, a=a: e.array_split(x, n, a), T)
      for n, a in ((2, 2), (3, 2), (5, 1), ([1, 2], 2), (1, 0))],
    both("hsplit", lambda e, x: e.hsplit(x, 2), M), both("hsplit of a vector", lambda e, x: e.hsplit(x, [2]), V),
    both("vsplit", lambda e, x: e.vsplit(x, 3), M), both("dsplit", lambda e, x: e.dsplit(x, [1, 3]), T),
    *[both(f"meshgrid {i} {s}", lambda e, x, y, z, i=i, s=s: e.meshgrid(x, y, z, indexing=i, sparse=s), V, V[:1], V[:3])
      for i in ("xy", "ij") for s in (False, True)],
    both("meshgrid of one", lambda e, x: e.meshgrid(x), V), both("meshgrid with a scalar", lambda e, x, y: e.meshgrid(x, y), V, V[0]),
    both("diagflat", lambda e, x: e.diagflat(x, 1), M), both("tile", lambda e, x: e.tile(x, (2, 1, 3)), M),
    both("moveaxis", lambda e, x: e.moveaxis(x, (0, 1), (-1, 0)), T),
    Row("tile ndim", lambda x: eg.tile(x, 2, ndim=3), lambda x: np.tile(x, (1, 1, 2)), [M]),
    Row("fill_diagonal", lambda x: eg.fill_diagonal(x, 7.0), partial(filled, val=7.0), [M]),
    Row("fill_diagonal tall", lambda x: eg.fill_diagonal(x, 7.0), partial(filled, val=7.0), [M.T]),
    *[Row(f"fill_diagonal wrap {a.shape}", lambda x: eg.fill_diagonal(x, 7, wrap=True), wrapped, [a])
      for a in (M, M.T, RNG.normal(size=(9, 2)))],
    Row("fill_diagonal cube", lambda x: eg.fill_diagonal(x, 7), cube_filled, [RNG.normal(size=(3, 3, 3))]),
    *[Row(f"fill_diagonal_offset {o}", lambda x, v, o=o: eg.fill_diagonal_offset(x, v, o), partial(filled, offset=o), [M, V[0]])
      for o in (-4, -2, 0, 1, 3, 9)],
    Row("permute_row_elements", lambda x: eg.permute_row_elements(x, P), partial(permuted, y=P), [M]),
    Row("permute_row_elements by one row", lambda x: eg.permute_row_elements(x, P[0]), partial(permuted, y=P[0]), [T]),
    Row("permute_row_elements inverse", lambda x: eg.permute_row_elements(x, P, inverse=True), partial(permuted, y=np.argsort(P)), [M]),
    Row("inverse_permutation", eg.inverse_permutation, np.argsort, [P[0]], False),
    Row("inverse_permutation of rows", eg.inverse_permutation, lambda p: np.argsort(p, axis=-1), [P], False),
    Row("choose", lambda a, x, y: eg.choose(a, [x, y, 1]), lambda a, x, y: np.choose(a, [x, y, 1.0]), [P[1] % 3, M, V[:4]], False),
    Row("choose of a tensor", eg.choose, np.choose, [P[0] % 2, T[:, 0]], False),
    *[Row(f"choose {m}", lambda a, x, m=m: eg.choose(a, x, mode=m), lambda a, x, m=m: np.choose(a, x, mode=m), [I, T[:, 0]], False)
      for m in ("wrap", "clip")],
    both("select", lambda e, x: e.select([x > 1, x > 0], [x, x * 2], -1.0), M),
    both("unravel_index", lambda e, i: e.unravel_index(i, (3, 4, 5)), np.array([[0, 59], [7, 22]]), smooth=False),
    both("unravel_index F", lambda e, i: e.unravel_index(i, (3, 4, 5), order="F"), np.array([0, 59, 7]), smooth=False),
    both("ravel_multi_index", lambda e, i, j: e.ravel_multi_index((i, j), (3, 4)), np.array([0, 2, 1]), np.array([3, 0, 2]), smooth=False),
    *[both(f"ravel_multi_index {m}", lambda e, i, j, m=m: e.ravel_multi_index((i, j), (3, 4), mode=m, order="F"), np.array([0, -2, 7]),
           np.array([3, 9, -1]), smooth=False) for m in ("wrap", "clip", ("wrap", "clip"))]]

CREATION = [
    both("indices", lambda e, x: e.indices((2, 3)), V, smooth=False),
    both("indices sparse", lambda e, x: e.indices((2, 3), sparse=True), V, smooth=False),
    both("mgrid", lambda e, x: e.mgrid[0:3, 1:7:2], V, smooth=False), both("mgrid of points", lambda e, x: e.mgrid[0:1:3j, 0:2:4j], V),
    both("mgrid of one", lambda e, x: e.mgrid[2:5], V, smooth=False),
    both("ogrid", lambda e, x: e.ogrid[0:3, -1:2, 4:0:-2], V, smooth=False),
    both("ogrid of one", lambda e, x: e.ogrid[0:1:3j], V),
    *[both(f"{w} {n}", lambda e, x, w=w, n=n: getattr(e, w)(n), V) for w in ("bartlett", "hanning", "hamming", "blackman")
      for n in (0, 1, 2, 5, 8)],
    *[both(f"linspace {k}", lambda e, a, b, k=k: e.linspace(a, b, **k), V[0], V[1])
      for k in ({}, {"num": 1}, {"num": 0}, {"num": 5, "endpoint": False}, {"num": 1, "endpoint": False})],
    both("linspace of tensors", lambda e, a, b: e.linspace(a, b, 5, axis=1), M, V[:4]),
    both("linspace retstep", lambda e, a, b: e.linspace(a, b, 5, retstep=True), M, V[:4]),
    both("linspace of integers", lambda e, a: e.linspace(a, 9, 4, dtype="int64"), I, smooth=False),
    both("logspace", lambda e, a: e.logspace(a, 2, 5), V), both("logspace base", lambda e, a: e.logspace(a, 2, 5, base=2.0), V[0]),
    *[both(f"geomspace {k}", lambda e, a, b, k=k: e.geomspace(a, b, **k), abs(V) + 1, abs(V) * 9 + 2)
      for k in ({"num": 4}, {"num": 1}, {"num": 3, "endpoint": False}, {"num": 4, "axis": -1})],
    both("geomspace of negatives", lambda e, a: e.geomspace(a, -100, 4), -abs(V) - 1),
    both("known spaces", lambda e, x: [e.linspace(0, 1, 5), e.logspace(0, 2, 3), e.geomspace(1, 8, 4)], V),
    both("like", lambda e, x: [e.full_like(x, 2), e.empty_like(x) * 0, e.zeros_like(x), e.ones_like(x)], I, smooth=False),
    both("like of another shape",
         lambda e, x: [e.full_like(x, 2, shape=(2, 5)), e.zeros_like(x, shape=3), e.ones_like(x, shape=())],
         I, smooth=False),
    both("stacks of a dtype",
         lambda e, x: [f([x, x], dtype="float64") for f in (e.concatenate, e.stack, e.vstack, e.hstack)], I, smooth=False),
    Row("AllocEmpty", lambda x: eg.AllocEmpty("float64")(2, x.shape[0]) * 0, lambda x: np.zeros((2, 5)), [V], False)]


def nanrow(name):
    return [both(f"{name} {a} {k}", lambda e, x, n=name, a=a, k=k: getattr(e, n)(x, axis=a, keepdims=k), N, smooth=False)
            for a in (None, 0, 1) for k in (False, True)]


def trapezoid(y, x=None, dx=1.0, axis=-1):
    gaps = dx if x is None else np.diff(x, axis=-1 if x.ndim == 1 else axis)
    y = np.moveaxis(y, axis, -1)
    return ((y[..., 1:] + y[..., :-1]) / 2 * gaps).sum(-1)


STATISTICS = [
    *[r for n in ("nansum", "nanprod", "nanmean", "nanmax", "nanmin", "nanstd", "nanvar") for r in nanrow(n)],
    both("nanvar ddof", lambda e, x: e.nanvar(x, axis=0, ddof=1), N, smooth=False),
    both("nanargmax", lambda e, x: e.nanargmax(x, axis=1), np.where(B, M, np.nan)[B.any(1)], smooth=False),
    both("nanargmin", lambda e, x: e.nanargmin(x), N, smooth=False),
    both("nansum of integers", lambda e, x: e.nansum(x, axis=0), I, smooth=False),
    both("nancumsum", lambda e, x: e.nancumsum(x, axis=1), N, smooth=False),
    both("nancumprod", lambda e, x: e.nancumprod(x, axis=1), N, smooth=False),
    both("nanmean of numbers", lambda e, x: e.nanmean(x, 0), M), both("nanstd of numbers", lambda e, x: e.nanstd(x, 0), M),
    both("average", lambda e, x: e.average(x, 0), M), both("average weighted", lambda e, x, w: e.average(x, 1, w), M, V[:4]),
    both("average returned", lambda e, x, w: e.average(x, weights=w, returned=True), M, abs(M)),
    both("average all returned", lambda e, x: e.average(x, returned=True), M),
    both("average of integers", lambda e, x: e.average(x, 1, np.arange(4)), I, smooth=False),
    both("cov", lambda e, x: e.cov(x), M), both("cov y", lambda e, x, y: e.cov(x, y), M, V[:4]),
    both("cov columns", lambda e, x: e.cov(x, rowvar=False, bias=True), M), both("cov of one", lambda e, x: e.cov(x), V),
    both("cov fweights", lambda e, x: e.cov(x, fweights=np.array([1, 2, 0, 3])), M),
    both("cov aweights", lambda e, x, w: e.cov(x, aweights=w), M, abs(V[:4])),
    both("cov weights ddof", lambda e, x, w: e.cov(x, aweights=w, fweights=np.array([1, 2, 1, 3]), ddof=2), M, abs(V[:4])),
    *[both(f"cov complex {k}", lambda e, x, k=k: e.cov(x, **k), M + 1j * M[::-1] ** 2, smooth=False)
      for k in ({}, {"fweights": np.array([1, 2, 0, 3])}, {"aweights": np.array([0.5, 2, 1, 3])})],
    both("complex", lambda e, x: [e.corrcoef(x), e.average(x, 0), e.nansum(x), e.nanprod(x, 0)],
         M + 1j * M[::-1], smooth=False),
    both("complex with NaN", lambda e, x: [e.nansum(x), e.nanprod(x, 0)], N + 1j * M, smooth=False),
    both("corrcoef", lambda e, x: e.corrcoef(x), M), both("corrcoef y", lambda e, x, y: e.corrcoef(x, y), V, V ** 2),
    both("corrcoef of one", lambda e, x: e.corrcoef(x), V),
    *[both(f"count_nonzero {a}", lambda e, x, a=a: e.count_nonzero(x, axis=a), x, smooth=False) for x in (I, B) for a in (None, 0)],
    *[both(f"diff {k}", lambda e, x, k=k: e.diff(x, **k), M)
      for k in ({}, {"n": 2, "axis": 0}, {"prepend": 1.0}, {"axis": 0, "append": 0})],
    both("diff between", lambda e, x, y: e.diff(x, prepend=y, append=y), M, RNG.normal(size=(3, 2))),
    both("size", lambda e, x: [e.size(x), e.size(x, 0)], T, smooth=False),
    both("ediff1d", lambda e, x: e.ediff1d(x), M), both("ediff1d ends", lambda e, x, y: e.ediff1d(x, y, [1.0]), V, V[:2]),
    Row("trapezoid", eg.trapezoid, trapezoid, [M]),
    Row("trapezoid dx", lambda y: eg.trapezoid(y, dx=0.5, axis=0), lambda y: trapezoid(y, dx=0.5, axis=0), [M]),
    Row("trapezoid x", eg.trapezoid, trapezoid, [M, V[:4]]),
    Row("trapezoid of all", lambda y, x: eg.trapezoid(y, x, axis=1), trapezoid, [M, M ** 2])]

SPECIAL = np.array([-800.0, -3, -1e-20, -0.5, -0.7, 0.3, 2, 900, np.nan, np.inf, -np.inf])
ELEMENTWISE = [
    both("logaddexp2", lambda e, x, y: e.logaddexp2(x, y), M, T[0]),
    both("logaddexp2 large", lambda e, x: e.logaddexp2(x, 1000), SPECIAL, smooth=False),
    Row("log1mexp", eg.log1mexp, lambda x: np.where(x > -0.5, np.log(-np.expm1(x)), np.log1p(-np.exp(x))), [-abs(M) - 0.01]),
    Row("log1mexp far and near", eg.log1mexp,
        lambda x: np.where(x > -0.5, np.log(-np.expm1(x)), np.log1p(-np.exp(x))), [SPECIAL[:5]], False),
    both("fmax", lambda e, x: e.fmax(x, x[::-1]), SPECIAL, smooth=False),
    both("fmin", lambda e, x: e.fmin(x, x[::-1]), SPECIAL, smooth=False),
    both("heaviside", lambda e, x: e.heaviside(x, 0.5), np.append(SPECIAL, 0.0), smooth=False), both("sinc", lambda e, x: e.sinc(x), M),
    both("sinc of integers", lambda e, x: e.sinc(x), I.astype("float64"), smooth=False),
    both("round", lambda e, x: [e.round(x, decimals=d) for d in (-2, -1, 0, 1, 2)], SPECIAL * 1.2345, smooth=False),
    both("round of integers", lambda e, x: e.round(x, decimals=-1), I * 7, smooth=False),
    both("nan_to_num", lambda e, x: e.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-3.0), SPECIAL, smooth=False)]
TABLES = {"shape": SHAPE, "creation": CREATION, "statistics": STATISTICS, "elementwise": ELEMENTWISE}
SMOOTH = [r for table in TABLES.values() for r in table if r.smooth and r.arrays[0].dtype.kind == "f"]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_on_numpy(name):
    check_values(TABLES[name], "numpy")


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_on_pocl(name, schedule):
    check_values(TABLES[name][schedule == "gpu"::4], "pocl", schedule)


@pytest.mark.parametrize("row", SMOOTH, ids=lambda r: r.name)
def test_i6_gradients(row):
    check_slope(row)


@pytest.mark.parametrize("shape", [(0,), (1,), (2,)], ids=str)
def test_c1_no_elements_and_one(shape):
    array = np.arange(shape[0]) + 1.5
    rows = [both("roll", lambda e, x: e.roll(x, 3), array), both("flipud", lambda e, x: e.flipud(x), array),
            both("array_split", lambda e, x: e.array_split(x, 3), array), both("meshgrid", lambda e, x: e.meshgrid(x, V), array),
            both("nansum", lambda e, x: e.nansum(x), array), both("diagflat", lambda e, x: e.diagflat(x), array),
            both("tile", lambda e, x: e.tile(x, (2, 0)), array), both("column_stack", lambda e, x: e.column_stack([x, x]), array),
            both("count_nonzero", lambda e, x: e.count_nonzero(x), array), both("hsplit", lambda e, x: e.hsplit(x, [1]), array)]
    check_values(rows, "numpy")
    check_values(rows, "pocl")


def test_c14_counts_of_the_graph(device):
    n, a = eg.lscalar("n"), eg.dscalar("a")
    made = [eg.linspace(a, 2, n), eg.linspace(a, 2, n, endpoint=False), eg.logspace(a, 2, n), eg.geomspace(a, 2, n),
            eg.hanning(n).astype("float64"), eg.bartlett(n).astype("float64"), *eg.mgrid[0:n, 1:n + 1], eg.tile(eg.stack([a, a]), (n, 2))]
    f = eg.compile([n, a], made)
    for count in (0, 1, 4):
        want = [np.linspace(0.5, 2, count), np.linspace(0.5, 2, count, endpoint=False), np.logspace(0.5, 2, count),
                np.geomspace(0.5, 2, count), np.hanning(count), np.bartlett(count), *np.mgrid[0:count, 1:count + 1],
                np.tile([0.5, 0.5], (count, 2))]
        for got, one in zip(f(count, 0.5), want):
            np.testing.assert_allclose(got, one, rtol=1e-5)
    with pytest.raises(ValueError, match="negative"):
        f(-1, 0.5)


def test_c8_positions_outside_are_faults(device):
    i, x = eg.lvector("i"), eg.dmatrix("x")
    for out in (eg.unravel_index(i, (2, 3))[0], eg.ravel_multi_index((i, i), (6, 6)), eg.choose(i, eg.zeros((6, 1)))):
        f = eg.compile([i], out)
        f(np.array([0, 5]))
        for bad in (6, -1):
            with pytest.raises(ValueFault, match="out of bounds"):
                f(np.array([0, bad]))
    with pytest.raises(ShapeError, match="one length; there are 1 and 3"):
        eg.compile([x], eg.fill_diagonal(eg.reshape(x, (x.shape[0], 1, x.shape[1])), 1))(M)


def test_splitting_by_numpys_names_of_symbols_and_unstack():
    x = eg.tensor("x", "float64", (3, None))
    parts = eg.unstack(x)
    got = evaluate([*parts, *np.array_split(x, 2)], {x.node: M})
    for one, want in zip(got, (*M, *np.array_split(M, 2))):
        agree("parts", one, want)


v, m, n = eg.vector("v"), eg.matrix("m"), eg.lscalar("n")
BAD = [
    (lambda: eg.fliplr(v), RankError, "fliplr takes a tensor of at least 2 axes"), (lambda: eg.rot90(m, 1, (0, 0)), ShapeError, "differ"),
    (lambda: eg.roll(m, (1, 2, 3), (0, 1)), ShapeError, "3 shifts and 2 axes"), (lambda: eg.rollaxis(m, 2), ShapeError, "out of bounds"),
    (lambda: eg.block([[m], m]), ShapeError, "nested equally deep"), (lambda: eg.block([]), ShapeError, "not be empty"),
    (lambda: eg.array_split(v, 0), ShapeError, "at least 1, not 0"), (lambda: eg.vsplit(v, 2), RankError, "at least 2 axes, not 1"),
    (lambda: eg.dsplit(m, 2), RankError, "at least 3 axes"), (lambda: eg.unstack(v), ShapeError, "is not known"),
    (lambda: eg.meshgrid(v, m), RankError, "ranks given: 1, 2"), (lambda: eg.meshgrid(v, indexing="yx"), UseError, "indexing must be"),
    (lambda: eg.mgrid[3], UseError, r"mgrid\[0:5, 0:3\], not by 3"), (lambda: eg.fill_diagonal(v, 1), RankError, "at least 2 axes"),
    (lambda: eg.fill_diagonal(m, v), RankError, "a scalar, not a tensor of 1"),
    (lambda: eg.fill_diagonal_offset(v, 1, 0), RankError, "a matrix"),
    (lambda: eg.inverse_permutation(n), RankError, "not a scalar"), (lambda: eg.inverse_permutation(v), DTypeError, "integer"),
    (lambda: eg.permute_row_elements(m, n), RankError, "not scalars"), (lambda: eg.choose(n, [v], mode="last"), UseError, "mode must be"),
    (lambda: eg.choose(n, [v], out=v), UseError, "out="), (lambda: eg.unravel_index(n, (2, 3), order="A"), UseError, "order must be"),
    (lambda: eg.ravel_multi_index((n, n), (2,)), ShapeError, "2 positions, 1 sizes"),
    (lambda: eg.select([v > 0], []), ShapeError, "1 conditions"),
    (lambda: eg.select([v], [v]), DTypeError, "must be bool"), (lambda: eg.linspace(0, n, -1), ShapeError, "must not be negative: -1"),
    (lambda: eg.geomspace(0, 1, 3), ShapeError, "neither end can be 0"),
    (lambda: eg.bartlett(2.5), DTypeError, "must be an integer"),
    (lambda: eg.average(m, None, v), RankError, "weights of 1 axes for a tensor of 2"),
    (lambda: eg.cov(m, ddof=0.5), UseError, "ddof must be"),
    (lambda: eg.cov(m, aweights=m), RankError, "weights are a vector"),
    (lambda: eg.hsplit(eg.tensor(shape=(4,)), 3), ShapeError, "3 equal"),
    (lambda: eg.tile(m, (1.5, 2)), DTypeError, "integer"), (lambda: eg.nansum(m, axis=2), ShapeError, "out of bounds"),
    (lambda: eg.count_nonzero(m, axis=(0, 0)), ShapeError, "duplicate axis"), (lambda: eg.linspace(), TypeError, "missing"),
    (lambda: eg.round(v, "up"), UseError, "mode must be"), (lambda: eg.nanmax(eg.tensor(shape=(0,))), ShapeError, "no elements"),
    (lambda: eg.fmax(v), TypeError, "missing"), (lambda: eg.sinc(), (TypeError, CallError), "missing")]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_c12_wrong_arguments_are_named_with_the_line(number):
    make, error, message = BAD[number]
    with pytest.raises(error, match=message) as found:
        make()
    if "missing" not in message:
        assert re.search(r"\n  at .*test_shape_functions.py:\d+$", str(found.value))
