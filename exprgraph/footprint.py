"""Footprints: what a call takes of memory, as `f.memory` tells it, and its largest tensors, as errors tell them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exprgraph.dims import Dim, bounds, constant
from exprgraph.errors import CallError, Source, at, here
from exprgraph.named import NamedTuple
from exprgraph.readable import readable

KINDS = ("inputs", "shared", "constants", "outputs", "updates", "temporaries")
"""What memory is taken for: arguments; the present values of shared variables; constants; results; the new values of shared variables;
intermediates, which share memory by their lifetimes."""
SHOWN, WIDTH = 3, 300
"""How many tensors, and how many characters of a formula are shown."""


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

    device: where. formula: for each of KINDS the bytes in terms of shapes and values of the inputs, before memory is rounded up and
    without what kernels take to work in; where the plan branches by sizes, at most as many. Where sizes were given, also bytes: as they
    are allocated, by kind; peak: the most that lives at once, all kinds together; step: what runs then; largest: the three largest
    tensors that live then; shapes: those of the results, and behind them of the new values of shared variables.
    """
    function: str
    device: str
    formula: Mapping[str, str]
    shapes: tuple[tuple[int, ...], ...] = ()
    bytes: Mapping[str, int] | None = None
    peak: int | None = None
    step: str | None = None
    largest: tuple[Tensor, ...] = ()

    def __repr__(self) -> str:
        known = "" if self.peak is None else f": {self.peak:,} bytes at the most"
        lines = [f"memory of {self.function} on {self.device}{known}"]
        for kind in KINDS:
            number = "" if self.bytes is None else f"{self.bytes[kind]:>18,}"
            text = self.formula[kind]
            lines.append(f"  {kind:<12}{number}  = {text if len(text) <= WIDTH else text[:WIDTH] + ' ...'}")
        if self.largest:
            lines += [f"the most is in use in {self.step}; the largest tensors are then", *(f"  {t}" for t in self.largest)]
        return "\n".join(lines)


class Given(NamedTuple):
    """What is known of an argument: its shape, and the value of an integer scalar; None for what is not."""
    shape: tuple[int, ...] | None
    value: int | None = None


class MissingSizeError(CallError):
    """A size that `f.memory` needs and was not told."""


def formula(fixed: Mapping[str, Dim], loads: Sequence[Dim], scratch: bool = False) -> dict[str, str]:
    """The bytes of each kind as text; loads: those of the intermediates that live in each step; scratch: whether kernels take memory
    to work in beside them."""
    parts = [_most(loads), *["what kernels work in"] * scratch]
    temporaries = " + ".join(parts[parts[0] == "0" and scratch:])
    return {kind: readable(fixed[kind]) if kind in fixed else temporaries for kind in KINDS}


def _most(loads: Sequence[Dim]) -> str:
    """The largest of some sizes, without those that are never larger than another."""
    kept: list[Dim] = []
    for load in sorted({d.text: d for d in loads if d.const != 0}.values(), key=lambda d: (-len(d.terms), d.text))[:64]:
        if not any(bounds(k - load)[0] >= 0 for k in kept):
            kept = [k for k in kept if bounds(load - k)[0] < 0] + [load]
    if len(kept) < 2:
        return readable(kept[0] if kept else constant(0))
    return f"max({', '.join(map(readable, kept))})"


class StrangeSizeError(CallError):
    """A name that is neither an input's nor that of a size; computed: what the sizes are called that a call computes."""

    def __init__(self, strange: Sequence[str], computed: Sequence[str]) -> None:
        super().__init__(f"memory: there is no input and no size called {', '.join(map(repr, strange))}{at(here())}")
        self.strange, self.computed = strange, computed


def check_sizes(sizes: Mapping[str, int], computed: Sequence[str] = ()) -> None:
    """StrangeSizeError for sizes that are none of those that a call computes."""
    strange = [s for s in sizes if s not in computed]
    if strange:
        raise StrangeSizeError(strange, computed)
