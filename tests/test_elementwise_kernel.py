"""C expressions as ops: values, fusion, dtypes, gradients, and text that could reach beyond its place."""
from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.own.text import SNIPPETS, read
from tests.faults import WAYS

POCL = {k: v for k, v in WAYS.items() if k != "numpy"}
X = np.array([0.5, -2, 3, 0, 7], "float32")
Y = np.array([1, 2, -3, 4, 0.25], "float32")
K = np.array([3, -7, 0, 12, 5], "int32")
MANDELBROT = """
    float a = 0, b = 0;
    int n = 0;   // counts
    for (; n < 20 && a * a + b * b <= 4; ++n) {
        float t = a * a - b * b + re[i];
        b = 2 * a * b + im[i];
        a = t;
    }
    steps[i] = n;
"""


def escaped(re, im):
    """What MANDELBROT counts, in the order of its operations."""
    steps = np.zeros(re.shape, "int32")
    a = b = np.zeros_like(re)
    for _ in range(20):
        inside = a * a + b * b <= 4
        steps += inside
        a, b = np.where(inside, a * a - b * b + re, a), np.where(inside, 2 * a * b + im, b)
    return steps


lin_comb = eg.ElementwiseKernel("float a, float *x, float b, float *y, float *z", "z[i] = a*x[i] + b*y[i]", "lin_comb",
                                numpy=lambda a, x, b, y: a * x + b * y)
KERNELS: dict[str, tuple[eg.ElementwiseKernel, Any]] = {
    "pyopencl": (eg.ElementwiseKernel("float *x, float *y, float *z", "z[i] = 5*x[i] + 6*y[i]", numpy=lambda x, y: 5 * x + 6 * y), "xy"),
    "const": (eg.ElementwiseKernel("const float *x, __global const float *y, __global float *restrict z", "z[i] = x[i] / (1 + y[i]*y[i]);",
                                   numpy=lambda x, y: x / (1 + y * y)), "xy"),
    "plain": (eg.ElementwiseKernel("x, y", "2*x + y", numpy=lambda x, y: 2 * x + y), "xy"),
    "ternary": (eg.ElementwiseKernel("x", "x > 0 ? x : -x", numpy=np.abs), "x"),
    "typed": (eg.ElementwiseKernel("float x, int k", "x * k", numpy=lambda x, k: (x * k).astype("float32")), "xk"),
    "to int": (eg.ElementwiseKernel("float x", "x > 0", outputs="int positive", numpy=lambda x: x > 0), "x"),
    "to bool": (eg.ElementwiseKernel("int k", "k & 4", outputs="bool some", numpy=lambda k: k & 4 != 0), "k"),
    "statements": (eg.ElementwiseKernel("T x, T y", "T d = x - y; if (d < 0) d = -d; z = d * d;", outputs="T z",
                                        numpy=lambda x, y: (x - y) ** 2), "xy"),
    "early return": (eg.ElementwiseKernel("T x", "z = 1; if (x < 0) return; z = x", outputs="T z",
                                          numpy=lambda x: np.where(x < 0, 1, x)), "x"),
    "in place": (eg.ElementwiseKernel("float *x, float *y", "y[i] += x[i]", numpy=lambda x, y: y + x), "xy"),
    "kept": (eg.ElementwiseKernel("float *x, float *y", "if (x[i] > 0) y[i] = 9", numpy=lambda x, y: np.where(x > 0, 9, y)), "xy"),
    "position": (eg.ElementwiseKernel("float *x", "x[i] = x[i] * n + i", numpy=lambda x, i, n: x * n + i), "x"),
    "own i": (eg.ElementwiseKernel("x", "T s = 0; for (int i = 0; i < 3; ++i) s += x; z = s", outputs="T z", numpy=lambda x: 3 * x), "x"),
    "mandelbrot": (eg.ElementwiseKernel("float *re, float *im, int *steps", MANDELBROT, "mandelbrot", numpy=escaped), "xy"),
    "preamble": (eg.ElementwiseKernel("x", "f(x) + C", preamble="#define C 2\nT f(T v) { return v * TWICE; }\n#define TWICE 2\n".replace(
        "#define TWICE 2\n", "") .replace("T f", "#define TWICE 2\nT f"), numpy=lambda x: 2 * x + 2), "x"),
    "members": (eg.ElementwiseKernel("float x, float y", "P p; p.one = x; p.two = one(y); z = p.one - p.two", outputs="float z",
                                     preamble="typedef struct { float one, two; } P; float one(float v) { return v + 1; }",
                                     numpy=lambda x, y: x - (y + 1)), "xy"),
    "comments": (eg.ElementwiseKernel("x", "/* } */ x // ; }\n + 1", numpy=lambda x: x + 1), "x"),
}
VALUES = {"x": X, "y": Y, "k": K}


@pytest.mark.parametrize("way", WAYS)
def test_values(way: str) -> None:
    """Alone, and fused behind another op into a sum; all in one function."""
    symbols = {c: eg.tensor(c, v.dtype.name, (None,)) for c, v in VALUES.items()}
    outputs = [k(*(symbols[c] for c in given)) for k, given in KERNELS.values()]
    outputs += [(2 * k(*(symbols[c] + 1 for c in given))).sum() for k, given in KERNELS.values()]
    f = eg.compile(list(symbols.values()), outputs, **WAYS[way])
    for n in (5, 1, 0):
        got = iter(f(*(v[:n] for v in VALUES.values())))
        for step in (0, 1):
            for name, (kernel, given) in KERNELS.items():
                more = (np.arange(n), n) if name == "position" else ()
                want = np.asarray(kernel.numpy(*(VALUES[c][:n] + VALUES[c].dtype.type(step) for c in given), *more))
                want = (2 * want.astype("float64")).sum() if step else want
                np.testing.assert_allclose(next(got), want, rtol=1e-5 if step else 1e-6, err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_broadcasting_and_numbers(way: str) -> None:
    x, m = eg.fvector("x"), eg.fmatrix("m")
    f = eg.compile([x, m], [lin_comb(2, x, 3, m), lin_comb(2, x, 3, m.T), lin_comb(1, 2, 3, 4)], **WAYS[way])
    m_ = np.arange(25, dtype="float32").reshape(5, 5)
    for got, want in zip(f(X, m_), [2 * X + 3 * m_, 2 * X + 3 * m_.T, np.float32(14)]):
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "float32", "float64"])
def test_a_letter_is_the_dtype_of_the_arguments(dtype: str, way: str) -> None:
    kernel = eg.ElementwiseKernel("T x, T y, U k", "T t = x; z = t * y + (T)k", outputs="T z", numpy=lambda x, y, k: x * y + k)
    x, k = eg.tensor("x", dtype, (None,)), eg.tensor("k", "int8", (None,))
    out = kernel(x, 2, k)
    assert out.dtype == dtype
    got = eg.compile([x, k], out, **WAYS[way])(np.arange(4).astype(dtype), np.arange(4).astype("int8"))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.arange(4) * 3)


@pytest.mark.parametrize("way", POCL)
def test_a_shape_where_no_argument_tells(way: str) -> None:
    n, kernel = eg.lscalar("n"), eg.ElementwiseKernel("", "10.0f * i + n", outputs="float z")
    f = eg.compile([n], [kernel(shape=(2, n)), kernel(shape=n).sum(), kernel(shape=())], **POCL[way])
    got = f(3)
    np.testing.assert_array_equal(got[0], (10 * np.arange(6) + 6).reshape(2, 3))
    assert got[1] == 39 and got[2] == 1


def launches(f: Any) -> int:
    """Kernels in the longest way through the plan's text, branches counted once."""
    return len(re.findall(r"^  launch|^  variant", f.why(), re.MULTILINE))


@pytest.mark.parametrize("way", POCL)
def test_kernels_are_fused(way: str) -> None:
    """With maps before and after, with a reduction, and with each other: one launch, and no memory between."""
    x, y = eg.fvector("x"), eg.fvector("y")
    double = KERNELS["plain"][0]
    for out in (eg.exp(lin_comb(2, x + 1, 3, y * y)) * 2, lin_comb(2, x, 3, y).sum(), double(lin_comb(1, x, 2, y), eg.sqrt(x))):
        f = eg.compile([x, y], out, **POCL[way])
        assert launches(f) == 1, f.why()


@pytest.mark.parametrize("way", POCL)
def test_preambles_with_the_same_names_meet_in_one_kernel(way: str) -> None:
    def make(n):
        return eg.ElementwiseKernel("x", "f(x) * SCALE", preamble=f"#define SCALE {n}\ninline T f(T v) {{ return v + {n}; }}")
    x = eg.fvector("x")
    out = make(2)(x) + make(3)(x) * make(5)(make(7)(x))
    f = eg.compile([x], out, **POCL[way])
    assert launches(f) == 1
    np.testing.assert_allclose(f(X), (X + 2) * 2 + (X + 3) * 3 * ((X + 7) * 7 + 5) * 5, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_several_results(way: str) -> None:
    polar = eg.ElementwiseKernel("T x, T y", "r = hypot(x, y); q = (x < 0) + 2 * (y < 0)", outputs="T r, int q",
                                 numpy=lambda x, y: (np.hypot(x, y), (x < 0) + 2 * (y < 0)),
                                 grad=lambda gs, ys, x, y: (gs[0] * x / ys[0], gs[0] * y / ys[0]))
    x, y = eg.fvector("x"), eg.fvector("y")
    r, q = polar(x, y)
    got = eg.compile([x, y], [r, q, *eg.grad((r * 2).sum(), [x, y])], **WAYS[way])(X, Y)
    r_ = np.hypot(X, Y)
    for a, b in zip(got, [r_, (X < 0) + 2 * (Y < 0), 2 * X / r_, 2 * Y / r_]):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    if way != "numpy":
        assert launches(eg.compile([x, y], [r, q], **WAYS[way])) == 1


def test_gradients() -> None:
    """Functions of symbols, to any order; C expressions, in one kernel with what surrounds them; none is an error that names the op."""
    cube = eg.ElementwiseKernel("x", "x*x*x", "cube", numpy=lambda x: x**3, grad=lambda g, y, x: (g * 3 * x * x,))
    eg.check_grads(cube, [np.array([0.5, -2, 3])], order=2)
    eg.check_grads(lambda x, y: cube(x * y) / (1 + x * x), [np.array([0.5, -2]), np.array([1.5, 0.2])], order=2)
    for way in POCL.values():
        mix = eg.ElementwiseKernel("float a, float *x, float *z", "z[i] = a * x[i] * x[i]", "mix",
                                   grad={"a": "g * z / a", "x": "2 * a * x * g"})
        x, a = eg.fvector("x"), eg.fscalar("a")
        got = eg.compile([a, x], eg.grad((mix(a, x) * 3).sum(), [a, x]), **way)(2, X)
        np.testing.assert_allclose(got[0], 3 * (X * X).sum(), rtol=1e-5)
        np.testing.assert_allclose(got[1], 12 * X, rtol=1e-5)
    square = eg.ElementwiseKernel("x, y", "x*x + y", grad={"x": "2*g*x", "y": "g"})  # a result without a name
    eg.check_grads(square, [np.array([0.5, -2]), np.array([3.0])], order=1)
    with pytest.raises(eg.GradientError, match="lin_comb has no gradient"):
        eg.grad(lin_comb(1, x, 2, x).sum(), x)
    with pytest.raises(eg.UseError, match="grad of elementwise speaks of w; its inputs are x"):
        eg.ElementwiseKernel("x", "x", grad={"w": "g"})


def test_forward_and_batch_rules_are_the_users() -> None:
    kernel = eg.ElementwiseKernel("x, y", "x * y", numpy=np.multiply, forward=lambda t, z, x, y: t[0] * y + 7,
                                  batch=lambda inputs, mapped, size: inputs[0] + size)
    x, y = eg.fvector("x"), eg.fvector("y")
    node = kernel(x, y).node
    tangent = node.op.forward((x, None), eg.Out(node), *node.inputs)
    lanes = node.op.batch(node.inputs, (True, False), eg.constant(5))
    got = eg.compile([x, y], [tangent, lanes], device="numpy")(X, Y)
    np.testing.assert_array_equal(got[0], X * Y + 7)
    np.testing.assert_array_equal(got[1], X + 5)


def test_without_a_numpy_meaning_the_other_backend_says_so() -> None:
    x = eg.fvector("x")
    bare = eg.ElementwiseKernel("x", "native_recip(x)", "bare")
    with pytest.raises(eg.OwnOpError, match='bare has no NumPy meaning, which device="numpy" needs: give numpy=') as caught:
        eg.compile([x], bare(x), device="numpy")(X)
    assert "test_elementwise_kernel.py" in str(caught.value)


@pytest.mark.parametrize("way", POCL)
def test_text_that_does_not_compile(way: str) -> None:
    """The driver's words, the user's line, and nothing lost; other functions are not concerned."""
    x, total = eg.fvector("x"), eg.shared(np.zeros(5, "float32"))
    wrong = eg.ElementwiseKernel("x", "no_such_function(x) + 1", "wrong")
    with pytest.raises(eg.OwnOpError, match="could not build the text of wrong") as caught:
        eg.compile([x], wrong(x) + lin_comb(1, x, 2, x), updates={total: x}, **POCL[way])
    assert "no_such_function" in str(caught.value) and re.search(r"at .*test_elementwise_kernel.py:\d+$", str(caught.value))
    np.testing.assert_array_equal(total.get_value(), np.zeros(5))
    np.testing.assert_array_equal(eg.compile([x], lin_comb(1, x, 2, x), **POCL[way])(X), 3 * X)


REFUSED = {
    "closes": ("x", "x; } __attribute__((unused)) void f() {", "closes a bracket"),
    "opens": ("x", "x; {", "does not close a bracket"),
    "crossed": ("x", "(x]", "closes a bracket"),
    "include": ("x", "\n#include \"/etc/passwd\"\nx", "cannot contain '#include"),
    "pragma": ("x", "\n#pragma OPENCL FP_CONTRACT ON\nx", "cannot contain '#pragma"),
    "define in a body": ("x", "\n#define float double\nx", "cannot contain '#define"),
    "comment": ("x", "x /* and so on", "not understood as C"),
    "string": ("x", "x + \"abc", "not understood as C"),
    "digraph": ("x", "x; %> void f() <%", "not understood as C"),
    "trigraph": ("x", "x; ??> void f() ??<", "not understood as C"),
    "splice": ("x", "x; /\\\n* and so on", "not understood as C"),
    "carriage return": ("x", "\n#pragma unroll \r#include \"/etc/passwd\"\nx", "cannot contain '#include"),
    "splice with a space": ("x", "{\n#pragma unroll \\ \n{\nx;\n}\n}", "not understood as C"),
    "kernel": ("x", "x; __kernel", "cannot use the name __kernel"),
    "assembly": ("x", "asm(\"hlt\")", "cannot use the name asm"),
    "ours": ("x", "EG_SQRT(x)", "cannot use the name EG_SQRT"),
    "ours too": ("x", "own_0123456789abcdef_0(x)", "cannot use the name own_0123456789abcdef_0"),
    "control": ("x", "x + \x00", "not understood as C"),
    "unicode": ("x", "x + é", "not understood as C"),
    "neighbour": ("float *x, float *y", "y[i] = x[i + 1]", r"another element of x than x\[i\]: a RawKernel can"),
    "no result": ("float x", "x = 3", "assigns to none of its arrays"),
    "twice": ("x, x", "x", "two parameters are called x"),
    "no type": ("foo *x", "x[i] = 1", "the type 'foo' of x is not known"),
    "no parameter": ("float *", "1", "type 'T'|is no parameter|is not known|'float'"),
    "injection": ("float x) { } void f(", "x", "closes a bracket"),
    "function pointer": ("float (*f)(float)", "f(1)", "is no parameter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_text_that_could_reach_beyond_its_place_is_refused(case: str) -> None:
    arguments, operation, message = REFUSED[case]
    with pytest.raises(eg.UseError, match=message) as caught:
        eg.ElementwiseKernel(arguments, operation)
    assert "test_elementwise_kernel.py" in str(caught.value)


@pytest.mark.parametrize("preamble, message", [
    ("#define END }", "closes a bracket"), ("#define BEGIN (", "does not close a bracket"), ("#if 1\nfloat f();", "without #endif"),
    ("#endif", "without #if"), ("#undef EG_INLINE", "cannot contain '#undef"), ("#define X /*", "not understood"),
    ("#define eg_exp_f32 0", "cannot use the name eg_exp_f32"), ("float f() { return 1; }}", "closes a bracket"),
    ("_Pragma(\"OPENCL FP_CONTRACT ON\")", "cannot use the name _Pragma"), ("__kernel void k() {}", "cannot use the name __kernel")])
def test_preambles_that_could_are_refused(preamble: str, message: str) -> None:
    with pytest.raises(eg.UseError, match=message):
        eg.ElementwiseKernel("x", "x", preamble=preamble)


def depths(text: str) -> list[int]:
    """How many brackets are open behind each character, by a reader of its own that knows comments, strings and characters."""
    found, depth, place = [], 0, 0
    while place < len(text):
        rest = text[place:]
        skipped = re.match(r"//[^\n]*|/\*(?:.|\n)*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*(?:\"|\Z|\n)|'(?:\\.|[^'\\\n])*(?:'|\Z|\n)", rest)
        step = skipped.group() if skipped else rest[0]
        depth += (step in "([{") - (step in ")]}")
        found += [depth] * len(step)
        place += len(step)
    return found


NASTY = ["{", "}", "(", ")", "[", "]", "/*", "*/", "//", '"', "'", "\\", "\n", "#", "#define A ", "#include ", "<%", "%>", "??/", ";", "x",
         "z", "=", "i", "x[i]", "z[i] =", "__kernel", "asm", " ", ",", "1", "'\"'", '"\\""', "\r", "\t", "\0", "é", "%:", "//\\\n"]


def test_mutated_texts_stay_in_their_place(rng) -> None:
    """Whatever is accepted is one function body, whose brackets close where it ends; all else is a UseError."""
    accepted = 0
    for _ in range(1500):
        pieces = list(rng.choice(NASTY, rng.integers(0, 6))) + list(rng.choice(["x", "z = x;", "x + 1", "{ z = x; }", "(x)"], 2))
        rng.shuffle(pieces)
        try:
            kernel = eg.ElementwiseKernel("T x", "".join(pieces), outputs="T z")
            kernel.rows(("float32",), {"T": "float32"})
        except eg.UseError:
            continue
        accepted += 1
        text = kernel._snippets[0].text
        begin = text.index("\n", text.index("_all(")) + 1
        end = text.index("\n}\nEG_INLINE")
        inside = depths(text)[begin:end]
        assert not inside or (min(inside) >= 1 and inside[-1] == 1), text
        plain = re.sub(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", "", text)
        assert depths(text)[-1] == 0 and not re.search(r"\b(__kernel|asm)\b|#|<%|%>", plain), text
    assert accepted > 30


@pytest.mark.parametrize("name", ["a b", "k(", "*/", "1k", "", None, "x\n#include <y>"])
def test_names_are_identifiers(name) -> None:
    with pytest.raises(eg.UseError, match="the name of a kernel must be an identifier"):
        eg.ElementwiseKernel("x", "x", name)


@pytest.mark.parametrize("call, error, message", [
    (lambda x: lin_comb(1, x, 2), eg.CallError, r"lin_comb takes 4 arguments \(a, x, b, y\), 3 given; results \(z\) are returned"),
    (lambda x: lin_comb(1, x, 2, x.astype("float64")), eg.DTypeError, "y is float, which does not take float64 without loss"),
    (lambda x: KERNELS["typed"][0](x, 2.5), eg.DTypeError, "k is int, which does not take 2.5 without loss"),
    (lambda x: KERNELS["typed"][0](x, 2**40), eg.DTypeError, "1099511627776"),
    (lambda x: KERNELS["plain"][0](x, eg.zvector("z")), eg.DTypeError, "does not take complex"),
    (lambda x: eg.ElementwiseKernel("", "1.0f", outputs="float z")(), eg.UseError, "has no arguments"),
    (lambda x: eg.ElementwiseKernel("int k", "k", outputs="T z")(1), eg.UseError, "no argument tells which dtype T is"),
    (lambda x: eg.ElementwiseKernel("x", 3), eg.UseError, "must be a text, not 3")])
def test_calls_that_do_not_fit(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call(eg.fvector("x"))


def test_names_of_the_user_stay_out_of_the_program() -> None:
    """What a text defines is renamed; the name of the op and of its symbols are nowhere."""
    kernel = eg.ElementwiseKernel("x", "helper(x) + LIMIT", "my_name", preamble="#define LIMIT 3\nT helper(T v) { return v; }")
    f = eg.compile([x := eg.fvector("my_symbol")], kernel(x), device="pocl", schedule="cpu")
    f(X)
    text = next(s.text for s in SNIPPETS.values() if s.name == "my_name")
    assert "my_name" not in text and not re.search(r"(?<![\w])(helper|LIMIT)\b", text) and "_helper(float v)" in text
    assert text in f.source() and "my_name" not in re.sub(r"//.*", "", f.source()) and "my_symbol" not in re.sub(r"//.*", "", f.source())


def test_equal_texts_are_one_kernel_and_unused_ones_are_forgotten() -> None:
    gc.collect()
    before = set(SNIPPETS)
    x = eg.fvector("x")
    kept = [eg.ElementwiseKernel("x", "x + 123.5f", name)(x) for name in ("first", "second", "third")]
    for k in range(20):
        eg.ElementwiseKernel("x", f"x + {k}.5f")(x)
    gc.collect()
    assert len(set(SNIPPETS) - before) == 1
    del kept[:2]
    gc.collect()
    f = eg.compile([x], kept[0], device="pocl", schedule="cpu")
    np.testing.assert_array_equal(f(X), X + np.float32(123.5))


def test_a_kernel_of_the_users_cannot_be_stored(tmp_path) -> None:
    x = eg.fvector("x")
    with pytest.raises(eg.GraphError, match="lin_comb is no row of exprgraph's own tables and cannot be stored"):
        eg.function_dump(str(tmp_path / "f"), [x], lin_comb(1, x, 2, x))


def test_reading_is_linear_in_the_text() -> None:
    long = "x + " * 20000 + "x"
    assert len(read(long, "text", None)) > 60000
