"""Eight kernels written by hand in the statement-tree form: what every schedule, printer and interpreter must get right."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from codegen.interpret import values_of
from codegen.kernel import Accumulate, Alloc, Atomic, Builder, Expr, Flag, Kernel, Let, Loop, Param, Stmt, Store
from codegen.lower.contraction import Contraction, contraction
from codegen.lower.prefix import prefix_scan
from codegen.lower.prefix_forms import Scan
from codegen.schedule import schedule
from codegen.target import Target
from exprgraph.dims import Dim
from exprgraph.node import INPUT, leaf

F = "float32"
N, D, K = leaf(INPUT, F, (None, None, None), "sizes").outs[0].shape
STEPS = 200
SITE = 4


class Case(NamedTuple):
    """A kernel: its unscheduled tree or, for the two that are lowered straight to a schedule, a function of the target.

    arrays(rng, n, d) draws memory; expect(memory) gives what the buffers hold afterwards; rtol is relative to the largest magnitude.
    """
    make: Callable[[Target], Kernel | tuple[Kernel, ...]]
    arrays: Callable[[np.random.Generator, int, int], dict[str, np.ndarray[Any, Any]]]
    expect: Callable[[dict[str, np.ndarray[Any, Any]], int, int], dict[str, np.ndarray[Any, Any]]]
    rtol: float = 0.0
    empty: bool = True


Memory = dict[str, np.ndarray[Any, Any]]


def run_each(run: Callable[..., None], made: Kernel | tuple[Kernel, ...], memory: Memory, env: dict[str, int]) -> None:
    """Run one kernel or several in order, on the memory and what they want for themselves."""
    for kernel in (made,) if isinstance(made, Kernel) else made:
        for param, size in zip(kernel.params, values_of([p.size for p in kernel.params], env)):
            memory.setdefault(param.name, np.zeros(size, param.dtype))
        run(kernel, {p.name: memory[p.name] for p in kernel.params} | ({"flags": memory["flags"]} if kernel.flags else {}), env)


def environment(n: int, d: int) -> dict[str, int]:
    """The sizes of a run; the contraction's inner size is that of `inner_size`."""
    return {dim.atom.text: v for dim, v in ((N, n), (D, d), (K, inner_size(n)))}


def inner_size(n: int) -> int:
    """The length of the contracted axis, which differs from both others."""
    return n % 97 + 3 if n else 0


def _loop(b: Builder, kind: str, var: str, stop: Dim | int, *body: Stmt) -> Loop:
    return Loop(kind, var, b.index(0), b.index(stop), b.index(1), body)


def _cell(b: Builder, name: str, dtype: str = F) -> Expr:
    return b.load(name, dtype, b.index(0))


def _fixed(build: Callable[[], Kernel]) -> Callable[[Target], Kernel]:
    return lambda target: schedule(build(), target)


def _at(b: Builder, i: Expr, j: Expr, width: Dim) -> Expr:
    return b.add(b.mul(i, b.index(width)), j)


def softmax() -> Kernel:
    """Rows of x: maximum, sum of exponentials, quotients."""
    b = Builder()
    i, zero = b.var("i"), b.index(0)
    x = [b.load("x", F, _at(b, i, b.var(v), D)) for v in ("j0", "j1", "j2")]
    powers = [b.op("exp", F, b.op("sub", F, e, b.var("top", F))) for e in x]
    body = (Alloc("high", F, 1, "private", b.lit(-np.inf, F)),
            _loop(b, "reduce", "j0", D, Accumulate(("high",), zero, "max", (x[0],))),
            Let("top", _cell(b, "high")), Alloc("sum", F, 1, "private", b.lit(0, F)),
            _loop(b, "reduce", "j1", D, Accumulate(("sum",), zero, "sum", (powers[1],))),
            Let("whole", _cell(b, "sum")),
            _loop(b, "parallel", "j2", D, Store("y", _at(b, i, b.var("j2"), D), b.op("true_div", F, powers[2], b.var("whole", F)))))
    return Kernel("softmax", (Param("x", F, "r", N * D), Param("y", F, "w", N * D)), (_loop(b, "parallel", "i", N, *body),))


def sum0() -> Kernel:
    """Sums of the columns of x."""
    b = Builder()
    value = b.load("x", F, _at(b, b.var("i"), b.var("j"), D))
    body = (Alloc("sum", F, 1, "private", b.lit(0, F)), _loop(b, "reduce", "i", N, Accumulate(("sum",), b.index(0), "sum", (value,))),
            Store("y", b.var("j"), _cell(b, "sum")))
    return Kernel("sum0", (Param("x", F, "r", N * D), Param("y", F, "w", D)), (_loop(b, "parallel", "j", D, *body),))


def argmax() -> Kernel:
    """The position of the first NaN of all of x, else of the first maximum."""
    b = Builder()
    flat = _at(b, b.var("i"), b.var("j"), D)
    step = Accumulate(("best", "where"), b.index(0), "argmax", (b.load("x", F, flat), b.op("cast", "int64", flat)))
    body = (Alloc("best", F, 1, "private", b.lit(-np.inf, F)), Alloc("where", "int64", 1, "private", b.lit(np.iinfo("int64").max, "int64")),
            _loop(b, "reduce", "i", N, _loop(b, "reduce", "j", D, step)), Store("y", b.index(0), _cell(b, "where", "int64")))
    return Kernel("argmax", (Param("x", F, "r", N * D), Param("y", "int64", "w", N * 0 + 1)), body)


def cumsum(target: Target) -> Kernel:
    """Running sums along the rows of x."""
    b = Builder()
    scan = Scan(b, (N,), D, lambda i, j: b.load("x", F, _at(b, i, j, D)),
                lambda value, i, j: (Store("y", _at(b, i, j, D), value),), "sum", F)
    return prefix_scan("cumsum", (Param("x", F, "r", N * D), Param("y", F, "w", N * D)), scan, target)


def gather() -> Kernel:
    """Rows of x (d of them) by the n indices in ix; one outside is reported and clamped."""
    b, i, j = Builder(), *map(Builder().var, "ij")
    raw, zero, size = b.load("ix", "int64", i), b.lit(0, "int64"), b.op("cast", "int64", b.index(D))
    negative = b.op("lt", "bool", raw, zero)
    up = b.op("add", "int64", raw, b.select(negative, size, zero))   # in 64 bits: an index may be anything
    bad = b.op("or_", "bool", b.op("lt", "bool", up, zero), b.op("ge", "bool", up, size))
    last = b.op("sub", "int64", size, b.lit(1, "int64"))
    safe = b.op("cast", "index", b.op("maximum", "int64", b.op("minimum", "int64", up, last), zero))
    value = b.load("x", F, b.add(b.mul(b.var("row"), b.index(3)), j))
    body = (Flag(bad, SITE, raw, size), Let("row", safe), _loop(b, "parallel", "j", 3, Store("y", b.add(b.mul(i, b.index(3)), j), value)))
    params = (Param("x", F, "r", D * 3), Param("ix", "int64", "r", N), Param("y", F, "w", N * 3))
    return Kernel("gather", params, (_loop(b, "parallel", "i", N, *body),))


def scatter() -> Kernel:
    """Each row of x is added to the row of y (d of them) that ix names."""
    b, i, j = Builder(), *map(Builder().var, "ij")
    place = b.add(b.mul(b.op("cast", "index", b.load("ix", "int64", i)), b.index(3)), j)
    step = Atomic("y", place, "sum", b.load("x", F, b.add(b.mul(i, b.index(3)), j)))
    params = (Param("x", F, "r", N * 3), Param("ix", "int64", "r", N), Param("y", F, "rw", D * 3))
    return Kernel("scatter", params, (_loop(b, "parallel", "i", N, _loop(b, "parallel", "j", 3, step)),))


def matmul(target: Target) -> tuple[Kernel, ...]:
    """relu(x @ w + bias)."""
    b = Builder()

    def finish(value: Expr, i: Expr, j: Expr) -> tuple[Stmt, ...]:
        biased = b.op("add", F, value, b.load("bias", F, j))
        return (Store("y", _at(b, i, j, D), b.op("maximum", F, biased, b.lit(0, F))),)
    what = Contraction(b, (), N, D, K, lambda i, k: b.load("x", F, _at(b, i, k, K)), lambda k, j: b.load("w", F, _at(b, k, j, D)),
                       finish, F)
    params = (Param("x", F, "r", N * K), Param("w", F, "r", K * D), Param("bias", F, "r", D), Param("y", F, "w", N * D))
    return contraction("matmul", params, what, target)


def timeloop() -> Kernel:
    """200 steps of the logistic map, each element for itself in private memory."""
    b, i, zero = Builder(), Builder().var("i"), Builder().index(0)
    s = _cell(b, "state")
    step = b.op("mul", F, b.op("mul", F, b.lit(3.5, F), s), b.op("sub", F, b.lit(1, F), s))
    body = (Alloc("state", F, 1, "private"), Store("state", zero, b.load("x", F, i)),
            _loop(b, "serial", "t", STEPS, Store("state", zero, step)), Store("y", i, s))
    return Kernel("timeloop", (Param("x", F, "r", N), Param("y", F, "w", N)), (_loop(b, "parallel", "i", N, *body),))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(int(np.prod(shape))).astype(F)


def _matrix(size: Callable[[int, int], int], dtype: str = F) -> Callable[..., dict[str, np.ndarray[Any, Any]]]:
    return lambda rng, n, d: {"x": _normal(rng, n, d), "y": np.zeros(size(n, d), dtype)}


def _positions(rng: np.random.Generator, n: int, d: int, low: int) -> np.ndarray[Any, Any]:
    return rng.integers(low * d, d, n) if d else np.zeros(n, "int64")


def _gather_arrays(rng: np.random.Generator, n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": _normal(rng, d, 3), "ix": _positions(rng, n, d, -1), "y": np.zeros(n * 3, F), "flags": np.zeros(4, "int64")}


def _scatter_arrays(rng: np.random.Generator, n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": _normal(rng, n, 3), "ix": _positions(rng, n, d, 0), "y": np.zeros(d * 3, F)}


def _matmul_arrays(rng: np.random.Generator, n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    k = inner_size(n)
    return {"x": _normal(rng, n, k), "w": _normal(rng, k, d), "bias": _normal(rng, d), "y": np.zeros(n * d, F)}


def _expect_softmax(m: dict[str, np.ndarray[Any, Any]], n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    x = m["x"].reshape(n, d).astype("float64")
    power = np.exp(x - x.max(1, keepdims=True, initial=-np.inf))
    return {"y": power / power.sum(1, keepdims=True)}


def _expect_scatter(m: dict[str, np.ndarray[Any, Any]], n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    y = np.zeros((d, 3))
    np.add.at(y, m["ix"], m["x"].reshape(n, 3))
    return {"y": y}


def _expect_matmul(m: dict[str, np.ndarray[Any, Any]], n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    k = inner_size(n)
    return {"y": np.maximum(m["x"].reshape(n, k).astype("float64") @ m["w"].reshape(k, d) + m["bias"], 0)}


def _expect_timeloop(m: dict[str, np.ndarray[Any, Any]], n: int, d: int) -> dict[str, np.ndarray[Any, Any]]:
    s = m["x"]
    for _ in range(STEPS):
        s = np.float32(3.5) * s * (np.float32(1) - s)
    return {"y": s}


EIGHT: dict[str, Case] = {
    "softmax": Case(_fixed(softmax), _matrix(lambda n, d: n * d), _expect_softmax, 2e-6),
    "sum0": Case(_fixed(sum0), _matrix(lambda n, d: d), lambda m, n, d: {"y": m["x"].reshape(n, d).astype("float64").sum(0)}, 1e-6),
    "argmax": Case(_fixed(argmax), _matrix(lambda n, d: 1, "int64"), lambda m, n, d: {"y": np.argmax(m["x"])}, empty=False),
    "cumsum": Case(cumsum, _matrix(lambda n, d: n * d), lambda m, n, d: {"y": np.cumsum(m["x"].reshape(n, d).astype("float64"), 1)}, 1e-5),
    "gather": Case(_fixed(gather), _gather_arrays,
                   lambda m, n, d: {"y": m["x"].reshape(d, 3)[m["ix"]], "flags": np.zeros(4)}, empty=False),
    "scatter": Case(_fixed(scatter), _scatter_arrays, _expect_scatter, 3e-5, empty=False),
    "matmul": Case(matmul, _matmul_arrays, _expect_matmul, 4e-6),
    "timeloop": Case(_fixed(timeloop), lambda rng, n, d: {"x": rng.random(n, F), "y": np.zeros(n, F)}, _expect_timeloop)}
