"""Products with names of their own, composed of those of `linear.py`: kron, inner, vecdot, matvec, matrix_power, cross, block_diag."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from exprgraph.dims import Dim, constant
from exprgraph.errors import CallError, RankError, UseError, at, here, shortly
from exprgraph.functions.complexes import conj
from exprgraph.functions.creation import eye
from exprgraph.functions.einsum import einsum
from exprgraph.functions.joining import concatenate, stack
from exprgraph.functions.linear import inner_product, matmul, operands, tensordot
from exprgraph.functions.shaping import atleast_2d, moveaxis
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import mul
from exprgraph.ops.index import place
from exprgraph.ops.shape import broadcast_to, declared, dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import cast_to, describe, normal_axis, promoted, show_shape


def inner(a: Any, b: Any) -> Out:
    """The sums of products over the last axes of both: shape a.shape[:-1] + b.shape[:-1]; the product where one is a scalar."""
    x, y, _ = operands("inner", a, b, least=0)
    return mul(a, b) if not x.ndim or not y.ndim else tensordot(x, y, axes=((x.ndim - 1,), (y.ndim - 1,)))


def vecdot(x1: Any, x2: Any, axis: Any = -1) -> Out:
    """The sums of products along one axis of both, the first one conjugated if it is complex; the other axes broadcast."""
    x, y, dtype = operands("vecdot", x1, x2)
    return inner_product("vecdot", moveaxis(conj(x), axis, -1), moveaxis(y, axis, -1), dtype)


def matvec(x1: Any, x2: Any) -> Out:
    """Matrices in the last two axes of x1 times vectors in the last axis of x2; the axes before them broadcast."""
    x, y, _ = operands("matvec", x1, x2)
    _least("matvec", x, 2)
    found = matmul(x, dimshuffle(y, pattern=[*range(y.ndim), -1]))
    return dimshuffle(found, pattern=range(found.ndim - 1))


def vecmat(x1: Any, x2: Any) -> Out:
    """Vectors in the last axis of x1, conjugated if they are complex, times matrices in the last two axes of x2; the axes before them
    broadcast."""
    x, y, _ = operands("vecmat", x1, x2)
    _least("vecmat", y, 2)
    found = matmul(dimshuffle(conj(x), pattern=[*range(x.ndim - 1), -1, x.ndim - 1]), y)
    return dimshuffle(found, pattern=[*range(found.ndim - 2), found.ndim - 1])


def _least(name: str, x: Out, rank: int) -> None:
    if x.ndim < rank:
        raise RankError(f"{name}: {describe(x)} has {x.ndim} axes, a matrix has at least {rank}{at(here())}")


def kron(a: Any, b: Any) -> Out:
    """The Kronecker product: a block of b times a[i, j, ...] for each element of a; the tensor with fewer axes gets leading ones."""
    x, y, _ = operands("kron", a, b, least=0)
    rank = max(x.ndim, y.ndim)
    wide = [[*[-1] * (rank - t.ndim), *range(t.ndim)] for t in (x, y)]
    left = dimshuffle(x, pattern=[k for p in wide[0] for k in (p, -1)])
    right = dimshuffle(y, pattern=[k for p in wide[1] for k in (-1, p)])
    product = mul(left, right)
    shape = product.type.shape
    return reshape(product, *[dim_node(m * n) for m, n in zip(shape[::2], shape[1::2])]) if rank else product


def matrix_power(a: Any, n: int) -> Out:
    """The square matrices in the last two axes to the power of a Python integer n >= 0, by repeated squaring; n = 0 gives identities."""
    out = as_symbol(a)
    _least("matrix_power", out, 2)
    try:
        exponent = operator.index(n)
    except TypeError:
        raise UseError(f"matrix_power: n must be a Python integer, not {shortly(n)}{at(here())}") from None
    if exponent < 0:
        raise UseError(f"matrix_power: the inverse that n = {exponent} asks for is not there yet; n must be at least 0{at(here())}")
    return _power(_square("matrix_power", out), exponent)


def _square(name: str, x: Out) -> Out:
    message = f"{name} takes square matrices, these have {{left}} rows and {{right}} columns"
    return declared(x, {x.ndim - 2: (x.type.shape[-1], message)})


def _power(x: Out, n: int) -> Out:
    if not n:
        return broadcast_to(eye(shape_of(x)[-1], dtype=x.dtype), *shape_of(x))
    found: Out | None = None
    while n:
        if n & 1:
            found = x if found is None else matmul(found, x)
        n >>= 1
        x = matmul(x, x) if n else x
    assert found is not None
    return found


def multi_dot(arrays: Sequence[Any]) -> Out:
    """The product of several matrices, the first and last of which may be vectors, in the order that costs the least."""
    outs = [as_symbol(a) for a in arrays]
    if len(outs) < 2:
        raise CallError(f"multi_dot takes at least two matrices, {len(outs)} given{at(here())}")
    ends = (0, len(outs) - 1)
    if any(o.ndim != 2 and not (o.ndim == 1 and k in ends) for k, o in enumerate(outs)):
        ranks = ", ".join(str(o.ndim) for o in outs)
        raise RankError(f"multi_dot takes matrices, and vectors at the ends; ranks given: {ranks}{at(here())}")
    labels = [[k, k + 1] if o.ndim == 2 else [k if k else 1] for k, o in enumerate(outs)]
    result = [0] * (outs[0].ndim == 2) + [len(outs)] * (outs[-1].ndim == 2)
    return einsum(*[a for pair in zip(outs, labels) for a in pair], result)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Out:
    """The vector products of vectors of length 3 in one axis of both; the other axes broadcast.  `axis` names all three axes."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x, y, _ = operands("cross", a, b)
    (a0, a1, a2), (b0, b1, b2) = _coordinates(x, axisa), _coordinates(y, axisb)
    parts = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    return moveaxis(stack(parts, axis=-1), -1, axisc)


def _coordinates(x: Out, axis: int) -> Sequence[Any]:
    last = normal_axis(axis, x.ndim)
    fixed: Any = declared(x, {last: (constant(3), "cross takes vectors of 3 elements, not {left}")})
    return [fixed[(*[slice(None)] * last, k)] for k in range(3)]


def block_diag(*arrays: Any) -> Out:
    """Matrices (a vector is a row, a scalar has one element) along the diagonal of a matrix, zeros elsewhere."""
    if not arrays:
        raise CallError(f"block_diag takes at least one matrix{at(here())}")
    common = promoted([as_symbol(m) if not isinstance(m, bool | int | float) else m for m in arrays])
    blocks = [atleast_2d(cast_to(m, common)) for m in arrays]
    if any(m.ndim != 2 for m in blocks):
        raise RankError(f"block_diag takes matrices, not {', '.join(show_shape(m.type.shape) for m in blocks)}{at(here())}")
    width: Dim = sum((m.type.shape[1] for m in blocks), constant(0))
    start, rows = constant(0), list[Out]()
    for m in blocks:
        height, own = m.type.shape
        rows.append(place(m, dim_node(start), 1, dim_node(height), dim_node(width), axes=(1,)))
        start = start + own
    return concatenate(rows, 0)
