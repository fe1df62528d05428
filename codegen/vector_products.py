"""Products of a matrix and a vector as sums of products: those are maps and reductions, which fuse."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.inline import Index, Inliner
from codegen.kernel import Builder, Expr
from codegen.memory import ANY_STRIDES
from codegen.roots import VIEWS
from codegen.schedule.common import names_in, unit_step
from codegen.target import Target, has_blas
from exprgraph.dims import Dim, constant, maximum, product
from exprgraph.graph import order, rebuild, transform
from exprgraph.node import INPUT, SHARED, Node, Out
from exprgraph.ops.arithmetic import mul
from exprgraph.ops.reduce import sum_
from exprgraph.ops.shape import dim_node, dimshuffle, specify_shape


def sums_for_products(outputs: Sequence[Out], layout: dict[int, str], target: Target, floats: bool = False) -> tuple[Out, ...]:
    """The outputs, on a GPU and where products are left to NumPy, with products of a vector and a matrix as sums.

    Both read memory once, and a reduction fuses with what is around it and uses all units.  BLAS is better at those of floats, unless the
    matrix is large or something is fused; floats: whether they become sums too.  layout: that of each leaf by uid.
    """
    gpu = target.schedule == "gpu"

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        side = _other_side(node, inputs) if gpu else _matrix_side(node, inputs, layout)
        call = target.host_calls and not floats and has_blas(node.outs[0].dtype)
        return rebuild(node, inputs) if side is None or call else _sum(inputs, 1 - side)
    return transform(outputs, change) if target.host_calls or gpu else tuple(outputs)


def largest_matrix(outputs: Sequence[Out], layout: dict[int, str]) -> Dim:
    """The most elements of a matrix whose product with a vector may be a call of BLAS or a sum; 0 where there is none."""
    found = constant(0)
    for node in order(outputs):
        side = _matrix_side(node, node.inputs, layout)
        if side is not None and has_blas(node.outs[0].dtype):
            found = maximum(found, product(node.inputs[side].type.shape))
    return found


def _matrix_side(node: Node, inputs: Sequence[Out], layout: dict[int, str]) -> int | None:
    """Which factor of a product is a matrix that a sum could read in order, the other one being a vector."""
    side = _other_side(node, inputs)
    return side if side is not None and not _is_vector(inputs, side) and _in_order(inputs[side], side, layout) else None


def _other_side(node: Node, inputs: Sequence[Out]) -> int | None:
    """The factor of a product beside a vector; None where there is no vector: then results outnumber the items of a tile's edge."""
    vectors = [k for k in (0, 1) if node.op.name == "matmul" and _is_vector(inputs, k)]
    return 1 - vectors[0] if vectors else None


def _is_vector(inputs: Sequence[Out], side: int) -> bool:
    return inputs[side].type.shape[side - 2].const == 1


def _in_order(matrix: Out, side: int, layout: dict[int, str]) -> bool:
    """Whether elements that follow each other along one of the axes lie side by side in memory.  side: 0 for the left factor, 1 for the
    right."""
    base = matrix.node
    while base.op.kind == "view" and base.op.name in VIEWS:
        base = base.inputs[0].node
    if base.op in (INPUT, SHARED) and layout[base.uid] == ANY_STRIDES:
        return False
    place = _read_at(matrix, base)
    kept, summed = f"i{matrix.ndim - 2 + side}", f"i{matrix.ndim - 1 - side}"
    return any(_steps_on(place, near, far) for near, far in ((summed, kept), (kept, summed)))


def _steps_on(place: Index, near: str, far: str) -> bool:
    """Whether the last axis is walked by one variable and the others by another."""
    return bool(place) and unit_step(place[-1], near) and far not in names_in(place[-1]) and far in names_in(*place[:-1])


def _read_at(out: Out, base: Node) -> Index:
    """The index at which the element i0, i1, ... of a chain of views reads its base; () where it is not read."""
    b, seen = Builder(), list[Index]()

    def memory(node: Node, at: Index) -> Expr | None:
        if node is base:
            seen.append(at)
            return b.var("base", node.outs[0].dtype)
        return None
    Inliner(b, memory).value(out, tuple(b.var(f"i{k}") for k in range(out.ndim)))
    return seen[-1] if seen else ()


def _sum(factors: Sequence[Out], side: int) -> Out:
    """The product of which the factor on this side is a vector: that is turned, so that it meets the axis that is summed.  A transposed
    matrix is read as it lies, so that what is done with its rows is done in their order."""
    vector, matrix = factors[side], factors[1 - side]
    if _is_swap(matrix):
        return _swapped(_sum([_swapped(f) for f in factors][::-1], 1 - side))
    axis = matrix.ndim - 2 + side
    turned = _swapped(vector)
    sizes = list(turned.type.shape)
    sizes[side - 2] = matrix.type.shape[axis]   # the two are equal, which a call has checked
    fitting = turned if tuple(sizes) == turned.type.shape else specify_shape(turned, *map(dim_node, sizes), messages=("",) * len(sizes))
    return sum_(mul(matrix, fitting), axis=max(matrix.ndim, vector.ndim) - 2 + side, keepdims=True, dtype=matrix.dtype)


def _is_swap(out: Out) -> bool:
    return out.node.op is dimshuffle and out.node.param("pattern") == (*range(out.ndim - 2), out.ndim - 1, out.ndim - 2)


def _swapped(out: Out) -> Out:
    """The tensor with its last two axes exchanged; what was exchanged before is taken as it was."""
    if _is_swap(out):
        return out.node.inputs[0]
    return dimshuffle(out, pattern=[*range(out.ndim - 2), out.ndim - 1, out.ndim - 2])
