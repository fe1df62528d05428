"""The functions that make tensors: filled, ranges, identity and triangles, one-hot."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.config import config
from exprgraph.dims import Dim
from exprgraph.errors import DTypeError, RankError, ShapeError, at, here
from exprgraph.functions.shaping import sizes
from exprgraph.functions.slicing import count
from exprgraph.node import OPERATORS, Out, as_symbol, make_constant
from exprgraph.ops.create import iota
from exprgraph.ops.index import index_array
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle, shape_of
from exprgraph.types import cast_to, dim_of, size_argument

__all__ = [
    "AllocEmpty", "alloc", "arange", "empty", "empty_like", "eye", "full", "full_like", "identity_like", "ones", "ones_like",
    "to_one_hot", "tri", "tril", "triu", "zeros", "zeros_like"]


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Out:
    """A tensor of this shape (an integer, integer scalars of the graph, or a sequence of them) filled with one value."""
    return _filled(sizes(shape), fill_value, dtype)


def _filled(shape: list[Out], value: Any, dtype: Any) -> Out:
    out = as_symbol(value) if dtype is None else cast_to(value, dtypes.canonical(dtype))
    return broadcast_to(out, *shape) if shape else out


def zeros(shape: Any, dtype: Any = None) -> Out:
    """A tensor of zeros; floatX without a dtype."""
    return full(shape, 0, dtype or config.floatX)


def ones(shape: Any, dtype: Any = None) -> Out:
    """A tensor of ones; floatX without a dtype."""
    return full(shape, 1, dtype or config.floatX)


def empty(shape: Any, dtype: Any = None) -> Out:
    """A tensor whose values do not matter: zeros."""
    return zeros(shape, dtype)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Out:
    """A tensor filled with one value; its shape and dtype are those of another unless they are given."""
    out = as_symbol(a)
    return _filled(list(shape_of(out)) if shape is None else sizes(shape), fill_value, dtype or out.dtype)


def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Out:
    """Zeros of the shape and dtype of another tensor unless they are given."""
    return full_like(a, 0, dtype, shape)


def empty_like(a: Any, dtype: Any = None, shape: Any = None) -> Out:
    """A tensor whose values do not matter, zeros; its shape and dtype are those of another unless they are given."""
    return full_like(a, 0, dtype, shape)


def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Out:
    """Ones of the shape and dtype of another tensor unless they are given."""
    return full_like(a, 1, dtype, shape)


def alloc(value: Any, *shape: Any) -> Out:
    """A value broadcast to a shape, as `alloc(value, n, m)` or `alloc(value, (n, m))`."""
    return _filled(sizes(shape[0] if len(shape) == 1 else shape), value, None)


def AllocEmpty(dtype: Any) -> Callable[..., Out]:
    """Theano's op for memory that is not filled: `AllocEmpty("float32")(n, m)` is `empty((n, m), "float32")`."""
    return lambda *shape: empty(shape[0] if len(shape) == 1 else shape, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Out:
    """start, start + step, ... before stop: integers, which may be scalars of the graph, or Python floats.

    int64 for integers, floatX as soon as one argument is a float, unless `dtype` says otherwise.
    """
    start, stop = (0, start) if stop is None else (start, stop)
    if not any(isinstance(v, Out) for v in (start, stop, step)):
        return _known_range(start, stop, step, dtype)
    first, last, stride = (_integer(v) for v in (start, stop, step))
    steps = [] if stride.const else [dim_node(stride)]
    positions: Any = cast_to(iota(dim_node(count(first, last, stride)), *steps), dtypes.canonical(dtype or "int64"))
    positions = positions if stride == 1 else positions * cast_to(dim_node(stride), positions.dtype)
    return positions if first == 0 else positions + cast_to(dim_node(first), positions.dtype)  # type: ignore[no-any-return]


def _known_range(start: Any, stop: Any, step: Any, dtype: Any) -> Out:
    if not step:
        raise ShapeError(f"arange: the step cannot be 0{at(here())}")
    if not all(map(math.isfinite, (start, stop, step))):
        raise ShapeError(f"arange: from {start} to {stop} by {step} has no length{at(here())}")
    values = np.arange(start, stop, step)
    kind = dtypes.canonical(dtype or (config.floatX if values.dtype.kind == "f" else "int64"))
    return iota(len(values), dtype=kind) if (start, step) == (0, 1) else make_constant(values, kind)


def _integer(value: Any) -> Dim:
    if isinstance(value, float):
        raise DTypeError(f"arange over symbols takes integers only: {value} is a float; scale an integer range instead{at(here())}")
    out = size_argument(value)
    found = dim_of(out)
    assert found is not None
    return found


def _grid(n: Any, m: Any) -> tuple[Any, Any]:
    """The row numbers as a column and the column numbers as a row."""
    return dimshuffle(iota(n), pattern=[0, -1]), dimshuffle(iota(m), pattern=[-1, 0])


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Out:
    """Ones on the k-th diagonal of an n by m matrix (n by n without m), zeros elsewhere."""
    rows, columns = _grid(n, n if m is None else m)
    return cast_to(OPERATORS["eq"](rows + k, columns), dtypes.canonical(dtype or config.floatX))


def identity_like(x: Any, dtype: Any = None) -> Out:
    """The identity of the shape and dtype of a matrix."""
    out = as_symbol(x)
    if out.ndim != 2:
        raise RankError(f"identity_like takes a matrix, not a tensor of {out.ndim} axes{at(here())}")
    n, m = shape_of(out)
    return eye(n, m, dtype=dtype or out.dtype)


def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = None) -> Out:
    """Ones on and below the k-th diagonal of an N by M matrix."""
    rows, columns = _grid(N, N if M is None else M)
    return cast_to(columns <= rows + k, dtypes.canonical(dtype or config.floatX))


def _masked(m: Any, k: Any, lower: bool) -> Out:
    out = as_symbol(m)
    if out.ndim < 2:
        raise RankError(f"a triangle is taken of a tensor of at least 2 axes, not {out.ndim}{at(here())}")
    rows, columns = _grid(*shape_of(out)[-2:])
    zero = cast_to(0, out.dtype)
    made: Out = OPERATORS["where"](columns <= rows + k if lower else columns >= rows + k, out, zero)
    return made


def tril(m: Any, k: Any = 0) -> Out:
    """The matrices in the last two axes, zero above the k-th diagonal."""
    return _masked(m, k, True)


def triu(m: Any, k: Any = 0) -> Out:
    """The matrices in the last two axes, zero below the k-th diagonal."""
    return _masked(m, k, False)


def to_one_hot(y: Any, nb_class: Any, dtype: Any = None) -> Out:
    """For each integer of y a new last axis of nb_class zeros with a one at that place; zeros alone where it is no place."""
    out: Any = as_symbol(y)
    if dtypes.is_int(out.dtype):  # 32 bits say which place it is, and twice as many of them fit into a vector
        out = index_array(out)
        out = cast_to(OPERATORS["switch"]((out >= 0) & (out < nb_class), out, -1), "int32")
    places = dimshuffle(iota(nb_class, dtype="int32" if out.dtype == "int32" else "int64"), pattern=[-1] * out.ndim + [0])
    column = dimshuffle(out, pattern=[*range(out.ndim), -1])
    return cast_to(OPERATORS["eq"](column, places), dtypes.canonical(dtype or config.floatX))
