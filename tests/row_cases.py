"""Calls of every row for tests of derivatives: functions of float64 tensors at points where they are smooth, or why there is none."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from exprgraph.node import Op
from exprgraph.ops.table import ROWS

RNG = np.random.default_rng(11)
M, N, V = RNG.uniform(-1, 1, (3, 4)), RNG.uniform(-1, 1, (4, 2)), RNG.uniform(0.5, 1.5, 5)
B = RNG.uniform(-1, 1, (2, 3, 4))
INDEX, PLACES = np.array([[0, 2], [2, -1]]), np.array([3, 0, 3])
JUMPS = "its value jumps: the slope is zero where there is one"
WHOLE = "its value is no float"
SIZES = "it computes sizes"
CHECKS = "it gives integers that have been checked"


class Case(NamedTuple):
    """A call of a row: a function of symbols, and an array for each."""
    row: str
    name: str
    function: Callable[..., Any]
    point: tuple[np.ndarray, ...]

    def __str__(self) -> str:
        return f"{self.row}: {self.name}"


def _of(row: str) -> Op:
    return ROWS[row]


CALLS: dict[str, dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]]] = {
    "matmul": {"matrices": (lambda a, b: _of("matmul")(a, b), (M, N)), "batches": (lambda a, b: _of("matmul")(a, b), (B, N)),
               "twice": (lambda a: _of("matmul")(a, a.T), (M,))},
    "subtensor": {"part": (lambda x: x[1:, ::2], (M,)), "back": (lambda x: x[::-1, 1], (M,))},
    "place": {"columns": (lambda x: _of("place")(x, 1, 2, 3, 9, axes=(1,)), (M,))},
    "concat": {"two": (lambda x, y: eg.concatenate([x, y], axis=1), (M, N.T[:1].repeat(3, 0))), "twice": (
        lambda x: eg.concatenate([x, x, eg.ones((1, 4), "float64")]), (M,))},
    "dimshuffle": {"all": (lambda x: x.dimshuffle(1, "x", 0), (M,))}, "reshape": {"flat": (lambda x: x.reshape((2, 6)), (M,))},
    "barrier": {"waiting": (lambda x: _of("barrier")(x, x.sum(), token=1) * x, (M,))},
    "grad_clip": {"where it does nothing": (lambda x: eg.grad_clip(x, -1e9, 1e9) * x, (M,))},
    "grad_scale": {"by one": (lambda x: eg.grad_scale(x, 1) * x, (M,))},
    "specify_shape": {"known": (lambda x: eg.specify_shape(x, (3, 4)), (M,))},
    "broadcast_to": {"rows": (lambda x: eg.broadcast_to(x, (2, 3, 4)), (M[:1],)), "scalar": (
        lambda x: eg.broadcast_to(x, (2, 3)), (V[0],))},
    "take": {"matrix": (lambda x: eg.take(x, INDEX, axis=1), (M,)), "scalar": (lambda x: eg.take(x, eg.constant(-1), axis=0), (M,))},
    "take_along": {"several": (lambda x: eg.take_along_axis(x, np.array([[1, 0, -1]]), axis=1), (M,)),
                   "one": (lambda x: eg.take_along_axis(x, np.array([[1], [0], [3]]), axis=1), (M,))},
    "take_at": {"two": (lambda x: x[INDEX, INDEX], (M,)), "apart": (lambda x: x[PLACES % 2, :, PLACES], (B,))},
    "pick": {"vector": (lambda x: _of("pick")(x, PLACES), (V,))},
    "scatter_add": {"rows": (lambda g: _of("scatter_add")(PLACES, g, 5, axis=0), (M,)), "columns": (
        lambda g: _of("scatter_add")(PLACES, g, 4, axis=1), (B,))},
    "scatter_inc": {"rows": (lambda g: _of("scatter_inc")(PLACES, g, 5, axis=0), (M,))},
    "sum": {"axis": (lambda x: x.sum(axis=0), (M,)), "all": (lambda x: x.sum(keepdims=True), (B,)),
            "none": (lambda x: x.sum(axis=()), (M,))},
    "prod": {"axis": (lambda x: x.prod(axis=1), (M,)), "zero": (lambda x: (x * np.array([1, 0, 1, 1])).prod(axis=1), (M,))},
    "max": {"axis": (lambda x: x.max(axis=1), (M,)), "axes": (lambda x: x.max(axis=(0, 2), keepdims=True), (B,))},
    "min": {"axis": (lambda x: x.min(axis=0), (M,))},
    "sum_to": {"row": (lambda x: _of("sum_to")(x, 1, 4), (B,))},
    "cumsum": {"axis": (lambda x: eg.cumsum(x, axis=0), (M,)), "all": (eg.cumsum, (M,))},
    "cumprod": {"axis": (lambda x: eg.cumprod(x, axis=1), (M,))},
    "cummax": {"axis": (lambda x: eg.cummax(x, axis=1), (M,))}, "cummin": {"axis": (lambda x: eg.cummin(x, axis=0), (M,))},
    "sort": {"rows": (lambda x: eg.sort(x, axis=1), (M,)), "first": (lambda x: eg.sort(x, axis=0), (B,))},
    "cast": {"itself": (lambda x: eg.cast(eg.cast(x, "float64"), "float64"), (M,))},
    "second": {"both": (lambda a, b: eg.second(a, b), (M, V[0]))},
    "switch": {"chosen": (lambda a, b: eg.switch(a > b, a * a, b), (M, M[::-1] + 0.01))},
    "assert": {"holds": (lambda x: eg.Assert("no")(x, x < 9), (M,))},
    "mod": {"by number": (lambda x: x % 0.3, (M,)), "both": (lambda x, y: x % y, (M, V[:4]))},
    "maximum": {"spread": (eg.maximum, (M, M[0] + 0.1))}, "minimum": {"spread": (eg.minimum, (M[:, :1] - 0.1, M))},
    "clip": {"bounds": (lambda x, a, b: eg.clip(x, a, b), (M, M[0] - 0.5, M[1:2] + 0.6))}, "relu": {"signs": (eg.relu, (M,))},
    "abs": {"signs": (lambda x: eg.abs(x), (M,))}, "real": {"of product": (lambda x: eg.real(eg.complex(x, x * x)), (M,))},
    "imag": {"of product": (lambda x: eg.imag(eg.complex(x, x * x)), (M,))},
    "conj": {"real": (lambda x: eg.imag(eg.conj(eg.complex(x, x * x))), (M,))},
    "angle": {"of two": (lambda x, y: eg.angle(eg.complex(x, y)), (M, M + 2))},
    "complex": {"product": (lambda x, y: eg.real(eg.complex(x, y) * eg.complex(y, x)) + eg.imag(eg.exp(eg.complex(x, y))), (M, M + 2))},
    "complex_from_polar": {"parts": (lambda r, t: eg.real(eg.complex_from_polar(r, t) ** 2), (M + 2, M))}}
NONE = {
    **dict.fromkeys(("sign", "int_div", "floor", "ceil", "trunc", "round_half_to_even", "round_half_away_from_zero"), JUMPS),
    **dict.fromkeys(("and_", "or_", "xor", "invert", "left_shift", "right_shift", "lt", "le", "gt", "ge", "eq", "neq", "isnan", "isinf",
                     "isfinite", "any", "all", "argmax", "argmin", "argsort", "argtopk", "searchsorted", "flatnonzero", "iota",
                     "scatter_max"), WHOLE),
    **dict.fromkeys(("size", "bcast_size", "read_size"), SIZES), **dict.fromkeys(("checked", "position"), CHECKS),
    "undefined_grad": "it is there to have its slope refused", "zero_grad": "it is there to have the slope zero",
    "disconnected_grad": "it is there to have no slope"}
"""Rows without a derivative, and the reason."""


def _elementwise(row: Op) -> list[Case]:
    rng = np.random.default_rng(5)
    shapes = {"alike": [(2, 3)] * 3, "spread": [(2, 1), (3,), ()], "scalar": [(), (2, 2), (1,)]}
    count = len(row.domain)
    return [Case(row.name, name, row, tuple(rng.uniform(low, high, s) for (low, high), s in zip(row.domain, sizes)))
            for name, sizes in shapes.items() if count > 1 or name == "alike"]


def cases() -> list[Case]:
    """All calls of all rows that have a derivative."""
    found = [Case(row, name, *call) for row, calls in CALLS.items() for name, call in calls.items()]
    for row in ROWS.values():
        if row.kind == "elementwise" and "smooth" in row.flags and row.name not in CALLS:
            found += _elementwise(row)
    return found
