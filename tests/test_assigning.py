"""Setting and increasing parts of tensors: faults B15, B16, C8, C9, C10 and I9 of the table, in all three ways to compute."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import IndexFault, ShapeError, UseError, ValueFault
from tests.faults import WAYS, same

M = np.arange(12.0).reshape(3, 4) - 5
I, J = np.array([0, 2, 0, -3]), np.array([1, -1, 1, 1], "int8")


def compiled(way: str, make: Callable[..., Any], *values: Any) -> tuple[Any, list[np.ndarray]]:
    """A function of symbols like the arrays, and the arrays."""
    arrays = [np.asarray(v) for v in values]
    inputs = [eg.tensor(f"x{k}", a.dtype.name, (None,) * a.ndim) for k, a in enumerate(arrays)]
    return eg.compile(inputs, make(*inputs), **WAYS[way]), arrays


def changed(value: np.ndarray, index: Any, y: Any, add: bool) -> np.ndarray:
    """What NumPy makes of it."""
    made = value.copy()
    if add:
        np.add.at(made, index, y)
    else:
        made[index] = y
    return made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_B15_equal_places(dtype: str, way: str) -> None:
    """Of many values for one place the last one is set, and all are added; small integers wrap."""
    rng = np.random.default_rng(1)
    x, places, y = M.astype("int8").astype(dtype), rng.integers(-3, 3, 2000), rng.integers(0, 9, (2000, 4)).astype(dtype)
    f, arrays = compiled(way, lambda x, i, y: [x[i].set(y), x[i].inc(y), x[i, 1].set(y[:, 0]), x[i, [[1], [0]]].inc(y[:, 2])], x, places, y)
    wanted = [changed(x, i, v, add) for i, v, add in ((places, y, False), (places, y, True), ((places, 1), y[:, 0], False),
                                                      ((places, [[1], [0]]), y[:, 2], True))]
    for _ in range(2):
        same(f(*arrays), wanted)


@pytest.mark.parametrize("way", WAYS)
def test_B16_overlapping_parts(way: str) -> None:
    """x[1:] = x[:-1] and the like, as if copied, of inputs and as updates of what is read."""
    f, arrays = compiled(way, lambda x: [x[1:].set(x[:-1]), x[::-1].set(x), x[:, 1:].inc(x[:, :-1]), x[[1, 0]].set(x[[0, 1]])], M)
    same(f(*arrays), [changed(M, k, v, add) for k, v, add in (
        (slice(1, None), M[:-1], False), (slice(None, None, -1), M, False), ((slice(None), slice(1, None)), M[:, :-1], True),
        ([1, 0], M[[0, 1]], False))])
    same(arrays, [np.arange(12.0).reshape(3, 4) - 5])
    w = eg.shared(M, "w")
    step = eg.compile([], [], updates={w: eg.set_subtensor(w[1:], w[:-1], inplace=True)}, **WAYS[way])
    step()
    step()
    same([w.get_value()], [M[[0, 0, 0]]])


PARTS = {"row": 1, "last": -1, "slice": slice(1, None), "backwards": (slice(None), slice(None, None, -2)), "empty": slice(2, 1),
         "to the front": slice(1, None, -1), "beyond": slice(5, None), "all": ..., "none of it": (), "new axis": (None, 1, None),
         "array": (slice(None), [3, 3]), "arrays": ([0, 1], [3, 3]), "mask": M > 3, "rows": np.array([True, False, True])}


@pytest.mark.parametrize("way", WAYS)
def test_C9_slices_and_signs(way: str) -> None:
    """What is not touched keeps its bits, NaN and the sign of zero among them; y broadcasts, a scalar too."""
    x = np.where(M == -1, -0.0, np.where(M == 2, np.nan, M))
    f, arrays = compiled(way, lambda x, y: [made for k in PARTS.values() for made in (x[k].set(y), x[k].inc(y), x[k].inc(-0.0))],
                         x, np.array(2.5))
    same(f(*arrays), [made for k in PARTS.values() for made in (changed(x, k, 2.5, False), changed(x, k, 2.5, True), x)])


@pytest.mark.parametrize("way", WAYS)
def test_C9_symbolic_slices(way: str) -> None:
    """Bounds and steps that a call brings; a step of 0 is a ValueError then."""
    x, y, a, b, c = eg.matrix("x", dtype="float64"), eg.dscalar("y"), eg.lscalar("a"), eg.lscalar("b"), eg.lscalar("c")
    f = eg.compile([x, y, a, b, c], [x[:, a:b:c].set(y), x[:, a:b:c].inc(y)], **WAYS[way])
    for part in ((0, 3, 1), (3, 0, -1), (-1, -9, -2), (2, 1, 1), (-9, 9, 3)):
        index = (slice(None), slice(*part))
        same(f(M, 7.0, *part), [changed(M, index, 7.0, False), changed(M, index, 7.0, True)])
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        f(M, 7.0, 0, 3, 0)
    g = eg.compile([x, a], x[a].set(0), **WAYS[way])
    same([g(M, -3)], [changed(M, -3, 0, False)])
    with pytest.raises(IndexError, match="out of bounds for axis 0.*\n  at .*test_assigning.py"):
        g(M, 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [lambda x, i, j: x[i, j], lambda x, i, j: x[i, j].set(1), lambda x, i, j: x[i, j].inc(1),
                                  lambda x, i, j: eg.grad(x[i, j].sum(), x)], ids=["read", "set", "inc", "gradient"])
def test_C8_index_beyond_an_axis(make: Callable[..., Any], way: str) -> None:
    """Each of several arrays is checked against its own axis; the message names index, axis, size and line."""
    f, _ = compiled(way, make, M, I, J)
    f(M, I, J)
    for rows, columns, message in ((np.array([0, 3, 0, 0]), J, "index 3 is out of bounds for axis 0 with size 3"),
                                   (I, np.array([0, 0, -5, 0], "int8"), "index -5 is out of bounds for axis 1 with size 4"),
                                   (np.array([2**62, 0, 0, 0]), J, f"index {2**62} is out of bounds for axis 0 with size 3")):
        with pytest.raises(IndexFault, match=message) as found:
            f(M, rows, columns)
        assert "test_assigning.py:" in str(found.value)
    f(M, I, J)


@pytest.mark.parametrize("way", WAYS)
def test_C8_nothing_is_changed_by_a_fault(way: str) -> None:
    w, i = eg.shared(M, "w"), eg.lvector("i")
    f = eg.compile([i], w.sum(), updates={w: w[:, i].inc(1)}, **WAYS[way])
    with pytest.raises(IndexFault, match="index 4 is out of bounds for axis 1 with size 4"):
        f([0, 4])
    same([w.get_value()], [M])
    f([3, 3])
    same([w.get_value()], [M + np.array([0, 0, 0, 2])])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint64"])
def test_C10_small_and_large_index_dtypes(dtype: str, way: str) -> None:
    """An int8 index reaches all 200 rows; uint64 beyond int64 is out of bounds."""
    x = np.arange(400.0).reshape(200, 2)
    places = np.array([127, 3] + ([-1, -128] if dtype[0] == "i" else [199]), dtype)
    f, arrays = compiled(way, lambda x, i: [x[i, 1], x[i, 1].set(0), x[i].inc(1)], x, places)
    same(f(*arrays), [x[places, 1], changed(x, (places, 1), 0, False), changed(x, places, 1, True)])
    if dtype == "uint64":
        with pytest.raises(IndexFault, match="out of bounds for axis 0 with size 200"):
            f(x, np.array([2**64 - 1], dtype))


@pytest.mark.parametrize("way", WAYS)
def test_C10_scalars_and_nothing(way: str) -> None:
    """0-d arrays count as integers, arrays without elements change nothing, a truth value picks all or nothing."""
    f, arrays = compiled(way, lambda x, i, e, b: [x[i], x[i, i], x[i].set(9), x[e].set(9), x[e, e].inc(9), x[e].sum(), x[b].sum(),
                                                  x[b].set(3), x[b, i].inc(1)], M, np.array(1), np.zeros(0, "int32"), np.array(True))
    same(f(*arrays), [M[1], M[1, 1], changed(M, 1, 9, False), M, M, 0.0, M.sum(), np.full_like(M, 3), changed(M, 1, 1, True)])
    same(f(*arrays[:3], np.array(False))[6:], [0.0, M, M])


MASKS = {"some": M > 1, "none": M > 99, "all": M < 99, "one": M == 0}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MASKS)
def test_C10_masks(name: str, way: str) -> None:
    """One value for all places, or one for each in row-major order; whole rows by a vector."""
    mask, y = MASKS[name], np.arange(float(MASKS[name].sum())) + 50
    f, arrays = compiled(way, lambda x, m, y: [x[m], x[m].set(y), x[m].inc(y), x[m].set(-1), x[~m].inc(1)], M, mask, y)
    same(f(*arrays), [M[mask], changed(M, mask, y, False), changed(M, mask, y, True), np.where(mask, -1, M), np.where(mask, M, M + 1)])
    rows = mask[:, 3]
    f, arrays = compiled(way, lambda x, m, y: [x[m], x[m, 1:].set(y), x[None, m].inc(y[0])], M, rows, np.arange(3.0))
    same(f(*arrays), [M[rows], changed(M, (rows, slice(1, None)), np.arange(3.0), False), M])


@pytest.mark.parametrize("way", WAYS)
def test_C10_masks_that_do_not_fit(way: str) -> None:
    """Another number of values than of places, and other sizes than the tensor's, are errors with both numbers."""
    f, _ = compiled(way, lambda x, m, y: [x[m].set(y), x[m].inc(y)], M, M > 0, np.ones(3))
    with pytest.raises(ValueFault, match="3 values for the 6 places where a mask is true\n  at .*test_assigning.py"):
        f(M, M > 0, np.ones(3))
    f(M, M > 3, np.ones(3))
    f(M, M > 0, np.ones(1))
    for make in (lambda x, m: x[m], lambda x, m: x[m].set(1), lambda x, m: x[:, m[0]].inc(1)):
        f, _ = compiled(way, make, M, M > 0)
        with pytest.raises(ShapeError, match="axis 1 of x0 .* has 4 elements, axis [01] of the mask has 5"):
            f(M, np.ones((3, 5), "bool"))


@pytest.mark.parametrize("way", WAYS)
def test_I9_gradients(way: str) -> None:
    """Equal places accumulate in the gradient of a gather by two arrays; what is overwritten has none; only the last value has one."""
    f, arrays = compiled(way, lambda x, i, y: [
        eg.grad((x[i, i] * y).sum(), x), *eg.grad((x[i, 1].set(y) ** 2).sum(), [x, y]), *eg.grad((x[i, 1].inc(y) ** 2).sum(), [x, y])],
        M, np.array([0, 2, 0]), np.array([10.0, 20.0, 30.0]))
    whole, cleared, more = np.zeros_like(M), M * 2, changed(M, ([0, 2, 0], 1), [10.0, 20.0, 30.0], True) * 2
    whole[0, 0], whole[2, 2] = 40, 20
    cleared[[0, 2], 1] = 0
    same(f(*arrays), [whole, cleared, np.array([0.0, 40.0, 60.0]), more, more[[0, 2, 0], 1]])


def test_the_indexed_tensor() -> None:
    """set and inc know what was indexed, also where the part is the whole, or a part of a part."""
    x = eg.matrix("x", dtype="float64")
    part = x[1:]
    outs = [x[:].set(1), x[...].inc(1), part[:].set(2), part[0].set(3), eg.set_subtensor(part, 4), x[()].set(x), part.set(part[:, ::-1])]
    got = eg.compile([x], outs, device="numpy")(M)
    rest = M[1:]
    same(got, [np.ones_like(M), M + 1, np.full_like(rest, 2), changed(rest, 0, 3, False), changed(M, slice(1, None), 4, False), M,
               changed(M, slice(1, None), rest[:, ::-1], False)])
    with pytest.raises(UseError, match=r"symbols cannot be assigned to: x\[index\].set\(value\)"):
        x[0] = 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype: str, way: str) -> None:
    """Every kind of index on complex numbers; a real tensor takes no complex value."""
    x, mask = M.astype(dtype) * (1 - 2j), M > 0
    f, arrays = compiled(way, lambda x, i, m: [x[i, i], x[i, 1].set(1.5j), x[i].inc(1j), x[1:].inc(1), x[m].inc(2j), x[m]], x, I, mask)
    for got, want in zip(f(*arrays), [x[I, I], changed(x, (I, 1), 1.5j, False), changed(x, I, 1j, True),
                                      changed(x, slice(1, None), 1, True), changed(x, mask, 2j, True), x[mask]], strict=True):
        np.testing.assert_array_equal(got, want)
    with pytest.raises(eg.DTypeError, match="complex128 values do not fit into a float64 tensor"):
        eg.dvector()[0].set(1j)


def test_truth_values_are_joined() -> None:
    """Increasing a bool tensor sets what is true, as NumPy's addition of truth values does."""
    x, i = eg.tensor("x", "bool", (None,)), eg.lvector("i")
    value = np.array([True, False, False])
    got = eg.compile([x, i], [x[i].inc(True), x[i].set(False), x[1:].inc(value[:2])], device="numpy")(value, [1, 1])
    same(got, [np.array([True, True, False]), np.array([True, False, False]), np.array([True, True, False])])


def test_C10_a_mask_without_elements_has_the_sizes_of_its_axes(device) -> None:
    """NumPy takes it for any axis."""
    x, m = eg.matrix("x"), eg.tensor("m", "bool", (None,))
    f = eg.compile([x, m], x[:, m])
    assert f(np.zeros((2, 0), "float32"), np.zeros(0, bool)).shape == (2, 0)
    with pytest.raises(eg.ShapeError, match="1 elements"):
        f(np.zeros((2, 1), "float32"), np.zeros(0, bool))
