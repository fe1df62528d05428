"""Elementwise rows between real and complex numbers: parts, angle, conjugate, and numbers made of parts or of size and angle.

Cotangents of complex tensors follow the conjugate convention: that of z is the slope of the cost along its real part plus i times that
along its imaginary part, so that a step against it descends.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dtypes import COMPLEX, FLOATS
from exprgraph.errors import CallError, DTypeError, at, here
from exprgraph.node import Op, Out, TensorType, as_symbol
from exprgraph.ops.arithmetic import Cotangents
from exprgraph.ops.pair import Formula, Pair, polar
from exprgraph.ops.pair import angle as _angle_of
from exprgraph.ops.rows import row, table
from exprgraph.ops.transcendental import cos, sin
from exprgraph.types import Accept, Accepted, broadcast_dims, cast_to, elementwise, promoted, to_part

CONJUGATED = "conjugated"


def _to_whole(inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
    return (TensorType(dtypes.whole(inputs[0].dtype), broadcast_dims([i.type.shape for i in inputs])),)


def _whole(*args: Any) -> Accepted:
    if len(args) != 1:
        raise CallError(f"one complex argument is taken, {len(args)} given{at(here())}")
    out = as_symbol(args[0])
    return (out if dtypes.is_complex(out.dtype) else cast_to(out, dtypes.whole(dtypes.as_float(out.dtype))),), {}


def _parts(name: str) -> Accept:
    promote = elementwise(name, 2, FLOATS, lambda dtype: dtypes.part(dtypes.whole(dtypes.as_float(dtype))))

    def accept(*args: Any) -> Accepted:
        if len(args) == 2 and dtypes.is_complex(promoted(args)):
            raise DTypeError(f"{name} takes two real tensors, not {promoted(args)}{at(here())}")
        return promote(*args)
    return accept


def _of(numpy: Any, name: str, pair: Formula, grad: Any, doc: str, infer: Any = to_part) -> Op:
    return row(name, numpy, {}, grad, takes=COMPLEX, accept=_whole, infer=infer, pair=pair, flags=f"smooth {CONJUGATED}", doc=doc)


def joined(re: Any, im: Any) -> Any:
    """NumPy's complex array of two parts, which are kept as they are."""
    out = np.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), np.result_type(re, im, np.complex64))
    out.real, out.imag = re, im
    return out


def _angle_grad(g: Out, y: Out, z: Out) -> Cotangents:
    a: Any = real_part(z)
    b: Any = imaginary_part(z)
    turned: Any = complex_(-b, a)
    return (turned * (g / (a * a + b * b)),)


def _polar_grad(g: Out, y: Out, size: Out, turned: Out) -> Cotangents:
    a: Any = real_part(g)
    b: Any = imaginary_part(g)
    c, s = cos(turned), sin(turned)
    return a * c + b * s, size * (b * c - a * s)


real_part: Op = _of(np.real, "real", lambda z: z.re, lambda g, y, z: (g,), "The real part.")
imaginary_part: Op = _of(np.imag, "imag", lambda z: z.im, lambda g, y, z: (complex_(0.0, g),), "The imaginary part.")
angle_of = _of(np.angle, "angle", _angle_of, _angle_grad, "The angle, between -pi and pi.")
conj: Op = _of(np.conjugate, "conj", lambda z: Pair(z.re, -z.im), lambda g, y, z: (conj(g),), "The complex conjugate.",
               lambda inputs: (inputs[0].type,))
complex_: Op = row("complex", joined, {}, lambda g, y, a, b: (real_part(g), imaginary_part(g)), arity=2, accept=_parts("complex"),
               infer=_to_whole, pair=Pair, flags=f"smooth {CONJUGATED}", doc="The complex number a + b i of two real ones.")
complex_from_polar = row("complex_from_polar", lambda r, t: joined(r * np.cos(t), r * np.sin(t)), {}, _polar_grad, arity=2,
                         accept=_parts("complex_from_polar"), infer=_to_whole, pair=polar, domain=((0.1, 5.0), (-3.0, 3.0)),
                         flags=f"smooth {CONJUGATED}", ulp=8.0, doc="The complex number of an absolute value and an angle.")

TABLE = table([real_part, imaginary_part, angle_of, conj, complex_, complex_from_polar])
