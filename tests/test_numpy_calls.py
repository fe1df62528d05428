"""NumPy's functions on symbols mean those of exprgraph, and what would need values is refused."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg

A = np.array([0.5, -1.5, 2.0], np.float32)
M = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
UFUNCS = ["exp", "abs", "negative", "sqrt", "square", "tanh", "rint", "isnan", "logical_not", "sign", "floor", "reciprocal"]
PAIRS = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "maximum", "minimum", "power", "hypot", "equal", "less",
         "not_equal", "matmul", "arctan2"]


def same(expr: Any, right: Any, **given: Any) -> None:
    got = eg.compile(list(given.values()), expr, device="numpy", on_unused_input="ignore")
    value = got(*[VALUES[n] for n in given])
    assert value.shape == np.shape(right)
    np.testing.assert_allclose(value, right, rtol=1e-6)


x, m = eg.vector("x"), eg.matrix("m")
VALUES: dict[str, Any] = {"x": A, "m": M}


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ufuncs_of_one_argument(name: str) -> None:
    same(getattr(np, name)(x), getattr(np, name)(A), x=x)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ufuncs_of_two_arguments(name: str) -> None:
    function, other = getattr(np, name), np.float32([3, 1, -2])
    for made in (function(other, x), function(eg.constant(other), x)):
        same(made, function(other, A), x=x)
    same(function(x, other), function(A, other), x=x)


OPERATORS: list[Callable[[Any], Any]] = [  # the array stands on the left: what is tested is that NumPy lets go of it
    lambda v: A + v, lambda v: A @ v, lambda v: A == v, lambda v: np.float32(2) * v, lambda v: np.float32(2) == v,  # noqa: SIM300
    lambda v: A < v, lambda v: A // v, lambda v: np.abs(A)**v, lambda v: divmod(A, v)[1], lambda v: np.int64(3) - v,  # noqa: SIM300
    lambda v: M @ v, lambda v: v - A]


@pytest.mark.parametrize("make", OPERATORS)
def test_operators_of_arrays_and_symbols(make: Callable[[Any], Any]) -> None:
    assert isinstance(make(x), eg.Out)
    same(make(x), make(A), x=x)


FUNCTIONS: list[Callable[[Any, Any], Any]] = [
    lambda v, w: np.dot(A, v), lambda v, w: np.sum(w, axis=0), lambda v, w: np.sum(w, 1), lambda v, w: np.where(v > 0, v, 0),
    lambda v, w: np.concatenate([v, v]), lambda v, w: np.stack([v, A], 1), lambda v, w: np.stack([v, v], axis=-1),
    lambda v, w: np.transpose(w, (1, 0)), lambda v, w: np.transpose(w), lambda v, w: np.clip(v, 0, 1),
    lambda v, w: np.clip(v, a_min=0, a_max=1), lambda v, w: np.max(w, 0, None, True), lambda v, w: np.std(w, 0, None, None, 1),
    lambda v, w: np.linalg.norm(v), lambda v, w: np.reshape(w, (3, -1)), lambda v, w: np.round(v),
    lambda v, w: np.mean(w, 1, keepdims=True),
    lambda v, w: np.take(w, [0, 2], 1), lambda v, w: np.tensordot(w, v, 1), lambda v, w: np.nan_to_num(v, True, 0.5),
    lambda v, w: np.zeros_like(v), lambda v, w: np.full_like(v, 2), lambda v, w: np.vstack([v, w]), lambda v, w: np.outer(A, v),
    lambda v, w: np.amax(w), lambda v, w: np.expand_dims(v, 0), lambda v, w: np.broadcast_arrays(v, w)[0],
    lambda v, w: np.where(A > 0, v, 0), lambda v, w: np.round(v, 1), lambda v, w: np.split(v, 3)[1], lambda v, w: np.array_split(v, 2)[0],
    lambda v, w: np.rot90(w), lambda v, w: np.roll(w, (1, 2), (0, 1)), lambda v, w: np.linspace(v[0], 3, 4), lambda v, w: np.nansum(v),
    lambda v, w: np.count_nonzero(w), lambda v, w: np.average(w, 1, A), lambda v, w: np.cov(w), lambda v, w: np.dstack([v, v]),
    lambda v, w: np.meshgrid(v, A)[0], lambda v, w: np.column_stack([v, v])]


@pytest.mark.parametrize("make", FUNCTIONS)
def test_functions(make: Callable[[Any, Any], Any]) -> None:
    same(make(x, m), make(A, M), x=x, m=m)


def test_what_is_known_without_values() -> None:
    assert np.ndim(m) == 2 and len(np.shape(m)) == 2


def written(array: Any) -> Any:
    array += x
    return array


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: np.array(x), r"has no values .*exprgraph\.stack.*eval"), (lambda: np.array([x, x]), r"exprgraph\.stack"),
    (lambda: np.asarray([x], "float32"), "has no values"), (lambda: np.float64(x), "has no values"),
    (lambda: np.add.reduce(x), r"np\.add\.reduce .*exprgraph\.add.*exprgraph\.sum"),
    (lambda: np.add(A, x, out=A.copy()), r"out= .*exprgraph\.add"), (lambda: written(A.copy()), r"array \+= x.*exprgraph\.add"),
    (lambda: np.exp(x, where=A > 0), r"np\.exp with where .*exprgraph\.exp"), (lambda: np.cbrt(x), "no function .*cbrt"),
    (lambda: np.unwrap(x), "no function .*unwrap"), (lambda: np.fft.fft(x), r"np\.fft\.fft .*no function"),
    (lambda: np.linalg.inv(m), r"np\.linalg\.inv .*no function"),
    (lambda: np.reshape(m, (2, -1), "F"), "order"), (lambda: eg.constant(x), "has no values")]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_needs_values_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(eg.UseError, match=rf"{message}(.|\n)*test_numpy_calls\.py:\d+"):
        make()
