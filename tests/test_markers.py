"""Print and Assert: what is printed and when, what is checked and when, and that neither changes anything else."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.merge import merge
from exprgraph.node import Graph
from exprgraph.ops.markers import AssertionFault
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads
from tests.faults import WAYS
from tests.plan_runner import CPU, GPU, interpret

F = np.float32
EVERYWHERE = pytest.mark.parametrize("way", WAYS)


def compiled(way: str, *args: Any, **options: Any) -> Any:
    return eg.compile(*args, **options, **WAYS[way])


# ---- Print -------------------------------------------------------------------------------------------------------------------------

@EVERYWHERE
def test_print_shows_values_at_each_call(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    x = eg.vector("x")
    f = compiled(way, [x], eg.exp(eg.Print("sum of x")(x.sum())) * eg.Print("x is", attrs=("shape", "dtype", "min"))(x))
    f([0, 0]), f([1, -1, 0])
    assert capsys.readouterr().out == (
        "sum of x __str__ = 0.0\nx is shape = (2,)\nx is dtype = float32\nx is min = 0.0\n"
        "sum of x __str__ = 0.0\nx is shape = (3,)\nx is dtype = float32\nx is min = -1.0\n")


@EVERYWHERE
def test_print_of_all_that_a_value_may_be(way: str) -> None:
    """Inputs, shared variables, constants, results that are printed and returned, dead ends of the optimiser, Print of Print."""
    seen: list[Any] = []
    show = eg.Print("name", global_fn=lambda op, value: seen.append((op.message, value.tolist())))
    x, w, c = eg.vector("x"), eg.shared(F([5, 6]), "w"), eg.constant(F([7]))
    y = show(show(x) * show(w) + show(c))
    f = compiled(way, [x], [y, show(x.astype("int32")) * 0], updates={w: w + show(y * 0 + 1)})
    result = f([1, 2])
    assert result[0].tolist() == [12, 19] and result[1].tolist() == [0, 0] and w.get_value().tolist() == [6, 7]
    assert sorted(v for _, v in seen) == sorted([[1, 2], [5, 6], [7], [12, 19], [1, 2], [1, 1]]) and {m for m, _ in seen} == {"name"}
    result[0][...] = 0
    assert f([1, 2])[0].tolist() == [13, 21]


@EVERYWHERE
def test_print_does_not_stand_in_the_way_of_the_optimiser(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    x = eg.vector("x")
    f = compiled(way, [x], eg.log(1 + eg.Print("e")(eg.exp(x))))
    assert f([100]).tolist() == [100] and "e __str__ = [inf]" in capsys.readouterr().out


@EVERYWHERE
def test_a_failed_call_prints_nothing(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    x, i, n = eg.vector("x"), eg.lvector("i"), eg.shared(0, "n")
    f = compiled(way, [x, i], eg.Print("x")(x)[i], updates={n: n + 1})
    with pytest.raises(IndexError):
        f([1, 2], [5])
    assert capsys.readouterr().out == "" and n.get_value() == 0
    f([1, 2], [1])
    assert capsys.readouterr().out == "x __str__ = [1. 2.]\n"


@EVERYWHERE
def test_print_in_parts_and_copies_of_functions(way: str) -> None:
    seen: list[float] = []
    x, s = eg.scalar("x"), eg.shared(F(1), "s")
    f = compiled(way, [x], {"a": eg.Print(global_fn=lambda op, v: seen.append(float(v)))(x + 1), "b": x * 2}, updates={s: s + x})
    f(1), f(2, output_subset=["b"]), f.copy(delete_updates=True)(3), f.copy(swap={s: eg.shared(F(0), "t")})(4)
    assert seen == [2, 3, 4, 5] and s.get_value() == 4
    assert "2 outputs and 1 update" in repr(f)


@EVERYWHERE
def test_the_gradient_goes_through_print_and_assert(way: str) -> None:
    x = eg.vector("x")
    show = eg.Print(global_fn=lambda op, value: None)
    plain, marked = (eg.grad((make(x) ** 3).sum(), x) for make in (lambda v: v, lambda v: show(eg.assert_op(v, v > -9))))
    f = compiled(way, [x], [plain, marked])
    a, b = f([1, 2, -3])
    np.testing.assert_array_equal(a, b)


def test_second_gradient_of_markers() -> None:
    show = eg.Print(global_fn=lambda op, value: None)
    check_grads(lambda v: eg.Assert("small")(show(v) * v, v < 9).sum(), [np.array([1.0, 2.0])], order=2)


def test_markers_never_merge() -> None:
    x = eg.vector("x")
    for mark in (eg.Print("p"), lambda v: eg.Assert("a")(v, v > 0)):
        graph = merge(Graph((x,), (mark(x) + mark(x),)))
        left, right = graph.outputs[0].node.inputs
        assert left.node is not right.node


WRONG = [("attrs of text", lambda x: eg.Print("a", attrs="shape"), "attrs"),
         ("attrs of numbers", lambda x: eg.Print("a", attrs=(1,)), "attrs"),
         ("message", lambda x: eg.Assert(3)(x, x > 0), "message"), ("no condition", lambda x: eg.Assert("a")(x), "no condition"),
         ("no attribute", lambda x: eg.compile([x], eg.Print(attrs=("size_of",))(x), device="numpy")([1]), "size_of")]


@pytest.mark.parametrize(("act", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_markers_G6(act: Any, message: str) -> None:
    with pytest.raises((TypeError, AttributeError), match=message):
        act(eg.vector("x"))


def test_printing_has_the_names_of_theano() -> None:
    x = eg.vector("x")
    assert eg.printing.pp(x + 1) == eg.pp(x + 1) and eg.printing.Print is eg.Print
    assert eg.printing.debugprint(x, file="str") == eg.debugprint(x, file="str") and eg.printing.pydotprint is eg.pydotprint


def test_markers_in_text() -> None:
    x = eg.vector("x")
    assert eg.pp(eg.Print("hello")(x)) == "print(x, message='hello')"
    assert eg.pp(eg.Assert("is it")(x, x.sum() > 0)) == "assert(x, sum(x) > 0, message='is it')"


# ---- Assert --------------------------------------------------------------------------------------------------------------------------

CONDITIONS = {
    "elements": (lambda x, y: x > 0, [1, 2], [1, -2]), "scalar": (lambda x, y: x.sum() > 0, [3, -2], [-3, 2]),
    "integers": (lambda x, y: x.astype("int32"), [1, 2], [1, 0]), "two": (lambda x, y: (x[0] > 0) & (x[1] < 5), [1, 2], [1, 7]),
    "not a number": (lambda x, y: ~eg.isnan(x), [1, 2], [1, np.nan])}


USES = {"itself": lambda y: y, "sum": lambda y: eg.exp(y).sum(), "section": lambda y: y[::-1] * 2, "broadcast": lambda y: y[:, None] * y,
        "product": lambda y: y @ y}


@EVERYWHERE
@pytest.mark.parametrize(("name", "used"), [("elements", u) for u in USES] + [(c, "sum") for c in CONDITIONS if c != "elements"])
def test_assert(way: str, name: str, used: str) -> None:
    use, (condition, good, bad) = USES[used], CONDITIONS[name]
    x, n = eg.vector("x"), eg.shared(0, "n")
    f = compiled(way, [x], use(eg.Assert("x is {wrong} 100%")(x, condition(x, None))), updates={n: n + 1})
    plain = compiled(way, [x], use(x))
    for turn in (1, 2):
        np.testing.assert_array_equal(f(F(good)), plain(F(good)))
        with pytest.raises(AssertionError, match=r"x is \{wrong\} 100%\n  at .*test_markers\.py:\d+") as caught:
            f(F(bad))
        assert type(caught.value) is AssertionFault and n.get_value() == turn


SIZES = {
    "equal": (lambda x, y: eg.eq(x.shape[0], y.shape[0]), (3, 3), (3, 2)), "more": (lambda x, y: x.shape[0] > 0, (1, 1), (0, 1)),
    "not more": (lambda x, y: x.shape[0] <= y.shape[0] * 2, (4, 2), (5, 2)), "less": (lambda x, y: x.shape[0] < 5, (4, 1), (5, 1)),
    "both": (lambda x, y: (x.shape[0] >= 1) & eg.eq(y.shape[0] % 2, 0), (1, 2), (1, 3))}


@EVERYWHERE
@pytest.mark.parametrize("name", SIZES)
def test_assert_about_sizes_holds_for_tensors_without_elements_too(way: str, name: str) -> None:
    condition, good, bad = SIZES[name]
    x, y = eg.vector("x"), eg.vector("y")
    f = compiled(way, [x, y], eg.assert_op(x, condition(x, y), message="sizes") * 2, on_unused_input="ignore")
    assert f(*(np.ones(n, F) for n in good)).tolist() == [2] * good[0]
    with pytest.raises(AssertionFault, match=r"sizes\n  at .*test_markers\.py"):
        f(*(np.ones(n, F) for n in bad))
    assert "flags" not in f.source()


@EVERYWHERE
def test_assert_of_constants(way: str) -> None:
    x = eg.vector("x")
    assert compiled(way, [x], eg.Assert("fine")(x, True, 1))([1]).tolist() == [1]
    f = compiled(way, [x], eg.Assert("never")(x, False))
    with pytest.raises(AssertionFault, match="never"):
        f([1])
    with pytest.raises(AssertionFault, match="as long"):
        eg.Assert("as long")(x, eg.eq(eg.zeros(2).shape[0], 3))


@EVERYWHERE
def test_an_assertion_on_a_result_that_nobody_needs_is_not_checked(way: str) -> None:
    x = eg.vector("x")
    y = eg.Assert("positive")(x, x > 0)
    f = compiled(way, [x], [x * 2, y], on_unused_input="ignore")
    assert f([-1], output_subset=[0])[0].tolist() == [-2]
    with pytest.raises(AssertionFault):
        f([-1])


@EVERYWHERE
def test_assert_does_not_stand_in_the_way_of_the_optimiser(way: str) -> None:
    """What is asserted inside comes out at the results, with the line of the assertion."""
    x = eg.vector("x")
    e = eg.Assert("finite")(eg.exp(x), x < 900)
    out = eg.log(1 + e)
    f = compiled(way, [x], [out, out, e.sum(), x * 2])
    assert [n.op.name for n in f.maker.fgraph.toposort()].count("softplus") == 1
    assert f([100])[0].tolist() == [100] and f([])[2] == 0
    with pytest.raises(AssertionFault, match=rf"finite\n  at .*test_markers\.py:{min(e.node.sources).line}$"):
        f([1000])
    assert f([1000], output_subset=[3])[0].tolist() == [2000]


@EVERYWHERE
def test_markers_about_sizes_that_a_call_computes(way: str) -> None:
    """The call reads the size between two stages; whatever stage an assertion belongs to, it comes before the update."""
    seen: list[Any] = []
    x, n = eg.vector("x"), eg.shared(0, "n")
    found = eg.Print(global_fn=lambda op, value: seen.append(value.tolist()))(x[eg.nonzero(x)[0]])
    out = eg.Assert("two of them")(found * 2, found.shape[0] > 1, found.sum() < 9)
    f = compiled(way, [x], out, updates={n: n + 1})
    assert f([1, 0, 3]).tolist() == [2, 6] and f.copy(delete_updates=True)([0, 1, 1]).tolist() == [2, 2]
    for bad in ([1, 0, 0], [8, 8, 8]):
        with pytest.raises(AssertionFault, match="two of them"):
            f(bad)
    f.free()
    assert f([1, 2, 0]).tolist() == [2, 4] and n.get_value() == 2 and seen == [[1, 3], [1, 1], [1, 2]]


@EVERYWHERE
def test_assertions_inside_conditions_and_updates(way: str) -> None:
    x, s = eg.vector("x"), eg.shared(F(1), "s")
    inner = eg.Assert("inner")(x, x > 0)
    outer = eg.Assert("outer")(x * 2, inner.sum() < 10)
    f = compiled(way, [x], updates={s: s + outer.sum()})
    f([1, 2])
    for value, message in (([-1, 2], "inner"), ([5, 6], "outer")):
        with pytest.raises(AssertionFault, match=message):
            f(value)
    assert s.get_value() == 7


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_assert_in_the_interpreter(target: Any) -> None:
    x = eg.vector("x")
    out = eg.Assert("positive")(x, x > 0) * 2
    graph = Graph((x,), (out,))
    for value in ([], [1], [1, 2, 3]):
        got, = interpret(graph, [x.node], [F(value)], target)
        np.testing.assert_array_equal(got, evaluate([out], {x.node: F(value)})[0])
    with pytest.raises(AssertionFault, match=r"positive\n  at .*test_markers"):
        interpret(graph, [x.node], [F([1, -1])], target)


@EVERYWHERE
def test_markers_of_complex_and_short_floats(way: str) -> None:
    seen: list[Any] = []
    z, h = eg.cvector("z"), eg.tensor("h", "float16", (None,))
    shown = eg.Print(global_fn=lambda op, value: seen.append(value.tolist()))(z)
    f = compiled(way, [z, h], [eg.Assert("z is 0")(shown * 1j, abs(z) > 0), eg.Assert("h")(h, h > 0) * 2])
    a, b = f(np.complex64([1, 2j]), np.float16([1]))
    assert a.tolist() == [1j, -2] and b.tolist() == [2] and b.dtype == "float16" and seen == [[1, 2j]]
    with pytest.raises(AssertionFault, match="z is 0"):
        f(np.complex64([1, 0]), np.float16([1]))
    loss = lambda v: eg.real(v * eg.conj(v)).sum()  # noqa: E731
    plain, marked = eg.grad(loss(z), z), eg.grad(loss(eg.Assert("z is 0")(shown, abs(z) > 0)), z)
    np.testing.assert_array_equal(*compiled(way, [z], [plain, marked])(np.complex64([1 + 2j])))


def test_markers_keep_types_and_sizes() -> None:
    x = eg.tensor("x", "int8", (3, None))
    for y in (eg.Print("p")(x), eg.Assert("a")(x, x > 0)):
        assert y.type == x.type and y.shape[0].eval({x: np.ones((3, 2), "int8")}) == 3


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_checked_integers(device, schedule):
    """The row that functions check counts and positions with: the values themselves, or the first bad one and its limit."""
    i, n = eg.ivector("i"), eg.lscalar("n")
    f = eg.compile([i, n], ROWS["checked"](i, i < n, n, message="{index} is not below {size}") * 2, device=device, schedule=schedule)
    assert f(np.array([1, 0, -3], "int32"), 2).tolist() == [2, 0, -6] and f(np.zeros(0, "int32"), -1).tolist() == []
    with pytest.raises(eg.ValueFault, match=r"checked: 7 is not below 3(.|\n)*test_markers.py"):
        f(np.array([1, 7, 2], "int32"), 3)
    assert f(np.array([1], "int32"), 3).tolist() == [2]


@pytest.mark.parametrize("target", [CPU, GPU])
def test_checked_integers_in_the_interpreter(target):
    """As a kernel: any value goes on, and the fault is reported."""
    i = eg.lvector("i")
    graph = Graph((i,), (ROWS["checked"](i, i >= 0, message="{index} is negative"),))
    assert interpret(graph, [i.node], [np.array([3, 0])], target)[0].tolist() == [3, 0]
    with pytest.raises(eg.ValueFault, match="-4 is negative"):
        interpret(graph, [i.node], [np.array([3, -4])], target)
