"""f.memory: what it says is what a call takes, on memory that NumPy shares, on memory of its own, and on the NumPy backend."""
from __future__ import annotations

import gc
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import CallError, ShapeError
from exprgraph.footprint import KINDS, Footprint
from runtime import function, memory
from runtime.device import session
from tests.hand_plans import separate

F = "float32"


@pytest.fixture(params=["shared", "own"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """PoCL on NumPy's memory, and as a device with memory of its own."""
    if request.param == "own":
        device = separate()
        monkeypatch.setattr(function, "choose", lambda spec: device)
        memory.buffers(session(device)).clear()
    return str(request.param)


class Most:
    """The most bytes in an account since it was made."""

    def __init__(self, account: memory.Account, monkeypatch: pytest.MonkeyPatch) -> None:
        self.account, self.start, self.most = account, account.bytes, account.bytes
        real = account.add

        def add(buffers: int, nbytes: int) -> None:
            real(buffers, nbytes)
            self.most = max(self.most, account.bytes)
        monkeypatch.setattr(account, "add", add)

    @property
    def taken(self) -> int:
        return self.most - self.start


def chain(depth: int = 4) -> Any:
    """A function of two inputs with an update, a constant and several intermediates; the variable."""
    x, y, w = eg.matrix("x"), eg.matrix("y"), eg.shared(np.ones((500, 500), F), "w")
    hidden = x @ y
    for _ in range(depth):
        hidden = eg.tanh(hidden @ w) + eg.constant(np.arange(500, dtype=F))
    hidden.name = "hidden"
    outputs = [hidden.sum(axis=0), eg.softmax(hidden, axis=1) @ w, x]
    return eg.compile([x, y], outputs, updates={w: w + hidden[0]}, device="pocl", name="net")


def arguments(rows: int) -> list[Any]:
    return [np.ones((rows, 20), F), np.ones((20, 500), F)]


def page_of(array: Any) -> int:
    """The bytes of the memory that a result lies on."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return int(array.base.page.nbytes) if array.base is not None else int(array.nbytes)


@pytest.mark.parametrize("rows", [1, 700])
def test_the_figures_are_what_a_call_takes(where: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    f = chain()
    told = f.memory((rows, 20), y=(20, 500))
    assert told.bytes is not None and told.peak == sum(told.bytes.values())
    gc.collect()
    f.free()
    most = Most(f._run.memory.account, monkeypatch)
    results = f(*arguments(rows))
    assert told.shapes[:3] == tuple(r.shape for r in results) and told.shapes[3] == (500, 500)
    if where == "own":
        kept = told.bytes["constants"]  # they were made with the plan
        assert most.taken == told.peak - kept
    else:
        assert most.taken == told.bytes["temporaries"] == f._run.state.workspace.nbytes
        assert told.bytes["outputs"] == sum(map(page_of, results))
        assert told.bytes["inputs"] == sum(a.nbytes for a in arguments(rows))
        assert told.bytes["shared"] == 500 * 500 * 4 and told.bytes["updates"] == 1_048_576 - 48_576
    assert told.bytes["constants"] in (2000, 2048)


def test_intermediates_share_memory(where: str) -> None:
    """A chain of products needs that of two or three of them, however long it is."""
    short, long = (chain(depth).memory((700, 20), (20, 500)).bytes["temporaries"] for depth in (3, 12))
    assert long == short


def test_the_formula_speaks_of_the_inputs(where: str) -> None:
    told = chain().memory()
    assert told.bytes is None and told.peak is None and told.largest == ()
    assert told.formula["inputs"] == "4 * x.shape[0] * x.shape[1] + 4 * y.shape[0] * y.shape[1]"
    assert told.formula["shared"] == "4 * w.shape[0] * w.shape[1]" and told.formula["constants"] == "2000"
    assert "x.shape[0]" in told.formula["temporaries"] and set(told.formula) == set(KINDS)
    assert "memory of net on" in repr(told) and all(kind in repr(told) for kind in KINDS)


def test_the_formula_of_intermediates_without_scratch_is_exact() -> None:
    """Evaluated, it gives the bytes before they are rounded up."""
    x = eg.matrix("x")
    f = eg.compile([x], eg.sort(eg.sort(x.T, axis=0), axis=1).sum(), device="pocl", schedule="cpu")
    told = f.memory(x=(64, 48))
    text = told.formula["temporaries"].partition(" + what")[0]
    found = eval(text, {"x": np.ones((64, 48)), "max": max})  # a formula is an expression of Python
    assert told.bytes is not None and 0 < found <= told.bytes["temporaries"] <= found + 1024


def test_the_largest_tensors_have_the_users_names_and_lines() -> None:
    x = eg.matrix("pixels")
    wide = eg.sort(x, axis=1)
    wide.name = "sorted"
    f = eg.compile([x], eg.sort(wide.T, axis=1).sum(), device="pocl")
    told = f.memory(pixels=(300, 400))
    assert len(told.largest) == 3 and told.largest[0].nbytes >= told.largest[1].nbytes >= told.largest[2].nbytes
    named = {t.name: t for t in told.largest}
    assert "input 'pixels'" in named and "'sorted'" in named
    one = named["input 'pixels'"]
    assert (one.dtype, one.shape, one.kind) == (F, (300, 400), "inputs") and one.source.file == __file__
    assert "pixels" in repr(told) and "test_memory.py:" in repr(told) and "the most is in use in" in repr(told)


def test_nothing_runs_and_the_record_is_frozen(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f = chain()
    f._run.rehearse()
    with monkeypatch.context() as patch:
        patch.setattr(memory.cl, "enqueue_nd_range_kernel", lambda *a: pytest.fail("a kernel ran"))
        before = f._run.memory.account.bytes
        told = f.memory((2000, 20), (20, 500))
        assert f._run.memory.account.bytes == before
    with pytest.raises(FrozenInstanceError):
        told.peak = 0  # type: ignore[misc]


def test_shapes_are_given_in_many_ways() -> None:
    x, n, v = eg.matrix("x"), eg.scalar("n", dtype="int64"), eg.vector("v")
    f = eg.compile([x, n, eg.In(v, value=np.ones(7, F))], [eg.zeros((n, n)) + x.sum() + 1, v + 1], device="pocl")
    one = f.memory(np.ones((3, 4), F), 50)
    assert one == f.memory((3, 4), n=50) == f.memory(x=[3, 4], n=np.int64(50)) == f.memory((3, 4), 50, 7)
    assert one.shapes == ((50, 50), (7,)) and f.memory((3, 4), 50, v=(9,)).shapes[1] == (9,)
    assert isinstance(f.memory(), Footprint) and f.memory().peak is None


def test_present_sizes_are_known() -> None:
    w, unread = eg.shared(np.ones(1000, F), "w"), eg.shared(np.ones(50, F), "unread")
    f = eg.compile([], w.sum(), updates={unread: eg.arange(60).astype(F)}, device="pocl")
    told = f.memory()
    assert told.bytes is not None and told.bytes["shared"] == 4200 and told.bytes["updates"] == 240
    assert f.memory(w=(10,)).bytes["shared"] == 240


@pytest.mark.parametrize("device", ["pocl", "numpy"])
def test_what_does_not_fit_is_told(device: str) -> None:
    x, y, n = eg.matrix("x"), eg.matrix("y"), eg.scalar("n", dtype="int64")
    f = eg.compile([x, y, n], (x @ y).sum() + eg.zeros((n,)), device=device, name="f")
    fine = {"x": (2, 3), "y": (3, 4), "n": 5}
    assert f.memory(**fine).peak
    for wrong, error, said in [({"x": (3,)}, CallError, "2 lengths"), ({"x": (3, -1)}, CallError, "2 lengths"),
                               ({"x": "ab"}, CallError, "x is"),
                               ({"y": (4, 4)}, ShapeError, "matmul"), ({"z": 3}, CallError, "'z'"), ({"n": (5,)}, CallError, "n is"),
                               ({"n": -1}, ShapeError, "negative")]:
        with pytest.raises(error, match=said):
            f.memory(**{**fine, **wrong})
    with pytest.raises(CallError, match=r"shape is missing of y \(2 axes\)"):
        f.memory(x=(2, 3))
    with pytest.raises(CallError, match="value of 'n'"):
        f.memory((2, 3), (3, 4))
    with pytest.raises(CallError, match="3 shapes are taken"):
        f.memory((2, 3), (3, 4), 5, 6)


@pytest.mark.parametrize("device", ["pocl", "numpy"])
def test_sizes_that_a_call_computes_are_named_arguments(device: str) -> None:
    v = eg.vector("v")
    kept = (v > 0).sum()
    kept.name = "kept"
    f = eg.compile([v], [eg.arange(kept) * 2.0, eg.sort(v)], device=device, name="f")
    with pytest.raises(CallError, match=r"(?s)computes the size 'kept'.*test_memory.py:\d+\): give it, f.memory\(..., kept=...\)"):
        f.memory(1000)
    told = f.memory(1000, kept=5000)
    assert told.shapes == ((5000,), (1000,)) and told.bytes["outputs"] == 20_000 + 4000
    assert told.bytes["updates"] == 0 and told.bytes["inputs"] == 4000 and told.peak == sum(told.bytes.values())
    assert "kept" in f.memory().formula["outputs"]
    with pytest.raises(CallError, match="'other'; inputs: v; sizes that a call computes: kept"):
        f.memory(1000, kept=3, other=4)


@pytest.mark.parametrize("device", ["pocl", "numpy"])
def test_what_there_is_to_give_is_said_by_name(device: str) -> None:
    """Sizes without a name are called alike in formulas and errors, also where an input has the name that they would get."""
    v, size1, w = eg.vector("v"), eg.vector("size1"), eg.shared(np.ones(2, "float32"), "w")
    parts = eg.extract(v > 0, v)
    f = eg.compile([v, size1], [parts * 2, size1 * w.sum(), eg.zeros((parts.size + 1,))], device=device, name="f")
    with pytest.raises(CallError, match=r"called 'n', 'm'; inputs: v, size1; shared variables: w; sizes that a call computes: size2\n  at"):
        f.memory(3, 4, n=3, m=4)
    told = f.memory(1000, 7, size2=5)
    assert told.shapes == ((5,), (7,), (6,)) and "size2" in told.formula["outputs"] and "v.shape[0]" in told.formula["inputs"]
    assert "input." not in str(told) and told.bytes["inputs"] == 4028
    for wrong in (lambda: f.memory(3, 4, 5), lambda: f(1, 2, 3)):
        with pytest.raises(CallError, match=r"2 (shapes|arguments) are taken, 3 were given"):
            wrong()
    one = eg.compile([v], v + 1, device=device)
    for wrong in (lambda: one.memory(3, 4), lambda: one(1, 2)):
        with pytest.raises(CallError, match=r"1 (shape|argument) is taken, 2 were given"):
            wrong()
    with pytest.raises(CallError, match=r"missing of v \(1 axis\)"):
        f.memory(size1=4)


@pytest.mark.parametrize("device", ["pocl", "numpy"])
def test_what_lives_between_stages_is_among_the_largest(device: str) -> None:
    X, v = eg.matrix("X"), eg.vector("v")
    product = X @ X
    f = eg.compile([X, v], [eg.zeros(((product > 0).sum(), 3000)) + product.max(), eg.cumsum(v), product.sum(axis=0)], device=device)
    told = f.memory((20, 20), 1000, size1=3)
    assert {"input 'v'", "output 1"} < {t.name.partition(",")[0] for t in told.largest}
    assert told.peak == sum(told.bytes.values()) and told.bytes["updates"] == 0
    g = eg.compile([X], eg.extract(product > 0, product).sum(), device=device)
    assert "the result of matmul, float32 (200, 200)" in str(g.memory((200, 200), size1=3))


def test_complex_functions_too() -> None:
    z = eg.vector("z", dtype="complex64")
    f = eg.compile([z], z * 2, device="pocl")
    told = f.memory((10,))
    assert told.shapes == ((10,),) and told.bytes["inputs"] == 80
    f.free()
    np.testing.assert_array_equal(f(np.ones(3, "complex64")), np.full(3, 2))


def test_the_numpy_backend_counts_what_its_nodes_hold() -> None:
    x = eg.matrix("x")
    hidden = eg.tanh(x * 2)
    hidden.name = "hidden"
    f = eg.compile([x], (hidden @ hidden.T).sum(), device="numpy", optimizer="none")
    told = f.memory((100, 200))
    assert told.device == "numpy" and told.bytes["inputs"] == 80_000 and told.bytes["temporaries"] >= 120_000
    assert any(t.name == "'hidden'" for t in told.largest) and told.formula["outputs"] == "4"
