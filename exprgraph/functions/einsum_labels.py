"""What einsum's subscripts say: a label for each axis of the operands and of the result."""
from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

from exprgraph.errors import CallError, RankError, ShapeError, at, here, shortly
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DOTS = "..."
Labels = tuple[str, ...]


class Expression(NamedTuple):
    """The operands as they were given, the labels of their axes, and those of the result.

    A label is a letter, or "...k" for the axis that lies k places before the end of what an ellipsis stands for.
    """
    operands: list[Any]
    terms: list[Labels]
    result: Labels


def is_dots(label: str) -> bool:
    """Whether the label is of an axis under an ellipsis: such axes broadcast and are never summed."""
    return label.startswith(DOTS)


def read(args: Sequence[Any]) -> Expression:
    """The arguments of einsum, in either form: `"ij,jk->ik", a, b` or `a, [0, 1], b, [1, 2], [0, 2]`."""
    if not args:
        raise CallError(f"einsum takes subscripts and operands, as in einsum(\"ij,jk->ik\", a, b){at(here())}")
    text, operands = (args[0], list(args[1:])) if isinstance(args[0], str) else _from_lists(args)
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands) or not operands:
        raise CallError(f"einsum: {text!r} names {len(terms)} operands, {len(operands)} given{at(here())}")
    for part in (*terms, right):
        _check_letters(text, part)
    outs = [as_symbol(o) for o in operands]
    labels = [_labels(text, t, o, k) for k, (t, o) in enumerate(zip(terms, outs))]
    dots = max((sorted(filter(is_dots, t), key=len) for t in labels), key=len, default=[])
    return Expression(operands, labels, _given(text, right, dots, labels) if arrow else _implied(dots, labels))


def _check_letters(text: str, part: str) -> None:
    bare = part.replace(DOTS, "", 1)
    wrong = [c for c in bare if c not in LETTERS]
    if wrong:
        advice = "an ellipsis is three dots, once in a term" if wrong[0] == "." else "labels are letters"
        raise ShapeError(f"einsum: {wrong[0]!r} in {text!r} is no label: {advice}{at(here())}")


def _labels(text: str, term: str, out: Out, number: int) -> Labels:
    """The labels of one operand's axes."""
    before, dots, after = term.partition(DOTS)
    hidden = out.ndim - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise RankError(f"einsum: {term!r} in {text!r} names {len(before) + len(after)} axes, operand {number} has {out.ndim}{at(here())}")
    return (*before, *_dotted(hidden), *after)


def _dotted(count: int) -> list[str]:
    return [f"{DOTS}{k}" for k in range(count, 0, -1)]


def _given(text: str, right: str, dots: Sequence[str], terms: Sequence[Labels]) -> Labels:
    known = {label for term in terms for label in term}
    before, ellipsis, after = right.partition(DOTS)
    for label, times in Counter(before + after).items():
        if times > 1 or label not in known:
            what = "occurs more than once in the result" if times > 1 else "is that of no operand"
            raise ShapeError(f"einsum: the label {shortly(label)} of {text!r} {what}{at(here())}")
    if dots and not ellipsis:
        raise ShapeError(f"einsum: the result of {text!r} needs '...' for the axes that broadcast{at(here())}")
    return (*before, *_dotted(len(dots)), *after)


def _implied(dots: Sequence[str], terms: Sequence[Labels]) -> Labels:
    """Without an arrow: the axes under the ellipsis, then the labels that occur once, in the order of the alphabet."""
    times = Counter(label for term in terms for label in term if not is_dots(label))
    return (*_dotted(len(dots)), *sorted(label for label, n in times.items() if n == 1))


def _from_lists(args: Sequence[Any]) -> tuple[str, list[Any]]:
    """Operands that are each followed by the list of their labels, and perhaps the list of the result."""
    operands, lists = list(args[:len(args) // 2 * 2:2]), list(args[1::2])
    text = ",".join(_word(labels) for labels in lists)
    return (text + "->" + _word(args[-1]) if len(args) % 2 else text), operands


def _word(labels: Any) -> str:
    if isinstance(labels, Out) or not isinstance(labels, list | tuple):
        raise CallError(f"einsum: the labels of an operand are a list of integers and Ellipsis, not {shortly(labels)}{at(here())}")
    return "".join(DOTS if isinstance(label, EllipsisType) else _letter(label) for label in labels)


def _letter(label: Any) -> str:
    try:
        number = operator.index(label)
    except TypeError:
        number = -1
    if not 0 <= number < len(LETTERS):
        raise ShapeError(f"einsum: a label in a list is an integer from 0 to {len(LETTERS) - 1} or Ellipsis, not {shortly(label)}"
                         f"{at(here())}")
    return LETTERS[number]
