"""The bound on the memory of a call, `max_bytes`, and what of it other stages of the same program hold.

The stages of a program have one dict of options, which no other program has: by it a program that runs meanwhile, of a function that one of
the user's own calls, is known to be another one.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from exprgraph.named import NamedTuple

Options = Mapping[str, Any]
_held: ContextVar[tuple[Options, int]] = ContextVar("the options of the stages that run, and the bytes that others of them hold")


class Limit(NamedTuple):
    """What a call may take: `most` bytes, of which `held` are held for other stages."""
    most: int
    held: int

    @property
    def left(self) -> int:
        """The bytes for what runs."""
        return self.most - self.held

    def __str__(self) -> str:
        beside = f" ({self.held:,} of them are held for other stages of this call, whose sizes are known now)" if self.held else ""
        return f"max_bytes={self.most:,}{beside}"


def limit_of(options: Options) -> Limit | None:
    """The bound of a program with these options, at this moment; None where there is none."""
    most = options.get("max_bytes")
    if most is None:
        return None
    running, held = _held.get((None, 0))
    return Limit(most, held if running is options else 0)


def keeps(options: Options, needs: int) -> bool:
    """Whether a call that needs so many bytes keeps to the bound."""
    limit = limit_of(options)
    return limit is None or needs <= limit.left


@contextmanager
def beside(options: Options, nbytes: int) -> Iterator[None]:
    """In the block so many bytes are held for other stages of the program with these very options."""
    before = _held.set((options, nbytes))
    try:
        yield
    finally:
        _held.reset(before)
