"""Graphs and compiles that are wrong: what somebody writes, the error, and words of its message."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import exprgraph as eg

F = np.float32
x, y, m, n, c = eg.vector("x"), eg.vector("y"), eg.matrix("m"), eg.lscalar("n"), eg.tensor("c", "bool", (None,))
twin, other = eg.vector("twin"), eg.vector("twin")
w, k = eg.shared(np.ones(3, F), "w"), eg.shared(3, "k")
HOSTILE = '*/ {\n#include "/etc/passwd"\n__kernel void k() {}'
Row = tuple[str, Callable[[], Any], Any, list[str]]


def works() -> None:
    """The symbols and shared variables of the table are as they were."""
    f = eg.compile([x, m], [x * w, m.sum(), k + 1], updates={k: k + 0}, name="after")
    got = f([1, 2, 3], [[1, 2]])
    assert [np.asarray(g).tolist() for g in got] == [[1, 2, 3], 3, 4] and w.get_value().tolist() == [1, 1, 1]


def assign(target: Any, index: Any, value: Any) -> None:
    target[index] = value


def circle() -> Any:
    y = eg.exp(x)
    z = eg.sin(y)
    y.node.inputs = (z,)
    return eg.compile([x], z, on_unused_input="ignore")


class Tensor:
    """A stranger that looks like a symbol."""
    ndim, dtype, name = 1, "float32", "x"


ROWS: list[Row] = [
    ("G2 if", lambda: 1 if x else 0, eg.UseError, ["no truth value", "where"]),
    ("G2 bool of a comparison", lambda: bool(x == y), eg.UseError, ["no truth value"]),
    ("G2 chained comparison", lambda: 0 < x < 1, eg.UseError, ["no truth value"]),
    ("G2 and", lambda: x > 0 and x < 1, eg.UseError, ["no truth value"]),
    ("G2 not", lambda: not x, eg.UseError, ["no truth value"]),
    ("G2 max of Python", lambda: max(x, y), eg.UseError, ["no truth value"]),
    ("G2 len", lambda: len(x), eg.UseError, [r"x\.shape\[0\]"]),
    ("G2 iteration", lambda: list(x), eg.UseError, ["unknown length"]),
    ("G2 unpacking", lambda: (lambda a, b: a)(*x), eg.UseError, ["unknown length"]),
    ("G2 sum of Python", lambda: sum(x), eg.UseError, ["unknown length"]),
    ("G2 in", lambda: 1 in x, eg.UseError, ["`in` has no meaning"]),
    ("G2 item assignment", lambda: assign(x, 0, 1), eg.UseError, ["cannot be assigned"]),
    ("G2 slice assignment", lambda: assign(m, slice(None), 0), eg.UseError, ["cannot be assigned"]),
    ("G2 float", lambda: float(x), eg.UseError, ["no value"]),
    ("G2 int", lambda: int(n), eg.UseError, ["no value"]),
    ("G2 range", lambda: range(n), eg.UseError, ["no value"]),
    ("G2 index of a list", lambda: [1, 2, 3][n], eg.UseError, ["no value"]),
    ("G2 asarray", lambda: np.asarray(x, dtype="float32"), (eg.UseError, TypeError), ["x"]),
    ("C3 constants", lambda: eg.constant(np.ones(3, F)) + eg.constant(np.ones(4, F)), eg.ShapeError, ["3", "4"]),
    ("C7 text in an expression", lambda: x + "1", eg.DTypeError, ["<U1"]),
    ("C7 None in an expression", lambda: x + None, eg.DTypeError, ["None of type NoneType is no tensor"]),
    ("C7 object array in an expression", lambda: x + np.array([1, None]), eg.DTypeError, ["object"]),
    ("C7 ragged constant", lambda: eg.constant([[1, 2], [3]]), eg.ShapeError, ["different lengths"]),
    ("C7 masked constant", lambda: x + np.ma.masked_equal([1, 2], 1), (TypeError, ValueError), ["mask"]),
    ("C7 dates as constant", lambda: eg.constant(np.zeros(3, "M8[s]")), (eg.DTypeError, TypeError), ["datetime64|M8"]),
    ("C7 shared object", lambda: eg.shared(np.array([None])), (eg.DTypeError, TypeError), ["object"]),
    ("C7 shared text", lambda: eg.shared("abc"), (eg.DTypeError, TypeError), ["abc|str"]),
    ("D12 value of another dtype", lambda: w.set_value(np.ones(3)), (TypeError, ValueError), ["float64", "float32"]),
    ("D12 value of another rank", lambda: w.set_value(np.ones((3, 1), F)), (TypeError, ValueError), ["1 ax"]),
    ("D12 no value", lambda: w.set_value(None), (TypeError, ValueError), ["None"]),
    ("D12 text as value", lambda: w.set_value("abc"), (TypeError, ValueError), ["abc|str"]),
    ("A29 dtype", lambda: eg.tensor("t", "M8[s]", (None,)), eg.DTypeError, ["M8", "supported are"]),
    ("H1 hostile dtype", lambda: eg.tensor("t", HOSTILE, (None,)), eg.DTypeError, ["supported are"]),
    ("H1 hostile cast", lambda: eg.cast(x, HOSTILE), eg.DTypeError, ["supported are"]),
    ("A29 dtype None", lambda: eg.cast(x, None), eg.DTypeError, ["None"]),
    ("dtype of an op", lambda: eg.bitwise_and(x, 1), eg.DTypeError, ["float32"]),
    ("dtype of an index", lambda: x[y], (eg.DTypeError, TypeError, IndexError), ["float32"]),
    ("dtype of a size", lambda: eg.zeros((x,)), (eg.DTypeError, TypeError), ["float32"]),
    ("number of arguments of an op", lambda: eg.exp(x, y), eg.CallError, ["exp takes 1 argument, 2 given"]),
    ("C8 constant index", lambda: eg.constant(np.ones(3, F))[5], (IndexError, ValueError), ["5", "3"]),
    ("C8 too many indices", lambda: x[0, 0], (IndexError, TypeError, ValueError), ["2", "1"]),
    ("C8 text as index", lambda: x["a"], (IndexError, TypeError), ["a"]),
    ("C9 a step of 0", lambda: x[::0], ValueError, ["step"]),
    ("C9 float as a bound", lambda: x[0.5:], (TypeError, IndexError), ["0.5|float"]),
    ("C9 NaN as a bound", lambda: x[:float("nan")], (TypeError, IndexError), ["nan|float"]),
    ("C11 two unknown sizes", lambda: x.reshape((-1, -1)), ValueError, ["-1"]),
    ("C11 size below -1", lambda: x.reshape((-2, 3)), ValueError, ["-2"]),
    ("C11 sizes that do not fit", lambda: eg.constant(np.ones(6, F)).reshape((4, 2)), ValueError, ["6"]),
    ("C11 size that is text", lambda: x.reshape(("a",)), (TypeError, ValueError), ["a"]),
    ("C12 axis", lambda: m.sum(axis=2), eg.ShapeError, ["axis 2", "2 axes"]),
    ("C12 axis below", lambda: m.sum(axis=-3), eg.ShapeError, ["axis -3", "2 axes"]),
    ("C12 duplicate axis", lambda: m.sum(axis=(0, -2)), eg.ShapeError, ["duplicate axis"]),
    ("C12 float axis", lambda: m.sum(axis=0.5), TypeError, ["float"]),
    ("C12 transposed axes", lambda: m.dimshuffle(0, 2), (TypeError, ValueError), ["2"]),
    ("C13 too many axes", lambda: eg.tensor("t", "float32", (None,) * 65), (TypeError, ValueError), ["65"]),
    ("C14 a step of 0 in a range", lambda: eg.arange(0, 4, 0), ValueError, ["step|0"]),
    ("C14 NaN as the end of a range", lambda: eg.arange(float("nan")), eg.ShapeError, ["nan"]),
    ("C14 an infinite range", lambda: eg.arange(float("inf")), eg.ShapeError, ["inf"]),
    ("C14 linspace of -1", lambda: eg.linspace(0, 1, -1), eg.ShapeError, ["-1"]),
    ("B6 negative constant size", lambda: eg.zeros((-1,)), ValueError, ["-1"]),
    ("B6 size beyond int64", lambda: eg.zeros((2**70,)), (ValueError, TypeError, OverflowError), [""]),
    ("C4 matrices that do not fit", lambda: eg.constant(np.ones((2, 3), F)) @ eg.constant(np.ones((2, 3), F)), eg.ShapeError, ["3", "2"]),
    ("C4 product with a number", lambda: x @ 2, (eg.RankError, TypeError, ValueError), [""]),
    ("C4 nothing to join", lambda: eg.concatenate([]), (TypeError, ValueError), [""]),
    ("C4 ranks to join", lambda: eg.concatenate([x, m]), (TypeError, ValueError), ["1", "2"]),
    ("I1 gradient of a vector", lambda: eg.grad(x, x), eg.GradientError, ["scalar"]),
    ("I1 disconnected gradient", lambda: eg.grad((x * 2).sum(), y), eg.DisconnectedInputError, ["y"]),
    ("I1 gradient by a number", lambda: eg.grad(x.sum(), 3), (TypeError, ValueError), ["not to int"]),
    ("G1 unused input", lambda: eg.compile([x, y], x), eg.UnusedInputError, ["'y'", "on_unused_input='ignore'"]),
    ("G1 missing input", lambda: eg.compile([x], x + y), eg.MissingInputError, ["'y'", "declared at"]),
    ("G1 missing twin", lambda: eg.compile([twin], twin + other), eg.MissingInputError, ["'twin'"]),
    ("G1 duplicate input", lambda: eg.compile([x, y, x], x + y), eg.GraphError, ["'x' is listed twice"]),
    ("B10 two inputs of one name, by name", lambda: eg.compile([twin, other], twin + other)(twin=[1], other=[2]), eg.CallError,
     ["twin|other"]),
    ("G1 shared input", lambda: eg.compile([w], w), eg.GraphError, ["shared variable 'w'", "givens"]),
    ("G1 constant input", lambda: eg.compile([eg.constant(1)], x), eg.GraphError, ["constant"]),
    ("G4 text as input", lambda: eg.compile([x, "y"], x), eg.GraphError, [r"inputs\[1\] is 'y'"]),
    ("G4 array as input", lambda: eg.compile([np.ones(3)], x), eg.GraphError, [r"inputs\[0\]"]),
    ("G4 a stranger as input", lambda: eg.compile([Tensor()], x), eg.GraphError, ["Tensor"]),
    ("G4 a stranger as output", lambda: eg.compile([x], [x, Tensor()]), eg.DTypeError, ["type Tensor"]),
    ("G4 None as output", lambda: eg.compile([x], [x, None]), eg.GraphError, ["None"]),
    ("G4 hostile text as output", lambda: eg.compile([x], HOSTILE), eg.GraphError, ["an output is"]),
    ("G4 a circle", circle, eg.GraphError, ["cycl|circle|itself"]),
    ("G1 keys of outputs", lambda: eg.compile([x], {1: x}), eg.GraphError, ["string keys"]),
    ("G3 duplicate update", lambda: eg.compile([], updates=[(w, w), (w, w + 1)]), eg.GraphError, ["two updates.*'w'"]),
    ("G3 update of another rank", lambda: eg.compile([], updates={w: w.sum()}), eg.RankError, ["update of w"]),
    ("G3 update of another dtype", lambda: eg.compile([], updates={w: w.astype("float64")}), eg.DTypeError, ["float64"]),
    ("G3 float for an int", lambda: eg.compile([], updates={k: 0.5}), eg.DTypeError, ["int64", "0.5"]),
    ("G3 update of an input", lambda: eg.compile([x], x, updates={x: x + 1}), eg.GraphError, ["only shared variables"]),
    ("G3 update by a name", lambda: eg.compile([x], x, updates={"w": w + 1}), eg.GraphError, ["only shared variables|'w'"]),
    ("G3 update that is text", lambda: eg.compile([x], x, updates={w: "abc"}), eg.DTypeError, ["<U3"]),
    ("G3 update that is None", lambda: eg.compile([x], x, updates={w: None}), eg.DTypeError, ["None"]),
    ("G3 updates that are no pairs", lambda: eg.compile([], updates=[w]), eg.GraphError, ["a dict or a list of pairs"]),
    ("G3 updates that are a number", lambda: eg.compile([], updates=3), eg.GraphError, ["a dict or a list of pairs"]),
    ("G5 given of another dtype", lambda: eg.compile([y], x, givens={x: y.astype("float64")}), eg.GraphError, ["'x'", "float64"]),
    ("G5 given of another rank", lambda: eg.compile([m], x, givens={x: m}), eg.GraphError, ["rank must agree"]),
    ("G5 given of a symbol that is not there", lambda: eg.compile([x], x, givens={y: x}), eg.GraphError, ["'y'", "no output"]),
    ("G5 given twice", lambda: eg.compile([x], x, givens=[(y, x), (y, x)]), eg.GraphError, ["'y' twice"]),
    ("G5 given of no symbol", lambda: eg.compile([x], x, givens={"y": x}), eg.GraphError, ["'y'"]),
    ("G5 given that is None", lambda: eg.compile([x], x + y, givens={y: None}), eg.DTypeError, ["None"]),
    ("G5 a circle of givens", lambda: eg.compile([], x + y, givens={x: eg.exp(y), y: eg.exp(x)}), eg.GraphError, [""]),
    ("G5 a given of itself", lambda: eg.compile([], x, givens={x: x + 1}), eg.GraphError, ["x"]),
    ("G7 policy", lambda: eg.compile([x], x, on_unused_input="never"), eg.GraphError, ["'raise', 'warn', 'ignore'"]),
    ("G7 optimizer", lambda: eg.compile([x], x, optimizer="fast"), eg.GraphError, ["'none', 'fast_compile'"]),
    ("G7 mode", lambda: eg.compile([x], x, mode=HOSTILE), eg.GraphError, ["FAST_COMPILE"]),
    ("G7 schedule", lambda: eg.compile([x], x, schedule="tpu"), eg.GraphError, ["'cpu', 'gpu'"]),
    ("D2 device of another type", lambda: eg.compile([x], x, device=3), eg.DeviceError, ["device=3"]),
    ("G6 a name that is no text", lambda: eg.vector(3), (TypeError, ValueError), ["3"]),
    ("G6 shape that is text", lambda: eg.tensor("t", "float32", "ab"), (TypeError, ValueError), [""]),
    ("B6 negative known size", lambda: eg.tensor("t", "float32", (-1,)), (TypeError, ValueError), ["-1"]),
    ("G6 eval without a value", lambda: (x + y).eval({x: [1]}), eg.MissingInputError, ["'y'"]),
    ("G6 eval by a stranger", lambda: x.eval({3: [1]}), (eg.UseError, TypeError, ValueError), ["3"])]
