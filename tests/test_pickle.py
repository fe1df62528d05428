"""Pickles: functions come back in other processes and compute the same, once compiled; symbols keep what ties them together."""
from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
import pickletools
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import backend
from exprgraph.graph import order
from runtime import program
from tests import pickled_work

F = np.float32
ROOT = Path(__file__).parent.parent
RAW = "__kernel void twice(__global const float *x, __global float *y) { int i = get_global_id(0); y[i] = 2 * x[i]; }"


def cases() -> dict[str, tuple[Any, list[Any]]]:
    """Functions of all kinds, with arguments."""
    x, y, k, z = eg.vector("x"), eg.vector("y"), eg.scalar("k"), eg.tensor("z", "complex64", (None,))
    v, w, other, more = F([3, -1, 2]), eg.shared(F([1, 2, 3]), "w"), eg.shared(F([5, 5, 5]), "other"), x + 1
    counted = eg.compile([x], w.sum() + x, updates={w: w + x})
    raw = eg.RawKernel(RAW, outputs={"y": "x"}, numpy=pickled_work.doubled)
    fold = eg.ReductionKernel("float32", 0, "a + b * (a < 100)", arguments="float *x", reduce_numpy=None)
    axpy = eg.ElementwiseKernel("T x, T y", "z = 2 * x + y", outputs="T z", grad={"x": "2 * g"})
    inside = eg.checkpoint(lambda t: eg.tanh(t) * w)
    return {
        "plain": (eg.compile([x], eg.softmax(x) * 2), [v]), "updates": (counted, [v]), "moved": (counted.copy(swap={w: other}), [v]),
        "givens": (eg.compile([y], x * x, givens={x: y + 1}), [v]),
        "defaults": (eg.compile([x, eg.In(k, value=2, update=k + 1, name="rate")], x * k), [v]),
        "dict": (eg.compile([x], {"a": x + 1, "b": x.sum()}), [v]), "none": (eg.compile([], None, updates={w: w + 1}), []),
        "complex": (eg.compile([z], [z * z.conj() + 1j, eg.exp(z)]), [np.array([1 + 2j, -1j], "complex64")]),
        "staged": (eg.compile([x], (eg.unique(x), eg.sort(x[eg.nonzero(x)[0]]))), [v]),
        "numpy": (eg.compile([x], eg.exp(x) + w, device="numpy"), [v]),
        "index": (eg.compile([x], x[eg.argsort(x)][::-1]), [v]), "computed": (eg.compile([more], more * 2), [v]),
        "body": (eg.compile([x], [inside(x), eg.grad(inside(x).sum(), x)]), [v]),
        "as_op": (eg.compile([x, y], pickled_work.rolled(x, y) * 2), [v, v]), "sizes": (eg.compile([x], pickled_work.positive(x)), [v]),
        "raw": (eg.compile([x], raw(x) + 1), [v]), "elementwise": (eg.compile([x, y], [axpy(x, y), eg.grad(axpy(x, y).sum(), x)]), [v, v]),
        "fold": (eg.compile([x], fold(x) * 2), [v]), "on numpy": (eg.compile([x], raw(x), device="numpy"), [v]),
        "print": (eg.compile([x], eg.Print("p", ("shape",))(x) + eg.Print("q", global_fn=pickled_work.printed)(x * 2)), [v])}


def same(a: Any, b: Any) -> None:
    """Results of one form with equal values."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = list(a.values()), list(b.values())
    for one, other in zip(*(r if isinstance(r, list | tuple) else [r] for r in (a, b)), strict=True):
        if one is not None or other is not None:
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_F4_functions_of_all_kinds_in_a_fresh_process(tmp_path: Path) -> None:
    """Pickled together, so variables that they share are shared there too: what the calls of one update the next one sees."""
    given = cases()
    (tmp_path / "given").write_bytes(pickle.dumps(given))
    done = subprocess.run([sys.executable, "-m", "tests.pickled_work", str(tmp_path / "given"), str(tmp_path / "found")], cwd=ROOT,
                          capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("p shape = (3,)") == 2 and done.stdout.count("seen q [") == 2
    found = pickle.loads((tmp_path / "found").read_bytes())
    for name, (f, args) in given.items():
        for result in found[name]:
            same(f(*args), result)


def test_F4_one_process_compiles_a_recipe_once() -> None:
    """Unpickled twice, copied, and beside the original: one executable, and values of its own for each."""
    x, w = eg.vector("x"), eg.shared(F([1, 2]), "w")
    f = eg.compile([x], x * w, updates={w: w + 1}, name="f")
    text = pickle.dumps(f)
    before = program.built()
    g, h, d = pickle.loads(text), pickle.loads(text), copy.deepcopy(f)
    assert program.built() == before and f._run is g._run is h._run is d._run
    g([1, 1])
    assert [list(t["w"]) for t in (f, g, h, d)] == [[1, 2], [2, 3], [1, 2], [1, 2]]
    assert str(g) == str(f) and g.outputs[0].name is None and g({g.inputs[0]: [0, 0]}).tolist() == [0, 0]
    other = eg.compile([x], x * w, updates={w: w + 1}, name="g")
    assert pickle.loads(pickle.dumps(other))._run is not f._run  # messages would have the wrong name


def test_what_two_objects_of_one_pickle_share_they_share_afterwards() -> None:
    x, w = eg.vector("x"), eg.shared(F([1, 2]), "w")
    y = x * w
    f, g = eg.compile([x], y, updates={w: w * 2}, device="numpy"), eg.compile([], w + 1, device="numpy")
    f2, g2, x2, y2, w2 = pickle.loads(pickle.dumps((f, g, x, y, w)))
    f2([1, 1])
    assert g2().tolist() == [3, 5] and w2.get_value().tolist() == [2, 4] and g().tolist() == [2, 3]
    assert y2.node.inputs[0].node is x2.node and y2.node.inputs[1].node is w2.node and f2({x2: [1, 1]}).tolist() == [2, 4]
    assert f2.get_shared()[0].node is w2.node


def test_symbols_and_graphs_come_back() -> None:
    x, w = eg.matrix("x"), eg.shared(F([1, 2]), "w")
    w.default_update = w + 1
    y = eg.log(x @ w + eg.constant(F([1.5]))).sum()
    y.name = "cost"
    graph = pickle.loads(pickle.dumps(eg.Graph((x,), (y, eg.grad(y, x)))))
    (x2,), (y2, slope) = graph
    assert (x2.name, y2.name, str(x2.type)) == ("x", "cost", str(x.type)) and isinstance(pickle.loads(pickle.dumps(w)), eg.Shared)
    values = np.ones((2, 2), F)
    want = eg.compile([x], [y, eg.grad(y, x)], device="numpy", no_default_updates=True)(values)
    got = eg.compile([x2], [y2, slope], device="numpy")(values)
    same(got, want)
    w2 = next(n for n in order([y2]) if n.op.name == "shared")
    assert eg.Shared(w2).get_value().tolist() == [2, 3] and "test_pickle.py" in str(y2.node.source)  # its default update came along


def test_B4_deep_graphs_pickle() -> None:
    x = y = eg.vector("x")
    for _ in range(3000):
        y = y + 1
    again = pickle.loads(pickle.dumps(y))
    assert len(list(eg.io_toposort([], [again]))) >= 3000 and copy.deepcopy(y).node is not y.node and copy.copy(x).node is x.node


def test_unpickling_never_fails_for_want_of_a_device_but_the_call_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools wait for ever for a task that could not be unpickled.  The next call tries again."""
    x, build = eg.vector("x"), backend.build
    text = pickle.dumps(eg.compile([x], x * 12.5))

    def broken(*args: Any) -> Any:
        raise eg.DeviceError("there is none")
    monkeypatch.setattr(backend, "build", broken)
    f = pickle.loads(text)
    for act in (lambda: f([1]), f.wait, f.warm, f.source):
        with pytest.raises(eg.DeviceError, match="there is none"):
            act()
    assert not f.ready
    monkeypatch.setattr(backend, "build", build)
    assert f([2]).tolist() == [25] and f.ready and f._run is pickle.loads(text)._run


def test_without_values() -> None:
    """Large values stay behind; a call says so until they are set; functions that share a variable do so afterwards."""
    x, w = eg.vector("x"), eg.shared(np.zeros(100_000, F), "w")
    f, g = eg.compile([x], x * w, updates={w: w + 1}), eg.compile([], w.sum(), device="numpy")
    text = pickle.dumps((f.without_values(), g.without_values()))
    assert len(text) < 5000 < 400_000 < len(pickle.dumps(f))
    f2, g2 = pickle.loads(text)
    assert f2._run is f._run
    for call in (lambda: f2([1, 2]), g2, lambda: f2["w"]):
        with pytest.raises(eg.CallError, match=r"'w' has no value(.|\n)*test_pickle.py"):
            call()
    f2["w"] = F([3, 4])
    assert f2([1, 2]).tolist() == [3, 8] and g2() == 9 and w.get_value().sum() == 0
    with pytest.raises(TypeError, match="float32"):
        f.without_values()["w"] = np.ones((2, 2))


def test_H4_a_pickle_holds_no_binaries() -> None:
    """Its globals are those that rebuild a graph and NumPy's for arrays, its bytes those of the values."""
    for f, _ in cases().values():
        text = pickle.dumps(f, 2)
        words = [(op.name, arg) for op, arg, _ in pickletools.genops(text)]
        found = {str(arg) for name, arg in words if name == "GLOBAL"}
        allowed = ("exprgraph.pickled ", "numpy", "exprgraph.own.", "tests.pickled_work", "_codecs encode", "builtins", "exprgraph.errors")
        assert found and all(name.startswith(allowed) for name in found), found
        assert "elf" not in {str(arg)[1:4].lower() for name, arg in words if "STRING" in name or "UNICODE" in name}
        assert len(text) < 20_000


def refused() -> list[tuple[Any, str]]:
    x, m = eg.vector("x"), eg.matrix("m")
    local = eg.as_op([eg.fvector], [eg.fvector], infer_shape=lambda n, s: s)(lambda a: a)
    ruled = eg.custom_gradient(lambda t: (t * 2, lambda g: g))
    return [(eg.compile([x], local(x)), r"<lambda> cannot be pickled: (.|\n)*top level"), (local, "top level"),
            (ruled(x), "gradient is a rule of yours"), (eg.exp.changed(name="own")(x), "own is no row"),
            (eg.compile([x], eg.Print("m", global_fn=lambda p, v: None)(x)), r"Print\('m'\) has no name"),
            (eg.vmap(pickled_work.rolled)(m, m), "rolled of each lane is no row"),
            (eg.Print("m", global_fn=lambda p, v: None)(x), "global_fn")]


@pytest.mark.parametrize("case", range(7))
def test_what_cannot_be_pickled_says_why(case: int) -> None:
    thing, message = refused()[case]
    with pytest.raises(eg.GraphError, match=message) as caught:
        pickle.dumps(thing)
    assert "test_pickle.py" in str(caught.value)


def test_functions_without_a_name_stay_behind_and_say_so() -> None:
    """The text of a kernel is enough for a device; NumPy's meaning, and rules, are missed when they are asked for."""
    x = eg.vector("x")
    raw = eg.RawKernel(RAW, outputs={"y": "x"}, numpy=lambda a: 2 * a)
    g = eg.compile([x], raw(x), device="numpy")
    f = pickle.loads(pickle.dumps(g))
    assert pickle.loads(pickle.dumps(raw)).name == "twice"
    x2, y = pickle.loads(pickle.dumps((x, raw(x))))
    assert eg.compile([x2], y)(F([1, 2])).tolist() == f([1, 2]).tolist() == [2, 4]  # f runs what g does
    stand_in = pickle.loads(pickle.dumps(raw))
    with pytest.raises(eg.OwnOpError, match=r"numpy= of twice is .*<lambda>, which stayed behind(.|\n)*test_pickle.py"):
        eg.compile([x], stand_in(x), device="numpy")([1])


def test_another_version_is_refused() -> None:
    x = eg.vector("x")
    text = pickle.dumps(eg.compile([x], x + 41, device="numpy"), 0)
    assert text.count(b'"version": 2') == 1
    with pytest.raises(eg.GraphError, match="another version"):
        pickle.loads(text.replace(b'"version": 2', b'"version": 7'))


def test_F4_pools_of_processes() -> None:
    """concurrent.futures and multiprocessing with spawn; a process compiles once, however often it is sent a function."""
    x, w = eg.vector("x"), eg.shared(F(2), "w")
    f, g = eg.compile([x], eg.tanh(x * w) + 1, updates={w: w + 1}), eg.compile([], w * 1)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        found = list(pool.map(pickled_work.called, [f] * 4, [F([k]) for k in range(4)]))
        assert pool.submit(pickled_work.executables).result() == 1
        assert pool.submit(pickled_work.shared_by_two, (f, g, F([0]))).result() == 3
    np.testing.assert_allclose(np.ravel(found), np.tanh(np.arange(4) * 2) + 1, rtol=1e-6)
    with spawn.Pool(1) as pool:
        assert pool.map(f, [F([0])] * 2)[0].tolist() == [1]


def test_F4_joblib_and_dask() -> None:
    joblib = pytest.importorskip("joblib")
    x = eg.vector("x")
    f = eg.compile([x], x * 3)
    assert [int(r[0]) for r in joblib.Parallel(n_jobs=2)(joblib.delayed(f)(F([k])) for k in range(3))] == [0, 3, 6]
    dask = pytest.importorskip("dask")
    assert dask.compute(*[dask.delayed(f)(F([k])) for k in range(2)], scheduler="processes", num_workers=1)[1].tolist() == [3]
    assert pickle.Unpickler(io.BytesIO(pickle.dumps(f))).load()([1]).tolist() == [3]
