"""Ranks: integers in the order of floats, by which a maximum or minimum of floats becomes one of integers.

Compilers make vectors of an integer maximum, with several accumulators in registers; of one of floats they do not, since it has to
keep a NaN.  A rank is the float's bits where these are positive and the rest mirrored; then all are moved, and wrap, such that the NaNs
of both signs are on the side that wins: above infinity for a maximum, below -infinity for a minimum.  So -0.0 is less than 0.0.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from exprgraph.node import Op
from exprgraph.ops.rows import row

INTEGER = {"float32": "int32", "float64": "int64"}
_FLOAT = {"int32": "float32", "int64": "float64"}


class Ranking(NamedTuple):
    """The rows that turn a float into its rank and a rank into its float."""
    rank: Op
    value: Op


def _mirrored(bits: Any) -> Any:
    """Negative floats in their order, of positive ones the bits as they are; its own inverse."""
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)


def _moved(ranks: Any, sign: int) -> Any:
    """Ranks moved by the number of NaNs of one sign, modulo their range."""
    span = np.iinfo(ranks.dtype).max - np.asarray(np.inf, _FLOAT[ranks.dtype.name]).view(ranks.dtype)
    return ranks + ranks.dtype.type(sign * int(span))


def _ranking(combine: str, sign: int) -> Ranking:
    def rank(x: Any) -> Any:
        return _moved(_mirrored(np.asarray(x).view(INTEGER[np.asarray(x).dtype.name])), sign)

    def value(k: Any) -> Any:
        moved = _mirrored(_moved(np.asarray(k), -sign))
        return moved.view(_FLOAT[moved.dtype.name])
    return Ranking(row(f"{combine}_rank", rank, {"f": f"eg_{combine}rank_{{N}}({{0}})"}),
                   row(f"{combine}_ranked", value, {"i": f"eg_{combine}ranked_{{N}}({{0}})"}))


RANKINGS = {"max": _ranking("max", -1), "min": _ranking("min", 1)}
