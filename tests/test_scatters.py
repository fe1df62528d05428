"""Scatters on GPUs: the spelling of atomic additions by dialect, who speaks which, and what shares a kernel with them."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate
from codegen.opencl import kernel_source
from codegen.plan import Branch, Launch
from codegen.printed import program_source
from exprgraph.close import close
from runtime import device
from tests.hand_trees import scatter
from tests.plan_runner import CPU, GPU, interpret

SWAP = "cmpxchg"
PTX = 'asm volatile("red.global.add.{} [%0], %1;" :: "l"(&y[v0]), "{}"(v1) : "memory");'
FETCH = "atomic_fetch_add_explicit((volatile __global atomic_{} *)&y[v0], v1, memory_order_relaxed, memory_scope_device);"


@pytest.mark.parametrize("dialect, dtype, combine, has, lacks", [
    ("portable", "float32", "sum", SWAP, "asm"), ("nvidia", "float32", "sum", PTX.format("f32", "f"), SWAP),
    ("nvidia", "float64", "sum", PTX.format("f64", "d"), SWAP), ("nvidia", "float32", "max", SWAP, "asm"),
    ("nvidia", "int32", "sum", "atomic_add(", "asm"), ("nvidia", "int64", "sum", "atom_add(", SWAP),
    ("pocl", "uint64", "sum", "atom_add(", SWAP),
    ("float_atomics", "float32", "sum", FETCH.format("float"), "asm"), ("float_atomics", "float64", "sum", FETCH.format("double"), "asm"),
    ("float_atomics", "float32", "sum", "__opencl_c_ext_fp32_global_atomic_add", "fp64"), ("float_atomics", "float32", "sum", SWAP, "asm")])
def test_how_a_value_is_merged(dialect, dtype, combine, has, lacks) -> None:
    text = kernel_source(scatter(dtype, combine), dialect)
    assert has in text and lacks not in text
    assert ("int64_base_atomics" in program_source([scatter(dtype, combine)], dialect)) == ("atom_" in text)


NVIDIA, EXTENSION = "cl_khr_fp64 cl_nv_compiler_options", "cl_khr_fp64 cl_ext_float_atomics"


@pytest.mark.parametrize("known, dialect, options", [
    ({"extensions": NVIDIA, "compute_capability_major_nv": 9}, "nvidia", ()),
    ({"extensions": NVIDIA, "compute_capability_major_nv": 5}, "portable", ()), ({"extensions": NVIDIA}, "portable", ()),
    ({"extensions": EXTENSION, "version": "OpenCL 3.0 a driver"}, "float_atomics", ("-cl-std=CL3.0",)),
    ({"extensions": EXTENSION, "version": "OpenCL 2.1"}, "portable", ()), ({}, "portable", ())])
def test_what_a_device_speaks(known, dialect, options) -> None:
    handle = SimpleNamespace(**known)
    assert device._dialect(handle) == dialect and device._options(handle, dialect) == options


T, I, G = eg.matrix("t"), eg.lvector("i"), eg.matrix("g")
H = eg.tensor("h", "float16", (None, None))
VALUES = {T: (5, 3), G: (4, 3), H: (4, 3)}
CASES = {"rows added onto a table": (T[I].inc(G), 2), "onto one number": ((eg.zeros((5, 3)) + 1)[I].inc(G), 2),
         "values that are maps": (T[I].inc(G * G + 1), 2), "values of a gather": (T[I].inc(T[I] * G), 2),
         "a gradient": (eg.grad((T[I] * G).sum(), T), 3), "sums of rows": (T[I].inc(G.sum(axis=1, keepdims=True)), 3),
         "half floats": (eg.cast(T, "float16")[I].inc(H), 3)}
"""A scatter, and the steps that it is on a GPU."""


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda t: t.schedule)
@pytest.mark.parametrize("name", CASES)
def test_values_and_steps(name, target) -> None:
    out, steps = CASES[name]
    rng, leaves = np.random.default_rng(0), [T, I, G, H]
    given = [np.array([0, 4, 4, -2]) if x is I else rng.random(VALUES[x]).astype(x.dtype) for x in leaves]
    graph, nodes = eg.Graph(tuple(leaves), (out,)), [x.node for x in leaves]
    close(interpret(graph, nodes, given, target), [out], dict(zip(nodes, given)))
    plan = generate(graph, nodes, None, ["C"] * len(nodes), False, target)
    assert target is CPU or sum(isinstance(s, Launch | Branch) for s in plan.steps) == steps


def test_an_index_that_is_outside_is_reported_by_either_kernel() -> None:
    for bad in (7, -6):
        for out in (T[I].inc(G), T[I].inc(T[I])):
            with pytest.raises(eg.IndexFault, match=f"index {bad} is out of bounds for axis 0 with size 5"):
                interpret(eg.Graph((T, I, G), (out,)), [T.node, I.node, G.node], [np.ones((5, 3), "float32"), np.array([0, 1, bad, 2]),
                                                                               np.ones((4, 3), "float32")], GPU)


def test_determinism_keeps_the_order_on_gpus() -> None:
    graph = eg.Graph((T, I, G), (T[I].inc(eg.exp(G)),))
    plan = generate(graph, [x.node for x in (T, I, G)], None, "CCC", False, GPU._replace(deterministic=True))
    assert "Atomic" not in repr([s.kernel.body for s in plan.steps if isinstance(s, Launch)])
