"""Sorting and searching: rows that no index map and no fold can say; NaN is greater than every number, as NumPy has it."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.dims import constant, product
from exprgraph.errors import RankError, at, here
from exprgraph.node import OPERATORS, Condition, Op, Out, TensorType, as_symbol
from exprgraph.ops.create import iota
from exprgraph.ops.index import scatter_add
from exprgraph.ops.rows import table
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


def _best_positions(x: Any, k: Any, axis: int, largest: bool) -> Any:
    """Of equals those that come first: what is turned round before and after a stable sort keeps their order."""
    rows = np.moveaxis(x, axis, -1)
    if largest:
        order = rows.shape[-1] - 1 - np.argsort(rows[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    else:
        order = np.argsort(rows, axis=-1, kind="stable")
    return np.moveaxis(order[..., :int(k)], -1, axis)


argtopk = Op("argtopk", "composite", _best_positions, _accept_best, _best_type,
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


def _search(a: Any, v: Any, side: Any, lanes: int = 0) -> Any:
    """With lanes, that many leading axes of both tensors, each vector of a is for what v has at its place."""
    if not lanes:
        return np.searchsorted(a, v, side)
    found = np.zeros(v.shape, "int64")
    for lane in np.ndindex(a.shape[:lanes]):
        found[lane] = np.searchsorted(a[lane], v[lane], side)
    return found


def _search_needs(inputs: tuple[Out, ...], side: str, lanes: int = 0) -> list[Condition]:
    a, v = inputs
    return [c for d, e in zip(a.type.shape[:lanes], v.type.shape) for c in needed(
        "eq", d, e, f"searchsorted in {describe(a)}, a vector for each lane: there are {{left}} of them, and {{right}} for the values")]


searchsorted = Op("searchsorted", "composite", _search, _accept_search,
                  lambda inputs, side, lanes=0: (TensorType("int64", inputs[1].type.shape),),
                  lambda g, y, a, v, side, lanes=0: (None, None), requires=_search_needs,
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

TABLE = table([sort, argsort, argtopk, searchsorted, flatnonzero, pick])
