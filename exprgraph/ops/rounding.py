"""Elementwise rows that keep a value but change its form: rounding, casts, identity, second."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim
from exprgraph.errors import CallError, DTypeError, at, here
from exprgraph.node import Op, Out, TensorType, as_symbol
from exprgraph.ops.arithmetic import Cotangents
from exprgraph.ops.pair import EACH, behind, converted
from exprgraph.ops.rows import no_slope, row, table
from exprgraph.types import Accepted, broadcast_dims, cast_to


def _away(x: Any) -> Any:
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(x.dtype.type(1), x), whole)


def _rounding(name: str, numpy: Any, c: str, doc: str) -> Op:
    return row(name, lambda x: numpy(x) if x.dtype.kind == "f" else x.copy(), {"f": c, "*": "{0}"}, no_slope(1), flags="zero_grad", doc=doc)


def _guarded(x: Any, signed: str) -> Any:
    """Truncation to int32 or int64 with the lowest integer for NaN and whatever does not fit, as x86 processors do."""
    edge = -float(np.iinfo(signed).min)
    fits = (x >= -edge) & (x < edge)
    return np.where(fits, np.where(fits, x, 0).astype(signed), np.iinfo(signed).min).astype(signed)


def _to_uint64(x: Any) -> Any:
    edge = x.dtype.type(2.0 ** 63)
    high = _guarded(x - edge, "int64").astype("uint64") ^ np.uint64(2 ** 63)
    return np.where(x >= edge, high, _guarded(x, "int64").astype("uint64"))


def _odd(x: Any) -> Any:
    """float64 as float32, rounded to odd, so that rounding again to fewer bits is as good as rounding once."""
    near = x.astype("float32")
    bits = near.view("uint32") - (np.abs(near.astype("float64")) > np.abs(x)).astype("uint32")
    return (bits | (bits.view("float32") != x)).view("float32")


def _cast(x: Any, dtype: str) -> Any:
    """Casts of floats to integers are spelled out: for NaN and values out of range NumPy's own differ between machines and loops."""
    if x.dtype.name == dtypes.BFLOAT:
        x = x.astype("float32")
    if dtype == dtypes.BFLOAT and x.dtype == np.float64:
        x = _odd(x)
    if x.dtype.kind != "f" or dtype not in dtypes.INTS:
        return x.astype(dtype)
    if dtype == "uint64":
        return _to_uint64(x)
    return _guarded(x, "int64" if dtype in ("int64", "uint32") else "int32").astype(dtype)


def _cast_accept(x: Any, dtype: Any) -> Accepted:
    out, target = as_symbol(x), dtypes.canonical(dtype)
    if dtypes.is_complex(out.dtype) and not dtypes.is_complex(target):
        raise DTypeError(f"cast of {out.dtype} to {target}: write real(x), imag(x), abs(x) or angle(x){at(here())}")
    return (out,), {"dtype": target}


def _cast_infer(inputs: tuple[Out, ...], dtype: str) -> tuple[TensorType, ...]:
    return (TensorType(dtype, inputs[0].type.shape),)


def _cast_grad(g: Out, y: Out, x: Out, dtype: str) -> Cotangents:
    if dtypes.is_complex(g.dtype):
        return (g if dtypes.has_gradient(x.dtype) else None,)
    return (cast(g, x.dtype) if dtypes.is_float(x.dtype) and dtypes.is_float(g.dtype) else None,)


def _second_accept(*args: Any) -> Accepted:
    if len(args) != 2:
        raise CallError(f"second takes 2 arguments, {len(args)} given{at(here())}")
    first = as_symbol(args[0])
    return (first, cast_to(args[1], first.dtype) if dtypes.is_weak(args[1]) else as_symbol(args[1])), {}


def _second_infer(inputs: tuple[Out, ...]) -> tuple[TensorType, ...]:
    shape: tuple[Dim, ...] = broadcast_dims([i.type.shape for i in inputs])
    return (TensorType(inputs[1].dtype, shape),)


floor = _rounding("floor", np.floor, "EG_FLOOR{S}({0})", "The largest whole number that is not above x; integers stay as they are.")
ceil = _rounding("ceil", np.ceil, "EG_CEIL{S}({0})", "The smallest whole number that is not below x; integers stay as they are.")
trunc = _rounding("trunc", np.trunc, "EG_TRUNC{S}({0})", "x without its fraction; integers stay as they are.")
round_half_to_even = _rounding("round_half_to_even", np.rint, "EG_RINT{S}({0})",
                               "The nearest whole number, an even one from halfway; integers stay as they are.")
round_half_away_from_zero = _rounding("round_half_away_from_zero", _away, "eg_away_{N}({0})",
                                      "The nearest whole number, the one farther from 0 from halfway; integers stay as they are.")
identity = row("identity", np.array, "{0}", lambda g, y, x: (g,), flags="smooth", pair=EACH, doc="x itself.")
cast = row("cast", _cast, "eg_cast_{F}_{N}({0})", _cast_grad, accept=_cast_accept, infer=_cast_infer,
           flags="conjugated", pair=converted,
           doc="x in another dtype; floats are truncated to integers, integers wrap, out of range is as on x86.")
second = row("second", lambda a, b: np.array(np.broadcast_arrays(a, b)[1]), "{1}", lambda g, y, a, b: (None, g), arity=2,
             accept=_second_accept, infer=_second_infer, pair=behind, doc="The second argument, broadcast to the shape of both.")

TABLE = table([floor, ceil, trunc, round_half_to_even, round_half_away_from_zero, identity, cast, second])
