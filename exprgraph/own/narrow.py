"""Integers that are given for narrower ones: each is looked at, before a call runs where it follows from sizes and integer scalars."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.dims import constant
from exprgraph.errors import OwnOpError
from exprgraph.node import Condition, Out, Refusal, TensorType
from exprgraph.ops.bits import or_
from exprgraph.ops.compare import gt, lt
from exprgraph.ops.rows import no_slope, row
from exprgraph.ops.shape import needed
from exprgraph.types import Accepted, dim_of


def _limits(dtype: str) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _meaning(x: Any, dtype: str, message: str) -> Any:
    low, high = _limits(dtype)
    wrong = (x < low) | (x > high)
    if wrong.any():
        raise ValueError(message.format(index=x[wrong].flat[0]))
    return x.copy()


def _accept(x: Out, dtype: str, message: str) -> Accepted:
    return (x,), {"dtype": dtype, "message": message}


def _infer(inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
    return (inputs[0].type,)


def _requires(inputs: tuple[Out, ...], dtype: str, message: str) -> list[Condition]:
    size, (low, high) = dim_of(inputs[0]), _limits(dtype)
    return [] if size is None else [*needed("le", constant(low), size, message.replace("index", "right"), OwnOpError),
                                    *needed("le", size, constant(high), message.replace("index", "left"), OwnOpError)]


def _refuses(inputs: tuple[Out, ...], dtype: str, message: str) -> list[Refusal]:
    """For the lanes of a batch, which are no sizes any more."""
    low, high = _limits(dtype)
    if dim_of(inputs[0]) is not None:
        return []
    return [Refusal(or_(lt(inputs[0], low), gt(inputs[0], high)), inputs[0], message, OwnOpError)]


narrowed = row("narrowed", _meaning, "{0}", no_slope(1), accept=_accept, infer=_infer, flags="unmergeable", refuses=_refuses,
               doc="Integers that a dtype holds, still in their own; else OwnOpError with a message that names the {index}.").changed(
                   requires=_requires)
