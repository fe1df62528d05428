"""Products with maps around them: kernels that pack what leads to a product and finish its results where they are made."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from codegen import interpret as tree
from codegen.generate import generate
from codegen.plan import Branch, HostCall, Launch, Step
from codegen.products import disturbs, is_kernel, suits
from codegen.target import Target
from exprgraph.node import Graph
from tests.plan_runner import CPU, interpret
from tests.pocl_runner import run_pocl

ALWAYS = CPU._replace(least_product=1)
RUNNERS = {"interpreter": tree.run, "pocl": run_pocl}
A, B, V, U, C = eg.matrix("A"), eg.matrix("B"), eg.vector("v"), eg.vector("u"), eg.matrix("C")
GRAPHS = {
    "bias": A @ B + V,
    "relu": eg.relu(A @ B + V),
    "sigmoid, rows": eg.sigmoid(A @ B + U.dimshuffle(0, "x")),
    "both": [A @ B, eg.exp(A @ B)],
    "step": C - 0.1 * (A @ B),
    "of rows": eg.softmax(A @ B + V),
    "before": (A * 2 + 1) @ B,
    "before, both": eg.relu(A) @ (B * V),
    "before and after": eg.tanh(eg.sin(A) @ eg.relu(B) * 0.5),
    "backwards": eg.relu(A[:, ::-1] @ B[::-1]),
    "scalar": (A @ B) * 3,
    "twice": eg.relu(eg.relu(A @ B) @ eg.relu(A @ B).T)}
TURNED = {
    "left": (eg.relu(A.T @ B + V), (1, 0)), "right": (eg.relu(A @ B.T + V), (0, 1)), "each": (eg.relu((A * 2).T @ eg.exp(B.T) + V), (1, 1))}


def given_for(m: int, k: int, n: int, dtype: str = "float32", turned: tuple[int, int] = (0, 0)) -> list[np.ndarray]:
    """Numbers for A, B, v, u, C."""
    rng = np.random.default_rng([m, k, n])
    a, b = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n)))
    rest = [rng.standard_normal(s).astype(dtype) for s in ((n,), (m,), (m, n))]
    return [*(np.ascontiguousarray(x.T) if t else x for x, t in zip((a, b), turned)), *rest]


def close(found: list[np.ndarray], wanted: list[np.ndarray], depth: int) -> None:
    for one, other in zip(found, wanted):
        eps = np.finfo(one.dtype).eps
        np.testing.assert_allclose(one, other, rtol=200 * eps, atol=8 * eps * max(depth, 16) * max(np.abs(other).max(initial=0), 1))


def check(out, sizes: tuple[int, int, int], runner: str, target: Target = ALWAYS, turned: tuple[int, int] = (0, 0)) -> None:
    """All outputs by the last variants, which are kernels of our own."""
    outputs, inputs, values = out if isinstance(out, list) else [out], [A, B, V, U, C], given_for(*sizes, turned=turned)
    wanted = eg.compile(inputs, outputs, device="numpy", on_unused_input="ignore")(*values)
    found = interpret(Graph(tuple(inputs), tuple(outputs)), [i.node for i in inputs], values, target, last=True, runner=RUNNERS[runner])
    close(found, wanted, sizes[1])


@pytest.mark.parametrize("name", GRAPHS)
def test_maps_around_products(name: str) -> None:
    """Edges of tiles and panels, a tile exactly, no products at all, no results; the interpreter looks for races and stray access."""
    for sizes in ((5, 3, 7), (6, 4, 16), (7, 0, 17), (0, 3, 5), (3, 5, 0)):
        check(GRAPHS[name], sizes, "interpreter")
    for dialect in ("pocl", "pocl_avx512"):
        check(GRAPHS[name], (8, 5, 33), "interpreter", ALWAYS._replace(dialect=dialect))


@given(name=st.sampled_from(sorted(GRAPHS)), m=st.integers(1, 70), k=st.integers(0, 70), n=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_maps_around_products_of_any_size(name: str, m: int, k: int, n: int) -> None:
    check(GRAPHS[name], (m, k, n), "pocl")


@pytest.mark.parametrize("name", TURNED)
def test_turned_operands(name: str) -> None:
    """Packed as they lie, or turned while packing."""
    out, turned = TURNED[name]
    check(out, (9, 5, 18), "interpreter", turned=turned)
    for sizes in ((70, 150, 40), (33, 65, 100), (8, 64, 32)):
        check(out, sizes, "pocl", turned=turned)


@pytest.mark.parametrize("k", [512, 513, 1100, 2048])
def test_sums_in_several_blocks(k: int) -> None:
    """Sums of earlier blocks wait in scratch memory; results are used once."""
    check(GRAPHS["relu"], (37, k, 45), "pocl")
    check(GRAPHS["both"], (3, k, 5), "interpreter")


def steps_of(out: eg.Symbol, target: Target = CPU) -> list[Step]:
    """All steps of the plan, those of variants too."""
    inputs = [A, B, V, U, C]
    plan = generate(Graph(tuple(inputs), (out,)), [i.node for i in inputs], None, ("C",) * 5, False, target)
    found, todo = list[Step](), list(plan.steps)
    while todo:
        step = todo.pop(0)
        found.append(step)
        todo += [s for v in step.variants for s in v] if isinstance(step, Branch) else []
    return found


def test_what_has_a_choice() -> None:
    """A product alone stays a call but where kernels are as fast; one with maps around it is either; without shared memory it is
    kernels."""
    alone = {d: [type(s) for s in steps_of(A @ B, CPU._replace(dialect=d))] for d in ("pocl", "pocl_avx512")}
    assert alone["pocl"][0] is HostCall and Launch not in alone["pocl"] and Launch in alone["pocl_avx512"]
    for name in ("relu", "before", "step"):
        kinds = [type(s) for s in steps_of(GRAPHS[name])]
        assert Branch in kinds and HostCall in kinds and Launch in kinds
    assert not any(isinstance(s, HostCall) for s in steps_of(GRAPHS["relu"], CPU._replace(host_shared=False)))


def test_known_sizes_leave_no_choice() -> None:
    """Where sizes are part of the types, the plan has one form."""
    for n, kernels in ((256, True), (32, False)):
        a, b, v = (eg.tensor(dtype="float32", shape=s) for s in ((n, n), (n, n), (n,)))
        plan = generate(Graph((a, b, v), (eg.relu(a @ b + v),)), [a.node, b.node, v.node], None, ("C",) * 3, False, CPU)
        assert any(isinstance(s, HostCall) for s in plan.steps) is not kernels
        assert sum(isinstance(s, Launch) for s in plan.steps) == 2 if kernels else isinstance(plan.steps[0], HostCall)


@pytest.mark.parametrize("sizes, dtype, around, alone", [
    ((1024, 1024, 1024), "float32", 1, 1), ((1024, 1024, 1024), "float64", 1, 0), ((128, 784, 512), "float32", 1, 1),
    ((128, 128, 128), "float32", 1, 0), ((64, 64, 64), "float32", 0, 0), ((10**6, 512, 10), "float32", 0, 0),
    ((4096, 4096, 36), "float32", 0, 0), ((4096, 4, 4096), "float32", 0, 0), ((0, 4, 3), "float32", 0, 0)])
def test_sizes_that_suit(sizes: tuple[int, int, int], dtype: str, around: int, alone: int) -> None:
    """Large, no short side, and nearly full tiles."""
    m, k, n = sizes
    node = (eg.tensor(dtype=dtype, shape=(m, k)) @ eg.tensor(dtype=dtype, shape=(k, n))).node
    target = Target(dialect="pocl_avx512", fused_products=True)
    assert suits(node, target).const == around and suits(node, target, around=False).const == alone
    assert is_kernel(node, target).const == int(m * k * n >= 2**18)
    assert disturbs(node, target).const == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_products_equal_numpy(dtype: str) -> None:
    """What a person compiles: sizes that suit, sizes that do not, and a short product behind a large one."""
    a, b, v, w = eg.matrix("a", dtype), eg.matrix("b", dtype), eg.vector("v", dtype), eg.matrix("w", dtype)
    outputs = [eg.relu(a @ b + v), eg.sigmoid(eg.relu(a @ b + v) @ w), b - 0.1 * (a.T @ (a @ b))]
    own, oracle = eg.compile([a, b, v, w], outputs), eg.compile([a, b, v, w], outputs, device="numpy")
    for m, k, n in ((342, 330, 350), (5, 7, 11), (400, 600, 320)):
        x, y, z, *_ = given_for(m, k, n, dtype)
        s = given_for(n, 10, 3, dtype)[0]
        close(own(x, y / 20, z, s), oracle(x, y / 20, z, s), 8 * k)


def test_the_call_between_kernels() -> None:
    """In the form with kernels of our own a product that does not suit is a call, its operand and what follows are maps of their own."""
    inputs, last = [A, B, V, C], eg.tanh(eg.relu(eg.relu(A @ B + V) * 2) @ C + 1)
    a, b, v, *_ = given_for(48, 64, 96)
    values = [a, b, v, given_for(96, 5, 1)[0]]
    wanted = eg.compile(inputs, last, device="numpy")(*values)
    found = interpret(Graph(tuple(inputs), (last,)), [i.node for i in inputs], values, ALWAYS, runner=run_pocl)
    close(found, [wanted], 96)
