"""Norms: of all elements along axes taken as one vector, and of matrices."""
from __future__ import annotations

from typing import Any

from exprgraph import dtypes
from exprgraph.errors import RankError, UseError, at, here, shortly
from exprgraph.functions.shaping import squeeze
from exprgraph.functions.stats import Axis, as_floats, safe_sqrt, squared_size
from exprgraph.node import Out
from exprgraph.ops.arithmetic import absolute
from exprgraph.ops.compare import gt, neq, switch
from exprgraph.ops.reduce import max_, min_, sum_
from exprgraph.ops.rounding import cast
from exprgraph.ops.transcendental import power
from exprgraph.types import normal_axes, normal_axis

INFINITY = float("inf")


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Out:
    """NumPy's norm: of vectors, or of matrices where two axes are named or the tensor has two and an ord is given.

    Of vectors, and of all elements of other tensors: `entrywise_norm`.  Of matrices: None and "fro" the square root of the sum of
    squares, 1 and -1 the greatest and least sum of absolute values of a column, inf and -inf those of a row.  UseError for 2, -2 and
    "nuc", which need singular values.  `x.norm(ord)` is entrywise for matrices too, as in Theano.
    """
    out = as_floats(x)
    axes = normal_axes(axis, out.ndim)
    named = axis is not None and not isinstance(axis, int)
    if ord is None or len(axes) != 2 or (not named and out.ndim != 2):
        return entrywise_norm(out, ord, axis, keepdims)
    first, second = (normal_axis(a, out.ndim) for a in axis) if named and axis is not None else axes  # type: ignore[union-attr]
    return _of_matrices(out, ord, first, second, keepdims)


def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Out:
    """`norm` of the matrices in the last two axes."""
    out = as_floats(x)
    if out.ndim < 2:
        raise RankError(f"matrix_norm takes a tensor of at least 2 axes, not {out.ndim}{at(here())}")
    return _of_matrices(out, ord, out.ndim - 2, out.ndim - 1, keepdims)


def vector_norm(x: Any, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Out:
    """`entrywise_norm` under NumPy's name and with its order of arguments."""
    return entrywise_norm(x, ord, axis, keepdims)


def _of_matrices(out: Out, ord: Any, rows: int, columns: int, keepdims: bool) -> Out:
    if ord == "fro":
        return entrywise_norm(out, None, (rows, columns), keepdims)
    if isinstance(ord, Out) or ord not in (1, -1, INFINITY, -INFINITY):
        why = "needs singular values, which are not there yet" if ord in (2, -2, "nuc") else "is no norm of matrices"
        raise UseError(f"norm: ord {shortly(ord)} {why}: use 1, -1, inf, -inf or \"fro\"; x.norm(p) takes all elements together"
                       f"{at(here())}")
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = sum_(absolute(out), axis=summed, keepdims=True)
    found = (max_ if ord > 0 else min_)(sums, axis=kept, keepdims=True)
    return found if keepdims else squeeze(found, (rows, columns))


def entrywise_norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Out:
    """The p-norm of the elements over the axes, taken together as one vector: sum(abs(x)**ord)**(1/ord).

    ord None, "fro" and 2 are the square root of the sum of squares; inf and -inf the greatest and least absolute value; 0 the number of
    elements that are not 0.  Where the norm is 0 its derivative is 0.
    """
    out = as_floats(x)
    if isinstance(ord, Out) or not (ord is None or ord == "fro" or isinstance(ord, int | float)):
        raise UseError(f"norm: ord must be a number, inf, \"fro\" or None, not {shortly(ord)}{at(here())}")
    if ord is None or ord in ("fro", 2):
        return safe_sqrt(sum_(squared_size(out), axis=axis, keepdims=keepdims))
    if ord == 0:
        return cast(sum_(neq(out, 0), axis=axis, keepdims=keepdims), dtypes.part(out.dtype))
    size = absolute(out)
    if ord in (float("inf"), -float("inf")):
        return (max_ if ord > 0 else min_)(size, axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum_(size, axis=axis, keepdims=keepdims)
    return _p_norm(size, float(ord), axis, keepdims)


def _p_norm(size: Any, p: float, axis: Axis, keepdims: bool) -> Out:
    if p < 0:
        return power(sum_(power(size, p), axis=axis, keepdims=keepdims), 1 / p)
    occupied = gt(size, 0)
    total: Any = sum_(switch(occupied, power(switch(occupied, size, 1), p), size * 0), axis=axis, keepdims=keepdims)
    positive = gt(total, 0)
    return switch(positive, power(switch(positive, total, 1), 1 / p), total * 0)
