"""Footprints: what a call takes of memory, as `f.memory` tells it, and its largest tensors, as errors tell them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exprgraph.errors import Source, at

KINDS = ("inputs", "shared", "constants", "outputs", "updates", "temporaries")
"""What memory is taken for: arguments; the present values of shared variables; constants; results; the new values of shared variables;
intermediates, which share memory by their lifetimes."""
SHOWN = 3


class Tensor(NamedTuple):
    """A tensor that takes memory: what the user calls it, its kind, dtype and shape, its bytes, and his line."""
    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    source: Source | None

    def __str__(self) -> str:
        return f"{self.nbytes:,} bytes: {self.name}, {self.dtype} {self.shape}{at(self.source).replace(chr(10), '')}"


def largest(tensors: Sequence[Tensor], count: int = SHOWN) -> tuple[Tensor, ...]:
    """The largest tensors, the first of equal ones first."""
    return tuple(sorted(tensors, key=lambda t: -t.nbytes)[:count])


@dataclass(frozen=True)
class Footprint:
    """What a call takes of memory.

    device: where.  formula: for each of KINDS the bytes in terms of shapes and values of the inputs, before memory is rounded up; where
    the plan branches by sizes, at most as many.  Where sizes were given, also bytes: as they are allocated, by kind; peak: the most that
    lives at once, all kinds together; step: what runs then; largest: the three largest tensors that live then.
    """
    function: str
    device: str
    formula: Mapping[str, str]
    bytes: Mapping[str, int] | None = None
    peak: int | None = None
    step: str | None = None
    largest: tuple[Tensor, ...] = ()

    def __repr__(self) -> str:
        known = "" if self.peak is None else f": {self.peak:,} bytes at the most"
        lines = [f"memory of {self.function} on {self.device}{known}"]
        for kind in KINDS:
            number = "" if self.bytes is None else f"{self.bytes[kind]:>18,}"
            lines.append(f"  {kind:<12}{number}  = {self.formula[kind]}")
        if self.largest:
            lines += [f"the most is in use in {self.step}; the largest tensors are then", *(f"  {t}" for t in self.largest)]
        return "\n".join(lines)
