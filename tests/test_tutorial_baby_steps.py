"""A first hour with the language: adding scalars and matrices, what symbols are, what a function takes, printing an expression."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as T  # one module plays both parts that a script from Theano imports
import exprgraph as eg
from exprgraph import function, pp

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend


def test_adding_two_scalars() -> None:
    x = T.dscalar("x")
    y = T.dscalar("y")
    z = x + y
    f = function([x, y], z)
    assert f(2, 3) == 5.0 and np.allclose(f(16.3, 12.1), 28.4)
    result = f(2, 3)
    assert isinstance(result, np.ndarray) and result.ndim == 0 and result.dtype == np.float64


def test_what_a_symbol_knows() -> None:
    x = T.dscalar("x")
    assert isinstance(x, eg.Out) and x.type == T.TensorType("float64", ())("x").type
    assert str(x.type) == "float64()" and x.name == "x" and x.owner is None and x.ndim == 0
    z = x + 1
    assert z.owner is not None and z.owner.op.name == "add" and any(i is x for i in z.owner.inputs)


def test_printing_an_expression() -> None:
    x, y = T.dscalars("x", "y")
    assert pp(x + y) == "x + y"
    assert pp((x + y) * x ** 2) == "(x + y) * x ** 2"


def test_a_value_without_a_function() -> None:
    x, y = T.dscalars("x", "y")
    z = x + y
    assert np.allclose(z.eval({x: 16.3, y: 12.1}), 28.4)
    assert z.eval({x: 1, y: 2}) == 3.0 and z.eval({"x": 4, "y": 5}) == 9.0


def test_adding_two_matrices() -> None:
    x = T.dmatrix("x")
    y = T.dmatrix("y")
    f = function([x, y], x + y)
    wanted = np.array([[11.0, 22.0], [33.0, 44.0]])
    np.testing.assert_array_equal(f([[1, 2], [3, 4]], [[10, 20], [30, 40]]), wanted)
    np.testing.assert_array_equal(f(np.array([[1, 2], [3, 4]]), np.array([[10, 20], [30, 40]])), wanted)


def test_scalars_vectors_and_matrices_broadcast() -> None:
    m, v, s = T.dmatrix("m"), T.dvector("v"), T.dscalar("s")
    f = function([m, v, s], m * v + s)
    np.testing.assert_array_equal(f([[1, 2], [3, 4]], [10, 100], 1), [[11, 201], [31, 401]])


@pytest.mark.parametrize(("letter", "dtype"), [
    ("b", "int8"), ("w", "int16"), ("i", "int32"), ("l", "int64"), ("f", "float32"), ("d", "float64")])
@pytest.mark.parametrize(("kind", "shape"), [("scalar", ()), ("vector", (2,)), ("row", (1, 2)), ("col", (2, 1)), ("matrix", (2, 3)),
                                        ("tensor3", (1, 2, 3)), ("tensor4", (1, 2, 1, 3))])
def test_every_type_of_symbol(letter: str, dtype: str, kind: str, shape: tuple[int, ...]) -> None:
    x = getattr(T, letter + kind)("x")
    value = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    assert x.dtype == dtype and x.ndim == len(shape)
    np.testing.assert_array_equal(function([x], x + x)(value), value + value)


def test_an_exercise_with_a_vector() -> None:
    """a squared plus b squared plus twice their product."""
    a, b = T.vectors("a", "b")
    f = function([a, b], a ** 2 + b ** 2 + 2 * a * b)
    np.testing.assert_array_equal(f([1, 2], [4, 5]), [25, 49])


def test_several_symbols_at_once() -> None:
    a, b, c = T.matrices("a", "b", "c")
    x, y = T.scalars("xy")
    two = T.lvectors(2)
    assert [s.name for s in (a, b, c, x, y)] == ["a", "b", "c", "x", "y"] and [t.dtype for t in two] == ["int64"] * 2
