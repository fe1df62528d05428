"""Spare memory: what nobody uses any more, kept by its size up to a number of bytes, to be handed out again."""
from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from exprgraph.locks import lock

Kept = TypeVar("Kept")
PAGE = 4096


class Spare(Generic[Kept]):
    """Things of some sizes in bytes, the most recent ones up to `limit` bytes in all; shared by threads."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._free: OrderedDict[int, list[Kept]] = OrderedDict()
        self._lock = lock()  # again, since an owner may die while its thread is in here

    def found(self, size: int) -> Kept | None:
        """The one of that size that was kept last, if there is any."""
        with self._lock:
            free = self._free.get(size)
            if not free:
                return None
            thing = free.pop()
            self.bytes -= size  # after, so that an interrupt leaves too much counted, not too little
            return thing

    def keep(self, size: int, thing: Kept) -> None:
        """Take something back; the ones of the size that was not asked for longest go where there are too many bytes.  What is larger
        than all that may be kept goes itself."""
        if size > self.limit:
            return
        with self._lock:
            self.bytes += size
            free = self._free.pop(size, None) or []
            free.append(thing)
            self._free[size] = free
            while self.bytes > self.limit and self._free:
                oldest, free = next(iter(self._free.items()))
                if free:
                    free.pop(0)
                    self.bytes -= oldest
                else:
                    self._free.pop(oldest, None)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._free.clear()
            self.bytes = 0


def rounded(nbytes: int) -> int:
    """The size of what so many bytes are given: at most an eighth more, so that results of nearly one size share memory."""
    step = max(PAGE, 1 << max(nbytes.bit_length() - 4, 0))
    return -(-nbytes // step) * step
