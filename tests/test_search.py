"""The equality search: its equalities, what it makes of expressions at each level, its budget, its order, and how it is chosen and seen."""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.close import WIDER
from exprgraph.graph import order
from exprgraph.node import INPUT, Out
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rules.equalities import EQUALITIES
from exprgraph.search import searching
from tests.processes import python
from tests.rule_cases import specials
from tests.search_checks import CHECKS, check_exact, check_graph, check_once, check_real, counts, planned

PATTERNS = [r for r in EQUALITIES if r.pattern is not None]


@pytest.mark.parametrize("rule", PATTERNS, ids=lambda r: r.name)
def test_equalities_keep_what_their_tag_promises(rule: Rule) -> None:
    CHECKS[rule.tags[1]](rule)


PLANTED = [
    (check_exact, Rule("x - y turned", lambda x, y: x - y, lambda x, y: -(y - x)), "becomes"),
    (check_exact, Rule("max turned", lambda x, y: eg.maximum(x, y), lambda x, y: eg.maximum(y, x)), "becomes"),
    (check_exact, Rule("x % k", lambda x, k: eg.mod(x, k), lambda x, k: eg.and_(x, k - 1), kinds="i"), "int8"),
    (check_exact, Rule("idle", lambda x: eg.exp(x), lambda x: eg.exp(x)), "nowhere"),
    (check_once, Rule("x * k * k2", lambda x, k, k2: x * k * k2, lambda x, k, k2: x * (k * k2)), "for"),
    (check_real, Rule("exp(x) - exp(y)", lambda x, y: eg.exp(x) - eg.exp(y), lambda x, y: eg.exp(x - y)), "Not equal"),
]


@pytest.mark.parametrize("check, rule, where", PLANTED, ids=lambda r: getattr(r, "name", ""))
def test_planted_equalities_are_caught(check: Callable[[Rule], None], rule: Rule, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check(rule)


COUNT = 300
X, Y, Z = (eg.tensor(n, "float32", (COUNT,)) for n in "xyz")
I, J = (eg.tensor(n, "int32", (COUNT,)) for n in "ij")
A, B = eg.scalar("a"), eg.scalar("b")
POLYNOMIAL = 3 * X**8 + 2 * X**7 - X**6 + 4 * X**5 + X**4 - 5 * X**3 + 2 * X**2 + X - 7
TABLE = [
    ("polynomial", [POLYNOMIAL], {}, {"add": 5, "mul": 8, "sub": 3}),
    ("powers", [X**9 + X**6], {}, {"add": 1, "mul": 2, "sqr": 2}),
    ("two divisions", [X / A + Y / A], {}, {"add": 1, "mul": 1, "true_div": 1}),
    ("shared divisor", [X / Z, Y / Z, A / Z], {}, {"mul": 3, "true_div": 1}),
    ("scalar divisor", [X / A], {}, {"mul": 1, "true_div": 1}),
    ("nested quotients", [X / (Y / Z) / A], {}, {"mul": 2, "true_div": 1}),
    ("common factor", [X * Y + X * Z - X], {}, {"add": 1, "mul": 1, "sub": 1}),
    ("like terms", [X * Y + 2 * Y * X - Z], {}, {"mul": 2, "sub": 1}),
    ("exponentials", [eg.exp(X) * Y * eg.exp(Z) * eg.exp(A)], {}, {"add": 2, "exp": 1, "mul": 1}),
    ("exponential turned", [eg.exp(X) + eg.exp(-X)], {}, {"add": 1, "exp": 1, "true_div": 1}),
    ("logarithms", [eg.log(X) - eg.log(Y)], {}, {"log": 1, "true_div": 1}),
    ("roots", [eg.sqrt(X) * eg.sqrt(Y) / eg.sqrt(Z)], {}, {"mul": 1, "sqrt": 1, "true_div": 1}),
    ("gelu", [0.5 * X * (1 + eg.tanh(0.7978846 * (X + 0.044715 * X**3)))], {}, {"add": 2, "mul": 4, "sqr": 1, "tanh": 1}),
    ("odd function", [eg.erf(X - Y) + eg.erf(Y - X) * Z], {}, {"erf": 1, "mul": 1, "sub": 2}),
    ("choice", [eg.switch(X > 0, eg.exp(X), eg.exp(Y))], {"exp": 1, "gt": 1, "switch": 1}, {"exp": 1, "gt": 1, "switch": 1}),
    ("choice of sums", [eg.switch(X > 0, Y * Z, A * Z)], {"gt": 1, "mul": 1, "switch": 1}, {"gt": 1, "mul": 1, "switch": 1}),
    ("constants", [X * 3 * 5, 7 - (Y + 2), Z / 3 / 5], {"add": 0, "mul": 1, "sub": 1, "true_div": 1}, {"mul": 2, "sub": 1}),
    ("constants that round", [X * 0.1 * 0.3], {"mul": 2}, {"mul": 1}),
    ("squares of differences", [eg.sqr(X - Y) * Z, eg.sqr(Y - X)], {"mul": 1, "sqr": 1, "sub": 1}, {"mul": 1, "sqr": 1, "sub": 1}),
    ("comparisons", [eg.switch(X < Y, A, Z), Y > X], {"lt": 1, "switch": 1}, {"lt": 1, "switch": 1}),
    ("clamps", [eg.maximum(eg.maximum(X, 1), 2)], {"maximum": 1}, {"maximum": 1}),
    ("strength", [I // 8, I % 16, J * 4], {"and_": 1, "left_shift": 1, "right_shift": 1}, {"and_": 1, "left_shift": 1, "right_shift": 1}),
    ("ring", [I * 3 + J * 3 + I * 5 - J], {"add": 1, "left_shift": 2, "mul": 0}, {}),
    ("remainder beside quotient", [I // 7, I % 7], {"int_div": 1, "mul": 1, "sub": 1}, {"int_div": 1, "mul": 1, "sub": 1}),
    ("powers of integers", [I**5 - J], {"mul": 1, "sqr": 2, "sub": 1}, {"mul": 1, "sqr": 2, "sub": 1}),
]


def values_of(outputs: list[Out], benign: bool) -> dict[Any, Any]:
    """Numbers for the symbols of an expression: special ones in all kinds of pairs, or such as rounding does no harm to."""
    rng, found = np.random.default_rng(11), {}
    for symbol in (X, Y, Z, I, J, A, B):
        size = () if not symbol.ndim else (COUNT,)
        if symbol.dtype == "float32":
            pool = rng.uniform(0.4, 1.9, 64).astype("float32") if benign else specials("float32")
        else:
            pool = specials("int32")
        found[symbol.node] = rng.choice(pool, size)
    return found


@pytest.mark.parametrize("name, outputs, default, unsafe", TABLE, ids=lambda v: v if isinstance(v, str) else "")
def test_operations(name: str, outputs: list[Out], default: dict[str, int], unsafe: dict[str, int]) -> None:
    plain = counts(planned(outputs, "default", "-search"))
    check_graph(outputs, values_of(outputs, False), "default", "-stable")
    stable = check_graph(outputs, values_of(outputs, True), "default")
    real = check_graph(outputs, values_of(outputs, True), "unsafe")
    assert not default and counts(stable) == plain or {k: counts(stable).get(k, 0) for k in default} == default
    assert {k: counts(real).get(k, 0) for k in unsafe} == unsafe and (not unsafe or set(counts(real)) <= set(unsafe))


UNARY = (eg.exp, eg.tanh, eg.sqr, eg.abs, eg.sqrt, eg.log, eg.neg, eg.sin, eg.cos, eg.erf, eg.sigmoid, eg.sign)
BINARY = (eg.add, eg.sub, eg.mul, eg.true_div, eg.maximum, eg.minimum)
NUMBERS = (2.0, 3.0, 0.5, -1.5, 0.1, 5.0)
WHOLE_UNARY = (eg.neg, eg.sqr, eg.abs, eg.sign)
WHOLE_BINARY = (eg.add, eg.sub, eg.mul, eg.int_div, eg.mod, eg.maximum)


@st.composite
def expressions(draw: Any, dtype: str = "float32", unary: Any = UNARY, binary: Any = BINARY, numbers: Any = NUMBERS,
                choices: bool = True, shapes: Any = ((COUNT,), (COUNT,), ())) -> list[Out]:
    """One or two expressions that share parts, of a few operations on some tensors and numbers."""
    pool = [eg.tensor(f"x{k}", dtype, shape) for k, shape in enumerate(shapes)]
    for _ in range(draw(st.integers(2, 12))):
        def pick() -> Out:
            return pool[-1 - draw(st.integers(0, min(len(pool) - 1, 4)))]
        kind = draw(st.integers(0, 7))
        if kind == 0:
            made = draw(st.sampled_from(unary))(pick())
        elif kind < 3:
            made = draw(st.sampled_from(binary))(pick(), draw(st.sampled_from(numbers)))
        elif kind == 3:
            made = pick() ** draw(st.sampled_from((2, 3, 5)))
        elif kind == 4 and choices:
            made = eg.switch(pick() < pick(), pick(), pick())
        else:
            made = draw(st.sampled_from(binary))(pick(), pick())
        pool.append(made)
    return pool[-draw(st.integers(1, 2)):]


def drawn_values(outputs: list[Out], pool: Any) -> dict[Any, Any]:
    rng = np.random.default_rng(3)
    leaves = [n for n in order(outputs) if n.op is INPUT]
    return {n: rng.choice(pool, tuple(d.const for d in n.outs[0].shape)).astype(n.outs[0].dtype) for n in leaves}


@given(expressions())
@settings(max_examples=50, deadline=None)
def test_without_real_and_stable_equalities_every_bit_stays(outputs: list[Out]) -> None:
    check_graph(outputs, drawn_values(outputs, specials("float32")), "default", "-stable")


@given(expressions("int32", WHOLE_UNARY, WHOLE_BINARY, (2, 3, 8, 5, -1, 16)))
@settings(max_examples=50, deadline=None)
def test_every_bit_of_integers_stays(outputs: list[Out]) -> None:
    check_graph(outputs, drawn_values(outputs, specials("int32")), "default", "-stable")


@given(expressions("uint8", (eg.sqr,), WHOLE_BINARY[:5], (2, 3, 8, 5, 16)))
@settings(max_examples=50, deadline=None)
def test_every_bit_of_small_unsigned_integers_stays(outputs: list[Out]) -> None:
    check_graph(outputs, drawn_values(outputs, np.arange(256)), "default", "-stable")


@given(expressions())
@settings(max_examples=50, deadline=None)
def test_with_stable_equalities_results_are_close(outputs: list[Out]) -> None:
    check_graph(outputs, drawn_values(outputs, specials("float32")), "default")


MIXED = ((20, 15), (20, 1), (1, 15), (15,), ())


@given(expressions(shapes=MIXED))
@settings(max_examples=60, deadline=None)
def test_tensors_of_several_shapes(outputs: list[Out]) -> None:
    """Each form has the shape of what was written, and is close to it where nothing overflows."""
    check_graph(outputs, drawn_values(outputs, specials("float32")), "default", "-stable")
    made = planned(outputs, "unsafe")
    assert [o.type for o in made] == [o.type for o in planned(outputs, "unsafe", "-search")]
    with np.errstate(all="ignore"):
        evaluate(made, drawn_values(outputs, np.linspace(0.4, 1.9, 64)))


@given(expressions("float64", UNARY[:-1], choices=False))
@settings(max_examples=50, deadline=None)
def test_real_equalities_on_benign_numbers(outputs: list[Out]) -> None:
    """In digits beyond the dtype's both forms agree wherever nothing on the way is huge."""
    values = drawn_values(outputs, np.linspace(0.4, 1.9, 64))
    plain = planned(outputs, "unsafe", "-search")
    inner = [Out(n) for n in order(plain) if n.op.kind == "elementwise"]
    with np.errstate(all="ignore"):
        before, after = evaluate(plain, values, WIDER), evaluate(planned(outputs, "unsafe"), values, WIDER)
        calm = np.all([np.broadcast_to(np.abs(v) < 1e3, (COUNT,)) for v in evaluate(inner, values)], axis=0)
        for old, new in zip(before, after):
            apart = np.broadcast_to(np.abs(new - old) / np.maximum(1, np.abs(old)), (COUNT,))[calm]
            assert (apart <= 1e-9).all()


def test_the_text_depends_on_no_hash_seed() -> None:
    """Two processes find the same forms in the same order."""
    text = """
        import exprgraph as eg
        from tests.search_checks import planned
        x, y, z = (eg.tensor(n, "float32", (9,)) for n in "xyz")
        e = eg.exp(x) * eg.exp(y) / (1 + eg.sqr(x - y)) + 3 * x**5 + x**4 - x * z / y + z / y + eg.log(x) + eg.log(z) + eg.erf(y - x)
        made = planned([e, eg.erf(x - y) / y, e * e / y], "unsafe")
        print([eg.pp(o) for o in made], [n.op.name for n in eg.graph.order(made)])
    """
    first, second = (python(text, PYTHONHASHSEED=n, EXPRGRAPH_CACHE="off") for n in (1, 2))
    assert first.stdout == second.stdout and len(first.stdout) > 100, first.stderr + second.stderr


def test_a_search_keeps_its_budget() -> None:
    """Of a graph beyond the budget the first regions are improved and the rest stays, whatever the machine's speed."""
    e, steps = X, list[int]()
    for k in range(150):
        e = eg.tanh(X * e * 2 + X * Y + e / (Y + k))
    real = searching.improvement

    def counted(region: Any, rules: Any, clock: Any) -> Any:
        left = clock.left
        found = real(region, rules, clock)
        steps.append(left - clock.left)
        return found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "improvement", counted)
        patch.setattr(searching, "STEPS", 6_000)
        made = planned([e], "unsafe")
    assert sum(steps) < 2 * 6_000 and 0 < len(steps) < 20 and counts(made)["tanh"] == 150


def test_equalities_are_chosen_like_rules() -> None:
    e = [X * 3 * 5 + eg.switch(X > 0, eg.exp(X), eg.exp(Y))]
    assert counts(planned(e))["exp"] == 1 and counts(planned(e))["mul"] == 1
    assert counts(planned(e, "default", "-choices"))["exp"] == 2
    assert counts(planned(e, "default", "-stable"))["mul"] == 2
    assert counts(planned(e, "fast_compile"))["exp"] == 2 and counts(planned(e, "fast_compile", "+search"))["exp"] == 1
    assert counts(planned([X / A + Y / A], "default", "+quotients"))["true_div"] == 1
    assert str(eg.rule_table("sharing")).count("turned") == len(eg.rule_table("sharing").rules) == 6
    mode = eg.Mode().excluding("search").including("common factors")
    assert mode.chosen == ("-search", "+common factors")


def test_what_was_used_is_told_with_the_lines_of_all_that_it_covers() -> None:
    first = X * 3
    second = first * 5
    f = eg.compile([X, I], [second + 1, I // 8], device="pocl", name="told")
    np.testing.assert_array_equal(f(np.ones(COUNT, "float32"), np.full(COUNT, -9, "int32"))[1], -2)
    plan = f.passes().halves[1]
    used = {r.rule.name: r for r in plan.rules}
    assert used["x * k * k2"].inexact and not used["shifts"].inexact and [r.rule.name for r in plan.numerics] == ["x * k * k2"]
    made = next(n for n in order(plan.after.outputs) if n.op.name == "mul")
    start = test_what_was_used_is_told_with_the_lines_of_all_that_it_covers.__code__.co_firstlineno
    assert {s.line for s in made.sources} == {start + 1, start + 2}


def test_debug_mode_compares_what_the_search_finds() -> None:
    f = eg.compile([X, Z], [X / Z + Y_OF_X, eg.exp(X) * eg.exp(Z) / Z], device="pocl", mode=eg.DebugMode(optimizer="unsafe"))
    f(np.linspace(0.5, 1, COUNT, dtype="float32"), np.linspace(1, 2, COUNT, dtype="float32"))
    assert any("x / y shared" in r.name or "common factors" in r.name for r in f.debug.rows) and not any(r.wrong for r in f.debug.rows)


Y_OF_X = X * X * 3


def test_sizes_and_positions_are_left_alone() -> None:
    """What a length or an index is computed from has an algebra of its own."""
    n = eg.lscalar("n")
    made = planned([X[I * 4 + J * 4], eg.arange(n * 8).sum(), I * 4])
    assert counts(made)["mul"] == 3 and "left_shift" not in counts(made)


def test_no_condition_on_sizes_is_made_that_the_user_did_not_write() -> None:
    """Sizes that no call has decided yet stay apart."""
    x, y, z = eg.vector("x"), eg.vector("y"), eg.vector("z")
    assert counts(planned([x / y + z / y], "unsafe")) == {"add": 1, "true_div": 2}
    f = eg.compile([x, y, z], x / y + z / y, optimizer="unsafe", device="pocl")
    assert f([1, 2], [2, 4], [5, 6]).tolist() == [3, 2] and f([1, 2], [2], [5, 6]).tolist() == [3, 4]
    assert all("common factors" in str(h) for h in f.passes().halves[1:])


def test_rows_share_what_is_computed_once_for_each() -> None:
    """A divisor of each row is turned over once per row, not once per element."""
    m = eg.tensor("m", "float32", (20, 30))
    d = eg.tensor("d", "float32", (20, 1))
    made = planned([m / d], "unsafe")
    assert counts(made) == {"mul": 1, "true_div": 1} and made[0].node.op.name == "mul"


SYMPY_TABLE = [
    ("angles", [eg.sqr(eg.sin(X)) * eg.exp(Y) + eg.sqr(eg.cos(X)) * eg.exp(Y)], {"exp": 1}),
    ("polynomial", [X**3 + 3 * X**2 + 3 * X + 1], {"add": 1, "mul": 1, "sqr": 1}),
    ("nothing better", [eg.tanh(X) + Y], {"add": 1, "tanh": 1}),
    ("no counterpart", [eg.isnan(X) * 1.0 + X * Y + X * Z], {}),
]


@pytest.mark.parametrize("name, outputs, wanted", SYMPY_TABLE, ids=lambda v: v if isinstance(v, str) else "")
def test_the_opinion_of_sympy(name: str, outputs: list[Out], wanted: dict[str, int]) -> None:
    pytest.importorskip("sympy")
    made = check_graph(outputs, values_of(outputs, True), "default", "+sympy")
    assert not wanted or counts(made) == wanted


def test_sympy_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sympy")
    outputs = SYMPY_TABLE[0][1]
    f = eg.compile([X, Y], outputs, simplify="sympy", device="pocl")
    plain = eg.compile([X, Y], outputs, device="pocl")
    values = (np.linspace(0, 1, COUNT, dtype="float32"),) * 2
    np.testing.assert_allclose(f(*values)[0], plain(*values)[0], rtol=1e-6)
    assert "sympy" in str(f.passes()) and "sympy" not in str(plain.passes())
    with eg.change_flags(simplify="sympy"):
        assert "sympy" in str(eg.compile([X, Y], outputs, device="pocl").passes())
    assert "=sympy" in eg.compile([X], X, mode=eg.Mode().including("sympy"), device="numpy")._program.options["chosen"]
    with pytest.raises(eg.GraphError, match="simplify='maple': expected one of 'none', 'sympy'"):
        eg.compile([X], X, simplify="maple")
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(eg.OptionError, match=r"sympy is not installed: pip install sympy\n  at .*test_search.py"):
        eg.compile([X], X, simplify="sympy", device="numpy")
