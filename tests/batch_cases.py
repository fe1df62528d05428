"""What the tests of batches run: for every row calls of it, with the values of one lane for each operand."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from exprgraph.errors import DTypeError
from exprgraph.node import Op
from exprgraph.ops import complexes
from exprgraph.ops.table import ROWS

Draw = Callable[[np.random.Generator], Any]
ELEMENTWISE = [r for r in ROWS.values() if r.kind == "elementwise" and r.name not in ("cast", "assert", "checked", "position")]
SHAPES = ((2, 3), (3,), (2, 1))


class Case(NamedTuple):
    """A call of a row.  draws: the value of one lane for each operand."""
    name: str
    call: Callable[..., Any]
    draws: tuple[Draw, ...]

    def values(self, rng: np.random.Generator, lanes: int) -> list[list[np.ndarray]]:
        """For each operand the values of the lanes."""
        return [[np.asarray(draw(rng)) for _ in range(lanes)] for draw in self.draws]


def floats(*shape: int, low: float = -3, high: float = 3) -> Draw:
    """Floats between two numbers."""
    return lambda rng: rng.uniform(low, high, shape)


def integers(low: int, high: int, *shape: int, dtype: str = "int64") -> Draw:
    """Integers from low to high - 1."""
    return lambda rng: rng.integers(low, high, shape).astype(dtype)


def ascending(*shape: int) -> Draw:
    """Floats in ascending order along the last axis."""
    return lambda rng: np.sort(rng.uniform(-3, 3, shape), -1)


def complexes_of(*shape: int) -> Draw:
    """Complex numbers."""
    return lambda rng: rng.uniform(0.5, 2, shape) + 1j * rng.uniform(0.5, 2, shape)


def truths(*shape: int) -> Draw:
    """Random bools."""
    return lambda rng: rng.integers(0, 2, shape).astype(bool)


def _operand(row: Op, k: int, dtype: str, shape: tuple[int, ...]) -> Draw:
    if row.name == "switch" and k == 0:
        return truths(*shape)
    if dtype == "complex128":
        return complexes_of(*shape)
    low, high = row.domain[k]
    return floats(*shape, low=low, high=high) if dtype == "float64" else integers(0, 5, *shape)


def elementwise() -> Iterator[Case]:
    """Every elementwise row, on operands of different ranks, and of one rank."""
    for row in ELEMENTWISE:
        dtype = "complex128" if row.name in complexes.TABLE and len(row.domain) == 1 else _taken(row)
        for shapes in (SHAPES, SHAPES[1:] + SHAPES[:1], ((), (), ()))[:len(row.domain) + 1]:
            yield Case(row.name, row, tuple(_operand(row, k, dtype, shapes[k]) for k in range(len(row.domain))))


def _taken(row: Op) -> str:
    try:
        row(*[eg.tensor("x", "float64", (None,))] * len(row.domain))
    except DTypeError:
        return "int64"
    return "float64"


A, IDX = floats(3, 4), integers(-3, 3, 2)


def _(name: str, call: Callable[..., Any], *draws: Draw) -> Case:
    return Case(name, call, draws)


CASES: list[Case] = [
    *elementwise(),
    _("cast", lambda x: ROWS["cast"](x, dtype="float32"), A),
    _("assert", lambda x, c: eg.assert_op(x, c > -9), A, A), _("assert", lambda x, c: eg.assert_op(x, c > -9), floats(), floats(4)),
    _("checked", lambda i, j: ROWS["checked"](i, j > -9, message="{index}"), IDX, IDX),
    _("position", lambda i: ROWS["position"](i, 3), IDX),
    *[_(name, lambda x, name=name, axis=axis, kept=kept: ROWS[name](x, axis=axis, keepdims=kept), A)
      for name in ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin") for axis, kept in ((0, False), (1, True), (None, False))],
    _("sum", lambda x: ROWS["sum"](x, axis=()), A), _("max", lambda x: ROWS["max"](x, axis=1, shift=True), A),
    _("sum_to", lambda x: ROWS["sum_to"](x, 1, 4), A), _("sum_to", lambda x: ROWS["sum_to"](x, 4), A),
    _("sum_to", lambda x: ROWS["sum_to"](x), A),
    *[_(name, lambda x, name=name, axis=axis: ROWS[name](x, axis=axis), A) for name in ("cumsum", "cumprod", "cummax", "cummin")
      for axis in (0, 1)],
    *[_("matmul", ROWS["matmul"], floats(*a), floats(*b)) for a, b in (
        ((3, 4), (4, 2)), ((3, 4), (4, 1)), ((1, 4), (4, 2)),
        ((3, 1), (1, 2)), ((5, 3, 4), (4, 2)), ((3, 4), (5, 4, 2)), ((5, 1, 3, 4), (2, 4, 2)))],
    _("dimshuffle", lambda x: ROWS["dimshuffle"](x, pattern=(1, -1, 0)), A),
    _("dimshuffle", lambda x: ROWS["dimshuffle"](x, pattern=(1,)), floats(1, 4)),
    _("reshape", lambda x: x.reshape((2, -1)), A), _("reshape", lambda x: x.reshape((x.shape[1], x.shape[0])), A),
    _("broadcast_to", lambda x: ROWS["broadcast_to"](x, 2, 3, 4), floats(1, 4)),
    _("broadcast_to", lambda x: ROWS["broadcast_to"](x, 2), floats()),
    _("broadcast_to", lambda x, y: x.broadcast_to(y.shape), floats(4), A),
    _("specify_shape", lambda x: eg.specify_shape(x, (3, None)) * 2, A),
    _("subtensor", lambda x: x[1:, ::-2], A), _("subtensor", lambda x, i: x[:, i], A, integers(-4, 4)),
    _("subtensor", lambda x, i, j: x[i, j], A, integers(-3, 3), integers(-4, 4)),
    _("subtensor", lambda x, i: x[1:, i], A, integers(-4, 4)),
    _("subtensor", lambda x, s: ROWS["subtensor"](x, 0, s, 2, axes=(1,)), A, integers(1, 4)),
    _("place", lambda x: ROWS["place"](x, 1, 2, 8, 4, axes=(0,)), A),
    _("place", lambda x, i: ROWS["place"](x, i, 1, 0, 1, 6, 5, axes=(0, 1)), A, integers(0, 4)),
    _("place", lambda x, s: ROWS["place"](x, 0, s, 3, 10, axes=(1,)), A, integers(1, 4)),
    _("place", lambda x, i: ROWS["place"](x > 0, i, 1, 9, 4, axes=(0,)), A, integers(0, 4)),
    _("concat", lambda x, y: ROWS["concat"](x, y, axis=1), A, floats(3, 2)),
    _("concat", lambda x, y: ROWS["concat"](x, y, axis=0), A, floats(2, 4)),
    *[_("take", lambda x, i, axis=axis: ROWS["take"](x, i, axis=axis), A, idx)
      for axis in (0, 1) for idx in (IDX, integers(-3, 3), integers(-3, 3, 2, 3))],
    *[_("take_along", lambda x, i, axis=axis: ROWS["take_along"](x, i, axis=axis), A, integers(-3, 3, *s))
      for axis, s in ((0, (2, 4)), (1, (3, 5)), (0, (1, 4)), (1, (1, 2)))],
    *[_("take_at", lambda x, i, j, axes=axes: ROWS["take_at"](x, i, j, axes=axes), floats(3, 4, 3), IDX, IDX)
      for axes in ((0, 1), (0, 2), (1, 2))],
    _("take_at", lambda x, i, j: ROWS["take_at"](x, i, j, axes=(0, 1)), A, integers(-3, 3, 2, 2), integers(-3, 3, 2, 2)),
    _("take_at", lambda x, i, j: ROWS["take_at"](x, i, j, axes=(0, 1)), A, integers(-3, 3), integers(-3, 3)),
    *[_("pick", ROWS["pick"], floats(5), integers(0, 5, *s)) for s in ((), (4,), (2, 3))],
    *[_(name, lambda i, g, name=name, axis=axis: ROWS[name](i, g, 4, axis=axis), integers(-4, 4, *s), draw(*shape))
      for name, draw in (("scatter_add", floats), ("scatter_inc", floats), ("scatter_max", lambda *s: integers(-9, 9, *s)))
      for axis, s, shape in ((0, (3,), (3, 2)), (1, (3,), (2, 3)), (1, (2, 2), (3, 2, 2)), (0, (), (2,)))],
    *[_(name, lambda x, name=name, axis=axis: ROWS[name](x, axis=axis), A) for name in ("sort", "argsort") for axis in (0, 1)],
    *[_("argtopk", lambda x, axis=axis, largest=largest: ROWS["argtopk"](x, 2, axis=axis, largest=largest), A)
      for axis, largest in ((0, True), (1, False))],
    *[_("searchsorted", lambda a, v, side=side: ROWS["searchsorted"](a, v, side=side), ascending(5), floats(*s))
      for side in ("left", "right") for s in ((4,), (2, 3))],
    _("barrier", lambda x, y: ROWS["barrier"](x, y.sum(), token=7), A, A),
    _("flatnonzero", lambda x, m: x * eg.flatnonzero(m).sum(), A, truths(5)),
    _("iota", lambda x: ROWS["iota"](x.shape[0]) * 2, A), _("size", lambda x: ROWS["size"](x, axis=1) * 2, A),
    _("bcast_size", lambda x, y: ROWS["bcast_size"](x.shape[0], y.shape[0]) * 2, A, A),
    _("read_size", lambda x, i: x[eg.argmax(i):][:1], A, integers(1, 9, 3)),
]
"""What every row is tried on; those of `FIXED` only with operands that are the same in every lane."""

FIXED = {("flatnonzero", 1): "how many elements are true differs from lane to lane",
         ("read_size", 1): "the length of x[k:] differs from lane to lane"}
"""Operands that cannot be mapped, by row and number, with the reason."""
