"""The bound on the memory of a call, `max_bytes`, and what of it other stages of the same program hold."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from exprgraph.named import NamedTuple

_held: ContextVar[int] = ContextVar("bytes that other stages hold", default=0)


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


def limit_of(options: Mapping[str, Any]) -> Limit | None:
    """The bound of a program with these options, at this moment; None where there is none."""
    most = options.get("max_bytes")
    return None if most is None else Limit(most, _held.get())


def keeps(options: Mapping[str, Any], needs: int) -> bool:
    """Whether a call that needs so many bytes keeps to the bound."""
    limit = limit_of(options)
    return limit is None or needs <= limit.left


@contextmanager
def beside(nbytes: int) -> Iterator[None]:
    """In the block so many bytes are held for other stages."""
    before = _held.set(nbytes)
    try:
        yield
    finally:
        _held.reset(before)
