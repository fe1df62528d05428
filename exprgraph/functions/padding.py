"""pad: a tensor made larger at its edges, by NumPy's modes; a mode is a row of a table."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, constant, maximum, minimum
from exprgraph.errors import CallError, ShapeError, UseError, at, here, shortly
from exprgraph.functions.indexing import getitem
from exprgraph.functions.joining import concatenate
from exprgraph.functions.shaping import expand_dims
from exprgraph.functions.sorting import median
from exprgraph.functions.stats import mean
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol, constant_value
from exprgraph.ops.arithmetic import int_div, mod
from exprgraph.ops.compare import gt, switch
from exprgraph.ops.compare import maximum as larger
from exprgraph.ops.compare import minimum as smaller
from exprgraph.ops.create import iota
from exprgraph.ops.index import place, take
from exprgraph.ops.reduce import max_, min_
from exprgraph.ops.rounding import floor, round_half_to_even
from exprgraph.ops.shape import broadcast_to, declared, dim_node, dimshuffle
from exprgraph.types import cast_to, normal_axis, size_argument, size_dim

Widths = tuple[Dim, Dim]


class Axis(NamedTuple):
    """One axis to be padded: its place, its length and how many elements come before and after it."""
    number: int
    length: Dim
    before: Dim
    after: Dim


def pad(array: Any, pad_width: Any, mode: str = "constant", **keywords: Any) -> Out:
    """The tensor with pad_width elements before and after along each axis.

    pad_width: one number, a pair (before, after), one pair for each axis, or a dict from axis to one of the first two; integers or
    integer scalars of the graph.  mode: "constant" (constant_values=0), "edge", "reflect" and "symmetric" (reflect_type="even" or
    "odd"), "wrap", "linear_ramp" (end_values=0), "maximum", "minimum", "mean" and
    "median" (stat_length=None), "empty" (zeros).  Values given
    by keyword may differ by axis and side, as pad_width may.  ShapeError for negative widths and for an axis without elements where
    the mode takes its elements from there; UseError for another mode.
    """
    out = as_symbol(array)
    if not isinstance(mode, str) or mode not in MODES:
        raise UseError(f"pad: mode must be one of {', '.join(map(repr, MODES))}, not {shortly(mode)}{at(here())}")
    known = KEYWORDS.get(mode, {})
    if unknown := [k for k in keywords if k not in known]:
        raise CallError(f"pad: mode {shortly(mode)} does not take {', '.join(unknown)}{at(here())}")
    widths = [(_width(b), _width(a)) for b, a in _pairs("pad_width", pad_width, out.ndim)]
    known_widths = all(n.const is not None for w in widths for n in w)
    if mode in ("constant", "empty") and known_widths and _is_zero(keywords.get("constant_values", 0)):
        return _placed(out, widths)
    given = {**known, **keywords}
    settings = [{k: v if k == "reflect_type" else _pairs(k, v, out.ndim)[axis] for k, v in given.items()} for axis in range(out.ndim)]
    for number, (before, after) in enumerate(widths):
        if (before.const, after.const) != (0, 0):
            axis = _axis(out, number, before, after, mode)
            out = MODES[mode](_not_negative(out, axis), axis, **settings[number])
    return out


def _width(value: Any) -> Dim:
    dim = size_dim(size_argument(int(value) if isinstance(value, np.integer) else value))
    if (dim.const or 0) < 0:
        raise ShapeError(f"pad: a width cannot be negative: {dim}{at(here())}")
    return dim


def _axis(x: Out, number: int, before: Dim, after: Dim, mode: str) -> Axis:
    length = x.type.shape[number]
    if length.const == 0 and mode not in ("constant", "empty"):
        raise ShapeError(f"pad: axis {number} has no elements, which only the modes \"constant\" and \"empty\" can pad{at(here())}")
    return Axis(number, length, before, after)


def _not_negative(x: Out, axis: Axis) -> Out:
    """The tensor, a call of which brings no negative widths: the length of its axis is declared to be what it is only then."""
    missing = sum((maximum(w, 0) - w for w in (axis.before, axis.after)), constant(0))
    return declared(x, {axis.number: (axis.length + missing, f"pad: a width of axis {axis.number} is negative")})


def _pairs(name: str, value: Any, rank: int) -> list[tuple[Any, Any]]:
    """A pair for each axis, from one value, one pair, or one pair for each axis."""
    if isinstance(value, dict):
        by_axis = {normal_axis(a, rank): _pairs(name, v, 1)[0] for a, v in value.items()}
        return [by_axis.get(k, (0, 0)) for k in range(rank)]
    if not _is_list(value):
        return [(value, value)] * rank
    parts = list(value)
    if any(_is_list(p) for p in parts):
        found = [_pair(name, p, rank) for p in parts]
        if len(found) in (1, rank):
            return found * (rank if len(found) == 1 else 1)
    elif len(parts) in (1, 2):
        return [_pair(name, parts, rank)] * rank
    raise ShapeError(f"pad: {name} is one value, a pair, or a pair for each of {rank} axes, not {shortly(value)}{at(here())}")


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple | list) or (isinstance(value, np.ndarray | Out) and value.ndim > 0)


def _pair(name: str, value: Any, rank: int) -> tuple[Any, Any]:
    parts = list(value) if _is_list(value) else [value]
    if len(parts) not in (1, 2) or any(_is_list(p) for p in parts):
        raise ShapeError(f"pad: {name} has {shortly(value)} where a pair (before, after) should stand{at(here())}")
    return parts[0], parts[-1]


def _is_zero(value: Any) -> bool:
    known = constant_value(value) if isinstance(value, Out) else np.asarray(value) if not _is_list(value) else None
    return known is not None and known.ndim == 0 and known == 0


def _placed(x: Out, widths: Sequence[Widths]) -> Out:
    axes = [k for k, (b, a) in enumerate(widths) if b.const or a.const]
    sizes = [dim_node(b + n + a) for (b, a), n in zip(widths, x.type.shape)]
    return place(x, *[s for k in axes for s in (dim_node(widths[k][0]), 1)], *sizes, axes=axes) if axes else x


def _around(x: Out, axis: Axis, before: Any, after: Any) -> Out:
    """The tensor between two values, each of the shape of x but for this axis, or of what broadcasts to that."""
    shape = list(x.type.shape)

    def block(value: Any, width: Dim) -> list[Out]:
        shape[axis.number] = width
        return [] if width.const == 0 else [broadcast_to(cast_to(value, x.dtype), *[dim_node(d) for d in shape])]
    return concatenate([*block(before, axis.before), x, *block(after, axis.after)], axis.number)


def _constant(x: Out, axis: Axis, constant_values: tuple[Any, Any]) -> Out:
    return _around(x, axis, *constant_values)


def _empty(x: Out, axis: Axis) -> Out:
    return _around(x, axis, 0, 0)


def _place_numbers(axis: Axis) -> tuple[Any, Any]:
    """For each place of the result how far it lies behind the first element, and the length of the axis."""
    return iota(dim_node(axis.before + axis.length + axis.after)) - dim_node(axis.before), dim_node(axis.length)


def _edge(x: Out, axis: Axis) -> Out:
    places, n = _place_numbers(axis)
    return take(x, larger(smaller(places, n - 1), 0), axis=axis.number)


def _wrap(x: Out, axis: Axis) -> Out:
    places, n = _place_numbers(axis)
    return take(x, mod(places, n), axis=axis.number)


def _mirrored(turn: int) -> Callable[..., Out]:
    """Reflection that leaves out the edge (turn 0) or repeats it (turn 1): even, or odd about the edge's value.

    The result is periodic but for odd reflection, by which each period adds twice the last element less the first.
    """
    def mirror(x: Out, axis: Axis, reflect_type: str) -> Out:
        if reflect_type not in ("even", "odd"):
            raise UseError(f"pad: reflect_type must be \"even\" or \"odd\", not {shortly(reflect_type)}{at(here())}")
        places, n = _place_numbers(axis)
        period = dim_node(maximum((axis.length - 1 + turn) * 2, 1))
        inside = mod(places, period)
        beyond = gt(inside, n - 1)
        found: Any = take(x, switch(beyond, period - turn - inside, inside), axis=axis.number)
        if reflect_type == "even":
            return found  # type: ignore[no-any-return]
        first, last = _end(x, axis.number, 0), _end(x, axis.number, -1)
        spread = [-1 if k != axis.number else 0 for k in range(x.ndim)]
        rounds = cast_to(dimshuffle(int_div(places, period) * 2, pattern=spread), x.dtype)
        return switch(dimshuffle(beyond, pattern=spread), last * 2 - found, found) + (last - first) * rounds  # type: ignore[no-any-return]
    return mirror


def _side(x: Out, axis: int, part: slice) -> Any:
    return getitem(x, (*[slice(None)] * axis, part))


def _end(x: Out, axis: int, place: int) -> Any:
    """The first (0) or last (-1) element along the axis, which stays with a length of 1."""
    return expand_dims(getitem(x, (*[slice(None)] * axis, place)), axis)


def _ramp(x: Out, axis: Axis, end_values: tuple[Any, Any]) -> Out:
    """Straight lines from the end value, far away, to the edge; integers are rounded down."""
    work = x.dtype if dtypes.is_float(x.dtype) else "float64"

    def line(edge: Any, end: Any, width: Dim, places: Any) -> Any:
        share = dimshuffle(cast_to(places, work), pattern=[-1 if k != axis.number else 0 for k in range(x.ndim)])
        far: Any = cast_to(end, work)
        values = far + share * ((cast_to(edge, work) - far) / cast_to(dim_node(maximum(width, 1)), work))
        return cast_to(values if work == x.dtype else floor(values), x.dtype)
    left = line(_end(x, axis.number, 0), end_values[0], axis.before, iota(dim_node(axis.before)))
    back: Any = dim_node(axis.after - 1)
    right = line(_end(x, axis.number, -1), end_values[1], axis.after, back - iota(dim_node(axis.after)))
    return _around(x, axis, left, right)


def _statistic(compute: Callable[..., Any]) -> Callable[..., Out]:
    """The statistic of the first and of the last stat_length elements of the axis (None: of all)."""
    def padded(x: Out, axis: Axis, stat_length: tuple[Any, Any]) -> Out:
        counts = [axis.length if n is None else minimum(_stat_length(n), axis.length) for n in stat_length]
        parts = [slice(0, dim_node(counts[0])), slice(dim_node(axis.length - counts[1]), None)]
        values = [compute(_side(x, axis.number, p), axis=axis.number, keepdims=True) for p in parts]
        return _around(x, axis, *[v if v.dtype == x.dtype else cast_to(round_half_to_even(v), x.dtype) for v in values])
    return padded


def _median(x: Out, axis: int, keepdims: bool) -> Out:
    return median(x if dtypes.is_float(x.dtype) else cast_to(x, "float64"), axis=axis, keepdims=keepdims)


def _stat_length(value: Any) -> Dim:
    dim = size_dim(size_argument(value))
    if dim.const is not None and dim.const < 1:
        raise ShapeError(f"pad: stat_length must be at least 1, not {dim}{at(here())}")
    return dim


def _mean(x: Out, axis: int, keepdims: bool) -> Out:
    return mean(x, axis=axis, keepdims=keepdims, dtype=None if dtypes.is_float(x.dtype) else "float64")


MODES: dict[str, Callable[..., Out]] = {
    "constant": _constant, "edge": _edge, "reflect": _mirrored(0), "symmetric": _mirrored(1), "wrap": _wrap, "linear_ramp": _ramp,
    "maximum": _statistic(max_), "minimum": _statistic(min_), "mean": _statistic(_mean),
    "median": _statistic(_median), "empty": _empty}
KEYWORDS: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": 0}, "reflect": {"reflect_type": "even"}, "symmetric": {"reflect_type": "even"},
    "linear_ramp": {"end_values": 0}, **{m: {"stat_length": None} for m in ("maximum", "minimum", "mean", "median")}}
