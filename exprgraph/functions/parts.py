"""NumPy's further ways to put tensors together and to take them apart: dstack, block, stacklists, array_split, hsplit, ..."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from exprgraph.dims import Dim, maximum, minimum
from exprgraph.errors import RankError, ShapeError, at, here
from exprgraph.functions.indexing import getitem
from exprgraph.functions.joining import concatenate, split, stack
from exprgraph.functions.shaping import atleast_3d, dimshuffle
from exprgraph.node import Out, as_symbol
from exprgraph.ops.index import subtensor
from exprgraph.ops.shape import dim_node
from exprgraph.types import normal_axis


def dstack(tup: Any) -> Out:
    """Tensors one behind the other along the third axis, after `atleast_3d`."""
    return concatenate([atleast_3d(as_symbol(a)) for a in tup], 2)


def column_stack(tup: Any) -> Out:
    """Matrices side by side; vectors become columns."""
    parts = [as_symbol(a) for a in tup]
    return concatenate([dimshuffle(p, *range(p.ndim), *["x"] * (2 - p.ndim)) if p.ndim < 2 else p for p in parts], 1)


def stacklists(tensor_list: Any) -> Out:
    """A nested list of scalars or of tensors of one shape as one tensor, whose first axes are those of the list."""
    if isinstance(tensor_list, tuple | list):
        return stack([stacklists(t) for t in tensor_list])
    return as_symbol(tensor_list)


def block(arrays: Any) -> Out:
    """A tensor from nested lists of blocks: the innermost lists are joined along the last axis, those around them along the one before."""
    depth = _depth(arrays)
    blocks = list(_leaves(arrays))
    rank = max(depth, *(b.ndim for b in blocks))
    return _joined(arrays, depth, rank)


def _depth(arrays: Any) -> int:
    """How deep the lists are nested, everywhere alike."""
    if not isinstance(arrays, list):
        return 0
    found = {_depth(a) for a in arrays}
    if len(found) != 1:
        raise ShapeError(f"block: lists must be nested equally deep everywhere, and not be empty{at(here())}")
    return found.pop() + 1


def _leaves(arrays: Any) -> Any:
    if isinstance(arrays, list):
        for a in arrays:
            yield from _leaves(a)
    else:
        yield as_symbol(arrays)


def _joined(arrays: Any, depth: int, rank: int) -> Out:
    if depth:
        return concatenate([_joined(a, depth - 1, rank) for a in arrays], rank - depth)
    out = as_symbol(arrays)
    return dimshuffle(out, *["x"] * (rank - out.ndim), *range(out.ndim)) if out.ndim < rank else out


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Out]:
    """`split`, but the length need not be a multiple of the number of parts: the first parts are longer by one."""
    if isinstance(indices_or_sections, tuple | list | np.ndarray):
        return split(ary, indices_or_sections, axis=axis)
    out, count = as_symbol(ary), operator.index(indices_or_sections)
    if count < 1:
        raise ShapeError(f"array_split: the number of parts must be at least 1, not {count}{at(here())}")
    axis = normal_axis(axis, out.ndim)
    length = out.type.shape[axis]
    short, longer = length // count, length % count
    starts = [short * k + minimum(longer, k) for k in range(count)]
    return [subtensor(out, dim_node(starts[k]), 1, dim_node(short + _one_more(longer, k)), axes=(axis,)) for k in range(count)]


def _one_more(longer: Dim, k: int) -> Dim:
    """1 for the parts that are longer by one, else 0."""
    return minimum(maximum(longer - k, 0), 1)


def _split_along(name: str, ary: Any, parts: Any, axis: int, rank: int) -> list[Out]:
    out = as_symbol(ary)
    if out.ndim < rank:
        raise RankError(f"{name} takes a tensor of at least {rank} axes, not {out.ndim}{at(here())}")
    return split(out, parts, axis=axis)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Out]:
    """`split` along the second axis, of a vector along its only one."""
    return _split_along("hsplit", ary, indices_or_sections, 0 if as_symbol(ary).ndim == 1 else 1, 1)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Out]:
    """`split` along the first axis of a tensor of at least 2."""
    return _split_along("vsplit", ary, indices_or_sections, 0, 2)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Out]:
    """`split` along the third axis."""
    return _split_along("dsplit", ary, indices_or_sections, 2, 3)


def unstack(x: Any, axis: int = 0) -> tuple[Out, ...]:
    """The parts of a tensor along an axis of known length, without that axis: the inverse of `stack`."""
    out = as_symbol(x)
    axis = normal_axis(axis, out.ndim)
    length = out.type.shape[axis].const
    if length is None:
        raise ShapeError(f"unstack: the length of axis {axis} is not known; give tensor(..., shape=) a known length{at(here())}")
    return tuple(getitem(out, (*[slice(None)] * axis, k)) for k in range(length))
