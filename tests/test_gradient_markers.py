"""Markers that change gradients alone, the arguments of grad, and errors that tell disconnected, undefined and unwritten apart."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import gradient
from exprgraph.errors import DisconnectedInputError, GradientError, MissingGradientError, NullTypeGradError, UseError
from exprgraph.graph import order
from exprgraph.ops.rows import undefined
from tests.faults import WAYS, run

X = np.array([-2.0, 0.5, 3.0])


def slopes(function, *point, **options) -> list[np.ndarray]:
    """Gradients of the sum of a function, by NumPy."""
    inputs = [eg.tensor(f"x{k}", "float64", (None,) * np.ndim(p)) for k, p in enumerate(point)]
    return eg.compile(inputs, eg.grad(function(*inputs).sum(), inputs, **options), device="numpy", on_unused_input="ignore")(*point)


MARKED = {  # a marker, and what becomes of the cotangent 2x of its operand
    "zero_grad": (eg.zero_grad, lambda g: 0 * g), "grad_clip": (lambda x: eg.grad_clip(x, -1, 3), lambda g: np.clip(g, -1, 3)),
    "grad_scale": (lambda x: eg.grad_scale(x, -0.5), lambda g: -0.5 * g), "disconnected_grad": (eg.disconnected_grad, lambda g: 0 * g)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("marker", MARKED)
def test_markers(marker: str, way: str) -> None:
    """The value is the operand's; a second gradient goes through the changed cotangent."""
    mark, change = MARKED[marker]

    def outputs(m, x):
        y = mark(x)
        g = eg.grad((y * y).sum(), x, disconnected_inputs="ignore")
        return [y, g, eg.grad((g * g).sum(), x, disconnected_inputs="ignore")]
    value, first, second = run(way, outputs, [X])
    np.testing.assert_array_equal(value, X)
    np.testing.assert_array_equal(first, change(2 * X))
    if marker == "grad_scale":
        np.testing.assert_allclose(second, 2 * change(2 * X) * -0.5 * 2 * -0.5)


@pytest.mark.parametrize("way", WAYS)
def test_grad_scale_by_a_scalar_that_calls_change(way: str) -> None:
    """A shared variable, an input and a computed scalar, which have no gradient of their own."""
    w, x, s = eg.shared(np.float32(2.0), name="w"), eg.dvector("x"), eg.lscalar("s")
    costs = [(eg.grad_scale(x, m) ** 2).sum() for m in (w, s, -w * s, np.array(0.5))]
    f = eg.compile([x, s], [eg.grad(y, x) for y in costs] + [eg.Rop(costs[0], x, x)], **WAYS[way])
    for value in (2.0, -3.0):
        w.set_value(np.float32(value))
        for got, factor in zip(f(X, 5), (value, 5, -value * 5, 0.5)):
            np.testing.assert_allclose(got, 2 * X * factor)
    with pytest.raises(DisconnectedInputError, match="respect to w"):
        eg.grad(costs[0], w)
    z = eg.tensor("z", "complex64", (None,))
    g = eg.grad((eg.abs(eg.grad_scale(z, w)) ** 2).sum(), z)
    assert g.dtype == "complex64"
    np.testing.assert_allclose(eg.compile([z], g, **WAYS[way])(np.array([1 + 2j], "complex64")), [-6 - 12j], rtol=1e-6)


def test_lanes_with_scales_of_their_own() -> None:
    m, s, x = eg.dmatrix("m"), eg.dvector("s"), eg.dvector("x")
    values, factors = np.arange(6.0).reshape(2, 3), np.array([2.0, -1.0])
    own = eg.vmap(lambda v, a: eg.grad((eg.grad_scale(v, a) ** 2).sum(), v))(m, s)
    one = eg.vmap(lambda a: eg.grad_scale(x, a) ** 2)(s)
    twice = eg.vmap(lambda a: eg.vmap(lambda v: eg.grad_scale(v, a) ** 2)(m))(s)
    outer = eg.vmap(lambda v: eg.vmap(lambda a: eg.grad_scale(v, a) ** 2)(s))(m)
    got = eg.compile([m, s, x], [own, eg.grad(one.sum(), x), eg.grad(twice.sum(), m), eg.grad(outer.sum(), m)], device="numpy")(
        values, factors, X)
    for value, wanted in zip(got, (2 * values * factors[:, None], 2 * X * factors.sum(), 2 * values * factors.sum(), 2 * values)):
        np.testing.assert_allclose(value, wanted)


def test_no_marker_is_left_in_a_compiled_graph() -> None:
    x = eg.vector("x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        y = eg.grad_clip(eg.grad_scale(eg.undefined_grad(eg.zero_grad(eg.consider_constant(x))), 2), 0, 1)
    f = eg.compile([x], y + 1, device="numpy")
    assert [n.op.name for n in order(f.graph.outputs) if n.op.kind == "elementwise"] == ["add"]


def test_consider_constant_is_deprecated_and_zero() -> None:
    with pytest.warns(DeprecationWarning, match="zero_grad or disconnected_grad"):
        g, = slopes(lambda x: eg.consider_constant(x) * x, X)
    np.testing.assert_array_equal(g, X)
    with pytest.warns(DeprecationWarning):  # zero, not disconnected: no error
        assert slopes(eg.consider_constant, X)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("make, words", [
    (lambda x: eg.grad_clip(x, 2, 1), "the lower bound 2.0 is not below the upper bound 1.0"),
    (lambda x: eg.grad_clip(x, x, 1), "a number is needed"), (lambda x: eg.grad_scale(x, "2"), "a number is needed"),
    (lambda x: eg.grad_scale(x, x), "a number, or a real scalar, is needed"),
    (lambda x: eg.grad_scale(x, eg.zscalar("z")), "a number, or a real scalar, is needed")])
def test_wrong_arguments_of_markers(make, words: str) -> None:
    with pytest.raises(UseError, match=f"(?s){words}.*test_gradient_markers.py"):
        make(eg.vector("x"))


def test_markers_stay_where_the_stable_rules_apply() -> None:
    """A square, which they rewrite: what is cut off stays cut off, in gradients, forward mode and batches."""
    x, w, m = eg.dvector("x"), eg.dscalar("w"), eg.dmatrix("m")
    y = (eg.disconnected_grad(w) * x) ** 2
    with pytest.raises(DisconnectedInputError, match="respect to w"):
        eg.grad(y.sum(), w)
    flat = eg.zero_grad(x) ** 2 + x
    lanes = eg.vmap(lambda v: eg.disconnected_grad(v) ** 2 * v)(m)
    found = [eg.grad(y.sum(), x), eg.grad(flat.sum(), x), eg.Rop(flat, x, eg.ones_like(x)), eg.grad(lanes.sum(), m)]
    got = eg.compile([x, w, m], found, device="numpy")(X, 3.0, X[None])
    for value, wanted in zip(got, (18 * X, 1 + 0 * X, 1 + 0 * X, X[None] ** 2)):
        np.testing.assert_allclose(value, wanted)


def test_grad_clip_refuses_complex_numbers_at_once() -> None:
    with pytest.raises(eg.DTypeError, match="(?s)grad_clip does not take complex128, whose numbers have no order.*test_gradient_markers"):
        eg.grad_clip(eg.zvector("z"), -1, 1)


def row(grad, name: str = "mine"):
    """A row of a user's own with the value of mul."""
    return eg.ROWS["mul"].changed(name=name, grad=grad)


def test_undefined_unwritten_and_disconnected_are_told_apart() -> None:
    x, y = eg.vectors("x", "y")
    declared = row(lambda g, z, a, b: (g * b, undefined("it is a fractal in its second input")))
    with pytest.raises(NullTypeGradError, match=r"(?s)mine.*input 1, y: it is a fractal.*at .*test_gradient_markers\.py"):
        eg.grad(declared(x, y).sum(), y)
    eg.grad(declared(x, y).sum(), x)  # the one that is undefined is not asked for
    with pytest.raises(MissingGradientError, match=r"(?s)mine.*input 0, x: none has been written.*test_gradient_markers\.py") as caught:
        eg.grad(row(None)(x, y).sum(), x)
    assert isinstance(caught.value, NotImplementedError | TypeError) and isinstance(caught.value, GradientError)
    with pytest.raises(NullTypeGradError, match="undefined_grad.*input 0, x: undefined_grad declares"):
        eg.grad((eg.undefined_grad(x) * y).sum(), x)
    with pytest.raises(DisconnectedInputError, match=r"(?s)respect to y \(number 1 of wrt\): the cost does not depend.*test_gradient_m"):
        eg.grad((x * x).sum(), [x, y])
    assert not issubclass(DisconnectedInputError, TypeError) and issubclass(NullTypeGradError, TypeError)


def test_forward_mode_tells_them_too() -> None:
    x, y = eg.dvector("x"), eg.dvector("y")
    declared = row(lambda g, z, a, b: (g * b, undefined("it is a fractal in its second input")))
    with pytest.raises(NullTypeGradError, match="input 1, y: it is a fractal"):
        eg.Rop(declared(x, y), y, x)
    with pytest.raises(NullTypeGradError, match="undefined_grad: the derivative of .* is declared to be undefined"):
        eg.Rop(eg.undefined_grad(x) * y, x, y)
    found = [eg.Rop(declared(x, y), x, x), eg.Rop(eg.grad_scale(x, 3), x, x), eg.Rop(eg.grad_clip(x, -1, 1), x, x),
             eg.Rop(eg.undefined_grad(x) * y, y, x)]
    for got, wanted in zip(eg.compile([x, y], found, device="numpy")(X, X + 1), (X * (X + 1), 3 * X, X, X * X)):
        np.testing.assert_allclose(got, wanted)


def test_null_gradients_return_NaN() -> None:
    a, b = slopes(lambda x, y: eg.undefined_grad(x) * y + x, X, X, null_gradients="return")
    assert np.isnan(a).all() and b.tolist() == X.tolist()


def test_the_name_of_an_intermediate_is_its_op() -> None:
    x = eg.vector("x")
    with pytest.raises(MissingGradientError, match="input 1, <exp>"):
        eg.grad(row(None)(eg.constant(np.ones(1, "float32")), eg.exp(x)).sum(), x)


@pytest.mark.parametrize("given", ["none", "None", "NONE", "Disconnected", "disconnected"])
def test_return_disconnected(given: str) -> None:
    x, y = eg.vectors("x", "y")
    assert eg.grad((x * x).sum(), y, disconnected_inputs="ignore", return_disconnected=given) is None


@pytest.mark.parametrize("given", ["zero", "Zero"])
def test_return_disconnected_zero(given: str) -> None:
    x, y = eg.vectors("x", "y")
    g = eg.grad((x * x).sum(), y, disconnected_inputs="ignore", return_disconnected=given)
    assert eg.compile([y], g, device="numpy")(np.ones(2, "float32")).tolist() == [0, 0]


WRONG = {
    "disconnected_inputs": ({"disconnected_inputs": "zero"}, ValueError, "disconnected_inputs='zero': expected one of 'raise', 'warn'"),
    "not a text": ({"return_disconnected": None}, ValueError, "return_disconnected=None: expected one of 'zero', 'none', 'disconnected'"),
    "null_gradients": ({"null_gradients": "nan"}, ValueError, "null_gradients='nan': expected one of 'raise', 'return'"),
    "consider_constant number": ({"consider_constant": 3}, GradientError, "consider_constant=3: a list of symbols is needed"),
    "consider_constant of numbers": ({"consider_constant": [3]}, GradientError, "consider_constant has 3, which is no symbol"),
    "known_grads list": ({"known_grads": [1]}, GradientError, "known_grads=.1.: a dict, tensor -> its gradient, is needed"),
    "known_grads key": ({"known_grads": {"y": 1}}, GradientError, "known_grads has the key 'y', which is no symbol"),
    "known_grads rank": ({"known_grads": "matrix"}, GradientError, r"gives x, which is float32\(\?\), a gradient that is float32"),
    "wrt None": ({"wrt": None}, GradientError, "with respect to symbols, not to NoneType"),
    "wrt of names": ({"wrt": ["x"]}, GradientError, "with respect to symbols, not to str"),
    "nothing": ({"cost": None}, GradientError, "without a cost, grad needs known_grads"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_of_grad(case: str) -> None:
    options, error, words = WRONG[case]
    x = eg.vector("x")
    if options.get("known_grads") == "matrix":
        options = {"known_grads": {x: eg.matrix("m")}}
    with pytest.raises(error, match=f"(?s){words}.*test_gradient_markers.py"):
        eg.grad(**{"cost": (x * x).sum(), "wrt": x, **options})


def test_right_arguments_of_grad() -> None:
    x = eg.dvector("x")
    y = x * x
    z = (y * x).sum()
    f = eg.compile([x], [eg.grad(z, x, consider_constant=y), eg.grad(z, x, [y]), eg.grad(z, x, known_grads={z: 2.0}),
                         eg.grad(None, x, known_grads={y: 3.0}), eg.grad(z, [x, x])[1], eg.grad(z, y)], device="numpy")
    for got, wanted in zip(f(X), (X ** 2, X ** 2, 6 * X ** 2, 6 * X, 3 * X ** 2, X)):
        np.testing.assert_allclose(got, wanted)
    assert eg.grad(z, []) == [] and eg.grad(z, ()) == ()


def test_subgraph_grad_makes_a_whole_of_stretches() -> None:
    """The stretches between a cost and the inputs, one after another, give what grad gives at once."""
    x, w1, w2 = eg.dvector("x"), eg.dvector("w1"), eg.dvector("w2")
    hidden = eg.tanh(x * w1)
    cost = ((hidden * w2) ** 2).sum()
    two, ends = eg.subgraph_grad([w2], [hidden], cost=cost)
    one, first, from_start, from_cost = eg.subgraph_grad([w1], [x], start=dict(zip([hidden], ends)), cost=(w1 * w1).sum(), details=True)
    whole = eg.grad(cost + (w1 * w1).sum(), [w2, w1, x])
    f = eg.compile([x, w1, w2], [*two, *one, *first, *whole], device="numpy")
    got = f(X, X + 1, X - 1)
    for a, b in zip(got[:3], got[3:]):
        np.testing.assert_allclose(a, b)
    assert len(from_start) == len(from_cost) == 2
    assert not any(n.op.name == "tanh" and x.node in {i.node for i in n.inputs} for n in order([eg.grad(cost, hidden)]) if n is not
                   hidden.node)


@pytest.mark.parametrize("options, words", [({}, "needs start=.* or a cost"), ({"cost": 1, "wrt": "x"}, "wrt='x': a list of symbols")])
def test_wrong_arguments_of_subgraph_grad(options, words: str) -> None:
    x = eg.vector("x")
    with pytest.raises(GradientError, match=f"(?s){words}.*test_gradient_markers.py"):
        eg.subgraph_grad(**{"wrt": [x], "end": [], **options})


def test_theanos_namespace() -> None:
    assert gradient is eg.gradient and gradient.grad is eg.grad and gradient.verify_grad is eg.verify_grad
    assert gradient.NullTypeGradError is NullTypeGradError
    x = eg.vector("x")
    mine = row(lambda g, z, a, b: (g, gradient.grad_undefined(None, 1, b, "no slope here")))
    with pytest.raises(NullTypeGradError, match="no slope here"):
        eg.grad(mine(x, x).sum(), x)
    with pytest.raises(AttributeError, match="exprgraph.gradient"):
        gradient.no_such_name  # noqa: B018
    for name in ("jacobian", "hessian", "Rop", "Lop"):
        assert getattr(gradient, name) is getattr(eg, name)
