"""Rules of the user's own that give cotangents or tangents of wrong sizes: an error before any memory is read."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import GradientError, ShapeError
from exprgraph.ops.rows import row

X = np.arange(5, dtype="float32")


def function(rule, **more):
    return eg.as_op(itypes=[eg.fvector], otypes=[eg.fvector], infer_shape=lambda node, shapes: [(shapes[0][0] - 1,)], grad=rule, **more)(
        lambda a: np.diff(a))


def own(rule):
    @eg.custom_gradient
    def f(x):
        return x[1:] - x[:-1], lambda g: rule(g, None, x)
    return f


def raw(rule):
    return eg.RawKernel("__kernel void d(__global const float *a, __global float *b) { int i = get_global_id(0); b[i] = a[i + 1] - a[i]; }",
                        outputs={"b": lambda a: (a.shape[0] - 1,)}, grad=lambda g, y, a: (rule(g, y, a),))


WAYS = {"as_op": lambda rule: function(lambda g, y, a: (rule(g, y, a),)), "custom_gradient": own, "RawKernel": raw}


@pytest.mark.parametrize("device", ["numpy", "cpu", "gpu"])
@pytest.mark.parametrize("way", ["as_op", "custom_gradient"])
@pytest.mark.parametrize("rule", [lambda g, y, a: g * 2, lambda g, y, a: eg.concatenate([g, g])], ids=["short", "long"])
def test_a_cotangent_of_another_size(rule, way: str, device: str) -> None:
    x = eg.fvector("x")
    options = {"device": "numpy"} if device == "numpy" else {"device": "pocl", "schedule": device}
    f = eg.compile([x], eg.grad((WAYS[way](rule)(x) ** 2).sum(), x), **options)
    for _ in range(2):
        with pytest.raises(ShapeError, match=r"(?s)cotangent .* elements along axis 0, what it belongs to has 5.*test_rule_sizes\.py"):
            f(X)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", [lambda g, y, a: g.sum(), lambda g, y, a: g[None]], ids=["scalar", "row"])
def test_a_cotangent_of_another_rank(rule, way: str) -> None:
    x = eg.fvector("x")
    with pytest.raises(GradientError, match=r"(?s)cotangent .* is float32.*belongs to a tensor that is float32.*test_rule_sizes\.py"):
        eg.grad((WAYS[way](rule)(x) ** 2).sum(), x)


def test_known_sizes_are_refused_at_once() -> None:
    x = eg.tensor("x", "float32", (5,))
    with pytest.raises(GradientError, match=r"float32\(4\); it belongs to a tensor that is float32\(5\)"):
        eg.grad(own(lambda g, y, a: g)(x).sum(), x)


def test_tangents() -> None:
    x = eg.fvector("x")
    f = function(None, forward=lambda tangents, y, a: tangents[0])
    with pytest.raises(ShapeError, match="tangent that .* has 5 elements along axis 0, what it belongs to has 4"):
        eg.compile([x], eg.Rop(f(x), x, x), device="pocl")(X)


@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_elementwise_rules_may_broadcast(device: str) -> None:
    """A cotangent has the sizes of the result, or fewer; another length is an error."""
    double = row("double", lambda a, b: 2 * a + b, "2 * {0} + {1}", lambda g, y, a, b: (2 * g, g * eg.constant([1.0], dtype="float32")),
                 arity=2)
    x, y = eg.fvector("x"), eg.fvector("y")
    f = eg.compile([x, y], eg.grad(double(x, y).sum(), [x, y]), device=device)
    gx, gy = f(X, X[:1])
    assert gx.tolist() == [2] * 5 and gy.tolist() == [5]
    wrong = row("wrong", lambda a: a * 1, "{0} * 1", lambda g, y, a: (g[1:],))
    with pytest.raises(ShapeError, match="cotangent that wrong gives x has 4 elements along axis 0, what it belongs to has 5"):
        eg.compile([x], eg.grad(wrong(x).sum(), x), device=device)(X)


def test_a_constant_is_a_cotangent_of_any_size() -> None:
    x = eg.fvector("x")
    f = eg.compile([x], eg.grad(own(lambda g, y, a: eg.constant(3.0, dtype="float32"))(x).sum(), x), device="pocl")
    assert f(X).tolist() == [3] * 5
