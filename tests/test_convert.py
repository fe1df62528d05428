"""Graphs for networkx, sympy and LaTeX: what arrives there means the same."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as S
from hypothesis import given
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.node import Out
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate
from exprgraph.sympy_write import rows

D = {"f": "float64", "i": "int64", "b": "bool"}
ELEMENTWISE = [r for r in ROWS.values() if r.kind == "elementwise" and r.name not in ("cast", "checked")]
FACTS = ("isnan", "isinf", "isfinite")


def operands(name: str) -> list[Out]:
    """One scalar input per argument, of a dtype that the row takes."""
    domain = ROWS[name].domain
    whole = "shift" in name or name == "position"
    kind = "b" if name in ("and_", "or_", "xor", "invert") else "i" if whole else "f"
    kinds = ["b", "f", "f"] if name == "switch" else [kind] * len(domain)
    return [eg.tensor(f"a{k}", D[kind], ()) for k, kind in enumerate(kinds)]


def draw(out: Out, interval: tuple[float, float], rng: np.random.Generator) -> Any:
    if out.dtype == "bool":
        return np.asarray(rng.random() < 0.5)
    return np.asarray(rng.integers(0, 6) if out.dtype == "int64" else rng.uniform(*interval))


def value_of(expr: Out, given_: dict[Out, Any]) -> Any:
    return evaluate([expr], {o.node: v for o, v in given_.items()})[0]


@pytest.mark.parametrize("name", [r.name for r in ELEMENTWISE if r.name in rows() and r.name not in FACTS])
def test_rows_to_sympy_and_back(name: str, rng: np.random.Generator) -> None:
    """Every elementwise row: sympy's own number, and the number after the way back, are NumPy's."""
    inputs = operands(name)
    expr = ROWS[name](*inputs)
    symbols = {o: S.Symbol(f"s{k}") for k, o in enumerate(inputs)}
    there = eg.to_sympy(expr, symbols)
    back = eg.from_sympy(there, {s: o for o, s in symbols.items()})
    for _ in range(4):
        values = {o: draw(o, d, rng) for o, d in zip(inputs, [*ROWS[name].domain, *ROWS[name].domain])}
        if name == "clip":
            values[inputs[2]] = values[inputs[1]] + 1
        want = value_of(expr, values)
        numbers = {s: S.sympify(values[o].item()) for o, s in symbols.items()}
        got = there.subs(numbers)
        assert (bool(got) if want.dtype == bool else float(got)) == pytest.approx(want, rel=1e-12, abs=1e-12)
        assert value_of(back, values) == pytest.approx(want, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", [r.name for r in ELEMENTWISE if r.name not in rows() and r.name not in FACTS] or ["none"])
def test_rows_that_sympy_does_not_have_are_refused_by_name(name: str) -> None:
    """A new row need not be known to sympy."""
    if name != "none":
        with pytest.raises(eg.UseError, match=name):
            eg.to_sympy(ROWS[name](*operands(name)))


def test_table_names_rows_only() -> None:
    assert set(rows()) <= set(ROWS) and set(FACTS) <= set(ROWS)


@pytest.mark.parametrize(("value", "want"), [
    (np.float32(0.5), S.Rational(1, 2)), (np.float64(-3), S.Integer(-3)), (2**62, S.Integer(2**62)), (np.float32(0.1), S.Float("0.1", 15)),
    (np.full(2, 0.1), S.Float("0.1", 17)), (np.inf, S.oo), (-np.inf, -S.oo), (True, S.true), (np.zeros(3), S.Integer(0))])
def test_constants(value: Any, want: Any) -> None:
    assert eg.to_sympy(eg.constant(value)) == want


@given(st.floats(allow_nan=False, width=32))
def test_float32_constants_come_back(number: float) -> None:
    back = eg.from_sympy(eg.to_sympy(eg.constant(np.float32(number))), {})
    assert np.float32(value_of(back, {})) == np.float32(number)


a, b, c = S.symbols("a b c")
flag = S.Symbol("flag")
x, y, n, p = eg.dscalar("x"), eg.dscalar("y"), eg.lscalar("n"), eg.tensor("p", "bool", ())
VALUES: dict[Out, Any] = {x: np.asarray(1.75), y: np.asarray(0.6), n: np.asarray(3), p: np.asarray(True)}
FROM = [
    a + b, a - b, -a, -a - b, a * b, a / b, -a / b, 3 * a / 4, a / 3, 2 / a, 1 / (a * b), a**2, a**-2, a**3, a**-3, S.sqrt(a),
    1 / S.sqrt(a), a**S.Rational(1, 3), a**b, 2**a, 2**(-c), a**(-b), S.exp(a) / 2, S.log(a, 2), S.pi * a, S.E * a, S.GoldenRatio + a,
    S.Rational(1, 3), S.Float("0.1"), S.oo, S.sin(1) * a, c / 2, c**-1, c**2 + 1, S.Mod(-c, 4), S.Abs(a - 2), S.sign(a - 2), S.floor(a),
    S.ceiling(a), S.atan2(a, b), S.Max(a, b, 1), S.Min(a, b, 1), S.Piecewise((a, a < b), (b, a > 5), (a * b, True)),
    S.Piecewise((a, a > b), (0, True)), S.Heaviside(a - b), S.sec(a) + S.cot(a), S.sech(a) + S.coth(a), S.erf(a), S.frac(a),
    S.Integer(10)**30 * a, S.diff(S.sqrt(a) * S.sin(b / a)**2 / 3 + S.Max(a, b, 0) - S.tan(a), a)]
TRUTHS = [a < b, a <= b, a > b, a >= b, S.Eq(a, b), S.Ne(a, b), S.And(a < b, b < 1), S.Or(a < b, b < 1), S.Not(flag), S.Xor(flag, a < b),
          S.Implies(flag, a < b), S.Equivalent(flag, a < b), S.ITE(flag, a < b, b < 1), S.true, S.false]


@pytest.mark.parametrize("expr", FROM + TRUTHS, ids=str)
def test_from_sympy(expr: Any) -> None:
    with eg.change_flags(floatX="float64"):
        made = eg.from_sympy(expr, {a: x, b: y, "c": n, flag: p})
    numbers = {a: VALUES[x].item(), b: VALUES[y].item(), c: 3, flag: S.true}
    want = expr.subs(numbers)
    got = value_of(made, VALUES)
    assert got == (bool(want) if got.dtype == bool else pytest.approx(float(want), rel=1e-12))


def test_spelling_of_quotients_and_powers() -> None:
    X, Y = eg.vectors("x", "y")
    found = [eg.pp(eg.from_sympy(e, {a: X, b: Y})) for e in (a / b, -a / b, a - b, a**2, 1 / a, S.sqrt(a), 1 / S.sqrt(a), 2 * a / 3)]
    assert found == ["x / y", "-(x / y)", "x - y", "sqr(x)", "reciprocal(x)", "sqrt(x)", "rsqrt(x)", "2 * x / 3"]


def test_piecewise_without_a_last_case_is_nan() -> None:
    assert np.isnan(value_of(eg.from_sympy(S.Piecewise((a, a > b)), {a: x, b: y}), {x: np.asarray(0.0), y: np.asarray(1.0)}))


def test_gradient_of_a_sum_in_sympy() -> None:
    v = eg.vector("v")
    slope = eg.to_sympy(eg.grad(eg.log(1 + eg.exp(-v)).sum(), v))
    symbol = S.Symbol("v")
    assert S.simplify(slope - S.diff(S.log(1 + S.exp(-symbol)), symbol)) == 0


def test_names_in_sympy() -> None:
    first, second, unnamed = eg.scalar("s"), eg.scalar("s"), eg.scalar()
    assert str(eg.to_sympy(first / second)) == "s/s_1"
    assert eg.to_sympy(unnamed).name == "x"
    late = eg.scalar()
    late.name = "late"
    assert eg.to_sympy(late + 1) == S.Symbol("late") + 1
    assert eg.to_sympy(eg.cast(eg.scalar("q") > 0, "float32")) == S.Piecewise((1, S.Symbol("q") > 0), (0, True))


m = eg.matrix("m")
UNKNOWN: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("reduction", lambda: eg.to_sympy(m.sum() + 1), TypeError, "sum has no counterpart"),
    ("transpose", lambda: eg.to_sympy(m.T + m), TypeError, "dimshuffle has no counterpart"),
    ("isnan", lambda: eg.to_sympy(eg.isnan(m)), TypeError, "isnan has no counterpart"),
    ("bits", lambda: eg.to_sympy(n & 3), TypeError, "and_ has no counterpart"),
    ("array", lambda: eg.to_sympy(m + np.float32([1, 2])), TypeError, "the constant of type float32"),
    ("symbol", lambda: eg.from_sympy(a + b, {a: x}), ValueError, "symbol b: pass {b: variable}"),
    ("function", lambda: eg.from_sympy(S.Function("f")(a), {a: x}), ValueError, "function f has no counterpart"),
    ("zeta", lambda: eg.from_sympy(S.zeta(a), {a: x}), ValueError, "function zeta"),
    ("complex", lambda: eg.from_sympy(S.I * a, {a: x}), ValueError, "constant I is not a real number"),
    ("zoo", lambda: eg.from_sympy(S.zoo, {}), ValueError, "constant zoo is not a real number")]


@pytest.mark.parametrize(("call", "error", "message"), [u[1:] for u in UNKNOWN], ids=[u[0] for u in UNKNOWN])
def test_what_has_no_counterpart(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value) and "test_convert.py:" in str(caught.value)


def nested(function: Any, value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = function(value)
    return value


def test_depth() -> None:
    """What sympy itself can hold goes both ways; beyond that an error says so."""
    there = eg.to_sympy(nested(eg.sin, x, 150))
    assert value_of(eg.from_sympy(there, {S.Symbol("x"): x}), VALUES) == pytest.approx(nested(np.sin, 1.75, 150), rel=1e-9)
    for convert in (eg.to_sympy, eg.latex):
        with pytest.raises(TypeError, match=r"nested too deeply for sympy(.|\n)*test_convert\.py"):
            convert(nested(eg.sin, x, 4000))


def test_networkx() -> None:
    v, w = eg.vector("v"), eg.shared(np.ones(3, "f"), "w")
    total = (eg.exp(v) / v + w).sum()
    total.name = "total"
    graph = eg.to_networkx(total)
    assert [graph.nodes[k]["op"] for k in graph] == ["input", "exp", "true_div", "shared", "add", "sum"]
    assert [(u, k, d["position"], d["output"]) for u, k, d in graph.edges(data=True)] == [
        (0, 1, 0, 0), (0, 2, 1, 0), (1, 2, 0, 0), (2, 4, 0, 0), (3, 4, 1, 0), (4, 5, 0, 0)]
    last = graph.nodes[5]
    assert (last["name"], last["type"], last["params"]) == ("total", "float32()", {"axis": (0,), "keepdims": False})
    assert "test_convert.py:" in last["source"] and graph.graph == {"inputs": [0, 3], "outputs": [5]}
    assert len(eg.to_networkx(v * v).edges) == 2


def test_networkx_of_functions_and_lists() -> None:
    v = eg.vector("v")
    f = eg.compile([v], [eg.exp(v), eg.sin(v)], device="numpy", optimizer="none")
    for thing in (f, f.graph, list(f.graph.outputs)):
        graph = eg.to_networkx(thing)
        assert graph.number_of_nodes() == 3 and graph.graph["outputs"] == [1, 2]


v, w = eg.vectors("v", "w")
LATEX = [
    (eg.log(1 + eg.exp(-v)), r"\log{\left(1 + e^{- v} \right)}"), (v / w, r"\frac{v}{w}"), (eg.vector("alpha") * v, r"\alpha v"),
    (m.sum(axis=0), r"\sum_{0} \left(m\right)"), (v.max(), r"\max \left(v\right)"), (m.T, r"{m}^{\top}"),
    (m @ (m + 1), r"m \left(m + 1\right)"),
    (m.shape[1], r"\left|m\right|_{1}"), (v[::-1], None), (eg.vector("a$} \\input{x"), r"\mathtt{a\$\}\ \backslash input\{x}"),
    (eg.take(v, [1, 0]), None), (eg.argmax(m, axis=1), r"\operatorname{argmax}_{1} \left(m\right)")]


@pytest.mark.parametrize(("expr", "text"), LATEX, ids=[str(k) for k in range(len(LATEX))])
def test_latex(expr: Any, text: str | None) -> None:
    found = eg.latex(expr)
    assert text is None or found == text
    bare = found.replace("\\{", "").replace("\\}", "")
    assert bare.count("{") == bare.count("}") and bare.count(r"\left") == bare.count(r"\right")


def test_latex_of_several_outputs_and_of_functions() -> None:
    v = eg.vector("v")
    text = "2 v\ne^{v}"
    f = eg.compile([v], [v * 2, eg.exp(v)], device="numpy", optimizer="none")
    assert eg.latex([v * 2, eg.exp(v)]) == eg.latex(f) == eg.latex(f.graph) == text
    with pytest.raises(TypeError, match=r"expected a symbol(.|\n)*test_convert\.py"):
        eg.latex({"a": 3})


def test_latex_is_bounded_G8() -> None:
    doubled = v
    for _ in range(60):
        doubled = eg.sin(doubled) * eg.cos(doubled)
    with pytest.raises(TypeError, match=r"more than 5000 terms(.|\n)*test_convert\.py"):
        eg.latex(doubled)
