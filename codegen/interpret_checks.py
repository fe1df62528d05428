"""What the tree interpreter watches: bounds, races, uninitialised reads, divergent barriers, index overflow; and the errors for each."""
from __future__ import annotations

from typing import Any

READ, WRITE, ATOMIC = 0, 1, 2
CONFLICTS = ((WRITE, ATOMIC), (READ, WRITE, ATOMIC), (READ, WRITE))


class KernelFault(AssertionError):
    """A kernel that does something which no kernel may do."""


class OutOfBounds(KernelFault):
    """An index outside a buffer or array."""


class Race(KernelFault):
    """Two work-items at one address without an order, at least one of them writing."""


class BarrierDivergence(KernelFault):
    """Work-items of a group that do not meet at the same barrier."""


class UninitialisedRead(KernelFault):
    """Memory that is read before anything was written there."""


class IndexOverflow(KernelFault):
    """An index computation beyond the range of the kernel's index type."""


class Misaligned(KernelFault):
    """A stream loop that begins at a place which is not aligned."""


Seen = tuple[int, int, int, bool]
"""The last accesses of one kind: their group, barrier epoch, work-item (-1: several), and whether earlier groups came too; there are too
many for records."""


class Log:
    """Who touched which element of one buffer; groups come one after another and epochs of a group in order."""

    def __init__(self) -> None:
        self.seen: dict[int, list[Seen | None]] = {}

    def touch(self, kind: int, at: int, item: int, group: int, epoch: int) -> bool:
        """Note an access; True where it races with an earlier one."""
        entry = self.seen.get(at)
        if entry is None:
            entry = self.seen[at] = [None, None, None]
            entry[kind] = group, epoch, item, False
            return False
        for other in CONFLICTS[kind]:
            last = entry[other]
            if last is not None and (last[3] or last[0] != group or (last[1] == epoch and last[2] != item)):
                return True
        last = entry[kind]
        if last is None:
            entry[kind] = group, epoch, item, False
        elif last[0] != group or last[1] != epoch:
            entry[kind] = group, epoch, item, last[3] or last[0] != group
        elif last[2] != item:
            entry[kind] = group, epoch, -1, last[3]
        return False


class Guard:
    """The failing ends of the checks: each raises, naming the kernel."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    def bounds(self, buffer: str, at: int, size: int) -> None:
        """An index was outside."""
        raise OutOfBounds(f"kernel {self.kernel}: index {at} is outside {buffer} of size {size}")

    def race(self, buffer: str, at: int, item: int) -> None:
        """Two work-items collided."""
        raise Race(f"kernel {self.kernel}: work-item {item} and another touch {buffer}[{at}] without an order")

    def unwritten(self, buffer: str, at: int) -> None:
        """Nothing had been written."""
        raise UninitialisedRead(f"kernel {self.kernel}: {buffer}[{at}] is read before it is written")

    def overflow(self, value: int) -> None:
        """An index did not fit."""
        raise IndexOverflow(f"kernel {self.kernel}: the index {value} does not fit its type")

    def misaligned(self, buffer: str, at: int) -> None:
        """A stream began between vectors."""
        raise Misaligned(f"kernel {self.kernel}: a stream begins at {buffer}[{at}], which is not aligned")

    def division(self, left: int, right: int) -> None:
        """Index division is for operands that are not negative, by something that is not zero."""
        raise IndexOverflow(f"kernel {self.kernel}: the index division {left} / {right} is not defined")

    def meet(self, sites: list[Any]) -> bool:
        """Whether all items of a group wait at one barrier (True) or have finished (False)."""
        first = sites[0]
        if any(s != first for s in sites):
            places = ", ".join(sorted({"finished" if s is None else f"at barrier {s}" for s in sites}))
            raise BarrierDivergence(f"kernel {self.kernel}: the work-items of a group are at different places: {places}")
        return first is not None
