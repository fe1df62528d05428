"""Reductions by C expressions: exprgraph's own folds and others, in every form of a schedule."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from tests.faults import WAYS
from tests.test_elementwise_kernel import launches

POCL = {k: v for k, v in WAYS.items() if k != "numpy"}
GCD = "int gcd(int a, int b) { while (b) { int t = a % b; a = b; b = t; } return a < 0 ? -a : a; }"
dot = eg.ReductionKernel("float32", neutral="0", reduce_expr="a+b", map_expr="x[i]*y[i]", arguments="float *x, float *y", name="dot",
                         numpy=np.multiply, grad=lambda g, y, a, b: (g * b, g * a))
# a + b + ab is 1 less than the product of what is 1 more, and starts at 0
odd = eg.ReductionKernel(np.float32, "0.0f", "a + b + a*b", "x[i] / 64", "float *x", "odd", numpy=lambda x: x / 64,
                         reduce_numpy=lambda a, b: a + b + a * b, grad=lambda g, y, x: (g / 64,),
                         reduce_grad=lambda g, y, x: (g * (y + 1) / (x + 1),))
gcds = eg.ReductionKernel(np.int32, 0, "gcd(a, b)", preamble=GCD, name="gcds", reduce_numpy=np.gcd)
bits = eg.ReductionKernel("uint32", "0u", "a | b", "1u << (k[i] & 31)", "const int *k", reduce_numpy=np.bitwise_or,
                          numpy=lambda k: np.uint32(1) << (k & 31).astype("uint32"))
wide = eg.ReductionKernel("float64", "-INFINITY", "a > b ? a : b", "x[i]", "float *x", numpy=lambda x: x, reduce_numpy=np.maximum)
SHAPES = [(3, 4), (1, 1), (300, 7), (7, 300), (3, 9000), (9000, 3), (70, 70)]


def floats(shape):
    return np.random.default_rng(3).random(shape, dtype="float32") / max(1, math.prod(shape) / 5000)


def integers(shape):
    return np.random.default_rng(3).integers(1, 200, shape).astype("int32") * 6


@pytest.mark.parametrize("way", WAYS)
def test_values(way: str) -> None:
    """Over everything, over either axis, with axes kept, and with what follows; short and long, few and many rows."""
    x, k = eg.fmatrix("x"), eg.imatrix("k")
    outputs = [(op(v, axis=axis, keepdims=axis == 0) if axis != () else op(v))
               for op, v in ((odd, x), (gcds, k), (bits, k), (wide, x)) for axis in ((), 0, 1, (0, 1))]
    f = eg.compile([x, k], [*outputs, dot(x, x + 1), dot(x, x + 1, axis=1), odd(x, axis=1) / (1 + x[:, 0])], **WAYS[way])
    for shape in SHAPES if way != "numpy" else SHAPES[:2]:
        v, n = floats(shape), integers(shape)
        logs = np.log1p(v.astype("float64") / 64)
        want = [np.expm1(logs.sum(axis=axis, keepdims=axis == 0)) for axis in ((0, 1), 0, 1, (0, 1))]
        for numpy in (np.gcd.reduce, lambda a, axis, keepdims: np.bitwise_or.reduce(np.uint32(1) << (a & 31).astype("uint32"), axis=axis,
                                                                                   keepdims=keepdims)):
            want += [numpy(n, axis=axis, keepdims=axis == 0) if axis != (0, 1) else numpy(n.ravel(), axis=0, keepdims=False)
                     for axis in ((0, 1), 0, 1, (0, 1))]
        want += [v.max(axis=axis, keepdims=axis == 0) for axis in ((0, 1), 0, 1, (0, 1))]
        want += [(v * (v + 1)).sum(dtype="float64"), (v * (v + 1)).sum(1), np.expm1(np.log1p(v / 64).sum(1)) / (1 + v[:, 0])]
        for number, (got, wanted) in enumerate(zip(f(v, n), want)):
            np.testing.assert_allclose(got, wanted, rtol=2e-4, err_msg=f"{shape}, result {number}")


@pytest.mark.parametrize("way", WAYS)
def test_a_fold_of_nothing_is_the_neutral_element(way: str) -> None:
    k = eg.imatrix("k")
    start = eg.ReductionKernel("int32", "7", "a ^ b", reduce_numpy=np.bitwise_xor)
    f = eg.compile([k], [start(k), start(k, axis=1), start(k, axis=0)], **WAYS[way])
    got = f(np.zeros((3, 0), "int32"))
    assert got[0] == 7 and got[1].tolist() == [7, 7, 7] and got[2].shape == (0,)


@pytest.mark.parametrize("expression, neutral, rows, want", [
    ("a+b", 0, "sum", 10), ("b + a", "2.5f", "sum", 12.5), ("a*b", "1", "prod", 24), ("a*b", 2, "prod", 48),
    ("max(a, b)", "-INFINITY", "max", 4), ("max(a,b)", "6", "max", 6), ("min(a,b)", "INFINITY", "min", 1),
    ("min(b,a)", "-FLT_MAX", "min", None)])
def test_known_folds_become_rows_of_our_own(expression: str, neutral: Any, rows: str, want: float | None) -> None:
    """With a neutral element that is none, that takes part once."""
    kernel, x = eg.ReductionKernel("float32", neutral, expression), eg.fvector("x")
    found = {n.op.name for n in eg.io_toposort([x], [kernel(x)])}
    assert rows in found
    got = eg.compile([x], kernel(x), device="numpy")(np.array([1, 2, 3, 4], "float32"))
    assert got == (want if want is not None else np.finfo("float32").min)


@pytest.mark.parametrize("way", POCL)
def test_maps_are_fused(way: str) -> None:
    x, y = eg.fmatrix("x"), eg.fmatrix("y")
    for out in (odd(eg.exp(x), axis=1), dot(x * 2, y, axis=1), odd(x, axis=1) * odd(2 * x, axis=1)):
        assert launches(eg.compile([x, y], out, on_unused_input="ignore", **POCL[way])) == 1


def test_gradients() -> None:
    point = [np.array([[0.5, -2, 3], [0.25, 1, -1]])]
    double = eg.ReductionKernel("float64", "0", "a + b + a*b", "x[i] / 64", "double *x", numpy=lambda x: x / 64,
                                reduce_numpy=lambda a, b: a + b + a * b, grad=lambda g, y, x: (g / 64,),
                                reduce_grad=lambda g, y, x: (g * (y + 1) / (x + 1),))
    for options in ({}, {"axis": 0}, {"axis": 1, "keepdims": True}):
        eg.check_grads(lambda x, options=options: double(x, **options), point, order=2)
    total = eg.ReductionKernel("float64", 0, "a+b", "x[i]*x[i]", "double *x", numpy=lambda x: x * x, grad=lambda g, y, x: (2 * g * x,))
    eg.check_grads(total, point, order=2)
    with pytest.raises(eg.GradientError, match="odder has no gradient"):
        x = eg.fvector("x")
        eg.grad(eg.ReductionKernel("float32", 0, "a + b + 2*a*b", name="odder")(x), x)


def test_forward_and_batch_rules_are_the_users() -> None:
    x = eg.fvector("x")
    kernel = eg.ReductionKernel("float32", 0, "a ? a : b", forward=lambda t, y, x, axis, keepdims: t[0][0] + y,
                                batch=lambda inputs, mapped, size, axis, keepdims: inputs[0] * size)
    node = kernel(x).node
    assert node.op.forward is not None and node.op.batch is not None
    got = eg.compile([x], node.op.batch(node.inputs, (True,), eg.constant(3), **dict(node.params)), device="numpy")(np.ones(2, "float32"))
    np.testing.assert_array_equal(got, [3, 3])


@pytest.mark.parametrize("make, error, message", [
    (lambda: eg.ReductionKernel("float32", "zero", "a+b"), eg.UseError, "neutral='zero' is no number"),
    (lambda: eg.ReductionKernel("complex64", "0", "a+b"), eg.UseError, "complex64 is no dtype to fold in"),
    (lambda: eg.ReductionKernel("float32", 0, "a+b; } void f() {"), eg.UseError, "closes a bracket"),
    (lambda: eg.ReductionKernel("float32", 0, "a+b", "x[i+1]", "float *x"), eg.UseError, "another element of x"),
    (lambda: eg.ReductionKernel("float32", 0, "a+b")(eg.dvector()), eg.DTypeError, "argument 0 is float64"),
    (lambda: eg.ReductionKernel("float32", 0, "a+b")(), eg.CallError, "takes 1 argument, 0 given"),
    (lambda: dot(eg.fvector()), eg.CallError, r"dot takes 2 arguments \(x, y\), 1 given"),
    (lambda: dot(eg.fvector(), eg.fvector(), axis=1), eg.ShapeError, "axis 1 is out of bounds"),
])
def test_refusals(make, error, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert "test_reduction_kernel.py" in str(caught.value)


@pytest.mark.parametrize("way", POCL)
def test_text_that_does_not_compile(way: str) -> None:
    x = eg.fvector("x")
    with pytest.raises(eg.OwnOpError, match="could not build the text of broken") as caught:
        eg.compile([x], eg.ReductionKernel("float32", 0, "join(a, b)", name="broken")(x), **POCL[way])
    assert "test_reduction_kernel.py" in str(caught.value)
