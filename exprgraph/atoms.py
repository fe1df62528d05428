"""The atoms of Dims: what each stands for, the interval that holds it, and its operations on plain integers."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from exprgraph.named import NamedTuple

INF = float("inf")
Bounds = tuple[float, float]
_LEAF = re.compile(r"\b[stv]\d+(?:\.\d+)?")


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
    """The value of an integer scalar input or shared variable, or of one that a call computes (`source` is a `read_size` node, or what
    brings its value); at least `least`."""
    source: Any
    least: float = -INF

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


Atom = Size | Stride | Value | Call
Monomial = tuple[Atom, ...]
Key = tuple[str, ...]
"""The texts of a monomial's factors, sorted."""


def times(a: Bounds, b: Bounds) -> Bounds:
    """The interval of the product of two values in these intervals."""
    corners = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(corners), max(corners)


def interval(atom: Atom) -> Bounds:
    """The closed interval that holds the value of an atom, from the intervals of what it is made of."""
    if isinstance(atom, Value):
        return atom.least, INF
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


def interval_of(terms: tuple[tuple[Monomial, int], ...]) -> Bounds:
    """The closed interval that holds the value of a polynomial: its monomials with their coefficients."""
    low = high = 0.0
    for monomial, coefficient in terms:
        down, up = interval(monomial[0]) if monomial else (1.0, 1.0)
        for atom in monomial[1:]:
            one = interval(atom)
            down, up = (down * one[0], up and one[1] and up * one[1]) if down >= 0 <= one[0] < INF else times((down, up), one)
        if coefficient < 0:
            down, up = up, down
        low, high = low + (down and coefficient * down), high + (up and coefficient * up)
    return low, high


def without(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """The factors of a monomial that remain when it is divided by another one, None where that does not divide it."""
    texts, wanted = [a.text for a in monomial], [a.text for a in divisor]
    if any(wanted.count(t) > texts.count(t) for t in wanted):
        return None
    return tuple(a for i, a in enumerate(monomial) if texts[:i].count(a.text) >= wanted.count(a.text))


def anonymous(text: str) -> str:
    """The text of a Dim with its leaf atoms numbered as they come: alike for what differs only in whose sizes it speaks of."""
    names: dict[str, str] = {}
    return _LEAF.sub(lambda found: names.setdefault(found[0], f"{found[0][0]}{len(names)}"), text)


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
