"""Derivatives, in the order in which a newcomer meets them: gradients, Jacobians, Hessians, the L-operator, the R-operator, products."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as T
import exprgraph as eg
from exprgraph import function, gradient, pp, shared

pytestmark = pytest.mark.usefixtures("device")  # every test runs on each backend

V, W = np.array([1.0, 2.0]), np.array([[1.0, 1.0], [1.0, 1.0]])


def test_the_gradient_of_a_square() -> None:
    x = T.dscalar("x")
    y = x ** 2
    gy = T.grad(y, x)
    assert pp(y) == "x ** 2" and gy.name == "d(cost)/d(x)" and "x" in pp(gy)
    f = function([x], gy)
    assert f(4) == 8.0 and np.allclose(f(94.2), 188.4)
    assert pp(f.maker.fgraph.outputs[0]) in ("2 * x", "x * 2", "x + x")  # what the optimiser makes of it


def test_the_gradient_of_the_logistic_function() -> None:
    x = T.dmatrix("x")
    s = T.sum(1 / (1 + T.exp(-x)))
    gs = T.grad(s, x)
    dlogistic = function([x], gs)
    points = np.array([[0, 1], [-1, -2]])
    wanted = [[0.25, 0.19661193], [0.19661193, 0.10499359]]
    np.testing.assert_allclose(dlogistic(points), wanted, rtol=1e-7)


def test_several_at_once_and_known_gradients() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    product = x * y
    cost = (product ** 2).sum()
    gx, gy = T.grad(cost, [x, y])
    same, = T.grad(None, [x], known_grads={product: 2 * product})
    f = function([x, y], [gx, gy, same])
    a, b = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    for got, want in zip(f(a, b), (2 * a * b * b, 2 * a * a * b, 2 * a * b * b)):
        np.testing.assert_allclose(got, want)


def test_what_counts_as_constant() -> None:
    """By an argument of grad, or by a marker in the expression."""
    x = T.dvector("x")
    weights = T.exp(x)
    first = T.grad((weights * x).sum(), x, consider_constant=[weights])
    second = T.grad((gradient.disconnected_grad(weights) * x).sum(), x)
    third = T.grad((gradient.zero_grad(weights) * x).sum(), x)
    for got in function([x], [first, second, third])(V):
        np.testing.assert_allclose(got, np.exp(V))


def test_what_the_cost_does_not_depend_on() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    with pytest.raises(gradient.DisconnectedInputError, match="respect to y"):
        T.grad((x ** 2).sum(), y)
    zeros = T.grad((x ** 2).sum(), y, disconnected_inputs="ignore")
    assert function([y], zeros)(V).tolist() == [0, 0]
    assert T.grad((x ** 2).sum(), y, disconnected_inputs="ignore", return_disconnected="None") is None


def test_the_jacobian() -> None:
    x = T.dvector("x")
    J = T.jacobian(x ** 2, x)
    np.testing.assert_allclose(function([x], J)([4, 4]), [[8, 0], [0, 8]])
    m = T.dmatrix("m")
    assert function([m], gradient.jacobian((m ** 2).sum(axis=0), m))(W).shape == (2, 2, 2)


def test_the_hessian() -> None:
    x = T.dvector("x")
    H = T.hessian((x ** 2).sum() * x[0], x)
    a, b = 3.0, 4.0
    np.testing.assert_allclose(function([x], H)([a, b]), [[6 * a, 2 * b], [2 * b, 2 * a]])
    np.testing.assert_allclose(function([x], T.hessian((x ** 2).sum(), x))([4, 4]), [[2, 0], [0, 2]])


def test_the_right_operator() -> None:
    """The Jacobian times a vector, without the Jacobian: how x @ W moves when W moves along M."""
    m, direction, x = T.dmatrix("m"), T.dmatrix("direction"), T.dvector("x")
    y = T.dot(x, m)
    f = function([m, direction, x], T.Rop(y, m, direction))
    np.testing.assert_allclose(f([[1, 1], [1, 1]], [[2, 2], [2, 2]], [0, 1]), [2, 2])


def test_the_left_operator() -> None:
    """A vector times the Jacobian, without the Jacobian."""
    m, v, x = T.dmatrix("m"), T.dvector("v"), T.dvector("x")
    y = T.dot(x, m)
    f = function([m, v, x], T.Lop(y, m, v))  # the values of m are not needed, but its sizes are
    np.testing.assert_allclose(f(np.zeros((2, 2)), [2, 2], [0, 1]), [[0, 0], [2, 2]])


def test_both_operators_are_those_of_the_jacobian() -> None:
    x, v = T.dvector("x"), T.dvector("v")
    y = T.tanh(T.dot(W + [[0, 1], [2, 0]], x))
    J = T.jacobian(y, x)
    for got, want in (function([x, v], [T.Rop(y, x, v), T.dot(J, v)])(V, V - 3), function([x, v], [T.Lop(y, x, v), T.dot(v, J)])(V, V + 2)):
        np.testing.assert_allclose(got, want)


def test_hessian_times_a_vector() -> None:
    """Three ways: the gradient of a product, the R-operator on the gradient, the Hessian itself."""
    x, v = T.dvector("x"), T.dvector("v")
    y = T.sum(x ** 2) * x[1]
    gy = T.grad(y, x)
    ways = [T.grad(T.sum(gy * v), x), T.Rop(gy, x, v), T.dot(T.hessian(y, x), v), T.hessian_vector_product(y, x, v)]
    found = function([x, v], ways)([4, 4], [2, 2])
    np.testing.assert_allclose(found[0], [32, 64])
    for got in found[1:]:
        np.testing.assert_allclose(got, found[0])


def test_a_step_of_gradient_descent() -> None:
    w = shared(np.zeros(2), name="w")
    x, target = T.dvector("x"), T.dscalar("target")
    cost = (T.dot(x, w) - target) ** 2
    step = function([x, target], cost, updates=[(w, w - 0.1 * T.grad(cost, w))])
    costs = [float(step(V, 3.0)) for _ in range(20)]
    assert costs[-1] < 1e-6 < costs[0] and np.allclose(V @ w.get_value(), 3)


def test_a_gradient_of_ones_own() -> None:
    """An op from a graph whose gradient is another, and the check that finds it out."""
    x = T.dvector("x")
    double = T.OpFromGraph([x], [x ** 2], grad_overrides=lambda inputs, grads: [grads[0] * 7])
    a = T.dvector("a")
    np.testing.assert_allclose(function([a], T.grad(double(a).sum(), a))(V), [7, 7])
    with pytest.raises(AssertionError, match="input 0"):
        gradient.verify_grad(double, [V])
    gradient.verify_grad(lambda v: T.sqr(v), [V], rng=np.random.RandomState(1))


def test_gradients_clipped_on_their_way() -> None:
    x = T.dvector("x")
    found = function([x], [T.grad((gradient.grad_clip(x, -1, 3) ** 2).sum(), x), T.grad((gradient.grad_scale(x, 10) ** 2).sum(), x)])(V)
    np.testing.assert_allclose(found[0], [2, 3])
    np.testing.assert_allclose(found[1], [20, 40])
    assert eg.gradient is gradient
