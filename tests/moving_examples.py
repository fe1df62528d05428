"""Examples for the movement rules about positions, joins, folds and lifts: functions of a matrix of any dtype and any sizes."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import exprgraph as eg
from exprgraph.node import Out

R = eg.ROWS
Make = Callable[[Any], Out]


def turn(x: Any, *axes: int) -> Out:
    """The axes in another order."""
    return R["dimshuffle"](x, pattern=axes)


def part(x: Any, start: Any, length: Any, axis: int = 0) -> Out:
    """So many elements from a start."""
    return R["subtensor"](x, start, 1, length, axes=(axis,))


def repeated(x: Any, times: int = 3) -> Out:
    """The matrix several times along a new axis in front."""
    return R["broadcast_to"](x, times, *x.shape)


def set_in(x: Any) -> Out:
    """The matrix in zeros, one row before it and two behind."""
    return R["place"](x, 1, 1, x.shape[0] + 3, x.shape[1], axes=(0,))


def twice(x: Any) -> Any:
    """The matrix above itself."""
    return R["concat"](x, x, axis=0)


def other(x: Any) -> Any:
    """A matrix with as many columns as x has rows."""
    return R["concat"](x, x, axis=1)[:, :1] * turn(x[:, 0], -1, 0)


def over(name: str, x: Any, *axes: int, keepdims: bool = False) -> Any:
    """A reduction."""
    return R[name](x, axis=axes, keepdims=keepdims)


def folds(name: str) -> dict[str, tuple[Make, ...]]:
    """The rules that are the same for all folds."""
    return {
        f"{name} over one element": (
            lambda x: over(name, x.dimshuffle(0, "x", 1), 1), lambda x: over(name, x.dimshuffle(0, "x", 1), 1, 2),
            lambda x: over(name, x.dimshuffle("x", 0, 1), 0, keepdims=True),
            lambda x: over(name, x.dimshuffle(0, "x", 1), 1, 2, keepdims=True)),
        f"{name} of {name}": (
            lambda x: over(name, over(name, repeated(x), 2), 0), lambda x: over(name, over(name, repeated(x), 0, keepdims=True), 2),
            lambda x: over(name, over(name, repeated(x), 2), 0, keepdims=True),
            lambda x: over(name, over(name, repeated(x), 0, keepdims=True), 2, keepdims=True)),
        f"{name} of dimshuffle": (
            lambda x: over(name, x.T, 0), lambda x: over(name, turn(repeated(x), 2, 0, 1), 1),
            lambda x: over(name, turn(x, 1, -1, 0), 1, 0), lambda x: over(name, x.T, 0, keepdims=True)),
    }


def best(name: str) -> dict[str, tuple[Make, ...]]:
    """The rules of folds that take the best of their elements."""
    return {
        **folds(name), f"slice of {name}": positions(name),
        f"{name} of broadcast_to": (lambda x: over(name, repeated(x), 0), lambda x: over(name, repeated(x), 0, 2),
                                    lambda x: over(name, repeated(x), 0, keepdims=True)),
        f"{name} of stack": (lambda x: over(name, eg.stack([x, x[::-1], x]), 0), lambda x: over(name, eg.stack([x, x], axis=1), 1, 2),
                             lambda x: over(name, eg.stack([x, x[::-1]]), 0, keepdims=True)),
    }


def positions(name: str) -> tuple[Make, ...]:
    """Parts of a reduction."""
    return lambda x: over(name, x, 1)[1:], lambda x: over(name, x, 1, keepdims=True)[::-1], lambda x: over(name, repeated(x), 2)[1:, ::-1]


COMPARED: dict[str, tuple[Make, ...]] = {
    "lt of sizes": (lambda x: x.shape[0] < 0, lambda x: x.shape[0] < x.shape[0] + 1), "le of sizes": (lambda x: x.shape[0] <= -1,),
    "gt of sizes": (lambda x: x.shape[0] > -1, lambda x: x.shape[0] > x.shape[0] + 2), "ge of sizes": (lambda x: x.shape[1] >= 0,),
    "eq of sizes": (lambda x: eg.eq(x.shape[0], x.T.shape[1]), lambda x: eg.eq(x.shape[0], -1)),
    "neq of sizes": (lambda x: eg.neq(x.shape[0], x.T.shape[1]), lambda x: eg.neq(x.shape[0] + 1, 0)),
}
MORE: dict[str, tuple[Make, ...]] = {
    "dimshuffle of broadcast_to": (
        lambda x: turn(repeated(x), 1, 2, 0), lambda x: turn(R["broadcast_to"](x, *x.shape), 1, -1, 0),
        lambda x: turn(R["broadcast_to"](x.dimshuffle(0, "x", 1), x.shape[0], 4, x.shape[1]), 2, 1, 0)),
    "dimshuffle of elementwise": (
        lambda x: turn(eg.maximum(x.T, x.T), 1, 0), lambda x: turn(eg.isnan(turn(x, 1, -1, 0)), 2, 0), lambda x: turn(eg.isnan(x.T), 1, 0),
        lambda x: turn(eg.eq(x.T, R["max"](x, axis=(0, 1), keepdims=False, shift=True)), 1, 0)),
    "reshape of dimshuffle": (
        lambda x: x.dimshuffle(0, "x", 1).reshape((x.shape[0] * x.shape[1],)),
        lambda x: x.dimshuffle("x", 0, 1).reshape((x.shape[1], x.shape[0]))),
    **COMPARED,
    "slice of everything": (
        lambda x: part(x, 0, x.shape[1], 1), lambda x: R["subtensor"](x, 0, 1, x.shape[0], 0, 1, 1, axes=(0, 1)),
        lambda x: part(x.dimshuffle(0, "x", 1), 0, 1, 1)),
    "slice of slice": (
        lambda x: x[::-1][::-1], lambda x: x[1:][1:], lambda x: x[:2][:, ::-1], lambda x: x[1:, :1][::-1], lambda x: x[::2][::-1][:1, 1:]),
    "slice of broadcast_to": (
        lambda x: repeated(x)[1:], lambda x: repeated(x)[1, ::-1], lambda x: repeated(x)[::-2, 1:, ::-1],
        lambda x: R["broadcast_to"](x.dimshuffle(0, "x", 1), x.shape[0], 3, x.shape[1])[:, 1:, ::-1]),
    "slice of place": (
        lambda x: part(set_in(x), 1, x.shape[0]), lambda x: part(set_in(x), 2, eg.maximum(x.shape[0] - 1, 0)), lambda x: set_in(x)[0],
        lambda x: part(set_in(x), x.shape[0] + 1, 2), lambda x: set_in(x)[:, ::-1],
        lambda x: part(R["place"](x, 1, 1, 0, 2, x.shape[0] + 3, 2 * x.shape[1], axes=(0, 1)), 1, x.shape[0])),
    "slice of dimshuffle": (lambda x: twice(x).T[:, 1:], lambda x: twice(x).dimshuffle(1, "x", 0)[::-1, :, :2]),
    "slice of elementwise": (
        lambda x: eg.eq(twice(x), twice(x))[::-1], lambda x: eg.maximum(twice(x), twice(x)[:, :1])[1:, :1],
        lambda x: eg.maximum(x.max(axis=1, keepdims=True), x)[1:]),
    **{f"slice of {name}": positions(name) for name in ("argmax", "argmin")},
    "take of all": (lambda x: eg.take(x, eg.arange(x.shape[0]), axis=0), lambda x: eg.take(x, R["iota"](x.shape[1]), axis=1)),
    "take of take": (lambda x: R["take"](R["take"](x, [0, 0, -1], axis=1), [1, 2, -1, 0], axis=1),
                     lambda x: R["take"](R["take"](x, [0, -1], axis=1), [[1], [-1]], axis=1)),
    "concat of few": (
        lambda x: R["concat"](x, axis=1), lambda x: R["concat"](x, x[:0], x, axis=0), lambda x: R["concat"](x[:0], x, axis=0)),
    "concat of concat": (lambda x: R["concat"](twice(x), x, axis=0), lambda x: R["concat"](x, twice(x), R["concat"](x, axis=0), axis=0)),
    "concat of neighbours": (
        lambda x: R["concat"](x[:1], x[1:], axis=0), lambda x: R["concat"](x, part(x, 0, 0), part(x, 0, x.shape[0]), axis=0),
        lambda x: R["concat"](x[::-1, :1], x[::-1, 1:], axis=1)),
    "slice of concat": (
        lambda x: part(twice(x), x.shape[0], x.shape[0]), lambda x: part(twice(x), 0, x.shape[0])[:, ::-1],
        lambda x: eg.stack([x, x[::-1]])[1],
        lambda x: R["subtensor"](twice(x), x.shape[0], 1, x.shape[0], 0, -1, 0, axes=(0, 1))),
    **best("max"), **best("min"), **best("any"), **best("all"),
    **{rule: folds(rule.split()[0])[rule] for rule in ("argmax over one element", "argmin over one element")},
    "sum(-x) whole": (lambda x: over("sum", -x, 1), lambda x: over("sum", -x, 0, 1, keepdims=True)),
    "sum(x * k) whole": (lambda x: over("sum", x * 3, 1), lambda x: over("sum", x * 100, 0, keepdims=True)),
}
"""For each rule what it applies to."""
SUMS: dict[str, tuple[Make, ...]] = {
    **folds("sum"), **folds("prod"), "slice of sum": positions("sum"), "slice of prod": positions("prod"),
    "sum of stack": best("sum")["sum of stack"],
    "sum(x * y)": (
        lambda x: over("sum", x.dimshuffle(0, 1, "x") * x.T.dimshuffle("x", 0, 1), 1),
        lambda x: over("sum", x.dimshuffle("x", 0, 1) * x.dimshuffle(0, "x", 1), 2),
        lambda x: over("sum", x.dimshuffle(0, "x", 1) * x.dimshuffle("x", 0, 1), 2, keepdims=True),
        lambda x: over("sum", repeated(x).dimshuffle(0, 1, "x", 2) * repeated(x).dimshuffle(0, "x", 1, 2), 3)),
    "slice of matmul": (lambda x: (x @ x.T)[1:], lambda x: (x @ x.T)[:, ::-1], lambda x: (repeated(x) @ x.T)[:, 1:, :2]),
    "dimshuffle of matmul": (lambda x: turn(R["matmul"](turn(x, 1, 0), turn(other(x), 1, 0)), 1, 0),),
}
"""The same for the rules of the list sums, of numbers."""
