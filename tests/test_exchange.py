"""Device arrays and other libraries: DLPack both ways, pyopencl's arrays both ways."""
from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import CallError, DeviceError
from runtime.driver import cl
from runtime.memory import data_of
from tests import array_kinds
from tests.array_kinds import F, moved, ones, place, stays

kind, own = array_kinds.kind, array_kinds.own
cl_array = pytest.importorskip("pyopencl.array")


class Old:
    """What a library that knows no versions of DLPack asks for."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __dlpack__(self, **options: Any) -> Any:
        return self.value.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        found: tuple[int, int] = self.value.__dlpack_device__()
        return found


def test_dlpack_out(kind: str) -> None:
    x = ones(kind, 3, 4)
    got = np.from_dlpack(x)
    np.testing.assert_array_equal(got, np.asarray(x))
    assert x.__dlpack_device__() == (1, 0)
    assert np.shares_memory(got, np.asarray(x)) == x.mapped and got.flags.writeable == (not x.mapped)
    old = np.from_dlpack(Old(x))
    np.testing.assert_array_equal(old, np.asarray(x))
    assert not np.shares_memory(old, np.asarray(x))
    with pytest.raises(BufferError, match="not of the device"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="copy=False"):
        x.__dlpack__(copy=False)
    if x.mapped:
        assert np.shares_memory(np.from_dlpack(x, copy=False), np.asarray(x))
    else:
        with pytest.raises(BufferError, match="memory of separate"):
            np.from_dlpack(x, copy=False)
        with pytest.raises(ValueError, match="memory of separate"):
            np.asarray(x, copy=False)
    assert not np.shares_memory(np.from_dlpack(x, copy=True), np.asarray(x))


def test_array_as_numpy_2_asks(kind: str) -> None:
    x = ones(kind, 3)
    assert np.array(x, copy=True).flags.writeable and np.asarray(x, dtype="int32").tolist() == [0, 1, 2]
    with pytest.raises(ValueError):
        np.asarray(x, dtype="float64", copy=False)
    if x.mapped:
        assert np.shares_memory(np.asarray(x, copy=False), x.host())


def test_torch_tensors_come_in_and_go_out_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    t = torch.arange(6.0).reshape(2, 3)
    x = eg.from_dlpack(t, device="pocl")
    assert x.borrowed and data_of(np.asarray(x)) == t.data_ptr() and eg.array(t, device="pocl", copy=None).borrowed
    mine = eg.array(t, device="pocl")
    t[0, 0] = 7
    assert x.tolist()[0][0] == 7 and mine.tolist()[0][0] == 0
    m = eg.matrix("m")
    y = stays([m], m * 2, "pocl")(x)
    back = torch.from_dlpack(y)
    assert back.data_ptr() == data_of(np.asarray(y)) and back.tolist() == [[14, 2, 4], [6, 8, 10]]
    for dtype in (torch.float64, torch.float16, torch.int8, torch.bool, torch.complex64):
        assert eg.from_dlpack(torch.ones(2, dtype=dtype)).dtype.name == str(dtype).removeprefix("torch.")
    for wrong in (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, requires_grad=True)):
        with pytest.raises(BufferError, match="type Tensor cannot be shared"):
            eg.from_dlpack(wrong)
    assert eg.array(t.T, device="pocl").tolist() == t.T.tolist()
    with pytest.raises(ValueError, match="copy=False"):
        eg.array(t.T, device="pocl", copy=False)


def test_jax_arrays_come_in_and_go_out() -> None:
    jax = pytest.importorskip("jax")
    x = eg.from_dlpack(jax.numpy.arange(3.0), device="pocl")
    assert x.tolist() == [0, 1, 2]
    assert jax.dlpack.from_dlpack(x).tolist() == [0, 1, 2] and jax.numpy.asarray(x).tolist() == [0, 1, 2]


def test_dlpack_in_on_each_kind(kind: str) -> None:
    given = np.arange(4, dtype=F)
    before = moved(kind)
    x = eg.from_dlpack(given, device=kind)
    assert np.shares_memory(np.asarray(x), given) == x.mapped and moved(kind)[0] - before[0] == (not x.mapped)
    assert eg.from_dlpack(x, device=kind).tolist() == [0, 1, 2, 3]
    for wrong in ([1.0], None, "abc"):
        with pytest.raises(CallError, match="DLPack"):
            eg.from_dlpack(wrong)


def test_what_dlpack_has_no_name_for() -> None:
    pytest.importorskip("ml_dtypes")
    x = eg.array(np.ones(2, F), dtype="bfloat16", device="numpy")
    with pytest.raises((BufferError, TypeError)):
        np.from_dlpack(x)


def test_pyopencl_arrays_go_out_and_come_in_without_a_copy(kind: str) -> None:
    if kind == "numpy":
        with pytest.raises(DeviceError, match="NumPy's"):
            eg.to_pyopencl(ones(kind, 3))
        with pytest.raises(DeviceError, match="no OpenCL queue"):
            eg.opencl_queue(kind)
        return
    m = eg.matrix("m")
    f = stays([m], m + 1, kind)
    x = ones(kind, 3, 4)
    before = moved(kind)
    y = f(x)
    c = eg.to_pyopencl(y)
    assert c.queue == eg.opencl_queue(kind) and c.shape == (3, 4) and moved(kind) == before
    d = c * 2 + c  # pyopencl computes with it
    z = eg.array(d, device=kind, copy=None)
    assert z.borrowed and z.shape == (3, 4)
    found = f(z)
    assert moved(kind) == before
    np.testing.assert_array_equal(np.asarray(found), (np.arange(12).reshape(3, 4) + 1) * 3 + 1)
    assert not eg.array(d, device=kind).borrowed and eg.array(d, device=kind, dtype="float64").dtype == "float64"
    if kind == "separate":
        assert place(z) == d.base_data.int_ptr and place(y) == c.base_data.int_ptr
    else:
        d.fill(5)
        d.queue.finish()
        assert z.tolist()[0][0] == 5 and data_of(np.asarray(eg.array(c, device=kind, copy=None))) == data_of(np.asarray(y))
    del c, d, y
    gc.collect()
    assert z.size == 12 and np.asarray(f(z)).shape == (3, 4)


def test_pyopencl_arrays_of_other_contexts_and_layouts_are_copied_or_refused(kind: str) -> None:
    if kind == "numpy":
        assert eg.array(cl_array.to_device(eg.opencl_queue("pocl"), np.arange(3)), device=kind).tolist() == [0, 1, 2]
        return
    ours = eg.opencl_queue(kind)
    foreign = cl.CommandQueue(cl.Context([ours.device]))
    base = np.arange(24, dtype=F).reshape(4, 6)
    turned = cl_array.to_device(ours, np.asfortranarray(base))
    none = cl_array.to_device(ours, base)[:0]
    for given, wanted in ((cl_array.to_device(foreign, base), base), (turned, base), (none, base[:0])):
        x = eg.array(given, device=kind, copy=None)
        np.testing.assert_array_equal(np.asarray(x), wanted)
        assert not x.borrowed or kind == "pocl"
        with pytest.raises(ValueError, match="opencl_queue"):
            eg.array(given, device=kind, copy=False)
    part = cl_array.to_device(ours, base)[1:3]
    np.testing.assert_array_equal(np.asarray(eg.array(part, device=kind, copy=None)), base[1:3])
    with pytest.raises(CallError, match="takes a device array"):
        eg.to_pyopencl(base)


def test_pyopencl_arrays_are_no_arguments_by_themselves() -> None:
    v = eg.vector("v")
    f = eg.compile([v], v * 2, device="pocl")
    with pytest.raises(CallError, match=r"exprgraph\.array"):
        f(cl_array.to_device(eg.opencl_queue("pocl"), np.ones(3, F)))
    torch = pytest.importorskip("torch")
    with pytest.raises(CallError, match=r"exprgraph\.array"):
        f(torch.ones(3))


def test_own_kernels_of_pyopencl_run_on_results(own: str) -> None:
    v = eg.vector("v")
    y = stays([v], v + 1, own)(ones(own, 8))
    c = eg.to_pyopencl(y)
    out = cl_array.empty_like(c)
    program = cl.Program(c.context, "__kernel void twice(__global const float *x, __global float *y)"
                                    "{ int i = get_global_id(0); y[i] = 2 * x[i]; }").build()
    program.twice(c.queue, (8,), None, c.data, out.data)
    assert eg.array(out, device=own, copy=False).tolist() == [2 * (k + 1) for k in range(8)]
