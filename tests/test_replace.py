"""Copies of graphs with parts replaced, values of expressions, and walks over graphs."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order

F = np.float32


def value(out: Any, **given: Any) -> Any:
    with eg.change_flags(device="numpy"):
        return np.asarray(out.eval(given)).tolist()


# ---- eval --------------------------------------------------------------------------------------------------------------------------

@pytest.mark.usefixtures("device")
def test_eval_by_symbol_and_name() -> None:
    x, y = eg.vector("x"), eg.scalar("y")
    z = x * y
    assert z.eval({x: [1, 2], y: 3}).tolist() == z.eval({"x": [1, 2], "y": 3}).tolist() == [3, 6]
    assert z.eval({"x": [1, 2, 3], y: 3}).tolist() == [3, 6, 9] and len(z.tag.functions) == 1
    assert z.eval({x: [1], y: 2, eg.scalar("other"): 5}).tolist() == [2]
    middle = x + 1
    assert (middle * 2).eval({middle: [5]}).tolist() == [10]
    assert (eg.shared(F(3), "w") * 2).eval() == 6


def wrong_evals() -> list[tuple[Any, type[Exception], str]]:
    x, y, again = eg.vector("x"), eg.scalar("y"), eg.scalar("y")
    return [(lambda: (x * y).eval({x: [1]}), eg.MissingInputError, "needs 'y'"), (lambda: (x * y).eval(), eg.MissingInputError, "'x'"),
            (lambda: (x * y).eval({"z": 1}), eg.UseError, "'z': no input has this name"),
            (lambda: (x + y * again).eval({x: [1], "y": 1}), eg.UseError, "several inputs"),
            (lambda: x.eval({3: 1}), eg.UseError, "a symbol or the name"),
            (lambda: (x * y).eval({x: [1], y: [1, 2]}), eg.CallError, "'y' is float32 with 0 axes"),
            (lambda: (x * 1).eval({x: np.ones(2)}), eg.CallError, "float64"),
            (lambda: (x * 1).eval({x: [1], x + 0: [1], (x * 1): [2]}), eg.GraphError, "listed twice|no output")]


@pytest.mark.parametrize("case", range(7))
def test_wrong_evals_G6(case: int) -> None:
    act, error, message = wrong_evals()[case]
    with pytest.raises(error, match=message) as caught:
        act()
    assert "test_replace.py" in str(caught.value)


# ---- clone -------------------------------------------------------------------------------------------------------------------------

def test_clone_replaces_all_at_once() -> None:
    x, y = eg.vector("x"), eg.vector("y")
    out = x - 2 * y
    assert value(eg.clone(out, {x: y, y: x}), x=[1], y=[5]) == [3]
    assert value(eg.clone(out, [(x, x * 10)]), x=[1], y=[5]) == [0]
    assert value(eg.clone(out, {y: eg.constant(F([3]))}), x=[1]) == [-5]
    assert eg.pp(eg.clone(out, {x: eg.exp(x)})) == "exp(x) - 2 * y"


def test_clone_of_several_keeps_their_form() -> None:
    x, y = eg.vector("x"), eg.vector("y")
    a, b = eg.clone([x + 1, x + 1], {x: y})
    assert eg.pp(a) == "y + 1" and a.node is not b.node
    assert isinstance(eg.clone((x,), {x: y}), tuple) and eg.clone({"a": x}, {x: y})["a"] is y
    shared_part = eg.exp(x)
    left, right = eg.clone([shared_part + 1, shared_part * 2])
    assert any(i.node is j.node for i in left.node.inputs for j in right.node.inputs)


def test_clone_of_a_computed_tensor() -> None:
    x = eg.matrix("x")
    middle = eg.exp(x)
    middle.name = "middle"
    out = (middle * 2).sum(axis=0)
    z = eg.matrix("z")
    assert eg.pp(eg.clone(out, {middle: z})) == "sum(z * 2, axis=0)"
    kept = eg.clone(out)
    assert kept.node is not out.node and "middle" in str(eg.debugprint(kept, file="str"))


def test_clone_with_inputs_of_its_own() -> None:
    x, w = eg.vector("x"), eg.shared(F([2]), "w")
    out = eg.exp(x * w)
    same, fresh = eg.clone(out), eg.clone(out, share_inputs=False)
    assert eg.explicit_graph_inputs(same)[0].node is x.node
    own, = eg.explicit_graph_inputs(fresh)
    assert own.node is not x.node and own.name == "x" and own.type.dtype == "float32"
    assert {o.name for o in eg.graph_inputs(fresh)} == {"x", "w"} and value(fresh, x=[0]) == [1]


def test_sizes_follow_what_is_replaced() -> None:
    x, y = eg.matrix("x"), eg.tensor("y", "float32", (2, 3))
    out = x.reshape((x.shape[1], x.shape[0])) * eg.arange(x.shape[0])
    made = eg.clone(out, {x: y})
    assert [d.const for d in made.type.shape] == [3, 2] and value(made, y=np.ones((2, 3), F)) == [[0, 1]] * 3


def test_sizes_that_values_decide_are_cloned() -> None:
    x, y = eg.vector("x"), eg.vector("y")
    out = x[eg.nonzero(x)[0]] * 2
    assert value(eg.clone(out, {x: y}), y=[0, 5, 1]) == [10, 2] and value(eg.clone(out, share_inputs=False), x=[3, 0]) == [6]


def test_strict_and_cast() -> None:
    x, d, m = eg.vector("x"), eg.dvector("d"), eg.matrix("m")
    for wrong, message in (({x: d}, "dtype and rank must agree"), ({x: m}, "must agree"), ({"x": d}, "a symbol and its replacement"),
                           ([x, d], "a dict or pairs")):
        with pytest.raises(eg.GraphError, match=message) as caught:
            eg.clone(x + 1, wrong)
        assert "test_replace.py" in str(caught.value)
    assert eg.clone(x + 1, {x: d}, strict=False).dtype == "float32"
    with pytest.raises(eg.GraphError, match="must agree"):
        eg.clone(x + 1, {x: m}, strict=False)


def test_graph_replace_wants_to_find_what_it_replaces() -> None:
    x, y = eg.vector("x"), eg.vector("y")
    assert eg.pp(eg.graph_replace([x + 1], {x: y})) == "y + 1"
    assert eg.pp(eg.clone_replace(x + 1, {x: y})) == "y + 1"
    with pytest.raises(eg.GraphError, match="<y.*is not in the graph"):
        eg.graph_replace(x + 1, {y: x})
    assert eg.pp(eg.graph_replace(x + 1, {y: x}, strict=False)) == "x + 1"


def test_clone_of_a_symbol() -> None:
    x, w = eg.tensor("x", "int8", (3, None)), eg.shared(F(2), "w")
    for y in (x.clone(), (x * 1).clone(), x[0].clone()):
        assert y.owner is None and y.dtype == "int8" and y.node is not x.node
    assert x.clone().name == "x" and [d.const for d in x.clone().type.shape] == [3, None]
    assert w.clone().get_value() == 2 and w.clone().node is not w.node
    c = eg.constant(3)
    assert c.clone() is c


def test_a_deep_graph_is_cloned_without_recursion() -> None:
    x = eg.vector("x")
    out = x
    for _ in range(20_000):
        out = -out
    assert len(order([eg.clone(out, {x: eg.vector("y")})])) == 20_001 and len(eg.ancestors(out)) == 20_001


# ---- walks -------------------------------------------------------------------------------------------------------------------------

def test_walks() -> None:
    x, w = eg.vector("x"), eg.shared(F(1), "w")
    h = eg.exp(x * 2)
    out = h + w
    assert [o.name or o.node.op.name for o in eg.ancestors(out)] == ["x", "constant", "mul", "exp", "w", "add"]
    assert eg.ancestors(out)[0] is x and eg.ancestors([out])[-1] is out
    assert [o.node.op.name for o in eg.graph_inputs([out])] == ["input", "constant", "shared"]
    assert [o.name for o in eg.explicit_graph_inputs(out)] == ["x"]
    assert [n.op.name for n in eg.io_toposort([x], [out])] == ["mul", "exp", "add"]
    assert [n.op.name for n in eg.io_toposort([h], [out])] == ["add"]
    assert [o is h for o in eg.ancestors(out, blockers=[h])].count(True) == 1 and len(eg.ancestors(out, blockers=[h])) == 3
    assert any(o is h for o in eg.graph_inputs(out, blockers=[h]))


# ---- text --------------------------------------------------------------------------------------------------------------------------

def test_debugprint_with_storage_clients_and_done() -> None:
    x, k, w = eg.vector("x"), eg.scalar("k"), eg.shared(F([0, 1, 2]), "w")
    e = eg.exp(x)
    f = eg.compile([x, eg.In(k, value=2)], [e * w * k, e], device="numpy", optimizer="none")
    assert eg.debugprint(f, file="str", ids="", print_storage=True, print_clients=True) == (
        "mul clients: [output]   2\n |mul clients: [mul]   1\n | |exp clients: [mul, output]   0\n | | |x clients: [exp]\n"
        " | |w = [0. 1. 2.] clients: [mul]\n |k = 2 clients: [mul]\nexp clients: [mul, output]   0 ...\n")
    done: dict[Any, int] = {}
    assert eg.debugprint(e, file="str", done=done) == "exp [id A]\n |x [id B]\n" and len(done) == 2
    assert eg.debugprint(e + x, file="str", done=done) == "add [id C]\n |exp [id A] ...\n |x [id B]\n"
    big = eg.shared(np.zeros((500, 500), F), "big")
    assert len(str(eg.debugprint(big, file="str", print_storage=True))) < 120
    assert eg.debugprint(e, -1, True, "str", "CHAR", False, None, False, False) == "exp [id A] <float32(?)>\n |x [id B] <float32(?)>\n"
