"""What shares a kernel: launches are counted, and what is kept between passes is compared with the oracle."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate, uncertain
from codegen.plan import Branch, HostCall, Launch
from exprgraph.close import close
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from tests.plan_runner import CPU, GPU, interpret

X, W, B, V, T = eg.matrix("x"), eg.matrix("w"), eg.vector("b"), eg.vector("v"), eg.lvector("t")


def norm(x):
    """Layer norm over rows."""
    return (x - x.mean(axis=1, keepdims=True)) / eg.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def one_hot(t, n):
    """Rows of zeros with a one."""
    return eg.cast(eg.eq(eg.expand_dims(t, 1), eg.arange(n)), "float32")


ONE_KERNEL = {
    "elementwise chain with views": ([X, V], [eg.exp(X.T) * 2 + eg.expand_dims(V, 1)]),
    "several outputs": ([X], [eg.exp(X), eg.exp(X) + 1, X.T.T * 3]),
    "softmax over rows": ([X], [eg.softmax(X, axis=1)]),
    "softmax over columns": ([X], [eg.softmax(X, axis=0)]),
    "softmax of a short vector": ([V], [eg.softmax(V, axis=0)]),
    "variance over rows": ([X], [X.var(axis=1)]),
    "variance of all, small": ([X], [X.var()]),
    "layer norm": ([X], [norm(X)]),
    "logsumexp": ([X], [eg.logsumexp(X, axis=1)]),
    "prologue and epilogue of a sum": ([X, V], [eg.tanh((X * X + 1).sum(axis=1)) * V]),
    "mean and variance together": ([X], [X.mean(axis=1), X.var(axis=1), X.max(axis=1)]),
    "cross-entropy of labels": ([X, T], [eg.cross_entropy_with_logits(X, T)]),
    "softmax of softmax": ([X], [eg.softmax(eg.softmax(X, axis=1), axis=1)]),
}


def launches(inputs, outputs, target) -> list[Launch]:
    """The kernels that a small call runs."""
    graph = run_graph(Graph(tuple(inputs), tuple(outputs)), {})
    plan = generate(graph, [i.node for i in inputs], ("equal",) * len(uncertain(graph)), "C" * len(inputs), False, target)
    return list(_flat(plan.steps))


def _flat(steps):
    for step in steps:
        if isinstance(step, Branch):
            yield from _flat(step.variants[0])
        elif isinstance(step, Launch | HostCall):
            yield step


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("case", ONE_KERNEL)
def test_one_kernel(case: str, target, rng) -> None:
    inputs, outputs = ONE_KERNEL[case]
    assert len(launches(inputs, outputs, target)) == 1
    shapes = {"x": (5, 5), "v": (5,), "t": (5,)}
    values = [rng.integers(0, 5, 5) if i is T else rng.normal(size=shapes[i.name]).astype("float32") for i in inputs]
    graph = Graph(tuple(inputs), tuple(outputs))
    for last in (False, True):
        got = interpret(run_graph(graph, {}), [i.node for i in inputs], values, target, last=last)
        close(got, outputs, {i.node: v for i, v in zip(inputs, values)})


COLUMNS = {  # what is computed, and the kernels that many rows take; a reduction in two passes is two
    "scaled to minimum and maximum": ((X - X.min(axis=0)) / (X.max(axis=0) - X.min(axis=0)), 2),
    "softmax over columns": (eg.softmax(X, axis=0), 3),
    "logsumexp over columns": (eg.logsumexp(X, axis=0), 2),
    "mean of columns": (X.mean(axis=0), 1),
    "tanh of sums of columns": (eg.tanh(X.sum(axis=0)) * V, 1),
    "rows": (eg.softmax(X, axis=1), 1)}


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("case", COLUMNS)
def test_reductions_over_many_rows_stand_apart_from_what_follows(case: str, target, rng) -> None:
    """Their rows can be split over work-items then, and what follows too; few rows are left to one kernel."""
    out, expected = COLUMNS[case]
    inputs = [X, V] if case.startswith("tanh") else [X]
    graph = run_graph(Graph(tuple(inputs), (out,)), {})
    plan = generate(graph, [i.node for i in inputs], ("equal",) * len(uncertain(graph)), "C" * len(inputs), False, target)
    apart = plan.steps[0].variants[-1] if expected > 1 else plan.steps[:1]
    assert len(apart) == expected and len(launches(inputs, [out], target)) == 1
    values = [rng.normal(size=(700, 6)).astype("float32"), rng.normal(size=6).astype("float32")][:len(inputs)]
    f, oracle = (eg.compile(inputs, out, **how) for how in ({"schedule": target.schedule}, {"device": "numpy"}))
    np.testing.assert_allclose(f(*values), oracle(*values), rtol=3e-5, atol=1e-6)


def test_epilogue_of_a_product_is_spliced_into_the_tiled_kernel() -> None:
    steps = launches([X, W, B], [eg.relu(X @ W + B)], GPU)
    assert [type(s) for s in steps] == [Launch]


def test_products_are_left_to_numpy_on_shared_memory_without_copies_of_views() -> None:
    steps = launches([X, W], [X.T @ W[:, ::2]], CPU)
    assert [type(s) for s in steps] == [HostCall]


def test_gradient_of_a_product_reads_the_hidden_layer_in_place() -> None:
    hidden = eg.relu(X @ W)
    steps = launches([X, W], list(eg.grad((hidden @ hidden.T).sum(), [W])), CPU)
    assert not any(isinstance(s, Launch) and "dimshuffle" in s.kernel.name for s in steps)


def test_exponentials_of_a_softmax_are_computed_once() -> None:
    from codegen.kernel import exprs_of, walk
    launch, = launches([X], [eg.softmax(X, axis=1)], CPU)
    statements = [s for s in walk(launch.kernel.body) if any(_mentions(e, "exp") for e in exprs_of(s))]
    loops_of_sum = [s for s in statements if type(s).__name__ == "Store"]
    assert loops_of_sum, "the first pass keeps them"
    assert not any(_mentions(s.value, "exp") and _mentions(s.value, "true_div") for s in loops_of_sum)


def _mentions(expr, name: str) -> bool:
    todo = [expr]
    while todo:
        e = todo.pop()
        if e.kind == "op" and e.value == name:
            return True
        todo += e.args
    return False


def test_work_of_a_chain_of_normalisations_is_linear() -> None:
    def length(times: int) -> int:
        x = X
        for _ in range(times):
            x = x - eg.tanh(x.mean(axis=1, keepdims=True)) * x
        return len(repr([s.kernel.body for s in launches([X], [x], CPU)]))
    assert length(40) < 3 * length(20)


def test_an_expensive_vector_is_not_computed_again_for_every_row() -> None:
    kernels = launches([X, V], [X * eg.tanh(eg.exp(V))], CPU)
    assert len(kernels) == 2


def test_parts_of_a_concatenation_that_are_expensive_are_computed_once_each() -> None:
    kernels = launches([V], [eg.concatenate([eg.exp(V), eg.tanh(V)])], CPU)
    assert len(kernels) == 2


@pytest.mark.parametrize("device", ["pocl", "numpy"])
def test_an_output_or_update_that_is_a_size(device: str) -> None:
    """It once had no kernel, and its memory was returned as it was found."""
    n = eg.shared(0, name="n")
    f = eg.compile([X], [X.shape[0], X.sum(), X.shape[1] * 2], updates={n: X.shape[1]}, device=device)
    got = f(np.ones((3, 4), "float32"))
    assert [int(g) for g in got] == [3, 12, 8]
    assert int(n.get_value()) == 4


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_what_a_row_shares_is_computed_where_it_is_read(schedule: str) -> None:
    """A few cheap operations: no array of their own.  Functions and what goes along columns have one."""
    y, x, w = eg.lvector("y"), eg.matrix("x"), eg.vector("w")
    kernels = [(eg.to_one_hot(y, x.shape[1], dtype="float32") * x, 1), ((w * 2 - abs(w) + w * w)[:, None] * x, 1),
               (eg.exp(w)[:, None] * x, 2), ((w * 2 - abs(w) + w * w) * x, 2)]
    for out, count in kernels:
        f = eg.compile([x, y, w], out, device="pocl", schedule=schedule, on_unused_input="ignore")
        assert f.source().count("__kernel void") == count
        values = np.random.default_rng(0).random((7, 7), dtype="float32"), np.array([0, 6, 7, -1, 3, 2, 2]), np.arange(7, dtype="float32")
        np.testing.assert_allclose(f(*values), eg.compile([x, y, w], out, device="numpy", on_unused_input="ignore")(*values), rtol=1e-6)
