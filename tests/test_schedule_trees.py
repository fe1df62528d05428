"""Trees of many forms - several loops, nested stages, stores beside reductions, lanes that become panels - under both schedules."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.kernel import Accumulate, Alloc, Builder, Expr, If, Kernel, Let, Loop, Param, Stmt, Store, walk
from codegen.lower.contraction import Contraction, contraction
from codegen.lower.prefix import prefix_scan
from codegen.lower.prefix_forms import Scan
from codegen.schedule import schedule
from codegen.target import Target
from exprgraph.dims import constant
from tests.eight import D, F, K, N, environment, inner_size, run_each
from tests.test_eight_kernels import PLACES, RUNNERS, TARGETS

B = Builder()
ZERO = B.index(0)
EXTENTS = {"i": N, "j": D, "k": K}
CUBE = N * D * K


def v(name: str) -> Expr:
    return B.var(name)


def value(name: str) -> Expr:
    return B.var(name, F)


def x(i: str = "i", j: str = "j", k: str = "k", name: str = "x") -> Expr:
    """Element [i, j, k] of a cube."""
    return B.load(name, F, place(i, j, k))


def place(i: str = "i", j: str = "j", k: str = "k") -> Expr:
    return B.add(B.mul(B.add(B.mul(v(i), B.index(D)), v(j)), B.index(K)), v(k))


def loop(kind: str, var: str, *body: Stmt) -> Loop:
    return Loop(kind, var, ZERO, B.index(EXTENTS[var[0]]), B.index(1), body)


def acc(name: str, start: float = 0.0) -> Alloc:
    return Alloc(name, F, 1, "private", B.lit(start, F))


def got(name: str) -> Expr:
    return B.load(name, F, ZERO)


def add(name: str, e: Expr) -> Accumulate:
    return Accumulate((name,), ZERO, "sum", (e,))


def top(name: str, e: Expr) -> Accumulate:
    return Accumulate((name,), ZERO, "max", (e,))


def sub(a: Expr, b: Expr) -> Expr:
    return B.op("sub", F, a, b)


def mul(a: Expr, b: Expr) -> Expr:
    return B.op("mul", F, a, b)


def centred(outer: str, inner: str) -> tuple[Stmt, ...]:
    """x less its maximum over one axis, and the sum of its squares."""
    body = (acc("m", -np.inf), loop("reduce", inner, top("m", x())), Let("h", got("m")), acc("s"),
            loop("reduce", inner, Store("y", place(), sub(x(), value("h"))), add("s", mul(sub(x(), value("h")), x()))),
            Let("w", mul(got("s"), value("h"))),
            loop("parallel", inner, Store("z", place(), mul(x(name="y"), value("w")))))
    for var in outer[::-1]:
        body = (loop("parallel", var, *body),)
    return body


def centred_numpy(axis: int):
    def compute(a):
        m = a.max(axis, keepdims=True)
        return {"y": a - m, "z": (a - m) * (((a - m) * a).sum(axis, keepdims=True) * m)}
    return compute


def nested() -> tuple[Stmt, ...]:
    """For each i the sum over j of the maximum over k, and of its square."""
    body = (acc("s"), acc("q"), loop("reduce", "j", acc("m", -np.inf), loop("reduce", "k", top("m", x())), add("s", got("m")),
                                     add("q", mul(got("m"), got("m")))),
            loop("parallel", "j", loop("parallel", "k", Store("y", place(), got("s")), Store("z", place(), got("q")))))
    return (loop("parallel", "i", *body),)


def nested_numpy(a):
    m = a.max(2)
    return {"y": np.broadcast_to(m.sum(1)[:, None, None], a.shape), "z": np.broadcast_to((m * m).sum(1)[:, None, None], a.shape)}


def transposed() -> tuple[Stmt, ...]:
    """A map over three axes that reads in another order; the condition picks the value."""
    turned = B.load("x", F, B.add(B.mul(B.add(B.mul(v("i"), B.index(D)), v("j")), B.index(K)), v("k")))
    low = If(B.less(v("k"), v("j")), (Store("z", place(), turned),), (Store("z", place(), mul(turned, turned)),))
    return (loop("parallel", "k", loop("parallel", "j", loop("parallel", "i", Store("y", place(), turned), low))),)


def transposed_numpy(a):
    _, j, k = np.indices(a.shape)
    return {"y": a, "z": np.where(k < j, a, a * a)}


def several() -> tuple[Stmt, ...]:
    """No outer loops: two reductions over everything, then a map."""
    total = loop("reduce", "i", loop("reduce", "j", loop("reduce", "k", add("s", x()), top("m", x()))))
    last = loop("parallel", "i", loop("parallel", "j", loop("parallel", "k", Store("y", place(), sub(x(), got("m"))),
                                                            Store("z", place(), got("s")))))
    return (acc("s"), acc("m", -np.inf), total, last)


def recurrence() -> tuple[Stmt, ...]:
    """Along j: a running product with a nested sum over k at each step; every state is stored."""
    step = (acc("s"), loop("reduce", "k", add("s", x())), Let("h", mul(got("s"), got("c"))),
            Store("c", ZERO, B.op("add", F, mul(value("h"), B.lit(0.01, F)), B.lit(1, F))),
            loop("parallel", "k", Store("y", place(), got("c")), Store("z", place(), value("h"))))
    return (loop("parallel", "i", Alloc("c", F, 1, "private"), Store("c", ZERO, B.lit(1, F)), loop("serial", "j", *step)),)


def recurrence_numpy(a):
    y, z, c = np.zeros_like(a), np.zeros_like(a), np.ones(a.shape[0])
    for j in range(a.shape[1]):
        h = a[:, j].sum(1) * c
        c = h * 0.01 + 1
        y[:, j], z[:, j] = c[:, None], h[:, None]
    return {"y": y, "z": z}


TREES = {
    "inner axis": (centred("ij", "k"), centred_numpy(2)), "middle axis": (centred("ik", "j"), centred_numpy(1)),
    "outer axis": (centred("jk", "i"), centred_numpy(0)), "crossed": (centred("kj", "i"), centred_numpy(0)),
    "nested": (nested(), nested_numpy), "transposed": (transposed(), transposed_numpy),
    "several": (several(), lambda a: {"y": a - a.max(), "z": np.full(a.shape, a.sum())}), "recurrence": (recurrence(), recurrence_numpy)}


@lru_cache(maxsize=64)
def kernel(tree: str, target: str) -> Kernel:
    params = (Param("x", F, "r", CUBE), Param("y", F, "rw", CUBE), Param("z", F, "w", CUBE))
    return schedule(Kernel("tree", params, TREES[tree][0]), TARGETS[target])


def check(tree, target, runner, n, d):
    cube = np.random.default_rng(n + d).standard_normal((n, d, inner_size(n))).astype(F)
    memory = {"x": cube.ravel(), "y": np.zeros(cube.size, F), "z": np.zeros(cube.size, F)}
    RUNNERS[runner](kernel(tree, target), memory, environment(n, d))
    for name, wanted in TREES[tree][1](cube.astype("float64")).items():
        scale = max(np.max(np.abs(wanted), initial=1), cube.size ** 0.5 / 8)  # a sum may cancel; its rounding grows with what it is made of
        np.testing.assert_allclose(memory[name].reshape(cube.shape), wanted, rtol=0, atol=4e-6 * scale, err_msg=f"{tree} {name}")


@pytest.mark.parametrize("target", ["cpu", "gpu"])
@pytest.mark.parametrize("tree", TREES)
def test_trees_on_pocl(tree, target):
    for size in ((1, 1), (5, 33), (70, 9), (3, 700)):
        check(tree, target, "pocl", *size)


@given(tree=st.sampled_from(sorted(TREES)), target=st.sampled_from(sorted(TARGETS)), n=st.integers(1, 20), d=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_trees_of_any_size(tree, target, n, d):
    check(tree, target, "interpreter", n, d)


@lru_cache(maxsize=64)
def product_of(dtype: str, batch: bool, target: str) -> tuple[Kernel, ...]:
    """y[i] = a[i] @ b, or y[j, i] = a @ b with a batch of d."""
    lead = (D, constant(2)) if batch else ()

    def at(rows, columns, *index):
        flat = ZERO
        for e, size in zip(index, (*lead, rows, columns)):
            flat = B.add(B.mul(flat, B.index(size)), e)
        return flat
    what = Contraction(B, lead, N, D, K, lambda *i: B.load("a", dtype, at(N, K, *i)), lambda *i: B.load("b", dtype, at(K, D, *i)),
                       lambda e, *i: (Store("y", at(N, D, *i), e),), dtype)
    many = D * 2 if batch else 1
    params = (Param("a", dtype, "r", N * K * many), Param("b", dtype, "r", D * K * many), Param("y", dtype, "w", N * D * many))
    return contraction("product", params, what, TARGETS[target])


@pytest.mark.parametrize("runner, target", PLACES)
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8"])
def test_products_of_every_kind_wrap_and_batch_a12(dtype, batch, target, runner):
    for n, d in ((1, 1), (5, 3)) + ((33, 70),) * (runner == "pocl"):
        rng, k, lead = np.random.default_rng(n), inner_size(n), (d, 2) if batch else ()
        a, b = (rng.integers(0, 250, (*lead, *s)) * (2**27 if dtype == "int32" else 1) for s in ((n, k), (k, d)))
        a, b = a.astype("int64").astype(dtype), b.astype("int64").astype(dtype)
        memory = {"a": a.ravel(), "b": b.ravel(), "y": np.zeros(a.size // k * d, dtype)}
        run_each(RUNNERS[runner], product_of(dtype, batch, target), memory, environment(n, d))
        np.testing.assert_array_equal(memory["y"], np.matmul(a, b).ravel())


@pytest.mark.parametrize("runner, target", PLACES)
@pytest.mark.parametrize("combine, dtype, numpy", [("sum", "int64", np.add), ("prod", "int32", np.multiply), ("max", F, np.maximum)])
def test_scans_along_the_middle_axis(combine, dtype, numpy, target, runner):
    scan = Scan(B, (N, K), D, lambda i, k, j: B.load("x", dtype, B.add(B.mul(B.add(B.mul(i, B.index(D)), j), B.index(K)), k)),
                lambda e, i, k, j: (Store("y", B.add(B.mul(B.add(B.mul(i, B.index(D)), j), B.index(K)), k), e),), combine, dtype)
    made = prefix_scan("scan", (Param("x", dtype, "r", CUBE), Param("y", dtype, "w", CUBE)), scan, TARGETS[target])
    for n, d in ((1, 1), (2, 70)):
        cube = (np.random.default_rng(d).standard_normal((n, d, inner_size(n))) * 5).astype(dtype)
        memory = {"x": cube.ravel(), "y": np.zeros(cube.size, dtype)}
        RUNNERS[runner](made, memory, environment(n, d))
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(memory["y"].reshape(cube.shape), numpy.accumulate(cube, 1))


def test_local_memory_bounds_the_group():
    for room in (64, 256, 1024, 32768):
        made = schedule(Kernel("tree", (), TREES["several"][0]), Target("gpu", local_bytes=room))
        used = sum(s.size * 4 for s in walk(made.body) if isinstance(s, Alloc) and s.space == "local")
        assert 0 < used <= room
