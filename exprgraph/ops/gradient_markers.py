"""Markers for gradients alone: rows that give their operand back and say what becomes of its cotangent."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import DTypeError, NullTypeGradError, UseError, at, here, shortly
from exprgraph.node import OPERATORS, Op, Out, as_symbol, make_constant
from exprgraph.ops.complexes import real_part
from exprgraph.ops.markers import disconnected_grad, zero_grad
from exprgraph.ops.pair import EACH
from exprgraph.ops.rows import Grad, row, table, undefined
from exprgraph.ops.shape import Types, broadcast_to, dimshuffle, shape_of
from exprgraph.types import Accept, Accepted, cast_to
from exprgraph.warned import warn

MARKER = "gradient_marker"
"""The flag of rows that `compile` leaves out, since gradients have been taken by then."""
_tokens = itertools.count(1)


def _number(name: str, value: Any) -> float:
    if not dtypes.is_weak(value) or isinstance(value, complex):
        raise UseError(f"{name}: {shortly(value)}: a number is needed{at(here())}")
    return float(value)


def _clip_accept(x: Any, lower_bound: Any = -float("inf"), upper_bound: Any = float("inf")) -> Accepted:
    low, high = _number("grad_clip", lower_bound), _number("grad_clip", upper_bound)
    if not low <= high:
        raise UseError(f"grad_clip: the lower bound {low} is not below the upper bound {high}{at(here())}")
    out = as_symbol(x)
    if dtypes.is_complex(out.dtype):
        raise DTypeError(f"grad_clip does not take {out.dtype}, whose numbers have no order: clip its two parts{at(here())}")
    return (out,), {"lower_bound": low, "upper_bound": high}


def _scale_accept(x: Any, multiplier: Any = 1.0) -> Accepted:
    """The multiplier, a number or a real scalar that a call may change, is an operand that gradients see no path to."""
    if not isinstance(multiplier, Out):
        multiplier = _number("grad_scale", multiplier.item() if isinstance(multiplier, np.ndarray) and not multiplier.ndim else multiplier)
        return (as_symbol(x), make_constant(multiplier, "float64")), {}
    if multiplier.ndim or not (dtypes.is_float(multiplier.dtype) or dtypes.is_int(multiplier.dtype)):
        raise UseError(f"grad_scale: {shortly(multiplier)}: a number, or a real scalar, is needed{at(here())}")
    return (as_symbol(x), disconnected_grad(multiplier)), {}


def _scale_batch(inputs: Sequence[Out], mapped: Sequence[bool], size: Out) -> Out:
    """Each lane may have a multiplier of its own, which then has as many axes as what it multiplies."""
    x = inputs[0] if mapped[0] else broadcast_to(inputs[0], size, *shape_of(inputs[0]))
    m, own = inputs[1], mapped[1]
    if own:
        return grad_scale.apply((x, dimshuffle(m, pattern=[0, *[-1] * (x.ndim - m.ndim), *range(1, m.ndim)])))
    return grad_scale.apply((x, m))


def _type(inputs: tuple[Out, ...], **params: Any) -> Types:
    return (inputs[0].type,)


def _clipped(g: Out, y: Out, x: Out, lower_bound: float, upper_bound: float) -> tuple[Out | None, ...]:
    return (OPERATORS["clip"](g, lower_bound, upper_bound),)


def _scaled(g: Out, y: Out, x: Out, multiplier: Out) -> tuple[Out | None, ...]:
    return OPERATORS["mul"](g, cast_to(multiplier, dtypes.part(x.dtype))), None


def _no_tangent(tangents: Sequence[Out | None], y: Out, x: Out) -> Out | None:
    if tangents[0] is None:
        return None
    raise NullTypeGradError(f"undefined_grad: the derivative of {shortly(x)} is declared to be undefined{at(y.node.source)}")


def _marker(name: str, grad: Grad, accept: Accept | None, forward: Callable[..., Any], doc: str) -> Op:
    same: Callable[..., Any] = lambda x, *others, **params: x  # noqa: E731
    found = row(name, same, "{0}", grad, accept=accept, infer=_type, flags=MARKER, pair=EACH, doc=doc)
    return found.changed(forward=forward)


undefined_grad = _marker(
    "undefined_grad", lambda g, y, x: (undefined("undefined_grad declares it undefined"),), None, _no_tangent,
    "The tensor itself; a gradient through it is NullTypeGradError.")
grad_clip = _marker(
    "grad_clip", _clipped, _clip_accept, lambda tangents, y, x, lower_bound, upper_bound: tangents[0],
    "grad_clip(x, lower_bound, upper_bound): the tensor itself; each element of its cotangent is clipped.  Forward mode is left alone."
    ).changed(pair=None)
grad_scale = _marker(
    "grad_scale", _scaled, _scale_accept,
    lambda tangents, y, x, multiplier: None if tangents[0] is None else _scaled(tangents[0], y, x, multiplier)[0],
    "grad_scale(x, multiplier): the tensor itself; its cotangent is multiplied by a number, or by a real scalar, which may be a shared "
    "variable that is changed between calls.").changed(batch=_scale_batch)


def consider_constant(x: Any) -> Out:
    """`zero_grad` under a name that Theano gave up; DeprecationWarning.  The gradient is zero, not disconnected."""
    warn(f"consider_constant is deprecated: write zero_grad or disconnected_grad{at(here())}", DeprecationWarning)
    return zero_grad(x)


def _barrier_accept(x: Any, *after: Any, token: int = 0) -> Accepted:
    others = [as_symbol(a) for a in after]
    return (as_symbol(x), *(real_part(a) if dtypes.is_complex(a.dtype) else a for a in others)), {"token": int(token)}


def _barrier_batch(inputs: Sequence[Out], mapped: Sequence[bool], size: Out, token: int) -> Out:
    x = inputs[0] if mapped[0] else broadcast_to(inputs[0], size, *shape_of(inputs[0]))
    return barrier(x, *inputs[1:], token=token)


barrier = Op("barrier", "view", lambda x, *after, token: x, _barrier_accept, _type,
             lambda g, y, x, *after, token: (g, *[None] * len(after)), flags=frozenset({"smooth"}),
             forward=lambda tangents, y, x, *after, token: tangents[0], batch=_barrier_batch,
             doc="The tensor x, which nothing that is computed from it here is merged with; what reads it waits for the other tensors.")


def new_token() -> int:
    """A token that no barrier has yet."""
    return next(_tokens)


TABLE = table([undefined_grad, grad_clip, grad_scale, barrier])
