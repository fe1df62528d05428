"""Rows that pick elements by position: regular sections and their adjoint, concatenation, gathers and scatters by integer arrays."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, constant, maximum, minimum, product
from exprgraph.errors import DTypeError, IndexFault, RankError, at, here
from exprgraph.node import OPERATORS, Condition, Op, Out, as_symbol
from exprgraph.ops.create import iota
from exprgraph.ops.rows import table
from exprgraph.ops.shape import Grads, Types, dim_node, dimshuffle, needed, shape_of, sum_back, sum_to, typed
from exprgraph.types import Accepted, broadcast_dims, cast_to, describe, normal_axis, promoted, size_argument, size_dim, size_dims

Axes = tuple[int, ...]


def _accept_section(x: Any, *sizes: Any, axes: Sequence[int]) -> Accepted:
    out = as_symbol(x)
    return (out, *[size_argument(s) for s in sizes]), {"axes": tuple(normal_axis(a, out.ndim) for a in axes)}


def _section_type(inputs: tuple[Out, ...], axes: Axes) -> Types:
    shape = list(inputs[0].type.shape)
    for axis, length in zip(axes, inputs[3::3]):
        shape[axis] = size_dim(length)
    return typed(inputs[0].dtype, shape)


def _section_needs(inputs: tuple[Out, ...], axes: Axes) -> list[Condition]:
    x, found = inputs[0], []
    for k, axis in enumerate(axes):
        found += _fits(size_dims(inputs[1 + 3 * k:4 + 3 * k]), x.type.shape[axis], f"axis {axis} of {describe(x)}")
    return found


def _fits(section: Sequence[Dim], size: Dim, where: str) -> list[Condition]:
    """Slices always fit; a single position must lie inside its axis, no step may be 0, and no length less than 0."""
    start, step, length = section
    found = _inside(start, size, where) if length.const == 1 else []
    found += needed("le", constant(0), length, f"a part of {where} would have {{right}} elements")
    return found if step.const is not None else found + needed("le", constant(1), maximum(step, -step), "slice step cannot be zero")


def _inside(start: Dim, size: Dim, where: str) -> list[Condition]:
    """0 <= start < size, in terms of the index that the user wrote where that is known."""
    back = (start - size).const
    if back is not None and back < 0:
        return needed("le", constant(-back), size, f"index {back} is out of bounds for {where}: its length is {{right}}", IndexFault)
    if start.const is not None:
        return needed("le", start + 1, size, f"index {start.const} is out of bounds for {where}: its length is {{right}}", IndexFault)
    return (needed("le", -start, constant(0), f"an index lies {{left}} places before the start of {where}", IndexFault)
            + needed("le", start, size - 1, f"index {{left}} is out of bounds for {where}: its last index is {{right}}", IndexFault))


def _positions(start: Any, step: Any, length: int) -> Any:
    return int(start) + int(step) * np.arange(length)


def _section(x: Any, *sizes: Any, axes: Axes) -> Any:
    for k, axis in enumerate(axes):
        start, step, length = (int(s) for s in sizes[3 * k:3 * k + 3])
        x = np.take(x, _positions(start, step, length), axis)
    return x


def _section_grad(g: Out, y: Out, x: Out, *sizes: Out, axes: Axes) -> Grads:
    ends = [s for k in range(len(axes)) for s in sizes[3 * k:3 * k + 2]]
    return place(g, *ends, *shape_of(x), axes=axes), *[None] * len(sizes)


def _place_type(inputs: tuple[Out, ...], axes: Axes) -> Types:
    return typed(inputs[0].dtype, size_dims(inputs[1 + 2 * len(axes):]))


def _place_needs(inputs: tuple[Out, ...], axes: Axes) -> list[Condition]:
    g, found = inputs[0], []
    shape = size_dims(inputs[1 + 2 * len(axes):])
    for k, axis in enumerate(axes):
        found += _fits((*size_dims(inputs[1 + 2 * k:3 + 2 * k]), g.type.shape[axis]), shape[axis], f"axis {axis} of the tensor")
    return found


def _place(g: Any, *sizes: Any, axes: Axes) -> Any:
    out = np.zeros([int(s) for s in sizes[2 * len(axes):]], g.dtype)
    where = [np.arange(n) for n in g.shape]
    for k, axis in enumerate(axes):
        where[axis] = _positions(sizes[2 * k], sizes[2 * k + 1], g.shape[axis])
    out[np.ix_(*where)] = g
    return out


def _place_grad(g: Out, y: Out, x: Out, *sizes: Out, axes: Axes) -> Grads:
    triples = [s for k, axis in enumerate(axes) for s in (*sizes[2 * k:2 * k + 2], shape_of(x)[axis])]
    return subtensor(g, *triples, axes=axes), *[None] * len(sizes)


subtensor = Op("subtensor", "view", _section, _accept_section, _section_type, _section_grad, flags=frozenset({"smooth"}),
               requires=_section_needs, doc="x at start, start + step, ... (length of them) along each of `axes`; 0 <= start.")
place = Op("place", "view", _place, _accept_section, _place_type, _place_grad, flags=frozenset({"smooth"}), requires=_place_needs,
           doc="Zeros of the sizes with g at start, start + step, ... along each of `axes`: the adjoint of subtensor.")


def _accept_concat(*xs: Any, axis: Any = 0) -> Accepted:
    parts = [a if dtypes.is_weak(a) else as_symbol(a) for a in xs]
    if not parts:
        raise RankError(f"concatenate takes at least one tensor{at(here())}")
    common = promoted(parts)
    outs = tuple(cast_to(a, common) for a in parts)
    ranks = sorted({o.ndim for o in outs})
    if len(ranks) > 1 or not ranks[0]:
        raise RankError(f"concatenate takes tensors of one rank, at least 1; ranks given: {', '.join(map(str, ranks))}{at(here())}")
    return outs, {"axis": normal_axis(axis, ranks[0])}


def _concat_type(inputs: tuple[Out, ...], axis: int) -> Types:
    shapes = [i.type.shape for i in inputs]
    known = [next((d for d in dims if d.const is not None), dims[0]) for dims in zip(*shapes)]
    known[axis] = sum((s[axis] for s in shapes), constant(0))
    return typed(inputs[0].dtype, known)


def _concat_needs(inputs: tuple[Out, ...], axis: int) -> list[Condition]:
    first = inputs[0]
    return [c for other in inputs[1:] for i in range(first.ndim) if i != axis
            for c in needed("eq", first.type.shape[i], other.type.shape[i], f"concatenate along axis {axis} of {describe(first)} and "
                            f"{describe(other)}: their axes {i} have sizes {{left}} and {{right}}")]


def _concat_grad(g: Out, y: Out, *xs: Out, axis: int) -> Grads:
    starts = [constant(0)]
    for x in xs:
        starts.append(starts[-1] + x.type.shape[axis])
    return tuple(subtensor(g, dim_node(s), 1, shape_of(x)[axis], axes=(axis,)) for s, x in zip(starts, xs))


concat = Op("concat", "view", lambda *xs, axis: np.concatenate(xs, axis), _accept_concat, _concat_type, _concat_grad,
            flags=frozenset({"smooth"}), requires=_concat_needs, doc="Tensors one after the other along `axis`.")


def index_array(value: Any) -> Out:
    """An integer index tensor as int64; what uint64 holds beyond int64 stays out of bounds."""
    out = as_symbol(value)
    if not dtypes.is_int(out.dtype):
        raise DTypeError(f"an index must be an integer tensor, not {out.dtype}{at(here())}")
    return cast_to(OPERATORS["minimum"](out, 2**63 - 1) if out.dtype == "uint64" else out, "int64")


def checked(idx: Any, size: int, axis: int) -> Any:
    """Positions that count from the start; IndexFault where one is outside."""
    idx = np.asarray(idx)
    bad = (idx < -size) | (idx >= size)
    if bad.any():
        raise IndexFault(f"index {idx[bad].flat[0]} is out of bounds for axis {axis} with size {size}")
    return np.where(idx < 0, idx + size, idx)


def _wrapped(idx: Any, size: Out) -> Any:
    return OPERATORS["where"](idx < 0, idx + size, idx)


def _accept_take(x: Any, idx: Any, *, axis: Any = 0) -> Accepted:
    out = as_symbol(x)
    return (out, index_array(idx)), {"axis": normal_axis(axis, out.ndim)}


def _take_type(inputs: tuple[Out, ...], axis: int) -> Types:
    x, idx = (i.type.shape for i in inputs)
    return typed(inputs[0].dtype, x[:axis] + idx + x[axis + 1:])


def _take_grad(g: Out, y: Out, x: Out, idx: Out, axis: int) -> Grads:
    size = shape_of(x)[axis]
    if idx.ndim:
        return scatter_add(idx, g, size, axis=axis), None
    whole = dimshuffle(g, pattern=[*range(axis), -1, *range(axis, g.ndim)])
    return _where_at(_along(size, x.ndim, axis), _wrapped(idx, size), whole), None


def _along(size: Out, rank: int, axis: int) -> Any:
    """0 .. size-1 along one axis of `rank`."""
    return dimshuffle(iota(size), pattern=[0 if i == axis else -1 for i in range(rank)])


def _where_at(positions: Any, idx: Any, g: Out) -> Out:
    made: Out = OPERATORS["where"](OPERATORS["eq"](positions, idx), g, cast_to(0, g.dtype))
    return made


def _take(x: Any, idx: Any, axis: int) -> Any:
    return np.take(x, checked(idx, x.shape[axis], axis), axis)


def _take_needs(inputs: tuple[Out, ...], axis: int) -> list[Condition]:
    """No position lies inside an axis without elements, not even the nearest one, which is read where an index is outside."""
    x, idx = inputs
    return needed("le", minimum(product(idx.type.shape), 1), x.type.shape[axis],
                  f"axis {axis} of {describe(x)} has no elements to take", IndexFault)


take = Op("take", "gather", _take, _accept_take, _take_type, _take_grad, flags=frozenset({"smooth"}), requires=_take_needs,
          doc="x at integer positions along one axis; negative ones count from the end.")


def _accept_along(x: Any, idx: Any, *, axis: Any = 0) -> Accepted:
    out, where = as_symbol(x), index_array(idx)
    if out.ndim != where.ndim:
        raise RankError(f"take_along_axis: the tensor has {out.ndim} axes, the index {where.ndim}; they must agree{at(here())}")
    return (out, where), {"axis": normal_axis(axis, out.ndim)}


def _along_type(inputs: tuple[Out, ...], axis: int) -> Types:
    x, idx = (list(i.type.shape) for i in inputs)
    length, x[axis], idx[axis] = idx[axis], constant(1), constant(1)
    shape = list(broadcast_dims([tuple(x), tuple(idx)]))
    shape[axis] = length
    return typed(inputs[0].dtype, shape)


def _take_along(x: Any, idx: Any, axis: int) -> Any:
    def others(a: Any) -> tuple[int, ...]:
        return tuple(1 if i == axis else n for i, n in enumerate(a.shape))
    shape = np.broadcast_shapes(others(x), others(idx))

    def spread(a: Any) -> Any:
        return np.broadcast_to(a, [a.shape[axis] if i == axis else n for i, n in enumerate(shape)])
    return np.take_along_axis(spread(x), checked(spread(idx), x.shape[axis], axis), axis)


def _along_grad(g: Out, y: Out, x: Out, idx: Out, axis: int) -> Grads:
    size = shape_of(x)[axis]
    if idx.type.shape[axis].const == 1:
        return sum_back(_where_at(_along(size, x.ndim, axis), _wrapped(idx, size), g), x), None
    apart = [*range(axis + 1), -1, *range(axis + 1, x.ndim)]  # the index axis keeps its place, the axis of x comes behind it
    each = _where_at(_along(size, x.ndim + 1, axis + 1), _wrapped(dimshuffle(idx, pattern=apart), size), dimshuffle(g, pattern=apart))
    sizes = [dim_node(d) for d in each.type.shape]
    total = sum_to(each, *sizes[:axis], 1, *sizes[axis + 1:])
    return sum_back(dimshuffle(total, pattern=[i for i in range(each.ndim) if i != axis]), x), None


take_along = Op("take_along", "gather", _take_along, _accept_along, _along_type, _along_grad, flags=frozenset({"smooth"}),
                requires=_take_needs, doc="As numpy.take_along_axis: for each place of idx the element of x at that position along `axis`.")


def _accept_scatter(idx: Any, g: Any, size: Any, *, axis: Any = 0) -> Accepted:
    where, out = index_array(idx), as_symbol(g)
    axis = normal_axis(axis, out.ndim - where.ndim + 1)
    return (where, out, size_argument(size)), {"axis": axis}


def _scatter_type(inputs: tuple[Out, ...], axis: int) -> Types:
    idx, g, size = inputs
    return typed(g.dtype, (*g.type.shape[:axis], size_dim(size), *g.type.shape[axis + idx.ndim:]))


def _scatter_needs(inputs: tuple[Out, ...], axis: int) -> list[Condition]:
    idx, g, _ = inputs
    return [c for i, d in enumerate(idx.type.shape) for c in needed(
        "eq", d, g.type.shape[axis + i], f"scatter of {describe(g)} at {describe(idx)}: axis {axis + i} of the values has "
        "{right} elements, the index has {left}")]


def _scatter(merge: Any, start: Any, idx: Any, g: Any, size: Any, axis: int) -> Any:
    rank = np.ndim(idx)
    out = np.full((int(size), *g.shape[:axis], *g.shape[axis + rank:]), start, dtypes.summed_in(g.dtype.name))
    rows = np.moveaxis(g, range(axis, axis + rank), range(rank))
    merge.at(out, checked(idx, int(size), axis), rows)
    return np.moveaxis(out.astype(g.dtype), 0, axis)


def _accept_integers(idx: Any, g: Any, size: Any, *, axis: Any = 0) -> Accepted:
    found = _accept_scatter(idx, g, size, axis=axis)
    if not dtypes.is_int(found[0][1].dtype):
        raise DTypeError(f"scatter_max takes integers, not {found[0][1].dtype}{at(here())}")
    return found


def _scatter_grad(gg: Out, y: Out, idx: Out, g: Out, size: Out, axis: int) -> Grads:
    return None, take(gg, idx, axis=axis), None


scatter_add = Op("scatter_add", "scatter", partial(_scatter, np.add, 0), _accept_scatter, _scatter_type, _scatter_grad,
                 flags=frozenset({"smooth"}), requires=_scatter_needs,
                 doc="Zeros with g added at integer positions along an axis; equal positions accumulate.")

scatter_inc = scatter_add.changed(
    name="scatter_inc", numpy=partial(_scatter, np.add, -0.0),
    doc="As scatter_add, but -0.0 where nothing is added, which changes no float that it is added to, the sign of a zero neither.")
scatter_max = Op("scatter_max", "scatter", lambda idx, g, size, axis: _scatter(np.maximum, np.iinfo(g.dtype).min, idx, g, size, axis),
                 _accept_integers, _scatter_type, lambda g, y, *inputs, axis: (None, None, None), requires=_scatter_needs,
                 doc="At each place the largest of the integers that are put there, the least of the dtype where there are none.")

TABLE = table([subtensor, place, concat, take, take_along, scatter_add, scatter_inc, scatter_max])
