"""Text of graphs: infix, trees, DOT; whatever the names, the sharing and the size."""
from __future__ import annotations

import ast
import io
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.fold import fold
from exprgraph.graph import key
from exprgraph.merge import merge
from exprgraph.node import INPUT, Graph, Node, Out, leaf
from exprgraph.ops.table import ROWS

x, y, z = eg.vectors("x", "y", "z")
m, i, b = eg.matrix("m"), eg.lvector("i"), eg.tensor("b", "bool", (None,))

INFIX = [
    (eg.log(1 + eg.exp(-x)), "log(1 + exp(-x))"),
    (x + y + z, "x + y + z"), (x + (y + z), "x + (y + z)"), (x - (y - z), "x - (y - z)"), (x * (y + z), "x * (y + z)"),
    (x / (y * z), "x / (y * z)"), (x / y * z, "x / y * z"), (-x**2, "-x ** 2"), ((-x)**2, "(-x) ** 2"), (x**-y, "x ** -y"),
    ((x**y)**z, "(x ** y) ** z"), (x**(y**z), "x ** y ** z"), (-(x * y), "-(x * y)"), (-x * y, "-x * y"), (x * -2.5, "x * -2.5"),
    ((x < y) & (y < z), "(x < y) & (y < z)"), (eg.neq(x < y, b), "(x < y) != b"), (~(b | b), "~(b | b)"), (i << (i + 1), "i << i + 1"),
    ((i << i) + 1, "(i << i) + 1"), (i & i | i ^ i, "i & i | i ^ i"), (i // 3 % 2, "i // 3 % 2"),
    (eg.switch(x > 0, x, 0), "switch(x > 0, x, 0)"),
    (x.sum(), "sum(x)"), (m.sum(axis=1), "sum(m, axis=1)"), (m.max(axis=0, keepdims=True), "max(m, axis=0, keepdims=True)"),
    (m.T, "m.T"), ((m + 1).T, "(m + 1).T"), (x.dimshuffle("x", 0), "dimshuffle(x, 'x', 0)"), (m @ m, "m @ m"), (m.shape[0], "m.shape[0]"),
    (eg.cast(x, "float64"), "cast(x, dtype='float64')"), (x + 0.1, "x + 0.1"), (x + 1e30, "x + 1e+30"), (x * float("inf"), "x * inf"),
    (x + eg.vector(), "x + <float32(?)>"), (x + eg.constant(np.float32([1, 2.5])), "x + [1, 2.5]"),
    (x + eg.constant(np.zeros(9, "f")), "x + <constant float32(9)>"), (eg.constant(-0.0), "-0.0")]
q, t = eg.tensor("q", "float32", (7,)), eg.tensor3("t")
SLICES: dict[str, Any] = {
    "m[1:3, ::2]": m[1:3, ::2], "m[0]": m[0], "m[:, -1]": m[:, -1], "m[::-1]": m[::-1], "m[-3:]": m[-3:], "x[:-1]": x[:-1],
    "m[1:, None]": m[1:, None], "m[None, 2]": m[None, 2], "m[2:10:3, 1]": m[2:10:3, 1], "x[5:2:-1]": x[5:2:-1],
    "m[1:][:2]": m[1:][:2], "q[2:5]": q[2:5], "q[4:0:-2]": q[4:0:-2], "m[0, 1]": m[0, 1], "(m + 1)[0]": (m + 1)[0],
    "t[0, :, 1]": t[0, :, 1], "t[:, :, -2]": t[..., -2], "m[1:3].T": m[1:3].T, "x[-5:-2]": x[-5:-2], "x[:-3:2]": x[:-3:2],
    "x[:0]": x[0:0], "t[:, ::-1]": eg.flip(t, 1), "x[1:] - x[:-1]": x[1:] - x[:-1], "m[i]": m[i], "m[:, i]": m[:, i],
    "m[[0, 1]]": m[[0, 1]], "sum(x[i])": x[i].sum()}


@pytest.mark.parametrize(("expr", "text"), INFIX, ids=[t for _, t in INFIX])
def test_infix(expr: Any, text: str) -> None:
    assert eg.pp(expr) == text


@pytest.mark.parametrize("text", SLICES)
def test_infix_of_indices(text: str) -> None:
    """What is printed is what was written, and means the same when read."""
    assert eg.pp(SLICES[text]) == text
    assert eg.pp(eval(text, {"x": x, "m": m, "i": i, "q": q, "t": t, "sum": eg.sum})) == text


def test_infix_of_indices_that_are_no_slices_of_constants() -> None:
    n = eg.lscalar("n")
    for expr in (x[n:], x[n], m.diagonal()):
        assert "subtensor(" in eg.pp(expr)
    long = (eg.exp(m) + eg.exp(m.T))[1:, 2:30]
    assert eg.pp(long[0] * long) == "t1 = (exp(m) + exp(m.T))[1:, 2:30]\nt1[0] * t1"


UNARY, BINARY = ("neg", "exp", "sqrt", "abs"), ("add", "sub", "mul", "true_div", "int_div", "mod", "pow", "maximum", "arctan2")
numbers = st.floats(-9, 9, width=32).map(lambda v: eg.constant(np.float32(v)))
expressions = st.recursive(st.sampled_from([x, y, z]) | numbers, lambda inner: st.one_of(
    st.tuples(st.sampled_from(UNARY), inner).map(lambda t: ROWS[t[0]](t[1])),
    st.tuples(st.sampled_from(BINARY), inner, inner).map(lambda t: ROWS[t[0]](t[1], t[2]))), max_leaves=8)


class Constants(ast.NodeTransformer):
    """Numbers in a text become constants of the dtype of the test."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.parse(f"number({node.value!r})", mode="eval").body


def structure(expr: Out) -> str:
    return key(fold(merge(Graph((x, y, z), (expr,)))))


@given(expressions)
def test_infix_reads_back(expr: Out) -> None:
    """The text, read by Python over the same names, is the same graph: no parenthesis is missing."""
    space: dict[str, Any] = {n: getattr(eg, n) for n in ("exp", "sqrt", "abs", "maximum", "arctan2")}
    space.update(x=x, y=y, z=z, inf=eg.constant(np.float32(np.inf)), number=lambda v: eg.constant(np.float32(v)))
    for line in eg.pp(expr).split("\n"):
        name, equals, text = line.partition(" = ")
        tree = ast.fix_missing_locations(Constants().visit(ast.parse(text if equals else line, mode="eval")))
        space[name] = eval(compile(tree, "text", "eval"), space)
    assert structure(space[name]) == structure(expr)


def test_infix_of_what_is_shared() -> None:
    long = eg.exp(x) + eg.sin(x) * eg.cos(y)
    assert eg.pp(long * long) == "t1 = exp(x) + sin(x) * cos(y)\nt1 * t1"
    named = eg.exp(x) + eg.sin(x) * eg.cos(y)
    named.name = "energy"
    assert eg.pp([named * named, y]) == "energy = exp(x) + sin(x) * cos(y)\nenergy * energy\ny"
    taken = eg.vector("t1")
    assert eg.pp(long * long + taken).startswith("t2 = ")


TREE = """\
log [id A]
 |add [id B]
   |1 [id C]
   |exp [id D]
     |neg [id E]
       |x [id F]
"""
SHARED = """\
add [id 0] <float32(?)>
 |exp [id 1] e <float32(?)>
 | |x [id 2] <float32(?)>
 |mul [id 3] <float32(?)>
   |exp [id 1] e <float32(?)> ...
   |w [id 4] <float32(?)>
"""


def test_tree() -> None:
    assert eg.debugprint(eg.log(1 + eg.exp(-x)), file="str") == TREE
    e, w = eg.exp(x), eg.shared(np.zeros(3, "f"), "w")
    e.name = "e"
    assert eg.debugprint(e + e * w, file="str", ids="int", print_type=True) == SHARED
    assert eg.debugprint(e + e * w, file="str", ids="", depth=2) == "add\n |exp e\n |mul\n"
    assert eg.debugprint(eg.log(e), file="str", ids="", stop_on_name=True) == "log\n |exp e\n"
    assert str(e.node.uid) in str(eg.debugprint(e, file="str", ids="id"))
    for wrong in ({"ids": "roman"}, {"file": "tree.txt"}):
        with pytest.raises(TypeError, match="expected"):
            eg.debugprint(e, **wrong)  # type: ignore[arg-type]


def test_tree_of_a_function_is_printed_with_the_order_of_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    f = eg.compile([x, y], [eg.exp(x) * y, eg.sin(y)], device="numpy", optimizer="none")
    assert eg.debugprint(f) is None
    text = "mul [id A]   1\n |exp [id B]   0\n | |x [id C]\n |y [id D]\nsin [id E]   2\n |y [id D]\n"
    assert capsys.readouterr().out == text
    file = io.StringIO()
    eg.debugprint(f, file=file)
    assert file.getvalue() == text
    assert eg.pp(f) == "exp(x) * y\nsin(y)"


def test_dot(tmp_path: Path) -> None:
    text = eg.to_dot(x / eg.exp(x))
    assert text.startswith("digraph exprgraph {\n") and text.endswith("}\n")
    for line in (r'n0 [shape=box, label="x\nfloat32(?)"];', "n0 -> n1;", 'n0 -> n2 [label="0"];', 'n1 -> n2 [label="1"];', "n2 -> out0;"):
        assert f"  {line}\n" in text
    eg.pydotprint(x / eg.exp(x), tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text() == text
    with pytest.raises(TypeError, match=r"not \.png pictures(.|\n)*dot -Tpng(.|\n)*test_show\.py"):
        eg.pydotprint(x, tmp_path / "graph.png")


HOSTILE = ["float", "kernel", "x y", "a-b", "µ", "π", "__global", "n" * 300, "*/ {", "a\nb", "a\\\nb", "??/", "a\0b", 'a"b', "a\\", "<b>",
           "\u202e", '"]; evil [label="', "*/ #include <x>\n#pragma"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_B9_H1(name: str) -> None:
    """Whatever the name: text stays on its line, and a DOT string ends where it should."""
    symbol = eg.vector(name)
    result = eg.exp(symbol)
    result.name = name
    pretty, tree, dot = eg.pp(symbol + 1), str(eg.debugprint(result, file="str")), eg.to_dot(result)
    assert pretty.isprintable() and pretty.endswith(" + 1") and len(pretty) < 80
    assert len(tree.splitlines()) == 2 and all(line.isprintable() for line in tree.split("\n"))
    for line in dot.splitlines()[1:-1]:
        assert line.isprintable() and re.fullmatch(r'  (n\d+|out0|n\d+ -> \w+)( \[(\w+=(\w+|"([^"\\]|\\.)*")(, )?)+\])?;', line), line


def chain(length: int) -> Out:
    """A chain of that many nodes, made without asking the rows."""
    out = Out(leaf(INPUT, "float32", (None,), "x"))
    for k in range(length):
        op = ROWS["exp"] if k % 2 else ROWS["neg"]
        out = Out(Node(op, (), (out,), (out.type,), frozenset()))
    return out


def test_output_is_bounded_G8() -> None:
    deep = chain(300_000)
    start = time.perf_counter()
    texts = [eg.pp(deep), str(eg.debugprint(deep, file="str")), eg.to_dot(deep), repr(deep)]
    assert time.perf_counter() - start < 20
    assert all(len(t) < 400_000 for t in texts)
    assert all("of more than 100000 nodes" in t for t in texts[:3]) and "..." in texts[0]


def test_sharing_does_not_grow_the_text_G8() -> None:
    doubled = x
    for _ in range(60):
        doubled = eg.sin(doubled) * eg.cos(doubled)
    assert len(eg.pp(doubled)) < 10_000
    assert len(str(eg.debugprint(doubled, file="str"))) < 60_000


@pytest.mark.parametrize("thing", [3, "x", [x, 3], None])
def test_what_cannot_be_shown(thing: Any) -> None:
    for show in (eg.pp, eg.debugprint, eg.to_dot):
        with pytest.raises(TypeError, match=r"expected a symbol(.|\n)*test_show\.py"):
            show(thing)
