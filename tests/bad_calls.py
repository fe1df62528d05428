"""Bad arguments: functions with a call that is right, and calls of them that are not."""
from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg

F = np.float32
V, M = np.array([1, 2, 3], F), np.arange(6, dtype=F).reshape(2, 3)
Row = tuple[str, str, Callable[..., Any], type[Exception], list[str]]


class Frame:
    """Like a data frame: not an array, but it would turn into one."""

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        return np.zeros(3, F)


class Subject(NamedTuple):
    """Inputs, outputs, arguments that are right, and the results for these."""
    make: Callable[[], tuple[Any, Any]]
    good: tuple[Any, ...]
    wanted: list[Any]


def _of(dtypes: dict[str, tuple[str, int]], build: Callable[..., Any]) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        symbols = [eg.tensor(name, dtype, (None,) * rank) for name, (dtype, rank) in dtypes.items()]
        return symbols, build(*symbols)
    return make


def _one(dtype: str, rank: int, build: Callable[..., Any]) -> Callable[[], tuple[Any, Any]]:
    return _of({"x": (dtype, rank)}, build)


VX, MX, N = ("float32", 1), ("float32", 2), ("int64", 0)
I = ("int64", 1)
SUBJECTS: dict[str, Subject] = {
    "double": Subject(_one("float32", 1, lambda x: x * 2), (V,), [V * 2]),
    "scale": Subject(_of({"x": VX, "step": ("float32", 0)}, lambda x, step: x * step), (V, 2), [V * 2]),
    "bytes": Subject(_one("int8", 1, lambda x: x + 1), ([1, 2],), [[2, 3]]),
    "natural": Subject(_one("uint8", 0, lambda x: x + 1), (4,), [5]),
    "truth": Subject(_one("bool", 1, lambda x: ~x), ([True, False],), [[False, True]]),
    "sum": Subject(_of({"x": VX, "y": VX}, lambda x, y: x + y), (V, V), [V * 2]),
    "fused": Subject(_of({"x": VX, "y": VX}, lambda x, y: (eg.exp(x) * 0 + y).sum()), (V, V), [6]),
    "product": Subject(_of({"a": MX, "b": MX}, lambda a, b: a @ b), (M, M.T), [M @ M.T]),
    "dot": Subject(_of({"a": MX, "v": VX}, lambda a, v: a @ v), (M, V), [M @ V]),
    "batches": Subject(_of({"a": ("float32", 3), "b": ("float32", 3)}, lambda a, b: a @ b), (M[None], M.T[None]), [(M @ M.T)[None]]),
    "join": Subject(_of({"a": MX, "b": MX}, lambda a, b: eg.concatenate([a, b])), (M, M), [np.vstack([M, M])]),
    "choose": Subject(_of({"c": ("bool", 1), "x": VX}, lambda c, x: eg.where(c, x, 0)), ([True, False, True], V), [[1, 0, 3]]),
    "reshape": Subject(_of({"x": VX, "n": N}, lambda x, n: x.reshape((n, 3))), (V, 1), [V[None]]),
    "zeros": Subject(_of({"n": N}, lambda n: eg.zeros((n,), "float64") + 1), (2,), [[1, 1]]),
    "square": Subject(_of({"n": N}, lambda n: eg.zeros((n, n), "float64") + 1), (1,), [[[1]]]),
    "spread": Subject(_of({"x": VX, "n": N}, lambda x, n: eg.broadcast_to(x, (n, 3)) + 1), (V, 1), [V[None] + 1]),
    "range": Subject(_of({"n": N, "k": N}, lambda n, k: eg.arange(0, n, k)), (4, 2), [[0, 2]]),
    "repeat": Subject(_of({"x": VX, "n": N}, lambda x, n: eg.repeat(x, n)), (V, 1), [V]),
    "gather": Subject(_of({"x": VX, "i": I}, lambda x, i: x[i] * 2), (V, [2, 0]), [[6, 2]]),
    "element": Subject(_of({"x": VX, "n": N}, lambda x, n: x[n] * 2), (V, -1), [6]),
    "columns": Subject(_of({"a": MX, "i": I}, lambda a, i: a[:, i].sum()), (M, [0]), [3]),
    "scatter": Subject(_of({"x": VX, "i": I}, lambda x, i: x[i].inc(1)), (V, [0, 0]), [[3, 2, 3]]),
    "put": Subject(_of({"x": VX, "i": I}, lambda x, i: x[i].set(0)), (V, [1]), [[1, 0, 3]]),
    "along": Subject(_of({"a": MX, "i": ("int64", 2)}, lambda a, i: eg.take_along_axis(a, i, axis=1)), (M, [[0], [2]]), [[[0], [5]]]),
    "step": Subject(_of({"x": VX, "n": N}, lambda x, n: x[::n]), (V, 2), [[1, 3]]),
    "most": Subject(_one("float32", 1, lambda x: [x.max(), x.argmax()]), (V,), [3, 2]),
    "power": Subject(_of({"n": N}, lambda n: 2 ** n), (3,), [8]),
    "counts": Subject(_of({"i": I}, lambda i: eg.bincount(i, minlength=3)), ([1, 1],), [[0, 2, 0]]),
    "mask": Subject(_of({"x": VX, "c": ("bool", 1)}, lambda x, c: x[c]), (V, [True, False, True]), [[1, 3]]),
    "known": Subject(lambda: (lambda x: ([x], x + 1))(eg.tensor("x", "float32", (None, 3))), (M,), [M + 1]),
    "asserted": Subject(_one("float32", 1, lambda x: eg.Assert("x is large")(x, x < 9)), (V,), [V])}
ROWS: list[Row] = [
    ("C16 float64 for float32", "double", lambda f: f(np.ones(3)), eg.CallError, ["float64", "allow_input_downcast"]),
    ("C16 int64 for float32", "double", lambda f: f(np.ones(3, "int64")), eg.CallError, ["int64"]),
    ("C16 long double", "double", lambda f: f(np.ones(3, "longdouble")), eg.CallError, ["longdouble|float128"]),
    ("C16 swapped int64", "double", lambda f: f(np.ones(3, ">i8")), eg.CallError, ["int64"]),
    ("C16 integer beyond float32", "double", lambda f: f([10**400]), eg.CallError, ["float32"]),
    ("C16 integer beyond int8", "bytes", lambda f: f([1, 200]), eg.CallError, ["out of the range of int8"]),
    ("C16 integer below int8", "bytes", lambda f: f([-129]), eg.CallError, ["out of the range of int8"]),
    ("C16 floats for integers", "bytes", lambda f: f([1.5]), eg.CallError, ["int8"]),
    ("C16 NaN for an integer", "bytes", lambda f: f([np.nan]), eg.CallError, ["int8"]),
    ("C16 negative for unsigned", "natural", lambda f: f(-1), eg.CallError, ["out of the range of uint8"]),
    ("C16 huge for unsigned", "natural", lambda f: f(2**70), eg.CallError, ["out of the range of uint8"]),
    ("C16 infinity for unsigned", "natural", lambda f: f(float("inf")), eg.CallError, ["uint8"]),
    ("C16 integers for bool", "truth", lambda f: f([1, 0]), eg.CallError, ["bool"]),
    ("C7 object array", "double", lambda f: f(np.array([1, None])), eg.CallError, ["object"]),
    ("C7 array of arrays", "double", lambda f: f(np.array([V, V, None], object)), eg.CallError, ["object"]),
    ("C7 ragged list", "double", lambda f: f([[1, 2], [3]]), eg.CallError, ["different lengths"]),
    ("C7 list in a list", "double", lambda f: f([1, [2]]), eg.CallError, ["different lengths"]),
    ("C7 text", "double", lambda f: f("abc"), eg.CallError, ["'abc'"]),
    ("C7 long text", "double", lambda f: f("abc" * 10_000), eg.CallError, ["'abc"]),
    ("C7 bytes", "double", lambda f: f(b"abc"), eg.CallError, ["bytes"]),
    ("C7 list of texts", "double", lambda f: f(["1", "2"]), eg.CallError, ["numbers only"]),
    ("C7 array of texts", "double", lambda f: f(np.array(["1", "2"])), eg.CallError, ["<U1|str"]),
    ("C7 None", "double", lambda f: f(None), eg.CallError, ["None"]),
    ("C7 list with None", "double", lambda f: f([1, None]), eg.CallError, ["numbers only"]),
    ("C7 set", "double", lambda f: f({1.0, 2.0}), eg.CallError, ["set"]),
    ("C7 generator", "double", lambda f: f(i for i in range(3)), eg.CallError, ["generator"]),
    ("C7 function", "double", lambda f: f(print), eg.CallError, ["builtin_function"]),
    ("C7 class", "double", lambda f: f(Frame), eg.CallError, ["Frame|type"]),
    ("C7 frame", "double", lambda f: f(Frame()), eg.CallError, ["Frame", r"np\.asarray"]),
    ("C7 decimals", "double", lambda f: f([decimal.Decimal(1)]), eg.CallError, ["numbers only|Decimal"]),
    ("C7 masked array", "double", lambda f: f(np.ma.masked_equal(V, 2)), eg.CallError, ["mask", "filled"]),
    ("C7 matrix", "double", lambda f: f(np.matrix("1 2")), eg.CallError, ["1 axis|float32"]),
    ("C7 dates", "double", lambda f: f(np.zeros(3, "M8[s]")), eg.CallError, ["datetime64"]),
    ("C7 spans of time", "double", lambda f: f(np.zeros(3, "m8[s]")), eg.CallError, ["timedelta64"]),
    ("C7 records", "double", lambda f: f(np.zeros(3, [("a", "f4"), ("b", "f4")])), eg.CallError, ["float32"]),
    ("C7 raw bytes", "double", lambda f: f(np.zeros(3, "V4")), eg.CallError, ["V4|void"]),
    ("C7 complex array", "double", lambda f: f(V + 1j), eg.CallError, ["complex64"]),
    ("C7 complex list", "double", lambda f: f([1j]), eg.CallError, ["complex|float32"]),
    ("C7 symbol", "double", lambda f: f(eg.vector("y")), eg.CallError, ["symbol <y"]),
    ("C7 list of symbols", "double", lambda f: f([eg.scalar("y")]), eg.CallError, ["numbers only"]),
    ("C2 number for a vector", "double", lambda f: f(1.0), eg.CallError, ["1 axis"]),
    ("C2 NumPy scalar for a vector", "double", lambda f: f(F(1)), eg.CallError, ["1 axis"]),
    ("C2 array without axes", "double", lambda f: f(np.array(1, F)), eg.CallError, ["1 axis"]),
    ("C2 matrix for a vector", "double", lambda f: f(M), eg.CallError, ["1 axis", r"\(2, 3\)"]),
    ("C2 vector for a number", "scale", lambda f: f(V, V), eg.CallError, ["'step'"]),
    ("C13 64 axes", "double", lambda f: f(np.ones((1,) * 64, F)), eg.CallError, ["1 axis"]),
    ("G6 nothing", "scale", lambda f: f(), eg.CallError, ["missing"]),
    ("G6 too few", "scale", lambda f: f(V), eg.CallError, ["missing argument step"]),
    ("G6 too many", "scale", lambda f: f(V, 2, 3), eg.CallError, ["2 arguments are taken, 3 were given"]),
    ("G6 unknown keyword", "scale", lambda f: f(V, stop=2), eg.CallError, ["no input 'stop'"]),
    ("G6 twice", "scale", lambda f: f(V, 2, x=V), eg.CallError, ["'x' was given twice"]),
    ("G6 unknown symbol", "scale", lambda f: f({eg.vector("z"): V}), eg.CallError, ["no input <z"]),
    ("G6 dict of numbers", "scale", lambda f: f({1: 2}), eg.CallError, ["keyed by symbols or names"]),
    ("G6 hostile keyword", "scale", lambda f: f(V, **{"*/ {\n": 2}), eg.CallError, ["no input"]),
    ("G6 an output that is not there", "double", lambda f: f(V, output_subset=[5]), (eg.CallError, IndexError, ValueError), ["5"]),
    ("G6 an output by another name", "double", lambda f: f(V, output_subset=["y"]), (eg.CallError, IndexError, ValueError), ["y"]),
    ("C3 sizes", "sum", lambda f: f(V, np.ones(4, F)), eg.ShapeError, ["3", "4", "x", "y"]),
    ("C3 nothing and three", "sum", lambda f: f(V, np.ones(0, F)), eg.ShapeError, ["3", "0"]),
    ("C4 sizes inside", "fused", lambda f: f(V, np.ones(4, F)), eg.ShapeError, ["3", "4"]),
    ("C4 matrices", "product", lambda f: f(M, M), eg.ShapeError, ["3", "2"]),
    ("C4 matrix and vector", "dot", lambda f: f(M, np.ones(2, F)), eg.ShapeError, ["3", "2"]),
    ("C4 batches", "batches", lambda f: f(np.ones((2, 2, 3), F), np.ones((3, 3, 2), F)), eg.ShapeError, ["2", "3"]),
    ("C4 joined parts", "join", lambda f: f(M, M.T), eg.ShapeError, ["3", "2"]),
    ("C4 condition", "choose", lambda f: f([True] * 4, V), eg.ShapeError, ["4", "3"]),
    ("C3 known size", "known", lambda f: f(np.ones((2, 4), F)), eg.ShapeError, ["length of 3 on axis 1"]),
    ("C11 reshape", "reshape", lambda f: f(np.ones(5, F), 2), eg.ShapeError, ["5"]),
    ("C11 reshape to negative", "reshape", lambda f: f(V, -2), ValueError, ["-2|negative"]),
    ("C11 huge reshape", "reshape", lambda f: f(V, 2**62), ValueError, ["3"]),
    ("B6 negative size", "zeros", lambda f: f(-1), ValueError, ["-1|negative"]),
    ("B6 most negative size", "zeros", lambda f: f(-2**63), ValueError, ["-9223372036854775808|negative"]),
    ("B6 2 to the 62", "zeros", lambda f: f(2**62), (MemoryError, ValueError), [""]),
    ("B6 a square beyond integers", "square", lambda f: f(2**40), (MemoryError, ValueError), [""]),
    ("B6 a size beyond int64", "zeros", lambda f: f(2**63), eg.CallError, ["out of the range of int64"]),
    ("B6 a size that is a float", "zeros", lambda f: f(2.0), eg.CallError, ["int64"]),
    ("B6 negative number of rows", "spread", lambda f: f(V, -1), ValueError, ["-1|negative"]),
    ("B6 huge number of rows", "spread", lambda f: f(V, 2**60), (MemoryError, ValueError), [""]),
    ("C14 a step of 0", "range", lambda f: f(4, 0), ValueError, ["step|0"]),
    ("C9 a step of 0 in a slice", "step", lambda f: f(V, 0), ValueError, ["step"]),
    ("C11 negative repeats", "repeat", lambda f: f(V, -1), ValueError, ["-1|negative"]),
    ("C8 index beyond", "gather", lambda f: f(V, [3]), IndexError, ["3"]),
    ("C8 index far beyond", "gather", lambda f: f(V, [2**62]), IndexError, [str(2**62)]),
    ("C8 index below", "gather", lambda f: f(V, [-4]), IndexError, ["-4", "3"]),
    ("C8 least index", "gather", lambda f: f(V, [-2**63]), IndexError, [str(-2**63)]),
    ("C8 index into nothing", "gather", lambda f: f(V[:0], [0]), IndexError, ["0"]),
    ("C8 an element beyond", "element", lambda f: f(V, 3), IndexError, ["3"]),
    ("C8 column beyond", "columns", lambda f: f(M, [3]), IndexError, ["3"]),
    ("C8 scatter beyond", "scatter", lambda f: f(V, [0, 7]), IndexError, ["7", "3"]),
    ("C8 set below", "put", lambda f: f(V, [-9]), IndexError, ["-9", "3"]),
    ("C8 along an axis", "along", lambda f: f(M, [[0], [5]]), IndexError, ["5", "3"]),
    ("C10 floats as indices", "gather", lambda f: f(V, [0.5]), eg.CallError, ["int64"]),
    ("C10 mask of another length", "mask", lambda f: f(V, [True] * 4), (eg.ShapeError, IndexError), ["4", "3"]),
    ("A28 nothing has no largest", "most", lambda f: f(V[:0]), ValueError, ["empty|no elements"]),
    ("A19 negative power", "power", lambda f: f(-1), ValueError, ["negative"]),
    ("C8 negative counts", "counts", lambda f: f([1, -1]), (ValueError, IndexError), ["-1|negative"]),
    ("an assertion", "asserted", lambda f: f([99]), AssertionError, ["x is large"])]
