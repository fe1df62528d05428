"""How close a result must be: what `close` allows and what it refuses."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close

F = np.float32


def test_the_ulps_of_a_row_count_where_they_arise() -> None:
    x = eg.vector("x")
    values = np.full(1, 5.0, "float32")
    truth = np.tanh(values)
    near, far = truth - 2 * np.spacing(truth), truth - 60 * np.spacing(truth)
    slope = 1 - eg.sqr(eg.tanh(x))
    close([1 - near * near], slope, {x.node: values})
    with pytest.raises(AssertionError, match="elements differ"):
        close([1 - far * far], slope, {x.node: values})


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_a_product_of_matrices_may_be_off_as_a_chain_of_sums_is(schedule: str, rng: np.random.Generator) -> None:
    """Products of one sign: the oracle adds them in blocks and is nearer to the truth, our kernels one after the other."""
    x, w = eg.matrix("x"), eg.matrix("w")
    values = [rng.random(shape, dtype="f") for shape in ((600, 300), (300, 64))]
    y = eg.relu((x * 2) @ w + 1)
    eg.compile([x, w], y, device="pocl", schedule=schedule, mode="DebugMode")(*values)
    plain = eg.compile([x, w], x @ w, device="numpy")(*values)
    inputs = {x.node: values[0], w.node: values[1]}
    close(plain + 25 * np.spacing(plain), x @ w, inputs)
    for value in (plain + 60 * np.spacing(plain), values[0][:, 1:] @ values[1][1:]):
        with pytest.raises(AssertionError, match="elements differ"):
            close(value, x @ w, inputs)
    few = {x.node: values[0][:, :4], w.node: values[1][:4]}
    with pytest.raises(AssertionError, match="elements differ"):
        close(values[0][:, :4] @ values[1][:4] * np.float32(1 + 12e-7), x @ w, few)


def test_close_accepts_what_arithmetic_explains_and_no_more() -> None:
    x = eg.vector("x")
    value = np.linspace(-2, 2, 101).astype(F)
    y = eg.exp(x * x)
    exact = np.exp(value.astype("float64") ** 2).astype(F)
    close(exact, y, {x.node: value})
    close(np.nextafter(exact, F(np.inf)), y, {x.node: value})
    for wrong in (exact * F(1 + 3e-5), exact.astype("float64"), exact[1:], np.where(value == value[7], np.nan, exact).astype(F)):
        with pytest.raises(AssertionError, match="differ|instead of"):
            close(wrong, y, {x.node: value})


SPECIAL = [([-0.0, 1], [-0.0, 1], True), ([-0.0, 1], [0.0, 1], False), ([np.nan, 1], [np.nan, 1], True), ([np.nan, 1], [1, 1], False),
           ([np.inf, 1], [np.inf, 1], True), ([np.inf, 1], [-np.inf, 1], False), ([1, 1], [np.inf, 1], False), ([1, 1], [1, np.nan], False)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("value", "got", "fine"), SPECIAL)
def test_close_wants_nan_infinity_and_the_sign_of_zero(dtype: str, value: Any, got: Any, fine: bool) -> None:
    x = eg.vector("x", dtype=dtype)
    values = {x.node: np.array(value, dtype)}
    if fine:
        close(np.array(got, dtype), x * 1, values)
    else:
        with pytest.raises(AssertionError):
            close(np.array(got, dtype), x * 1, values)


def test_close_knows_float64_and_exact_integers() -> None:
    x, n = eg.vector("x", dtype="float64"), eg.vector("n", dtype="int64")
    values = {x.node: np.array([0.1, 0.2]), n.node: np.array([2**62, 5])}
    close([np.exp(np.array([0.1, 0.2])), np.array([2**62 + 1, 6])], [eg.exp(x), n + 1], values)
    with pytest.raises(AssertionError):
        close(np.exp(np.array([0.1, 0.2])) * (1 + 1e-14), eg.exp(x), values)
    with pytest.raises(AssertionError):
        close(np.array([2**62, 6]), n + 1, values)


def test_terms_of_a_sum_that_cancel_out_may_be_added_in_any_order() -> None:
    """A cumsum of five elements: moved at random, all three times, its last element hardly changed, and the order of a GPU was refused."""
    x = eg.matrix("x")
    terms = np.array([[0.3565203845500946, 0.06072554364800453, 0.26785343885421753, -0.3381561040878296, -0.4128669202327728]], "float32")
    y, first = eg.cumsum(x.reshape((5,))), np.cumsum(terms[0])
    other = first.copy()
    other[4] = (terms[0, 3] + terms[0, 4]) + first[2]
    assert other[4] != first[4]
    close(other, y, {x.node: terms})
    other[4] *= np.float32(1 + 1e-5)
    with pytest.raises(AssertionError, match="1 of 5 elements differ"):
        close(other, y, {x.node: terms})
