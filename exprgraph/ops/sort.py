"""Sorting and searching: rows that no index map and no fold can say; NaN is greater than every number, as NumPy has it."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.dims import constant, product
from exprgraph.errors import RankError, at, here
from exprgraph.node import OPERATORS, Condition, Op, Out, Refusal, TensorType, as_symbol
from exprgraph.ops.create import iota
from exprgraph.ops.index import scatter_add
from exprgraph.ops.rows import no_slope, row, table
from exprgraph.ops.shape import Grads, Types, dim_node, dimshuffle, needed, reshape, shape_of, typed
from exprgraph.types import Accepted, cast_to, describe, normal_axis, promoted, size_argument, size_dim


def _accept_along(x: Any, axis: Any = -1) -> Accepted:
    out = as_symbol(x)
    if not out.ndim:
        raise RankError(f"a scalar has no axis to sort along{at(here())}")
    return (out,), {"axis": normal_axis(axis, out.ndim)}


def _placed(g: Out, idx: Out, like: Out, axis: int) -> Out:
    """Zeros like a tensor with g added at positions along one axis."""
    rank = like.ndim
    order = [*(i for i in range(rank) if i != axis), axis]
    back = [order.index(i) for i in range(rank)]
    moved, where = dimshuffle(g, pattern=order), dimshuffle(idx, pattern=order)
    shape = dimshuffle(like, pattern=order).type.shape
    total, rows, length = product(shape), product(shape[:-1]), dim_node(shape[-1])
    starts: Any = reshape(iota(dim_node(rows)), *[dim_node(d) for d in shape[:-1]], 1)
    flat, count = reshape(OPERATORS["add"](where, OPERATORS["mul"](starts, length)), dim_node(size_of(where))), dim_node(size_of(moved))
    made = scatter_add(flat, reshape(moved, count), dim_node(total), axis=0)
    return dimshuffle(reshape(made, *[dim_node(d) for d in shape]), pattern=back)


def size_of(x: Out) -> Any:
    """The number of elements as a Dim."""
    return product(x.type.shape)


def _sort_grad(g: Out, y: Out, x: Out, axis: int) -> Grads:
    return (_placed(g, argsort(x, axis=axis), x, axis),)


sort = Op("sort", "composite", lambda x, axis: np.sort(x, axis, kind="stable"), _accept_along, lambda inputs, axis: (inputs[0].type,),
          _sort_grad, domain=((-3.0, 3.0),), flags=frozenset({"smooth"}),
          doc="The elements along an axis in ascending order, NaN last.  The cotangent goes to where each element came from.")


def _positions(inputs: tuple[Out, ...], **params: Any) -> Types:
    return (TensorType("int64", inputs[0].type.shape),)


argsort = Op("argsort", "composite", lambda x, axis: np.argsort(x, axis, kind="stable"), _accept_along, _positions,
             lambda g, y, x, axis: (None,), domain=((-3.0, 3.0),),
             doc="The positions, int64, that sort the elements along an axis; equal elements keep their order.")


def _accept_best(x: Any, k: Any, *, axis: Any = -1, largest: bool = True) -> Accepted:
    (out,), settled = _accept_along(x, axis)
    return (out, size_argument(k)), {**settled, "largest": bool(largest)}


def _best_type(inputs: tuple[Out, ...], axis: int, largest: bool) -> Types:
    shape = list(inputs[0].type.shape)
    shape[axis] = size_dim(inputs[1])
    return typed("int64", shape)


def _best_needs(inputs: tuple[Out, ...], axis: int, largest: bool) -> list[Condition]:
    x, k = inputs
    what = f"topk of {describe(x)} along axis {axis}: "
    return [*needed("le", constant(0), size_dim(k), what + "k cannot be negative here: {right}"),
            *needed("le", size_dim(k), x.type.shape[axis], what + "k is {left}, the axis has {right} elements")]


def best_positions(x: Any, k: int, axis: int, largest: bool) -> Any:
    """The positions of the k largest or smallest along an axis, best first, of equals those that come first; NaN is the largest."""
    rows = np.moveaxis(x, axis, -1)
    flat = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
    found = None if not k or not flat.size else _filtered(flat, k, largest)
    if found is None:
        found = _best(flat, k, largest) if k and flat.size else np.empty((len(flat), k), "int64")
    return np.moveaxis(found.reshape(*rows.shape[:-1], k), -1, axis)


LANES = 8
"""The best of so many times k lanes of a row are looked at to learn which elements cannot be among the best k."""


def _filtered(rows: Any, k: int, largest: bool) -> Any:
    """The best of few candidates: what is at least as good as the k-th best of the best of some lanes.  None where these say too little:
    rows are short, have NaN, or many equals."""
    n, lanes = rows.shape[1], LANES * k
    if n < 4 * lanes:
        return None
    tops = (np.max if largest else np.min)(rows[:, :n // lanes * lanes].reshape(len(rows), n // lanes, lanes), axis=1)
    rest = rows[:, n // lanes * lanes:]
    if not (tops == tops).all() or not (rest == rest).all():
        return None
    edge = np.partition(tops, lanes - k if largest else k - 1)[:, [lanes - k if largest else k - 1]]
    places = np.flatnonzero(rows >= edge if largest else rows <= edge)
    if len(places) > 4 * k * len(rows):
        return None
    row, place = np.divmod(places, n)
    counts = np.bincount(row, minlength=len(rows))
    column = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    where, values = np.zeros((len(rows), counts.max()), "int64"), np.repeat(edge, counts.max(), 1)
    where[:], where[row, column], values[row, column] = n, place, rows[row, place]
    return np.take_along_axis(where, _ranked(values, largest)[:, :k], 1)


def _best(rows: Any, k: int, largest: bool) -> Any:
    """By a partition: all that are at least as good as the k-th one, where these are k; rows with more equals one by one."""
    n = rows.shape[1]
    edge = np.partition(rows, n - k if largest else k - 1)[:, [n - k if largest else k - 1]]
    good = (rows >= edge) | (rows != rows) if largest else rows <= edge
    counts = np.count_nonzero(good, axis=1)
    if (counts == k).all():
        places = np.flatnonzero(good).reshape(-1, k) % n
        return np.take_along_axis(places, _ranked(np.take_along_axis(rows, places, 1), largest), 1)
    found = np.empty((len(rows), k), "int64")
    clean = counts == k
    found[clean] = _best(rows[clean], k, largest) if clean.any() else 0
    for r in np.flatnonzero(~clean):
        found[r] = _best_with_equals(rows[r], edge[r, 0], k, largest)
    return found


def _best_with_equals(row: Any, edge: Any, k: int, largest: bool) -> Any:
    """All that is better than the k-th one, then the first ones that are equal to it."""
    if edge == edge:
        beyond = (row > edge) | (row != row) if largest else row < edge
        equal = row == edge
    else:
        equal = row != row
        beyond = ~equal & (not largest)
    inside = np.flatnonzero(beyond)
    return np.concatenate([inside[_ranked(row[inside], largest)], np.flatnonzero(equal)[:k - len(inside)]])


def _ranked(values: Any, largest: bool) -> Any:
    """The positions that put the last axis in order, equals as they come."""
    if not largest:
        return np.argsort(values, axis=-1, kind="stable")
    return values.shape[-1] - 1 - np.argsort(values[..., ::-1], axis=-1, kind="stable")[..., ::-1]


argtopk = Op("argtopk", "composite", lambda x, k, axis, largest: best_positions(x, int(k), axis, largest), _accept_best, _best_type,
             lambda g, y, x, k, axis, largest: (None, None), requires=_best_needs,
             doc="The positions, int64, of the k largest (or smallest) elements along an axis, best first; of equals those that come "
                 "first.")


def _accept_search(a: Any, v: Any, *, side: str = "left") -> Accepted:
    keys, values = as_symbol(a), as_symbol(v)
    common = promoted([keys, values])
    if keys.ndim != 1 or not values.ndim:
        raise RankError(f"the row searchsorted takes a vector and a tensor with axes, not tensors of {keys.ndim} and {values.ndim} axes"
                        f"{at(here())}")
    return (cast_to(keys, common), cast_to(values, common)), {"side": side}


searchsorted = Op("searchsorted", "composite", lambda a, v, side: np.searchsorted(a, v, side), _accept_search,
                  lambda inputs, side: (TensorType("int64", inputs[1].type.shape),), lambda g, y, a, v, side: (None, None),
                  doc="For each element of v the first position, int64, at which it could be put into the sorted vector a; the last "
                      'one with side "right".')


def _accept_mask(mask: Any, n: Any) -> Accepted:
    return (cast_to(mask, "bool"), size_argument(n)), {}


flatnonzero = Op("flatnonzero", "composite", lambda mask, n: np.flatnonzero(mask), _accept_mask,
                 lambda inputs: typed("int64", [size_dim(inputs[1])]), lambda g, y, mask, n: (None, None),
                 doc="The positions, int64, at which a bool vector is true; n says how many there are.")


def _accept_pick(x: Any, idx: Any) -> Accepted:
    return (as_symbol(x), as_symbol(idx)), {}


def _pick_grad(g: Out, y: Out, x: Out, idx: Out) -> Grads:
    return scatter_add(idx, g, shape_of(x)[0], axis=0), None


pick = Op("pick", "gather", lambda x, idx: x[idx], _accept_pick, lambda inputs: (TensorType(inputs[0].dtype, inputs[1].type.shape),),
          _pick_grad, doc="A vector at positions that are known to lie in it.")

def _refused(inputs: tuple[Out, ...], **params: Any) -> list[Refusal]:
    return [Refusal(OPERATORS["lt"](inputs[0], 0), inputs[0], "{index} is negative, and no count or position")]


def _natural(x: Any) -> Any:
    if np.any(x < 0):
        raise ValueError(f"{x[x < 0].flat[0]} is negative, and no count or position")
    return x.copy()


natural = row("natural", _natural, "{0}", no_slope(1), takes=("int64",), refuses=_refused, domain=((0.0, 9.0),),
              doc="An int64 tensor that must hold no negative number.")

TABLE = table([sort, argsort, argtopk, searchsorted, flatnonzero, pick, natural])
