"""The options of In and Out, and how arguments are cast under each setting."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend
F = np.float32


def test_out_is_an_output_as_in_theano() -> None:
    x = eg.vector("x")
    y = x * 2
    spec = eg.Out(y, borrow=True)
    assert spec.node is y.node and eg.compile([x], spec)([1, 2]).tolist() == [2, 4]
    results = eg.compile([x], [eg.Out(x, borrow=True), eg.Out(y)])([1, 2])
    results[0][...] = 7
    assert [r.tolist() for r in results] == [[7, 7], [2, 4]]
    assert eg.Out(eg.shared(F(3), "s")).eval() == 3
    with pytest.raises(eg.UseError, match=r"Out\(3\): a symbol is needed(.|\n)*test_inputs\.py"):
        eg.Out(3)


def test_out_borrowed_of_an_argument_is_not_the_argument_D11() -> None:
    x = eg.vector("x")
    given = np.ones(3, F)
    result = eg.compile([eg.In(x, borrow=True, mutable=True)], eg.Out(x, borrow=True))(given)
    result[...] = 5
    assert given.tolist() == [1, 1, 1]


def test_names() -> None:
    x, y = eg.scalar("x"), eg.scalar("y")
    f = eg.compile([eg.In(x, name="left"), eg.In(y, autoname=False)], x - y)
    assert f(5, 2) == 3 and f({y: 2}, left=5) == 3
    for wrong in ({"y": 2, "left": 5}, {"x": 5}):
        with pytest.raises(eg.CallError, match="there is no input"):
            f(**wrong)
    assert eg.compile([eg.In(x, name="n", autoname=False)], x)(n=2) == 2


def test_a_shared_default_is_implicit_unless_said_otherwise() -> None:
    x, s = eg.scalar("x"), eg.shared(F(10), "s")
    f = eg.compile([eg.In(x, value=s)], x + 1)
    assert f() == 11
    with pytest.raises(eg.CallError, match="0 arguments are taken, 1 was given"):
        f(3)
    g = eg.compile([eg.In(x, value=s, implicit=False)], x + 1)
    assert g(3) == 4 and g() == 11 and s.get_value() == 10


def test_functions_share_a_container() -> None:
    x, total = eg.scalar("x"), eg.scalar("total")
    add = eg.compile([x, eg.In(total, value=0, update=total + x)], total)
    take = eg.compile([x, eg.In(total, value=add.container[total], update=total - x)], total)
    add(5)
    assert take(2) == 5 and add["total"] == 3 and take[total] == 3
    add[total] = 100
    assert take(1) == 100 and add(0) == 99


OPTIONS: list[tuple[str, dict[str, Any], Any]] = [
    ("mutable", {"mutable": True}, [1, 2]), ("mutable and borrow", {"mutable": True, "borrow": True}, [1, 2]),
    ("borrow", {"borrow": True}, [1, 2]),
    ("shared", {"shared": True}, [1, 2]), ("strict", {"strict": True}, np.array([1, 2], F)), ("strict, big endian", {"strict": True},
                                                                                          np.array([1, 2], ">f4"))]


@pytest.mark.parametrize(("options", "value"), [o[1:] for o in OPTIONS], ids=[o[0] for o in OPTIONS])
def test_options_that_take(options: dict[str, Any], value: Any) -> None:
    x = eg.vector("x")
    assert eg.compile([eg.In(x, **options)], x * 2)(value).tolist() == [2, 4]


@pytest.mark.parametrize("value", [[1, 2], np.ones(2), np.ones(2, "int8"), 1.0], ids=["list", "float64", "int8", "number"])
def test_strict_refuses_casts(value: Any) -> None:
    x = eg.vector("x")
    with pytest.raises(eg.CallError, match=r"strict(.|\n)*test_inputs\.py"):
        eg.compile([eg.In(x, strict=True)], x)(value)


def test_mutable_without_borrow_is_an_error() -> None:
    with pytest.raises(eg.GraphError, match="mutable=True and borrow=False contradict"):
        eg.compile([eg.In(eg.vector("x"), mutable=True, borrow=False)], 1)


EXACT, ROUNDED = [0.5, 3, True, [0.25, 1]], [0.1, 2**24 + 1, [0.1, 1]]


@pytest.mark.parametrize(("setting", "exact", "rounded", "wide"), [(True, 1, 1, 1), (None, 1, 1, 0), (False, 1, 0, 0)])
def test_allow_input_downcast_C16(setting: bool | None, exact: bool, rounded: bool, wide: bool) -> None:
    """True casts all; None takes Python numbers though they are rounded; False takes what loses nothing."""
    for values, taken in ((EXACT, exact), (ROUNDED, rounded), ([np.array([0.1]), np.array([[1, 2]])], wide)):
        for value in values:
            x = eg.tensor("x", "float32", (None,) * np.ndim(value))
            made = [eg.compile([x], x * 1, allow_input_downcast=setting), eg.compile([eg.In(x, allow_downcast=setting)], x * 1)]
            for f in made:
                for _ in range(3):  # later calls go another way
                    if taken:
                        np.testing.assert_array_equal(f(value), np.asarray(value).astype(F))
                    else:
                        with pytest.raises(eg.CallError, match="x.* is float32"):
                            f(value)


def test_the_input_decides_over_the_function_C16() -> None:
    x, y = eg.vector("x"), eg.vector("y")
    f = eg.compile([eg.In(x, allow_downcast=True), y], x + y)
    assert f(np.ones(2), np.ones(2, F)).tolist() == [2, 2]
    with pytest.raises(eg.CallError, match="'y' is float32"):
        f(np.ones(2, F), np.ones(2))
    g = eg.compile([eg.In(x, allow_downcast=False)], x, allow_input_downcast=True)
    with pytest.raises(eg.CallError, match="'x' is float32"):
        g(np.ones(2))
    assert g([float("nan"), float("inf")])[1] == np.inf


def test_function_takes_every_option_of_theano() -> None:
    x, w = eg.vector("x"), eg.shared(F([1, 2]), "w")
    w.default_update = w + 1
    f = eg.function([x], x * w, mode=None, updates=None, givens=None, no_default_updates=True, accept_inplace=True, name="f",
                    rebuild_strict=True, allow_input_downcast=True, profile=False, on_unused_input="ignore")
    assert f(np.ones(2)).tolist() == [1, 2] and w.get_value().tolist() == [1, 2]


def test_rebuild_strict_G5() -> None:
    x, d = eg.vector("x"), eg.dvector("d")
    with pytest.raises(eg.GraphError, match="dtype and rank must agree"):
        eg.compile([d], x * 2, givens={x: d})
    assert eg.compile([d], x * 2, givens={x: d}, rebuild_strict=False)(np.array([0.1])).tolist() == [F(0.1) * 2]
    with pytest.raises(eg.GraphError, match="rank must agree"):
        eg.compile([d], x * 2, givens={x: eg.matrix("m")}, rebuild_strict=False)


def test_two_updates_of_one_default_G3() -> None:
    x, s = eg.scalar("x"), eg.shared(F(1), "s")
    with pytest.raises(eg.GraphError, match="two updates of what holds the default of 'x'"):
        eg.compile([eg.In(x, value=s, update=x + 1)], x, updates={s: s * 2})
