"""What is picked by value: positions of what is not zero, elements under a mask, repeats by an array; sizes are decided by each call."""
from __future__ import annotations

from typing import Any

from exprgraph import dtypes
from exprgraph.errors import DTypeError, RankError, at, here
from exprgraph.functions.shaping import ravel
from exprgraph.node import OPERATORS, Out, as_symbol
from exprgraph.ops import index as rows
from exprgraph.ops.create import iota
from exprgraph.ops.markers import checked
from exprgraph.ops.reduce import sum_
from exprgraph.ops.scan import cumsum
from exprgraph.ops.shape import broadcast_to, declared, dim_node
from exprgraph.ops.sort import flatnonzero as positions_row
from exprgraph.ops.sort import searchsorted as search_row
from exprgraph.types import cast_to, known_size, normal_axis

__all__ = ["argwhere", "compress", "extract", "flatnonzero", "nonzero", "nonzero_values", "repeat_each"]


def _truth(x: Any) -> Out:
    """The tensor as bool: whether elements are not zero."""
    out = as_symbol(x)
    made: Out = out if out.dtype == "bool" else OPERATORS["neq"](out, cast_to(0, out.dtype))
    return made


def flatnonzero(a: Any) -> Out:
    """The positions, an int64 vector, at which the flattened tensor is not zero; its length is decided by each call."""
    mask = ravel(_truth(a))
    return positions_row(mask, known_size(sum_(mask)))


def nonzero(a: Any, return_matrix: bool = False) -> tuple[Out, ...] | Out:
    """The positions of what is not zero, in row-major order: an int64 vector for each axis.

    With `return_matrix` one int64 matrix with a row for each axis.  The length is decided by each call.  RankError for a scalar.
    """
    out = as_symbol(a)
    if not out.ndim:
        raise RankError(f"nonzero takes a tensor of at least 1 axis; a scalar has no positions{at(here())}")
    flat: Any = flatnonzero(out)
    found: list[Out] = []
    for size in out.type.shape[:0:-1]:
        found.append(flat % dim_node(size))
        flat = flat // dim_node(size)
    axes = (flat, *found[::-1])
    return as_symbol(list(axes)) if return_matrix else axes


def argwhere(a: Any) -> Out:
    """The positions of what is not zero as an int64 matrix with a row for each of them."""
    made: Out = OPERATORS["transpose"](nonzero(a, return_matrix=True))
    return made


def nonzero_values(a: Any) -> Out:
    """The elements that are not zero, as a vector in row-major order."""
    return rows.take(ravel(a), flatnonzero(a), axis=0)


def extract(condition: Any, arr: Any) -> Out:
    """The elements of the flattened tensor where the flattened condition is not zero, as numpy.extract."""
    return rows.take(ravel(arr), flatnonzero(condition), axis=0)


def compress(condition: Any, a: Any, axis: Any = None) -> Out:
    """The slices along an axis (elements of the flattened tensor without one) whose entry in the vector `condition` is not zero.

    A condition that is shorter than the axis leaves the rest out; IndexFault when a call brings a longer one that is not zero there.
    """
    mask, out = as_symbol(condition), ravel(a) if axis is None else as_symbol(a)
    if mask.ndim != 1:
        raise RankError(f"compress takes a vector as its condition, not a tensor of {mask.ndim} axes{at(here())}")
    return rows.take(out, flatnonzero(mask), axis=normal_axis(axis or 0, out.ndim))


def natural(x: Any) -> Out:
    """Integers as int64; ValueFault when a call brings a negative one."""
    return checked(x, OPERATORS["ge"](x, 0), message="{index} is negative, and no count or position")


def repeat_each(a: Any, repeats: Any, axis: Any = None) -> Out:
    """Each slice along an axis (element of the flattened tensor without one) as often as its entry in the integer vector `repeats` says.

    The length is decided by each call.  ValueFault for a negative count, ShapeError where the lengths differ.
    """
    out, counts = ravel(a) if axis is None else as_symbol(a), as_symbol(repeats)
    axis = normal_axis(axis or 0, out.ndim)
    if not dtypes.is_int(counts.dtype) or counts.ndim != 1:
        raise DTypeError(f"repeats must be an integer or a vector of integers, not {counts.type}{at(here())}")
    if counts.type.shape[0].const == 1:
        counts = broadcast_to(counts, dim_node(out.type.shape[axis]))
    message = f"repeat: {{left}} counts for {{right}} elements along axis {axis}"
    counts = declared(natural(counts), {0: (out.type.shape[axis], message)})
    places = search_row(cumsum(counts, axis=0), iota(known_size(sum_(counts))), side="right")
    return rows.take(out, places, axis=axis)
