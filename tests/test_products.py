"""Products under both schedules: what is left to NumPy, what becomes a sum, and the kernels that pack or tile."""
from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate
from codegen.growth import flatten
from codegen.kernel import Alloc, Kernel, walk
from codegen.plan import Branch, Commit, HostCall, Launch, Plan, Step
from exprgraph.node import Graph
from tests.plan_runner import CPU, GPU, Sizes, interpret, run_plan

DTYPES = ("float32", "float64", "int32", "int64")
SIZES = ((0, 3), (3, 0), (1, 1), (33, 70))
PRODUCTS = {
    "X @ w": (lambda X, w: X @ w, 1),
    "X.T @ d": (lambda X, d: X.T @ d, 0),
    "d @ X": (lambda X, d: d @ X, 0),
    "w @ X.T": (lambda X, w: w @ X.T, 1),
    "sliced": (lambda X, w: X[::2, 1:] @ w[1:], 1),
    "backwards": (lambda X, w: X[:, ::-1] @ w, 1),
    "computed": (lambda X, w: (X * 2) @ w, 1)}
TARGETS = {"own": CPU._replace(host_shared=False), "shared": CPU, "gpu": GPU}


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(-9, 9, shape).astype(dtype) if dtype.startswith("int") else rng.standard_normal(shape).astype(dtype)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if wanted.dtype.kind == "i":
        np.testing.assert_array_equal(found, wanted)
    else:
        eps = np.finfo(wanted.dtype).eps
        np.testing.assert_allclose(found, wanted, rtol=200 * eps, atol=400 * eps)


def kernels_of(found: Sequence[Step]) -> list[Kernel]:
    """The kernels of the steps of a plan, in all variants."""
    return [s.kernel for s in flatten(found) if isinstance(s, Launch)]


def steps(ins: list[eg.Symbol], out: eg.Symbol, layouts: tuple[str, ...] = (), pick: int = 0) -> list[type]:
    """The kinds of the steps of the plan in shared memory: those of small sizes, or of others where they differ."""
    leaves = [i.node for i in ins]
    plan: Plan = generate(Graph(tuple(ins), (out,)), leaves, None, layouts or ("C",) * len(ins), False, CPU)
    found = [s for step in plan.steps for s in (step.variants[pick] if isinstance(step, Branch) else (step,))]
    return [type(s) for s in found]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_product_with_a_vector(name: str, dtype: str, schedule: str) -> None:
    """The same as NumPy's for every shape, a transposed argument included."""
    make, axis = PRODUCTS[name]
    X, v = eg.matrix("X", dtype), eg.vector("v", dtype)
    own = eg.compile([X, v], make(X, v), schedule=schedule)
    oracle = eg.compile([X, v], make(X, v), device="numpy")
    for shape in SIZES:
        if shape[axis] == 0 and name == "sliced":
            continue
        a, b = values(shape, dtype), values((shape[axis],), dtype, 1)
        for matrix in (a, np.asfortranarray(a)) if schedule == "cpu" else (a,):
            close(own(matrix, b), oracle(matrix, b))


@pytest.mark.parametrize("name", ["X @ w", "X.T @ d"])
def test_product_with_a_large_matrix(name: str) -> None:
    """What is summed by kernels of our own is as accurate as NumPy's; on a transposed matrix too, and with what follows fused."""
    make, axis = PRODUCTS[name]
    X, v = eg.matrix("X"), eg.vector("v")
    f = eg.compile([X, v], eg.sigmoid(make(X, v) / 9 + 1))
    a, b = values((4200, 1001), "float32"), values(((4200, 1001)[axis],), "float32", 1)
    for matrix in (a, np.asfortranarray(a), np.full_like(a, np.nan)):
        wanted = 1 / (1 + np.exp(-(make(matrix.astype("float64"), b.astype("float64")) / 9 + 1)))
        np.testing.assert_allclose(f(matrix, b), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_product_with_a_vector_interpreted(name: str, dtype: str, target: str) -> None:
    """No access out of bounds, no race, under facts about the sizes and without."""
    make, axis = PRODUCTS[name]
    X, v = eg.matrix("X", dtype), eg.vector("v", dtype)
    a, b = values((5, 9), dtype), values(((5, 9)[axis],), dtype, 1)
    wanted = eg.compile([X, v], make(X, v), device="numpy")(a, b)
    for general, last in ((False, False), (False, True), (True, True)) if target == "shared" else ((True, False),):
        found, = interpret(Graph((X, v), (make(X, v),)), [X.node, v.node], [a, b], TARGETS[target], general, last)
        close(found, wanted)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float64", "int32"])
@pytest.mark.parametrize("left, right", [((2, 3, 4), (4, 1)), ((2, 3, 4), (2, 4, 1)), ((2, 1, 4), (4, 5)), ((3, 4), (2, 4, 1)),
                                         ((2, 1, 3, 4), (5, 4, 1)), ((2, 3, 0), (0, 1))])
def test_batches_with_vectors(left: tuple[int, ...], right: tuple[int, ...], dtype: str, schedule: str) -> None:
    """Batches broadcast on either side."""
    a, b = (eg.tensor(dtype=dtype, shape=tuple(1 if n == 1 else None for n in s)) for s in (left, right))
    x, y = values(left, dtype), values(right, dtype, 1)
    close(eg.compile([a, b], a @ b, schedule=schedule)(x, y), x @ y)


@pytest.mark.parametrize("name", PRODUCTS)
def test_vectors_get_no_tile_on_a_gpu(name: str) -> None:
    """A tile of results has one column there: products with a vector are sums, whose work is shared by many groups."""
    X, v = eg.matrix("X"), eg.vector("v")
    for layout in "CST":
        plan = generate(Graph((X, v), (PRODUCTS[name][0](X, v),)), [X.node, v.node], None, (layout, "C"), False, GPU)
        assert not any(isinstance(s, Alloc) and s.name.startswith("tile_") for k in kernels_of(plan.steps) for s in walk(k.body))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (3, 700), (5000, 3), (3000, 300)])
def test_sums_of_products_in_parts(shape: tuple[int, ...]) -> None:
    """Few rows or columns are summed in parts by many groups of a GPU."""
    X, v, d = eg.matrix("X"), eg.vector("v"), eg.vector("d")
    f = eg.compile([X, v, d], [X @ v, X.T @ d, d @ X * 2], schedule="gpu")
    a, b, c = values(shape, "float32"), values(shape[1:], "float32", 1), values(shape[:1], "float32", 2)
    for got, wanted in zip(f(a, b, c), (a.astype("f8") @ b, a.T.astype("f8") @ c, 2 * (c.astype("f8") @ a))):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4)


def test_wrong_length_is_an_error_where_the_product_became_a_sum() -> None:
    """A vector of one element does not broadcast."""
    X, w = eg.matrix("X", "int32"), eg.vector("w", "int32")
    f = eg.compile([X, w], X @ w)
    for n in (1, 4):
        with pytest.raises(eg.ShapeError, match="matmul"):
            f(np.ones((2, 3), "int32"), np.ones(n, "int32"))


def test_what_is_left_to_numpy() -> None:
    """Products of floats, with a vector those of a middling matrix; those of integers become sums with a vector, else kernels."""
    X, Y, w = eg.matrix("X"), eg.matrix("Y"), eg.vector("w")
    I, J, v = eg.matrix("I", "int32"), eg.matrix("J", "int32"), eg.vector("v", "int32")
    assert HostCall in steps([X, Y], X @ Y) and HostCall not in steps([I, v], v @ I.T)
    assert all((HostCall in steps([X, w], product, pick=pick)) == bool(pick) for product in (X @ w, X.T @ w, w @ X.T) for pick in (0, 1))
    assert HostCall not in steps([I, J], I @ J) and HostCall not in steps([I, v], I.T @ v) and Launch in steps([I, J], I @ J)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("n", [0, 1, 37])
def test_logistic_step(n: int, schedule: str) -> None:
    """Loss, gradient and new weights of a step of logistic regression."""
    def make(**how: str) -> tuple[eg.Function, eg.Shared]:
        X, y = eg.matrix("X"), eg.vector("y")
        w = eg.shared(values((19,), "float32", 3), name="w")
        cost = eg.binary_crossentropy(eg.sigmoid(X @ w), y).sum() + 0.01 * (w**2).sum()
        return eg.compile([X, y], cost, updates={w: w - 0.1 * eg.grad(cost, w)}, **how), w
    (own, mine), (oracle, theirs) = make(schedule=schedule), make(device="numpy")
    X, y = values((n, 19), "float32"), (values((n,), "float32", 1) > 0).astype("float32")
    for _ in range(3):
        np.testing.assert_allclose(own(X, y), oracle(X, y), rtol=2e-5)
        np.testing.assert_allclose(mine.get_value(), theirs.get_value(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (6, 16, 3), (7, 17, 5), (13, 33, 0), (0, 5, 3), (5, 0, 3), (7, 17, 530)])
def test_packed_kernel(m: int, n: int, k: int, dtype: str) -> None:
    """Edges of tiles and panels, nothing summed, longer sums than are kept in registers; operands in place, turned and computed."""
    a, b = eg.matrix("a", dtype), eg.matrix("b", dtype)
    x, y = values((m, k), dtype), values((k, n), dtype, 1)
    forms = [(a @ b, x, y), (a @ b.T, x, y.T.copy()), (a.T @ b, x.T.copy(), y), ((a * 2) @ (b + 1), x, y)]
    for out, *given in forms if k < 5 else forms[:1]:
        wanted = eg.compile([a, b], out, device="numpy")(*given)
        found, = interpret(Graph((a, b), (out,)), [a.node, b.node], given, CPU._replace(host_shared=False))
        close(found, wanted)


@pytest.mark.parametrize("items", [16, 64])
@pytest.mark.parametrize("dtype", ["float32", "int32", "float64"])
@pytest.mark.parametrize("m, n, k", [(1, 1, 1), (17, 3, 9), (5, 33, 3), (3, 4, 0), (0, 5, 3), (5, 0, 3)])
def test_tiles_of_a_gpu(m: int, n: int, k: int, dtype: str, items: int) -> None:
    """Tiles of all forms, sums in parts or not, beyond all edges; operands as they lie and turned, with what follows."""
    a, b = eg.matrix("a", dtype), eg.matrix("b", dtype)
    x, y = values((m, k), dtype), values((k, n), dtype, 1)
    for out, *given in [(a @ b, x, y), (a @ b.T + 1, x, y.T.copy()), (a.T @ b, x.T.copy(), y)][:3 if items == 16 else 1]:
        wanted = eg.compile([a, b], out, device="numpy")(*given)
        plan = generate(Graph((a, b), (out,)), [a.node, b.node], None, "CC", False, GPU._replace(max_group=items))
        forms = next(s.variants for s in plan.steps if isinstance(s, Branch))
        assert len(forms) == (6 if items == 64 and dtype != "float64" else 5)
        for form in forms:
            found, = run_plan(plan._replace(steps=(*form, *plan.steps[1:])), given, Sizes([a.node, b.node], given))
            close(found, wanted)


TILED = {"small": (70, 90, 50), "parts": (5, 60, 2100), "uneven parts": (70, 3, 5000), "large": (390, 500, 20), "wide": (6, 70, 1100),
         "high": (300, 7, 30), "long": (3, 4, 1 << 13)}


@pytest.mark.parametrize("name", TILED)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_forms_of_products_by_size(name: str, dtype: str) -> None:
    """One function for all sizes; NaN goes only where it belongs, and batches have tiles of their own."""
    m, n, k = TILED[name]
    f, g = _products(dtype)
    x, y = values((2, m, k), dtype), values((k, n), dtype, 1)
    if dtype == "float32":
        x[1, 2, -1] = np.nan
    wide = "float64" if dtype == "float32" else dtype
    wanted = x.astype(wide) @ y.astype(wide)
    for found, right in ((f(x[0], y), wanted[0]), (g(x.swapaxes(1, 2).copy(), y), wanted)):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=2e-6 * k)


@cache
def _products(dtype: str) -> tuple[eg.Function, eg.Function]:
    a, b, c = eg.matrix("a", dtype), eg.matrix("b", dtype), eg.tensor3("c", dtype)
    return eg.compile([a, b], a @ b, schedule="gpu"), eg.compile([c, b], c.transpose((0, 2, 1)) @ b, schedule="gpu")


@pytest.mark.parametrize("m, n, k, form", [
    (4096, 4096, 4096, "large"), (2048, 2048, 64, "large"), (1024, 1024, 1024, "square"), (10**6, 64, 64, "square"),
    (64, 64, 512, "square"), (8, 64, 64, "square"), (64, 64, 2048, "square in parts"), (784, 10, 10**5, "high in parts"),
    (10**5, 10, 784, "high"), (0, 5, 7, "high"), (5, 5, 0, "high"), (8, 4096, 4096, "wide in parts")])
def test_which_form_a_gpu_takes(m: int, n: int, k: int, form: str) -> None:
    """Large tiles where they fill all units and are full, sums in parts where tiles are few and sums long, else small ones."""
    names = ("square", "square in parts", "high in parts", "high", "wide in parts", "large")
    a, b = eg.matrix("a"), eg.matrix("b")
    target = GPU._replace(units=132, max_group=1024, local_bytes=49152)
    plan = generate(Graph((a, b), (a @ b,)), [a.node, b.node], None, "CC", False, target)
    branch = next(s for s in plan.steps if isinstance(s, Branch))
    sizes = Sizes([a.node, b.node], [np.lib.stride_tricks.as_strided(np.zeros(1, "float32"), s, (0, 0)) for s in ((m, k), (k, n))])
    assert len(branch.variants) == len(names) and names[sizes(branch.pick)] == form
    memory = {buffer.name: buffer for buffer in plan.buffers}
    for launch in (s for s in flatten(plan.steps) if isinstance(s, Launch)):
        for param, name in zip(launch.kernel.params, launch.buffers):
            assert memory[name].role != "temp" or sizes(memory[name].size) >= sizes(param.size)


@pytest.mark.parametrize("left, right", [((2, 7, 5), (2, 5, 17)), ((2, 7, 5), (5, 17)), ((7, 5), (3, 5, 17)), ((2, 1, 7, 5), (3, 5, 17))])
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_batches_of_integer_matrices(left: tuple[int, ...], right: tuple[int, ...], schedule: str) -> None:
    """What NumPy has no BLAS for is multiplied by kernels, wrapping around as NumPy does."""
    for dtype in ("int32", "int64"):
        a, b = (eg.tensor(dtype=dtype, shape=tuple(1 if n == 1 else None for n in s)) for s in (left, right))
        x, y = values(left, dtype) * (1 << 29), values(right, dtype, 1) * 12345
        close(eg.compile([a, b], a @ b, schedule=schedule)(x, y), x @ y)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_a_product_is_written_where_it_is_returned(schedule: str) -> None:
    """A vector or reshaped result is the memory of the product, unless the product is a result too or its elements change places."""
    X, w = eg.matrix("X"), eg.vector("w")
    outputs = [X @ w, (X @ X.T).reshape((-1,)), (X @ X.T).T, w @ X.T, (X @ w) * 2, X @ X.T]
    f, oracle = eg.compile([X, w], outputs, schedule=schedule), eg.compile([X, w], outputs, device="numpy")
    for shape in ((7, 5), (700, 800) if schedule == "cpu" else (130, 140)):
        x, v = values(shape, "float32"), values(shape[1:], "float32", 1)
        for got, wanted in zip(f(x, v), oracle(x, v)):
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6 * max(shape))
    if schedule == "cpu":
        assert steps([X, w], X @ w, pick=1) == steps([X, w], (X @ X.T).reshape((-1,))) == [HostCall, Commit]
        assert len(steps([X, w], (X @ X.T).T)) > 2
    own = f(x, v)
    for k, one in enumerate(own):
        assert not any(np.shares_memory(one, other) for other in own[k + 1:])
