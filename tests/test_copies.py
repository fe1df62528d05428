"""What a compiled function offers beside being called: containers, copies, parts of its outputs, its graph, its memory."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend
F = np.float32


def accumulator() -> tuple[Any, Any, Any]:
    inc, state = eg.scalar("inc"), eg.shared(F(0), "state")
    return eg.compile([inc], state, updates={state: state + inc}, name="accumulator"), inc, state


# ---- containers ------------------------------------------------------------------------------------------------------------------

def test_containers_by_name_and_symbol() -> None:
    x, step, w = eg.scalar("x"), eg.scalar("step"), eg.shared(F(7), "w")
    f = eg.compile([x, eg.In(step, value=2)], x - step + w)
    assert f["step"] == 2 and f[step] == 2 and f["w"] == 7 and f[w] == 7 and f.container[step].value == 2
    assert step in f and w in f and "w" in f and x not in f and eg.scalar() not in f and 3 not in f
    assert len(f.container) == 2 and [c.name for c in f.container] == ["step", "w"]
    f["step"] = 3
    f.container["w"].value = 1
    assert f(5) == 3 and w.get_value() == 1
    f.container[step] = 4
    assert f.container["step"].data == 4 and "step" in repr(f.container[step])


def test_D12_a_container_gives_copies() -> None:
    x = eg.vector("x")
    f = eg.compile([eg.In(x, value=np.array([1, 2], F))], x * 2)
    f["x"][...] = 9
    assert f().tolist() == [2, 4]
    with pytest.raises(ValueError, match="read-only"):
        f.container["x"].data[...] = 9


def test_implicit_inputs_have_containers() -> None:
    x = eg.scalar("x")
    f = eg.compile([eg.In(x, value=3, implicit=True)], x * 2)
    f["x"] = 5
    assert f() == 10


def wrong_containers() -> list[tuple[Any, type[Exception], str]]:
    x, y, z = eg.scalar("x"), eg.scalar("a"), eg.scalar("a")
    f = eg.compile([x, eg.In(y, value=1), eg.In(z, value=2)], x + y - z)

    def put(value: Any) -> None:
        f[y] = value
    return [(lambda: f["x"], KeyError, "has no default.*value="), (lambda: f["b"], KeyError, "no input or shared variable 'b'"),
            (lambda: f["a"], KeyError, "several inputs are called 'a'"), (lambda: f[3], KeyError, "no input"),
            (lambda: put([1, 2]), eg.CallError, "float32 with 0 axes"), (lambda: put("1"), eg.CallError, "str")]


@pytest.mark.parametrize("case", range(6))
def test_wrong_containers_G6(case: int) -> None:
    act, error, message = wrong_containers()[case]
    with pytest.raises(error, match=message) as caught:
        act()
    assert "test_copies.py" in str(caught.value)


# ---- copies ----------------------------------------------------------------------------------------------------------------------

def test_copy_with_swap() -> None:
    f, _, state = accumulator()
    other = eg.shared(F(100), "other")
    f(10)
    g = f.copy(swap={state: other}, name="g")
    assert g(5) == 100 and other.get_value() == 105 and state.get_value() == 10 and g.name == "g" and f.name == "accumulator"
    assert f(1) == 10 and g(0) == 105 and [s.name for s in g.get_shared()] == ["other"]
    again = g.copy(swap=[(other, state)])
    assert again(1) == 11 and state.get_value() == 12


def test_copy_that_swaps_two() -> None:
    a, b = eg.shared(F(1), "a"), eg.shared(F(2), "b")
    f = eg.compile([], [a, a - b], updates={a: a + 10 * b})
    g = f.copy(swap={a: b, b: a})
    assert [float(v) for v in g()] == [2, 1] and b.get_value() == 12 and a.get_value() == 1


def test_copy_without_updates() -> None:
    f, _, state = accumulator()
    g = f.copy(delete_updates=True)
    f(3)
    assert g(5) == 3 and state.get_value() == 3 and not g.targets and len(g.graph.outputs) == 1


def test_copies_have_defaults_of_their_own_unless_they_are_shared() -> None:
    x, y, common = eg.scalar("x"), eg.scalar("y"), eg.shared(F(5), "common")
    f = eg.compile([eg.In(x, value=1, update=x + 1), eg.In(y, value=common)], x + y)
    f()
    g = f.copy(share_memory=True)
    assert g["x"] == 2 and g() == 7
    assert f["x"] == 2 and g["x"] == 3
    common.set_value(50)
    assert f() == 52 and g() == 53
    assert f.copy(swap={common: eg.shared(F(0), "zero")})() == 3


SWAPS: list[tuple[str, Any, str]] = [
    ("not used", lambda s: {eg.shared(F(1), "t"): s}, "does not use"),
    ("by a symbol", lambda s: {s: eg.scalar("x")}, "takes shared variables"),
    ("of a name", lambda s: {"state": s}, "takes shared variables"), ("rank", lambda s: {s: eg.shared(np.ones(2, F))}, "must agree"),
    ("dtype", lambda s: {s: eg.shared(1.0, "d") if s.dtype != "float32" else eg.shared(np.float64(1))}, "must agree"),
    ("no pairs", lambda s: [s], "a dict or a list of pairs"), ("twice", lambda s: [(s, s), (s, s)], "twice")]


@pytest.mark.parametrize(("swap", "message"), [s[1:] for s in SWAPS], ids=[s[0] for s in SWAPS])
def test_wrong_swaps_G3(swap: Any, message: str) -> None:
    f, _, state = accumulator()
    with pytest.raises(eg.GraphError, match=message) as caught:
        f.copy(swap=swap(state))
    assert "test_copies.py" in str(caught.value)


def test_a_swap_that_would_update_one_twice_G3() -> None:
    a, b = eg.shared(F(1), "a"), eg.shared(F(2), "b")
    f = eg.compile([], updates={a: b, b: a})
    with pytest.raises(eg.GraphError, match="updated twice"):
        f.copy(swap={a: b})


# ---- parts of the outputs ----------------------------------------------------------------------------------------------------------

def test_output_subset() -> None:
    x, n = eg.vector("x"), eg.shared(0, "n")
    f = eg.compile([x], [x * 2, x * 3, x.sum()], updates={n: n + 1})
    found = f([1, 2], output_subset=[2, 0])
    assert isinstance(found, list) and float(found[0]) == 3 and found[1].tolist() == [2, 4] and n.get_value() == 1
    assert f([1, 2], output_subset=[]) == [] and n.get_value() == 2
    assert len(f([1, 2], output_subset=None)) == 3 and f(x=[1, 2], output_subset=[1])[0].tolist() == [3, 6]
    one = eg.compile([x], x.sum())
    assert [float(v) for v in one([1, 2], output_subset=[0])] == [3]


def test_output_subset_by_name() -> None:
    x = eg.vector("x")
    f = eg.compile([x], {"double": x * 2, "total": x.sum()})
    assert {k: v.tolist() for k, v in f([1, 2], output_subset=["total"]).items()} == {"total": 3}
    with pytest.raises(eg.CallError, match="'mean'; the outputs are double, total"):
        f([1, 2], output_subset=["mean"])


def test_output_subset_computes_what_is_needed_only() -> None:
    x, i = eg.vector("x"), eg.lvector("i")
    f = eg.compile([x, i], [x[i], x * 2])
    with pytest.raises(IndexError):
        f([1, 2], [7])
    assert f([1, 2], [7], output_subset=[1])[0].tolist() == [2, 4]


@pytest.mark.parametrize("subset", [[3], [-1], ["a"], "a", 1, [True], [0.0]], ids=repr)
def test_wrong_output_subsets_G6(subset: Any) -> None:
    x = eg.vector("x")
    f = eg.compile([x], [x, x * 2, x * 3])
    with pytest.raises(eg.CallError, match=r"output_subset(.|\n)*test_copies\.py"):
        f([1.0], output_subset=subset)


# ---- graph and memory ----------------------------------------------------------------------------------------------------------------

def test_maker_shows_the_optimised_graph() -> None:
    x, s = eg.vector("x"), eg.shared(F(0), "s")
    f = eg.compile([x], eg.log(1 + eg.exp(x)), updates={s: s + 1})
    graph = f.maker.fgraph
    assert [n.op.name for n in graph.toposort()] == ["softplus", "add"]
    assert [i.name for i in graph.inputs] == ["x", "s"] and len(graph.outputs) == 2 and f.maker.inputs[0] is x
    assert graph.apply_nodes == set(graph.toposort()) and graph.toposort()[0].outputs[0].dtype == "float32"
    assert graph.clients[x.node] == [graph.toposort()[0]] and len(graph.variables) >= 5 and "2 nodes" in repr(graph)


def test_free_and_sync() -> None:
    m = eg.matrix("m")
    f = eg.compile([m], eg.softmax(m @ m, axis=-1).sum(axis=0))
    value = np.arange(16, dtype=F).reshape(4, 4) / 10
    first = f(value)
    for _ in range(3):
        f.free()
        f.sync_shared()
        np.testing.assert_array_equal(f(value), first)


def test_free_gives_memory_back(device: str) -> None:
    if device == "numpy":
        pytest.skip("NumPy keeps nothing")
    import gc

    from exprgraph.config import config
    m = eg.matrix("m")
    f = eg.compile([m], eg.exp(m).sum(axis=0) @ eg.cos(m), schedule="gpu" if config.schedule == "gpu" else None)
    f(np.ones((64, 64), F))
    assert f._run._bounds
    gc.collect()
    f.free()
    assert not f._run._bounds and not f._run.memory.idle.bytes and f(np.ones((64, 64), F)).shape == (64,)


def test_trusted_input_goes_unchecked() -> None:
    x = eg.vector("x")
    f = eg.compile([x], x * 2)
    f.trust_input = True
    assert f(np.array([1, 2], F)).tolist() == [2, 4]
    f(np.array([1, 2], F), output_subset=[0])
