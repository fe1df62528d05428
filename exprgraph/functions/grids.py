"""Coordinates over several axes: meshgrid, mgrid and ogrid, indices."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim
from exprgraph.errors import RankError, UseError, at, here, shortly
from exprgraph.functions.creation import arange
from exprgraph.functions.joining import stack
from exprgraph.functions.shaping import atleast_1d, sizes
from exprgraph.functions.spaced import linspace
from exprgraph.node import Out, as_symbol
from exprgraph.ops.create import iota
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle
from exprgraph.types import cast_to, promoted, size_dims


def _open(vectors: Sequence[Any]) -> list[Any]:
    """Each vector along an axis of its own."""
    rank = len(vectors)
    return [dimshuffle(v, pattern=[0 if i == k else -1 for i in range(rank)]) for k, v in enumerate(vectors)]


def _spread(grids: Sequence[Any]) -> list[Any]:
    """Every grid over all axes; the lengths of the axes are those of the vectors, one of length 1 too."""
    shape: list[Dim] = [g.type.shape[k] for k, g in enumerate(grids)]
    return [broadcast_to(g, *[dim_node(d) for d in shape]) for g in grids] if len(grids) > 1 else list(grids)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Out, ...]:
    """The coordinates of a grid, one tensor for each vector (a scalar counts as one of length 1).

    indexing "xy": the first vector runs along the second axis, as x does in pictures; "ij": vector k along axis k.  sparse: tensors of
    length 1 along all axes but their own.  copy is accepted and not needed.
    """
    if indexing not in ("xy", "ij"):
        raise UseError(f"meshgrid: indexing must be \"xy\" or \"ij\", not {shortly(indexing)}{at(here())}")
    vectors = [atleast_1d(as_symbol(x)) for x in xi]
    if any(v.ndim != 1 for v in vectors):
        raise RankError(f"meshgrid takes vectors and scalars; ranks given: {', '.join(str(v.ndim) for v in vectors)}{at(here())}")
    turned = indexing == "xy" and len(vectors) > 1
    order = [1, 0, *range(2, len(vectors))] if turned else list(range(len(vectors)))
    grids = _open([vectors[k] for k in order])
    full = grids if sparse else _spread(grids)
    return tuple(full[order.index(k)] for k in range(len(vectors)))


class Grid:
    """What is indexed by slices to make a grid: `mgrid[0:n, 0:2:5j]`.

    A slice start:stop:step stands for that range, its bounds being integers, integer scalars of the graph or floats, and one with an
    imaginary step, as 5j, for 5 numbers from start to stop, both included.
    """

    def __init__(self, name: str, sparse: bool) -> None:
        self.name, self.sparse = name, sparse

    def __getitem__(self, key: Any) -> Any:
        parts = [_range(self.name, k) for k in (key if isinstance(key, tuple) else (key,))]
        if not isinstance(key, tuple):
            return parts[0]
        kind = promoted(parts)
        grids = _open([cast_to(p, kind) for p in parts])
        return tuple(grids) if self.sparse else stack(_spread(grids))

    def __repr__(self) -> str:
        return f"exprgraph.{self.name}"


def _range(name: str, part: Any) -> Any:
    if not isinstance(part, slice):
        raise UseError(f"{name} is indexed by slices, as in {name}[0:5, 0:3], not by {shortly(part)}{at(here())}")
    start = 0 if part.start is None else part.start
    if isinstance(part.step, complex):
        return linspace(start, part.stop, int(abs(part.step)))
    return arange(start, part.stop, 1 if part.step is None else part.step)


mgrid = Grid("mgrid", False)
ogrid = Grid("ogrid", True)


def indices(dimensions: Any, dtype: Any = "int64", sparse: bool = False) -> Any:
    """For each axis of a shape the positions along it: stacked along a new first axis, or with sparse a tuple of open grids."""
    kind = dtypes.canonical(int if dtype is np.intp else dtype)
    grids = [cast_to(g, kind) for g in _open([iota(dim_node(d)) for d in size_dims(sizes(dimensions))])]
    return tuple(grids) if sparse else stack(_spread(grids))
