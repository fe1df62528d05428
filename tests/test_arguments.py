"""What arguments a compiled function accepts: layouts, lists, numbers, and how they are converted."""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exprgraph as eg

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend
F = np.float32


def test_trust_input_skips_checks() -> None:
    x = eg.vector("x")
    f = eg.compile([x], x + 1)
    f.trust_input = True
    assert f(np.array([1], F)).tolist() == [2.0]


def native(values: Any, dtype: str = "float32") -> Any:
    return np.array(values, dtype)


STRUCT = np.zeros(3, np.dtype([("flag", "i1"), ("value", "f4")], align=False))
STRUCT["value"] = [1, 2, 3]
ACCEPTED = [  # FAULTS C2, C6, C7, C16: value, dtype of the symbol
    (native([1, 2, 3]), "float32"), (native([3, 2, 1])[::-1], "float32"), (native([1, 0, 2, 0, 3])[::2], "float32"),
    (native([1, 2, 3], ">f4"), "float32"), (STRUCT["value"], "float32"), (native([1, 2, 3], "int16"), "float32"),
    (native([1, 2, 3], "float16"), "float32"), (native([1, 2, 3], "uint8"), "int32"), (native([1, 2, 3], "float32"), "float64"),
    ([1, 2, 3], "float32"), ((1.0, 2, 3), "float32"), ([1, 2, 3], "int8"), ([1.0, 2, np.float32(3)], "float64"),
    ([True, 2, 3], "float32"), (np.broadcast_to(native(1), (3,)) * native([1, 2, 3]), "float32"),
]


@pytest.mark.parametrize(("value", "dtype"), ACCEPTED)
def test_C6_C16_accepted_arguments(value: Any, dtype: str) -> None:
    x = eg.vector("x", dtype=dtype)
    result = eg.compile([x], x + x)(value)
    assert result.dtype == dtype and result.tolist() == [2, 4, 6]


@st.composite
def layouts(draw: Any) -> Any:
    """A matrix in some memory layout: sliced, reversed, transposed, of a foreign byte order, or broadcast."""
    rows, columns = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    steps = [draw(st.sampled_from([1, 2, -1, -3])) for _ in range(2)]
    base = np.arange(rows * columns * 9, dtype=draw(st.sampled_from(["<f4", ">f4", "<i2", ">i2"]))).reshape(rows * 3, columns * 3)
    view = base[::steps[0], ::steps[1]]
    view = view.T if draw(st.booleans()) else view
    return np.broadcast_to(view[:1], (3, view.shape[1])) if len(view) and draw(st.booleans()) else view


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=layouts())
def test_C6_layouts(value: Any) -> None:
    before = value.copy()
    x = eg.matrix("x")
    result = (x * 2).eval({x: value})
    assert result.dtype == F and np.array_equal(result, 2 * before.astype(F)) and np.array_equal(value, before)


def test_C6_read_only_and_matrix() -> None:
    x = eg.matrix("x")
    f = eg.compile([x], x + 1)
    frozen = native([[1, 2]])
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = np.matrix([[1, 2]], F)
    for value in (frozen, old, np.asfortranarray(native([[1, 2]]))):
        result = f(value)
        assert type(result) is np.ndarray and result.tolist() == [[2.0, 3.0]]
    assert eg.compile([x], x.sum())(np.zeros((0, 3), F)) == 0  # C1


WEAK = [(3, "float32"), (2.5, "float32"), (True, "float64"), (np.float64(0.1), "float32"), (7, "int8"), (True, "bool"), (2**40, "int64"),
        (float("inf"), "float32")]


@pytest.mark.parametrize(("value", "dtype"), WEAK)
def test_python_numbers_are_weak(value: Any, dtype: str) -> None:
    x = eg.scalar("x", dtype=dtype)
    result = eg.compile([x], [x])(value)[0]
    assert result.dtype == dtype and result == np.asarray(value, dtype)


@pytest.mark.parametrize("value", [np.array([1.7, 2.2]), [1.7, 2.2], np.array([1.7, 2.2], F)])
def test_downcast_when_allowed(value: Any) -> None:
    x = eg.vector("x", dtype="int32")
    assert eg.compile([x], x, allow_input_downcast=True)(value).tolist() == [1, 2]
    assert eg.compile([eg.In(x, allow_downcast=True)], x)(value).tolist() == [1, 2]
