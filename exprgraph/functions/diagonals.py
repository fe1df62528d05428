"""Tensors whose diagonal is set or made: fill_diagonal, fill_diagonal_offset, diagflat."""
from __future__ import annotations

from typing import Any

from exprgraph.dims import Dim
from exprgraph.errors import RankError, at, here
from exprgraph.functions.indexing import diag
from exprgraph.functions.shaping import ravel
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import mod
from exprgraph.ops.bits import and_
from exprgraph.ops.compare import eq, switch
from exprgraph.ops.create import iota
from exprgraph.ops.shape import declared, dim_node, dimshuffle
from exprgraph.types import cast_to, size_argument


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> Out:
    """The tensor with a scalar on its main diagonal, where all indices are equal; axes of more than two have one length.

    wrap: in a matrix with more rows than columns the diagonal starts anew below, after a row without it.  A new tensor, as all
    functions of symbols give, where NumPy writes into its argument.
    """
    out = as_symbol(a)
    if out.ndim < 2:
        raise RankError(f"fill_diagonal takes a tensor of at least 2 axes, not {out.ndim}{at(here())}")
    if out.ndim > 2:
        message = "fill_diagonal: all axes must have one length; there are {left} and {right}"
        out = declared(out, dict.fromkeys(range(1, out.ndim), (out.type.shape[0], message)))
    if wrap and out.ndim == 2:
        rows, columns = (_along(d, k, 2) for k, d in enumerate(out.type.shape))
        width: Any = dim_node(out.type.shape[1])
        return switch(eq(mod(rows * width + columns, width + 1), 0), _scalar("fill_diagonal", out, val), out)
    return _filled("fill_diagonal", out, val, 0)


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Out:
    """The matrix with a scalar on a diagonal: above the main one for a positive offset, below for a negative one."""
    out = as_symbol(a)
    if out.ndim != 2:
        raise RankError(f"fill_diagonal_offset takes a matrix, not a tensor of {out.ndim} axes{at(here())}")
    return _filled("fill_diagonal_offset", out, val, size_argument(offset))


def _filled(name: str, out: Out, val: Any, offset: Any) -> Out:
    value = _scalar(name, out, val)
    places: list[Any] = [_along(d, k, out.ndim) for k, d in enumerate(out.type.shape)]
    on = eq(places[0] + offset, places[1])
    for place in places[2:]:
        on = and_(on, eq(places[0], place))
    return switch(on, value, out)


def _scalar(name: str, out: Out, val: Any) -> Out:
    value = cast_to(val, out.dtype)
    if value.ndim:
        raise RankError(f"{name}: the value must be a scalar, not a tensor of {value.ndim} axes{at(here())}")
    return value


def _along(length: Dim, axis: int, rank: int) -> Any:
    return dimshuffle(iota(dim_node(length)), pattern=[0 if i == axis else -1 for i in range(rank)])


def diagflat(v: Any, k: int = 0) -> Out:
    """The square matrix with all elements of v, taken as a vector, on its k-th diagonal."""
    return diag(ravel(v), k)

