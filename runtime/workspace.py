"""The workspace of a plan: which bytes of one block each intermediate uses; those that are never needed at once share memory."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Layout(NamedTuple):
    """The offset of each intermediate, and the bytes of the whole."""
    offsets: dict[str, int]
    total: int


def layout(uses: Sequence[Sequence[str]], rooms: Mapping[str, int]) -> Layout:
    """Offsets for the intermediates in `rooms` (their bytes), given the buffers that each step uses, in order."""
    last = {name: step for step, names in enumerate(uses) for name in names if name in rooms}
    ends: dict[int, list[str]] = {}
    for name, step in last.items():
        ends.setdefault(step, []).append(name)
    offsets: dict[str, int] = {}
    gaps: list[tuple[int, int]] = []  # free stretches below `total`, in order: start, end
    total = 0
    for step, names in enumerate(uses):
        for name in dict.fromkeys(names):
            if name in rooms and name not in offsets:
                offsets[name], total = _place(gaps, total, rooms[name])
        for name in ends.get(step, ()):
            _release(gaps, offsets[name], offsets[name] + rooms[name])
    return Layout(offsets, total)


def _place(gaps: list[tuple[int, int]], total: int, wanted: int) -> tuple[int, int]:
    """An offset in the smallest gap that is large enough, else at the end, where a last gap is extended; and the new total."""
    fitting = [(end - start, at) for at, (start, end) in enumerate(gaps) if end - start >= wanted]
    if fitting:
        _, at = min(fitting)
        start, end = gaps[at]
        gaps[at:at + 1] = [(start + wanted, end)] if end - start > wanted else []
        return start, total
    if gaps and gaps[-1][1] == total:
        start, _ = gaps.pop()
        return start, start + wanted
    return total, total + wanted


def _release(gaps: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a stretch to the gaps, joined with its neighbours."""
    at = next((k for k, (other, _) in enumerate(gaps) if other > start), len(gaps))
    if at < len(gaps) and gaps[at][0] == end:
        end = gaps.pop(at)[1]
    if at and gaps[at - 1][1] == start:
        at -= 1
        start = gaps.pop(at)[0]
    gaps.insert(at, (start, end))
