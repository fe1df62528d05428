"""Sums over the rows of a matrix in two steps: partial sums of ranges of rows, made where the rows are, and the sum of these."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from codegen.fuse import Cluster
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum, product
from exprgraph.node import Node, Op, Out, TensorType
from exprgraph.ops.reduce import spread, sum_
from exprgraph.ops.shape import dim_node
from exprgraph.types import Accepted, dim_of

PER_PART = 3 << 17
"""Elements of the rows whose sums are one part: each part begins and ends with a row of sums."""
PER_UNIT = 6
LONGEST, FEW = 512, 16
"""Rows so long that too little of them stays in the caches, for each row up to the few that leave units without work."""


def _accept(x: Out, parts: Out, axis: Any) -> Accepted:
    return (x, parts), {"axis": tuple(axis)}


def _infer(inputs: tuple[Out, ...], axis: tuple[int, ...]) -> tuple[TensorType, ...]:
    x, parts = inputs
    count = dim_of(parts)
    assert count is not None
    return (TensorType(x.dtype, (count, *(d for k, d in enumerate(x.type.shape) if k not in axis))),)


def _meaning(x: Any, parts: Any, axis: tuple[int, ...]) -> Any:
    """Any partial sums will do that add up to the sum."""
    total = np.sum(x, axis=axis, dtype=x.dtype)
    return np.concatenate([total[None], np.zeros((int(parts) - 1, *total.shape), x.dtype)])


PARTIAL_SUM = Op("partial_sum", "partial", _meaning, _accept, _infer, doc="Sums over ranges of rows, whose sum is that over all rows.")


def parts(cluster: Cluster, target: Target) -> Dim:
    """Into how many ranges the rows of a kernel are cut."""
    rows = product(cluster.space[k] for k in cluster.outer)
    return maximum(minimum(ceildiv(product(cluster.space), PER_PART), minimum(rows, target.units * PER_UNIT)), 1)


def unsuited(clusters: list[Cluster]) -> Dim:
    """0 where kernels that take whole rows are fast, else 1: where rows are long and few."""
    found = constant(0)
    for cluster in clusters:
        rows = minimum(maximum(product(cluster.space[k] for k in cluster.outer), 1), FEW)
        found = maximum(found, product(cluster.space[k] for k in cluster.inner) // (rows * LONGEST))
    return minimum(found, 1)


def in_two_steps(node: Node, inputs: tuple[Out, ...], found: Mapping[Node, Dim]) -> Out:
    """What takes the place of a sum that is found in the table, with the number of its parts."""
    axis, keepdims = node.param("axis"), node.param("keepdims")
    partial = PARTIAL_SUM.apply((inputs[0], dim_node(found[node])), (("axis", axis),), node.sources)
    total = sum_.apply((partial,), (("axis", (0,)), ("keepdims", False)), node.sources)
    back = spread(total, inputs[0].ndim, axis, False) if keepdims else total
    assert isinstance(back, Out)
    return back
