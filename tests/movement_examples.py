"""Examples for each rule of MOVEMENT: functions of a matrix of any dtype and any sizes, 0 and 1 among them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import exprgraph as eg
from exprgraph.node import Out
from exprgraph.ops.rounding import cast

R = eg.ROWS
NUMBERS = ("float16", "float32", "float64", "int64", "uint64")
"""Dtypes that a sum keeps."""


def _turn(*axes: int) -> Callable[[Out], Out]:
    return lambda x: R["dimshuffle"](x, pattern=axes)


def _over_no_axis(name: str) -> tuple[Callable[[Any], Out], ...]:
    return lambda x: R[name](x, axis=(), keepdims=False), lambda x: R[name](x, axis=(), keepdims=True)


def _told(x: Any) -> Out:
    return R["specify_shape"](x, *x.shape, messages=("", ""))


EXAMPLES: dict[str, tuple[Callable[[Any], Out], ...]] = {
    "size": (lambda x: R["size"](eg.eq(x, x), axis=1), lambda x: R["size"](x.T, axis=0),
             lambda x: R["size"](x.reshape((x.shape[0] * x.shape[1],)), axis=0)),
    "dimshuffle of dimshuffle": (
        lambda x: _turn(2, 0)(_turn(1, -1, 0)(x)), lambda x: _turn(1, 2, 0)(_turn(1, -1, 0)(x)), lambda x: _turn(1, 0)(_turn(1, 0)(x)),
        lambda x: _turn(2, -1, 0, 1)(_turn(1, 0, -1)(x)), lambda x: _turn(2, 0, 1)(_turn(-1, 1, 0)(x))),
    "dimshuffle of nothing": (_turn(0, 1), lambda x: _turn(0, 1, 2)(_turn(1, -1, 0)(x))),
    "reshape of little": (
        lambda x: x.reshape((x.shape[0], 1, x.shape[1])), lambda x: x.reshape((1, x.shape[0], x.shape[1], 1)),
        lambda x: R["reshape"](x, *x.shape), lambda x: x.dimshuffle(0, "x", 1).reshape(tuple(x.shape))),
    "reshape of reshape": (
        lambda x: x.reshape((x.shape[0] * x.shape[1],)).reshape((x.shape[1], x.shape[0])),
        lambda x: x.reshape((x.shape[1], x.shape[0])).reshape((x.shape[0] * x.shape[1],)).reshape((1, x.shape[1], x.shape[0]))),
    "broadcast_to of nothing": (lambda x: R["broadcast_to"](x, *x.shape), lambda x: R["broadcast_to"](x.T, x.shape[1], x.shape[0])),
    "broadcast_to of broadcast_to": (
        lambda x: R["broadcast_to"](R["broadcast_to"](x, 4, *x.shape), 5, 4, *x.shape),
        lambda x: R["broadcast_to"](R["broadcast_to"](x, 1, *x.shape), 3, *x.shape),
        lambda x: R["broadcast_to"](R["broadcast_to"](x.dimshuffle(0, "x", 1), x.shape[0], 1, x.shape[1]), x.shape[0], 2, x.shape[1])),
    "specify_shape of nothing": (_told, lambda x: _told(x.T)),
    "sum_to decided": (
        lambda x: R["sum_to"](x, *x.shape), lambda x: R["sum_to"](x, 1, x.shape[1]), lambda x: R["sum_to"](x, x.shape[0], 1),
        lambda x: R["sum_to"](x, x.shape[1]), lambda x: R["sum_to"](x, 1), lambda x: R["sum_to"](x),
        lambda x: R["sum_to"](R["broadcast_to"](x, 4, *x.shape), 1, x.shape[1])),
    "cast of nothing": (lambda x: R["cast"](x, x.dtype),),
    "cast of cast": (
        lambda x: cast(cast(x, "float64"), x.dtype) if x.dtype in ("float16", "float32") else cast(cast(x, x.dtype), "float32"),
        lambda x: cast(cast(x, x.dtype), "int8")),
    "sum over no axis": _over_no_axis("sum"),
    **{f"{name} over no axis": _over_no_axis(name) for name in ("prod", "max", "min", "any", "all")},
    "assert of what holds": (lambda x: R["assert"](x, np.array(True)),),
    "broadcast operands": (
        lambda x: eg.maximum(R["broadcast_to"](x[:1], *x.shape), x),
        lambda x: eg.eq(x.T, R["broadcast_to"](x[:, 0], x.shape[1], x.shape[0])),
        lambda x: eg.eq(R["broadcast_to"](x, 3, *x.shape), 1), lambda x: eg.isnan(R["broadcast_to"](x, 2, *x.shape)),
        lambda x: eg.minimum(R["broadcast_to"](x, 2, *x.shape), R["broadcast_to"](x, 2, *x.shape))),
}
"""For each rule what it applies to."""
