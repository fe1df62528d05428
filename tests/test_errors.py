"""A table of mistakes: each gets an error of a few lines that names what was given, what was expected, and this file and the line."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend
F = np.float32
HERE = r"test_errors\.py:\d+"


x, y, m, n = eg.vector("x"), eg.vector("y"), eg.matrix("m"), eg.iscalar("n")
fixed = eg.tensor("fixed", "float32", (None, 3))
w, k = eg.shared(np.ones(3, F), "w"), eg.shared(3, "k")


def call(*args: Any, **keywords: Any) -> Any:
    """A function of x and a scalar `step`, called."""
    step = eg.scalar("step")
    return eg.compile([x, step], x * step, name="scale")(*args, **keywords)


def one(symbol: Any, value: Any) -> Any:
    return eg.compile([symbol], symbol + symbol, name="double")(value)


class Frame:
    """Like a data frame: not an array, but it would turn into one."""

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        return np.zeros(3, F)


def assign() -> None:
    x[0] = 1


Case = tuple[str, Callable[[], Any], type[Exception], list[str]]
GRAPH: list[Case] = [
    ("G2 if", lambda: 1 if x else 0, eg.UseError, ["no truth value", "where"]),
    ("G2 bool of a comparison", lambda: bool(x == y), eg.UseError, ["no truth value"]),
    ("G2 len", lambda: len(x), eg.UseError, [r"x\.shape\[0\]"]),
    ("G2 iteration", lambda: list(x), eg.UseError, ["unknown length"]),
    ("G2 in", lambda: 1 in x, eg.UseError, ["`in` has no meaning"]),
    ("G2 item assignment", assign, eg.UseError, ["cannot be assigned"]),
    ("G2 float", lambda: float(x), eg.UseError, ["no value"]),
    ("G2 index", lambda: [1, 2, 3][n], eg.UseError, ["no value"]),
    ("shapes known to differ", lambda: eg.constant(np.ones(3, F)) + eg.constant(np.ones(4, F)), eg.ShapeError, ["3", "4"]),
    ("dtype of an op", lambda: eg.bitwise_and(x, 1), eg.DTypeError, ["float32"]),
    ("A29 dtype", lambda: eg.tensor("t", "M8[s]", (None,)), eg.DTypeError, ["M8", "supported are bool, int8", "float16", "complex64"]),
    ("number of arguments of an op", lambda: eg.exp(x, y), eg.CallError, ["exp takes 1 argument, 2 given"]),
    ("C12 axis", lambda: m.sum(axis=2), eg.ShapeError, ["axis 2", "2 axes"]),
    ("C12 duplicate axis", lambda: m.sum(axis=(0, 0)), eg.ShapeError, ["duplicate axis"]),
    ("disconnected gradient", lambda: eg.grad((x * 2).sum(), y), eg.DisconnectedInputError, ["y"]),
    ("gradient of a vector", lambda: eg.grad(x, x), eg.GradientError, ["scalar"]),
]
COMPILE: list[Case] = [
    ("G1 unused input", lambda: eg.compile([x, y], x), eg.UnusedInputError, ["'y'", "on_unused_input='ignore'"]),
    ("G1 missing input", lambda: eg.compile([x], x + y), eg.MissingInputError, ["'y'", "declared at", "givens"]),
    ("G1 missing input of an update", lambda: eg.compile([], updates={w: w + y}), eg.MissingInputError, ["'y'"]),
    ("G1 duplicate input", lambda: eg.compile([x, y, x], x + y), eg.GraphError, ["'x' is listed twice"]),
    ("shared input", lambda: eg.compile([w], w), eg.GraphError, ["shared variable 'w'", "givens"]),
    ("constant input", lambda: eg.compile([eg.constant(1)], x), eg.GraphError, ["constant"]),
    ("input of another type", lambda: eg.compile([x, "y"], x), eg.GraphError, [r"inputs\[1\] is 'y'"]),
    ("output of another type", lambda: eg.compile([x], [x, None]), eg.GraphError, ["an output is None"]),
    ("output text", lambda: eg.compile([x], "x"), eg.GraphError, ["an output is 'x'"]),
    ("keys of outputs", lambda: eg.compile([x], {1: x}), eg.GraphError, ["string keys"]),
    ("implicit without value", lambda: eg.compile([eg.In(x, implicit=True)], x), eg.GraphError, ["value="]),
    ("mutable against borrow", lambda: eg.compile([eg.In(x, mutable=True, borrow=False)], x), eg.GraphError, ["contradict"]),
    ("default of another dtype", lambda: eg.compile([eg.In(n, value=1.5)], n), eg.CallError, ["input 'n' is int32"]),
    ("shared default of another rank", lambda: eg.compile([eg.In(m, value=w)], m), eg.GraphError, ["dtype and rank"]),
    ("G3 duplicate update", lambda: eg.compile([], updates=[(w, w), (w, w + 1)]), eg.GraphError, ["two updates.*'w'"]),
    ("G3 update of another rank", lambda: eg.compile([], updates={w: w.sum()}), eg.RankError, ["update of w", "1 axes", "with 0"]),
    ("G3 update of another dtype", lambda: eg.compile([], updates={w: w.astype("float64")}), eg.DTypeError,
     ["w: it is float32, the new value is float64", r"cast\(new_value, 'float32'\)"]),
    ("G3 float for an int", lambda: eg.compile([], updates={k: 0.5}), eg.DTypeError, ["int64", "0.5"]),
    ("G3 update of an input", lambda: eg.compile([x], x, updates={x: x + 1}), eg.GraphError, ["only shared variables"]),
    ("G3 updates that are no pairs", lambda: eg.compile([], updates=[w]), eg.GraphError, ["a dict or a list of pairs"]),
    ("G5 given of another dtype", lambda: eg.compile([y], x, givens={x: y.astype("float64")}), eg.GraphError, ["'x'", "float64"]),
    ("G5 given of another rank", lambda: eg.compile([m], x, givens={x: m}), eg.GraphError, ["rank must agree"]),
    ("G5 given of a symbol that is not there", lambda: eg.compile([x], x, givens={y: x}), eg.GraphError, ["'y'", "no output"]),
    ("G5 given twice", lambda: eg.compile([x], x, givens=[(y, x), (y, x)]), eg.GraphError, ["'y' twice"]),
    ("G5 given of no symbol", lambda: eg.compile([x], x, givens={"y": x}), eg.GraphError, ["'y'"]),
    ("G7 policy", lambda: eg.compile([x], x, on_unused_input="never"), eg.GraphError, ["'raise', 'warn', 'ignore'"]),
    ("G7 optimizer", lambda: eg.compile([x], x, optimizer="fast"), eg.GraphError, ["'none', 'fast_compile'"]),
    ("G7 mode", lambda: eg.compile([x], x, mode="SLOW"), eg.GraphError, ["FAST_COMPILE"]),
    ("G7 schedule", lambda: eg.compile([x], x, schedule="tpu"), eg.GraphError, ["'cpu', 'gpu'"]),
    ("device of another type", lambda: eg.compile([x], x, device=3), eg.DeviceError, ["device=3", "'numpy'"]),
]
CALL: list[Case] = [
    ("G6 too few", lambda: call([1]), eg.CallError, ["scale: missing argument step", r"scale\(x: float32\(\?,\), step: float32\(\)\)"]),
    ("G6 too many", lambda: call([1], 2, 3), eg.CallError, ["2 arguments are taken, 3 were given"]),
    ("G6 unknown keyword", lambda: call([1], stop=2), eg.CallError, ["no input 'stop'", "the function is scale"]),
    ("G6 given twice", lambda: call([1], 2, x=[1]), eg.CallError, ["'x' was given twice"]),
    ("G6 unknown symbol", lambda: call({y: [1]}), eg.CallError, ["no input <y"]),
    ("G6 dict of numbers", lambda: call({1: 2}), eg.CallError, ["keyed by symbols or names"]),
    ("G6 NumPy scalar for a vector", lambda: one(x, F(1)), eg.CallError, ["'x' is float32 with 1 axis", "give it 1 axis"]),
    ("rank", lambda: one(m, np.ones(3, F)), eg.CallError, ["2 axes", r"float32 array of shape \(3,\)"]),
    ("C16 float64 for float32", lambda: one(x, np.ones(3)), eg.CallError,
     ["double: input 'x' is float32", r"a float64 array of shape \(3,\)", r"\.astype\('float32'\)", "allow_input_downcast=True",
      "declared at"]),
    ("C16 int64 for float32", lambda: one(x, np.ones(3, "int64")), eg.CallError, ["int64", "allow_input_downcast"]),
    ("C16 float for an int", lambda: one(n, 1.5), eg.CallError, ["int32", "1.5"]),
    ("C16 out of range", lambda: one(n, 2**40), eg.CallError, ["out of the range of int32"]),
    ("C16 far out of range", lambda: one(eg.scalar(), 10**400), eg.CallError, ["out of the range of float32"]),
    ("C16 list out of range", lambda: one(eg.vector(dtype="int8"), [1, 200]), eg.CallError, ["out of the range of int8"]),
    ("C16 list of floats for ints", lambda: one(eg.vector(dtype="int8"), [1, 2.5]), eg.CallError, ["int8"]),
    ("C16 int for bool", lambda: one(eg.scalar(dtype="bool"), 1), eg.CallError, ["bool"]),
    ("C7 masked array", lambda: one(x, np.ma.zeros(3)), eg.CallError, ["mask", "filled"]),
    ("C7 object array", lambda: one(x, np.array([1, None])), eg.CallError, ["object"]),
    ("C7 complex array", lambda: one(x, np.ones(3, complex)), eg.CallError, ["complex128"]),
    ("C7 dates", lambda: one(x, np.zeros(3, "M8[s]")), eg.CallError, ["datetime64"]),
    ("C7 ragged list", lambda: one(m, [[1, 2], [3]]), eg.CallError, ["different lengths"]),
    ("C7 text", lambda: one(x, "abc"), eg.CallError, ["str 'abc'", r"np\.asarray"]),
    ("C7 list of texts", lambda: one(x, ["abc"]), eg.CallError, ["numbers only"]),
    ("C7 None", lambda: one(x, None), eg.CallError, ["None was given"]),
    ("C7 frame", lambda: one(x, Frame()), eg.CallError, ["type Frame", r"np\.asarray"]),
    ("C7 symbol", lambda: one(x, y), eg.CallError, ["the symbol <y"]),
    ("C7 list of symbols", lambda: one(x, [n]), eg.CallError, ["numbers only"]),
    ("known size", lambda: one(fixed, np.ones((2, 4), F)), eg.ShapeError, ["known length of 3 on axis 1", r"\(2, 4\)"]),
    ("strict", lambda: eg.compile([eg.In(x, strict=True)], x)([1, 2]), eg.CallError, ["strict"]),
    ("C3 sizes", lambda: eg.compile([x, y], x + y)(np.ones(3, F), np.ones(4, F)), eg.ShapeError, ["3", "4", "x", "y"]),
    ("C4 sizes inside", lambda: eg.compile([x, y], (eg.exp(x) * 2 + y).sum())(np.ones(3, F), np.ones(4, F)), eg.ShapeError, ["3", "4"]),
    ("C4 matmul", lambda: eg.compile([m], m @ m)(np.ones((2, 3), F)), eg.ShapeError, ["2", "3", "m"]),
    ("A28 empty maximum", lambda: eg.compile([x], x.max())(np.ones(0, F)), eg.ShapeError, ["empty"]),
    ("C11 reshape", lambda: eg.compile([x], x.reshape((2, 3)))(np.ones(5, F)), eg.ShapeError, ["5", "6|2, 3"]),
    ("shared update sizes", lambda: eg.compile([x], updates={w: w + x})(np.ones(4, F)), eg.ShapeError, ["w", "x"]),
]


@pytest.mark.parametrize(("run", "error", "parts"), [c[1:] for c in GRAPH + COMPILE + CALL], ids=[c[0] for c in GRAPH + COMPILE + CALL])
def test_message(run: Callable[[], Any], error: type[Exception], parts: list[str]) -> None:
    with pytest.raises(error) as caught:
        run()
    message = str(caught.value)
    for part in [*parts, HERE]:
        assert re.search(part, message), f"{part!r} is not in:\n{message}"
    assert len(message.splitlines()) <= 5 and isinstance(caught.value, ValueError | TypeError | RuntimeError)


def test_the_line_is_that_of_the_mistake() -> None:
    with pytest.raises(eg.GraphError) as caught:
        eg.compile([x, x], x)
    line = test_the_line_is_that_of_the_mistake.__code__.co_firstlineno + 2
    assert str(caught.value).endswith(f"test_errors.py:{line}")


def test_a_size_error_of_a_call_names_the_line_of_the_expression() -> None:
    total = x + y
    f = eg.compile([x, y], total)
    with pytest.raises(eg.ShapeError) as caught:
        f(np.ones(3, F), np.ones(4, F))
    line = test_a_size_error_of_a_call_names_the_line_of_the_expression.__code__.co_firstlineno + 1
    assert str(caught.value).endswith(f"test_errors.py:{line}")


CONFIG = [("floatx", "float32", AttributeError, "did you mean 'floatX'"), ("nonsense_zzz", 1, AttributeError, "there are floatX"),
          ("floatX", "float16", ValueError, "'float32', 'float64'"), ("on_unused_input", "no", ValueError, "'raise', 'warn', 'ignore'")]


@pytest.mark.parametrize(("name", "value", "error", "message"), CONFIG)
def test_G7_config(name: str, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        setattr(eg.config, name, value)


@pytest.mark.parametrize("keyword", ["profiles", "inplace", "update"])
def test_unknown_keyword_of_compile(keyword: str) -> None:
    with pytest.raises(TypeError, match=keyword):
        eg.compile([x], x, **{keyword: None})
    with pytest.raises(TypeError, match=keyword):
        eg.function([x], x, **{keyword: None})


def test_functions_stay_usable_after_a_mistake() -> None:
    f = eg.compile([x], x * 2)
    for wrong in (None, np.ones(3), np.ones((1, 3), F)):
        with pytest.raises(TypeError):
            f(wrong)
    assert f([1, 2]).tolist() == [2, 4]
