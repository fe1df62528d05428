"""The forms that a plan chooses among - row per item, row per group, split reductions - give the same results, as accurate as NumPy's."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen import interpret
from codegen.kernel import Accumulate, Alloc, Builder, Kernel, Loop, Param, Store
from codegen.schedule import cpu, gpu, parts, split, splits
from codegen.target import Target
from exprgraph.dims import constant
from tests import eight
from tests.eight import EIGHT, D, F, N, environment
from tests.pocl_runner import run_pocl
from tests.test_eight_kernels import RUNNERS, TARGETS

DTYPES = {"sum": ("float32", "float64", "int64"), "max": ("float32", "int32"), "prod": ("int64",), "any": ("bool",), "min": ("float64",)}
NUMPY = {"sum": np.sum, "max": np.max, "prod": np.prod, "any": np.any, "min": np.min}
BIG = 1 << 24


@lru_cache(maxsize=64)
def reduce(combine: str, dtype: str, axes: str) -> Kernel:
    """A reduction of x[n, d] over "all", "rows" (the first axis) or "columns", plus itself at the end."""
    b = Builder()
    i, j, zero = b.var("i"), b.var("j"), b.index(0)
    start = {"max": -np.inf if dtype.startswith("f") else np.iinfo("int32").min, "min": np.inf, "prod": 1}.get(combine, 0)
    step = Accumulate(("acc",), zero, combine, (b.load("x", dtype, b.add(b.mul(i, b.index(D)), j)),))
    inner = {"all": (("i", N), ("j", D)), "rows": (("i", N),), "columns": (("j", D),)}[axes]
    outer = [(v, s) for v, s in (("i", N), ("j", D)) if (v, s) not in inner]
    loops = (step,)
    for var, size in inner[::-1]:
        loops = (Loop("reduce", var, zero, b.index(size), b.index(1), loops),)
    at = b.var(outer[0][0]) if outer else zero
    body = (Alloc("acc", dtype, 1, "private", b.lit(start, dtype)), *loops, Store("y", at, b.load("acc", dtype, zero)))
    for var, size in outer:
        body = (Loop("parallel", var, zero, b.index(size), b.index(1), body),)
    return Kernel("reduce", (Param("x", dtype, "r", N * D), Param("y", dtype, "w", outer[0][1] if outer else constant(1))), body)


def draw(dtype: str, n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(n + d)
    return (rng.standard_normal((n, d)) if dtype.startswith("f") else rng.integers(0, 2 if dtype == "bool" else 9, (n, d))).astype(dtype)


def run_split(kernel: Kernel, target: Target, runner, memory, env) -> None:
    first, second = split(kernel, target)
    for param, size in zip(first.params, interpret.values_of([p.size for p in first.params], env)):
        memory.setdefault(param.name, np.zeros(size, param.dtype))
    runner(first, memory, env)
    runner(second, memory, env)


FORMS = {
    "cpu": lambda k, run, m, e: run(cpu.schedule(k, Target()), m, e),
    "item": lambda k, run, m, e: run(gpu.by_item(k, TARGETS["gpu"]), m, e),
    "group": lambda k, run, m, e: run(gpu.by_group(k, TARGETS["gpu"]), m, e),
    "tiny": lambda k, run, m, e: run(gpu.by_group(k, TARGETS["tiny"]), m, e),
    "cpu split": lambda k, run, m, e: run_split(k, Target(), run, m, e),
    "gpu split": lambda k, run, m, e: run_split(k, TARGETS["gpu"], run, m, e)}


def check(combine, dtype, axes, form, runner, x):
    n, d = x.shape
    axis = {"all": None, "rows": 0, "columns": 1}[axes]
    wanted = np.ravel(NUMPY[combine](x.astype(np.longdouble) if dtype.startswith("f") else x, axis))
    memory = {"x": x.ravel(), "y": np.zeros(wanted.size, dtype)}
    FORMS[form](reduce(combine, dtype, axes), RUNNERS[runner], memory, environment(n, d))
    rounding = dtype.startswith("float") and combine == "sum"
    allowed = 4 * np.finfo(dtype).eps * np.max(np.abs(x), initial=0) * (x.size / wanted.size) ** 0.5 if rounding else 0
    np.testing.assert_allclose(memory["y"].astype(wanted.dtype), wanted, rtol=0, atol=allowed)


CASES = [(c, t) for c in DTYPES for t in DTYPES[c]]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("axes", ["all", "rows", "columns"])
@pytest.mark.parametrize("combine, dtype", CASES)
def test_every_form_reduces_alike(combine, dtype, axes, form):
    for size in ((1, 1), (2, 67), (66, 3)):
        check(combine, dtype, axes, form, "interpreter", draw(dtype, *size))
    for size in ((7, 1), (3, 70001), (5000, 33)) if dtype == F and form != "tiny" else ():
        check(combine, dtype, axes, form, "pocl", draw(dtype, *size))


@given(case=st.sampled_from(CASES), axes=st.sampled_from(["all", "rows", "columns"]), form=st.sampled_from(sorted(FORMS)),
       n=st.integers(1, 60), d=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_any_size(case, axes, form, n, d):
    check(*case, axes, form, "interpreter", draw(case[1], n, d))


@pytest.mark.parametrize("form", FORMS)
def test_a_long_sum_is_accurate_a10(form):
    wide = {"all": (4096, BIG // 4096), "columns": (1, BIG), "rows": (BIG, 1)}
    for axes, size in wide.items():
        x = np.full(BIG, 0.1, F)
        memory = {"x": x, "y": np.zeros(1, F)}
        FORMS[form](reduce("sum", F, axes), run_pocl, memory, environment(*size))
        exact = float(np.float32(0.1)) * BIG
        assert abs(memory["y"][0] - exact) <= 2e-6 * exact, (axes, memory["y"][0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values, wanted", [
    ((np.inf,), np.inf), ((-np.inf, 1e30), -np.inf), ((np.inf, -np.inf), np.nan), ((np.nan,), np.nan), ((3e38, 3e38, -1), np.inf),
    ((1e8, 1, -1e8), None)])
def test_sums_with_infinities_and_cancellation_a8(form, values, wanted):
    x = np.zeros((1, 700), F)
    x[0, :33 * len(values):33] = values
    memory = {"x": x.ravel(), "y": np.zeros(1, F)}
    FORMS[form](reduce("sum", F, "all"), interpret.run, memory, environment(1, 700))
    if wanted is None:
        assert memory["y"][0] in (0, 1)
    else:
        np.testing.assert_equal(float(memory["y"][0]), float(wanted))


@pytest.mark.parametrize("form", ["cpu split", "gpu split"])
def test_a_split_argmax_finds_the_first_of_equals_a17(form):
    for places, value in (((4000, 39999, 3999), 9), ((123, 70000), np.nan), ((), 0)):
        memory = EIGHT["argmax"].arrays(np.random.default_rng(1), 200, 400)
        memory["x"][list(places)] = value
        wanted = np.argmax(memory["x"])
        FORMS[form](eight.argmax(), run_pocl, memory, environment(200, 400))
        assert memory["y"][0] == wanted


def test_only_kernels_with_one_reduction_stage_are_split():
    for kernel in (eight.softmax(), eight.gather()):
        assert not splits(kernel)
        for made in (parts, split):
            with pytest.raises(ValueError, match=kernel.name):
                made(kernel, Target())


@pytest.mark.parametrize("target, n, d, few", [
    ("cpu", 1, 10, True), ("cpu", 1, 10**7, False), ("cpu", 10**6, 100, True), ("gpu", 1, 10**6, False)])
def test_parts_follow_the_sizes(target, n, d, few):
    count, = interpret.values_of([parts(reduce("sum", F, "columns"), Target(target))], environment(n, d))
    assert (count == 1) == few


def test_columns_on_a_gpu_are_cut_until_its_units_are_busy():
    """A column is a work-item there, not a work-group: 1024 columns are four groups, of 4096 rows each for a part of a whole group."""
    target = Target("gpu", units=132)
    count, = interpret.values_of([parts(reduce("sum", F, "rows"), target)], environment(16384, 1024))
    assert count * 1024 // gpu.ITEMS_PER_GROUP >= 2 * target.units
    few, = interpret.values_of([parts(reduce("sum", F, "rows"), target)], environment(100, 1024))
    assert few == 1


@pytest.mark.parametrize("form", FORMS)
def test_two_runs_give_the_same_bits_j4(form):
    x, got = draw(F, 3, 70001), []
    for _ in range(3):
        memory = {"x": x.ravel(), "y": np.zeros(1, F)}
        FORMS[form](reduce("sum", F, "all"), run_pocl, memory, environment(3, 70001))
        got.append(memory["y"].tobytes())
    assert len(set(got)) == 1




@pytest.mark.parametrize("form", ["cpu split", "gpu split"])
def test_a_split_sum_over_the_first_axis_reads_rows(form):
    target = {"cpu split": Target(), "gpu split": TARGETS["gpu"]}[form]
    kernel = reduce("sum", F, "rows")
    assert gpu.apart(kernel) and not gpu.apart(reduce("sum", F, "columns"))
    count, = interpret.values_of([parts(kernel, target)], environment(300_000, 10))
    assert count > 1
    check("sum", F, "rows", form, "pocl", draw(F, 300_000, 10))
