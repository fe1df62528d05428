"""Pages: memory for large results that is used again when nobody holds the result any more, so that it is mapped by the system once.

A page belongs to an owner that is not an array: NumPy lets views of an array refer to what that array refers to, so a finaliser on the
array itself would fire while views of it live.  The owner dies with the last view, and its page goes back to a bounded pool.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from exprgraph.errors import AllocationError
from exprgraph.named import NamedTuple
from runtime.spare import PAGE, Spare, rounded

Array = np.ndarray[Any, Any]
Made = TypeVar("Made")
SMALLEST = 1 << 20
"""Bytes from which a recycled page is cheaper than fresh memory, which the C library recycles too when it is small."""
LIMIT = 1 << 30
"""The most bytes of idle pages; an eighth of the machine's memory where that is less."""
LINE = 64


class Page(NamedTuple):
    """Memory with the address at which its usable bytes begin."""
    memory: Array
    address: int
    nbytes: int


class Pool(Spare[Page]):
    """Pages that nobody uses; shared by all functions and threads."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)

    def take(self, nbytes: int) -> Page:
        """A page of at least so many bytes; AllocationError where there is no memory."""
        size = rounded(nbytes)
        page = self.found(size)
        return self.obtain(lambda: _new(size), nbytes) if page is None else page

    def obtain(self, make: Callable[[], Made], nbytes: int) -> Made:
        """What `make` allocates, where need be after idle pages were given back; AllocationError where that is not enough."""
        try:
            return make()
        except MemoryError:
            self.clear()
        try:
            return make()
        except MemoryError as error:
            raise AllocationError(f"{nbytes:,} bytes for a result or an intermediate are not to be had") from error

    def give(self, page: Page) -> None:
        """Take a page back."""
        self.keep(page.nbytes, page)


def _new(size: int) -> Page:
    alignment = PAGE if size >= SMALLEST else LINE
    memory = np.empty(size + alignment, np.uint8)
    start = memory.__array_interface__["data"][0]
    return Page(memory, start + -start % alignment, size)


class Owner:
    """What keeps a page from being used again while an array on it lives."""
    __slots__ = ("__array_interface__", "page", "pool", "__weakref__")

    def __init__(self, pool: Pool, page: Page, interface: dict[str, Any]) -> None:
        self.pool, self.page, self.__array_interface__ = pool, page, interface

    def __del__(self) -> None:
        self.pool.give(self.page)


def _limit() -> int:
    try:
        return min(LIMIT, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)
    except (AttributeError, OSError, ValueError):  # not on every system
        return LIMIT // 4


POOL = Pool(_limit())


def array(shape: tuple[int, ...], dtype: np.dtype[Any], nbytes: int) -> Array:
    """An array without a value on a page of the pool."""
    page = POOL.take(nbytes)
    return np.asarray(Owner(POOL, page, {"data": (page.address, False), "typestr": dtype.str, "shape": shape, "version": 3}))
