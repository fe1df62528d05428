"""Reductions and matmul against NumPy: axis forms, keepdims, dtypes, empty axes, special values, gradients."""
import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.dtypes import REAL
from exprgraph.reference import evaluate

SHAPES = [(), (1,), (5,), (0,), (2, 3), (3, 1), (0, 3), (3, 0), (2, 1, 4), (2, 0, 3)]
NUMPY = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any, "all": np.all, "argmax": np.argmax,
         "argmin": np.argmin}
RNG = np.random.default_rng(0)
nan, inf = np.nan, np.inf


def value(make, *arrays):
    """What an expression of symbols gives for these arrays; the symbols know ranks and dtypes only."""
    symbols = [eg.tensor(dtype=a.dtype, shape=a.ndim) for a in arrays]
    found = make(*symbols)
    one = evaluate([found], {s.node: a for s, a in zip(symbols, arrays)})[0]
    assert (one.dtype.name, one.ndim) == (found.dtype, found.ndim)
    return one


def draw(shape, dtype):
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    return RNG.integers(0 if dtype.startswith("u") else -4, 5, shape).astype(dtype)


def axes_of(ndim):
    few = [c for n in range(1, ndim + 1) for c in itertools.combinations(range(ndim), n)]
    return [None, (), *few, *range(-ndim, ndim)]


def expected(name, array, axis, keepdims):
    """NumPy's answer; its argmax takes one axis, so several are flattened by hand."""
    if name in ("argmax", "argmin") and isinstance(axis, tuple):
        kept = [i for i in range(array.ndim) if i not in axis]
        flat = array.transpose(*kept, *axis).reshape([array.shape[i] for i in kept] + [int(np.prod([array.shape[i] for i in axis]))])
        found = NUMPY[name](flat, axis=-1)
        return np.expand_dims(found, axis) if keepdims else found
    return NUMPY[name](array, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NUMPY)
def test_b11_c12_every_axis_form(name, shape):
    array = draw(shape, "float32")
    for axis, keepdims in itertools.product(axes_of(array.ndim), (False, True)):
        try:
            want = expected(name, array, axis, keepdims)
        except ValueError:
            with pytest.raises(ValueError, match="empty|no elements|no identity"):
                value(partial(getattr(eg, name), axis=axis, keepdims=keepdims), array)
            continue
        got = value(partial(getattr(eg, name), axis=axis, keepdims=keepdims), array)
        np.testing.assert_array_equal(got, want)
        assert got.shape == want.shape


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", NUMPY)
def test_a11_dtypes(name, dtype):
    array = draw((3, 4), dtype)
    got, want = value(lambda x: getattr(eg, name)(x, axis=1), array), NUMPY[name](array, axis=1)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(value(lambda x: getattr(x, name)(), array), NUMPY[name](array))


@pytest.mark.parametrize("given_dtype, wanted", [("int8", "int8"), ("int8", "float64"), ("float32", "float64"), ("bool", "bool"),
                                                 ("uint8", "int32"), ("float32", "int64")])
def test_a11_sum_and_prod_in_a_named_dtype(given_dtype, wanted):
    array = draw((50,), given_dtype)
    for name in ("sum", "prod"):
        got = value(partial(getattr(eg, name), dtype=wanted), array)
        assert got.dtype == wanted
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(got, NUMPY[name](array, dtype=wanted))


def test_a11_integer_sums_wrap_as_in_numpy():
    array = np.array([np.iinfo("int64").max, 2, 3])
    np.testing.assert_array_equal(value(eg.sum, array), np.sum(array))
    np.testing.assert_array_equal(value(eg.prod, array), np.prod(array))


@pytest.mark.parametrize("row", [[nan, 1, nan], [1, nan, 2], [2, 5, 5, 1], [-0.0, 0.0], [inf, -inf, nan], [-inf, -inf], [inf, inf]],
                         ids=str)
@pytest.mark.parametrize("name", NUMPY)
def test_a17_special_values(name, row):
    array = np.array(row, "float32")
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(value(getattr(eg, name), array), NUMPY[name](array))


@pytest.mark.parametrize("name, want", [("sum", 0), ("prod", 1), ("any", False), ("all", True), ("mean", nan)])
def test_a28_of_no_elements(name, want):
    np.testing.assert_array_equal(value(getattr(eg, name), np.zeros(0, "float32")), want)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_a28_no_best_of_no_elements(name):
    with pytest.raises(eg.ShapeError, match=f"{name} of x.*no elements has no value"):
        getattr(eg, name)(eg.tensor("x", shape=(2, 0)), axis=1)
    x = eg.matrix("x")
    f = eg.compile([x], getattr(eg, name)(x, axis=1), device="numpy")
    assert f(np.zeros((0, 3), "float32")).shape == (0,)
    with pytest.raises(eg.ShapeError, match=f"{name} of x.*no elements has no value"):
        f(np.zeros((3, 0), "float32"))


@pytest.mark.parametrize("axis, error", [(2, "out of bounds"), (-3, "out of bounds"), ((0, 0), "duplicate"), ((0, -2), "duplicate")])
def test_c12_bad_axes(axis, error):
    with pytest.raises(eg.ShapeError, match=error):
        eg.sum(eg.matrix("x"), axis=axis)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_a10_long_float32_sum(schedule):
    """Generated sums, not the oracle's: how accurate NumPy's own is depends on its version."""
    x = eg.vector("x")
    array = np.full(2 ** 24, 0.1, "float32")
    got = float(eg.compile([x], x.sum(), device="pocl", schedule=schedule)(array))
    assert abs(got / (2 ** 24 * float(np.float32(0.1))) - 1) < 2e-6


def slope_error(make, *arrays, order=1):
    """The difference between a directional derivative and its finite difference, over the size of the derivative."""
    symbols = [eg.tensor(dtype="float64", shape=a.ndim) for a in arrays]
    cost = make(*symbols)
    for k in range(order):
        weights = eg.constant(np.random.default_rng(k).normal(size=tuple(evaluate([cost], feed(symbols, arrays))[0].shape)))
        cost = (cost * weights).sum()
        grads = eg.grad(cost, symbols)
        if k + 1 < order:
            cost = grads[0]
    directions = [np.random.default_rng(9).normal(size=a.shape) for a in arrays]
    exact = sum(float((g * d).sum()) for g, d in zip(evaluate(grads, feed(symbols, arrays)), directions))
    h = 1e-5
    ends = [float(evaluate([cost], feed(symbols, [a + s * h * d for a, d in zip(arrays, directions)]))[0]) for s in (1, -1)]
    return abs(exact - (ends[0] - ends[1]) / (2 * h)) / (1 + abs(exact))


def feed(symbols, arrays):
    return {s.node: np.asarray(a) for s, a in zip(symbols, arrays)}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("axis, keepdims", [(None, False), (0, False), (1, True), ((0, 2), False), ((), False)])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_i6_gradients(name, axis, keepdims, order):
    array = np.random.default_rng(1).normal(size=(2, 3, 2))
    assert slope_error(lambda x: getattr(eg, name)(x * x * x, axis=axis, keepdims=keepdims), array, order=order) < 1e-6


@pytest.mark.parametrize("zeros", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_i7_prod_with_zeros(zeros, order):
    array = np.array([0.0] * zeros + [0.7, -1.3, 1.9])
    assert slope_error(lambda x: eg.prod(x), array, order=order) < 1e-6


@pytest.mark.parametrize("row, want", [([1, 3, 3, 2], [0, 0.5, 0.5, 0]), ([2, 2, 2, 2], [0.25] * 4), ([5], [1])])
def test_i2_ties_share_the_gradient(row, want):
    array = np.array(row, "float32")
    np.testing.assert_array_equal(value(lambda x: eg.grad(eg.max(x), x), array), want)
    np.testing.assert_array_equal(value(lambda x: eg.grad(eg.min(-x), x), array), -np.array(want))


@pytest.mark.parametrize("name", ["sum", "prod"])
def test_i5_gradient_over_an_empty_axis(name):
    assert value(lambda x: eg.grad(getattr(eg, name)(x, axis=1).sum(), x), np.zeros((3, 0), "float32")).shape == (3, 0)


sizes = st.integers(0, 4)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, st.sampled_from(["float32", "float64", "int8", "int32", "uint64"]),
       st.sampled_from([((), ()), ((2,), (2,)), ((1,), (3,)), ((2, 1), (3,)), ((), (2,)), ((0,), (1,))]))
def test_matmul(n, k, m, dtype, batches):
    a, b = draw((*batches[0], n, k), dtype), draw((*batches[1], k, m), dtype)
    got = value(lambda x, y: x @ y, a, b)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, a @ b)


def test_c4_matmul_sizes_must_agree():
    with pytest.raises(eg.ShapeError, match=r"matmul a \(2, 3\) @ b \(4, 2\): .* has 3 elements, .* has 4"):
        eg.matmul(eg.tensor("a", shape=(2, 3)), eg.tensor("b", shape=(4, 2)))
    a, b = eg.matrices("ab")
    f = eg.compile([a, b], a @ b, device="numpy")
    with pytest.raises(eg.ShapeError, match="has 3 elements, .* has 4"):
        f(np.zeros((2, 3), "float32"), np.zeros((4, 2), "float32"))
    with pytest.raises(eg.ShapeError):
        f(np.zeros((2, 1), "float32"), np.zeros((4, 2), "float32"))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("left, right", [((2, 3), (3, 4)), ((2, 2, 3), (3, 4)), ((2, 1, 2, 3), (3, 3, 2)), ((1, 1), (1, 1))])
def test_i5_matmul_gradient(left, right, order):
    rng = np.random.default_rng(2)
    assert slope_error(lambda a, b: (a @ b) ** 3, rng.normal(size=left), rng.normal(size=right), order=order) < 1e-6
