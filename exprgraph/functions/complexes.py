"""The parts of tensors that may be real or complex, as functions: real, imag, angle, conj, conjugate."""
from __future__ import annotations

from typing import Any

from exprgraph import dtypes
from exprgraph.node import Out, as_symbol
from exprgraph.ops.complexes import angle_of, imaginary_part, real_part
from exprgraph.ops.complexes import conj as _conj
from exprgraph.ops.rounding import second


def real(x: Any) -> Out:
    """The real part: complex64 gives float32, complex128 float64; a real tensor is its own."""
    out = as_symbol(x)
    return real_part(out) if dtypes.is_complex(out.dtype) else out


def imag(x: Any) -> Out:
    """The imaginary part: complex64 gives float32, complex128 float64; zeros of its own dtype for a real tensor."""
    out = as_symbol(x)
    return imaginary_part(out) if dtypes.is_complex(out.dtype) else second(out, False if out.dtype == "bool" else 0)


def angle(x: Any) -> Out:
    """The angle of each element in radians, between -pi and pi; a real tensor counts as complex of the same precision."""
    return angle_of(x)


def conj(x: Any) -> Out:
    """The complex conjugate of each element; a real tensor is its own."""
    out = as_symbol(x)
    return _conj(out) if dtypes.is_complex(out.dtype) else out


conjugate = conj
