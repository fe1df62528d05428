"""Whole kernels as steps of a plan: memory, sizes, rules, guards, and what goes wrong in them."""
from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from runtime import own
from runtime.memory import CopiedMemory
from tests.faults import WAYS

POCL = {k: v for k, v in WAYS.items() if k != "numpy"}
X = np.arange(6, dtype="float32").reshape(2, 3)
TWICE = """
__kernel void twice(__global const float *x, __global float *y, float a, int n) {
    int i = get_global_id(0);
    if (i < n) y[i] = a * x[i];
}
"""
MATMUL = """
#define TILE 4
__kernel __attribute__((reqd_work_group_size(TILE, TILE, 1)))
void product(__global const float *a, __global const float *b, __global float *c, __local float *left, __local float *right, int k) {
    int row = get_global_id(1), column = get_global_id(0), y = get_local_id(1), x = get_local_id(0), width = get_global_size(0);
    float sum = 0;
    for (int start = 0; start < k; start += TILE) {
        left[y * TILE + x] = a[row * k + start + x];
        right[y * TILE + x] = b[(start + y) * width + column];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = 0; i < TILE; ++i) sum += left[y * TILE + i] * right[i * TILE + x];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    c[row * width + column] = sum;
}
"""
SPLIT = """
typedef struct { int low, high; } Ends;
int clamped(int i, Ends e) { return i < e.low ? e.low : i > e.high ? e.high : i; }
__kernel void other(__global float *x) { x[0] = 1; }
kernel void ends(global const int *restrict k, const uint n, global int *restrict low, global float2 *pairs) {
    size_t i = get_global_id(0);
    Ends e = {0, (int)n};
    low[i] = clamped(k[i], e);
    pairs[i] = (float2)(k[i], -k[i]);
}
"""
twice = eg.RawKernel(TWICE, outputs={"y": "x"}, scalars={"n": lambda x, a: x.size}, numpy=lambda x, a: a * x,
                     grad=lambda g, y, x, a: (g * a, (g * x).sum()), forward=lambda t, y, x, a: t[0] * a,
                     batch=lambda inputs, mapped, size: inputs[0] * inputs[1] + size)
product = eg.RawKernel(MATMUL, outputs={"c": lambda a, b: (a.shape[0], b.shape[1])}, scalars={"k": lambda a, b: a.shape[1]},
                       local={"left": 16, "right": 16}, global_size=lambda a, b: (b.shape[1], a.shape[0]), local_size=(4, 4),
                       numpy=np.matmul, grad=lambda g, y, a, b: (g @ b.T, a.T @ g))
ends = eg.RawKernel(SPLIT, "ends", outputs={"low": "k", "pairs": lambda k, n: (k.shape[0], 2)},
                    numpy=lambda k, n: (np.clip(k, 0, n), np.stack([k, -k], 1)))
doubled = eg.RawKernel("__kernel void doubled(__global float *a) { a[get_global_id(0)] *= 2; }", inputs="a", outputs="a",
                       numpy=lambda a: 2 * a)
counts = eg.RawKernel("__kernel void counts(__global const int *k, __global int *bins) { atomic_inc(bins + k[get_global_id(0)]); }",
                      outputs={"bins": 4}, global_size=lambda k: k.shape[0], fill=0,
                      numpy=lambda k: np.bincount(k, minlength=4).astype("int32"))


@pytest.mark.parametrize("way", WAYS)
def test_values_between_generated_kernels(way: str) -> None:
    x, s = eg.fmatrix("x"), eg.fscalar("s")
    f = eg.compile([x, s], [twice(x + 1, 3) * 2, twice(x.T, s) + 1, twice(x, x[0, 0] + 2).sum(), twice(twice(x, 2), s)], **WAYS[way])
    for values in (X, X[:, ::2], np.asfortranarray(X), X[:1], X[::-1], X[:, 1:]):
        got = f(values, 5)
        for a, b in zip(got, [(values + 1) * 6, values.T * 5 + 1, (values * (values[0, 0] + 2)).sum(), values * 10]):
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_call_without_elements_runs_nothing(way: str) -> None:
    x = eg.fmatrix("x")
    f = eg.compile([x], [twice(x, 2), doubled(x), counts(x.astype("int32").flatten())], **WAYS[way])
    got = f(X[:0])
    assert got[0].shape == got[1].shape == (0, 3) and got[2].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("way", WAYS)
def test_local_memory_groups_and_two_axes(way: str) -> None:
    a, b = eg.fmatrix("a"), eg.fmatrix("b")
    f = eg.compile([a, b], [product(a, b), product(b.T, a.T) + 1, *eg.grad((product(a, b) ** 2).sum(), [a, b])], **WAYS[way])
    rng = np.random.default_rng(0)
    for shape in ((4, 8, 12), (8, 4, 4), (32, 16, 8)):
        m, n = rng.random(shape[:2], dtype="float32"), rng.random(shape[1:], dtype="float32")
        c = m @ n
        for got, want in zip(f(m, n), [c, c.T + 1, 2 * c @ n.T, 2 * m.T @ c]):
            np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_several_results_vectors_and_one_of_two_kernels(way: str) -> None:
    k, n = eg.ivector("k"), eg.lscalar("n")
    low, pairs = ends(k * 2, n)
    f = eg.compile([k, n], [low + 1, pairs, pairs.sum()], **WAYS[way])
    got = f(np.array([-3, 1, 9], "int32"), 5)
    for a, b in zip(got, [[1, 3, 6], [[-6, 6], [2, -2], [18, -18]], 0]):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(eg.compile([k], ends(k, 2)[1][:, 1], **WAYS[way])(np.array([7], "int32")), [-7])


@pytest.mark.parametrize("way", WAYS)
def test_results_that_start_as_arguments_and_with_numbers(way: str) -> None:
    """The argument itself stays as it is."""
    x, k = eg.fmatrix("x"), eg.ivector("k")
    mine, indices = X.copy(), np.array([3, 1, 1, 0], "int32")
    f = eg.compile([x, k], [doubled(x), doubled(doubled(x)) + x, counts(k)], **WAYS[way])
    for _ in range(2):
        got = f(mine, indices)
        np.testing.assert_array_equal(mine, X)
        for a, b in zip(got, [2 * X, 5 * X, [1, 2, 0, 1]]):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("way", POCL)
def test_shared_variables_are_read_and_written(way: str) -> None:
    state = eg.shared(X.copy(), name="state")
    f = eg.compile([], state.sum(), updates={state: doubled(state) + 1}, **POCL[way])
    assert f() == X.sum() and f() == (2 * X + 1).sum()
    np.testing.assert_array_equal(state.get_value(), 4 * X + 3)


def test_rules_are_the_users() -> None:
    x, a, t = eg.fmatrix("x"), eg.fscalar("a"), eg.fmatrix("t")
    out = twice(x, a)
    node, rest = out.node, (None,) * (len(out.node.inputs) - 2)
    got = [*eg.grad((out * t).sum(), [x, a]), node.op.forward((t, None, *rest), out, *node.inputs),
           node.op.batch(node.inputs, (True, False, *map(bool, rest)), eg.constant(7))]
    wanted = [(X + 1) * 3, (X * (X + 1)).sum(), (X + 1) * 3, X * 3 + 7]
    for found, want in zip(eg.compile([x, a, t], got, device="numpy")(X, 3, X + 1), wanted):
        np.testing.assert_allclose(found, want, rtol=1e-6)
    with pytest.raises(eg.GradientError, match="doubled has no gradient"):
        eg.grad(doubled(x).sum(), x)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_batch_rule_the_kernel_runs_for_each_lane(way: str) -> None:
    x, n = eg.tensor3("x", "int32"), eg.lscalar("n")
    low, pairs = ends(x[0, 0], n)
    lanes = [o.node.op.batch((x[0], *o.node.inputs[1:]), (True,) + (False,) * (len(o.node.inputs) - 1), x.shape[1]) for o in (low, pairs)]
    values = np.arange(-4, 8, dtype="int32").reshape(1, 4, 3)
    got = eg.compile([x, n], [lanes[0] + 1, lanes[1]], **WAYS[way])(values, 5)
    np.testing.assert_array_equal(got[0], np.clip(values[0], 0, 5) + 1)
    np.testing.assert_array_equal(got[1], np.stack([values[0], -values[0]], 2))


def shifted(by: str, **options: Any) -> eg.RawKernel:
    """A kernel that writes so many elements from where it should."""
    return eg.RawKernel(f"__kernel void shifted(__global const float *x, __global float *y, __global float *z) {{ int i = "
                        f"get_global_id(0); z[i] = x[i]; y[i + ({by})] = x[i]; }}", outputs={"y": "x", "z": "x"}, **options)


@pytest.mark.parametrize("way", POCL)
@pytest.mark.parametrize("by, message", [
    ("1", "behind the last element of its result y"), ("-1", "before the first element of its result y"),
    ("900", "behind the last"), ("-900", "before the first")])
def test_writes_outside_a_result_are_found(by: str, message: str, way: str) -> None:
    x, total = eg.fmatrix("x"), eg.shared(np.zeros((2, 3), "float32"))
    f = eg.compile([x], shifted(by, check=True)(x)[0] + 1, updates={total: total + 1}, **POCL[way])
    for _ in range(2):
        with pytest.raises(eg.OwnOpError, match="shifted: it wrote " + message) as caught:
            f(X)
        assert "test_raw_kernel.py" in str(caught.value)
    np.testing.assert_array_equal(total.get_value(), np.zeros((2, 3)))
    np.testing.assert_array_equal(eg.compile([x], shifted("0", check=True)(x)[0], **POCL[way])(X), X)


LOST = {
    "compile": ("__kernel void k(__global const float *x, __global float *y) {\n  y[0] = nothing(x[0]);\n}", {},
                "could not build the kernel k"),
    "a bracket too many": ("__kernel void k(__global const float *x, __global float *y) { y[0] = 1; }\n}", {}, r"line 2, column 1: "),
    "group": ("__kernel void k(__global const float *x, __global float *y) { y[0] = 1; }",
              {"global_size": 1 << 20, "local_size": 1 << 20}, r"did not run it on \(1048576,\) items in groups of \(1048576,\)"),
    "local memory": ("__kernel void k(__global const float *x, __global float *y, __local float *t) { t[0] = 1; y[0] = t[0]; }",
                     {"local": {"t": 1 << 29}}, "it asks for 2,147,483,648 bytes of local memory"),
    "whole groups": ("__kernel void k(__global const float *x, __global float *y) { y[0] = 1; }",
                     {"global_size": 6, "local_size": 4}, r"a global size of \(6,\) is not made of whole groups of \(4,\)"),
    "no items": ("__kernel void k(__global const float *x, __global float *y) { y[0] = 1; }",
                 {"global_size": 6, "local_size": 0}, "is not made of whole groups"),
}


@pytest.mark.parametrize("way", POCL)
@pytest.mark.parametrize("case", LOST)
def test_what_the_driver_refuses_loses_nothing(case: str, way: str) -> None:
    text, options, message = LOST[case]
    x, total = eg.fmatrix("x"), eg.shared(np.zeros(2, "float32"))
    kernel = eg.RawKernel(text, outputs={"y": "x"}, **options)
    with pytest.raises(eg.OwnOpError, match=message) as caught:
        eg.compile([x], kernel(x), updates={total: total + 1}, **POCL[way])(X)
    assert "test_raw_kernel.py" in str(caught.value)
    np.testing.assert_array_equal(total.get_value(), [0, 0])
    np.testing.assert_array_equal(eg.compile([x], twice(x, 2), **POCL[way])(X), 2 * X)
    if case == "compile":
        assert "    2    y[0] = nothing(x[0]);" in str(caught.value) and "nothing" in str(caught.value).split("could not build")[1]


HEAD = "__kernel void k(__global const float *x, __global float *y, int n) { y[0] = n; }"


@pytest.mark.parametrize("make, error, message", [
    (lambda: eg.RawKernel(HEAD, outputs={}), eg.UseError, "y is no result, so its head must say const"),
    (lambda: eg.RawKernel(HEAD.replace("const float *", "float *const "), outputs={"y": "x"}), eg.UseError, "x is no result, so its head"),
    (lambda: eg.RawKernel(HEAD.replace("const float *", "float *restrict const "), outputs={"y": "x"}), eg.UseError, "x is no result"),
    (lambda: eg.RawKernel(HEAD.replace("float *y", "const float *const y"), outputs={"y": "x"}), eg.UseError, "y cannot be what outputs"),
    (lambda: eg.RawKernel(HEAD.replace("*y", "**y"), outputs={"y": "x"}), eg.UseError, r"float \* \* y' is no parameter"),
    (lambda: eg.RawKernel(HEAD, outputs={"z": "x"}), eg.UseError, "k has no parameter 'z', of which outputs speaks; it has x, y, n"),
    (lambda: eg.RawKernel(HEAD, outputs={"x": "y"}), eg.UseError, "x cannot be what outputs or scalars say"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, inputs="x"), eg.UseError, "nothing says what the parameter n is given"),
    (lambda: eg.RawKernel(HEAD, "other", outputs={"y": "x"}), eg.UseError, "which has k; 'other' was given"),
    (lambda: eg.RawKernel(SPLIT, outputs={"low": "k"}), eg.UseError, "which has other, ends; None was given"),
    (lambda: eg.RawKernel("float f() { return 1; }", outputs={"y": "x"}), eg.UseError, "which has none"),
    (lambda: eg.RawKernel("\n#include <stdio.h>\n" + HEAD, outputs={"y": "x"}), eg.UseError, "cannot contain '#include"),
    (lambda: eg.RawKernel(HEAD.replace("int n", "image2d_t n"), outputs={"y": "x"}), eg.UseError, "n of type 'image2d_t' cannot be given"),
    (lambda: eg.RawKernel(HEAD.replace("float *y", "uchar *y"), outputs={"y": "x"}, fill=300), eg.UseError,
     "k: fill=300 is no uint8, of which its result y is"),
    (lambda: eg.RawKernel(HEAD.replace("float *y", "uint *y"), outputs={"y": "x"}, fill=-1), eg.UseError, "fill=-1 is no uint32"),
    (lambda: eg.RawKernel(HEAD.replace("float *y", "int *y"), outputs={"y": "x"}, fill=np.nan), eg.UseError, "fill=nan is no int32"),
    (lambda: eg.RawKernel(HEAD.replace("float *y", "int *y"), outputs={"y": "x"}, fill=1.5), eg.UseError, "fill=1.5 is no int32"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, fill="0"), eg.UseError, "fill='0' is no float32"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": -3})(eg.fvector(), 1), eg.ShapeError, r"(?s)k: a size of y is negative: -3.*defined at"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, global_size=-3)(eg.fvector(), 1), eg.ShapeError, "k: its global size is negative: -3"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, scalars={"n": 2.5})(eg.fvector()), eg.UseError,
     "(?s)k: n: a size must be an int.*defined"),
    (lambda: eg.RawKernel(HEAD.replace("int n", "float n"), outputs={"y": "x"}, scalars={"n": 2j})(eg.fvector()), eg.DTypeError,
     "n is float, complex"),
    (lambda: eg.RawKernel(HEAD.replace("int n", "float n"), outputs={"y": "x"}, scalars={"n": lambda x: x})(eg.fvector()), eg.RankError,
     "n is a scalar, a tensor of 1 axes"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"})(eg.cvector(), 1), eg.DTypeError, "x points to float .*, complex64 was given"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, local={"n": 3}), eg.UseError, "local= and the __local parameters must be the same"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"})(eg.fvector()), eg.CallError, r"k takes 2 arguments \(x, n\), 1 given"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"})(eg.dvector(), 1), eg.DTypeError, r"x points to float \(float32\), float64 was given"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"})(eg.fvector(), eg.fvector()), eg.RankError, "n is a scalar, a tensor of 1 axes"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"})(eg.fvector(), 0.5), eg.DTypeError, "n is int, float32 was given: cast it"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "z"})(eg.fvector(), 1), eg.UseError, "said to be that of z, which is no argument"),
    (lambda: eg.RawKernel(HEAD, outputs=["y"])(eg.fvector(), 1), eg.UseError, "outputs= must say the shape of y"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, global_size=(1, 2, 3, 4))(eg.fvector(), 1), eg.ShapeError, "global_size has 4 sizes"),
    (lambda: eg.RawKernel(HEAD, outputs={"y": "x"}, local_size=(1, 2))(eg.fvector(), 1), eg.ShapeError, "has 1 sizes and local_size 2"),
])
def test_refusals(make, error, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert "test_raw_kernel.py" in str(caught.value)


def test_without_a_numpy_meaning_the_other_backend_says_so() -> None:
    x = eg.fmatrix("x")
    with pytest.raises(eg.OwnOpError, match='shifted has no NumPy meaning, which device="numpy" needs: give numpy='):
        eg.compile([x], shifted("0")(x)[0], device="numpy")(X)


def test_it_is_a_step_of_the_plan(tmp_path) -> None:
    x = eg.fmatrix("x")
    f = eg.compile([x], twice(x, 2) + 1, device="pocl", schedule="cpu")
    assert "kernel 'twice' of your own (in0" in f.why() and TWICE in f.source()
    with pytest.raises(eg.GraphError, match="twice is no row of exprgraph's own tables and cannot be stored"):
        eg.function_dump(str(tmp_path / "f"), [x], twice(x, 2))


@pytest.mark.parametrize("way", POCL)
def test_eight_threads_at_once(way: str) -> None:
    x = eg.fmatrix("x")
    f = eg.compile([x], [twice(x, 3), doubled(x + 1) + 1], **POCL[way])
    wrong = []

    def work(k: int) -> None:
        for _ in range(20):
            got = f(X + k)
            wrong.extend([k] * (not np.array_equal(got[0], 3 * (X + k)) or not np.array_equal(got[1], 2 * (X + k + 1) + 1)))
    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("way", POCL)
def test_no_memory_for_guards_loses_nothing(way: str, monkeypatch) -> None:
    x, total = eg.fmatrix("x"), eg.shared(np.zeros((2, 3), "float32"))
    f = eg.compile([x], twice(x, 2), updates={total: total + x}, **POCL[way])
    with monkeypatch.context() as patch:
        patch.setattr(own, "aligned", lambda nbytes: (_ for _ in ()).throw(MemoryError("none left")))
        patch.setattr(CopiedMemory, "fresh", lambda self, nbytes: (_ for _ in ()).throw(eg.AllocationError("none left")))
        with pytest.raises(MemoryError):
            f(X)
    np.testing.assert_array_equal(total.get_value(), np.zeros((2, 3)))
    np.testing.assert_array_equal(f(X), 2 * X)
    np.testing.assert_array_equal(total.get_value(), X)


def test_an_integer_that_its_parameter_cannot_hold() -> None:
    x, n = eg.fvector("x"), eg.lscalar("n")
    kernel = eg.RawKernel("__kernel void k(__global const float *x, __global float *y, int n) { y[0] = n; }", outputs={"y": "x"})
    f = eg.compile([x, n], kernel(x, n), device="pocl", schedule="cpu")
    assert f(np.zeros(1, "float32"), -3) == [-3]
    with pytest.raises(eg.OwnOpError, match="k: 1099511627776 is no int32, which its parameter takes"):
        f(np.zeros(1, "float32"), 2**40)


@pytest.mark.parametrize("way", POCL)
def test_local_arrays_of_vectors(way: str) -> None:
    """Their elements are vectors: twice as many, of eight numbers each, fill 1 KiB."""
    text = """__kernel void turned(__global const float *x, __global float *y, __local float8 *t) {
        int i = get_local_id(0);
        t[i] = (float8)(x[get_global_id(0)]);
        t[i + 16] = -t[i];
        barrier(CLK_LOCAL_MEM_FENCE);
        y[get_global_id(0)] = t[15 - i].s7 + 2 * t[31 - i].s0;
    }"""
    kernel, x = eg.RawKernel(text, outputs={"y": "x"}, local={"t": 32}, local_size=16), eg.fvector("x")
    values = np.arange(32, dtype="float32")
    np.testing.assert_array_equal(eg.compile([x], kernel(x), **POCL[way])(values), -values.reshape(2, 16)[:, ::-1].ravel())


VECTORS = {"float8": "float32", "float16": "float32", "double4": "float64", "double16": "float64", "float4": "float32",
           "uchar16": "uint8"}


def at_offset(values: np.ndarray, offset: int) -> np.ndarray:
    """The values as an array that begins so many bytes behind a multiple of 128."""
    raw = np.empty(values.nbytes + 256, "uint8")
    begin = -raw.__array_interface__["data"][0] % 128 + offset
    found = raw[begin:begin + values.nbytes].view(values.dtype)
    found[:] = values
    return found


@pytest.mark.parametrize("way", POCL)
@pytest.mark.parametrize("checked", [None, True, False])
@pytest.mark.parametrize("vector", VECTORS)
def test_vectors_lie_where_their_type_may(vector: str, checked: bool | None, way: str) -> None:
    """Arguments, intermediates, constants, shared variables, results, and results that start as arguments."""
    dtype, width = VECTORS[vector], int(vector.lstrip("floatdubechr"))
    text = (f"__kernel void s(__global const {vector} *p, __global const {vector} *c, __global {vector} *q, __global {vector} *r) {{"
            "int g = get_global_id(0); q[g] = p[g] + c[g]; r[g] = r[g] + r[g]; }")
    kernel = eg.RawKernel(text, inputs="p, c, r", outputs={"q": "p", "r": "r"}, check=checked,
                          global_size=lambda p, c, r: p.shape[0] // width)
    x, state = eg.vector("x", dtype), eg.shared(at_offset(np.arange(16 * width).astype(dtype), 16))
    constant = eg.constant(np.arange(16 * width).astype(dtype))
    f = eg.compile([x], [*kernel(x, state, x), *kernel(x + 1, constant, x * 2)], **POCL[way])
    values = np.arange(16 * width).astype(dtype)
    for offset in (0, 8, 16, 32, 48, 64, 120):
        given = at_offset(values, offset)
        for got, want in zip(f(given), [values * 2, values * 2, values * 2 + 1, values * 4]):
            np.testing.assert_array_equal(got, want.astype(dtype))
        np.testing.assert_array_equal(given, values)


@pytest.mark.parametrize("way", POCL)
@pytest.mark.parametrize("pointers", ["((__global eight *)q)[g] = ((const __global\n float8 *) p)[g] * 2",
                                      "((__global Eight *)q)[g].v = ((__global const Eight *)p)[g].v * 2"])
def test_pointers_that_a_kernel_makes_itself_are_to_vectors_too(pointers: str, way: str) -> None:
    text = """typedef float8 eight;
    typedef struct { int n[0]; float8 v; } Eight;
    __kernel void s(__global const float *p, __global float *q) { int g = get_global_id(0); """ + pointers + "; }"
    x = eg.fvector("x")
    f = eg.compile([x], eg.RawKernel(text, outputs={"q": "p"}, check=False, global_size=lambda p: p.shape[0] // 8)(x), **POCL[way])
    values = np.arange(800, dtype="float32")
    for offset in range(0, 128, 4):
        np.testing.assert_array_equal(f(at_offset(values, offset)), 2 * values)


@pytest.mark.parametrize("way", POCL)
def test_pointers_that_are_constant_themselves(way: str) -> None:
    x = eg.fvector("x")
    kernel = eg.RawKernel("__kernel void k(__global float const *const a, const __global float *restrict b, __global float *const "
                          "restrict c) { int i = get_global_id(0); c[i] = a[i] - b[i]; }", outputs={"c": "a"})
    np.testing.assert_array_equal(eg.compile([x], kernel(3 * x, x), **POCL[way])(X[0]), 2 * X[0])


NEGATIVE = {
    "a size of y": {"outputs": {"y": lambda x: x.shape[0] - 20}, "global_size": 1},
    "its global size": {"outputs": {"y": "x"}, "global_size": lambda x: x.shape[0] - 20},
    "its local size": {"outputs": {"y": "x"}, "global_size": 8, "local_size": lambda x: x.shape[0] - 20},
    "the size of t": {"outputs": {"y": "x"}, "local": {"t": lambda x: x.shape[0] - 20}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", NEGATIVE)
def test_sizes_that_are_negative_in_a_call(what: str, way: str) -> None:
    options = {"local": {"t": 4}, **NEGATIVE[what]}
    kernel = eg.RawKernel("__kernel void k(__global const float *x, __global float *y, __local float *t) { y[0] = 1; }", **options,
                          numpy=lambda x: x * 0 + 1)
    x = eg.fvector("x")
    f = eg.compile([x], kernel(x), **WAYS[way])
    with pytest.raises(eg.ShapeError, match=f"(?s)k: {what} is negative: -14.*defined at .*test_raw_kernel.py.* at .*test_raw_kernel.py"):
        f(np.zeros(6, "float32"))


@pytest.mark.parametrize("way", WAYS)
def test_scalars_that_are_floats(way: str) -> None:
    x = eg.fvector("x")
    text = "__kernel void k(__global const float *x, float a, double b, int n, float c, __global double *y) { int i = get_global_id(0); " \
        "y[i] = a * x[i] + b * n + c; }"
    kernel = eg.RawKernel(text, inputs="x, c", outputs={"y": "x"}, scalars={"a": 2.5, "b": 0.1, "n": lambda x, c: x.shape[0]},
                          numpy=lambda x, c: 2.5 * x.astype("float64") + 0.1 * len(x) + c,
                          grad=lambda g, y, x, c: (g.astype("float32") * 2.5, None))
    means = eg.RawKernel(text, inputs="x", outputs={"y": "x"}, scalars={
        "a": lambda x: x.mean(), "b": lambda x: x.shape[0], "c": np.float64(1), "n": 3},
        numpy=lambda x: x.mean() * x.astype("float64") + len(x) * 3 + 1)
    f = eg.compile([x], [kernel(x, 1), means(x), eg.grad(kernel(x * 2, 1).sum(), x), eg.vmap(means)(eg.stack([x, x + 1]))], **WAYS[way])
    values = X.ravel()
    rows = [r.mean() * r.astype("float64") + 19 for r in (values, values + 1)]
    for got, want in zip(f(values), [2.5 * values.astype("float64") + (0.1 * 6 + 1), rows[0], np.full(6, 5), rows]):
        np.testing.assert_allclose(got, want, rtol=1e-15)


MANDELBROT = """
__kernel void mandelbrot(__global const float2 *q, __global ushort *output, ushort const maxiter) {
    int gid = get_global_id(0);
    float nreal, real = 0, imag = 0;
    output[gid] = 0;
    for (int curiter = 0; curiter < maxiter; curiter++) {
        nreal = real*real - imag*imag + q[gid].x;
        imag = 2 * real*imag + q[gid].y;
        real = nreal;
        if (real*real + imag*imag > 4.0f) { output[gid] = curiter; break; }
    }
}
"""


def escapes(q: np.ndarray, limit: int) -> np.ndarray:
    """The step at which the numbers escape."""
    found, inside, z = np.zeros(q.shape, "uint16"), np.ones(q.shape, bool), np.zeros_like(q)
    with np.errstate(all="ignore"):
        for k in range(limit):
            z = z * z + q
            out = inside & (z.real**2 + z.imag**2 > 4)
            found[out], inside = k, inside & ~out
    return found


@pytest.mark.parametrize("way", WAYS)
def test_complex_numbers_are_pairs_of_floats(way: str) -> None:
    q, z = eg.cvector("q"), eg.zmatrix("z")
    mandelbrot = eg.RawKernel(MANDELBROT, outputs={"output": "q"}, numpy=escapes)
    turned = eg.RawKernel("__kernel void turned(__global double2 *z) { int i = get_global_id(0); z[i] = (double2)(-z[i].y, z[i].x); }",
                          inputs="z", outputs="z", numpy=lambda z: z * 1j)
    values = (np.linspace(-2, 1, 30)[:, None] + 1j * np.linspace(-1, 1, 7)).astype("complex64").ravel()
    matrix = np.arange(6).reshape(2, 3) + 2j
    got = eg.compile([q, z], [mandelbrot(q, 30), mandelbrot(q * 1j, 5), turned(z)], **WAYS[way])(values, matrix)
    for a, b in zip(got, [escapes(values, 30), escapes(values * np.complex64(1j), 5), np.stack([-matrix.imag, matrix.real], -1)]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("way", WAYS)
def test_booleans_are_bytes(way: str) -> None:
    x = eg.fvector("x")
    count = eg.RawKernel("__kernel void k(__global const uchar *x, __global const char *y, __global int *z) { int i = get_global_id(0); "
                         "z[i] = x[i] + 2 * y[i]; }", outputs={"z": "x"}, numpy=lambda x, y: x + 2 * y.astype("int32"))
    got = eg.compile([x], count(x > 2, x < 4), **WAYS[way])(X.ravel())
    np.testing.assert_array_equal(got, [2, 2, 2, 3, 1, 1])


def in_place(a: np.ndarray) -> np.ndarray:
    """A function that writes to its argument."""
    a *= 2
    return a


@pytest.mark.parametrize("numpy, message", [
    (in_place, "numpy of k raised ValueError: .*read-only"), (lambda a: a[7:] @ 1, "numpy of k raised ValueError"),
    (lambda a: "no", "numpy of k gave a as 'no', which is no array of float32"), (lambda a: (a, a), "numpy of k gave 2 values, 1 is"),
    (lambda a: a[1:], r"numpy of k gave a with shape \(5,\), \(6,\) was expected")])
def test_a_numpy_meaning_that_fails(numpy, message: str) -> None:
    x, mine = eg.fvector("x"), X.ravel().copy()
    kernel = eg.RawKernel("__kernel void k(__global float *a) { a[get_global_id(0)] *= 2; }", inputs="a", outputs="a", numpy=numpy)
    f = eg.compile([x], [kernel(x), x * 1], device="numpy")
    with pytest.raises(eg.OwnOpError, match=f"(?s){message}.*test_raw_kernel.py"):
        f(mine)
    np.testing.assert_array_equal(mine, X.ravel())


@pytest.mark.parametrize("way", WAYS)
def test_an_item_for_each_vector_of_the_first_result(way: str) -> None:
    x = eg.fvector("x")
    kernel = eg.RawKernel("__kernel void k(__global const float4 *x, __global float4 *y) { int g = get_global_id(0); y[g] = x[g] * 2 + "
                          "(float4)(get_global_size(0)); }", outputs={"y": "x"}, check=True, numpy=lambda x: x * 2 + len(x) // 4)
    np.testing.assert_array_equal(eg.compile([x], kernel(x), **WAYS[way])(np.ones(20, "float32")), np.full(20, 7))


def test_messages_have_both_lines() -> None:
    x = eg.fvector("x")
    kernel = eg.RawKernel("__kernel void k(__global const float *x,\n __global float *y) {\n y[0] = x[0] +;\n}", outputs={"y": "x"})
    with pytest.raises(eg.OwnOpError) as caught:
        eg.compile([x], kernel(x), device="pocl")
    text = str(caught.value)
    lines = text.splitlines()
    assert text.count("line 3, column") == 1 and "clBuildProgram" not in text and "tempfile" not in text and ".cl:" not in text
    assert lines[-2].startswith("  at ") and lines[-1].startswith("  defined at ") and lines[-1] != lines[-2].replace("at", "defined at", 1)


def test_explain_runs_kernels_without_a_numpy_meaning_on_a_device() -> None:
    x, n = eg.fmatrix("x"), eg.lscalar("n")
    y, z = shifted("0")(x)
    low, _ = eg.RawKernel(SPLIT, "ends", outputs={"low": "k", "pairs": lambda k, n: (k.shape[0], 2)})(x.flatten().astype("int32"), n)
    report = eg.explain([eg.log(y - 1), z.sum(), low], {x: X + 1, n: 2})
    assert report.first_bad is not None and report.first_bad.node.op.name == "log" and "an infinity" in str(report.first_bad.problem)
    rows = [r for r in report.rows if r.node.op.name == "shifted"]
    assert [(r.low, r.high, r.shape) for r in rows] == [(1, 6, (2, 3))] * 2
    broken = eg.RawKernel("__kernel void broken(__global const float *x, __global float *y) { y[0] = t; }", outputs={"y": "x"})
    assert "could not build the kernel broken" in str(eg.explain(broken(x), {x: X}).first_bad)


def test_explain_without_a_device_says_what_is_missing(monkeypatch) -> None:
    x = eg.fmatrix("x")
    monkeypatch.setattr(eg.config, "device", "numpy")
    report = eg.explain(eg.exp(shifted("0")(x)[0]), {x: X})
    assert "shifted has no NumPy meaning" in str(report.first_bad) and "give numpy=" in str(report.first_bad)


@pytest.mark.parametrize("way", POCL)
def test_lanes_of_vectors_lie_where_their_type_may(way: str) -> None:
    """Rows of 48 numbers are no multiples of 64 bytes apart where the array begins anywhere."""
    x = eg.fmatrix("x")
    kernel = eg.RawKernel("__kernel void k(__global const float16 *x, __global float16 *y) { int g = get_global_id(0); y[g] = x[g] * 2; }",
                          outputs={"y": "x"}, check=False)
    values = np.arange(5 * 24 * 2, dtype="float32").reshape(5, 48)[:, :32]
    for given in (values, np.ascontiguousarray(values), at_offset(np.arange(5 * 32, dtype="float32"), 4).reshape(5, 32)):
        np.testing.assert_array_equal(eg.compile([x], eg.vmap(kernel)(x), **POCL[way])(given), 2 * given)
