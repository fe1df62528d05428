"""The workspace of a plan: which bytes of one block each intermediate uses; those that are never needed at once share memory."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from exprgraph.named import NamedTuple


class Layout(NamedTuple):
    """The offset of each intermediate, and the bytes of the whole."""
    offsets: dict[str, int]
    total: int


def lifetimes(uses: Sequence[Sequence[str]], wanted: Mapping[str, object]) -> dict[str, tuple[int, int]]:
    """For each of the `wanted` buffers that is used the first step that uses it and the last one, in the order of first uses; `uses`: the
    buffers that each step uses."""
    found: dict[str, tuple[int, int]] = {}
    for step, names in enumerate(uses):
        for name in names:
            if name in wanted:
                found[name] = found.get(name, (step, step))[0], step
    return found


def alive(uses: Sequence[Sequence[str]], rooms: Mapping[str, object]) -> list[tuple[str, ...]]:
    """The intermediates of which each step needs the memory."""
    living = lifetimes(uses, rooms)
    found: list[list[str]] = [[] for _ in uses]
    for name, (first, last) in living.items():
        for step in range(first, last + 1):
            found[step].append(name)
    return [tuple(names) for names in found]


def loads(uses: Sequence[Sequence[str]], rooms: Mapping[str, int]) -> list[int]:
    """The bytes of the intermediates of which each step needs the memory."""
    changes = [0] * (len(uses) + 1)
    for name, (first, last) in lifetimes(uses, rooms).items():
        changes[first] += rooms[name]
        changes[last + 1] -= rooms[name]
    total, found = 0, []
    for change in changes[:-1]:
        total += change
        found.append(total)
    return found


def layout(uses: Sequence[Sequence[str]], rooms: Mapping[str, int]) -> Layout:
    """Offsets for the intermediates in `rooms` (their bytes), given the buffers that each step uses, in order."""
    living = lifetimes(uses, rooms)
    begins: list[list[str]] = [[] for _ in uses]
    ends: list[list[str]] = [[] for _ in uses]
    for name, (first, last) in living.items():
        begins[first].append(name)
        ends[last].append(name)
    offsets: dict[str, int] = {}
    gaps: list[tuple[int, int]] = []  # free stretches below `total`, in order: start, end
    total = 0
    for step in range(len(uses)):
        for name in begins[step]:
            offsets[name], total = _place(gaps, total, rooms[name])
        for name in ends[step]:
            _release(gaps, offsets[name], offsets[name] + rooms[name])
    return Layout(offsets, total)


def packing(uses: Sequence[Sequence[str]], rooms: Mapping[str, int]) -> Layout:
    """Another layout: the largest intermediates first, each at the lowest place where nothing lies that lives at the same time."""
    living = lifetimes(uses, rooms)
    placed: list[tuple[int, int, tuple[int, int]]] = []
    offsets: dict[str, int] = {}
    for name in sorted(living, key=lambda n: (-rooms[n], living[n])):
        first, last = living[name]
        start = 0
        for begin, end, (since, until) in sorted(placed):
            if since <= last and first <= until and begin < start + rooms[name]:
                start = max(start, end)
        placed.append((start, start + rooms[name], living[name]))
        offsets[name] = start
    return Layout(offsets, max((end for _, end, _ in placed), default=0))


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
