"""Generated prefix scans: in the interpreter with its checks, and on PoCL, under both schedules; what shares a kernel; accuracy."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from codegen.generate import generate
from codegen.kernel import Alloc, Builder, Kernel, Let, Loop, Param, Prefix, Store
from codegen.lower import prefix
from codegen.plan import Branch, Launch
from codegen.running import SHORT, TILE, in_registers
from exprgraph.close import close
from exprgraph.dims import constant
from exprgraph.ops.scan import TABLE
from tests.plan_runner import CPU, GPU, Sizes, interpret
from tests.pocl_runner import run_pocl

NAMES = sorted(TABLE)
EDGES = [0, 1, 2, TILE - 1, TILE, TILE + 1, 2 * TILE, 3 * TILE + 5]
TARGETS = [CPU, GPU]


@pytest.fixture
def short_parts(monkeypatch):
    """Rows are cut into parts as if a few dozen elements were many."""
    monkeypatch.setattr(prefix, "PER_PART", {"cpu": 50, "gpu": 20})
    monkeypatch.setattr(prefix, "LEAST", {"cpu": 64, "gpu": 20})


def draw(rng, name, shape, dtype):
    """Values whose folds stay within range; many ties for maxima."""
    if dtype == "bool":
        return rng.random(shape) < 0.3
    if dtype.startswith("float") and name == "cumprod":
        return (rng.choice([-1, 1], shape) * rng.uniform(0.9, 1.1, shape)).astype(dtype)
    return rng.integers(0 if dtype.startswith("u") else -9, 9, shape).astype(dtype)


def check(name, shape, axis, dtype, target, **how):
    """One scan, by its generated kernels, against the oracle."""
    x = eg.tensor("x", dtype, (None,) * len(shape))
    out, value = getattr(eg, name)(x, axis=axis), draw(np.random.default_rng(len(shape)), name, shape, dtype)
    got = interpret(eg.Graph((x,), (out,)), [x.node], [value], target, **how)
    close(got, [out], {x.node: value})


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.schedule)
@pytest.mark.parametrize("name", NAMES)
def test_lengths_around_a_tile(name, target) -> None:
    for n in EDGES:
        check(name, (n,), 0, "float32", target)
        check(name, (2, n), 1, "int32", target)
        check(name, (n, 3), 0, "float64", target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.schedule)
@pytest.mark.parametrize("name", NAMES)
def test_rows_cut_into_parts(name, target, short_parts) -> None:
    """By the variant that the sizes pick, and by the other."""
    for shape in ((n,) for n in (*EDGES, 500, 641)):
        check(name, shape, 0, "float32", target)
        check(name, shape, 0, "int8", target, last=True)
    check(name, (2, 300), 1, "float32", target, general=True)
    check(name, (2, 0), 1, "float32", target, last=True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.schedule)
@pytest.mark.parametrize("shape, axis", [((3, 4, 5), 1), ((3, 4, 5), 0), ((3, 4, 5), 2), ((2, 1, 3), 1), ((1, 7), 0), ((0, 4), 1),
                                         ((4, 0), 1), ((0, 4), 0), ((3, 300), 0), ((1, 1), None), ((), None)], ids=str)
def test_axes(shape, axis, target) -> None:
    for name in NAMES:
        check(name, shape, axis, "float32", target)


def test_long_rows_are_cut_and_short_ones_are_not(short_parts) -> None:
    x = eg.vector("x")
    plan = generate(eg.Graph((x,), (x.cumsum(),)), [x.node], (), ["C"], False, CPU)
    branch = plan.steps[0]
    assert isinstance(branch, Branch) and [len(v) for v in branch.variants] == [1, 2]
    ordered = generate(eg.Graph((x,), (x.cumprod(),)), [x.node], (), ["C"], False, CPU)
    assert isinstance(ordered.steps[0], Launch)


@pytest.mark.parametrize("n, form", [(0, 0), (64, 0), (65, 1), (4000, 1), (32768, 2), (10**6, 2)])
def test_form_of_a_row_on_a_gpu(n, form) -> None:
    """One element per item, several, or in parts; rows that fill the device are not cut."""
    x, y = eg.vector("x"), eg.matrix("y")
    for leaf, out, shape, wanted in ((x, eg.cumsum(x), (n,), form), (y, eg.cumsum(y, axis=1), (64, n), min(form, 1))):
        branch = generate(eg.Graph((leaf,), (out,)), [leaf.node], (), ["C"], False, GPU).steps[0]
        assert isinstance(branch, Branch) and [len(v) for v in branch.variants] == [1, 1, 2]
        assert Sizes([leaf.node], [np.broadcast_to(np.float32(0), shape)])(branch.pick) == wanted


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_few_rows_side_by_side_are_cut_on_a_gpu(name, dtype) -> None:
    for shape in ((1, 3), (64, 3), (65, 2), (300, 3), (0, 3), (200, 0)):
        check(name, shape, 0, dtype, GPU)
    check(name, (2, 150, 3), 1, dtype, GPU, general=True)
    check(name, (70, 3), 0, dtype, GPU, last=True)


@pytest.mark.parametrize("group", [1, 2, 8, 32])
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_groups_of_any_size(group, dtype) -> None:
    """Whole blocks, and some elements more or less, with totals that are joined by fours and by twos."""
    for n in (0, 1, 4 * group, 4 * group + 1, 8 * group - 1, 16 * group + 3):
        check("cummax", (2, n), 1, dtype, GPU._replace(max_group=group))
        check("cumsum", (n,), 0, dtype, GPU._replace(max_group=group), last=True)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_on_pocl(name, schedule, data) -> None:
    shape = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 63, 64, 65, 200]), min_size=1, max_size=3).filter(lambda s: np.prod(s) < 1e5))
    dtype = data.draw(st.sampled_from(["float32", "int64", "int8"]))
    value = draw(np.random.default_rng(data.draw(st.integers(0, 99))), name, shape, dtype)
    f, x = compiled(name, schedule, value.dtype.name, len(shape))
    outs = scans(name, x)
    close(f(value), outs, {x.node: value})


FUNCTIONS: dict = {}


def compiled(name, schedule, dtype, rank):
    """A function of scans along every axis, compiled once, and its input."""
    key = name, schedule, dtype, rank
    if key not in FUNCTIONS:
        x = eg.tensor("x", dtype, (None,) * rank)
        FUNCTIONS[key] = eg.compile([x], scans(name, x), device="pocl", schedule=schedule), x
    return FUNCTIONS[key]


def scans(name, x):
    """The scan of a tensor along each axis, and along none."""
    return [getattr(eg, name)(x, axis=a) for a in (None, *range(x.ndim))]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_a_long_row_on_pocl(schedule) -> None:
    value = np.random.default_rng(0).standard_normal(500_003).astype("float32")
    x = eg.vector("x")
    got = eg.compile([x], [x.cumsum(), eg.cummax(x)], device="pocl", schedule=schedule)(value)
    exact = np.cumsum(value, dtype="float64")
    assert np.abs(got[0] - exact).max() <= np.abs(np.cumsum(value) - exact).max()
    np.testing.assert_array_equal(got[1], np.maximum.accumulate(value))


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_a_long_sum_of_one_sign_is_more_accurate_than_numpys(schedule) -> None:
    value = np.full(1_000_000, 0.1, "float32")
    x = eg.vector("x")
    got, exact = eg.compile([x], x.cumsum(), device="pocl", schedule=schedule)(value), np.cumsum(value, dtype="float64")
    assert np.abs(got / exact - 1).max() < np.abs(np.cumsum(value) / exact - 1).max() / 4


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, schedule) -> None:
    """NaN, infinities and zeros of either sign, within whole tiles; and a product that overflows behind a zero."""
    x = eg.matrix("x")
    f = eg.compile([x], getattr(eg, name)(x, axis=1), device="pocl", schedule=schedule)
    rows = np.ones((6, 300), "float32")
    rows[0, 100], rows[1, 70], rows[2], rows[3, 5:] = np.nan, np.inf, -0.0, 1e30
    rows[3, 4], rows[4, 90], rows[4, 95], rows[5, ::2] = 0, -np.inf, np.nan, -1
    got = f(rows)
    with np.errstate(all="ignore"):
        want = TABLE[name].numpy(rows, axis=1)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_array_equal(np.signbit(got[2]), np.signbit(want[2]))


@pytest.mark.parametrize("make, kernels", [
    (lambda x: [eg.cumsum(x * x, axis=1)], 1), (lambda x: [eg.cumsum(eg.exp(x), axis=0) / 3 + 1], 1),
    (lambda x: [eg.cummax(x, axis=1), eg.cummax(x, axis=1) - x], 1), (lambda x: [eg.cumsum(x.T, axis=0)], 1),
    (lambda x: [eg.cumsum(x, axis=1)[:, ::-1]], 2), (lambda x: [eg.cumsum(eg.cumsum(x, axis=0), axis=1)], 2)])
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.schedule)
def test_what_shares_a_kernel(make, kernels, target) -> None:
    x = eg.matrix("x")
    outs = make(x)
    value = np.random.default_rng(1).uniform(0.5, 1, (3, 70)).astype("float32")
    close(interpret(eg.Graph((x,), tuple(outs)), [x.node], [value], target), outs, {x.node: value})
    plan = generate(eg.Graph((x,), tuple(outs)), [x.node], (), ["C"], False, target)
    assert sum(isinstance(s, Launch | Branch) for s in plan.steps) == kernels


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.schedule)
def test_an_index_that_is_outside_is_reported_by_a_scan(target) -> None:
    x, i = eg.vector("x"), eg.lvector("i")
    graph = eg.Graph((x, i), (eg.cumsum(x[i]),))
    value = np.arange(5, dtype="float32")
    for index in (np.arange(70) % 5, np.arange(3) - 3):
        got, = interpret(graph, [x.node, i.node], [value, index], target)
        np.testing.assert_array_equal(got, np.cumsum(value[index]))
    for place in (0, 69):
        bad = np.arange(70) % 5
        bad[place] = 9
        with pytest.raises(eg.IndexFault, match="index 9 is out of bounds"):
            interpret(graph, [x.node, i.node], [value, bad], target)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_gradients_on_pocl(name, schedule) -> None:
    x = eg.matrix("x")
    outs = [eg.grad((getattr(eg, name)(x * 1.5, axis=a) ** 2).sum(), x) for a in (0, 1)]
    value = np.random.default_rng(2).uniform(0.8, 1.2, (4, 70)).astype("float32")
    got, wide = eg.compile([x], outs, device="pocl", schedule=schedule)(value), eg.compile([x], outs, device="numpy")(value)
    for one, other in zip(got, wide):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("combine", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64", "uint64", "int16", "bool"])
def test_a_tile_in_registers(dtype, combine) -> None:
    """The function of vectors, or where there is none the loop, is what the statement means, on all lanes."""
    b, size = Builder(), constant(TILE)
    move = [Loop("vector", "i", b.index(0), b.index(TILE), b.index(1), (Store(to, b.var("i"), b.load(of, dtype, b.var("i"))),))
            for to, of in (("t", "x"), ("y", "t"))]
    stmt = Prefix("t", dtype, TILE, combine)
    body = (Let("one", b.lit(1, "int32")), Alloc("t", dtype, TILE, "private"), move[0], stmt, move[1])
    kernel = Kernel("k", (Param("x", dtype, "r", size), Param("y", dtype, "w", size)), body)
    fold = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[combine]
    for seed in range(3):
        x = draw(np.random.default_rng(seed), "cumprod" if combine == "prod" else "cumsum", TILE, dtype)
        if dtype.startswith("float") and seed == 2 and combine in ("max", "min"):
            x[[5, 40]] = np.nan, -np.inf
        memory = {"x": x, "y": np.zeros_like(x)}
        run_pocl(kernel, memory, {})
        np.testing.assert_allclose(memory["y"], fold.accumulate(x, dtype=dtype), rtol=1e-5)
    assert bool(in_registers(stmt)) == (dtype in SHORT)
