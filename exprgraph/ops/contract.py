"""The contraction row: products of matrices, batched."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import DTypeError, RankError, at, here
from exprgraph.node import Condition, Op, Out, TensorType, as_symbol
from exprgraph.ops.pair import matrix_product
from exprgraph.ops.rows import table
from exprgraph.ops.shape import dimshuffle, needed
from exprgraph.types import Accepted, broadcast_dims, cast_to, describe, promoted


def _accept(*args: Any) -> Accepted:
    solid = [a if dtypes.is_weak(a) else as_symbol(a) for a in args]
    common = promoted(solid)
    if common == "bool":
        raise DTypeError(f"the row matmul does not take bool; cast to an integer dtype first{at(here())}")
    left, right = (cast_to(a, common) for a in solid)
    if left.ndim < 2 or right.ndim < 2:
        raise RankError(f"the row matmul takes tensors of at least 2 axes, {left.ndim} and {right.ndim} given{at(here())}")
    return (left, right), {}


def _infer(inputs: tuple[Out, ...]) -> tuple[TensorType, ...]:
    a, b = (i.type.shape for i in inputs)
    return (TensorType(inputs[0].dtype, (*broadcast_dims([a[:-2], b[:-2]]), a[-2], b[-1])),)


def _requires(inputs: tuple[Out, ...]) -> list[Condition]:
    a, b = (i.type.shape for i in inputs)
    return needed("eq", a[-1], b[-2], "matmul " + " @ ".join(describe(i) for i in inputs) +
                  ": the last axis of the left has {left} elements, the last but one of the right has {right}")


def _swapped(x: Out) -> Out:
    """The tensor with its last two axes exchanged."""
    return dimshuffle(x, pattern=[*range(x.ndim - 2), x.ndim - 1, x.ndim - 2])


def _grad(g: Out, y: Out, a: Out, b: Out) -> tuple[Out | None, ...]:
    return matmul(g, _swapped(b)), matmul(_swapped(a), g)


matmul = Op("matmul", "contract", np.matmul, _accept, _infer, _grad, domain=((-3.0, 3.0),) * 2, flags=frozenset(("smooth", "expensive")),
            requires=_requires, pair=matrix_product, doc="The product of matrices in the last two axes; the axes before them broadcast.")

TABLE = table([matmul])
