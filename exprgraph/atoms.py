"""The atoms of Dims: what each stands for, the interval that holds it, and its operations on plain integers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

INF = float("inf")
Bounds = tuple[float, float]


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


class Call(NamedTuple):
    """A non-polynomial operation of two Dims: floordiv, mod, min, max, or bcast (the size that two broadcast sizes give)."""
    kind: str
    left: Any
    right: Any

    @property
    def text(self) -> str:
        return f"{self.kind}({self.left.text},{self.right.text})"


def times(a: Bounds, b: Bounds) -> Bounds:
    """The interval of the product of two values in these intervals."""
    corners = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(corners), max(corners)


def interval(atom: Size | Stride | Value | Call) -> Bounds:
    """The closed interval that holds the value of an atom, from the intervals of what it is made of."""
    if isinstance(atom, Value):
        return -INF, INF
    if not isinstance(atom, Call):
        return 0.0, INF
    (la, ha), (lb, hb) = atom.left.interval, atom.right.interval
    if atom.kind == "min":
        return min(la, lb), min(ha, hb)
    if atom.kind == "max":
        return max(la, lb), max(ha, hb)
    if atom.kind == "mod":
        return (0.0, max(hb - 1, 0.0)) if lb >= 0 else (-INF, INF)
    if atom.kind == "floordiv":
        return (min(la, 0.0), max(ha, 0.0)) if lb >= 0 else (-INF, INF)
    return 0.0, max(ha, hb)


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
