"""Sums over the leading axes of a matrix: panels of columns, several rows in a pass, parts that are joined."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.forms import forms
from codegen.generate import uncertain
from codegen.kernel import Accumulate, Alloc, Builder, Expr, Kernel, Let, Loop, Store
from codegen.partial import PARTIAL_SUM
from codegen.schedule.abreast import mergeable
from codegen.schedule.common import Context, Names
from codegen.schedule.jam import jammed
from codegen.target import Target
from exprgraph import passes
from exprgraph.graph import order
from exprgraph.node import Graph, Out
from exprgraph.pairs import facts
from tests.plan_runner import CPU, GPU, interpret

OVER_ROWS = {
    "sum": lambda x: x.sum(0),
    "weighted": lambda x: (x * eg.arange(x.shape[0]).astype(x.dtype)[:, None]).sum(0),
    "variance": lambda x: x.var(0),
    "max": lambda x: x.max(0),
    "product": lambda x: x.T @ x[:, 0],
    "logsumexp": lambda x: eg.logsumexp(x, axis=0)}
SHAPES = ((1, 9), (7, 8), (8, 1), (9, 300), (33, 1025), (129, 64), (300, 2), (2003, 300))


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if wanted.dtype.kind == "i":
        np.testing.assert_array_equal(found, wanted)
    else:
        eps = np.finfo(wanted.dtype).eps
        np.testing.assert_allclose(found, wanted, rtol=100 * eps, atol=100 * eps * np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1))


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(shape)
    return rng.integers(-9, 9, shape).astype(dtype) if dtype.startswith("int") else rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype, schedule", [("float32", "cpu"), ("float32", "gpu"), ("float64", "cpu"), ("int32", "cpu")])
@pytest.mark.parametrize("name", OVER_ROWS)
def test_over_the_leading_axis(name: str, dtype: str, schedule: str) -> None:
    """As NumPy for rows and columns around the sizes of passes and panels, for NaN and infinity, for views."""
    x = eg.matrix("x", dtype)
    own, oracle = (eg.compile([x], OVER_ROWS[name](x), **how) for how in ({"schedule": schedule}, {"device": "numpy"}))
    for shape in SHAPES:
        array = values(shape, dtype)
        close(own(array), oracle(array))
        if dtype == "float32":
            close(own(array[::2]), oracle(array[::2]))
        if not dtype.startswith("int"):
            array[0, -1], array[-1, 0] = np.inf, np.nan
            close(own(array), oracle(array))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("target", [CPU, GPU])
@pytest.mark.parametrize("name", OVER_ROWS)
@pytest.mark.parametrize("shape", [(3, 9), (17, 3)])
def test_over_the_leading_axis_interpreted(name: str, target: Target, shape: tuple[int, int], last: bool) -> None:
    """No access out of bounds and no race, in one kernel and in two."""
    x, array = eg.matrix("x"), values(shape, "float32")
    found, = interpret(Graph((x,), (OVER_ROWS[name](x),)), [x.node], [array], target, last=last)
    close(found, eg.compile([x], OVER_ROWS[name](x), device="numpy")(array))


def test_passes_of_several_rows() -> None:
    """Simple sums go on by eight rows, longer ones by four, expensive ones and other loops by one."""
    b = Builder()
    i, j, zero, one = b.var("i"), b.var("j"), b.index(0), b.index(1)
    ctx = Context(b, Names(Kernel("k", (), tuple(Let(name, zero) for name in "ijh"))), Target())

    def rows(value: Expr, *more: Store) -> list[int]:
        inner = Loop("vector", "j", zero, b.index(5), one, (Accumulate(("acc",), j, "sum", (value,)), *more))
        loop = Loop("serial", "i", zero, b.index(20), one, (Let("h", b.load("w", "float32", i)), inner))
        return [r.step.value for r in jammed(ctx, loop)]
    x = b.load("x", "float32", b.add(b.mul(i, b.index(5)), j))
    times = b.op("mul", "float32", x, b.var("h", "float32"))
    longer = times
    for _ in range(5):
        longer = b.op("mul", "float32", longer, b.op("add", "float32", longer, x))
    assert rows(times) == [8, 1] and rows(longer) == [4, 1]
    assert rows(b.op("exp", "float32", x)) == [1] and rows(times, Store("y", j, x)) == [1]


def normal(x: eg.Symbol) -> eg.Symbol:
    return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 0.1)


FED = {
    "logistic": lambda x, d, w: eg.grad(eg.binary_crossentropy(eg.sigmoid(x @ w + 0.5), d).mean(), w),
    "linear": lambda x, d, w: [x.T @ (x @ w - d), ((x @ w - d) ** 2).sum(), (x @ w - d).mean()],
    "normal rows": lambda x, d, w: normal(x).var(0),
    "weighted rows": lambda x, d, w: (x / (x**2).sum(1, keepdims=True) * d[:, None]).sum(0),
    "softmax of rows": lambda x, d, w: [eg.softmax(x, axis=1).sum(0), eg.softmax(x, axis=1)],
    "kept sizes": lambda x, d, w: (x * x.max(1, keepdims=True)).sum(0, keepdims=True) * w,
    "gathered rows": lambda x, d, w: (x * eg.take(d, eg.argmax(x, axis=1) % d.shape[0])[:, None]).sum(0),
    "three axes": lambda x, d, w: normal(eg.stack([x, x * d[:, None]])).sum((0, 1)),
    "whole numbers": lambda x, d, w: (eg.cast(x, "int32") * eg.cast(x, "int32").sum(1, keepdims=True)).sum(0),
    "twice": lambda x, d, w: ((x - (x * (x @ w)[:, None]).sum(0)) * (x @ w)[:, None]).sum(0)}


def fed(name: str, dtype: str) -> tuple[list[eg.Symbol], list[eg.Symbol]]:
    x, d, w = eg.matrix("x", dtype), eg.vector("d", dtype), eg.vector("w", dtype)
    found = FED[name](x, d, w)
    return [x, d, w], found if isinstance(found, list) else [found]


def arguments(n: int, m: int, dtype: str) -> list[np.ndarray]:
    return [values((n, m), dtype), (values((n,), dtype) > 0).astype(dtype), values((m,), dtype)]


def alike(found: list[np.ndarray], wanted: list[np.ndarray], terms: int) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        finite = np.abs(other[np.isfinite(other)])
        allowed = 50 * np.finfo(other.dtype if other.dtype.kind == "f" else "float32").eps * terms**0.5 * np.max(finite, initial=1)
        np.testing.assert_allclose(one, other, rtol=0, atol=allowed)


def plain(outputs: list[eg.Symbol]) -> tuple[Out, ...]:
    """The outputs where sizes that must fit are equal."""
    graph = Graph((), tuple(outputs))
    pairs = uncertain(graph)
    return passes.run_plan(graph, facts(pairs, ("equal",) * len(pairs)), {}).outputs


@pytest.mark.parametrize("name", FED)
def test_what_is_summed_where_rows_are_made(name: str) -> None:
    """One sum at least, in the form that is taken unless rows are few and long; on a GPU there is one form."""
    inputs, outputs = fed(name, "float32")
    layout = {i.node.uid: "C" for i in inputs}
    first, other = (f.outputs for f in forms(plain(outputs), layout, CPU).forms)
    assert PARTIAL_SUM in {n.op for n in order(first)} and PARTIAL_SUM not in {n.op for n in order(other)}
    assert len(forms(plain(outputs), layout, GPU).forms) == 1


@pytest.mark.parametrize("name, dtype, schedule", [
    *((name, "float32", schedule) for name in FED for schedule in ("cpu", "gpu")),
    *((name, "float64", "cpu") for name in ("logistic", "normal rows", "softmax of rows", "twice"))])
def test_sums_over_rows_that_are_made_there(name: str, dtype: str, schedule: str) -> None:
    """As NumPy for rows around the sizes of groups, blocks and parts, in rows short and long, for NaN and infinity, and for views."""
    inputs, outputs = fed(name, dtype)
    own, oracle = (eg.compile(inputs, outputs, on_unused_input="ignore", **how) for how in ({"schedule": schedule}, {"device": "numpy"}))
    for n, m in ((1, 1), (7, 40), (8, 300), (137, 33), (1100, 400), (3, 9000)):
        x, d, w = arguments(n, m, dtype)
        alike(own(x, d, w), oracle(x, d, w), n + m)
    n, m = 45, 23
    x, d, w = arguments(n, m, dtype)
    if schedule == "cpu" and dtype == "float32":
        for view in (values((m, n), dtype).T, values((2 * n, m + 1), dtype)[::2, 1:]):
            alike(own(view, d, w), oracle(view, d, w), n + m)
    x[n // 2, 3], x[0, 5] = np.nan, np.inf
    if name not in ("gathered rows", "whole numbers"):   # positions and casts of NaN are not the matter here
        with np.errstate(all="ignore"):
            alike(own(x, d, w), oracle(x, d, w), n + m)


@pytest.mark.parametrize("general, n, m", [(False, 0, 3), (False, 1, 2), (True, 11, 5), (False, 40, 3)])
@pytest.mark.parametrize("name", FED)
def test_sums_over_rows_interpreted(name: str, n: int, m: int, general: bool) -> None:
    """No access out of bounds, no race, nothing read before it is written."""
    if n == 0 and name == "gathered rows":
        return
    inputs, outputs = fed(name, "float32")
    given = arguments(n, m, "float32")
    found = interpret(Graph(tuple(inputs), tuple(outputs)), [i.node for i in inputs], given, CPU, general)
    alike(found, eg.compile(inputs, outputs, device="numpy", on_unused_input="ignore")(*given), n + m)


ALONG_ROWS = {
    "sum": lambda x: x.sum(-1),
    "distance": lambda x: eg.sqrt(((x - x[0]) ** 2).sum(-1)),
    "moments": lambda x: [x.mean(-1), x.var(-1)],
    "product": lambda x: eg.sigmoid(x @ x[0] + 1),
    "planes": lambda x: eg.stack([x, x * 2]).sum(-1),
    "gathered": lambda x: (x[:, ::-1] * eg.take(x[0], eg.arange(x.shape[1]) // 2)).sum(1)}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("name", ALONG_ROWS)
def test_rows_abreast(name: str, dtype: str) -> None:
    """As NumPy for rows around the number that goes abreast, for several work-items, for NaN and infinity, and for views."""
    x = eg.matrix("x", dtype)
    made = ALONG_ROWS[name](x)
    outputs = made if isinstance(made, list) else [made]
    own, oracle = (eg.compile([x], outputs, **how) for how in ({"schedule": "cpu"}, {"device": "numpy"}))
    for n, m in ((1, 1), (3, 300), (4, 7), (5, 16), (8, 257), (9, 1), (39, 20), (1201, 90)):
        array = values((n, m), dtype)
        alike(own(array), oracle(array), m)
    for view in (values((30, 41), dtype).T, values((60, 31), dtype)[::2, 1:]) if dtype == "float32" else ():
        alike(own(view), oracle(view), 41)
    if dtype != "int64":
        array[7, 3], array[0, 5], array[300:302] = np.nan, np.inf, 0
        with np.errstate(all="ignore"):
            alike(own(array), oracle(array), m)


@pytest.mark.parametrize("name", ALONG_ROWS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 5), (18, 4)])
def test_rows_abreast_interpreted(name: str, shape: tuple[int, int]) -> None:
    """No access out of bounds and no race."""
    x, array = eg.matrix("x"), values(shape, "float32")
    made = ALONG_ROWS[name](x)
    outputs = tuple(made) if isinstance(made, list) else (made,)
    if 0 in shape and name != "sum":
        return   # there is no first row, or no mean of it
    found = interpret(Graph((x,), outputs), [x.node], [array], CPU)
    alike(found, eg.compile([x], list(outputs), device="numpy")(array), 5)


@pytest.mark.parametrize("name", ["sum", "moments", "product"])
def test_rows_of_known_length_abreast(name: str) -> None:
    """Rows so short that they are no loop over blocks, one element included."""
    for m in (1, 5, 300):
        x, array = eg.tensor(dtype="float32", shape=(None, m)), values((11, m), "float32")
        made = ALONG_ROWS[name](x)
        outputs = [*made, x.max(1)] if isinstance(made, list) else [made, (x * x.sum(1, keepdims=True)).sum(0)]
        alike(eg.compile([x], outputs)(array), eg.compile([x], outputs, device="numpy")(array), 2 * m)


def test_what_goes_abreast() -> None:
    """Short sums whose loops are as long in all rows; no stores in loops, no other reductions."""
    b = Builder()
    i, j, zero, one = b.var("i"), b.var("j"), b.index(0), b.index(1)
    x = b.load("x", "float32", b.add(b.mul(i, b.index(5)), j))

    def row(value: Expr, combine: str = "sum", stop: Expr | None = None, *more: Store) -> bool:
        loop = Loop("vector", "j", zero, b.index(5) if stop is None else stop, one, (Accumulate(("a",), zero, combine, (value,)), *more))
        return mergeable((Alloc("a", "float32", 1, "private", b.lit(0, "float32")), loop), {"i"})
    assert row(x) and row(b.op("mul", "float32", x, b.load("w", "float32", j)))
    assert not row(x, "max") and not row(b.op("exp", "float32", x)) and not row(x, "sum", i)
    assert not row(x, "sum", None, Store("y", j, x)) and not mergeable((), {"i"})


def test_partial_sums_that_stand_alone_for_small_sizes_only():
    """The gradient of a maximum of all pairs: where a reduction over everything shares a kernel, the sums over rows have none to join."""
    x, y = eg.matrix("x"), eg.matrix("y")
    pairs = eg.expand_dims(x.reshape((-1,)), 1) + eg.expand_dims(y.reshape((-1,)), 0)
    outputs = [pairs.max(), *eg.grad(eg.tanh(pairs.max()), [x, y])]
    f, oracle = (eg.compile([x, y], outputs, device=d) for d in ("pocl", "numpy"))
    for shape, other in (((1, 1), (1, 1)), ((3, 4), (2, 5)), ((40, 30), (20, 50))):
        rng = np.random.default_rng(shape)
        values = rng.standard_normal(shape).astype("f"), rng.standard_normal(other).astype("f")
        for found, wanted in zip(f(*values), oracle(*values)):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
