"""Devices without float64 (row B17): refused with the line before anything runs, or computed in float32 where the user says so."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

import exprgraph as eg
from codegen.growth import flatten
from codegen.plan import Launch
from codegen.printed import program_text
from exprgraph.errors import DeviceError
from exprgraph.graph import order
from exprgraph.requires import uncertain
from runtime import device, function, memory
from tests.row_cases import cases

F = "float32"
DOWN = {"device": "poor", "missing_float64": "downcast"}


@pytest.fixture(params=["cpu", "gpu"])
def poor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[device.Device]:
    """PoCL as a device that has no float64; as a GPU it has memory of its own."""
    found = device.choose("pthread")
    shared = request.param == "cpu"
    target = found.target._replace(fp64=False, schedule=request.param, name="Pocket", host_shared=shared,
                                   dialect=found.target.dialect if shared else "portable")
    made = dataclasses.replace(found, spec=f"poor {request.param}", name="Pocket", target=target)
    monkeypatch.setattr(function, "choose", lambda spec: made)
    yield made


X, D, N = eg.vector("x"), eg.vector("d", dtype="float64"), eg.vector("n", dtype="int64")
NEEDS = {"an input": lambda: D.sum(), "a constant": lambda: X * eg.constant(np.ones(3)),
         "a cast": lambda: eg.exp(X.astype("float64")).astype("float32"),
         "integers as floats": lambda: (N.astype("float64") / 3).astype("int64"), "an accumulator": lambda: X.sum(dtype="float64"),
         "a complex number": lambda: eg.abs(X.astype("complex128")).astype("float32"),
         "a shared variable": lambda: X * eg.shared(np.ones(3), "w").astype("float32"), "an index": lambda: D.argmax()}


@pytest.mark.parametrize("need", NEEDS)
def test_B17_every_need_of_float64_is_refused_at_compile(need: str, poor: device.Device) -> None:
    """With the device, the row and the line; nothing has run or is alive, and float32 works afterwards."""
    out = NEEDS[need]()
    inputs = eg.explicit_graph_inputs([out])
    with pytest.raises(DeviceError, match=r"(?s)Pocket has no float64, which \w+ needs.*downcast.*at .*test_no_float64\.py:\d+"):
        eg.compile(inputs, out, device="poor")
    assert not memory.account(poor.spec).buffers
    assert eg.compile([X], X * 2, device="poor")(np.ones(1, "f4"))[0] == 2


def test_B17_what_is_downcast_keeps_its_dtype_at_the_border(poor: device.Device) -> None:
    """Arguments, results, updates and complex numbers; no double is in any kernel, and `why` says so."""
    w = eg.shared(np.linspace(0, 1, 4), "w")
    z = D * (1 + 2j)
    outputs = [(D * w).sum(), D.cumsum(), z, D.argmax(), N / 3, D[N]]
    f = eg.compile([D, N], outputs, updates={w: w + D}, **DOWN)
    g = eg.compile([D, N], f.outputs, device="numpy")
    value, index = np.array([0.1, 2, -3, 0.7]), np.array([3, 0])
    for _ in range(3):
        wanted = g(value, index)
        before = w.get_value()
        for one, other in zip(f(value, index), wanted):
            assert one.dtype == other.dtype and one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)
        assert w.get_value().dtype == "f8"
        np.testing.assert_allclose(w.get_value(), before + value, rtol=1e-6)
    assert "double" not in f.source() and "are computed in float32" in f.why() and "Pocket" in f.why()
    f.free()
    assert f(value, index)[0].shape == ()


def test_B17_downcast_gradients_and_sizes(poor: device.Device) -> None:
    """Sizes of float64 arguments, and what is computed from them."""
    a = eg.matrix("a", dtype="float64")
    cost = (eg.tanh(a @ a.T) ** 2).mean() * a.shape[0]
    f = eg.compile([a], [cost, eg.grad(cost, a), a[1:].reshape((-1,)), a.shape[1] * 2], **DOWN)
    g = eg.compile([a], f.outputs, device="numpy")
    for n, m in ((2, 3), (5, 4), (1, 1)):
        value = np.random.default_rng(n).normal(size=(n, m))
        for one, other in zip(f(value), g(value)):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_B17_downcast_changes_nothing_where_float64_is(poor: device.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with eg.change_flags(missing_float64="downcast"):
        f = eg.compile([D], D / 3, device="pocl")
    assert f(np.ones(1))[0] == 1 / 3 and "float32" not in f.why()
    with pytest.raises(eg.GraphError, match="missing_float64='no'"):
        eg.compile([D], D, missing_float64="no")


def test_B17_downcast_beyond_float32_is_infinite_as_in_a_cast(poor: device.Device) -> None:
    f = eg.compile([D], [D * 2, D + eg.constant(np.array([1e300]))], **DOWN)
    np.testing.assert_array_equal(f(np.array([1e300, -1e300]))[0], [np.inf, -np.inf])


def test_B17_what_the_user_made_for_float64_is_not_downcast(poor: device.Device) -> None:
    own = eg.ElementwiseKernel("double x", "x * x", "squared")
    with pytest.raises(DeviceError, match=r"(?s)squared is of your own and was made for float64.*test_no_float64\.py"):
        eg.compile([D], own(D), **DOWN)


def test_B17_no_kernel_of_float32_has_a_double(poor: device.Device) -> None:
    """Every row that takes float32: nothing that generation adds is wider.  PoCL's own dialect may, as there is float64 wherever it is."""
    seen, target = 0, poor.target._replace(dialect="portable")
    for case in cases():
        symbols = [eg.tensor(f"x{k}", F, (None,) * np.ndim(v)) for k, v in enumerate(case.point)]
        graph = eg.Graph(tuple(symbols), (case.function(*symbols),))
        if any(t.dtype not in (F, "int64", "bool") for n in order(graph.outputs) for t in n.outs):
            continue
        layouts = "C" * len(symbols)
        outcomes = ("equal",) * len(uncertain(graph))
        plan = function._plan(graph, [s.node for s in symbols], outcomes, tuple(layouts), False, target, "", {})
        codes = list({s.kernel.name: s.kernel for s in flatten(plan.steps) if isinstance(s, Launch)}.values())
        assert "double" not in program_text(codes, "portable", False), case
        seen += 1
    assert seen > 60
