"""Results that are remembered while one thread does a piece of work, and dropped with it.

Sizes hold on to the leaves that they speak of, so nothing made of them may be kept for longer than what asks for it.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Remembered(threading.local):
    """What a thread remembers: results by what they were made of, None where nothing is to be kept."""
    known: dict[Any, Any] | None = None

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Remember in this thread while the block runs; blocks may stand inside each other."""
        before = self.known
        self.known = {} if before is None else before
        try:
            yield
        finally:
            self.known = before
