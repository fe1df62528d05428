"""Positions as data: permutations and their inverses, flat positions and those by axis, choice among tensors."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.dims import constant, product
from exprgraph.errors import DTypeError, RankError, ShapeError, UseError, at, here, shortly
from exprgraph.functions.indexing import take_along_axis
from exprgraph.functions.joining import stack
from exprgraph.functions.shaping import broadcast_arrays, flatten, sizes
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import int_div, mod
from exprgraph.ops.compare import maximum, minimum, switch
from exprgraph.ops.create import iota
from exprgraph.ops.index import index_array, scatter_add
from exprgraph.ops.markers import checked
from exprgraph.ops.shape import dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import promoted, size_dims

MODES = ("raise", "wrap", "clip")


def inside(name: str, index: Any, size: Any, mode: str, place: bool = False) -> Any:
    """int64 positions from 0 to size - 1; outside of that (negative ones too) wrapped round, or clipped, or a fault of the call.

    place: whether that is an IndexFault, not a ValueFault.
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise UseError(f"{name}: mode must be one of {', '.join(map(repr, MODES))}, not {shortly(mode)}{at(here())}")
    places: Any = index_array(index)
    if mode == "wrap":
        return mod(places, size)
    if mode == "clip":
        return maximum(minimum(places, size - 1), 0)
    within = (places >= 0) & (places < size)
    return checked(places, within, size, message=name + ": {index} is out of bounds for {size} positions", place=place)


def unravel_index(indices: Any, shape: Any = None, order: str = "C", dims: Any = None) -> tuple[Any, ...]:
    """The positions along each axis of a shape that flat positions stand for; ValueFault where one lies outside.

    order "C": the last axis runs fastest; "F": the first.
    """
    lengths = size_dims(sizes(dims if shape is None else shape))
    left = inside("unravel_index", indices, dim_node(product(lengths)), "raise")
    found = list[Any]()
    for length in _fastest_first("unravel_index", lengths, order):
        found.append(mod(left, dim_node(length)))
        left = int_div(left, dim_node(length))
    return tuple(found if order == "F" else found[::-1])


def _fastest_first(name: str, parts: Sequence[Any], order: str) -> list[Any]:
    if order not in ("C", "F"):
        raise UseError(f"{name}: order must be \"C\" or \"F\", not {shortly(order)}{at(here())}")
    return list(parts) if order == "F" else list(parts)[::-1]


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Out:
    """The flat positions of positions along each axis of a shape, the inverse of `unravel_index`.

    mode: "raise" (ValueFault when called), "wrap" or "clip", or one for each axis; Theano's third argument, the order, is taken too.
    """
    mode, order = ("raise", mode) if mode in ("C", "F") else (mode, order)
    lengths = size_dims(sizes(dims))
    modes = [mode] * len(lengths) if isinstance(mode, str) else list(mode)
    parts = list(multi_index)
    if not len(parts) == len(lengths) == len(modes):
        raise ShapeError(f"ravel_multi_index: {len(parts)} positions, {len(lengths)} sizes and {len(modes)} modes{at(here())}")
    total: Any = 0
    step = constant(1)
    for part, length, how in _fastest_first("ravel_multi_index", list(zip(parts, lengths, modes)), order):
        total = inside("ravel_multi_index", part, dim_node(length), how) * dim_node(step) + total
        step = step * length
    return as_symbol(total)


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Out:
    """For each integer of `a` the element at its place of the tensor with that number; all broadcast.

    choices: a sequence of tensors, or a tensor whose first axis counts them.  mode as in `ravel_multi_index`.
    """
    if out is not None:
        raise UseError(f"choose: out= has no meaning for symbols; write y = choose(...){at(here())}")
    if isinstance(choices, tuple | list):
        common = promoted([c if dtypes.is_weak(c) else as_symbol(c) for c in choices])
        number, *tensors = broadcast_arrays(index_array(a), *[as_symbol(c).astype(common) for c in choices])
        options: Any = stack(tensors)
    else:
        number, options = index_array(a), as_symbol(choices)
        spread = max(number.ndim, options.ndim - 1)
        options = dimshuffle(options, pattern=[0, *[-1] * (spread + 1 - options.ndim), *range(1, options.ndim)])
        number = dimshuffle(number, pattern=[*[-1] * (spread - number.ndim), *range(number.ndim)])
    places = inside("choose", number, shape_of(options)[0], mode)
    found = take_along_axis(options, dimshuffle(places, pattern=[-1, *range(places.ndim)]), axis=0)
    return dimshuffle(found, pattern=range(1, found.ndim))


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Out:
    """The choice that belongs to the first true condition, elementwise; the default where none is."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError(f"select: {len(condlist)} conditions and {len(choicelist)} choices{at(here())}")
    found: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        if as_symbol(condition).dtype != "bool":
            raise DTypeError(f"select: a condition must be bool, not {as_symbol(condition).dtype}{at(here())}")
        found = switch(condition, choice, found)
    return as_symbol(found)


def inverse_permutation(perm: Any) -> Out:
    """For each row of a permutation of 0 .. n-1, in the last axis, the permutation that undoes it."""
    out = index_array(perm)
    if not out.ndim:
        raise RankError(f"inverse_permutation takes a vector or rows of a matrix, not a scalar{at(here())}")
    size = shape_of(out)[-1]
    if out.ndim == 1:
        return scatter_add(out, iota(size), size)
    rows: Any = flatten(out, 1)
    count = dim_node(product(out.type.shape))
    starts: Any = int_div(iota(count), maximum(size, 1)) * size
    found = scatter_add(rows + starts, mod(iota(count), maximum(size, 1)), count)
    return reshape(found, *shape_of(out))


def permute_row_elements(x: Any, y: Any, inverse: Any = False) -> Out:
    """The elements of each row of x, in the last axis, in the order that the same row of y names; rows broadcast.

    With inverse the order is undone: result[y[i]] = x[i].
    """
    out, order = as_symbol(x), index_array(y)
    if not out.ndim or not order.ndim:
        raise RankError(f"permute_row_elements takes rows, not scalars{at(here())}")
    order = inverse_permutation(order) if inverse else order
    rank = max(out.ndim, order.ndim)
    out, order = (dimshuffle(t, pattern=[*[-1] * (rank - t.ndim), *range(t.ndim)]) if t.ndim < rank else t for t in (out, order))
    return take_along_axis(out, order, axis=-1)
