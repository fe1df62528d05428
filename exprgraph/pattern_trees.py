"""Patterns whose spelling does not matter: trees of sums and products in place of the rows that they are written with.

The tree of a pattern from `patterns.trace` becomes one of

    Total    two terms, each with a sign           Minus    what matches turned round
    Factors  factors above and below one bar       Form, Fixed, Wild as they are
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT
from exprgraph.patterns import AROUND, Fixed, Form, Wild, sort

SUM, BELOW = "+", "/"
"""What begins the words for the terms of a sum and for divisors."""
TERMS, FACTORS = ("add", "sub"), ("mul", "true_div", "sqr")


class Total(NamedTuple):
    """Two terms with a sign each."""
    terms: tuple[tuple[int, Any], ...]


class Minus(NamedTuple):
    """The opposite of what the part matches."""
    part: Any


class Factors(NamedTuple):
    """Factors and their powers, 1 or -1."""
    parts: tuple[tuple[int, Any], ...]


def spelled(tree: Any) -> Any:
    """The tree of a pattern with sums and products in place of the rows that it is written with."""
    if not isinstance(tree, Form):
        return tree
    name, parts = tree.op.name, tuple(spelled(p) for p in tree.parts)
    if name in TERMS:
        return Total(tuple(_term(s, p) for s, p in zip((1, 1 if name == "add" else -1), parts)))
    if name == "neg":
        return parts[0].part if isinstance(parts[0], Minus) else Minus(parts[0])
    if name in FACTORS:
        sides = ((1, parts[0]), (-1 if name == "true_div" else 1, parts[-1]))
        return _product([f for power, part in sides for f in _factors(power, part)])
    return tree._replace(parts=parts)


def _term(sign: int, part: Any) -> tuple[int, Any]:
    if isinstance(part, Minus):
        return -sign, part.part
    if isinstance(part, Fixed) and part.value < 0:
        return -sign, Fixed(-part.value)
    return sign, part


def _factors(power: int, part: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(part, Factors):
        yield from ((power * p, f) for p, f in part.parts)
    elif isinstance(part, Minus) and not isinstance(part.part, Wild):
        yield from _factors(power, part.part)
        yield power, Fixed(-1.0)
    elif not (isinstance(part, Fixed) and part.value == 1):
        yield power, part


def _product(factors: list[tuple[int, Any]]) -> Any:
    kept = [(p, f) for p, f in factors if not (isinstance(f, Fixed) and f.value == -1)]
    part = kept[0][1] if len(kept) == 1 and kept[0][0] == 1 else Factors(tuple(kept))
    return part if (len(factors) - len(kept)) % 2 == 0 else Minus(part)


def roots(tree: Any) -> tuple[str, ...]:
    """The rows that a node may have where the pattern matches at it."""
    if isinstance(tree, Minus):
        return ("neg", *roots(tree.part))
    return TERMS if isinstance(tree, Total) else FACTORS if isinstance(tree, Factors) else (tree.op.name,)


def asked(tree: Any) -> Iterator[str]:
    """What a pattern asks of the inputs of the node at its root, in the words of `ModuloMatcher.words`."""
    if isinstance(tree, Total):
        for _, part in tree.terms:
            yield from _word(part)
    elif isinstance(tree, Factors):
        for power, part in tree.parts:
            yield from _word(part) if power > 0 else below(_word(part))
    elif isinstance(tree, Minus):
        yield from _word(tree.part)
    else:
        for part in tree.parts:
            yield from _word(part)


def _word(part: Any) -> Iterator[str]:
    if isinstance(part, Form) and part.op is not AROUND:
        yield part.op.name
    elif isinstance(part, Fixed) or (isinstance(part, Wild) and sort(part.name) == "constant"):
        yield CONSTANT.name
    elif isinstance(part, Total):
        yield SUM
        yield from term_words(asked(part))
    elif not isinstance(part, Wild):
        yield from asked(part)


def term_words(words: Iterable[str]) -> Iterator[str]:
    """The words of terms for the sum of them; of sums within sums nothing is said."""
    return (SUM + w for w in words if SUM not in w)


def below(words: Iterable[str]) -> Iterator[str]:
    """Words of what is above a fraction bar for what is below it, and the other way round."""
    return (w[1:] if w[0] == BELOW else BELOW + w for w in words)
