"""What users of C expressions and functions met: numbers, parameters, sizes and messages that were not what they said."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from runtime.complaints import complaints
from tests.faults import WAYS

POCL = {k: v for k, v in WAYS.items() if k != "numpy"}
X = np.arange(1, 11, dtype="float32")
K = np.arange(10, dtype="int32")
SET = "void set(float *to, float v) { *to = v; }"


@pytest.mark.parametrize("dtype, given, want", [
    ("int32", "0x7fffffff", 2**31 - 1), ("int32", "0xff", 255), ("uint32", "0xffffffffu", 2**32 - 1), ("int32", "~0", -1),
    ("uint32", "~0", 2**32 - 1), ("uint64", "~0ul", 2**64 - 1), ("uint64", "~0u", 2**32 - 1), ("int32", "~0u", -1), ("uint8", "~0", 255),
    ("uint64", "ULONG_MAX", 2**64 - 1), ("float32", "MAXFLOAT", np.finfo("float32").max), ("int16", "SHRT_MAX", 2**15 - 1),
    ("uint8", "UCHAR_MAX", 255), ("int32", "INT_MIN", -2**31), ("int32", "-INT_MAX - 1", -2**31), ("int64", "LONG_MIN", -2**63),
    ("int32", "(1 << 30)", 2**30), ("int32", "017", 15), ("float32", "-(FLT_MAX)", -np.finfo("float32").max),
    ("float64", "0x1p-3", 0.125),
    ("float32", "-INFINITY", -np.inf), ("float32", "-1.0f/0.0f", -np.inf), ("float64", "DBL_MAX", np.finfo("float64").max),
    ("float32", "M_PI_F", np.float32(np.pi)), ("int32", 3.0, 3), ("float32", np.float64(0.1), np.float32(0.1)), ("int32", np.int64(7), 7),
    ("bool", "true", True), ("int32", True, 1), ("float32", "2.5f", 2.5), ("float32", "0xf", 15)])
def test_neutral_elements(dtype: str, given: Any, want: Any) -> None:
    """Hexadecimal ones were read as floats, so that 0x7fffffff was 7."""
    assert eg.ReductionKernel(dtype, given, "a ^ b").neutral == want
    assert np.isnan(eg.ReductionKernel("float32", "NAN", "a - b").neutral)


@pytest.mark.parametrize("dtype, given, message", [
    ("int32", 2**40, "1099511627776 does not fit int32"), ("int32", "3.7", "'3.7' does not fit int32"), ("int32", 3.7, "3.7 does not fit"),
    ("int32", None, "None is no number of int32"), ("int32", "0xffffffff", "does not fit int32"), ("uint32", -1, "-1 does not fit uint32"),
    ("int32", "-INFINITY", "does not fit int32"), ("float32", "DBL_MAX", "does not fit float32"), ("float32", 1e300, "1e+300 does not fit"),
    ("int64", 2**70, "is no number of int64"), ("bool", 2, "2 does not fit bool"), ("int32", "NAN", "does not fit int32"),
    ("int32", "1 +", "is no number"), ("int32", "x", "is no number"), ("int32", "", "is no number"), ("int32", "089", "is no number"),
    ("int32", [1], "is no number"), ("int32", 1j, "is no number"), ("int32", "1; 2", "is no number"), ("int32", "1)", "closes a bracket"),
    ("int32", "sin(1) % 2", "is no number")])
def test_neutral_elements_that_are_none(dtype: str, given: Any, message: str) -> None:
    with pytest.raises(eg.UseError, match=re.escape(message)) as caught:
        eg.ReductionKernel(dtype, given, "a ^ b")
    assert "test_own_faults.py" in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_hexadecimal_neutral_element_changes_nothing(way: str) -> None:
    k = eg.ivector("k")
    kernel = eg.ReductionKernel("int32", "0x7fffffff", "a & b", reduce_numpy=np.bitwise_and)
    assert eg.compile([k], kernel(k), **WAYS[way])(K + 16) == 16


@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_plain_expressions(way: str) -> None:
    x, k = eg.fvector("x"), eg.ivector("k")
    square = eg.ElementwiseKernel("x", "x*x", grad={"x": "2*g*x"})
    taken = eg.ElementwiseKernel("x, d_x", "x*x*d_x", grad={"x": "2*g*x*d_x"})
    mixed = eg.ElementwiseKernel("float x, int k", "x*x*k", grad={"x": "2*g*x*k"})
    outputs = [eg.grad(f.sum(), x) for f in (square(x), taken(x, k), mixed(x, k))]
    for got, want in zip(eg.compile([x, k], outputs, **WAYS[way])(X, K), (2 * X, 2 * X * K, 2 * X * K)):
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("arguments, outputs, grad, message", [
    ("x, g", None, {"x": "g"}, "g is the cotangent in C expressions, so no parameter can be called g: rename it, or give a function"),
    ("x, g_p", "T p, T q", {"x": "g_p"}, "g_p is the cotangent"), ("x", None, {"x": "T t = g; t"}, "must be a C expression for x, not"),
    ("x", None, {"x": 2}, "must be a C expression for x, not 2")])
def test_gradients_in_c_that_cannot_be(arguments: str, outputs: str | None, grad: dict[str, Any], message: str) -> None:
    with pytest.raises(eg.UseError, match=re.escape(message)):
        eg.ElementwiseKernel(arguments, "p = x; q = x" if outputs else "x", "mine", outputs=outputs, grad=grad)


@pytest.mark.parametrize("way", POCL)
def test_members_are_no_parameters(way: str) -> None:
    """Behind . and -> a word is what it is, whatever the parameters are called."""
    x, y = eg.fvector("x"), eg.fvector("y")
    length = eg.ElementwiseKernel("float *x, float *y, float *z", "float2 v; v.x = x[i]; v.y = y[i]; z[i] = length(v)")
    parts = eg.ElementwiseKernel("float *re, float *im, float *twice, float *i_",
                                 "C c, *p = &c; c.re = re[i]; p->im = im[i]; c.i = 2; twice[i] = p -> re * c . i; i_[i] = c.im;",
                                 preamble="typedef struct { float re, im, i; } C; float im(float v) { return v; }")
    assert [p.name for p in parts.body.inputs] == ["re", "im"] and not parts.body.position
    length_, (twice, same) = length(x, y), parts(x, y)
    got = eg.compile([x, y], [length_, twice, same], **POCL[way])(X, X[::-1])
    for a, b in zip(got, (np.hypot(X, X[::-1]), 2 * X, X[::-1])):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_letter_stands_for_the_promoted_dtype(way: str) -> None:
    kernel = eg.ElementwiseKernel("x, y", "2*x + y", grad={"x": "2*g", "y": "g"})
    k, x, d, b = eg.ivector("k"), eg.fvector("x"), eg.dvector("d"), eg.tensor("b", "int8", (None,))
    outputs = [kernel(k, x), kernel(x, k), kernel(d, k), kernel(k, b), kernel(k, 2.5), kernel(k, d), kernel(x, np.int64(3))]
    assert [o.dtype for o in outputs] == ["float32", "float32", "float64", "int32", "float32", "float64", "float32"]
    outputs.append(eg.grad(kernel(k, x).sum(), x))
    got = eg.compile([k, x, d, b], outputs, **WAYS[way])(K, X, X + 0.5, K.astype("int8"))
    for a, w in zip(got, (2 * K + X, 2 * X + K, 2 * X + 1 + K, 3 * K, 2 * K + 2.5, 2 * K + X + 0.5, 2 * X + 3, np.ones(10))):
        np.testing.assert_allclose(a, w, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_shape_is_that_of_the_result(way: str) -> None:
    """Whether or not the text asks for the position."""
    x, m, s, q = eg.fvector("x"), eg.fmatrix("m"), eg.fscalar("s"), eg.lscalar("q")
    double = eg.ElementwiseKernel("float x", "2*x")
    placed, counted = eg.ElementwiseKernel("float x", "x + i"), eg.ElementwiseKernel("float x", "x + n")
    outputs = [double(x, shape=(3, 10)), double(s, shape=(2, q)), double(s, shape=()), placed(x, shape=(2, 10)), placed(s, shape=4),
               counted(x, shape=(2, 10)), double(x, shape=[np.int32(1), 10]), double(m, shape=x.shape + (10,))]
    got = eg.compile([x, m, s, q], outputs, **WAYS[way])(X, X[None], 3, 5)
    whole = np.broadcast_to(X, (2, 10))
    for a, b in zip(got, [np.broadcast_to(2 * X, (3, 10)), np.full((2, 5), 6), 6, whole + np.arange(20).reshape(2, 10), np.arange(4) + 3,
                          whole + 20, 2 * X[None], np.broadcast_to(2 * X, (10, 10))]):
        np.testing.assert_array_equal(a, b)


def test_a_shape_that_the_arguments_do_not_have() -> None:
    x, m = eg.tensor("x", "float32", (10,)), eg.fmatrix("m")
    double, placed = eg.ElementwiseKernel("float x", "2*x"), eg.ElementwiseKernel("float x", "x + i")
    for call in (lambda: double(x, shape=3), lambda: placed(x, shape=1), lambda: double(m, shape=10), lambda: placed(x, shape=())):
        with pytest.raises(eg.ShapeError, match="does not broadcast") as caught:
            call()
        assert "test_own_faults.py" in str(caught.value)
    f = eg.compile([m], double(m, shape=(2, 10)), device="pocl")
    assert f(X[None]).shape == (2, 10)
    with pytest.raises(eg.ShapeError):
        f(X[None, :3])


@pytest.mark.parametrize("way", WAYS)
def test_numbers_of_numpy_and_sizes(way: str) -> None:
    """Whole numbers of NumPy's are weak where they are exact; sizes and integer scalars are given for narrower integers."""
    x, q = eg.fvector("x"), eg.lscalar("q")
    scaled = eg.ElementwiseKernel("float a, float *x, float *z", "z[i] = a*x[i]")
    whole = eg.ElementwiseKernel("int m, short s, float *x, float *z", "z[i] = m*x[i] + s")
    given = [2, np.int64(2), np.uint8(2), np.array(2), np.float64(2), np.array(2.0), np.int64(2**40), np.float32(2), np.bool_(1)]
    outputs = [scaled(v, x) for v in given] + [whole(x.shape[0], q, x), whole(np.int64(3), np.array(4), x), whole(q + 1, x.shape[0] * 2, x)]
    f = eg.compile([x, q], outputs, **WAYS[way])
    for got, want in zip(f(X, -7), [*(float(v) * X for v in given), 10 * X - 7, 3 * X + 4, -6 * X + 20]):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    for number in (2**15, -2**15 - 1):
        with pytest.raises(eg.OwnOpError, match=rf"elementwise: s is short, which does not hold {number}\n.*test_own_faults.py"):
            f(X, number)
    assert f(X, 2**15 - 1)[9][0] == 2**15 + 9
    wrapped = eg.compile([x, q], whole(q.astype("int32"), 0, x), **WAYS[way])(X, 2**32 + 3)  # a cast of the user's own is one
    np.testing.assert_array_equal(wrapped, 3 * X)


@pytest.mark.parametrize("way", WAYS)
def test_lanes_of_integers_fit_too(way: str) -> None:
    x, q = eg.fvector("x"), eg.lvector("q")
    kernel = eg.ElementwiseKernel("int m, float *x, float *z", "z[i] = m*x[i]", grad={"x": "g*m"})
    f = eg.compile([q, x], eg.vmap(lambda n: kernel(n, x))(q), **WAYS[way])
    np.testing.assert_array_equal(f(np.array([2, -3]), X), [2 * X, -3 * X])
    with pytest.raises(eg.OwnOpError, match="elementwise: m is int, which does not hold 1099511627776\n.*test_own_faults.py"):
        f(np.array([2, 2**40]), X)
    lanes = eg.vmap(lambda v: eg.grad(kernel(v.shape[0], v).sum(), v))(eg.fmatrix("v"))
    assert lanes.dtype == "float32"


@pytest.mark.parametrize("value", [3.7, np.float64(3.7), np.array(3.7), np.int64(2**40), 2**40, np.float32(2.5), eg.constant(2**40), 1j])
def test_numbers_that_an_int_does_not_hold(value: Any) -> None:
    kernel = eg.ElementwiseKernel("int a, float *x, float *z", "z[i] = a*x[i]")
    with pytest.raises(eg.DTypeError) as caught:
        kernel(value, eg.fvector("x"))
    assert "test_own_faults.py" in str(caught.value)


@pytest.mark.parametrize("value", [np.int64(2**24 + 1), np.array(2**40 + 1), eg.lvector("v")])
def test_whole_numbers_that_a_float_does_not_hold(value: Any) -> None:
    kernel = eg.ElementwiseKernel("float a, float *x, float *z", "z[i] = a*x[i]")
    function = eg.as_op([eg.tensor("t", "float32", (None,) * value.ndim)], [eg.fscalar])(np.sum)
    for call in (lambda: kernel(value, eg.fvector("x")), lambda: function(value)):
        with pytest.raises(eg.DTypeError, match="without loss: cast it"):
            call()
    assert eg.as_op([eg.fscalar], [eg.fscalar])(abs)(np.int64(2)).dtype == "float32"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype, result, want", [
    ("float32", lambda a: float(a.sum()), 55), ("float32", lambda a: 3, 3), ("float64", lambda a: True, 1),
    ("float32", lambda a: [0.5, 2], [0.5, 2]),
    ("float32", lambda a: [[1, 2], (3, 4.5)], [[1, 2], [3, 4.5]]), ("int32", lambda a: len(a), 10), ("uint8", lambda a: [1, 255], [1, 255]),
    ("bool", lambda a: [True, False], [1, 0]), ("float32", lambda a: [], []), ("int16", lambda a: [], []), ("float32", list, X),
    ("float32", lambda a: float("nan"), np.nan), ("float64", lambda a: 2**70, 2**70)])
def test_results_that_are_numbers_of_pythons(way: str, dtype: str, result: Any, want: Any) -> None:
    x = eg.fvector("x")
    op = eg.as_op(itypes=[eg.fvector], otypes=[(dtype, np.ndim(want))])(result)
    got = eg.compile([x], op(x), **WAYS[way])(X)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.asarray(want, dtype))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype, rank, result, message", [
    ("float32", 2, lambda a: [[1, 2], [3]], r"gave \[\[1, 2\], \[3\]\] as output 0, which is no array of float32"),
    ("int32", 0, lambda a: 2.5, "gave float64 with 0 axes"), ("int32", 0, lambda a: 2**40, "gave int64 with 0 axes"),
    ("uint8", 1, lambda a: [1, -1], "gave int64 with 1 axes"), ("bool", 0, lambda a: 2, "gave int64 with 0 axes"),
    ("float32", 1, lambda a: 2.5, "gave float32 with 0 axes"), ("float32", 0, lambda a: a.astype("float64"), "gave float64 with 1 axes"),
    ("float32", 1, lambda a: ["a"], "gave <U1 with 1 axes"), ("float32", 0, lambda a: None, "gave object with 0 axes")])
def test_results_that_are_none(way: str, dtype: str, rank: int, result: Any, message: str) -> None:
    x = eg.fvector("x")
    f = eg.compile([x], eg.as_op([eg.fvector], [(dtype, rank)], name="mine")(result)(x), **WAYS[way])
    with pytest.raises(eg.OwnOpError, match="mine " + message) as caught:
        f(X)
    assert "test_own_faults.py" in str(caught.value)


@pytest.mark.parametrize("given, message", [
    (None, "gave None: a list with a shape for each output"), (3, "gave 3: a list"), ([None, (1,)], "infer_shape of mine gave"),
    (["a"], "gave 'a' as a size, which is no integer"), ([(2.5,)], "gave 2.5 as a size"), ([(None,)], "gave None as a size")])
def test_shapes_that_are_none(given: Any, message: str) -> None:
    op = eg.as_op([eg.fvector], [eg.fvector], infer_shape=lambda node, shapes: given, name="mine")(np.sort)
    with pytest.raises(eg.ShapeError, match=message) as caught:
        op(eg.fvector("x"))
    assert "test_own_faults.py" in str(caught.value)


def doubled(a):
    """Twice its argument, where that can be written to."""
    a *= 2
    return a


@pytest.mark.parametrize("numpy, message, cause", [
    (doubled, "raised ValueError: output array is read-only", ValueError), (lambda a: 1 / 0, "raised ZeroDivisionError: division by zero",
                                                                          ZeroDivisionError),
    (lambda a: a["x"], "raised IndexError: ", IndexError), (lambda a, b: a, "raised TypeError: ", TypeError),
    (lambda a: a[:3], r"gave shape \(3,\), \(10,\) was expected", None), (lambda a: None, "gave None, which is no array of float32", None),
    (lambda a: "text", "gave 'text', which is no array", None)])
def test_faults_of_a_numpy_meaning(numpy: Any, message: str, cause: Any) -> None:
    """Say what, where it was made and where it was called; shared variables are as they were."""
    x, total = eg.fvector("x"), eg.shared(X.copy())
    kernel = eg.ElementwiseKernel("x", "2*x", "mine", numpy=numpy)
    out = kernel(total + x * 0 if cause is None else total)
    fold = eg.ReductionKernel("float32", 0, "a ? a : b", "2*x", "float x", "mine", numpy=numpy)(x)
    for given in (out, fold):
        f = eg.compile([x], given, device="numpy", on_unused_input="ignore")
        places = r".*\n  at .*own_faults.py:\d+\n  defined at .*own_faults.py:\d+$"
        with pytest.raises(eg.OwnOpError, match=f"numpy of mine {message}{places}") as caught:
            f(X)
        assert cause is None or isinstance(caught.value.__cause__, cause)
    np.testing.assert_array_equal(total.get_value(), X)


def test_faults_of_a_reduce_numpy() -> None:
    x = eg.fvector("x")
    for numpy, message in ((lambda a, b: a["x"], "raised IndexError"), (lambda a, b: np.ones(2), r"gave shape \(2,\), \(\) was expected"),
                           (lambda a, b: (a, b), "gave 2 values, 1 is needed"), (lambda a, b: np.add(a, b, out=a), None)):
        f = eg.compile([x], eg.ReductionKernel("float32", 0, "a ? a : b", name="mine", reduce_numpy=numpy)(x), device="numpy")
        with pytest.raises(eg.OwnOpError, match=f"reduce_numpy of mine {message or 'raised'}.*") as caught:
            f(X)
        assert "test_own_faults.py" in str(caught.value)


def test_names_of_our_own_are_in_no_message() -> None:
    x = eg.fvector("x")
    with pytest.raises(eg.CallError, match=r"reduction takes 2 arguments \(x, y\), 1 given\n"):
        eg.ReductionKernel("float32", "0", "a+b", "x*y", "float *x, float *y")(x)
    with pytest.raises(eg.CallError, match=r"elementwise takes 1 argument \(x\), 2 given\n"):
        eg.ElementwiseKernel("x", "2*x")(x, x)
    with pytest.raises(eg.UseError, match="must be an expression, not statements"):
        eg.ReductionKernel("float32", "0", "a+b", "float t = x; t", "float *x")
    both = "float both(float a, float b) { return a > b ? a : b; }"
    assert eg.compile([x], eg.ReductionKernel("float32", "-INFINITY", "both(a, b)", preamble=both)(x), device="pocl")(X) == 10


def test_two_parameters_of_one_name() -> None:
    with pytest.raises(eg.UseError, match="two parameters are called x; what the text assigns to is a result without outputs="):
        eg.ElementwiseKernel("float *x", "x[i] = 2*x[i]", outputs="float x")
    with pytest.raises(eg.UseError, match="is empty"):
        eg.ElementwiseKernel("x", " /* nothing */ ")


@pytest.mark.parametrize("arguments, operation, outputs, inputs, results", [
    ("float *x, float *s, float *c", "s[i] = sincos(x[i], &c[i])", None, "x", "sc"),
    ("float *x, float *c", "sincos(x[i], &c[i])", None, "x", "c"),
    ("float *x, float *s, float *c", "s[i] = sincos(x[i], &c[i]) + c[i]", None, "xc", "sc"),
    ("float *x, float *c", "if (x[i] > 0) sincos(x[i], &c[i]);", None, "xc", "c"),
    ("float *x, float *c, float *z", "z[i] = x[i] > 0 ? sincos(x[i], &c[i]) : 0;", None, "xc", "cz"),
    ("float *x, float *z", "set(&z[i], x[i])", None, "xz", "z"), ("float x", "set(&z, x)", "float z", "x", "z"),
    ("float *x, float *z", "set((float *)&z[i], x[i]);", None, "xz", "z"), ("const float *x", "set(&z, *&x[i])", "float z", "x", "z"),
    ("int *x, int *y, int *z", "z[i] = x[i] & y[i] & (x[i]) & z[i] & 3", None, "xyz", "z"),
    ("int *x, int *y", "x[i] & y[i]", None, "xy", None), ("int x, int y", "(x) & y", None, "xy", None)])
def test_addresses_may_be_assigned_to(arguments: str, operation: str, outputs: str | None, inputs: str, results: str | None) -> None:
    """What a function gets the address of is a result; it is an argument too, unless OpenCL says that it is only written."""
    kernel = eg.ElementwiseKernel(arguments, operation, outputs=outputs, preamble=SET)
    assert "".join(p.name for p in kernel.body.inputs) == inputs
    assert results is None or "".join(p.name for p in kernel.body.outputs) == results


@pytest.mark.parametrize("way", POCL)
def test_results_by_their_address(way: str) -> None:
    x = eg.fvector("x")
    s, c = eg.ElementwiseKernel("float *x, float *s, float *c", "s[i] = sincos(x[i], &c[i])")(x)
    put = eg.ElementwiseKernel("float *x, float *z", "set(&z[i], x[i])", preamble=SET)(x, 2 * x)
    alone = eg.ElementwiseKernel("float x", "set(&z, 3*x)", outputs="float z", preamble=SET)(x)
    own = eg.ElementwiseKernel("float *x, float *c", "sincos(x[i], &c[i])", preamble="float sincos(float x, float *c) { return *c += x; }")
    got = eg.compile([x], [s, c, put, alone, own(x, 5 * x)], **POCL[way])(X)
    for a, b in zip(got, (np.sin(X), np.cos(X), X, 3 * X, 6 * X)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_type_alone_is_that_of_an_expression(way: str) -> None:
    x = eg.fvector("x")
    out = eg.ElementwiseKernel("x", "x > 4", outputs="int")(x)
    assert out.dtype == "int32"
    np.testing.assert_array_equal(eg.compile([x], out, **WAYS[way])(X), X > 4)


WRONG: dict[str, tuple[Any, str]] = {
    "expression": (lambda: eg.ElementwiseKernel("x", "missing(x)", "mine"), "  line 1: .*missing.*\n      missing\\(x\\)"),
    "statements": (lambda: eg.ElementwiseKernel("float *x, float *z", """
        float a = /* a comment
            of two lines */ x[i] + \\
            1;
        z[i] = a + nowhere;""", "mine"), "  line 5: .*nowhere.*\n      z\\[i\\] = a \\+ nowhere;"),
    "preamble": (lambda: eg.ElementwiseKernel("x", "twice(x)", "mine",
                                              "#define TWO 2\n#define ONE 1\n\nfloat twice(float v) {\n  return v * TOO; }"),
                 "  the preamble, line 5: .*TOO.*\n      return v \\* TOO; }"),
    "behind a directive": (lambda: eg.ElementwiseKernel("x", "z = 0;\n#pragma unroll\nfor (int k = 0; k < 3; ++k)\n  z += nowhere;", "mine",
                                                        outputs="T z"), "  line 4: .*nowhere.*\n      z \\+= nowhere;"),
    "fold": (lambda: eg.ReductionKernel("float32", 0, "join(a, b)", name="mine"), "  line 1: .*join.*\n      join\\(a, b\\)"),
    "map": (lambda: eg.ReductionKernel("float32", 0, "a+b", "f(x)", "float x", name="mine", preamble="float f(float x) { return y; }"),
            "  the preamble, line 1: .*'y'.*\n      float f\\(float x\\) { return y; }"),
}


@pytest.mark.parametrize("way", POCL)
@pytest.mark.parametrize("case", WRONG)
def test_text_that_does_not_compile_is_shown_as_the_user_wrote_it(case: str, way: str) -> None:
    """The driver's line, once, with the line of the text, of the call and of the kernel; nothing of what was generated."""
    make, said = WRONG[case]
    x = eg.fvector("x")
    kernel, begin = make(), "could not build the text of mine\n"
    first = kernel(x * 2)
    with pytest.raises(eg.OwnOpError, match=begin + said + r"\n  at \S+own_faults.py:\d+\n  defined at \S+own_faults.py:\d+$") as caught:
        eg.compile([x], [x, first + 1], **POCL[way])
    message = str(caught.value)
    call, made = re.findall(r"own_faults.py:(\d+)", message)
    assert int(call) - int(made) > 10 and "own_" not in message.replace("own_faults", "") and "clBuild" not in message


def test_equal_texts_have_names_of_their_own() -> None:
    x = eg.fvector("x")
    first, second = (eg.ElementwiseKernel("x", "absent(x)", name) for name in ("first", "second"))
    assert first(x).dtype == "float32"
    for kernel, name in ((second, "second"), (first, "first")):
        with pytest.raises(eg.OwnOpError, match=f"could not build the text of {name}\n"):
            eg.compile([x], kernel(x), device="pocl")


def test_a_log_that_nobody_understands_is_shown_whole() -> None:
    x = eg.fvector("x")
    kernel = eg.ElementwiseKernel("x", "x + 1")
    kernel(x)
    snippet, = kernel._snippets
    name = snippet.functions
    assert complaints(snippet, f"clBuildProgram failed\n\nstrange: {name}_0 and nothing else\n") == ["strange: 0 and nothing else"]
    log = '"text", line 1: error: bad\ntext:1:2: warning: worse\n<text>:9:1: error: no'
    assert complaints(snippet, log) == ["  line 1: bad\n      x + 1"]
    log = f"text:1:5: error: {name}_f of own_result\nhead:1:1: error: odd"
    assert complaints(snippet, log) == ["  line 1: f of the result\n      x + 1", "  odd"]
