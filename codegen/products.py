"""Which products are left to NumPy, and which are kernels of our own that take what surrounds them.

NumPy's BLAS and our kernels multiply at about the same speed.  A kernel of our own saves the pass over memory in which a result is
read again by the map that follows, or an operand is written by the map before; a call of BLAS is quicker to start and better at
matrices that fill no tile.  So a product with nothing around it is a call; one with maps around it is either, by its sizes.
"""
from __future__ import annotations

from codegen.outer import tile_of
from codegen.target import Target, has_blas
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum, product
from exprgraph.node import Node

SHORT = 32
"""A product with a shorter side or sum is a call whatever its size."""
WASTE = 16
"""One part in so many may be computed for nothing, beyond the edges of the result."""


def is_call(node: Node, target: Target) -> bool:
    """Whether a product is a step of NumPy's in any case, which nothing can join: since maps are not to be fused with products in this
    form of the plan, or since its sizes never suit."""
    return target.host_products and has_blas(node.outs[0].dtype) and (not target.fused_products or suits(node, target).const == 0)


def is_either(node: Node, target: Target) -> bool:
    """Whether the sizes of a call decide."""
    return target.host_products and has_blas(node.outs[0].dtype) and not is_call(node, target)


def suits(node: Node, target: Target) -> Dim:
    """1 where kernels of our own are the better way to a product with something around it, else 0."""
    *batch, m, n = node.outs[0].shape
    k, tile = node.inputs[0].type.shape[-1], tile_of(node.outs[0].dtype, target.dialect)
    size = product((*batch, m, n, k))
    computed = ceildiv(m, tile.rows) * tile.rows * ceildiv(n, tile.lanes) * tile.lanes
    filled = m * n * (WASTE + 1) // maximum(computed * WASTE, 1)
    found = constant(1)
    for one in (size // target.least_product, minimum(minimum(m, n), k) // SHORT, filled):
        found = minimum(found, one)
    return found
