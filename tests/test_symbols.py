"""How symbols and constants are made, their dtypes, and how dtypes are promoted."""
from pathlib import Path

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.dtypes import ALL, COMPLEX, FLOATS, INTS, PARTS


@pytest.mark.parametrize("kind, ndim", [("scalar", 0), ("vector", 1), ("row", 2), ("col", 2),
    ("matrix", 2), *((f"tensor{n}", n) for n in range(3, 8))])
def test_constructors(kind, ndim):
    plural = "matrices" if kind == "matrix" else kind + "s"
    letters = {"": "float32", "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64", "c": "complex64",
               "z": "complex128"}
    for letter, dtype in letters.items():
        x = getattr(eg, letter + kind)("x")
        assert (x.name, x.dtype, x.ndim, x.owner) == ("x", dtype, ndim, None)
        assert [v.name for v in getattr(eg, letter + plural)("a", "b")] == [v.name for v in getattr(eg, letter + plural)("ab")] == ["a",
        "b"]
        assert [v.name for v in getattr(eg, letter + plural)(2)] == [None, None]
    assert getattr(eg, kind)("x", dtype="int32").dtype == "int32"


def test_a29_floatx_and_unsupported_dtypes():
    with eg.change_flags(floatX="float64"):
        assert eg.matrix().dtype == "float64"
    for dtype in ("float128", "complex256", "U4", "nonsense"):
        with pytest.raises(eg.DTypeError, match="float32, float64"):
            eg.vector("x", dtype=dtype)


@pytest.mark.parametrize("make, known", [
    (lambda: eg.tensor("x", "int8", (None, 3)), (None, 3)), (lambda: eg.tensor("x", "int8", shape=2), (None, None)),
    (lambda: eg.tensor("int8", (False, True), "x"), (None, 1)), (lambda: eg.tensor(dtype="int8", broadcastable=(True,), name="x"), (1,)),
    (lambda: eg.TensorType("int8", (True, False))("x"), (1, None)), (lambda: eg.TensorType("int8", (4, None))("x"), (4, None)),
    (lambda: eg.tensor("y", "int8", (5,)).type("x"), (5,))])
def test_tensor_forms(make, known):
    x = make()
    assert (x.name, x.dtype, tuple(d.const for d in x.type.shape)) == ("x", "int8", known)


@pytest.mark.parametrize("make, error", [(lambda: eg.tensor("x"), eg.RankError), (lambda: eg.tensor("x", shape=(-1,)), eg.ShapeError),
                                         (lambda: eg.tensor("x", shape=33), eg.RankError),
                                         (lambda: eg.tensor("x", shape=(2.5,)), eg.ShapeError),
                                         (lambda: eg.matrix(3), eg.UseError), (lambda: eg.constant([[1]], ndim=1), eg.RankError)])
def test_c13_bad_symbols(make, error):
    with pytest.raises(error, match=r"test_symbols.py:\d+"):
        make()


def test_constants():
    assert (eg.constant(1.5).dtype, eg.constant(2).dtype, eg.constant(True).dtype, eg.constant(3, dtype="int8").dtype) == (
        "float32", "int64", "bool", "int8")
    assert eg.constant([1, 2], name="c", ndim=3).type.shape == (1, 1, 2)
    assert eg.as_tensor_variable(eg.scalar("x"), ndim=2).ndim == 2
    x = eg.vector("x")
    assert eg.as_tensor_variable(x) is x


def promotion(a, b):
    if a in COMPLEX or b in COMPLEX:
        return "complex128" if {PARTS.get(a, a), PARTS.get(b, b)} & {"float64"} else "complex64"
    if (a in FLOATS) != (b in FLOATS):
        return a if a in FLOATS else b
    return np.result_type(a, b).name


@pytest.mark.parametrize("a", ALL)
def test_promotion_table(a):
    for b in ALL:
        x, y = eg.vector(dtype=a), eg.vector(dtype=b)
        assert (x + y).dtype == promotion(a, b)
        inexact = "float" in a + b or "complex" in a + b
        assert (x / y).dtype == (promotion(a, b) if inexact else "float32") or promotion(a, b) == "float64"
    weak = {"bool": ("bool", "int64", "float32", "complex64"), **{d: (d, d, "float32", "complex64") for d in INTS},
            **{d: (d, d, d, "complex64") for d in FLOATS}, "float64": ("float64",) * 3 + ("complex128",), **{d: (d,) * 4 for d in COMPLEX}}
    x = eg.vector(dtype=a)
    assert tuple((x + w).dtype for w in (True, 1, 1.5, 1.5j)) == weak[a]
    assert (x + np.complex128(1j)).dtype == weak[a][3]
    assert (x + np.float64(1.5)).dtype == weak[a][2]


def test_a_tag_is_there_when_first_read():
    x = eg.vector("x")
    x.tag.test_value = 3
    assert x.tag.test_value == 3 and x.tag is x.tag and vars(eg.vector("x").tag) == {}


def test_the_repr_of_a_type_is_short():
    assert repr(eg.tensor("x", "int8", (None, 3)).type) == "int8(?, 3)"


def test_the_version_is_that_of_the_project():
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert f'\nversion = "{eg.__version__}"\n' in text


def test_what_stands_in_for_indexing_by_two_arrays():
    """The message about x[arange(n), y] tells the truth."""
    x, y = eg.matrix("x"), eg.lvector("y")
    table, labels = np.arange(12, dtype="f").reshape(4, 3), np.array([2, 0, 1, 2])
    f = eg.compile([x, y], eg.take_along_axis(x, y[:, None], axis=1)[:, 0], device="numpy")
    np.testing.assert_array_equal(f(table, labels), table[np.arange(4), labels])
