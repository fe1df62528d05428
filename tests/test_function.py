"""compile() and the functions it makes: forms of inputs and outputs, updates, givens, defaults, what arguments are accepted."""
from __future__ import annotations

import gc
import sys
import threading
import time
import types
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import backend

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend
F = np.float32


def one() -> tuple[Any, Any]:
    x, y = eg.vector("x"), eg.vector("y")
    return x, y


# ---- outputs -------------------------------------------------------------------------------------------------------------------

FORMS = [
    ("symbol", lambda a, b: a, lambda r: isinstance(r, np.ndarray) and r.tolist() == [2.0, 4.0]),
    ("list", lambda a, b: [a, b], lambda r: isinstance(r, list) and [v.tolist() for v in r] == [[2.0, 4.0], [3.0, 6.0]]),
    ("tuple", lambda a, b: (a, b), lambda r: isinstance(r, tuple) and len(r) == 2),
    ("dict", lambda a, b: {"a": a, "b": b}, lambda r: list(r) == ["a", "b"] and r["b"].tolist() == [3.0, 6.0]),
    ("none", lambda a, b: None, lambda r: r is None),
    ("empty list", lambda a, b: [], lambda r: r == []),
    ("number", lambda a, b: 3.5, lambda r: r.shape == () and float(r) == 3.5),
    ("Out", lambda a, b: [eg.Out(a, borrow=True)], lambda r: r[0].tolist() == [2.0, 4.0]),
    ("twice", lambda a, b: [a, a], lambda r: not np.shares_memory(r[0], r[1])),
]


@pytest.mark.parametrize(("form", "right"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS])
def test_forms_of_outputs(form: Any, right: Any) -> None:
    x = eg.vector("x")
    f = eg.compile([x], form(x * 2, x * 3), on_unused_input="ignore")
    assert right(f(np.array([1, 2], F)))


def test_single_symbol_as_inputs_and_0d_results() -> None:
    x = eg.scalar("x")
    result = eg.compile(x, x + 1)(2)
    assert isinstance(result, np.ndarray) and result.shape == () and result.dtype == F and result == 3


# ---- calls ---------------------------------------------------------------------------------------------------------------------

def test_call_by_position_name_and_symbol() -> None:
    x, y = eg.scalar("x"), eg.scalar("y")
    f = eg.compile([x, y], x - y)
    calls = [f(5, 2), f(x=5, y=2), f(5, y=2), f({x: 5, y: 2}), f({y: 2, x: 5}), f({x: 5}, y=2), f({"x": 5, "y": 2})]
    assert [float(c) for c in calls] == [3.0] * len(calls)


def test_in_defaults_names_and_container() -> None:
    x, y = eg.scalar("x"), eg.scalar("y")
    f = eg.compile([x, eg.In(y, name="step", value=2)], x - y)
    assert f(5) == 3 and f(5, 1) == 4 and f(5, step=0) == 5 and f(5) == 3
    assert f["step"] == 2
    f[y] = 4
    assert f(5) == 1


def test_in_update_carries_state() -> None:
    x, total = eg.scalar("x"), eg.scalar("total")
    f = eg.compile([x, eg.In(total, value=0, update=total + x)], total)
    assert [float(f(v)) for v in (1, 2, 3)] == [0.0, 1.0, 3.0] and f["total"] == 6
    assert f(1, 100) == 100 and f["total"] == 101


def test_shared_default_and_implicit() -> None:
    x, y = eg.scalar("x"), eg.scalar("y")
    s = eg.shared(np.float32(10), name="s")
    f = eg.compile([x, eg.In(y, value=s, implicit=True)], x + y)
    assert f(1) == 11
    s.set_value(20)
    assert f(1) == 21
    with pytest.raises(eg.CallError, match="1 argument is taken, 2 were given"):
        f(1, 2)


def test_computed_symbol_as_input() -> None:
    x = eg.vector("x")
    middle = x * 2
    middle.name = "middle"
    f = eg.compile([middle], middle + 1)
    assert f(middle=np.array([1, 2], F)).tolist() == [2.0, 3.0]
    assert f({middle: [1, 2]}).tolist() == [2.0, 3.0]


# ---- updates and givens ----------------------------------------------------------------------------------------------------------

def test_A25_updates_see_old_values() -> None:
    a, b = eg.shared(np.array([1, 2], F), "a"), eg.shared(np.array([3, 4], F), "b")
    f = eg.compile([], [a, b], updates=[(a, b), (b, a + b)])
    assert [v.tolist() for v in f()] == [[1, 2], [3, 4]]
    assert a.get_value().tolist() == [3, 4] and b.get_value().tolist() == [4, 6]
    eg.compile([], updates={a: b, b: a})()
    assert a.get_value().tolist() == [4, 6] and b.get_value().tolist() == [3, 4]


def test_updates_of_numbers_are_weak() -> None:
    w, n = eg.shared(np.float32(5), "w"), eg.shared(3, "n")
    eg.compile([], updates={w: 2, n: n + 1})()
    assert w.get_value() == 2 and w.get_value().dtype == F and n.get_value() == 4 and n.get_value().dtype == np.int64


def test_D9_failed_call_changes_nothing() -> None:
    x, w, n = eg.vector("x"), eg.shared(np.ones(3, F), "w"), eg.shared(0, "n")
    f = eg.compile([x], w.sum(), updates={n: n + 1, w: w + x})
    with pytest.raises(eg.ShapeError, match=r"4 and 3|3 and 4"):
        f(np.ones(4, F))
    assert n.get_value() == 0 and w.get_value().tolist() == [1, 1, 1]
    f(np.ones(3, F))
    assert n.get_value() == 1 and w.get_value().tolist() == [2, 2, 2]


def test_D9_failed_backend_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    n = eg.shared(0, "n")
    f = eg.compile([], n, updates={n: n + 1})

    def broken(*values: Any) -> Any:
        raise MemoryError("no more")
    broken.quick = broken  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(f, "_run", broken)
        with pytest.raises(MemoryError):
            f()
    assert f() == 0 and n.get_value() == 1


def test_default_updates() -> None:
    c, d = eg.shared(0, "c"), eg.shared(100, "d")
    c.default_update = c + d
    d.default_update = d + 1
    f = eg.compile([], c)
    assert [int(f()) for _ in range(3)] == [0, 100, 201] and d.get_value() == 103
    c.set_value(0)
    assert int(eg.compile([], c, no_default_updates=True)()) == 0 and c.get_value() == 0
    eg.compile([], c, no_default_updates=[c])()
    assert c.get_value() == 0 and d.get_value() == 103
    eg.compile([], c, updates={c: c - 1})()
    assert c.get_value() == -1


def test_givens_replace_in_outputs_and_updates() -> None:
    x, i = eg.vector("x"), eg.scalar("i")
    data, total = eg.shared(np.array([1, 2, 3], F), "data"), eg.shared(np.float32(0), "total")
    f = eg.compile([i], x.sum(), givens={x: data * i}, updates={total: total + x.sum()})
    assert f(2) == 12 and total.get_value() == 12


def test_givens_are_independent_of_each_other() -> None:
    x, y = eg.scalar("x"), eg.scalar("y")
    assert eg.compile([x, y], x - y, givens=[(x, y), (y, x)])(5, 2) == -3
    assert eg.compile([x], x, givens={x: x * 2})(4) == 8
    assert eg.compile([], x + 1, givens={x: 2})() == 3
    assert eg.compile([x], x * 3, givens={eg.scalar("z"): x}, on_unused_input="ignore")(1) == 3


def test_givens_of_a_computed_symbol() -> None:
    x = eg.vector("x")
    middle = x * 2
    assert eg.compile([x], middle + 1, givens={middle: x})(np.array([1, 2], F)).tolist() == [2, 3]


# ---- aliasing, sharing, threads ----------------------------------------------------------------------------------------------------

def test_D11_results_alias_nothing() -> None:
    x, w = eg.vector("x"), eg.shared(np.array([1, 2], F), "w")
    constant = eg.constant(np.array([5, 6], F))
    f = eg.compile([x], [x, w, constant, x.reshape((2, 1))])
    value = np.array([3, 4], F)
    first = f(value)
    for result in first:
        assert result.flags.writeable
        result[...] = -1
    assert value.tolist() == [3, 4] and w.get_value().tolist() == [1, 2]
    assert [r.ravel().tolist() for r in f(value)] == [[3, 4], [1, 2], [5, 6], [3, 4]]


def test_D11_a_result_that_is_an_updated_value_is_the_callers_own() -> None:
    w = eg.shared(np.array([1, 2], F), "w")
    new = w + 1
    result = eg.compile([], new, updates={w: new})()
    result[...] = 0
    assert w.get_value().tolist() == [2, 3]


def test_F1_updates_from_threads_are_not_lost() -> None:
    n = eg.shared(0, "n")
    f = eg.compile([], updates={n: n + 1})
    threads = [threading.Thread(target=lambda: [f() for _ in range(50)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert n.get_value() == 200


def test_functions_and_graphs_are_collected() -> None:
    s = eg.shared(0.0, "s")
    s.default_update = s + 1
    f = eg.compile([], s)
    f()
    gone = [weakref.ref(f), weakref.ref(s.node)]
    del f, s
    gc.collect()
    assert [g() for g in gone] == [None, None]


# ---- looking at functions, eval, options ---------------------------------------------------------------------------------------------

def test_looking_at_a_function() -> None:
    x, w = eg.matrix("x"), eg.shared(np.float32(1), "w")
    f = eg.compile([x, eg.In(eg.scalar("lr"), value=0.1)], x.sum(), updates={w: 2}, name="train", on_unused_input="ignore")
    assert f.name == "train" and f.inputs[0] is x and len(f.outputs) == 1 and len(f.graph.outputs) == 2
    assert "train(x: float32(?, ?), lr: float32() = ...) -> 1 output and 1 update" in repr(f)
    assert f(np.ones((2, 3), F)) == 6
    assert f.source() and f.why()
    f.warm()


def test_eval_compiles_once_per_expression() -> None:
    x = eg.vector("x")
    y = (x * 2).sum()
    assert y.eval({x: [1, 2]}) == 6 and y.eval({x: [1, 2, 3]}) == 12
    assert len(y.tag.functions) == 1
    assert eg.constant(3).eval() == 3


def test_function_is_compile_in_the_order_of_theano() -> None:
    x, w = eg.scalar("x"), eg.shared(np.float32(0), "w")
    f = eg.function([x], x + 1, "FAST_COMPILE", {w: w + x}, {}, False, name="f")
    assert f(2) == 3 and w.get_value() == 2 and f.name == "f"


@pytest.mark.parametrize("optimizer", ["full", "none"])
def test_a_chain_of_100000_nodes_compiles(optimizer: str) -> None:
    x = eg.scalar("x")
    y = x
    for _ in range(20000 if optimizer == "full" else 100000):
        y = -y
    assert eg.compile([x], y, optimizer=optimizer, device="numpy")(3) == 3


@pytest.mark.parametrize("start", [lambda x: x.sum(), lambda x: x.astype("int64").sum(), lambda x: x.shape[0]],
                         ids=["float", "int", "size"])
def test_the_time_to_compile_a_chain_of_scalars_is_linear(start: Any) -> None:
    """Whether a scalar is a size is asked of every node, and answered from what is known of its inputs."""
    x = eg.vector("x")
    y = start(x)
    for k in range(10_000):
        y = y * 1 if k % 2 else -y
    begun = time.perf_counter()
    assert eg.compile([x], y, device="numpy")(F([1, 1])) == 2
    assert time.perf_counter() - begun < 60


def test_on_unused_input_warns() -> None:
    x, y = eg.scalar("x"), eg.scalar("y")
    with pytest.warns(UserWarning, match="'y' is used by no output"):
        f = eg.compile([x, y], x, on_unused_input="warn")
    assert f(1, 2) == 1


# ---- devices --------------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def no_opencl(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(program: Any) -> Any:
        raise eg.errors.NoDeviceError(f"pyopencl cannot be imported (stand-in): {backend.CURE}")
    monkeypatch.setattr(backend, "_warned", [])
    monkeypatch.setattr(backend, "resolve", lambda path, real=backend.resolve: build if path.startswith("runtime") else real(path))


def test_D1_auto_falls_back_with_one_warning(no_opencl: None) -> None:
    x = eg.scalar("x")
    with pytest.warns(RuntimeWarning, match="pip install pyopencl pocl-binary-distribution"):
        f = eg.compile([x], x + 1, device="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g = eg.compile([x], x + 2, device="auto")
    assert (f(1), g(1)) == (2, 3) and f.device == "numpy"


@pytest.mark.parametrize("device_name", ["gpu", "cpu", "0:0"])
def test_D1_an_explicit_device_never_falls_back(no_opencl: None, device_name: str) -> None:
    x = eg.scalar("x")
    with pytest.raises(eg.DeviceError, match=r"(?s)pip install.*test_function\.py"):
        eg.compile([x], x + 1, device=device_name)


def test_D1_other_faults_of_a_device_are_not_papered_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(program: Any) -> Any:
        raise eg.DeviceError("the device was lost")
    monkeypatch.setattr(backend, "resolve", lambda path: build)
    with pytest.raises(eg.DeviceError, match="lost"):
        eg.compile([], eg.constant(1), device="auto")


def test_a_strange_runtime_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = types.ModuleType("runtime")
    stranger.__path__ = ["/somewhere/else/runtime"]
    monkeypatch.setitem(sys.modules, "runtime", stranger)
    with pytest.raises(ImportError, match="another package called 'runtime' was found at /somewhere/else/runtime"):
        backend.resolve(backend.BACKENDS["opencl"])
