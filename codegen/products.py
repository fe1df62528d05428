"""Which products are left to NumPy, and which are kernels of our own that take what surrounds them.

NumPy's BLAS and our kernels multiply at about the same speed (`python -m benchmarks.products`).  A kernel of our own saves the pass over
memory in which a result is read again by the map that follows, or an operand is written by the map before; a call of BLAS is quicker
to start and better at matrices that fill no tile.  So a plan has two forms where a product has maps around it: one with calls only, and
one with kernels.  In the latter all but small products are kernels: BLAS has threads of its own, which wait for their next call without
giving up their cores for some 20 ms, so that whatever else needs these cores has half of them at best.
"""
from __future__ import annotations

import numpy as np

from codegen.outer import tile_of
from codegen.target import Target, has_blas
from exprgraph.atoms import anonymous
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum, product
from exprgraph.node import Node

SHORT = 32
"""A product with a shorter side or sum is no reason for kernels of our own, whatever its size."""
WASTE = 16
"""In one that is, one part in so many may be computed for nothing, beyond the edges of the result."""
ALONE = {"float32": 1 << 24}
"""Multiplications from which on a product with nothing around it is at least as fast in kernels with 512-bit vectors."""
MOST_WASTE = 4
"""In any kernel one part in so many has to be of use."""
QUIET, QUIET_NARROW = 1 << 18, 1 << 13
"""Multiplications from which on BLAS uses several threads, in general and at least."""

KEPT = 4096
_NARROW: dict[tuple[str, str, str], bool] = {}
"""Whether products are too narrow for kernels, by what their sizes are but for whose they are."""


def is_call(node: Node, target: Target) -> bool:
    """Whether a product is a step of NumPy's in any case, which nothing can join: since maps are not to be fused with products in this
    form of the plan, or since it is too narrow."""
    if not could_be_call(node, target) or not target.fused_products:
        return could_be_call(node, target)
    text = anonymous(" ".join(d.text for d in (*node.outs[0].shape, node.inputs[0].type.shape[-1])))
    key = (text, node.outs[0].dtype, target.dialect)
    if key not in _NARROW:
        if len(_NARROW) >= KEPT:
            _NARROW.clear()
        _NARROW[key] = is_kernel(node, target).const == 0
    return _NARROW[key]


def could_be_call(node: Node, target: Target) -> bool:
    """Whether NumPy could do a product on memory that it shares with the device, and fast."""
    return target.host_calls and has_blas(node.outs[0].dtype)


def is_kernel(node: Node, target: Target) -> Dim:
    """1 where a product is a kernel in the form that has kernels, else 0."""
    return minimum(minimum(_size(node) // QUIET, 1), _of_use(node, target, MOST_WASTE))


def suits(node: Node, target: Target, around: bool = True) -> Dim:
    """1 where kernels of our own are the better way to a product, else 0; around: whether there are maps around it."""
    *_, m, n = node.outs[0].shape
    least = target.least_product if around else _least_alone(node.outs[0].dtype, target)
    shortest = minimum(minimum(m, n), node.inputs[0].type.shape[-1])
    found = minimum(minimum(_size(node) // max(least, 1), shortest // SHORT), _filled(node, target))
    return minimum(found, 1) if least else constant(0)


def _least_alone(dtype: str, target: Target) -> int:
    wide = tile_of(dtype, target.dialect).width * np.dtype(dtype).itemsize == 64
    return max(ALONE.get(dtype, 0), target.least_product) if wide and dtype in ALONE else 0


def disturbs(node: Node, target: Target) -> Dim:
    """1 where a product would be a call that has threads, even in the form that has kernels, else 0."""
    return minimum(_size(node) // QUIET_NARROW, 1) * (1 - _of_use(node, target, MOST_WASTE))


def _size(node: Node) -> Dim:
    return product((*node.outs[0].shape, node.inputs[0].type.shape[-1]))


def _computed(node: Node, target: Target) -> Dim:
    """The elements of all tiles of one result."""
    m, n = node.outs[0].shape[-2:]
    tile = tile_of(node.outs[0].dtype, target.dialect)
    return maximum(ceildiv(m, tile.rows) * tile.rows * ceildiv(n, tile.lanes) * tile.lanes, 1)


def _of_use(node: Node, target: Target, parts: int) -> Dim:
    return minimum(product(node.outs[0].shape[-2:]) * parts // _computed(node, target), 1)


def _filled(node: Node, target: Target) -> Dim:
    return product(node.outs[0].shape[-2:]) * (WASTE + 1) // (_computed(node, target) * WASTE)
