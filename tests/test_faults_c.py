"""Faults of shapes, strides and indices (rows C1 to C16) and of the use of the interface (G4 to G8), in all three ways to compute."""
from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

import exprgraph as eg
import runtime.program
from tests.faults import WAYS, both, same

F, D = np.float32, np.float64
M = np.arange(12.0).reshape(3, 4) - 5
EMPTY = {"(0, 4)": np.zeros((0, 4)), "(3, 0)": np.zeros((3, 0)), "(0, 0)": np.zeros((0, 0))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", EMPTY)
def test_C1_zero_sizes(shape: str, way: str) -> None:
    """Every kind of operation on arrays without elements: the right empty result, or the neutral value."""
    both(way, lambda m, x: [
        m.exp(x) + 1, x.sum(), x.sum(axis=0), x.sum(axis=1), x.prod(axis=1), x.T, x.reshape((-1,)),
        m.concatenate([x, x], axis=1), m.stack([x, x]), x[:, 1:], x[::-1], x @ x.T, x.T @ x, m.where(x > 0, x, -x), m.maximum(x, 0),
        x.any(axis=1), m.broadcast_to(x[None], (2, *x.shape)), x.astype("int32"), x * 2],
        [EMPTY[shape]])


@pytest.mark.parametrize("way", WAYS)
def test_C1_zero_sizes_elsewhere(way: str) -> None:
    """Shared values, updates, indices and gradients without elements."""
    w, x, i = eg.shared(np.zeros((0, 3), F), "w"), eg.matrix("x"), eg.vector("i", dtype="int64")
    f = eg.compile([x, i], [x[i], w.sum(), w @ x], updates={w: eg.concatenate([w, x[:1] * 2])}, **WAYS[way])
    rows = np.ones((3, 3), F)
    same(f(rows, np.zeros(0, np.int64)), [np.zeros((0, 3)), 0.0, np.zeros((0, 3))])
    same([w.get_value(), *f(rows, np.array([1]))], [rows[:1] * 2, rows[:1], 6.0, np.full((1, 3), 6.0)])
    w.set_value(np.zeros((0, 3), F))
    same([eg.compile([x], eg.grad((x * x).sum(), x), **WAYS[way])(np.zeros((0, 2), F))], [np.zeros((0, 2))])


@pytest.mark.parametrize("way", WAYS)
def test_C2_ranks_are_types(way: str) -> None:
    """0-d arrays, vectors of one element and Python numbers broadcast as in NumPy and stay apart."""
    both(way, lambda m, s, v, x: [s + v, s + s, v + x, s + x, v * s * 2, x.sum() + s, m.stack([s, s])],
         [np.array(2.0), np.array([3.0]), M])


ODD = {
    "negative strides": lambda: M[::-1, ::-1], "transposed": lambda: M.T.copy().T, "Fortran": lambda: np.asfortranarray(M),
    "stride 0": lambda: np.broadcast_to(M[:1], (3, 4)), "every second": lambda: np.repeat(M, 2, axis=1)[:, ::2],
    "rows of a larger one": lambda: np.vstack([M, M, M])[2:5],
    "overlapping": lambda: np.lib.stride_tricks.sliding_window_view(np.arange(6.0), 4),
    "misaligned": lambda: _field(M), "big-endian": lambda: M.astype(">f8"), "read-only": lambda: _read_only(M),
    "column": lambda: np.hstack([M, M])[:, 3:7]}


def _field(value: np.ndarray) -> np.ndarray:
    held = np.zeros(value.shape, np.dtype([("a", "i1"), ("b", "f8")]))
    held["b"] = value
    return held["b"]


def _read_only(value: np.ndarray) -> np.ndarray:
    kept = value.copy()
    kept.flags.writeable = False
    return kept


@pytest.mark.parametrize("way", WAYS)
def test_C6_odd_arrays(way: str) -> None:
    """What NumPy can hold counts as its contiguous copy, and is never written to."""
    x = eg.matrix("x", dtype="float64")
    f = eg.compile([x], [x * 2 + 1, x.sum(axis=0), x.sum(axis=1), x @ x.T, x[1:, ::-1]], **WAYS[way])
    with np.errstate(all="ignore"):
        for name, make in ODD.items():
            value = make()
            plain = np.ascontiguousarray(value, dtype=D)
            same(f(value), [plain * 2 + 1, plain.sum(axis=0), plain.sum(axis=1), plain @ plain.T, plain[1:, ::-1]], 1e-15)
            same([value], [plain])
            assert name


@pytest.mark.parametrize("way", WAYS)
def test_C6_memmap_and_shared(way: str, tmp_path) -> None:
    """A memory map is an argument like any other; an odd array as shared value too."""
    held = np.memmap(tmp_path / "m", D, "w+", shape=(3, 4))
    held[...] = M
    w = eg.shared(M.T[::-1], "w")
    x = eg.matrix("x", dtype="float64")
    same(eg.compile([x], [x + 1, w * 2], **WAYS[way])(held), [M + 1, M.T[::-1] * 2])


INDEX = {
    "negative": (lambda x, i: x[i], [-1, -3, 0]), "beyond": (lambda x, i: x[i], [0, 3]), "far below": (lambda x, i: x[i], [-4]),
    "column": (lambda x, i: x[:, i], [3, -4]), "beyond a column": (lambda x, i: x[:, i], [4]), "empty": (lambda x, i: x[i], []),
    "take": (lambda x, i: eg.take(x, i, axis=1) if isinstance(x, eg.Out) else np.take(x, i, axis=1), [0, 0, 3])}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
@pytest.mark.parametrize("case", INDEX)
def test_C8_C10_index_arrays(case: str, dtype: str, way: str) -> None:
    """Indices of any integer dtype: NumPy's result, or an IndexError that names the index and the size."""
    make, where = INDEX[case]
    if dtype == "uint8" and min(where, default=0) < 0:
        where = [abs(w) for w in where]
    index = np.array(where, dtype)
    x, i = eg.matrix("x", dtype="float64"), eg.vector("i", dtype=dtype)
    f = eg.compile([x, i], make(x, i), **WAYS[way])
    try:
        wanted = make(M, index)
    except IndexError:
        bad = next(w for w in where if not -M.shape["column" in case] <= w < M.shape["column" in case])
        with pytest.raises(IndexError, match=f"{bad}.*{M.shape['column' in case]}"):
            f(M, index)
        index = index[:0]
        wanted = make(M, index)
    same([f(M, index)], [wanted])


@pytest.mark.parametrize("way", WAYS)
def test_C9_slices(way: str) -> None:
    """Bounds and steps that a call brings mean what Python means by them."""
    x, a, b = eg.vector("x", dtype="float64"), *(eg.scalar(n, dtype="int64") for n in "ab"),
    f = eg.compile([x, a, b], [x[a:b], x[a:b:2], x[b:a:-1], x[a:], x[:b], x[::-3]], **WAYS[way])
    v = np.arange(7.0)
    for i, j in [(0, 7), (2, 5), (5, 2), (-3, 100), (-100, -1), (7, 7), (9, 12), (-1, 0), (3, 3)]:
        same(f(v, i, j), [v[i:j], v[i:j:2], v[j:i:-1], v[i:], v[:j], v[::-3]])
    with pytest.raises(ValueError, match="step"):
        x[::0]


@pytest.mark.parametrize("way", WAYS)
def test_C11_reshapes(way: str) -> None:
    """Sizes that a call brings, -1, and sizes of 0; what does not fit is a ValueError."""
    x, n = eg.vector("x", dtype="float64"), eg.scalar("n", dtype="int64")
    f = eg.compile([x, n], [x.reshape((n, -1)), x.reshape((-1, n)) * 2], **WAYS[way])
    for size, by in [(6, 2), (6, 6), (0, 3), (1, 1)]:
        v = np.arange(float(size))
        same(f(v, by), [v.reshape(by, -1), v.reshape(-1, by) * 2])
    for size, by in [(6, 4), (5, 2)]:
        with pytest.raises(ValueError):
            f(np.arange(float(size)), by)
    with pytest.raises(ValueError, match="-1 is undetermined beside sizes whose product is 0"):
        f(np.zeros(0), 0)


@pytest.mark.parametrize("way", WAYS)
def test_C11_minus_one_that_follows_from_the_sizes(way: str) -> None:
    """A batch without rows keeps its shape: what is behind the first axis is known although nothing is there to be counted."""
    x = eg.tensor3("x", dtype="float64")
    f = eg.compile([x], x.reshape((x.shape[0], -1)), **WAYS[way])
    assert f(np.zeros((0, 2, 3))).shape == (0, 6)


@pytest.mark.parametrize("way", WAYS)
def test_C12_axes(way: str) -> None:
    """No axis, all axes, negative ones."""
    both(way, lambda m, x: [x.sum(axis=()), x.sum(axis=None), x.sum(axis=-1), x.sum(axis=(0, -1)), x.max(axis=(0, 1), keepdims=True),
                            x.sum(axis=(), keepdims=True)], [M])


@pytest.mark.parametrize("rank", [33, 65])
def test_C13_too_many_axes(rank: int) -> None:
    """More axes than can be computed: said when the graph is built, or computed."""
    with pytest.raises((TypeError, ValueError), match="ax|dim"):
        eg.compile([], eg.ones((1,) * rank), device="pocl")()


@pytest.mark.parametrize("way", WAYS)
def test_C14_ranges(way: str) -> None:
    """Ranges have as many elements as NumPy's."""
    n = eg.scalar("n", dtype="int64")
    f = eg.compile([n], [eg.arange(n), eg.arange(n, 0, -2), eg.arange(2, n, 3)], **WAYS[way])
    for k in (0, 1, 2, 9):
        same(f(k), [np.arange(k), np.arange(k, 0, -2), np.arange(2, k, 3)])
    both(way, lambda m: [m.arange(0.0, 1, 0.1, dtype="float64"), m.arange(3, 3), m.linspace(0, 1, 1, dtype="float64"),
                         m.linspace(0, 1, 0, dtype="float64"),
                         m.eye(0, dtype="float64"), m.eye(2, 3, k=-1, dtype="float64")], [])


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_C15_new_sizes_build_nothing(way: str) -> None:
    """After the first sizes, 300 others build no kernel, and a function remembers a bounded number of them."""
    x, y = eg.matrix("x"), eg.vector("y")
    f = eg.compile([x, y], [(x + y).sum(axis=1), eg.softmax(x)], **WAYS[way])
    f.warm()
    before = runtime.program.built()
    for n in range(300):
        rows, columns = n % 17 + 1, n % 23 + 1
        v = np.ones((rows, columns), F)
        got, _ = f(v, np.ones(columns if n % 3 else 1, F))
        same([got], [np.full(rows, 2.0 * columns)])
    assert runtime.program.built() == before


def test_G4_a_cycle_is_reported() -> None:
    """A graph that somebody has bent into a circle is an error, not a loop without end."""
    x = eg.vector("x")
    y = eg.exp(x)
    z = eg.sin(y)
    y.node.inputs = (z,)
    with pytest.raises(ValueError, match="cycl|circle|itself"):
        eg.compile([x], z, device="numpy", on_unused_input="ignore")


@pytest.mark.parametrize("way", WAYS)
def test_G1_constant_results(way: str) -> None:
    """A result that depends on no input is computed all the same."""
    same(eg.compile([], [eg.constant(2.0) * 3, eg.ones((2, 2)) + 1], **WAYS[way])(), [6.0, np.full((2, 2), 2.0)])


@pytest.mark.parametrize(("setting", "nearest"), [("floatx", "floatX"), ("devise", "device"), ("optimiser", "optimizer")])
def test_G7_a_misspelt_setting(setting: str, nearest: str) -> None:
    """A setting that does not exist is an error that names the nearest one."""
    with pytest.raises((AttributeError, ValueError, TypeError, KeyError), match=nearest):
        setattr(eg.config, setting, "float64")


def test_G8_texts_are_bounded() -> None:
    """What shows 100,000 nodes is a page, not a book."""
    x = eg.vector("x")
    y = functools.reduce(lambda y, _: y + x, range(100_000), x)
    assert max(map(len, (repr(y), str(y), eg.pp(y), eg.debugprint(y) or ""))) < 200_000


def test_no_warning_escapes() -> None:
    """Casts, infinities and NaN in constants are values, not warnings."""
    x = eg.vector("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = eg.compile([x], [x + np.inf, x / 0, eg.log(x - 5), (x * 1e30).astype("int32")], device="numpy")
        f(np.ones(2, F))
