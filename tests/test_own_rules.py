"""Rules of the user's own follow what they take from outside: in copies, batches, checkpoints, and other bodies."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DisconnectedInputError, GradientError
from tests.faults import WAYS

X, R, M = np.array([1.0, 2, 3]), np.array([10.0, 20, 30]), np.arange(6.0).reshape(2, 3)


def slope(r, x):
    """The sum of r * x, whose gradient, r, is a rule that takes r from outside."""
    return eg.custom_gradient(lambda v: ((r * v).sum(), lambda g: g * r))(x)


def computed(r, x):
    """The same with what the function computes from r."""
    def body(v):
        twice = r * 2
        return (twice * v).sum() / 2, lambda g: g * twice * 0.5
    return eg.custom_gradient(body)(x)


def alone(r, x):
    """The same where the rule alone knows of r."""
    return eg.custom_gradient(lambda v: (v.sum(), lambda g: g * r))(x)


def overridden(r, x):
    """The same by OpFromGraph."""
    v = eg.dvector("v")
    return eg.OpFromGraph([v], [v.sum()], lop_overrides=lambda i, o, g: [g[0] * r])(x)


MAKERS = {"custom_gradient": slope, "computed": computed, "rule alone": alone, "OpFromGraph": overridden}


def around(make):
    """Ways to put r into a function that takes it, each with what it gives for the gradient with respect to x."""
    x, r, q, m = eg.dvector("x"), eg.dvector("r"), eg.dvector("q"), eg.dmatrix("m")
    p, v = eg.dvector("p"), eg.dvector("v")
    y = make(r, x)
    outer = eg.custom_gradient(lambda p: (make(p, x), lambda g: None))
    return {
        "clone": ([x, q], eg.grad(eg.clone(y, {r: q}), x), (X, R), R),
        "graph_replace": ([x, q], eg.grad(eg.graph_replace(y, {r: q * 2}, strict=False), x), (X, R), 2 * R),
        "vectorize_graph": ([x, m], eg.grad(eg.vectorize_graph(y, {r: m}).sum(), x), (X, M), M.sum(axis=0)),
        "checkpoint": ([x, r], eg.grad(eg.checkpoint(lambda r: make(r, x))(r), x), (X, R), R),
        "vmap": ([x, m], eg.grad(eg.vmap(lambda r: make(r, x))(m).sum(), x), (X, M), M.sum(axis=0)),
        "OpFromGraph": ([x, r], eg.grad(eg.OpFromGraph([p, v], [make(p, v)])(r, x), x), (X, R), R),
        "custom_gradient": ([x, r], eg.grad(outer(r), x), (X, R), R),
        "clone of the gradient": ([x, q], eg.clone(eg.grad(y, x), {r: q}), (X, R), R)}


@pytest.mark.parametrize("maker", MAKERS)
def test_what_a_rule_takes_from_outside_is_followed(maker: str) -> None:
    for name, (inputs, g, values, wanted) in around(MAKERS[maker]).items():
        got = eg.compile(inputs, g, device="numpy", on_unused_input="ignore")(*values)
        np.testing.assert_allclose(got, wanted, err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_captures_in_generated_code(way: str) -> None:
    made = around(slope)
    for name in ("clone", "vmap", "checkpoint"):
        inputs, g, values, wanted = made[name]
        np.testing.assert_allclose(eg.compile(inputs, g, on_unused_input="ignore", **WAYS[way])(*values), wanted)


def test_forward_rules_and_second_gradients_follow_too() -> None:
    x, r, q = eg.dvector("x"), eg.dvector("r"), eg.dvector("q")
    push = eg.custom_gradient(lambda v: ((v * v).sum(), lambda g: g * r * v, lambda t: (t * r).sum()))(x)
    moved = eg.clone(push, {r: q})
    second = eg.grad(eg.grad(moved, x).sum(), x)
    got = eg.compile([x, q], [eg.Rop(moved, x, eg.ones_like(x)), eg.grad(moved, x), second], device="numpy")(X, R)
    for value, wanted in zip(got, (R.sum(), R * X, R)):
        np.testing.assert_allclose(value, wanted)
    v = eg.dvector("v")
    row = eg.OpFromGraph([v], [v.sum()], rop_overrides=lambda i, e: [(e[0] * r).sum()])
    pushed = eg.Rop(eg.clone(row(x), {r: q}), x, eg.ones_like(x))
    np.testing.assert_allclose(eg.compile([x, q], pushed, device="numpy", on_unused_input="ignore")(X, R), R.sum())


def test_an_override_may_use_the_inputs_of_its_op() -> None:
    v, a = eg.dvector("v"), eg.dvector("a")
    row = eg.OpFromGraph([v], [v ** 2], lop_overrides=lambda i, o, g: [3 * v * g[0]])
    np.testing.assert_allclose(eg.compile([a], eg.grad(row(a * 1.0).sum(), a), device="numpy")(X), 3 * X)


def test_what_rules_alone_take_is_no_input_of_the_value() -> None:
    """Neither compiled functions nor explanations ask for it, and a shared variable of its kind keeps its default update to itself."""
    x, r, count = eg.dvector("x"), eg.dvector("r"), eg.shared(np.array(0.0), name="count")
    count.default_update = count + 1
    y = eg.custom_gradient(lambda v: (v.sum(), lambda g: g * r * count))(x)
    x.tag.test_value = X
    f = eg.compile([x], y, device="numpy")
    assert f(X) == y.eval({x: X}) == eg.get_test_value(y) == 6 and count.get_value() == 0
    assert eg.explain(y, {x: X}).first_bad is None and eg.explain(y, {x: X}, optimized=True).first_bad is None
    with pytest.raises(eg.UnusedInputError, match="'r'"):
        eg.compile([x, r], y, device="numpy")
    with pytest.raises(eg.MissingInputError, match="'r'"):
        eg.compile([x], eg.grad(y, x), device="numpy")
    g = eg.compile([x, r], eg.grad(y, x), device="numpy", on_unused_input="ignore")
    assert g(X, R).tolist() == [0, 0, 0] and g(X, R).tolist() == R.tolist()
    with pytest.raises(DisconnectedInputError, match="respect to r"):
        eg.grad(y, r)


def turning(scale):
    """scale * sin, whose gradient is scale * cos, whose gradient is that of the first again."""
    sine = eg.custom_gradient(lambda v: (scale * eg.sin(v), lambda g: g * cosine(v)))
    cosine = eg.custom_gradient(lambda v: (scale * eg.cos(v), lambda g: -g * sine(v)))
    return sine


def test_rules_that_use_each_other() -> None:
    """Rules without an end are called when a gradient asks for them, and follow what they take from outside nevertheless."""
    x, s, t = eg.dvector("x"), eg.dscalar("s"), eg.dscalar("t")
    for make in (lambda v: eg.clone(turning(s)(v), {s: t}), lambda v: eg.checkpoint(lambda s: turning(s)(v))(t),
                 lambda v: eg.vmap(lambda s: turning(s)(v))(t[None])[0]):
        slopes = [make(x)]
        for _ in range(4):
            slopes.append(eg.grad(slopes[-1].sum(), x))
        got = eg.compile([x, t], slopes, device="numpy")(X, 3.0)
        for value, wanted in zip(got, (np.sin(X), np.cos(X), -np.sin(X), -np.cos(X), np.sin(X))):
            np.testing.assert_allclose(value, 3 * wanted)


def test_rules_that_make_new_functions_without_an_end() -> None:
    def power(n):
        return eg.custom_gradient(lambda v: (v ** n, lambda g: g * n * power(n - 1)(v)))
    x = eg.dvector("x")
    y = power(3)(x)
    for _ in range(2):
        y = eg.grad(y.sum(), x)
    np.testing.assert_allclose(eg.compile([x], y, device="numpy")(X), 6 * X)


def test_an_error_of_a_rule_is_raised_by_the_gradient_alone() -> None:
    @eg.custom_gradient
    def closed(v):
        def pull(g):
            raise NotImplementedError("no way back")
        return v * 2, pull
    x = eg.dvector("x")
    y = closed(x)
    np.testing.assert_allclose(eg.compile([x], y, device="numpy")(X), 2 * X)
    with pytest.raises(NotImplementedError, match="no way back"):
        eg.grad(y.sum(), x)


STRAIGHT = {  # no path of floats inside: what straight-through estimators need
    "round": lambda v: eg.disconnected_grad(eg.round(v)), "argmax": lambda v: eg.cast(eg.argmax(v), "float64") + 0 * eg.zeros(3),
    "ones_like": lambda v: eg.ones_like(v), "constant": lambda v: eg.constant(np.ones(3))}


@pytest.mark.parametrize("case", STRAIGHT)
def test_a_gradient_of_ones_own_where_the_inside_has_none(case: str) -> None:
    x, v = eg.dvector("x"), eg.dvector("v")
    inside = STRAIGHT[case]
    through = eg.custom_gradient(lambda v: (inside(v), lambda g: 7 * g))
    row = eg.OpFromGraph([v], [inside(v)], lop_overrides=lambda i, o, g: [7 * g[0]])
    for function in (through, row, eg.checkpoint(through), eg.OpFromGraph([v], [through(v)]), lambda v: eg.vmap(through)(v[None])[0]):
        f = eg.compile([x], eg.grad(function(x).sum(), x), device="numpy", on_unused_input="ignore")
        np.testing.assert_array_equal(f(X), [7.0] * 3)


def test_what_no_rule_covers_stays_disconnected() -> None:
    v, w, x, y = eg.dvectors("v", "w", "x", "y")
    row = eg.OpFromGraph([v, w], [eg.disconnected_grad(v * w)], lop_overrides=[lambda i, o, g: g[0], "default"])
    assert eg.compile([x, y], eg.grad(row(x, y).sum(), x), device="numpy", on_unused_input="ignore")(X, X).tolist() == [1, 1, 1]
    with pytest.raises(DisconnectedInputError, match="respect to y"):
        eg.grad(row(x, y).sum(), y)


@pytest.mark.parametrize("given", [3, 2.5, np.array([1.0, 2, 4]), np.float32(0.5), True], ids=repr)
def test_rules_that_give_numbers_and_arrays(given) -> None:
    x = eg.dvector("x")
    y = eg.custom_gradient(lambda v: (v * 2, lambda g: given, lambda t: given))(x)
    got = eg.compile([x], [eg.grad(y.sum(), x), eg.Rop(y, x, x)], device="numpy", on_unused_input="ignore")(X)
    for value in got:
        np.testing.assert_array_equal(value, np.broadcast_to(given, 3))


def test_rules_that_give_what_fits_nothing() -> None:
    x = eg.dvector("x")
    for given, words in (("3", "gave '3' as cotangent"), (np.ones((2, 3)), "number 0 that the rule"), (np.array(["a"]), "as cotangent")):
        with pytest.raises(GradientError, match=words):
            eg.grad(eg.custom_gradient(lambda v: (v * 2, lambda g: given))(x).sum(), x)  # noqa: B023
