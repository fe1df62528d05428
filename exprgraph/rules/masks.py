"""MASKS: `switch(c, x, 0)` moves outward through products, quotients and signs, so that a gradient is 0 where its branch is not taken.

The gradient of switch(x > 0, 1 / x, 0) is a mask times slopes of 1 / x, and 0 times the infinite slope at x = 0 is NaN; masked last, it
is 0.  The two sides differ where a factor is infinite or NaN, or a divisor 0, behind a mask, and in the sign of a masked zero.  Masks of
masks become one mask, so each factor passes one mask however long the chain is.

They are not matched modulo spelling.  Signs, order and grouping do not matter to them anyway, since a mask passes one node after the other;
behind a cast or a view one stays, because what it would pass has another shape there, and to look for a mask among all factors of every
product makes the optimiser three times as slow where there are many, as in the gradient of a network.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from exprgraph.ops.bits import and_, invert, or_
from exprgraph.ops.compare import switch
from exprgraph.patterns import Rule, tagged

Mask = Callable[[Any, Any], Any]
WHY = "0 times an infinite or undefined slope is NaN"


def kept(c: Any, x: Any) -> Any:
    """x where the condition holds, else 0."""
    return switch(c, x, 0)


def cut(c: Any, x: Any) -> Any:
    """0 where the condition holds, else x."""
    return switch(c, 0, x)


TEXT: dict[Mask, str] = {kept: "switch({0}, {1}, 0)", cut: "switch({0}, 0, {1})"}


def both(m: Mask, c: Any, n: Mask, d: Any, x: Any) -> Any:
    """x behind two masks, as one."""
    if m is n is cut:
        return cut(or_(c, d), x)
    return kept(and_(c if m is kept else invert(c), d if n is kept else invert(d)), x)


def _one(m: Mask) -> Iterator[Rule]:
    """The rules of one mask."""
    text = TEXT[m].format("c", "x")
    yield Rule(f"{text} * y", lambda c, x, y: m(c, x) * y, lambda c, x, y: m(c, x * y), why=WHY)
    yield Rule(f"{text} / y", lambda c, x, y: m(c, x) / y, lambda c, x, y: m(c, x / y), why=WHY)
    yield Rule(f"-{text}", lambda c, x: -m(c, x), lambda c, x: m(c, -x), why="so that the mask reaches a product")
    yield Rule(f"{text} + {TEXT[m].format('c', 'y')}", lambda c, x, y: m(c, x) + m(c, y), lambda c, x, y: m(c, x + y),
               why="so that the mask reaches a product")
    yield Rule(f"{text} - {TEXT[m].format('c', 'y')}", lambda c, x, y: m(c, x) - m(c, y), lambda c, x, y: m(c, x - y),
               why="so that the mask reaches a product")


def _two(m: Mask, n: Mask) -> Iterator[Rule]:
    """The rules of a mask that meets another."""
    one, other = TEXT[m].format("c", "x"), TEXT[n].format("d", "y")
    if m is kept or n is cut:
        yield Rule(f"{one} * {other}", lambda c, d, x, y: m(c, x) * n(d, y), lambda c, d, x, y: both(m, c, n, d, x * y), why=WHY)
    yield Rule(TEXT[m].format("c", TEXT[n].format("d", "x")), lambda c, d, x: m(c, n(d, x)), lambda c, d, x: both(m, c, n, d, x),
               why="one mask for two, so that chains stay linear")


MASKS = tagged("stable masks", (*(r for m in TEXT for n in TEXT for r in _two(m, n)), *(r for m in TEXT for r in _one(m))))
"""All mask rules, in the order in which they are tried."""
