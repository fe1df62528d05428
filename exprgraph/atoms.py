"""The leaves of Dims and the meaning of their operations on plain integers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Size(NamedTuple):
    """The length of axis `axis` of the leaf `source` (an object with an integer `uid`); never negative."""
    source: Any
    axis: int

    @property
    def text(self) -> str:
        return f"s{self.source.uid}.{self.axis}"


class Stride(NamedTuple):
    """The stride of axis `axis` of the leaf `source`, counted in elements; never negative."""
    source: Any
    axis: int

    @property
    def text(self) -> str:
        return f"t{self.source.uid}.{self.axis}"


class Value(NamedTuple):
    """The value of an integer scalar input or integer scalar shared variable."""
    source: Any

    @property
    def text(self) -> str:
        return f"v{self.source.uid}"


def floordiv_int(left: int, right: int) -> int:
    """Python's floor division, with 0 for a zero divisor."""
    return left // right if right else 0


def mod_int(left: int, right: int) -> int:
    """Python's remainder, with 0 for a zero divisor."""
    return left % right if right else 0


def bcast_int(left: int, right: int) -> int:
    """The size that broadcasting gives two sizes that fit together."""
    return right if left == 1 else left


INTEGER: dict[str, Callable[[int, int], int]] = {
    "floordiv": floordiv_int, "mod": mod_int, "min": min, "max": max, "bcast": bcast_int}
