"""The next hours: the logistic function, several results, defaults, shared state, givens, copies of functions, and a regression."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as T
import exprgraph as eg
from exprgraph import In, Out, config, function, shared

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend


def test_the_logistic_function_elementwise() -> None:
    x = T.dmatrix("x")
    points = [[0, 1], [-1, -2]]
    wanted = [[0.5, 0.7310585786300049], [0.2689414213699951, 0.11920292202211755]]
    np.testing.assert_allclose(function([x], 1 / (1 + T.exp(-x)))(points), wanted, rtol=1e-15)
    np.testing.assert_allclose(function([x], (1 + T.tanh(x / 2)) / 2)(points), wanted, rtol=1e-14)


def test_several_results_of_one_function() -> None:
    a, b = T.dmatrices("a", "b")
    diff = a - b
    f = function([a, b], [diff, abs(diff), diff ** 2])
    found = f([[1, 1], [1, 1]], [[0, 1], [2, 3]])
    assert [r.tolist() for r in found] == [[[1, 0], [-1, -2]], [[1, 0], [1, 2]], [[1, 0], [1, 4]]]
    named = function([a, b], {"diff": diff, "square": diff ** 2})([[1]], [[3]])
    assert named["diff"] == -2 and named["square"] == 4


def test_a_default_for_an_argument() -> None:
    x, y = T.dscalars("x", "y")
    f = function([x, In(y, value=1)], x + y)
    assert f(33) == 34 and f(33, 2) == 35


def test_defaults_by_name_and_in_any_order() -> None:
    x, y, w = T.dscalars("x", "y", "w")
    f = function([x, In(y, value=1), In(w, value=2, name="w_by_name")], (x + y) * w)
    assert f(33) == 68 and f(33, 2) == 70 and f(33, 0, 1) == 33
    assert f(33, w_by_name=1) == 34 and f(33, w_by_name=1, y=0) == 33


def test_an_accumulator() -> None:
    state = shared(0, name="state")
    inc = T.iscalar("inc")
    accumulator = function([inc], state, updates=[(state, state + inc)])
    assert state.get_value() == 0
    assert accumulator(1) == 0 and state.get_value() == 1
    assert accumulator(300) == 1 and state.get_value() == 301
    state.set_value(-1)
    assert accumulator(3) == -1 and state.get_value() == 2


def test_two_functions_over_one_state() -> None:
    state, inc = shared(2, name="state"), T.iscalar("inc")
    function([inc], state, updates=[(state, state + inc)])
    decrementor = function([inc], state, updates=[(state, state - inc)])
    assert decrementor(2) == 2 and state.get_value() == 0


def test_givens_replace_an_expression_over_a_shared_variable() -> None:
    state, inc = shared(0, name="state"), T.iscalar("inc")
    expression = state * 2 + T.cast(inc, state.dtype)
    foo = T.scalar(dtype=state.dtype)
    skip = function([inc, foo], expression, givens=[(state, foo)])
    assert skip(1, 3) == 7 and state.get_value() == 0


def test_givens_take_a_batch_of_shared_data() -> None:
    data = shared(np.arange(12, dtype=config.floatX).reshape(6, 2), name="data", borrow=True)
    index, x = T.lscalar("index"), T.matrix("x")
    batch = function([index], x.sum(), givens={x: data[index * 2:(index + 1) * 2]})
    assert [float(batch(k)) for k in range(3)] == [6, 22, 38]


def test_copies_of_a_function() -> None:
    state, inc = shared(0, name="state"), T.iscalar("inc")
    accumulator = function([inc], state, updates=[(state, state + inc)])
    accumulator(10)
    assert state.get_value() == 10
    fresh = shared(0, name="fresh")
    second = accumulator.copy(swap={state: fresh})
    assert second(100).tolist() == 0 and fresh.get_value() == 100 and state.get_value() == 10
    silent = accumulator.copy(delete_updates=True)
    assert silent(9000) == 10 and state.get_value() == 10


def test_results_that_may_be_borrowed() -> None:
    x = T.matrix("x")
    f = function([In(x, borrow=True)], Out(2 * x, borrow=True))
    np.testing.assert_array_equal(f(np.ones((2, 2), config.floatX)), [[2, 2], [2, 2]])


def regression(rng: np.random.Generator, n: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Points on both sides of a random plane."""
    points = rng.standard_normal((n, features)).astype(config.floatX)
    return points, (points @ rng.standard_normal(features) > 0.3).astype(config.floatX)


def test_logistic_regression(rng: np.random.Generator) -> None:
    """A training step from symbols, gradient and updates, which learns two sets of points."""
    points, labels = regression(rng, 400, 20)
    x, y = T.matrix("x"), T.vector("y")
    w = shared((rng.standard_normal(20) * 0.01).astype(config.floatX), name="w")
    b = shared(np.asarray(0, config.floatX), name="b")
    p_1 = 1 / (1 + T.exp(-T.dot(x, w) - b))
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)
    cost = xent.mean() + 0.001 * (w ** 2).sum()
    gw, gb = T.grad(cost, [w, b])
    train = function(inputs=[x, y], outputs=[p_1 > 0.5, xent], updates=((w, w - 2 * gw), (b, b - 2 * gb)))
    predict = function(inputs=[x], outputs=p_1 > 0.5)
    before = float(train(points, labels)[1].mean())
    for _ in range(300):
        _, errors = train(points, labels)
    assert 0.5 < before < 1 and errors.mean() < 0.15 and np.isfinite(errors).all()
    assert (predict(points) == labels.astype(bool)).mean() > 0.97
    assert {s.name for s in predict.get_shared()} == {"w", "b"}


def test_the_regression_is_stable_far_from_the_plane() -> None:
    """The optimiser sees that the logarithm of a sigmoid need not overflow, as the text of the tutorial promises."""
    x, w = T.vector("x"), shared(np.float32(1), "w")
    p = 1 / (1 + T.exp(-x * w))
    cost = (-T.log(p)).sum()
    f = function([x], [cost, T.grad(cost, w)])
    value, slope = f([-500, 500, -90])
    np.testing.assert_allclose([value, slope], [590, 590], rtol=1e-6)
    assert eg.grad(cost, w).name == "d(cost)/d(w)"
