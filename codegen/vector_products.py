"""Products of a matrix and a vector that no BLAS does, as sums of products: those are maps and reductions, which fuse."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.inline import Index, Inliner
from codegen.kernel import Builder, Expr
from codegen.memory import ANY_STRIDES
from codegen.roots import VIEWS
from codegen.schedule.common import names_in, unit_step
from codegen.target import Target, has_blas
from exprgraph.graph import rebuild, transform
from exprgraph.node import INPUT, SHARED, Node, Out
from exprgraph.ops.arithmetic import mul
from exprgraph.ops.reduce import sum_
from exprgraph.ops.shape import dim_node, dimshuffle, specify_shape


def sums_for_products(outputs: Sequence[Out], layout: dict[int, str], target: Target) -> tuple[Out, ...]:
    """The outputs, where products are left to NumPy, with products of a vector and a matrix that NumPy has no BLAS for as sums.

    Both read memory once, and a reduction fuses with what is around it and uses all units.  Those of floats stay with BLAS: a reduction
    is faster on large matrices whose rows lie in order, and slower on small ones and on columns.  layout: that of each leaf by uid.
    """
    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op.name == "matmul":
            vectors = [k for k in (0, 1) if inputs[k].type.shape[k - 2].const == 1]
            if len(vectors) == 1 and not has_blas(inputs[0].dtype) and _in_order(inputs[1 - vectors[0]], 1 - vectors[0], layout):
                return _sum(inputs, vectors[0])
        return rebuild(node, inputs)
    return transform(outputs, change) if target.host_products else tuple(outputs)


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
    """The product of which the factor on this side is a vector: that is turned, so that it meets the axis that is summed."""
    vector, matrix = factors[side], factors[1 - side]
    axis = matrix.ndim - 2 + side
    turned = dimshuffle(vector, pattern=[*range(vector.ndim - 2), vector.ndim - 1, vector.ndim - 2])
    sizes = list(turned.type.shape)
    sizes[side - 2] = matrix.type.shape[axis]   # the two are equal, which a call has checked
    fitting = turned if tuple(sizes) == turned.type.shape else specify_shape(turned, *map(dim_node, sizes), messages=("",) * len(sizes))
    return sum_(mul(matrix, fitting), axis=max(matrix.ndim, vector.ndim) - 2 + side, keepdims=True, dtype=matrix.dtype)
