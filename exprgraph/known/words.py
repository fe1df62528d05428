"""The words by which people say what holds of a tensor, what each asks of its values, and whether an array keeps to it."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from exprgraph.dtypes import FLOATS, is_float, is_int
from exprgraph.errors import OptionError, UseError, at, here, shortly
from exprgraph.known.record import (
    INF,
    LOWER,
    MATRIX,
    NONE,
    NUMBER,
    ORTHOGONAL,
    PLUS,
    PSD,
    SORTED,
    SYMMETRIC,
    UNIQUE,
    UPPER,
    WHOLE,
    Facts,
    greatest,
    least,
    meet,
    of_dtype,
)
from exprgraph.named import NamedTuple
from exprgraph.near import nearest

Bound = float | None
WORDS: Mapping[str, Callable[[str], Facts]] = {
    "positive": lambda dtype: Facts(least(dtype), INF, frozenset((NUMBER, PLUS))),
    "negative": lambda dtype: Facts(-INF, -least(dtype), frozenset((NUMBER, PLUS))),
    "nonnegative": lambda dtype: Facts(0, INF, frozenset((NUMBER, PLUS))),
    "nonpositive": lambda dtype: Facts(-INF, 0, frozenset((NUMBER,))),
    "finite": lambda dtype: Facts(-greatest(dtype), greatest(dtype), frozenset((NUMBER,))),
    "number": lambda dtype: Facts(-INF, INF, frozenset((NUMBER,))),
    "integer": lambda dtype: Facts(-INF, INF, frozenset((NUMBER, WHOLE))),
    "unique": lambda dtype: Facts(-INF, INF, frozenset((NUMBER, UNIQUE))),
    "sorted": lambda dtype: Facts(-INF, INF, frozenset((NUMBER, SORTED))),
    "symmetric": lambda dtype: Facts(-INF, INF, frozenset((SYMMETRIC,))),
    "diagonal": lambda dtype: Facts(-INF, INF, frozenset((LOWER, UPPER, SYMMETRIC))),
    "lower_triangular": lambda dtype: Facts(-INF, INF, frozenset((LOWER,))),
    "upper_triangular": lambda dtype: Facts(-INF, INF, frozenset((UPPER,))),
    "orthogonal": lambda dtype: Facts(-INF, INF, frozenset((ORTHOGONAL,))),
    "positive_semidefinite": lambda dtype: Facts(-INF, INF, frozenset((PSD, SYMMETRIC))),
}
"""What each word says of a tensor of a dtype."""
RANKS = {**dict.fromkeys(("unique", "sorted"), 1), **{w: 2 for w in WORDS if WORDS[w]("float32").holds & MATRIX}}
"""The axes that a tensor needs for a word."""
SQUARE = ("symmetric", "diagonal", "orthogonal", "positive_semidefinite")


class Wanted(NamedTuple):
    """Words and bounds as somebody gave them.  nan: they are about the elements that are numbers."""
    words: tuple[str, ...]
    low: Bound = None
    high: Bound = None
    nan: bool = False

    def __str__(self) -> str:
        bounds = [f"{n}={v}" for n, v in (("low", self.low), ("high", self.high)) if v is not None]
        return ", ".join([*self.words, *bounds]) + (" or NaN" if self.nan else "")


def checked(who: str, words: tuple[Any, ...], low: Any, high: Any, nan: Any) -> Wanted:
    """What somebody wants, each mistake named: OptionError for a word that is none, UseError for a bound that is no number."""
    for word in words:
        if not isinstance(word, str) or word not in WORDS:
            meant = nearest(word, WORDS) if isinstance(word, str) else ""
            raise OptionError(f"{who}: {shortly(word)} is no word{meant or '; words are ' + ', '.join(WORDS)}{at(here())}")
    if not words and low is None and high is None:
        raise OptionError(f"{who}: a word is needed, or a bound, low= or high={at(here())}")
    found = Wanted(words, _bound(who, "low", low), _bound(who, "high", high), bool(nan))
    if found.low is not None and found.high is not None and found.low > found.high:
        raise UseError(f"{who}: low={found.low} is above high={found.high}{at(here())}")
    return found


def _bound(who: str, name: str, value: Any) -> Bound:
    given = value.item() if isinstance(value, np.generic | np.ndarray) and not np.ndim(value) else value
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given)):
        raise UseError(f"{who}: {name}={shortly(value)}: a number is needed{at(here())}")
    found: Bound = given
    return found


@lru_cache(1024)
def facts(wanted: Wanted, dtype: str) -> Facts | None:
    """What is wanted of a tensor of a dtype, as facts; None where no value of the dtype fulfils it."""
    found: Facts | None = of_dtype(dtype)
    bounds = Facts(-INF if wanted.low is None else _fitted(wanted.low, dtype, math.ceil),
                   INF if wanted.high is None else _fitted(wanted.high, dtype, math.floor))
    told = [WORDS[w](dtype) for w in wanted.words]
    if (wanted.low, wanted.high) != (None, None):
        told.append(bounds._replace(holds=frozenset((NUMBER,))))
    for part in told:
        found = None if found is None else meet(found, part)
    if found is None:
        return None
    integer = of_dtype(dtype).holds
    return found._replace(holds=found.holds - ({NUMBER} if wanted.nan and NUMBER not in integer else NONE))


def _fitted(bound: float, dtype: str, inward: Callable[[float], int]) -> float:
    """A bound as comparisons with values of the dtype see it."""
    if dtype in FLOATS:
        with np.errstate(over="ignore"):
            return float(np.asarray(bound, dtype))
    return inward(bound) if is_int(dtype) and math.isfinite(bound) else bound


def broken(wanted: Facts, array: np.ndarray[Any, Any]) -> str | None:
    """How an array does not keep to facts; None where it does."""
    floats = is_float(array.dtype.name)
    wide = array.astype("float64") if floats else array
    numbers = wide[wide == wide] if floats else wide
    if NUMBER in wanted.holds and numbers.size < array.size:
        return "an element is NaN"
    for bound, outside in ((wanted.low, numbers < wanted.low), (wanted.high, numbers > wanted.high)):
        if outside.any():
            return f"an element is {numbers[outside].flat[0]}, {'below' if bound == wanted.low else 'above'} {bound}"
    if PLUS in wanted.holds and floats and bool((np.signbit(wide) & (wide == 0)).any()):
        return "an element is -0.0"
    if WHOLE in wanted.holds and floats and bool((numbers != np.floor(numbers)).any()):
        return f"an element is {numbers[numbers != np.floor(numbers)].flat[0]}, not whole"
    return _unordered(wanted, wide) or (_no_such_matrix(wanted, array, wide) if wanted.holds & MATRIX and array.size else None)


def _unordered(wanted: Facts, wide: np.ndarray[Any, Any]) -> str | None:
    if UNIQUE in wanted.holds and len(np.unique(wide)) < wide.size:
        return "two elements are equal"
    if SORTED in wanted.holds and bool((wide[..., 1:] < wide[..., :-1]).any()):
        return "an element is less than the one before it"
    return None


def _no_such_matrix(wanted: Facts, array: np.ndarray[Any, Any], wide: np.ndarray[Any, Any]) -> str | None:
    turned, holds = array.swapaxes(-1, -2), wanted.holds
    if SYMMETRIC in holds and (turned.shape != array.shape or turned.tobytes() != array.tobytes()):
        return "it is not symmetric to the bit"
    for word, part in ((LOWER, np.triu(wide, 1)), (UPPER, np.tril(wide, -1))):
        if word in holds and np.any(part):
            return f"an element {'above' if word == LOWER else 'below'} the diagonal is {part[part != 0].flat[0]}"
    if not np.isfinite(wide).all():
        return None  # the others are said of numbers
    near = 64 * array.shape[-1] * (float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.01)
    if ORTHOGONAL in holds and not np.abs(wide.swapaxes(-1, -2) @ wide - np.eye(array.shape[-1])).max() <= near:
        return "its columns are not orthonormal"
    if PSD in holds and not np.linalg.eigvalsh(wide).min() >= -near * max(1.0, float(np.abs(wide).max())):
        return "it has a negative eigenvalue"
    return None
