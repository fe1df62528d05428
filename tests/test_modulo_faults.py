"""Faults of matching modulo spelling that were found once: what is as it should be now."""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.patterns import some

M = eg.Mode
SQUARE = np.array([[1, 2], [30, 4]], "float32")
CUBE = np.arange(8, dtype="float32").reshape(2, 2, 2) * 3


def both(inputs: list[Any], out: Any, values: list[Any], mode: Any = None) -> tuple[Any, Any]:
    """The values optimised and as written."""
    f, g = (eg.compile(inputs, out, device="numpy", mode=m) for m in (mode, M(optimizer="none")))
    with np.errstate(all="ignore"):
        return f(*values), g(*values)


def assert_alike(inputs: list[Any], out: Any, values: list[Any], mode: Any = None, rtol: float = 1e-5) -> None:
    got, wanted = both(inputs, out, values, mode)
    np.testing.assert_allclose(got, wanted, rtol=rtol)


@pytest.mark.parametrize("spelling", [
    lambda x: eg.exp(x) / eg.exp(x).sum(axis=1), lambda x: eg.exp(x) / eg.exp(x).sum(axis=1, keepdims=True).T,
    lambda x: eg.exp(x) / eg.exp(x).sum(axis=0).reshape((-1, 1)), lambda x: eg.log(eg.exp(x) / eg.exp(x).sum(axis=1)),
    lambda x: eg.exp(x) * (x / eg.exp(x).sum(axis=1, keepdims=True).T).sum(axis=1, keepdims=True)])
def test_a_sum_that_lies_along_another_axis_is_no_softmax(spelling) -> None:
    x = eg.matrix("x")
    assert_alike([x], spelling(x), [SQUARE])


def test_a_sum_over_a_middle_axis_that_is_dropped_is_no_softmax() -> None:
    x = eg.tensor3("x")
    assert_alike([x], eg.exp(x) / eg.exp(x).sum(axis=1), [CUBE])


@pytest.mark.parametrize("view", [lambda s: s[:, None], lambda s: s.reshape((-1, 1)), lambda s: s.dimshuffle(0, "x")])
def test_a_sum_along_its_own_axis_is_one(view) -> None:
    x = eg.matrix("x")
    f = eg.compile([x], eg.exp(x) / view(eg.exp(x).sum(axis=1)), device="numpy")
    assert np.isfinite(f(SQUARE * 100)).all()


def inverse(x, p):
    return some("sum", p, 1 / eg.exp(x))


INVERSES = eg.Rule("sum(1 / exp(x))", inverse, lambda x, p: some("sum", p, eg.exp(-x)), modulo=True)
RATIOS = eg.Rule("sum(exp(x) / exp(y))", lambda x, y, p: some("sum", p, eg.exp(x) / eg.exp(y)),
                 lambda x, y, p: some("sum", p, eg.exp(x - y)), modulo=True)


@pytest.mark.parametrize("rule, of", [(INVERSES, lambda x: 1 / eg.exp(x)), (RATIOS, lambda x: eg.exp(x) / eg.exp(2 * x))])
def test_what_a_reduction_reads_keeps_its_shape(rule, of) -> None:
    v = eg.vector("v")
    out = eg.broadcast_to(of(v.dimshuffle(0, "x")), (2, 3)).sum(axis=1)
    assert_alike([v], out, [np.array([0.3, -0.7], "float32")], M().including(rule))


def test_arithmetic_in_another_precision_is_another_tensor() -> None:
    x, y = eg.vector("x", dtype="float16"), eg.vector("y", dtype="float16")
    wide, ten = (lambda t: eg.cast(t, "float32")), np.array([10.01], "float16")
    assert_alike([x, y], eg.softplus(wide(x * y)) - wide(x) * wide(y), [ten, ten], rtol=1e-3)
    zero = eg.Rule("x - x is 0", lambda x: x - x, lambda x: 0 * x, modulo=True)
    assert_alike([x, y], wide(x * y) - wide(x) * wide(y), [ten, ten], M().including(zero))


def test_a_cast_to_fewer_digits_and_back_stays() -> None:
    x = eg.vector("x")
    out = 3 / eg.cast(eg.cast(eg.exp(x), "float16"), "float32") * eg.exp(x)
    assert_alike([x], out, [np.array([1.234, 14], "float32")])


@pytest.mark.parametrize("make", [lambda e: eg.log(1 + e), lambda e: 1 / (1 + e * e),
                                  lambda e: eg.exp(e) / eg.exp(e).sum(axis=1, keepdims=True)])
def test_many_views_of_views(make) -> None:
    x = eg.matrix("x")
    e = x
    for _ in range(700):
        e = e.T.reshape((2, 3))
    f = eg.compile([x], make(e), device="numpy")
    assert f(np.full((2, 3), 0.5, "float32")).shape == (2, 3)


@pytest.mark.parametrize("out, values", [
    (lambda a, b, x: a / (b * (1 + eg.exp(x))), (1e-30, 1e-30, 46)), (lambda a, b, x: a / (1 + eg.exp(x)) / b, (1e-30, 1e-30, 46)),
    (lambda a, b, x: (1 / eg.exp(x) + a) * b * eg.exp(x), (10, 1e-10, 88))])
def test_what_is_finite_as_written_stays_so(out, values) -> None:
    symbols = [eg.vector(n) for n in "abx"]
    assert_alike(symbols, out(*symbols), [np.array([v], "float32") for v in values], rtol=1e-4)


@pytest.mark.parametrize("of", [lambda e, s, a: e / (a * s), lambda e, s, a: e / (s * a), lambda e, s, a: 1 / (a * (s / e))])
def test_what_is_beside_a_softmax_keeps_its_digits(of) -> None:
    x, a = eg.matrix("x"), eg.scalar("a")
    e = eg.exp(x)
    row = np.array([[0, -87, *[-0.1] * 5000]], "float32")
    assert_alike([x, a], of(e, e.sum(axis=1, keepdims=True), a), [row, np.float32(1e-37)])


FAR_APART = (lambda r, a, b, c: a / r * b * c * r, lambda r, a, b, c: r * (b / (1 / a * r)) * c,
             lambda r, a, b, c: r / (1 / a * (1 / b * (1 / c * r))))


@pytest.mark.parametrize("ratio, x", [(eg.exp, 60), (eg.sigmoid, -60)])
@pytest.mark.parametrize("of", FAR_APART)
def test_factors_around_a_ratio_overflow_no_earlier_than_as_written(of, ratio, x) -> None:
    t, *others = (eg.vector(n) for n in "xabc")
    large = 1e30 if ratio is eg.exp else 1e-30
    assert_alike([t, *others], of(ratio(t), *others), [np.array([v], "float32") for v in (x, large, large, 1 / large)], rtol=1e-4)


@pytest.mark.parametrize("ratio", [eg.exp, eg.sigmoid])
@pytest.mark.parametrize("of", FAR_APART)
def test_factors_around_a_ratio_are_finite_where_the_ratio_is_none(of, ratio) -> None:
    t, *others = (eg.vector(n) for n in "xabc")
    f = eg.compile([t, *others], of(ratio(t), *others), device="numpy")
    for x in (-200, 200):
        np.testing.assert_allclose(f([x], [2], [3], [5]), 30, rtol=1e-6)


def test_an_argument_k_takes_constants_alone_among_factors() -> None:
    x, y = eg.vector("x"), eg.vector("y")
    rule = eg.Rule("k * exp(x)", lambda k, x: k * eg.exp(x), lambda k, x: eg.exp(x) * k + 0.0, modulo=True)
    f = eg.compile([x, y], 2 * y * eg.exp(x), device="numpy", mode=M().including(rule))
    assert "+ 0" not in eg.pp(f.graph.outputs[0])


@pytest.mark.parametrize("rule, out", [
    (eg.Rule("exp(x) > 1", lambda x: eg.exp(x) > 1, lambda x: x > 0, modulo=True), lambda x: eg.exp(x) > 1),
    (eg.Rule("switch(x > 0, x, 0)", lambda x: eg.switch(x > 0, x, 0), lambda x: eg.maximum(x, 0.0), modulo=True),
     lambda x: eg.switch(x > 0, x, 0))])
def test_conditions_are_met_modulo_spelling_too(rule, out) -> None:
    x = eg.vector("x")
    f, g = (eg.compile([x], out(x), device="numpy", mode=m) for m in (M().including(rule), None))
    assert eg.pp(f.graph.outputs[0]) != eg.pp(g.graph.outputs[0])
    np.testing.assert_array_equal(f([-1, 2]), g([-1, 2]))


def test_a_constant_of_a_pattern_that_a_dtype_cannot_hold_is_no_warning() -> None:
    h = eg.vector("h", dtype="float16")
    rule = eg.Rule("x * 1e10", lambda x: x * 1e10, lambda x: x * 1e10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eg.compile([h], h * 3.0, device="numpy", mode=M().including(rule))
