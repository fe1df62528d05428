"""Numbers at regular distances: linspace, logspace, geomspace, and the windows of signal processing."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.config import config
from exprgraph.dims import Dim, maximum
from exprgraph.errors import DTypeError, ShapeError, at, here
from exprgraph.functions.shaping import expand_dims, moveaxis
from exprgraph.node import Out, as_symbol, make_constant
from exprgraph.ops.arithmetic import absolute, add, mul, sign, sub, true_div
from exprgraph.ops.compare import eq, le, switch
from exprgraph.ops.create import iota
from exprgraph.ops.rounding import floor
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle
from exprgraph.ops.transcendental import cos, log10, power
from exprgraph.types import broadcast_dims, cast_to, promoted, size_argument, size_dim


def _count(name: str, num: Any) -> Dim:
    found = size_dim(size_argument(int(num) if isinstance(num, np.integer) else num))
    if (found.const or 0) < 0:
        raise ShapeError(f"{name}: num must not be negative: {found}{at(here())}")
    return found


def _known(*values: Any) -> bool:
    return not any(isinstance(v, Out) for v in values)


def _ends(start: Any, stop: Any) -> tuple[Any, Any, str]:
    """Both ends as floats of one shape, and their dtype."""
    given = [v if dtypes.is_weak(v) else as_symbol(v) for v in (start, stop)]
    work = dtypes.as_float(promoted(given))
    ends = [cast_to(v, work) for v in given]
    shape = [dim_node(d) for d in broadcast_dims([v.type.shape for v in ends])]
    first, last = (broadcast_to(v, *shape) if shape else v for v in ends)
    return first, last, work


def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0) -> Any:
    """`num` evenly spaced numbers from start to stop, both included (stop is not without `endpoint`), along a new axis.

    start and stop may be symbols of any shape, num an integer scalar of the graph.  Floats of the common dtype, floatX for Python
    numbers and integers; an integer `dtype` rounds down.  With retstep a pair: the numbers and their distance.
    """
    count = _count("linspace", num)
    if _known(start, stop, num) and axis == 0:
        values, step = np.linspace(start, stop, num, endpoint, retstep=True)
        made = make_constant(np.floor(values) if dtypes.is_int(_wanted(dtype)) else values, _wanted(dtype))
        return (made, make_constant(step, config.floatX)) if retstep else made
    first, last, work = _ends(start, stop)
    gaps: Any = cast_to(dim_node(maximum(count - 1 if endpoint else count, 1)), work)
    step = (last - first) / gaps
    places: Any = dimshuffle(iota(dim_node(count)), pattern=[0, *[-1] * first.ndim])
    found = cast_to(places, work) * step + first
    found = switch(eq(cast_to(places, work), gaps), last, found) if endpoint else found
    wanted = work if dtype is None else dtypes.canonical(dtype)
    found = moveaxis(cast_to(floor(found) if dtypes.is_int(wanted) else found, wanted), 0, axis)
    return (found, step) if retstep else found


def _wanted(dtype: Any) -> str:
    return dtypes.canonical(dtype or config.floatX)


def logspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0) -> Out:
    """base to the power of each of `linspace(start, stop, num)`."""
    if _known(start, stop, num, base) and axis == 0:
        return make_constant(np.logspace(start, stop, num, endpoint, base), _wanted(dtype))
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    found = power(cast_to(base, exponents.dtype) if dtypes.is_weak(base) else expand_dims(base, axis) if base.ndim else base, exponents)
    return found if dtype is None else cast_to(found, dtypes.canonical(dtype))


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Out:
    """`num` numbers from start to stop, each the same multiple of the one before; both ends have one sign and are not 0."""
    if _known(start, stop, num) and axis == 0:
        if np.any(np.asarray(start) == 0) or np.any(np.asarray(stop) == 0):
            raise ShapeError(f"geomspace: neither end can be 0{at(here())}")
        return make_constant(np.geomspace(start, stop, num, endpoint), _wanted(dtype))
    count = _count("geomspace", num)
    first, last, work = _ends(start, stop)
    sides: Any = sign(first)
    inner = linspace(log10(absolute(first)), log10(absolute(last)), dim_node(count), endpoint)
    found = mul(power(cast_to(10.0, work), inner), sides)
    places: Any = dimshuffle(iota(dim_node(count)), pattern=[0, *[-1] * first.ndim])
    found = switch(eq(places, dim_node(count - 1)), last, found) if endpoint else found
    found = moveaxis(switch(eq(places, 0), first, found), 0, axis)
    return found if dtype is None else cast_to(found, dtypes.canonical(dtype))


def _window(name: str, M: Any, weights: Sequence[float]) -> Out:
    """The sum of weights times the cosines of 0, 1, 2, ... half turns over half the window, from its middle."""
    places, half = _from_middle(name, M)
    turn: Any = true_div(mul(places, math.pi), half)
    found: Any = weights[0] + weights[1] * cos(turn)
    for k, weight in enumerate(weights[2:], 2):
        found = add(found, mul(weight, cos(mul(turn, float(k)))))
    return found  # type: ignore[no-any-return]


def _from_middle(name: str, M: Any) -> tuple[Any, Any]:
    """1-M, 3-M, ..., M-1 as floats, and M-1, at least 1."""
    if isinstance(M, float) or (isinstance(M, Out) and not dtypes.is_int(M.dtype)):
        raise DTypeError(f"{name}: the number of points must be an integer{at(here())}")
    count = maximum(size_dim(size_argument(int(M) if isinstance(M, np.integer) else M)), 0)
    places: Any = iota(dim_node(count))
    return cast_to(places * 2 - dim_node(count - 1), config.floatX), cast_to(dim_node(maximum(count - 1, 1)), config.floatX)


def bartlett(M: Any) -> Out:
    """The triangular window of M points, 0 at both ends and 1 in the middle; M may be an integer scalar of the graph."""
    places, half = _from_middle("bartlett", M)
    share = true_div(places, half)
    return switch(le(places, 0), add(1.0, share), sub(1.0, share))


def hanning(M: Any) -> Out:
    """The window 0.5 - 0.5 cos(2 pi n / (M - 1)) of M points."""
    return _window("hanning", M, (0.5, 0.5))


def hamming(M: Any) -> Out:
    """The window 0.54 - 0.46 cos(2 pi n / (M - 1)) of M points."""
    return _window("hamming", M, (0.54, 0.46))


def blackman(M: Any) -> Out:
    """The window 0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1)) of M points."""
    return _window("blackman", M, (0.42, 0.5, 0.08))
