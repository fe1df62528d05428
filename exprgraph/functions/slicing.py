"""Python's slices as arithmetic on Dims: where a slice starts, its step and how many elements it has, for sizes not yet known."""
from __future__ import annotations

from exprgraph.dims import Call, Dim, bounds, ceildiv, constant, maximum, minimum, of_atom
from exprgraph.named import NamedTuple


class Section(NamedTuple):
    """The elements start, start + step, ... of an axis, `length` of them."""
    start: Dim
    step: Dim
    length: Dim


def is_negative(dim: Dim) -> Dim:
    """1 where the value is negative, else 0."""
    return minimum(maximum(-dim, 0), 1)


def wrap(position: Dim, size: Dim) -> Dim:
    """A position that counts from the end where it is negative, as one that counts from the start."""
    low, high = bounds(position)
    return position if low >= 0 else position + size if high < 0 else position + size * is_negative(position)


def section(start: Dim | None, stop: Dim | None, step: Dim, size: Dim) -> Section:
    """What `slice(start, stop, step)` picks from an axis of `size`; the length is right for a step of unknown sign too."""
    back = is_negative(step)
    low, high = -back, size - back
    first = back * (size - 1) if start is None else wrap(start, size)
    last = size - back * (size + 1) if stop is None else wrap(stop, size)
    begin, end = minimum(maximum(first, low), high), minimum(maximum(last, low), high)
    if back.const == 0:  # the length is 0 beyond the far end anyway: without that clip equal lengths have equal forms
        distance = difference(end, maximum(first, low))
    elif back.const == 1:
        distance = difference(minimum(first, high), end)
    else:
        distance = (end - begin) * (1 - 2 * back)
    return Section(begin, step, ceildiv(maximum(distance, 0), maximum(step, -step)))


def difference(left: Dim, right: Dim) -> Dim:
    """left - right, a maximum on the right turned into a minimum, so that x[-3:] is as long as x[:3]."""
    for monomial, coefficient in right.terms:
        atom = monomial[0] if len(monomial) == 1 and coefficient == 1 else None
        if isinstance(atom, Call) and atom.kind == "max":
            rest = left - (right - of_atom(atom))
            return minimum(rest - atom.left, rest - atom.right)
    return left - right


def count(start: Dim, stop: Dim, step: Dim) -> Dim:
    """How many integers `range(start, stop, step)` has."""
    distance = (stop - start) * (constant(1) - 2 * is_negative(step))
    return ceildiv(maximum(distance, 0), maximum(step, -step))
