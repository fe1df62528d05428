"""Draws of hypothesis that ask for the same strategies over and over: one that is made anew for each draw costs more than the draw."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

Draw = Callable[[Any], Any]
Choice = TypeVar("Choice")
FLAG = st.booleans()


@cache
def between(low: int, high: int) -> st.SearchStrategy[int]:
    """The integers between two, both included."""
    return st.integers(low, high)


def one_of(draw: Draw, choices: Sequence[Choice]) -> Choice:
    """One of the choices."""
    return choices[draw(between(0, len(choices) - 1))]
