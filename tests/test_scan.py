"""Prefix scans against NumPy on the oracle: axes, dtypes, special values, gradients, NumPy's names; and diff."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.dtypes import REAL
from exprgraph.ops.scan import TABLE
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads

NUMPY = {"cumsum": np.cumsum, "cumprod": np.cumprod, "cummax": np.maximum.accumulate, "cummin": np.minimum.accumulate}
SHAPES = [(), (1,), (5,), (0,), (2, 3), (3, 1), (0, 3), (3, 0), (2, 1, 4), (2, 0, 3)]
NAMES = sorted(TABLE)
nan, inf = np.nan, np.inf


def value(make, *arrays):
    """What an expression of symbols gives for these arrays; its type tells the truth."""
    symbols = [eg.tensor(dtype=a.dtype, shape=a.ndim) for a in arrays]
    made = make(*symbols)
    found, = evaluate([made], {s.node: a for s, a in zip(symbols, arrays)})
    assert (found.dtype.name, found.ndim) == (made.dtype, made.ndim)
    return found


def want(name, array, axis):
    """NumPy's answer; without an axis, in C order."""
    with np.errstate(all="ignore"):
        return NUMPY[name](array.ravel(), axis=0) if axis is None else NUMPY[name](array, axis=axis)


def test_every_scan_is_compared_with_numpy() -> None:
    assert set(TABLE) == set(NUMPY)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_axis(name, shape) -> None:
    array = np.random.default_rng(0).integers(-4, 5, shape).astype("float32")
    for axis in (None, *range(-len(shape), len(shape))):
        got, expected = value(lambda x, axis=axis: getattr(eg, name)(x, axis=axis), array), want(name, array, axis)
        np.testing.assert_array_equal(got, expected)
        assert got.shape == expected.shape


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", NAMES)
def test_dtypes_are_those_of_the_reduction(name, dtype) -> None:
    array = np.random.default_rng(1).integers(0, 5, (3, 4)).astype(dtype)
    got, expected = value(lambda x: getattr(x, name)(1), array), want(name, array, 1)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("given, named", [("int8", "int8"), ("int8", "float64"), ("float32", "float64"), ("bool", "uint8")])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_a_named_dtype(name, given, named) -> None:
    array = np.random.default_rng(2).integers(0, 5, 50).astype(given)
    got = value(lambda x: getattr(eg, name)(x, dtype=named), array)
    assert got.dtype == named
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, NUMPY[name](array, dtype=named))


@pytest.mark.parametrize("row", [[1, nan, 2], [nan, 5], [2, 5, 5, 1], [-0.0, 0.0, -0.0], [inf, -inf, 1], [-inf, -inf], [0, inf, 1]],
                         ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, row) -> None:
    array = np.array(row, "float32")
    np.testing.assert_array_equal(value(getattr(eg, name), array), want(name, array, 0))


@pytest.mark.parametrize("axis", [2, -3])
def test_bad_axes(axis) -> None:
    with pytest.raises(eg.ShapeError, match="out of bounds"):
        eg.cumsum(eg.matrix("x"), axis=axis)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("name", NAMES)
def test_gradients(name, axis) -> None:
    point = np.random.default_rng(3).normal(size=(3, 4))
    check_grads(lambda x: getattr(eg, name)(x * x * x, axis=axis), [point], order=2)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("row", [[0.0], [0.7, 0, -1.3], [0, 0, 1.5], [0.7, 0, 0, 0, 1.9], [0, 1.1, 0, -0.8, 0, 1.2], [0.0] * 5], ids=str)
def test_the_gradient_of_cumprod_is_right_with_zeros(row, order) -> None:
    check_grads(eg.cumprod, [np.array(row)], order=order)


@pytest.mark.parametrize("row, expected", [([1, 3, 3, 2], [1, 9, 0, 0]), ([2, 2, 2, 2], [10, 0, 0, 0]), ([5], [1]),
                                           ([1, nan, 2, nan], [1, 9, 0, 0]), ([3, 1, 4, 4], [3, 0, 7, 0])], ids=str)
def test_the_first_of_a_tie_gets_the_cotangent(row, expected) -> None:
    array, weights = np.array(row, "float32"), np.arange(1, len(row) + 1, dtype="float32")
    np.testing.assert_array_equal(value(lambda x: eg.grad((eg.cummax(x) * weights).sum(), x), array), expected)
    np.testing.assert_array_equal(value(lambda x: eg.grad((eg.cummin(-x) * weights).sum(), x), array), -np.array(expected))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_nothing(name) -> None:
    for shape in ((0, 3), (3, 0)):
        array = np.zeros(shape, "float32")
        for axis in (0, 1, None):
            assert value(lambda x, axis=axis: eg.grad(getattr(eg, name)(x, axis=axis).sum(), x), array).shape == shape


@pytest.mark.parametrize("call", [
    np.cumsum, np.cumprod, lambda v: np.cumsum(v, axis=1), lambda v: np.cumprod(v, 0), lambda v: np.cumsum(v, dtype="float64"),
    np.maximum.accumulate, lambda v: np.minimum.accumulate(v, axis=1), np.add.accumulate, lambda v: np.multiply.accumulate(v, -1),
    lambda v: np.diff(v), lambda v: np.diff(v, 2, 0)])
def test_numpy_functions_on_symbols(call) -> None:
    array = np.random.default_rng(4).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(value(call, array), call(array), rtol=1e-6)


def test_what_numpy_can_write_a_symbol_cannot() -> None:
    with pytest.raises(eg.UseError, match=r"out=.*exprgraph\.cummax"):
        np.maximum.accumulate(eg.vector("x"), out=np.zeros(3))


@pytest.mark.parametrize("shape, axis, n", [((5,), -1, 1), ((2, 4), 0, 1), ((2, 4), 1, 3), ((1,), 0, 1), ((0,), 0, 2), ((3, 2), -2, 0)])
@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
def test_diff(shape, axis, n, dtype) -> None:
    array = np.random.default_rng(5).integers(0, 9, shape).astype(dtype)
    got = value(lambda x: eg.diff(x, n, axis), array)
    np.testing.assert_array_equal(got, np.diff(array, n, axis))
    assert got.dtype == dtype


def test_diff_undoes_cumsum() -> None:
    array = np.arange(7.0) ** 2
    np.testing.assert_array_equal(value(lambda x: eg.diff(eg.cumsum(x)), array), array[1:])
    with pytest.raises(eg.ShapeError, match="at least 0"):
        eg.diff(eg.vector("x"), -1)
