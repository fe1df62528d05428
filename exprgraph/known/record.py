"""Facts about the values of a tensor as a small lattice: bounds, and words that hold of all elements or of all matrices."""
from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from exprgraph.dtypes import FLOATS, INTS, is_float, largest
from exprgraph.named import NamedTuple

NUMBER, PLUS, WHOLE, UNIQUE, SORTED = "number", "plus_zero", "integer", "unique", "sorted"
SYMMETRIC, LOWER, UPPER, ORTHOGONAL, PSD = (
    "symmetric", "lower_triangular", "upper_triangular", "orthogonal", "positive_semidefinite")
MATRIX = frozenset((SYMMETRIC, LOWER, UPPER, ORTHOGONAL, PSD))
"""Words about the matrices in the last two axes."""
ELEMENTS = frozenset((NUMBER, PLUS, WHOLE))
"""Words about each element by itself: they hold of every part of the tensor."""
NONE: frozenset[str] = frozenset()
INF = math.inf


class Facts(NamedTuple):
    """What holds of a tensor, whatever a call brings.

    low, high: bounds of every element that is not NaN, infinities among them; Python integers for integer tensors.  holds: words.
    "number": none is NaN.  "plus_zero": no zero is -0.0.  "integer": all that are numbers are whole, infinities among them.  "unique":
    no two elements of the tensor are equal.  "sorted": none is less than the one before it, along the last axis.  Of the matrices in
    the last two axes: "symmetric" to the bit, "lower_triangular" and "upper_triangular" with zeros elsewhere, "orthogonal" and
    "positive_semidefinite" up to rounding, where their elements are finite.
    """
    low: float
    high: float
    holds: frozenset[str] = NONE

    @property
    def bounded(self) -> bool:
        """Whether no element is infinite."""
        return self.low > -INF and self.high < INF

    @property
    def zero(self) -> bool:
        """Whether an element may be zero."""
        return self.low <= 0 <= self.high

    @property
    def finite(self) -> bool:
        """Whether every element is a finite number."""
        return self.bounded and NUMBER in self.holds

    def __str__(self) -> str:
        words = sorted(self.holds - ({PLUS} if not self.zero else NONE))
        return " ".join([f"[{self.low}, {self.high}]", *words])

    def __repr__(self) -> str:
        return str(self)


@cache
def of_dtype(dtype: str) -> Facts:
    """What the dtype says by itself."""
    if dtype == "bool":
        return Facts(0, 1, ELEMENTS)
    if dtype in INTS:
        return Facts(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max), ELEMENTS)
    return Facts(-INF, INF)


def greatest(dtype: str) -> float:
    """The largest finite value of a real dtype."""
    return largest(dtype) if is_float(dtype) else of_dtype(dtype).high


@cache
def least(dtype: str) -> float:
    """The smallest value above zero of a real dtype."""
    if dtype not in FLOATS:
        return 2.0 ** -133 if is_float(dtype) else 1  # bfloat16 has 7 bits below 2**-126
    return float(np.finfo(dtype).smallest_subnormal)


def within(dtype: str, low: float, high: float, holds: Iterable[str] = NONE) -> Facts:
    """Facts of a result: bounds that its dtype does not hold, as of integers that wrap, say nothing; no zero without its sign is told."""
    whole = of_dtype(dtype)
    if not whole.low <= low <= high <= whole.high:
        low, high = whole.low, whole.high
    words = whole.holds.union(holds)
    return Facts(low, high, words if low <= 0 <= high else words | {PLUS})


def meet(a: Facts, b: Facts) -> Facts | None:
    """What holds where both do; None where no number fulfils both."""
    low, high, holds = max(a.low, b.low), min(a.high, b.high), a.holds | b.holds
    return None if low > high else Facts(low, high, holds if low <= 0 <= high else holds | {PLUS})


def join(*parts: Facts) -> Facts:
    """What holds of elements of any of these: no word about a tensor as a whole does."""
    return Facts(min(f.low for f in parts), max(f.high for f in parts), ELEMENTS.intersection(*(f.holds for f in parts)))


def implies(known: Facts, wanted: Facts) -> bool:
    """Whether the second follows from the first."""
    return known.low >= wanted.low and known.high <= wanted.high and wanted.holds <= known.holds


SCAN = 4096
"""Constants of more elements are not looked at for words that take longer than a pass over them."""


def of_array(array: np.ndarray[Any, Any]) -> Facts:
    """What holds of the elements of an array."""
    if array.dtype.kind not in "biuf":
        return of_dtype(array.dtype.name)
    if not array.size:
        return Facts(0, 0, of_dtype(array.dtype.name).holds | ELEMENTS)
    numbers = array[array == array] if array.dtype.kind == "f" else array
    low, high = (numbers.min().item(), numbers.max().item()) if numbers.size else (0.0, 0.0)
    tests = {NUMBER: numbers.size == array.size, PLUS: not (array.dtype.kind == "f" and bool((np.signbit(array) & (array == 0)).any())),
             WHOLE: array.dtype.kind != "f" or bool((numbers == np.floor(numbers)).all())}
    if array.size <= SCAN:
        tests |= _vector(array, tests[NUMBER]) | (_matrix(array) if array.ndim >= 2 else {})
    return Facts(low, high, frozenset(word for word, found in tests.items() if found))


def _vector(array: np.ndarray[Any, Any], number: bool) -> dict[str, bool]:
    flat = array.reshape(-1)
    return {UNIQUE: number and len(np.unique(flat)) == flat.size,
            SORTED: number and array.ndim > 0 and bool((array[..., 1:] >= array[..., :-1]).all())}


def _matrix(array: np.ndarray[Any, Any]) -> dict[str, bool]:
    turned = array.swapaxes(-1, -2)
    square = turned.shape == array.shape
    return {SYMMETRIC: square and np.ascontiguousarray(array).tobytes() == np.ascontiguousarray(turned).tobytes(),
            LOWER: not np.any(np.triu(array, 1)), UPPER: not np.any(np.tril(array, -1))}
