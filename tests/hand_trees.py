"""Scheduled trees written by hand, with memory to run them on and what NumPy makes of it."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from codegen.kernel import Accumulate, Alloc, Atomic, Barrier, Builder, Expr, Flag, If, Kernel, Let, Loop, Param, Stmt, Store
from exprgraph.dims import Dim
from exprgraph.node import INPUT, leaf

F = "float32"
N, M = leaf(INPUT, F, (None, None)).outs[0].shape
GROUP = 8
Arrays = dict[str, np.ndarray[Any, Any]]


class Tree(NamedTuple):
    """A kernel; arrays(rng, n) draws its memory; expect(memory, n) says what buffers hold afterwards."""
    kernel: Callable[[], Kernel]
    arrays: Callable[[np.random.Generator, int], Arrays]
    expect: Callable[[Arrays, int], Arrays]


def sizes(n: int, m: int = 3) -> Callable[[Dim], int]:
    """The values of Dims over N and M, as runners take them."""
    return lambda dim: sum(c * int(np.prod([{N.atom.text: n, M.atom.text: m}[a.text] for a in t])) for t, c in dim.terms)


def loop(b: Builder, kind: str, var: str, stop: Dim | int, *body: Stmt, axis: int = 0, start: Expr | None = None,
         step: Dim | int = 1) -> Loop:
    """A loop from 0 (or start)."""
    return Loop(kind, var, start or b.index(0), b.index(stop), b.index(step), body, axis)


def grid_map() -> Kernel:
    """z = (x + y) * (x + y) - x, one work-item per element."""
    b = Builder()
    x, y = b.load("x", F, b.var("i")), b.load("y", F, b.var("i"))
    both = b.op("add", F, x, y)
    body = Store("z", b.var("i"), b.op("sub", F, b.op("mul", F, both, both), x))
    return Kernel("grid_map", (Param("x", F, "r", N), Param("y", F, "r", N), Param("z", F, "w", N)), (loop(b, "grid", "i", N, body),))


def tree_sum(barrier: bool = True, split: bool = False) -> Kernel:
    """Three groups of GROUP items each sum every third chunk of x, then combine in local memory."""
    b = Builder()
    g, l, k, zero = b.var("g"), b.var("l"), b.var("k"), b.index(0)
    meet = (Barrier(),) * barrier
    start, total = b.add(b.mul(g, b.index(GROUP)), l), (Accumulate(("acc",), zero, "sum", (b.load("x", "int64", k),)),)
    steps: list[Stmt] = [Alloc("tile", "int64", GROUP, "local"), Alloc("acc", "int64", 1, "private", b.lit(0, "int64")),
                         loop(b, "serial", "k", N, *total, start=start, step=3 * GROUP),
                         Store("tile", l, b.load("acc", "int64", zero)), *meet]
    for half in (4, 2, 1):
        other = b.load("tile", "int64", b.add(l, b.index(half)))
        inner: tuple[Stmt, ...] = (Accumulate(("tile",), l, "sum", (other,)),) + (Barrier(),) * split
        steps += [If(b.less(l, b.index(half)), inner), *meet]
    steps.append(If(b.op("eq", "bool", l, zero), (Store("y", g, b.load("tile", "int64", zero)),)))
    params = (Param("x", "int64", "r", N), Param("y", "int64", "w", N * 0 + 3))
    return Kernel("tree_sum", params, (loop(b, "group", "g", 3, loop(b, "local", "l", GROUP, *steps)),))


def _tree_sum_expect(m: Arrays, n: int) -> Arrays:
    owner = np.arange(n) // GROUP % 3
    return {"y": np.array([m["x"][owner == g].sum() for g in range(3)])}


def row_argmax() -> Kernel:
    """The position of the first NaN, else of the first maximum, of each row of x."""
    b = Builder()
    i, j, zero = b.var("i"), b.var("j"), b.index(0)
    value = b.load("x", F, b.add(b.mul(i, b.index(M)), j))
    step = Accumulate(("best", "place"), zero, "argmax", (value, b.op("cast", "int64", j)))
    body = (Alloc("best", F, 1, "private", b.lit(-np.inf, F)), Alloc("place", "int64", 1, "private", b.lit(2**63 - 1, "int64")),
            loop(b, "serial", "j", M, step), Store("y", i, b.load("place", "int64", zero)))
    return Kernel("row_argmax", (Param("x", F, "r", N * M), Param("y", "int64", "w", N)), (loop(b, "grid", "i", N, *body),))


def scatter(dtype: str, combine: str) -> Kernel:
    """Each x[i] is merged into y[ix[i]], all work-items at once."""
    b = Builder()
    i = b.var("i")
    place = b.op("cast", "index", b.load("ix", "int64", i))
    params = (Param("x", dtype, "r", N), Param("ix", "int64", "r", N), Param("y", dtype, "rw", N * 0 + 5))
    return Kernel("scatter", params, (loop(b, "grid", "i", N, Atomic("y", place, combine, b.load("x", dtype, i))),))


def _scatter_tree(dtype: str, combine: str) -> Tree:
    merge = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}[combine]

    def arrays(rng: np.random.Generator, n: int) -> Arrays:
        low = 0 if dtype[0] == "u" else -4
        return {"x": rng.integers(low, 5, n).astype(dtype), "ix": rng.integers(0, 5, n), "y": rng.integers(max(low, 0), 5, 5).astype(dtype)}

    def expect(m: Arrays, n: int) -> Arrays:
        y = m["y"].copy()
        merge.at(y, m["ix"], m["x"])
        return {"y": y}
    return Tree(lambda: scatter(dtype, combine), arrays, expect)


def gather(site: int = 6) -> Kernel:
    """y = x[ix] with a flag for an index outside, which reads element 0."""
    b = Builder()
    i = b.var("i")
    at, size = b.op("cast", "index", b.load("ix", "int32", i)), b.index(M)
    bad = b.op("or_", "bool", b.less(at, b.index(0)), b.op("ge", "bool", at, size))
    body = (Flag(bad, site, at, size), Let("safe", b.select(bad, b.index(0), at)), Store("y", i, b.load("x", F, b.var("safe"))))
    params = (Param("x", F, "r", M), Param("ix", "int32", "r", N), Param("y", F, "w", N))
    return Kernel("gather", params, (loop(b, "grid", "i", N, *body),))


def _gather_arrays(rng: np.random.Generator, n: int) -> Arrays:
    ix = rng.integers(0, 3, n).astype("int32")
    ix[n // 2:n // 2 + 1] = -7
    return {"x": rng.random(3, F), "ix": ix, "y": np.zeros(n, F), "flags": np.zeros(4, "int64")}


def _argmax_arrays(rng: np.random.Generator, n: int) -> Arrays:
    x = rng.integers(0, 3, (n, 3)).astype(F)
    x[rng.random((n, 3)) < 0.1] = np.nan
    return {"x": x.ravel(), "y": np.zeros(n, "int64")}


TREES: dict[str, Tree] = {
    "grid_map": Tree(grid_map, lambda rng, n: {"x": rng.random(n, F), "y": rng.random(n, F), "z": np.zeros(n, F)},
                     lambda m, n: {"z": (m["x"] + m["y"]) * (m["x"] + m["y"]) - m["x"]}),
    "tree_sum": Tree(tree_sum, lambda rng, n: {"x": rng.integers(-9, 9, n), "y": np.zeros(3, "int64")}, _tree_sum_expect),
    "row_argmax": Tree(row_argmax, _argmax_arrays, lambda m, n: {"y": np.argmax(m["x"].reshape(n, 3), 1)}),
    "gather": Tree(gather, _gather_arrays, lambda m, n: {"y": m["x"][np.where(m["ix"] < 0, 0, m["ix"])], "flags": [7, -7, 3, 0]}),
    **{f"scatter-{c}-{d}": _scatter_tree(d, c) for c, d in (
        ("sum", F), ("sum", "float64"), ("max", F), ("prod", "float64"), ("sum", "int32"), ("max", "int32"), ("min", "uint32"),
        ("sum", "int64"), ("min", "int64"), ("max", "uint64"))}}
