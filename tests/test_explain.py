"""explain(): every node's value in a table, and the first that goes wrong."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import exprgraph as eg

F = np.float32


def test_a_healthy_expression() -> None:
    x, w = eg.matrix("x"), eg.shared(F([1, 2]), "w")
    h = x @ w
    h.name = "h"
    found = eg.explain(eg.tanh(h).sum(), {x: [[0, 1], [2, 3]]})
    assert found.first_bad is None and str(found).endswith("nothing is wrong") and "test_explain.py:" in str(found)
    assert [r.node.op.name for r in found.rows if r.source is not None][0] == "input"
    row = next(r for r in found.rows if r.text.endswith("= h"))
    assert (row.dtype, row.shape, float(row.low), float(row.high), row.nans, row.infs) == ("float32", (2,), 2, 8, 0, 0)
    assert found.rows[-1].shape == () and len(found.rows) == found.total and repr(found) == str(found)


BAD: list[tuple[str, Any, Any, str, str]] = [
    ("log of zero", lambda x: eg.log(x) * 2, [1, 0], "log", "an infinity"),
    ("overflow", lambda x: eg.log(1 + eg.exp(x)), [800], "exp", "an infinity"),
    ("root of less than zero", lambda x: eg.sqrt(x).sum(), [-1], "sqrt", "NaN"), ("inf - inf", lambda x: x - x, [np.inf], "sub", "NaN"),
    ("0 / 0", lambda x: 1 + x / x, [0], "true_div", "NaN"), ("sum", lambda x: (x * 1).sum(), [3e38, 3e38], "sum", "an infinity"),
    ("sizes", lambda x: x + eg.constant(np.ones(3, F)), [1, 2], "add", "3"),
    ("index", lambda x: x.sum() + x[5], [1, 2], "subtensor", "5 is out of"),
    ("index from the end", lambda x: x[-5] * 1, [1, 2], "subtensor", "index -5 is out of bounds"),
    ("gather", lambda x: eg.take(x, np.array([0, 9])), [1, 2], "take", "9"),
    ("product", lambda x: x @ eg.ones((3,)), [1, 2], "specify_shape", "3"),
    ("assertion", lambda x: eg.Assert("positive")(x, x > 0), [-1], "assert", "positive"),
    ("assertion on sizes", lambda x: eg.Assert("long")(x, x.shape[0] > 5), [1], "assert", "long"),
    ("power", lambda x: eg.cast(x, "int32") ** eg.cast(x - 3, "int32"), [1, 2], "pow", "negative integer powers")]


@pytest.mark.parametrize(("make", "value", "op", "problem"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_the_first_bad_node(make: Any, value: Any, op: str, problem: str) -> None:
    x = eg.vector("x")
    found = eg.explain(make(x), {x: F(value)})
    bad = found.first_bad
    assert bad is not None and bad.node.op.name == op and problem in str(bad.problem)
    assert f"<- {bad.problem}" in str(found) and f"first bad: #{bad.number} {bad.text}" in str(found)
    assert "at " in str(found).splitlines()[-1] and "test_explain.py" in str(found).splitlines()[-1]


def test_what_comes_with_the_data_is_not_blamed() -> None:
    x = eg.vector("x")
    found = eg.explain(eg.exp(x) + 1, {x: F([np.nan, np.inf, 1])})
    assert found.first_bad is None and "1 NaN; 1 inf" in str(found) and found.rows[0].high == 1
    masked = eg.where(x > 0, x, -np.inf)
    assert eg.explain(eg.softmax(masked), {x: F([1, -1])}).first_bad is None


def test_as_written_or_as_optimised() -> None:
    x = eg.vector("x")
    y = eg.log(1 + eg.exp(x))
    assert eg.explain(y, {x: [800]}).first_bad is not None
    found = eg.explain(y, {x: [800]}, optimized=True)
    assert found.first_bad is None and "softplus" in str(found) and found.rows[-1].high == 800


def test_test_values_names_functions_and_lists() -> None:
    x, y = eg.vector("x"), eg.scalar("y")
    x.tag.test_value, y.tag.test_value = F([1, 2]), 3
    assert eg.explain(x * y).rows[-1].high == 6 and eg.explain(x * y, {"y": 5}).rows[-1].high == 10
    assert eg.get_test_value(x * y).tolist() == [3, 6] and eg.get_test_value(eg.shared(F(2))) == 2
    f = eg.compile([x, y], [x * y, x - y], device="numpy")
    assert len(eg.explain(f, {x: [4], y: 1}).rows) == 4 and len(eg.explain([x * y, x - y]).rows) == 4
    assert x.tag.test_value.tolist() == [1, 2]


def wrong() -> list[tuple[Any, type[Exception], str]]:
    x = eg.vector("x")
    return [(lambda: eg.explain(x + 1), eg.MissingInputError, "x, declared at .*has no value"),
            (lambda: eg.explain(3), eg.UseError, "expected a symbol"),
            (lambda: eg.explain(x + 1, {"z": 1}), eg.UseError, "no input has this name"),
            (lambda: eg.explain(x + 1, {x: 1}), eg.CallError, "explain: x is float32 with 1 axis"),
            (lambda: eg.get_test_value(x), eg.MissingInputError, "test_value")]


@pytest.mark.parametrize("case", range(5))
def test_wrong_uses_G6(case: int) -> None:
    act, error, message = wrong()[case]
    with pytest.raises(error, match=message) as caught:
        act()
    assert "test_explain.py" in str(caught.value)


def test_kinds_of_values() -> None:
    x, e, b = eg.lvector("x"), eg.vector("e"), eg.tensor("b", "bool", ())
    text = str(eg.explain([x * 2, e.sum(), e * 1, ~b], {x: [3, -4], e: [], b: True}))
    assert "-8 to 6" in text and "bool" in text and "False" in text
    row = eg.explain(e * 1, {e: []}).rows[-1]
    assert row.shape == (0,) and row.low is None


def test_sizes_that_values_decide() -> None:
    x = eg.vector("x")
    out = eg.unique(x[eg.nonzero(x)[0]])
    assert [r.shape for r in eg.explain(out, {x: [2, 0, 2, 1]}).rows][-1] == (2,)
    bad = eg.explain(eg.unique(x).reshape((2, 2)), {x: [1, 2, 2]}).first_bad
    assert bad is not None and bad.node.op.name == "reshape" and "2" in str(bad.problem)


def test_explain_is_bounded_G8() -> None:
    x = eg.vector("x")
    y = x
    for _ in range(8_000):
        y = -y
    bad = 1 / eg.floor(y * 0)
    for _ in range(8_000):
        bad = -bad
    start = time.perf_counter()
    found = eg.explain(bad, {x: [1, 2]})
    text = str(found)
    assert time.perf_counter() - start < 24 and len(text) < 20_000 and len(found.rows) == found.total == 16_004
    assert found.first_bad is not None and found.first_bad.node.op.name == "true_div" and f"#{found.first_bad.number}" in text
    assert "... 60 of 16004 tensors are shown" in text and len(str(eg.explain(bad, {x: [1]}, limit=10))) < 3_000


@pytest.mark.parametrize("name", ["a\nb", "\u202e", "n" * 300, "*/"], ids=ascii)
def test_hostile_names_stay_on_their_line_H1(name: str) -> None:
    x = eg.vector(name)
    lines = str(eg.explain(x + 1, {x: [1]})).split("\n")
    assert len(lines) == 4 and all(line.isprintable() and len(line) < 250 for line in lines)


def test_no_module_takes_the_name_of_a_public_function() -> None:
    """Loading a module sets its name in the package: what is loaded late must not be hidden by that, in whatever order it is asked for."""
    late = eg._LATE
    assert not [n for n, module in late.items() if module == f"exprgraph.{n}" and n not in eg._ROOMS]
