"""Compiling runs the default plan once on the least sizes; what is fixed in a graph must neither be exceeded nor cost much."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from runtime import direct
from runtime.driver import cl, failure
from runtime.program import built

X, V = eg.matrix("x"), eg.vector("v")
Y = eg.tensor("y", "float32", (200000,))
Z = eg.tensor("z", "float32", (None, 600))
B = eg.tensor("b", "int8", (None,))
BIG = np.linspace(0, 1, 300000, dtype="float32")

FIXED = {
    "a long range": ([X], lambda: eg.cast(eg.arange(1000000), "float32") * X.sum(), [np.ones((2, 2), "float32")]),
    "a large table": ([X], lambda: eg.zeros((3000, 3000)) + X[0, 0], [np.ones((2, 2), "float32")]),
    "a large constant": ([X], lambda: eg.exp(eg.constant(BIG)) * X[0, 0], [np.ones((2, 2), "float32")]),
    "a fixed length": ([Y], lambda: eg.exp(Y), [BIG[:200000]]),
    "fixed columns": ([Z], lambda: Z.sum(axis=0), [np.ones((5, 600), "float32")]),
    "a divided position": ([X], lambda: eg.exp(X.T.flatten()[5]), [np.ones((3, 4), "float32")]),
    "a reshape": ([X], lambda: eg.exp(X.T.reshape((3, 4))), [np.ones((3, 4), "float32")]),
}


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("case", FIXED)
def test_fixed_sizes(case: str, schedule: str) -> None:
    """Launched with all sizes 0 and small buffers, these once wrote beyond them or divided by 0."""
    inputs, make, values = FIXED[case]
    f = eg.compile(inputs, make(), device="pocl", schedule=schedule)
    np.testing.assert_allclose(f(*values), eg.compile(inputs, make(), device="numpy")(*values), rtol=2e-6)


def test_a_far_element() -> None:
    assert eg.compile([B], B[1900000000] * 2, device="pocl") is not None


def test_B20_code_that_cannot_be_generated_is_an_error_of_the_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers for CPUs may build a program and fail at the first launch of its kernels: that is made by compile."""
    def broken(*arguments: object, **more: object) -> None:
        raise failure("clEnqueueNDRangeKernel failed: BUILD_PROGRAM_FAILURE")
    with monkeypatch.context() as patch:
        patch.setattr(eg.config, "native", False)
        patch.setattr(cl, "enqueue_nd_range_kernel", broken)
        direct._compiled.cache_clear()
        with pytest.raises(eg.DeviceError, match="BUILD_PROGRAM_FAILURE"):
            eg.compile([V], eg.sin(V) * 17, device="pocl")
    direct._compiled.cache_clear()
    assert eg.compile([V], eg.sin(V) * 17, device="pocl")(np.zeros(2, "f")).tolist() == [0, 0]


def test_rehearsal_changes_nothing() -> None:
    """No update is published, no further plan is built."""
    w = eg.shared(np.ones(3, "float32"), name="w")
    before = built()
    f = eg.compile([V], (w * V).sum(), updates={w: w * 2}, device="pocl")
    after = built()
    assert w.get_value().tolist() == [1, 1, 1] and after - before <= 1
    f(np.ones(3, "float32"))
    assert built() == after and w.get_value().tolist() == [2, 2, 2]


def test_kernels_keep_to_the_argument_limit_when_maps_sink() -> None:
    from codegen.generate import generate
    from codegen.growth import flatten
    from codegen.plan import Launch
    from exprgraph.node import Graph
    from tests.plan_runner import CPU, GPU
    many = [[eg.tensor(f"v{k}_{n}", "float32", (7,)) for n in range(32)] for k in range(12)]
    maps = [eg.exp(sum(vs[1:], vs[0])) for vs in many]
    total, squares = sum(maps[1:], maps[0]), sum((m * m for m in maps[1:]), maps[0] * maps[0])
    inputs = [v for vs in many for v in vs]
    for target in (CPU, GPU):
        plan = generate(Graph(tuple(inputs), (total, squares)), [i.node for i in inputs], (), "C" * len(inputs), False, target)
        assert max(len(s.buffers) + len(s.dims) for s in flatten(plan.steps) if isinstance(s, Launch)) <= target.argument_bytes // 8
