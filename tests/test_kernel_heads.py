"""The heads of kernels in programs with macros, conditions and whatever else a compiler takes."""
from __future__ import annotations

import time

import numpy as np
import pyopencl as cl
import pytest

import exprgraph as eg
from exprgraph.own.text import parameters
from runtime.own_text import mismatch
from tests.faults import WAYS

POCL = {k: v for k, v in WAYS.items() if k != "numpy"}
X = np.arange(6, dtype="float32")
BODY = "{ int i = get_global_id(0); y[i] = 2 * x[i]; }"
PLAIN = "__kernel void k(__global const float *x, __global float *y) " + BODY
TAKEN = {
    "joined words": "#define JOIN(a, b) a##b\n#define TEXT(a) #a\n"
        + PLAIN.replace("int i", "int JOIN(i, ) = 0; i").replace("i = 0; i", "i"),
    "an error that is not met": "#ifndef __OPENCL_VERSION__\n#error Can't be built \" as it is\n#endif\n" + PLAIN,
    "braces that differ between branches": "#ifdef WIDE\n__kernel void k(__global const float *x, __global float *y) {\n  if (1) {\n#else\n"
        "__kernel void k(__global const float *x, __global float *y) {\n  {\n#endif\n" + BODY[1:] + "}",
    "a branch that counts": "#define DOUBLE 0\n#if DOUBLE\n__kernel void k(__global const double *x, __global double *y)\n#else\n"
        "__kernel void k(__global const float *x, __global float *y)\n#endif\n" + BODY,
    "a branch that a name decides": "#define SINGLE\n#if !defined(SINGLE) || SINGLE_IS + 1 > 3 && 0x1f\n"
        "__kernel void k(__global double *x)\n#elif defined SINGLE && (1 << 2) == 4L\n"
        "__kernel void k(__global const float *x, __global float *y)\n#else\nkernel void k(int n)\n"
        "#endif\n" + BODY,
    "a branch of the device with the same head": "#if __OPENCL_VERSION__ >= 120\n" + PLAIN + "\n#else\n" + PLAIN + "\n#endif",
    "a pragma of the device": "#ifdef cl_khr_fp64\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#endif\n" + PLAIN,
    "a type by another name": "typedef float real;\n#define GLOBAL __global\n#define IN GLOBAL const\n#define TYPE real\n"
        "__kernel void k(IN TYPE *x, GLOBAL TYPE *y) " + BODY,
    "a type that is undefined again": "#define T double\n#undef T\n#define T float\n" + PLAIN.replace("float", "T"),
    "attributes": "__attribute__((vec_type_hint(float))) __kernel __attribute__((vec_type_hint(float))) void __attribute__((unused)) k("
        "__global const float *x, __global float *y) __attribute__((vec_type_hint(float))) " + BODY,
    "a declaration before it": "__kernel void k(__global const float *, __global float *);\n" + PLAIN,
    "the word void first": PLAIN.replace("__kernel void", "void __kernel"),
    "names of ours": "#define eg_twice(a) (2 * (a))\n__kernel void k(__global const float *own_x, __global float *y) "
        "{ int i = get_global_id(0); y[i] = eg_twice(own_x[i]); }",
    "words in comments and texts": "// __kernel void other(int a)\n/* __kernel void more(int b) { */\n"
        "__constant char t[] = \"kernel void k(\";\n" + PLAIN,
    "lines that go on": PLAIN.replace("void k", "void \\\n k").replace("const", "\\\r\nconst"),
    "another name of a comment": PLAIN.replace("int i", "char c = '('; int i"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_head_that_is_found(case: str) -> None:
    x, way = eg.fvector("x"), POCL["cpu"]
    kernel = eg.RawKernel(TAKEN[case], outputs={"y": 6})
    np.testing.assert_array_equal(eg.compile([x], kernel(x), **way)(X), 2 * X)


MACRO = "#define MAKE(T) __kernel void twice_##T(__global const T *x, __global T *y) " + BODY + "\nMAKE(float)\nMAKE(int)\n"
DEVICE = ("#ifdef cl_khr_fp64\n__kernel void k(__global const double *x, __global double *y) " + BODY + "\n#else\n" + PLAIN + "\n#endif")
INSIDE = ("__kernel void k(__global const float *x, __global float *y\n#if __OPENCL_VERSION__ > 100\n, int n\n#endif\n) "
          "{ y[0] = n * x[0]; }")


@pytest.mark.parametrize("text, message", [
    (MACRO, r"has none; None was given. If a macro writes it, give head= as it is after macros and conditions"),
    (DEVICE, "k has several heads, between which conditions of the device decide: give head="),
    (INSIDE, "k has several heads"),
    ("__global__ void k(const float *x, float *y) { y[threadIdx.x] = x[threadIdx.x]; }",
     "It is CUDA C; in OpenCL C kernels are __kernel"),
    ("#include \"mine.h\"\n" + PLAIN, "cannot contain '#include"),
    ("", "has none; None was given"), ("__kernel void k(", "has none"), ("__kernel", "has none"), ("__kernel void", "has none"),
    ("#define void int\n" + PLAIN, "has none"),
])
def test_a_head_that_is_not_found(text: str, message: str) -> None:
    with pytest.raises(eg.UseError, match=message) as caught:
        eg.RawKernel(text, outputs={"y": "x"})
    assert "test_kernel_heads.py" in str(caught.value)


@pytest.mark.parametrize("way", POCL)
def test_a_head_that_is_given(way: str) -> None:
    x, d = eg.fvector("x"), eg.dvector("d")
    twice = eg.RawKernel(MACRO, head="void twice_float(__global const float *x, __global float *y)", outputs={"y": "x"})
    wide = eg.RawKernel(DEVICE, head="__kernel void k(__global const double *x, __global double *y);", outputs={"y": "x"})
    got = eg.compile([x, d], [twice(x), wide(d)], **POCL[way])(X, X.astype("float64"))
    np.testing.assert_array_equal(got[0], 2 * X)
    np.testing.assert_array_equal(got[1], 2 * X)


@pytest.mark.parametrize("way", POCL)
@pytest.mark.parametrize("head, message", [
    ("__global const float *x, __global float *y", r"its head says 2 parameters, .* found 3"),
    ("__global const float *x, int n, __global float *y", r"its head says that parameter 2 is int n, .* found float \*y"),
    ("__global const float *x, __global int *y, int n", r"its head says that parameter 2 is int \*y, .* found float \*y"),
    ("__global const float *x, __global float *y, long n", r"its head says that parameter 3 is long n, .* found int n"),
])
def test_a_head_that_is_not_that_of_the_kernel(head: str, message: str, way: str) -> None:
    x = eg.fvector("x")
    kernel = eg.RawKernel(INSIDE, head=f"__kernel void k({head})", outputs={"y": 6}, scalars={"n": 2} if " n" in head else {})
    with pytest.raises(eg.OwnOpError, match=message) as caught:
        eg.compile([x], kernel(x), **POCL[way])
    assert "test_kernel_heads.py" in str(caught.value)


@pytest.mark.parametrize("way", POCL)
def test_a_kernel_that_writes_to_what_its_head_calls_constant(way: str) -> None:
    x = eg.fvector("x")
    kernel = eg.RawKernel("__kernel void k(__global float *x, __global float *y) { y[0] = x[0]; }", outputs={"y": "x"},
                          head="__kernel void k(__global const float *x, __global float *y)")
    with pytest.raises(eg.OwnOpError, match=r"its head says that parameter 1 is const float \*x, .* found float \*x"):
        eg.compile([x], kernel(x), **POCL[way])


def test_texts_with_changes_anywhere_are_read_or_refused() -> None:
    """Whatever a text has become, reading it ends soon, in a head or in an error with the user's line."""
    rng, pieces = np.random.default_rng(7), [*"(){}[]\"'#\\\n*;,", "__kernel", "void",
                                               "#if", "#else", "#endif", "#define k x", "/*", "//", "typedef"]
    for text in [*TAKEN.values(), MACRO, DEVICE, INSIDE]:
        for _ in range(20):
            changed = text
            for _ in range(rng.integers(1, 4)):
                begin = int(rng.integers(len(changed)))
                changed = changed[:begin] + str(rng.choice(pieces)) + changed[begin + int(rng.integers(0, 6)):]
            try:
                eg.RawKernel(changed, outputs={"y": "x"})
            except eg.UseError as error:
                assert "test_kernel_heads.py" in str(error)


@pytest.mark.parametrize("text", ["typedef" + " a" * 100_000, "#define f x\n" * 20_000, "__kernel " * 50_000, "#if (" * 3 + "(" * 50_000,
                                  "__kernel void k" + "(" * 100_000, "typedef float8 " * 20_000 + PLAIN])
def test_long_texts_are_read_soon(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(eg.UseError):
        eg.RawKernel(text, outputs={"y": "x"}, scalars={"n": 1})
    assert time.perf_counter() - start < 5


class Told:
    """A kernel of a driver that tells the types of its parameters so."""

    def __init__(self, names: list[str], types: list[str], constant: int) -> None:
        self.num_args, self.names, self.types, self.constant = len(types), names, types, constant

    def get_arg_info(self, number: int, what: int) -> object:
        info = cl.kernel_arg_info
        if what == info.ADDRESS_QUALIFIER:
            return cl.kernel_arg_address_qualifier.GLOBAL
        return {info.NAME: self.names[number], info.TYPE_NAME: self.types[number]}.get(what, self.constant if number == 0 else 0)


READ = parameters("__global const float *x, unsigned int n", "k", None, kernel=True)


@pytest.mark.parametrize("names, types, constant, fits", [
    (["x", "n"], ["float*", "uint"], 1, True), (["", ""], ["const float *", "unsigned int"], 0, True), (["x", "n"], ["real*", "uint"], 1,
     True),
    (["x", "n"], ["float*", "uint"], 0, False), (["x", "m"], ["float*", "uint"], 1, False), (["x", "n"], ["float*", "uint*"], 1, False),
    (["x", "n"], ["float4*", "uint"], 1, False), (["x", "n"], ["float*", "ulong"], 1, False)])
def test_what_drivers_tell_of_a_head(names: list[str], types: list[str], constant: int, fits: bool) -> None:
    assert (mismatch(Told(names, types, constant), READ) is None) == fits
