"""Plain C on NumPy arrays: kernels without numpy= give there what they give on a device."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg

X = np.array([0.5, -2, 3, 0, 7, -0.0], "float32")
K = np.array([7, -7, 3, 0, 12, -1], "int32")
TEXTS = [
    ("x", "2*x + 1"), ("x, y", "x - y - x / (1 + y*y)"), ("x", "-x*x + +x"), ("x", "x > 0 ? x : x < -1 ? -1 : 0.25f"),
    ("x", "(x > 0) + (x >= 0) + !x"),
    ("x, y", "x < y && y > 0 || x == 3"), ("x", "fabs(x) + sqrt(fabs(x)) - exp(-x*x) * sin(x)"), ("x, y", "fmax(x, y) - fmin(x, 2*y)"),
    ("x, y", "hypot(x, y) + atan2(x, y)"), ("k", "k / 3"), ("k", "k % 4"), ("k", "k / 3 * 3 + k % 3 - k"), ("k", "~k & 12 | k ^ 5"),
    ("k", "k << 2 >> 1"),
    ("k", "-k * (k - 1) / 2"), ("float x, int k", "x * k + k / 2"), ("float x", "(int)x / 2 + (float)3 / 2"),
    ("x", "1e-3f * x + .5f - 0x1p-2f"),
    ("k", "0x1F & k"), ("k", "k == 3 ? k : -k"), ("x", "x / 0 + INFINITY"),
]
STATEMENTS = [
    ("T x, T y", "T d = x - y; d *= d; z = d + 1", "T z"), ("float *x, float *y", "y[i] += x[i] * 2;", None),
    ("float x, float y", "const float s = x + y; float t = x - y; p = s * t; q = s > t", "float p, int q"),
    ("float *x, float *z", "z[i] = x[i] * n + i", None), ("T x", "z = x; z -= 1; z = z * z", "T z")]


def check(kernel: eg.ElementwiseKernel, arguments: str) -> None:
    given = {"x": X, "y": X[::-1] + 1, "k": K}
    names = [p.name for p in kernel.body.inputs]
    symbols = [eg.tensor(n, given[n].dtype.name, (None,)) for n in names]
    found = kernel(*symbols)
    outputs = list(found) if isinstance(found, tuple) else [found]
    got, want = (eg.compile(symbols, outputs, **way)(*(np.ascontiguousarray(given[n]) for n in names))
                 for way in ({"device": "numpy"}, {"device": "pocl", "schedule": "cpu"}))
    for a, b in zip(got, want):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("arguments, text", TEXTS)
def test_expressions(arguments: str, text: str) -> None:
    check(eg.ElementwiseKernel(arguments, text), arguments)


@pytest.mark.parametrize("arguments, text, outputs", STATEMENTS)
def test_statements(arguments: str, text: str, outputs: str | None) -> None:
    check(eg.ElementwiseKernel(arguments, text, outputs=outputs), arguments)


@pytest.mark.parametrize("text", [
    "z = x; if (x > 0) z = 1", "for (int k = 0; k < 3; ++k) z += x", "z = unknown(x)", "z = x; z++", "float2 v; v.x = x; z = v.x",
    "z = x, x", "z = sizeof(x)", "int k; z = x", "w = 3; z = x", "z = " + "(" * 3000 + "x" + ")" * 3000])
def test_what_is_not_plain_has_no_meaning_here(text: str) -> None:
    assert eg.ElementwiseKernel("float x", text, outputs="float z").numpy is None


@pytest.mark.parametrize("preamble", ["#define scale 3", "float sin(float x) { return x; }"])
def test_what_a_preamble_defines_has_no_meaning_here(preamble: str) -> None:
    """Nor has what it redefines."""
    x = eg.fvector("x")
    kernel = eg.ElementwiseKernel("x", "x * scale" if "scale" in preamble else "sin(x)", preamble=preamble)
    assert kernel.numpy is None
    with pytest.raises(eg.OwnOpError, match="has no NumPy meaning"):
        eg.compile([x], kernel(x), device="numpy")(X)


def test_gradients_in_c_and_folds() -> None:
    """Against finite differences, which NumPy computes."""
    mix = eg.ElementwiseKernel("double a, double x", "a*x*x*x", outputs="double z", grad={"a": "g*z/a", "x": "3*g*a*x*x"})
    eg.check_grads(mix, [np.array([2.0, -1]), np.array([0.5, 3])], order=1)
    odd = eg.ReductionKernel("float64", 0, "a + b + a*b", "x[i]*x[i]", "double *x", grad={"x": "2*g*x"},
                             reduce_grad=lambda g, y, x: (g * (y + 1) / (x + 1),))
    eg.check_grads(odd, [np.array([0.5, -1, 2])], order=1)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_in_every_kind_of_kernel(schedule: str) -> None:
    """Behind and before gathers, scans, products, scatters, sorts and reductions."""
    square = eg.ElementwiseKernel("x", "x*x", grad={"x": "2*g*x"})
    x, k = eg.fmatrix("x"), eg.lvector("k")
    outputs = [square(x)[:, k], eg.cumsum(square(x), axis=1), square(x) @ square(x.T), square(x @ x.T + 1), square(x.T).reshape((-1,)),
               eg.where(x > 0.5, square(x), 0), eg.inc_subtensor(x[k], square(x[k])), eg.softmax(square(x)), square(square(x).sum(axis=0)),
               eg.argmax(square(x - 1), axis=1), eg.sort(square(x - 1), axis=1), eg.grad((eg.cumsum(square(x), axis=0)**2).sum(), x)]
    values = np.arange(12, dtype="float32").reshape(3, 4) / 7, np.array([2, 0, 0, 1])
    got, want = (eg.compile([x, k], outputs, **way)(*values) for way in ({"device": "pocl", "schedule": schedule}, {"device": "numpy"}))
    for number, (a, b) in enumerate(zip(got, want)):
        np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=f"result {number}")


def expression(rng: np.random.Generator, depth: int) -> str:
    """A random expression over x, y and small numbers, of values that stay small."""
    if depth == 0 or rng.random() < 0.15:
        return str(rng.choice(["x", "y", "2", "0.5f", "(float)3", "-1"]))
    a, b, c = (expression(rng, depth - 1) for _ in range(3))
    return str(rng.choice([f"({a} + {b})", f"{a} - ({b})", f"0.5f * ({a}) * ({b})", f"({a}) / (1 + ({b}) * ({b}))",
                           f"(({a}) < {b} ? {a} : ({c}))",
                           f"fmax((float)({a}), (float)({b}))",
                           f"sin((float)({a}))", f"(({a}) > 0 && ({b}) <= 1)", f"!({a})", f"-({a})", f"fabs((float)({a})) * {c}"]))


def test_random_expressions(rng) -> None:
    """Forty of them in one function, on a device and by NumPy."""
    texts = [expression(rng, 4) for _ in range(40)]
    x, y = eg.fvector("x"), eg.fvector("y")
    outputs = [eg.ElementwiseKernel("float x, float y", t)(x, y) for t in texts]
    values = rng.uniform(-2, 2, (2, 50)).astype("float32")
    got, want = (eg.compile([x, y], outputs, on_unused_input="ignore", **way)(*values)
                 for way in ({"device": "pocl", "schedule": "cpu"}, {"device": "numpy"}))
    for t, a, b in zip(texts, got, want):
        off = np.abs(a - b) > 1e-4 * (1 + np.abs(b))
        assert off.mean() <= 0.1, t  # comparisons of what rounds otherwise may differ
