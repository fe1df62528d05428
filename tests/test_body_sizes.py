"""Sizes, bounds and places among what bodies take, and bodies within bodies: the plain expression is the judge."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import bodies
from exprgraph.graph import order
from tests.faults import WAYS

X, M = np.array([1.0, 3, 2, 5]), np.arange(8.0).reshape(4, 2) / 4
PLAIN = {"plain": lambda f: f, "checkpoint": eg.checkpoint, "custom_gradient": lambda f: _with_its_own_gradient(f)}


def _with_its_own_gradient(f):
    def function(*args):
        y = f(*args)
        return y, lambda g: [eg.grad(None, a, known_grads={y: g}, disconnected_inputs="ignore") for a in args]
    return eg.custom_gradient(function)


def _row(f):
    """f by OpFromGraph, whose inputs are like its arguments."""
    def call(*args):
        inputs = [a.type() for a in args]
        return eg.OpFromGraph(inputs, [f(*inputs)])(*args)
    return call


WRAPPED = {**PLAIN, "OpFromGraph": _row}
SIZES = {  # functions of a vector and an integer scalar
    "index": lambda v, k: v[k] ** 2, "back": lambda v, k: v[-k] ** 2, "slice": lambda v, k: v[k:] ** 2, "step": lambda v, k: v[::k] * 2,
    "arange": lambda v, k: eg.arange(k) * v.sum(), "reshape": lambda v, k: v.reshape((k, -1)) ** 2, "set": lambda v, k: v[k].set(v[0] * 2),
    "shape": lambda v, k: v[:k] * eg.ones((v.shape[0] - k,)).sum(), "value": lambda v, k: v * k, "both": lambda v, k: v[:k] * k}
TAKEN = {"input": lambda r, k: k, "sum": lambda r, k: k + 1, "argmin": lambda r, k: eg.argmin(r) + 2,
         "int32": lambda r, k: eg.cast(k, "int32"), "cast": lambda r, k: eg.cast(r[0], "int64") + 1, "known": lambda r, k: eg.constant(2)}


def outputs(wrap, function, taken):
    x, k = eg.dvector("x"), eg.lscalar("k")
    y = wrap(SIZES[function])(x, TAKEN[taken](x, k))
    g = eg.grad(y.sum(), x)
    return [x, k], [y, g, eg.grad((g * g).sum(), x, disconnected_inputs="ignore")]


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("wrapped", [w for w in WRAPPED if w != "plain"])
def test_sizes_that_bodies_are_given(wrapped: str, taken: str) -> None:
    for function in SIZES:
        found = []
        for wrap in ("plain", wrapped):
            inputs, outs = outputs(WRAPPED[wrap], function, taken)
            found.append(eg.compile(inputs, outs, device="numpy", on_unused_input="ignore")(X, 1 if taken == "sum" else 2))
        for a, b in zip(*found):
            np.testing.assert_allclose(a, b, rtol=1e-14, err_msg=function)


@pytest.mark.parametrize("way", WAYS)
def test_sizes_that_bodies_are_given_in_generated_code(way: str) -> None:
    for wrapped, function in (("checkpoint", "both"), ("OpFromGraph", "index"), ("custom_gradient", "arange")):
        inputs, outs = outputs(WRAPPED[wrapped], function, "argmin")
        wanted = eg.compile(*outputs(WRAPPED["plain"], function, "argmin"), device="numpy", on_unused_input="ignore")(X, 2)
        for a, b in zip(eg.compile(inputs, outs, on_unused_input="ignore", **WAYS[way])(X, 2), wanted):
            np.testing.assert_allclose(a, b, rtol=1e-13)


def test_sizes_that_checkpoints_take_from_outside() -> None:
    """An integer scalar, the size of a captured matrix, and what a Jacobian inside has as sizes."""
    x, c, a, k = eg.dvector("x"), eg.dvector("c"), eg.dmatrix("a"), eg.lscalar("k")
    costs = [eg.checkpoint(lambda v: v[k] ** 2)(x), (eg.checkpoint(lambda v: v.reshape((a.shape[0], -1)))(x) ** 2).sum(),
             eg.checkpoint(lambda v: eg.jacobian(v * v * c, v).sum(1))(x).sum(), eg.checkpoint(lambda v: v[eg.argmax(v)] ** 2)(x)]
    got = eg.compile([x, c, a, k], [eg.grad(y, x) for y in costs], device="numpy")(X, X, M, 1)
    for value, wanted in zip(got, ([0, 6, 0, 0], 2 * X, 2 * X, [0, 0, 0, 10])):
        np.testing.assert_allclose(value, wanted)


def test_places_that_differ_from_lane_to_lane() -> None:
    m = eg.dmatrix("m")
    for wrapped, wrap in WRAPPED.items():
        y = eg.vmap(lambda v: wrap(lambda v, k: v[k] ** 2)(v, eg.argmin(v)))(m)  # noqa: B023
        got = eg.compile([m], [y, eg.grad(y.sum(), m)], device="numpy")(M)
        np.testing.assert_allclose(got[0], M[:, 0] ** 2, err_msg=wrapped)
        np.testing.assert_allclose(got[1], np.stack([2 * M[:, 0], 0 * M[:, 0]], axis=1))


def test_a_size_that_a_call_brings_is_checked() -> None:
    x, k = eg.dvector("x"), eg.lscalar("k")
    for taken in (k, eg.cast(x[0], "int64")):
        f = eg.compile([x, k], eg.checkpoint(lambda k: eg.ones((k,)) * 2.0)(taken), device="numpy", on_unused_input="ignore")
        with pytest.raises(eg.ShapeError, match="negative"):
            f(-X, -1)
        g = eg.compile([x, k], eg.checkpoint(lambda v, k: v[k])(x, taken), device="numpy", on_unused_input="ignore")
        with pytest.raises(eg.IndexFault):
            g(X * 7, 7)


NESTS = {"OpFromGraph": _row, "checkpoint": eg.checkpoint, "custom_gradient": _with_its_own_gradient}


def nested(wrap, depth: int):
    def level(f):
        return wrap(lambda v: eg.sin(f(v)) * v)
    function = eg.tanh
    for _ in range(depth):
        function = level(function)
    return function


@pytest.mark.parametrize("wrapped", ["OpFromGraph", "checkpoint"])
def test_bodies_within_bodies_are_built_and_opened_in_linear_time(wrapped: str, monkeypatch) -> None:
    """Each level is built once more for each use, not once more for each level around it."""
    made = []
    again = eg.node.Op.apply
    monkeypatch.setattr(eg.node.Op, "apply", lambda *args, **options: made.append(1) or again(*args, **options))
    counts = []
    for depth in (20, 80):
        made.clear()
        x = eg.dvector("x")
        y = nested(NESTS[wrapped], depth)(x)
        bodies.opened([y])
        counts.append(len(made))
    assert counts[1] < 5 * counts[0], counts


@pytest.mark.parametrize("wrapped", NESTS)
def test_bodies_within_bodies_are_right(wrapped: str) -> None:
    x = eg.dvector("x")
    found = [eg.compile([x], [y := nested(wrap, 6)(x), eg.grad(y.sum(), x)], device="numpy")(X) for wrap in (NESTS[wrapped], lambda f: f)]
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_many_levels_can_be_opened() -> None:
    x = eg.dvector("x")
    level = eg.tanh
    for _ in range(1500):
        v = eg.dvector("v")
        level = eg.OpFromGraph([v], [eg.sin(level(v)) * v])
    y, = bodies.opened([level(x)])
    assert sum(n.op.name == "sin" for n in order([y])) == 1500
