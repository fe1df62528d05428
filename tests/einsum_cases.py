"""Random einsum expressions: subscripts in both forms, arrays, and symbols of which some sizes are known."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from exprgraph.functions.einsum_labels import LETTERS

DTYPES = ["float64"] * 5 + ["float32", "int32", "int8", "bool"]


class Case(NamedTuple):
    """The arguments for NumPy, and for exprgraph with a symbol for each array."""
    text: str
    arrays: list[np.ndarray]
    symbols: list[Any]
    as_lists: bool

    def call(self, function: Any, operands: list[Any], **keywords: Any) -> Any:
        """einsum of the operands, in the form that was drawn."""
        if not self.as_lists:
            return function(self.text, *operands, **keywords)
        terms, arrow, result = self.text.replace(" ", "").partition("->")
        args = [a for o, t in zip(operands, terms.split(",")) for a in (o, numbers(t))]
        return function(*args, *([numbers(result)] if arrow else []), **keywords)


def numbers(term: str) -> list[Any]:
    """Labels as a list of integers and Ellipsis."""
    return [... if c == "." else LETTERS.index(c) for c in term.replace("...", ".")]


def spaced(rng: np.random.Generator, text: str) -> str:
    """The text with spaces between some of its parts."""
    return text.replace(",", " , ").replace("->", " -> ") if rng.random() < 0.3 else text


def draw(rng: np.random.Generator, most: int = 5) -> Case:
    """One expression."""
    count = int(rng.integers(1, most + 1))
    letters = list(rng.choice(list("abcdefgXYZ"), size=int(rng.integers(1, 6)), replace=False))
    sizes = {c: int(rng.choice([0, 1, 2, 3, 4], p=[0.04, 0.16, 0.3, 0.3, 0.2])) for c in letters}
    hidden = [int(n) for n in rng.integers(1, 4, int(rng.integers(0, 3)))] if rng.random() < 0.35 else []
    terms, shapes = zip(*(_term(rng, letters, sizes, hidden, bool(hidden)) for _ in range(count)))
    used = [c for c in letters if any(c in t for t in terms)]
    text = ",".join(terms) + _result(rng, used, "..." in "".join(terms))
    dtype = DTYPES[rng.integers(len(DTYPES))]
    arrays = [_array(rng, s, dtype) for s in shapes]
    symbols = [eg.tensor(f"x{k}", dtype, tuple(n if n == 1 or rng.random() < 0.5 else None for n in s)) for k, s in enumerate(shapes)]
    as_lists = rng.random() < 0.25
    return Case(text if as_lists else spaced(rng, text), arrays, symbols, as_lists)


def _term(rng: np.random.Generator, letters: list[str], sizes: dict[str, int], hidden: list[int],
          dots: bool) -> tuple[str, tuple[int, ...]]:
    """The labels of an operand and its shape; an axis of length 1 may stand where others have more."""
    term = [str(c) for c in rng.choice(letters, size=int(rng.integers(0, 4)))]
    shape = [1 if term.count(c) == 1 and rng.random() < 0.05 else sizes[c] for c in term]
    if dots and rng.random() < 0.8:
        shown = [1 if rng.random() < 0.2 else n for n in hidden][int(rng.integers(0, len(hidden) + 1)):]
        place = int(rng.integers(0, len(term) + 1))
        return "".join(term[:place]) + "..." + "".join(term[place:]), (*shape[:place], *shown, *shape[place:])
    return "".join(term), tuple(shape)


def _result(rng: np.random.Generator, used: list[str], dots: bool) -> str:
    if rng.random() < 0.3:
        return ""
    kept = [str(c) for c in rng.permutation([c for c in used if rng.random() < 0.5])]
    if dots:
        kept.insert(int(rng.integers(0, len(kept) + 1)), "...")
    return "->" + "".join(kept)


def _array(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "bool":
        return rng.random(shape) < 0.5
    return np.asarray(rng.normal(size=shape) if dtype.startswith("f") else rng.integers(-3, 4, shape)).astype(dtype)
