"""What a subtensor or take was written as: Python's slices and positions, recovered from starts, steps and lengths."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from exprgraph.dims import Dim, calls, constant
from exprgraph.functions.slicing import Section, section, wrap
from exprgraph.named import NamedTuple
from exprgraph.node import Node
from exprgraph.types import size_dims

MANY = 20
"""Numbers in the formula of a size beyond which it is not taken apart."""


class Item(NamedTuple):
    """One axis of an index: the slice that keeps the axis, and where one element is picked the integer that drops it."""
    kept: str
    dropped: str | None = None


FULL = Item(":")


def items(node: Node) -> list[Item] | None:
    """One item for each axis of a subtensor; None where a part cannot be written as a slice of constants."""
    axes, shape, sizes = node.param("axes"), node.inputs[0].type.shape, size_dims(node.inputs[1:])
    found = [FULL] * len(shape)
    for k, axis in enumerate(axes):
        item = _item(Section(*sizes[3 * k:3 * k + 3]), shape[axis])
        if item is None:
            return None
        found[axis] = item
    return found


def bracketed(parts: Sequence[str]) -> str:
    """The text of an index, full axes at the end left out."""
    last = max((k for k, p in enumerate(parts) if p != ":"), default=0)
    return f"[{', '.join(parts[:last + 1])}]"


def shuffled(index: Sequence[Item], pattern: Sequence[int]) -> list[str] | None:
    """The index that a dimshuffle of a subtensor is part of; None where it exchanges axes, or drops one that is not a position."""
    kept = [p for p in pattern if p >= 0]
    gone = [a for a in range(len(index)) if a not in kept]
    if kept != sorted(kept) or any(index[a].dropped is None for a in gone):
        return None
    found, axes = list[str](), iter(range(len(index)))
    for p in pattern:
        if p < 0:
            found.append("None")
            continue
        found += [index[a].dropped or index[a].kept if a != p else index[a].kept for a in _up_to(axes, p)]
    return found + [index[a].dropped or "" for a in axes]


def _up_to(axes: Iterator[int], last: int) -> Iterator[int]:
    for a in axes:
        yield a
        if a == last:
            return


def _numbers(dims: Sequence[Dim]) -> list[int]:
    """The constants in formulas, and the sums of two of them: the bounds of the slice are among these."""
    parts = [*dims, *(side for c in calls(dims) for side in (c.left, c.right))]
    named = {coefficient for d in parts for monomial, coefficient in d.terms if not monomial}
    single = {0, 1, -1} | named | {-n for n in named}
    if len(single) > MANY:
        return []
    return sorted(single | {a + b for a, b in product(single, repeat=2)}, key=lambda n: (n < 0, abs(n)))


def _item(found: Section, size: Dim) -> Item | None:
    step = found.step.const
    if step is None:
        return None
    if found.length.const == 0:
        return Item(":0")
    numbers = _numbers(found)
    if found.step.const == 1 and found.length.const == 1:
        for n in numbers:
            if wrap(constant(n), size) == found.start:
                return Item(f"{n}:{n + 1 or ''}", str(n))
    if found.start.const is not None and found.length.const is not None:
        numbers.append(found.start.const + found.length.const * step)
    bounds = [None, *map(constant, numbers)]
    starts = [b for b in bounds if section(b, None, found.step, size).start == found.start]
    stops = [b for b in bounds if starts and section(starts[0], b, found.step, size) == found]
    if not stops:
        return None
    ends = ":".join("" if b is None else str(b.const) for b in (starts[0], stops[0]))
    return Item(ends if step == 1 else f"{ends}:{step}")
