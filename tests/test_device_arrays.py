"""Device arrays: what they are, how they go through functions and shared variables without a copy, and every wrong use."""
from __future__ import annotations

import copy
import gc
import operator
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import backend, resident
from exprgraph.errors import CallError, DeviceError, DTypeError, GraphError, NoDeviceError, ShapeError, UseError
from exprgraph.resident import DeviceArray
from runtime import arrays, memory
from runtime import device as devices
from runtime.driver import cl
from tests import array_kinds
from tests.array_kinds import F, moved, ones, place, stays

kind, own = array_kinds.kind, array_kinds.own
DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64", "complex64", "complex128",
          "bfloat16")


def test_values_go_there_and_come_back(kind: str) -> None:
    x = ones(kind, 3, 4)
    assert (x.shape, x.dtype, x.ndim, x.size, x.nbytes, len(x)) == ((3, 4), np.dtype(F), 2, 12, 48, 3)
    assert repr(x) == f"<device array: float32[3, 4] on {x.device}>"
    got = np.asarray(x)
    assert type(got) is np.ndarray and not got.flags.writeable and got.flags.c_contiguous
    np.testing.assert_array_equal(got, np.arange(12).reshape(3, 4))
    assert np.array(x).flags.writeable and np.asarray(x, "float64").dtype == "float64"
    assert x.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]] and x.item(1, 2) == 6


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(kind: str, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    given = np.arange(6).reshape(2, 3).astype(eg.constant(0, dtype=dtype).dtype if dtype != "bfloat16" else "float32")
    x = eg.array(given, dtype=dtype, device=kind)
    assert x.dtype.name == dtype
    s = eg.tensor(dtype, (None, None))
    y = stays([s], eg.concatenate([s, s]), kind)(x)
    assert y.dtype.name == dtype and y.shape == (4, 3)
    np.testing.assert_array_equal(np.asarray(y).astype("complex128"), np.concatenate([given, given]).astype("complex128"))


def test_C1_C2_no_elements_and_no_axes(kind: str) -> None:
    x = eg.vector("x")
    f = stays([x], [x * 2, x.sum()], kind)
    for n in (0, 1, 5):
        y, total = f(ones(kind, n))
        assert y.shape == (n,) and total.shape == () and float(total) == n * (n - 1) / 2
    s = eg.scalar("s")
    g = stays([s, x], x + s, kind)
    np.testing.assert_array_equal(np.asarray(g(total, ones(kind, 3))), np.arange(3) + 10)
    assert eg.array(np.zeros((0, 3), F), device=kind).tolist() == []


def test_numbers_and_lists() -> None:
    for value, dtype in ((1, "int64"), (1.5, F), (True, "bool"), (2j, "complex64")):
        assert eg.array(value, device="numpy").dtype == dtype
    assert eg.array([[1.5, 2], [3, 4]], device="numpy").dtype == F and eg.array([1, 2], device="numpy").dtype == "int64"
    assert eg.array([np.float64(1)], device="numpy").dtype == "float64" and eg.array(1.5, "float64", "numpy").dtype == "float64"
    x = eg.array(2.5, device="numpy")
    assert (float(x), int(x), bool(x), complex(x), f"{x:.2f}") == (2.5, 2, True, 2.5, "2.50")
    assert [10, 20, 30][eg.array(1, device="numpy")] == 20
    with pytest.raises(TypeError):
        [1, 2][x]
    with pytest.raises(TypeError, match="without axes"):
        len(x)


def test_D11_results_go_on_without_a_copy(kind: str) -> None:
    v = eg.vector("v")
    f, g = stays([v], v * 2, kind), stays([v], v + 1, kind)
    x = ones(kind, 1000)
    f(x), g(f(x))
    before = moved(kind)
    y = g(f(f(x)))
    assert isinstance(y, DeviceArray) and y.mapped == (kind != "separate") and moved(kind) == before
    np.testing.assert_array_equal(np.asarray(y), np.arange(1000) * 4 + 1)
    assert moved(kind)[1] - before[1] == (kind == "separate") and np.asarray(y) is not None
    assert moved(kind)[1] - before[1] == (kind == "separate")  # the copy is kept


def test_D11_no_later_call_overwrites_a_result(kind: str) -> None:
    v = eg.vector("v")
    f = stays([v], v * 2, kind)
    x = ones(kind, 3000)
    kept = [f(x)]
    for _ in range(20):
        kept.append(f(kept[-1]))
        f(x)
    for k, y in enumerate(kept):
        np.testing.assert_array_equal(np.asarray(y), np.arange(3000, dtype=F) * np.float32(2) ** (k + 1))
    assert len({place(y) for y in kept}) == len(kept)


def test_D11_the_caller_may_write_to_what_was_copied(kind: str) -> None:
    given = np.arange(4, dtype=F)
    x = eg.array(given, device=kind)
    given[:] = 9
    got = np.array(x)
    got[:] = 7
    np.testing.assert_array_equal(np.asarray(x), np.arange(4))
    with pytest.raises(ValueError):
        np.asarray(x)[0] = 1


def test_D11_results_share_nothing_even_where_they_are_views(kind: str) -> None:
    m = eg.matrix("m")
    c = eg.constant(np.arange(3, dtype=F))
    x = ones(kind, 3, 3)
    same, turned, again, fixed = stays([m], [m, m.T, m, c], kind)(x)
    for y, wanted in ((same, x), (turned, np.asarray(x).T), (again, x), (fixed, np.arange(3))):
        np.testing.assert_array_equal(np.asarray(y), np.asarray(wanted))
    assert len({place(y) for y in (x, same, turned, again)}) == 4


def test_some_outputs_stay(kind: str) -> None:
    v = eg.vector("v")
    x = ones(kind, 5)
    first = eg.compile([v], [v * 2, v + 1], output=["device", "host"], device=kind)(x)
    assert [type(o) for o in first] == [DeviceArray if kind != "separate" else type(first[0]), np.ndarray]
    assert isinstance(first[0], DeviceArray) and first[1].flags.writeable
    named = eg.compile([v], {"a": v * 2, "b": v + 1}, output={"a": "host", "b": "device"}, device=kind)
    found = named(x)
    assert type(found["a"]) is np.ndarray and isinstance(found["b"], DeviceArray)
    np.testing.assert_array_equal(np.asarray(found["b"]), np.arange(5) + 1)
    assert isinstance(named(x, output_subset=["b"])["b"], DeviceArray) and type(named(x, output_subset=["a"])["a"]) is np.ndarray
    assert isinstance(named.copy()(x)["b"], DeviceArray)


@pytest.mark.parametrize("output", ["gpu", ["device"], {"a": "device"}, 3, ["device", None]])
def test_what_output_takes(output: Any) -> None:
    v = eg.vector("v")
    with pytest.raises(GraphError, match="output="):
        eg.compile([v], [v, v + 1], output=output, device="numpy")


def test_mixed_arguments(kind: str) -> None:
    v, w = eg.vector("v"), eg.vector("w")
    f, g = stays([v, w], v + w, kind), eg.compile([v, w], v + w, device=kind)
    x, a = ones(kind, 6), np.ones(6, F)
    for given in ((x, a), (a, x), (x, x), (a, a), (x, [1] * 6), (x, a[::-1]), (a.astype(">f4"), x)):
        wanted = sum(np.asarray(p, F) for p in given)
        for _ in range(2):
            assert type(g(*given)) is np.ndarray
            np.testing.assert_array_equal(g(*given), wanted)
            np.testing.assert_array_equal(np.asarray(f(*given)), wanted)


def test_K4_shared_variables_keep_device_arrays(kind: str) -> None:
    w, v = eg.shared(ones(kind, 50), "w"), eg.vector("v")
    f = stays([v], v * w, kind)
    step = eg.compile([v], w.sum(), updates={w: w + v}, device=kind, output="device")
    x = ones(kind, 50)
    f(x), step(x), f(x)
    before = moved(kind)
    for _ in range(5):
        step(x)
    y = f(w.get_value(return_internal_type=True))
    w.set_value(y)
    z = f(x)
    assert moved(kind) == before
    base = np.arange(50, dtype=F)
    np.testing.assert_array_equal(np.asarray(y), (base * 7) ** 2)
    np.testing.assert_array_equal(np.asarray(z), base * (base * 7) ** 2)
    np.testing.assert_array_equal(w.get_value(), np.asarray(y))
    if y.mapped:
        assert np.shares_memory(w.get_value(borrow=True), np.asarray(y))
        assert np.shares_memory(np.asarray(w.get_value(return_internal_type=True)), np.asarray(y))
    else:
        assert w.get_value(return_internal_type=True) is y


def test_D12_shared_variables_check_dtype_and_rank(kind: str) -> None:
    w = eg.shared(np.zeros(3, F), "w")
    with pytest.raises(CallError, match="float64 device array of shape"):
        w.set_value(ones(kind, 3, dtype="float64"))
    with pytest.raises(CallError, match="device array of shape"):
        w.set_value(ones(kind, 3, 3))
    w.set_value(ones(kind, 7))
    np.testing.assert_array_equal(w.get_value(), np.arange(7))
    got = w.get_value()
    got[:] = 0
    assert w.get_value()[6] == 6 and isinstance(w.get_value(return_internal_type=True), DeviceArray)


def test_borrowed_memory_is_copied_into_shared_variables() -> None:
    mine = np.arange(3, dtype=F)
    x = eg.array(mine, device="pocl", copy=None)
    assert x.borrowed and np.shares_memory(np.asarray(x), mine)
    w, u = eg.shared(np.zeros(3, F)), eg.shared(x)
    w.set_value(x)
    mine[:] = 5
    assert w.get_value().tolist() == [0, 1, 2] and u.get_value().tolist() == [0, 1, 2] and x.tolist() == [5, 5, 5]
    w.set_value(x, borrow=True)
    assert np.shares_memory(w.get_value(borrow=True), mine) and not np.shares_memory(np.asarray(eg.array(x)), mine)
    assert not np.shares_memory(np.asarray(copy.deepcopy(x)), mine)


def test_defaults_of_inputs(kind: str) -> None:
    v = eg.vector("v")
    f = stays([eg.In(v, value=ones(kind, 4))], v * 2, kind)
    np.testing.assert_array_equal(np.asarray(f()), np.arange(4) * 2)
    np.testing.assert_array_equal(np.asarray(f(ones(kind, 2))), np.arange(2) * 2)
    f["v"] = ones(kind, 3)
    np.testing.assert_array_equal(np.asarray(f()), np.arange(3) * 2)


def test_in_expressions(kind: str) -> None:
    x, v = ones(kind, 3), eg.vector("v")
    made = [v + x, x + v, x * v, x - v, np.add(x, v), np.add(v, x), eg.maximum(v, x), x < v, x == v]
    for out, wanted in zip(eg.compile([v], made, device="numpy")(np.ones(3, F)), ([1, 2, 3], [1, 2, 3], [0, 1, 2], [-1, 0, 1], [1, 2, 3],
                                                                                 [1, 2, 3], [1, 1, 2], [1, 0, 0], [0, 1, 0])):
        np.testing.assert_array_equal(out, wanted)
    assert eg.compile([], v, givens={v: x}, device="numpy")().tolist() == [0, 1, 2]


NUMBERS: dict[str, Any] = {
    "bool": bool, "float": float, "int": int, "complex": complex, "index": operator.index, "item": lambda x: x.item(), "len": len,
    "format": lambda x: f"{x:.2f}", "item(0)": lambda x: x.item(0), "item(5)": lambda x: x.item(5), "list": list}
LENIENT = ("float", "int", "complex", "format")
"""What takes one element whatever its axes, as NumPy did for long."""


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("given", [1.5, True, 7, 2j, float("nan"), [2], [[2.5]], [1, 2], [], [[1], [2]]], ids=str)
def test_numbers_of_an_array_are_numpys(name: str, given: Any) -> None:
    """The same value, or an error of the same class with the line of the user's."""
    host, act = np.asarray(given, F if given == [] else None), NUMBERS[name]
    x = eg.array(host, device="numpy")
    try:
        wanted = act(host.reshape(()) if host.size == 1 and name in LENIENT else host)
    except (TypeError, ValueError, IndexError) as error:
        with pytest.raises((TypeError, ValueError, IndexError)) as caught:
            act(x)
        assert isinstance(caught.value, type(error))
        assert host.size == 1 or name == "item(5)" or name.startswith("item(0") or "test_device_arrays.py:" in str(caught.value)
        return
    if name == "list":
        with pytest.raises(UseError, match="iteration"):  # NumPy would wait for each element
            list(x)
    else:
        np.testing.assert_equal(act(x), wanted)
        assert type(act(x)) is type(wanted)


ALONE: dict[str, Any] = {
    "x + y": lambda x: x + x, "x + 1": lambda x: x + 1, "1 - x": lambda x: 1 - x, "array * x": lambda x: np.ones(3, F) * x,
    "np.exp": lambda x: np.exp(x), "np.add.reduce": lambda x: np.add.reduce(x), "x == y": lambda x: x == x, "-x": lambda x: -x,
    "x[0]": lambda x: x[0], "x[0] = 1": lambda x: x.__setitem__(0, 1), "iteration": list, "in": lambda x: 1 in x, "x @ y": lambda x: x @ x}


@pytest.mark.parametrize("name", ALONE)
def test_what_is_not_computed_with_says_what_to_write(name: str) -> None:
    x = eg.array(np.arange(3, dtype=F), device="pocl")
    with pytest.raises(UseError, match=r"np\.asarray\(x\)\n  at .*test_device_arrays.py"):
        ALONE[name](x)


@pytest.mark.parametrize("given", [np.ones(3), np.ones((3, 3), F), np.ones(3, "complex64"), np.ones(3, "int64")], ids=str)
def test_wrong_types_read_as_those_of_host_arrays(kind: str, given: Any) -> None:
    v = eg.vector("v")
    f = stays([v], v * 2, kind)
    f(ones(kind, 3))
    with pytest.raises(CallError) as host:
        f(given)
    with pytest.raises(CallError) as device:
        f(eg.array(given, device=kind))
    said = str(device.value).replace(" device array", " array").replace(f"exprgraph.array(x, {F!r})", f".astype({F!r})")
    assert said.split("\n")[0] == str(host.value).split("\n")[0] and "test_device_arrays.py" in said
    np.testing.assert_array_equal(np.asarray(f(ones(kind, 3))), [0, 2, 4])


def test_casts_that_are_allowed(kind: str) -> None:
    v = eg.vector("v")
    f = stays([v], v * 2, kind, allow_input_downcast=True)
    np.testing.assert_array_equal(np.asarray(f(ones(kind, 3, dtype="float64"))), [0, 2, 4])
    g = stays([eg.In(v, strict=True)], v * 2, kind)
    with pytest.raises(CallError, match="strict"):
        g(ones(kind, 3, dtype="int8"))
    np.testing.assert_array_equal(np.asarray(g(ones(kind, 3))), [0, 2, 4])
    h = stays([v], v * 2, kind)
    np.testing.assert_array_equal(np.asarray(h(ones(kind, 3, dtype="int8"))), [0, 2, 4])
    h.trust_input = True
    for _ in range(3):
        np.testing.assert_array_equal(np.asarray(h(ones(kind, 3))), [0, 2, 4])


def test_sizes_that_do_not_fit(kind: str) -> None:
    a, b = eg.vector("a"), eg.vector("b")
    f = stays([a, b], a * b, kind)
    f(ones(kind, 3), ones(kind, 3))
    with pytest.raises(ShapeError):
        f(ones(kind, 3), ones(kind, 4))
    np.testing.assert_array_equal(np.asarray(f(ones(kind, 3), ones(kind, 1))), [0, 0, 0])


def test_C6_layouts_that_come_in(kind: str) -> None:
    base = np.arange(24, dtype=F).reshape(4, 6)
    frozen = base.copy()
    frozen.flags.writeable = False
    record = np.zeros((4, 6), np.dtype([("tag", "u1"), ("v", "<f4")]))
    record["v"] = base
    kinds = {"reversed": base[::-1, ::-1], "turned": base.T, "steps": base[::2, 1::2], "big": base.astype(">f4"), "frozen": frozen,
             "repeated": np.broadcast_to(base[0], (3, 6)), "misaligned": record["v"]}
    m = eg.matrix("m")
    f = stays([m], m + 1, kind)
    for name, given in kinds.items():
        for how in (True, None):
            x = eg.array(given, device=kind, copy=how)
            assert x.dtype == np.dtype(F) and x.dtype.isnative, name
            np.testing.assert_array_equal(np.asarray(f(x)), given + 1, err_msg=name)
    with pytest.raises(ValueError, match="copy=False"):
        eg.array(base.T, device=kind, copy=False)


WRONG: dict[str, Any] = {
    "object": (np.array([1, None]), DTypeError), "text": (np.array(["a"]), DTypeError), "a text": ("abc", DTypeError),
    "nothing": (None, CallError), "ragged": ([[1], [1, 2]], CallError), "masked": (np.ma.masked_array([1, 2], [0, 1]), CallError),
    "dates": (np.array(["2020-01-01"], "datetime64[D]"), DTypeError), "a symbol": (eg.vector("v"), UseError),
    "a list of symbols": ([eg.vector("v")], UseError), "long double": (np.ones(2, "longdouble"), DTypeError), "a set": ({1}, DTypeError)}


@pytest.mark.parametrize("name", WRONG)
def test_C7_what_is_no_array(name: str) -> None:
    value, error = WRONG[name]
    with pytest.raises(error, match="test_device_arrays.py"):
        eg.array(value, device="numpy")


def test_arrays_of_another_device(own: str) -> None:
    v = eg.vector("v")
    there, here_, host = stays([v], v * 2, own), stays([v], v * 2, "pocl"), stays([v], v * 2, "numpy")
    for x in (ones(own, 4), ones("pocl", 4), ones("numpy", 4)):
        for f in (there, here_, host, there):
            np.testing.assert_array_equal(np.asarray(f(x)), np.arange(4) * 2)
    x = ones("pocl", 4)
    assert np.shares_memory(np.asarray(eg.array(x, device="numpy")), np.asarray(x))
    moved_ = eg.array(x, device=own)
    assert not moved_.mapped and eg.array(moved_, device="pocl").mapped and eg.array(moved_, device=own) is moved_
    with pytest.raises(ValueError, match="copy=False"):
        eg.array(x, device=own, copy=False)
    with pytest.raises(DeviceError):
        eg.array([1.0], device="no such device")


def test_pickles_and_copies_have_the_values(kind: str) -> None:
    x = ones(kind, 3, 2)
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), x.copy()):
        assert y.shape == (3, 2) and place(y) != place(x)
        np.testing.assert_array_equal(np.asarray(y), np.asarray(x))
    assert copy.copy(x) is x


def test_a_pickle_of_a_device_that_is_gone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert resident._restored(np.ones(2, F), "no such device").tolist() == [1, 1]


def test_F3_a_forked_child_makes_no_arrays_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been computed in memory of NumPy's it may read."""
    x = ones("pocl", 3)
    monkeypatch.setattr(devices, "FORKED", [True])
    monkeypatch.setattr(devices._found, "pid", -1)
    with pytest.raises(DeviceError, match="forked"):
        eg.array([1.0], device="pocl")
    assert x.tolist() == [0, 1, 2]


def test_hash_is_that_of_identity() -> None:
    x, y = ones("numpy", 2), ones("numpy", 2)
    assert {x: 1, y: 2}[x] == 1


def test_sizes_that_values_decide(kind: str) -> None:
    v = eg.vector("v")
    f = stays([v], [v[eg.nonzero(v > 1)[0]], v.sum()], kind)
    kept, total = f(ones(kind, 5))
    assert isinstance(kept, DeviceArray) and isinstance(total, DeviceArray)
    assert kept.tolist() == [2, 3, 4] and float(total) == 10


def test_prints_and_own_functions(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    v = eg.vector("v")

    @eg.as_op(itypes=[eg.vector], otypes=[eg.vector])
    def doubled(a: Any) -> Any:
        return a * 2
    f = stays([v], doubled(eg.Print("seen")(v)), kind)
    assert f(ones(kind, 3)).tolist() == [0, 2, 4] and "seen" in capsys.readouterr().out


def test_D1_without_OpenCL_arrays_are_NumPys(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(spec: str) -> Any:
        raise NoDeviceError(f"no OpenCL platform was found: {backend.CURE}")
    monkeypatch.setattr(arrays, "choose", none)
    monkeypatch.setattr(backend, "_warned", [])
    with pytest.warns(RuntimeWarning, match="no OpenCL device"):
        x = eg.array([1.0, 2.0], device="auto")
    assert x.device == "numpy" and eg.array(x, device="auto").tolist() == [1, 2]
    with pytest.raises(DeviceError, match="not available"):
        eg.array([1.0], device="gpu")


def test_D3_no_memory_for_an_array(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Any, size: int) -> Any:
        raise cl.MemoryError("injected")
    with monkeypatch.context() as patch:
        patch.setattr(memory.Buffers, "take", failing)
        with pytest.raises(eg.AllocationError, match="injected"):
            ones(own, 100)
    assert ones(own, 2).tolist() == [0, 1]


def test_D14_many_calls_keep_nothing(kind: str) -> None:
    v = eg.vector("v")
    f, x, y = stays([v], v + 1, kind), ones(kind, 100), ones(kind, 100)
    f(x).wait()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(2000):
        y = f(y)
    y.wait()
    gc.collect()
    assert float(y.item(0)) == 2000 and len(gc.get_objects()) < before + 1000


@pytest.mark.parametrize("output", ["device", ["device", "host"]])
def test_calls_that_are_known_take_the_short_way(kind: str, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    v, w = eg.vector("v"), eg.shared(np.ones(3, F))
    f = eg.compile([v], [v * w, v.sum()], output=output, device=kind)
    x, y = ones(kind, 3), np.ones(3, F)
    for given in (x, x, y, y):
        f(given)
    if kind != "numpy":
        monkeypatch.setattr(type(f), "_general", lambda *args: pytest.fail("all of it was looked at"))
    for given in (x, x, y, x):
        assert np.asarray(f(given)[0]).tolist() == np.asarray(given).tolist()


def test_the_line_is_the_users_where_numpy_hands_an_array_on() -> None:
    x = eg.array(np.ones(3, "f"), device="numpy")
    with pytest.raises(eg.UseError, match=rf"np\.maximum.*\n  at {re.escape(__file__)}:"):
        np.max(x)
