"""Ranks: integers in the order of floats, by which a maximum or minimum of floats becomes one of integers.

Compilers make vectors of an integer maximum, with several accumulators in registers; of one of floats they do not, since it has to keep a
NaN. A rank is the float's bits where these are positive and the rest mirrored; then all are moved, and wrap, such that the NaNs of both
signs are on the side that wins: above infinity for a maximum, below -infinity for a minimum.  So -0.0 is less than 0.0.

For the place of a maximum, a rank that is equal for all NaNs and for both zeros stands above the place in a longer integer, which counts
down, so that the first of equals wins.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from exprgraph.named import NamedTuple
from exprgraph.node import Op
from exprgraph.ops.rows import row

INTEGER = {"float32": "int32", "float64": "int64"}
_FLOAT = {"int32": "float32", "int64": "float64"}
_LAST = 2**31 - 1
"""The last place that fits into half of a rank."""


class Ranking(NamedTuple):
    """How a combine of floats becomes one of integers.

    combine: that of the integers.  kinds: their dtype for each dtype of floats.  rank: the row that makes one of the values; values: the
    rows that turn it back into each of them.
    """
    combine: str
    kinds: Mapping[str, str]
    rank: Op
    values: tuple[Op, ...]


def _mirrored(bits: Any) -> Any:
    """Negative floats in their order, of positive ones the bits as they are; its own inverse."""
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)


def _moved(ranks: Any, sign: int) -> Any:
    """Ranks moved by the number of NaNs of one sign, modulo their range."""
    span = np.iinfo(ranks.dtype).max - np.asarray(np.inf, _FLOAT[ranks.dtype.name]).view(ranks.dtype)
    return ranks + ranks.dtype.type(sign * int(span))


def _rank(x: Any, sign: int) -> Any:
    return _moved(_mirrored(np.asarray(x).view(INTEGER[np.asarray(x).dtype.name])), sign)


def _value(k: Any, sign: int) -> Any:
    moved = _mirrored(_moved(np.asarray(k), -sign))
    return moved.view(_FLOAT[moved.dtype.name])


def _ranking(combine: str, sign: int) -> Ranking:
    rank = row(f"{combine}_rank", lambda x: _rank(x, sign), {"f": f"eg_{combine}rank_{{N}}({{0}})"})
    value = row(f"{combine}_ranked", lambda k: _value(k, sign), {"i": f"eg_{combine}ranked_{{N}}({{0}})"})
    return Ranking(combine, INTEGER, rank, (value,))


def _placed(combine: str, sign: int) -> Ranking:
    """The ranking of the place of a maximum or minimum of float32."""
    def below(place: Any) -> Any:
        return np.int64(_LAST) - place if sign < 0 else place

    def rank(x: Any, place: Any) -> Any:
        plain = np.where(np.isnan(x), np.float32(np.nan), np.asarray(x) + np.float32(0))
        return _rank(plain, sign).astype("int64") << np.int64(32) | below(np.asarray(place))

    def value(k: Any) -> Any:
        return _value((np.asarray(k) >> np.int64(32)).astype("int32"), sign)

    def place(k: Any) -> Any:
        return below(np.asarray(k) & np.int64(_LAST))
    name = f"arg{combine}"
    return Ranking(combine, {"float32": "int64"}, row(f"{name}_rank", rank, {"i": f"eg_{name}rank_{{N}}({{0}}, {{1}})"}, arity=2),
                   (row(f"{name}_value", value, {"i": f"eg_{name}value_{{N}}({{0}})"}),
                    row(f"{name}_place", place, {"i": f"eg_{name}place_{{N}}({{0}})"})))


RANKINGS = {"max": _ranking("max", -1), "min": _ranking("min", 1), "argmax": _placed("max", -1), "argmin": _placed("min", 1)}
