"""Products of tensors, composed of `matmul` and sums of products: dot, matmul, outer, tensordot and their batched forms."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.errors import CallError, RankError, ShapeError, at, here
from exprgraph.functions.complexes import conj
from exprgraph.node import Out, as_symbol
from exprgraph.ops import contract
from exprgraph.ops.arithmetic import mul
from exprgraph.ops.compare import neq
from exprgraph.ops.reduce import any_, sum_
from exprgraph.ops.rounding import cast
from exprgraph.ops.shape import declared, dim_node, dimshuffle, reshape
from exprgraph.types import describe, normal_axes, normal_axis, promoted, show_shape

Pair = tuple[tuple[int, ...], tuple[int, ...]]


def operands(name: str, a: Any, b: Any, least: int = 1) -> tuple[Any, Any, str]:
    """Both operands as tensors, and the dtype of their product."""
    x, y = as_symbol(a), as_symbol(b)
    if min(x.ndim, y.ndim) < least:
        raise RankError(f"{name} takes tensors of at least {least} axes, {x.ndim} and {y.ndim} given; "
                        f"a * b multiplies by a scalar{at(here())}")
    return x, y, promoted([a if dtypes.is_weak(a) else x, b if dtypes.is_weak(b) else y])


def _product(x: Out, y: Out, dtype: str) -> Out:
    """The matmul row; for bool whether any pair is true in both."""
    if dtype == "bool":
        return neq(contract.matmul(cast(x, "int64"), cast(y, "int64")), 0)
    return contract.matmul(x, y)


def inner_product(name: str, x: Any, y: Any, dtype: str) -> Out:
    """The sums of the products along the last axes, of one length; unlike in a product, a length of 1 does not broadcast."""
    message = f"{name}: the vector {describe(y)} has {{left}} elements, the other has {{right}}"
    products = mul(x, declared(y, {y.ndim - 1: (x.type.shape[-1], message)}))
    return any_(products, axis=-1) if dtype == "bool" else sum_(products, axis=-1, dtype=dtype)


def matmul(a: Any, b: Any) -> Out:
    """NumPy's matmul (`@`): matrix products over the last two axes, batched over the others; vectors as row or column."""
    x, y, dtype = operands("matmul", a, b)
    if x.ndim == 1 and y.ndim == 1:
        return inner_product("dot", x, y, dtype)
    found = _product(dimshuffle(x, pattern=[-1, 0]) if x.ndim == 1 else x, dimshuffle(y, pattern=[0, -1]) if y.ndim == 1 else y, dtype)
    if x.ndim > 1 and y.ndim > 1:
        return found
    gone = found.ndim - (2 if x.ndim == 1 else 1)
    return dimshuffle(found, pattern=[i for i in range(found.ndim) if i != gone])


def dot(a: Any, b: Any) -> Out:
    """NumPy's dot: the sum of products over the last axis of a and the last but one of b (the only one of a vector)."""
    x, y, _ = operands("dot", a, b, least=0)
    if not x.ndim or not y.ndim:
        return mul(a, b)
    if x.ndim > 1 and y.ndim > 2:
        return tensordot(x, y, axes=((x.ndim - 1,), (y.ndim - 2,)))
    return matmul(x, y)


def outer(a: Any, b: Any) -> Out:
    """The products of every element of a with every element of b, a matrix."""
    x, y, _ = operands("outer", a, b, least=0)
    return mul(dimshuffle(_flat(x), pattern=[0, -1]), dimshuffle(_flat(y), pattern=[-1, 0]))


def vdot(a: Any, b: Any) -> Out:
    """The sum of the products of all elements, both tensors taken as flat, the first one conjugated if it is complex."""
    x, y, dtype = operands("vdot", a, b, least=0)
    return inner_product("vdot", _flat(conj(x)), _flat(y), dtype)


def _flat(x: Out) -> Out:
    return x if x.ndim == 1 else reshape(x, dim_node(product(x.type.shape)))


def matrix_dot(*matrices: Any) -> Out:
    """The product of several matrices, from left to right."""
    if not matrices:
        raise CallError(f"matrix_dot takes at least one matrix{at(here())}")
    found = as_symbol(matrices[0])
    for m in matrices[1:]:
        found = dot(found, m)
    return found


def tensordot(a: Any, b: Any, axes: Any = 2) -> Out:
    """NumPy's tensordot: axes is how many last axes of a are summed against the first of b, or one list of axes for each."""
    x, y, dtype = operands("tensordot", a, b, least=0)
    return contracted(x, y, _pairs_of("tensordot", x, y, axes, 0), 0, dtype)


def batched_tensordot(a: Any, b: Any, axes: Any = 2) -> Out:
    """tensordot for each pair along the first axis of both; axes are counted with that first axis, which is not among them."""
    x, y, dtype = operands("batched_tensordot", a, b)
    return contracted(x, y, _pairs_of("batched_tensordot", x, y, axes, 1), 1, dtype)


def batched_dot(a: Any, b: Any) -> Out:
    """dot for each pair along the first axis of both."""
    x, y, dtype = operands("batched_dot", a, b)
    if x.ndim == 1 or y.ndim == 1:
        return mul(_as_rank(x, y.ndim), _as_rank(y, x.ndim))
    return contracted(x, y, ((x.ndim - 1,), (max(1, y.ndim - 2),)), 1, dtype)


def _as_rank(x: Out, rank: int) -> Out:
    return dimshuffle(x, pattern=[*range(x.ndim), *[-1] * (rank - x.ndim)]) if rank > x.ndim else x


def _pairs_of(name: str, x: Any, y: Any, axes: Any, batch: int) -> Pair:
    """The axes of both that are summed, checked."""
    if isinstance(axes, int):
        if not 0 <= axes <= min(x.ndim, y.ndim) - batch:
            raise ShapeError(f"{name}: axes={axes} does not fit tensors of {x.ndim} and {y.ndim} axes{at(here())}")
        return tuple(range(x.ndim - axes, x.ndim)), tuple(range(batch, batch + axes))
    left, right = ([one] if isinstance(one, int) else list(one) for one in axes)
    if len(left) != len(right):
        raise ShapeError(f"{name}: {len(left)} axes of the left, {len(right)} of the right{at(here())}")
    found = tuple(normal_axis(i, x.ndim) for i in left), tuple(normal_axis(i, y.ndim) for i in right)
    normal_axes(left, x.ndim), normal_axes(right, y.ndim)
    if batch and (0 in found[0] or 0 in found[1]):
        raise ShapeError(f"{name}: axis 0 is that of the batch and cannot be summed{at(here())}")
    return found


def contracted(x: Any, y: Any, pairs: Pair, batch: int, dtype: str) -> Out:
    """The products of the tensors in the first `batch` axes of both, summed over pairs of axes: batch, the rest of x, the rest of y."""
    what = f"shapes {show_shape(x.type.shape)} and {show_shape(y.type.shape)}: "
    y = declared(y, {j: (x.type.shape[i], f"{what}axis {i} of the left has {{right}} elements, axis {j} of the right has {{left}}")
                     for i, j in zip(*pairs)})
    free_x = [i for i in range(batch, x.ndim) if i not in pairs[0]]
    free_y = [i for i in range(batch, y.ndim) if i not in pairs[1]]
    left_matrix = _matrix(x, batch, free_x, pairs[0])
    right_matrix = _matrix(y, batch, pairs[1], free_y)
    found = _product(left_matrix, right_matrix, dtype)
    if len(free_x) < 2 and len(free_y) < 2:
        kept = [*range(batch), *[batch] * len(free_x), *[batch + 1] * len(free_y)]
        return found if len(kept) == found.ndim else dimshuffle(found, pattern=kept)
    shape = [*found.type.shape[:batch], *[x.type.shape[i] for i in free_x], *[y.type.shape[i] for i in free_y]]
    return reshape(found, *[dim_node(d) for d in shape])


def _matrix(x: Out, batch: int, rows: Sequence[int], columns: Sequence[int]) -> Out:
    """The tensor as matrices whose rows and columns run over these axes; one row or column where there are none."""
    single = len(rows) < 2 and len(columns) < 2
    pattern = [*range(batch), *(rows or [-1] * single), *(columns or [-1] * single)]
    turned = x if pattern == list(range(x.ndim)) else dimshuffle(x, pattern=pattern)
    if single:
        return turned
    shape = x.type.shape
    sizes = [*shape[:batch], product(shape[i] for i in rows), product(shape[i] for i in columns)]
    return reshape(turned, *[dim_node(d) for d in sizes])
