"""Arguments and results of functions with gradients of their own, and of checkpoints, in tuples, lists, dicts and named tuples."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import GradientError, GraphError, UseError

X, Y = np.array([0.5, -1.0, 2.0]), np.array([1.5, 3.0, -0.25])


class Pair(NamedTuple):
    """A user's own container."""
    first: Any
    second: Any


FORMS = {"pair": lambda a, b: Pair(a, b * 2), "tuple": lambda a, b: (a, b * 2), "list": lambda a, b: [a, b * 2],
         "dict": lambda a, b: {"first": a, "second": b * 2}, "deep": lambda a, b: {"p": Pair(a, [b * 2])}}


def leaves(value):
    return [leaf for _, leaf in eg.nested.flat(value)]


@pytest.mark.parametrize("form", FORMS)
def test_results_keep_their_form(form: str) -> None:
    make, x, y = FORMS[form], eg.dvector("x"), eg.dvector("y")
    plain = make(x, y)
    for function in (eg.checkpoint(make), eg.custom_gradient(lambda a, b: (make(a, b), lambda g, h: (g, 2 * h)))):
        found = function(x, y)
        assert type(found) is type(plain) and [w for w, _ in eg.nested.flat(found)] == [w for w, _ in eg.nested.flat(plain)]
        a, b = leaves(found)
        got = eg.compile([x, y], [a, b, *eg.grad((a * b).sum(), [x, y])], device="numpy")(X, Y)
        for value, wanted in zip(got, (X, 2 * Y, 2 * Y, 2 * X)):
            np.testing.assert_allclose(value, wanted)


TAKES = {"pair": lambda p: p.first * p.second, "tuple": lambda p: p[0] * p[1] / 2 * 2, "list": lambda p: p[0] * p[1],
         "dict": lambda p: p["first"] * p["second"], "deep": lambda p: p["p"].first * p["p"].second[0]}
ORDERS = {"in their form": lambda form, a, b: (FORMS[form](a, b * 0.5), None), "in a row": lambda form, a, b: (a, b, None)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("form", FORMS)
def test_arguments_in_containers(form: str, order: str) -> None:
    x, y, z = eg.dvectors("x", "y", "z")
    take, given = TAKES[form], FORMS[form](x, y)

    def own(p, scale, w):
        return take(p) * scale + w, lambda g: ORDERS[order](form, 3 * g, 5 * g)
    for function, slopes in ((eg.checkpoint(lambda p, scale, w: take(p) * scale + w), (8 * Y, 8 * X)),
                             (eg.custom_gradient(own), (3.0, 10.0))):
        value = function(given, 4, z)
        got = eg.compile([x, y, z], [value, *eg.grad(value.sum(), [x, y])], device="numpy")(X, Y, X)
        for found, wanted in zip(got, (8 * X * Y + X, *slopes)):
            np.testing.assert_allclose(found, np.broadcast_to(wanted, 3))


def test_dicts_go_by_their_keys_and_settings_stay() -> None:
    x, y = eg.dvectors("x", "y")
    seen = []

    def own(p, settings):
        seen.append(settings)
        return p["a"] * p["b"] * p["n"], lambda g: {"b": 5 * g, "n": None, "a": 3 * g}
    settings = {"rate": [1, 2]}
    value = eg.custom_gradient(own)({"a": x, "b": y, "n": 2}, settings)
    got = eg.compile([x, y], eg.grad(value.sum(), [x, y]), device="numpy", on_unused_input="ignore")(X, Y)
    np.testing.assert_array_equal(got, [[3.0] * 3, [5.0] * 3])
    assert seen[0] is settings


@pytest.mark.parametrize("rule, error, words", [
    (lambda g: {"a": g}, UseError, "its cotangents.*has another form than what it is for"),
    (lambda g: g, GradientError, "gave 1 cotangent where 2 are needed"),
    (lambda g: (g, g, g), GradientError, "gave 3 cotangents where 2 are needed")])
def test_cotangents_of_another_form(rule, error, words: str) -> None:
    x, y = eg.dvectors("x", "y")
    value = eg.custom_gradient(lambda p: (p["a"] * p["b"], rule))({"a": x, "b": y})
    with pytest.raises(error, match=words):
        eg.grad(value.sum(), x)


def test_results_that_are_no_symbols() -> None:
    x = eg.dvector("x")
    for found in ({}, (), {"a": 3}, Pair(x, None)):
        with pytest.raises(GraphError, match="(?s)its function gave .*tuple, list or dict of symbols.*test_own_containers"):
            eg.checkpoint(lambda v: found)(x)  # noqa: B023
