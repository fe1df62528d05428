"""The kernel families, each as a call of small arrays of any length n."""
from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from exprgraph.node import Out

SIZES = (1, 63, 64, 257)
"""Around the sizes of groups, vectors and blocks."""
Array = np.ndarray[Any, Any]


class Case(NamedTuple):
    """Outputs of symbols, and an array for each of these.

    operands: "float32: n, 3" is a matrix with n rows; integers lie between 0 and n - 1 unless their dtype is followed by "+", then
    between -99 and 99.  sizes: what n is.  turned: operands, by number, that come transposed in memory.  called: by a compiled function.
    general: by the plan for all sizes.  wide: with indices of 64 bits.  shared: on memory shared with NumPy, which does some of the work.
    """
    make: Callable[..., Any]
    operands: tuple[str, ...]
    sizes: tuple[int, ...] = SIZES
    turned: tuple[int, ...] = ()
    called: bool = False
    general: bool = False
    wide: bool = False
    shared: bool = False

    def symbols(self) -> list[Out]:
        """One of unknown sizes for each operand."""
        return [eg.tensor(f"x{k}", dtype.rstrip("+"), (None,) * len(sizes)) for k, (dtype, sizes) in enumerate(map(_read, self.operands))]

    def outputs(self, symbols: list[Out]) -> list[Out]:
        """What the kernels compute."""
        made = self.make(*symbols)
        return list(made) if isinstance(made, list | tuple) else [made]

    def compiled(self) -> tuple[list[Out], list[Out], eg.Function]:
        """Symbols, outputs, and the function by the oracle."""
        symbols = self.symbols()
        outputs = self.outputs(symbols)
        return symbols, outputs, eg.compile(symbols, outputs, device="numpy", on_unused_input="ignore")

    def arrays(self, n: int) -> list[Array]:
        """Values for the symbols."""
        rng = np.random.default_rng(n)
        found = [_draw(rng, dtype, tuple(n if s == "n" else int(s) for s in sizes), n) for dtype, sizes in map(_read, self.operands)]
        return [np.ascontiguousarray(a.T).T if k in self.turned else a for k, a in enumerate(found)]


def _read(operand: str) -> tuple[str, list[str]]:
    dtype, _, sizes = operand.partition(":")
    return dtype, [s.strip() for s in sizes.split(",")] if sizes.strip() else []


def _draw(rng: np.random.Generator, dtype: str, shape: tuple[int, ...], n: int) -> Array:
    if dtype.rstrip("+")[0] in "ui":
        low, high = (-99, 99) if dtype.endswith("+") else (0, n)
        return np.asarray(rng.integers(low, high, shape)).astype(dtype.rstrip("+"))
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.startswith("complex"):
        return np.asarray(rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)).astype(dtype)
    return np.asarray(rng.uniform(-1, 1, shape)).astype(dtype)


def _standard(x: Out) -> Any:
    return (x - x.mean(axis=1, keepdims=True)) / eg.sqrt(x.var(axis=1, keepdims=True) + 1)


def _linear(x: Out, d: Out, w: Out) -> Any:
    away = x @ w - d
    return [x.T @ away, (away ** 2).sum(), away.mean()]


ODD = eg.ReductionKernel("float32", "0.0f", "a + b + a*b", "x[i] / 64", "float *x", "odd", numpy=lambda x: x / 64,
                         reduce_numpy=lambda a, b: a + b + a * b)
GCDS = eg.ReductionKernel("int32", 0, "gcd(a, b)", name="gcds", reduce_numpy=np.gcd, preamble=(
    "int gcd(int a, int b) { while (b) { int t = a % b; a = b; b = t; } return a < 0 ? -a : a; }"))
BLEND = eg.ElementwiseKernel("float *x, float *y, float *z", "z[i] = 5*x[i] + 6*y[i]", numpy=lambda x, y: 5 * x + 6 * y)
TWICE = eg.RawKernel("""
__kernel void twice(__global const float *x, __global float *y, int n) {
    int i = get_global_id(0);
    if (i < n) y[i] = 2 * x[i];
}
""", outputs={"y": "x"}, scalars={"n": lambda x: x.size}, numpy=lambda x: 2 * x)

V, M, S = "float32: n", "float32: n, 5", "float32:"
FEW = (1, 2, 63, 65)
CASES: dict[str, Case] = {
    # maps
    "map": Case(lambda x, y: [eg.exp(x) * y + 1, eg.floor(x), eg.sqrt(eg.abs(x))], (V, V)),
    "map, functions": Case(lambda x: [eg.sin(x), eg.tanh(x), eg.log1p(x * x), eg.erf(x), x ** 3, eg.round_half_to_even(x * 3),
                                      eg.arctan(x), eg.expm1(x), eg.sigmoid(x)], (V,), (1, 65)),
    "map, doubles": Case(lambda x: [eg.exp(x), eg.sin(x), eg.log(x * x + 1), eg.tanh(x) ** 2], ("float64: n",), (1, 65)),
    "map, scalars": Case(lambda a, x: [a + 1, a * x, x[0] * a], (S, V), FEW),
    "map, integers": Case(lambda x, y: [x // y, x % y, x << 1, x & y, -x, eg.abs(x), x > y, eg.maximum(x, y)],
                          ("int32+: n", "int32+: n"), FEW),
    "map, narrow integers": Case(lambda x, y, z: [x + y, x * 2, z - 1, x > 3, z.astype("int8") + x],
                                 ("int8+: n", "int8+: n", "uint16: n"), FEW),
    "map, wide integers": Case(lambda x: [x * 3 + 1, x.astype("float64"), x.astype("uint64") >> 3], ("int64+: n",), FEW),
    "map, bool": Case(lambda a, b: [a & b, ~a, a ^ b, a.sum(), (a | b).all()], ("bool: n", "bool: n"), FEW),
    "map, broadcast": Case(lambda x, y: [x.dimshuffle(0, "x") + y.dimshuffle("x", 0), x.dimshuffle(0, "x") * eg.exp(y)], (V, "float32: 7")),
    "map, broadcast columns": Case(lambda m, v: [m + v, eg.exp(v) * m], (M, "float32: 5")),
    "map, views": Case(lambda x, m: [x[::-1] + 1, x[::2] * 2, m[:, 1:4:2], m[::-1, ::-1] + 1], (V, M)),
    "map, joined": Case(lambda x, y: [eg.concatenate([x, y * 2, x[::-1]]), eg.stack([x, y], axis=1)], (V, V), FEW),
    "map, padded": Case(lambda m: [eg.pad(m, 2), eg.pad(m, 1, mode="wrap")], (M,), FEW),
    "map, several": Case(lambda x, y: [x + y, eg.exp(x) - y, x * 2], (V, V)),
    "map, of turned": Case(lambda a, b: [a + b * 2, eg.exp(a) + b], ("float32: n, 33", "float32: n, 33"), (1, 2, 31, 33, 65), (1,)),
    "map, to turned": Case(lambda a: [a.T + 1, eg.exp(a).T * 2], ("float32: n, 33",), (1, 2, 31, 33, 65)),
    # reductions
    "sum of all": Case(lambda x: [x.sum(), (x * x).sum() + 1, x.mean()], (V,)),
    "extrema of all": Case(lambda x: [x.max(), x.min(), x.argmax(), x.argmin()], (V,)),
    "sums of rows": Case(lambda m: [m.sum(axis=1), m.max(axis=1), m.argmax(axis=1)], ("float32: 3, n",)),
    "sums of short rows": Case(lambda m: [m.sum(axis=1), m.max(axis=1), m.argmin(axis=1)], (M,)),
    "sums of columns": Case(lambda m: [m.sum(axis=0), m.min(axis=0), m.argmax(axis=0)], (M,)),
    "sums of long columns": Case(lambda m: [m.sum(axis=0), m.prod(axis=0)], ("float32: 5, n",)),
    "sums of both": Case(lambda c: [c.sum(axis=(0, 2)), c.sum(axis=1), c.max(axis=(1, 2))], ("float32: 3, n, 2",)),
    "sums, integers": Case(lambda x, b: [x.sum(), x.prod(), x.max(), b.any(), b.sum()], ("int16+: n", "bool: n")),
    "sums, doubles": Case(lambda m: [m.sum(), m.sum(axis=0), m.sum(axis=1)], ("float64: n, 5",)),
    "sum, then more": Case(lambda x: [x / x.sum(), x - x.max()], (V,)),
    "argmax of rows": Case(lambda m: [m.argmax(axis=1)], ("float32: 3, n",), (1, 65, 257, 600)),
    "argmin of integers": Case(lambda m: [m.argmin(axis=1)], ("int32+: 3, n",), (1, 65, 600)),
    # rows
    "softmax": Case(lambda m: eg.softmax(m), (M,)),
    "softmax of long rows": Case(lambda m: [eg.softmax(m), eg.log_softmax(m), eg.logsumexp(m, axis=1)], ("float32: 3, n",)),
    "layer norm": Case(_standard, ("float32: 4, n",)),
    "gradient of softmax": Case(lambda m, y: eg.grad((eg.log_softmax(m) * y).sum(), m), (M, M), FEW),
    "sums over rows": Case(lambda m, w: [eg.grad((eg.tanh(m * w) ** 2).sum(), w), _standard(m).sum(axis=0)], (M, "float32: 5")),
    "sums over all rows": Case(_linear, ("float32: n, 5", V, "float32: 5")),
    "sums over rows, shared": Case(_linear, ("float32: n, 5", V, "float32: 5"), FEW, shared=True),
    "sums over whole numbers": Case(lambda m: (m * m.sum(axis=1, keepdims=True)).sum(axis=0), ("int32+: n, 5",), FEW),
    # prefix scans
    "scan": Case(lambda x: [x.cumsum(), eg.cummax(x), eg.cumprod(x)], (V,)),
    "scan of rows": Case(lambda m: [m.cumsum(axis=1), m.cumsum(axis=1) * 2], ("float32: 3, n",)),
    "scan of columns": Case(lambda m: [m.cumsum(axis=0), eg.cummin(m, axis=0)], (M,)),
    "scan, integers": Case(lambda x: [x.cumsum(), eg.cummax(x)], ("int32+: n",)),
    # products
    "product": Case(lambda a, b: a @ b, ("float32: n, 9", "float32: 9, 17"), (1, 33, 65)),
    "product, deep": Case(lambda a, b: eg.relu(a @ b + 1), ("float32: 5, n", "float32: n, 7"), (1, 65)),
    "product, maps around": Case(lambda a, b, v: [eg.tanh((a * 2) @ eg.relu(b) + v)],
                                  ("float32: n, 9", "float32: 9, 17", "float32: 17"), (1, 33)),
    "product, turned": Case(lambda a, b: a.T @ b, ("float32: 9, n", "float32: 9, 17"), (1, 33), (0,)),
    "product, doubles": Case(lambda a, b: a @ b, ("float64: n, 9", "float64: 9, 17"), (1, 33)),
    "product, integers": Case(lambda a, b: a @ b, ("int32+: n, 9", "int32+: 9, 17"), (1, 33)),
    "product, batches": Case(lambda a, b: a @ b, ("float32: 3, n, 4", "float32: 3, 4, 5"), (1, 33)),
    "product, vectors": Case(lambda a, v, u: [a @ v, u @ a, (a @ v) @ a], ("float32: n, 9", "float32: 9", V)),
    "einsum": Case(lambda a, b: [eg.einsum("ij,kj->ik", a, b), eg.einsum("ii->i", b @ b.T)], ("float32: n, 4", "float32: 6, 4"), (1, 33)),
    "outer": Case(lambda a, b, m: [eg.outer(a, b) + m], (V, "float32: 5", M), FEW),
    # scatters and gathers
    "gather": Case(lambda x, i: [x[i], eg.exp(x)[i] + 1], (V, "int64: n")),
    "gather rows": Case(lambda m, i: [m[i], m[i, :2]], (M, "int32: n")),
    "gather along": Case(lambda m, i: eg.take_along_axis(m, i, axis=0), (M, "int64: n, 5"), FEW),
    "scatter": Case(lambda x, i: [x[i].inc(x * 2), eg.grad((x[i] * x).sum(), x)], (V, "int64: n")),
    "scatter rows": Case(lambda m, i: [m[i].inc(m), m[i].set(m * 3)], (M, "int64: n")),
    "scatter, integers": Case(lambda x, i: x[i].inc(x), ("int32+: n", "int64: n")),
    "counts": Case(lambda i: eg.bincount(i), ("int64: n",), FEW, called=True),
    "scatter, doubles": Case(lambda x, i: x[i].inc(x), ("float64: n", "int64: n"), FEW),
    "mask": Case(lambda x, b: [eg.where(b, x, 0), x[b]], (V, "bool: n"), FEW, called=True),
    # sorting and searching
    "sort": Case(lambda x: [eg.sort(x), eg.argsort(x)], ("int8+: n",), (1, 65)),
    "sort of columns": Case(lambda m: eg.sort(m, axis=0), ("uint8: n, 3",), (2, 33)),
    "largest": Case(lambda m: eg.topk(m, 3, axis=1), ("int8+: n, 5",), (1, 33)),
    "search": Case(lambda x, y: eg.searchsorted(x.cumsum(), y), ("uint8: n", "uint64: n"), FEW),
    # of the user's own
    "own map": Case(lambda x, y: [BLEND(x, y) + 1, BLEND(x, y).sum()], (V, V), FEW),
    "own reduction": Case(lambda m: [ODD(m), ODD(m, axis=0), ODD(m, axis=1)], (M,), (1, 65)),
    "own reduction, long rows": Case(lambda m: [ODD(m, axis=1)], ("float32: 2, n",), (1, 65, 257)),
    "own reduction, integers": Case(lambda m: [GCDS(m), GCDS(m, axis=0), GCDS(m, axis=1)], ("int32+: n, 5",), (1, 65)),
    "own kernel": Case(lambda x: TWICE(x + 1) * 2, (V,), FEW, called=True),
    # plans of other kinds
    "general": Case(lambda m, v, x: [m + v, (m * v).sum(axis=0), x - x.max()], (M, "float32: 5", V), FEW, general=True),
    "wide": Case(lambda m, x, i: [m + 1, m.sum(axis=0), m.sum(axis=1), x.sum(), x.cumsum(), x[i], x[i].inc(x), eg.softmax(m)],
                 (M, V, "int64: n"), (1, 65), wide=True),
    "wide product": Case(lambda a, b: a @ b, ("float32: n, 9", "float32: 9, 17"), (1, 33), wide=True),
    "wide sort": Case(eg.sort, ("uint8: n",), (65,), wide=True),
    "by calls": Case(lambda m, x, y, i: [eg.exp(m) * 2, m.sum(axis=0), m.sum(axis=1), eg.softmax(m), x.cumsum(), m.T @ m, x[i],
                                           x[i].inc(y)], (M, V, V, "int64: n"), (1, 65, 64), called=True),
    "joined": Case(lambda x, y, m: [2 * x + 1, 2 * y + 1, 2 * m + 1, m.sum(axis=1), eg.exp(y)], (V, "float32: 7", M), (1, 65, 257)),
    "joined updates": Case(lambda a, b, c, d: [u - v for u in (a, b) for v in (c, d)], (V, "float32: 3, n", "float32: 1", V), (1, 65)),
    # dtypes
    "complex": Case(lambda z, w: [z * w + 1, z.sum(), eg.exp(z), eg.abs(w)], ("complex64: n", "complex64: n"), FEW, called=True),
    "complex product": Case(lambda z, w: z @ w, ("complex64: n, 3", "complex64: 3, 4"), (1, 33), called=True),
    "half": Case(lambda x, y: [x * y + 1, x.sum(), eg.exp(x)], ("float16: n", "float16: n"), FEW),
}
if importlib.util.find_spec("ml_dtypes"):
    CASES["bfloat"] = Case(lambda x, y: [x * y + 1, x.astype("float32")], ("bfloat16: n", "bfloat16: n"), FEW)
