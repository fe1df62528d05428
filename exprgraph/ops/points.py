"""Rows for indices that work on several axes at once: checked positions, and gathers by several arrays."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph.dims import minimum, product
from exprgraph.errors import IndexFault, RankError, at, here
from exprgraph.node import OPERATORS, Condition, Op, Out, Refusal, TensorType, as_symbol, constant_value
from exprgraph.ops.index import checked, index_array, scatter_add
from exprgraph.ops.rows import no_slope, row, table
from exprgraph.ops.shape import Grads, Types, dimshuffle, needed, reshape, shape_of, typed
from exprgraph.types import Accepted, broadcast_dims, describe, normal_axis, size_argument


def _accept_position(idx: Any, size: Any, *, axis: int = 0) -> Accepted:
    return (index_array(idx), index_array(size)), {"axis": int(axis)}


def _position_type(inputs: tuple[Out, ...], **params: Any) -> Types:
    return (TensorType("int64", broadcast_dims([i.type.shape for i in inputs])),)


def _position(idx: Any, size: Any, axis: int = 0) -> Any:
    idx, size = np.broadcast_arrays(idx, size)
    bad = (idx < -size) | (idx >= size)
    if bad.any():
        raise IndexFault(f"index {idx[bad].flat[0]} is out of bounds for axis {axis} with size {size[bad].flat[0]}")
    return np.where(idx < 0, idx + size, idx)


def _outside(inputs: tuple[Out, ...], axis: int) -> list[Refusal]:
    """What only a call can know; constants that lie inside need no check."""
    idx, size = inputs
    known, limit = constant_value(idx), constant_value(size)
    if known is not None and limit is not None and bool(((known >= -limit) & (known < limit)).all()):
        return []
    below, beyond = OPERATORS["lt"](idx, OPERATORS["neg"](size)), OPERATORS["ge"](idx, size)
    message = f"position: index {{index}} is out of bounds for axis {axis} with size {{size}}"
    return [Refusal(OPERATORS["or_"](below, beyond), idx, message, IndexFault, size)]


position = row("position", _position, "eg_wrap_{N}({0}, {1})", no_slope(2), arity=2, accept=_accept_position, infer=_position_type,
               refuses=_outside, doc="An index into an axis of a size, counted from the start; IndexFault outside of it.")


def _accept_at(x: Any, *idx: Any, axes: Sequence[int]) -> Accepted:
    out, places = as_symbol(x), tuple(index_array(i) for i in idx)
    found = tuple(normal_axis(a, out.ndim) for a in axes)
    if not places or len(places) != len(found) or list(found) != sorted(set(found)) or len({p.ndim for p in places}) > 1:
        raise RankError(f"take_at takes indices of one rank, one for each of its axes, which must ascend{at(here())}")
    return (out, *places), {"axes": found}


def _at_type(inputs: tuple[Out, ...], axes: tuple[int, ...]) -> Types:
    x, idx = inputs[0].type.shape, inputs[1].type.shape
    return typed(inputs[0].dtype, (*x[:axes[0]], *idx, *(d for k, d in enumerate(x) if k > axes[0] and k not in axes)))


def _at_needs(inputs: tuple[Out, ...], axes: tuple[int, ...]) -> list[Condition]:
    x, *idx = inputs
    some = minimum(product(idx[0].type.shape), 1)
    found = [c for other in idx[1:] for a, b in zip(idx[0].type.shape, other.type.shape)
             for c in needed("eq", a, b, "take_at: its indices have sizes {left} and {right}")]
    return found + [c for axis in axes for c in needed("le", some, x.type.shape[axis],
                                                       f"axis {axis} of {describe(x)} has no elements to take", IndexFault)]


def _take_at(x: Any, *idx: Any, axes: tuple[int, ...]) -> Any:
    rank, first = idx[0].ndim, axes[0]
    places = tuple(checked(i, x.shape[a], a) for i, a in zip(idx, axes))
    found = np.moveaxis(x, axes, range(len(axes)))[places]
    return np.moveaxis(found, range(rank), range(first, first + rank))


def _at_grad(g: Out, y: Out, x: Out, *idx: Out, axes: tuple[int, ...]) -> Grads:
    sizes = shape_of(x)
    flat, total = flat_position(idx, [sizes[a] for a in axes], axes)
    spread = scatter_add(flat, g, total, axis=axes[0])
    return apart(spread, [sizes[a] for a in merged(x.ndim, axes)], axes), *[None] * len(idx)


def merged(rank: int, axes: Sequence[int]) -> list[int]:
    """All axes of a tensor, those of `axes` brought together where the first of them is."""
    return [*range(axes[0]), *axes, *(a for a in range(axes[0], rank) if a not in axes)]


def apart(x: Out, sizes: Sequence[Out], axes: Sequence[int]) -> Out:
    """A tensor whose axes `axes` are merged into one, where the first of them was, with its own axes; sizes: as `merged` orders them."""
    order = merged(len(sizes), axes)
    return dimshuffle(reshape(x, *sizes), pattern=[order.index(a) for a in range(len(order))])


def flat_position(idx: Sequence[Out], sizes: Sequence[Out], axes: Sequence[int]) -> tuple[Out, Out]:
    """The row-major position that indices into axes of these sizes name together, and how many there are."""
    flat: Any = position(idx[0], sizes[0], axis=axes[0])
    total: Any = sizes[0]
    for i, size, axis in zip(idx[1:], sizes[1:], axes[1:]):
        flat, total = flat * size + position(i, size, axis=axis), total * size
    return flat, size_argument(total)


take_at = Op("take_at", "gather", _take_at, _accept_at, _at_type, _at_grad, flags=frozenset({"smooth"}), requires=_at_needs,
          doc="x at integer positions along several axes at once; the axes of the indices stand where the first of them was.")

TABLE = table([position, take_at])
