"""Elements and axes turned round: fliplr, flipud, rot90, roll along several axes, rollaxis."""
from __future__ import annotations

import operator
from typing import Any

from exprgraph.errors import RankError, ShapeError, at, here
from exprgraph.functions.indexing import flip
from exprgraph.functions.indexing import roll as roll_one
from exprgraph.functions.shaping import moveaxis, transpose
from exprgraph.node import Out, as_symbol
from exprgraph.types import normal_axis


def fliplr(m: Any) -> Out:
    """The columns in reverse order: axis 1 of a tensor of at least 2 axes."""
    return flip(_at_least("fliplr", m, 2), 1)


def flipud(m: Any) -> Out:
    """The rows in reverse order: axis 0 of a tensor of at least 1 axis."""
    return flip(_at_least("flipud", m, 1), 0)


def _at_least(name: str, m: Any, rank: int) -> Out:
    out = as_symbol(m)
    if out.ndim < rank:
        raise RankError(f"{name} takes a tensor of at least {rank} axes, not {out.ndim}{at(here())}")
    return out


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Out:
    """The matrices in two axes turned k times by a quarter, from the first axis towards the second."""
    out = _at_least("rot90", m, 2)
    first, second = (normal_axis(a, out.ndim) for a in axes)
    if first == second:
        raise ShapeError(f"rot90: the axes must differ, both are {first}{at(here())}")
    quarters = operator.index(k) % 4
    if quarters % 2 == 0:
        return flip(out, (first, second)) if quarters else out
    order = list(range(out.ndim))
    order[first], order[second] = second, first
    return transpose(flip(out, second), order) if quarters == 1 else flip(transpose(out, order), second)


def roll(a: Any, shift: Any, axis: Any = None) -> Out:
    """The elements moved by `shift` places along an axis, those that leave at the end coming back at the start.

    shift and axis may be sequences, whose pairs are done one after the other; a number among sequences goes with all.  Without an axis
    the tensor is rolled as a flat one.  Shifts may be integer scalars of the graph.
    """
    many = [isinstance(v, tuple | list) for v in (shift, axis)]
    if not any(many) or axis is None:
        return roll_one(a, sum(shift) if many[0] else shift, axis)
    shifts, axes = (list(v) if isinstance(v, tuple | list) else [v] for v in (shift, axis))
    count = max(len(shifts), len(axes))
    if {len(shifts), len(axes)} - {1, count}:
        raise ShapeError(f"roll: {len(shifts)} shifts and {len(axes)} axes{at(here())}")
    out = as_symbol(a)
    for k in range(count):
        out = roll_one(out, shifts[k % len(shifts)], axes[k % len(axes)])
    return out


def rollaxis(a: Any, axis: int, start: int = 0) -> Out:
    """The axis moved to stand before the one that is now at `start`; `moveaxis` says the same more plainly."""
    out = as_symbol(a)
    source = normal_axis(axis, out.ndim)
    place = normal_axis(start, out.ndim + 1)
    return moveaxis(out, source, place - (source < place))
