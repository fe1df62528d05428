"""The positions of the best k elements along an axis, by partitions and filters of NumPy's: the row argtopk where NumPy does it."""
from __future__ import annotations

from typing import Any

import numpy as np


def best_positions(x: Any, k: int, axis: int, largest: bool) -> Any:
    """The positions of the k largest or smallest along an axis, best first, of equals those that come first; NaN is the largest."""
    rows = np.moveaxis(x, axis, -1)
    flat = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
    found = None if not k or not flat.size else _filtered(flat, k, largest)
    if found is None:
        found = _best(flat, k, largest) if k and flat.size else np.empty((len(flat), k), "int64")
    return np.moveaxis(found.reshape(*rows.shape[:-1], k), -1, axis)


LANES = 6
"""The best of at least so many times k lanes of a row are looked at to learn which elements cannot be among the best k."""


def _filtered(rows: Any, k: int, largest: bool) -> Any:
    """The best of few candidates: what is at least as good as the k-th best of the best of some lanes.  None where these say too little:
    rows are short, or have many equals or NaN."""
    n = rows.shape[1]
    if n < 2 * LANES * k:
        return None
    tops = _lanes(rows, LANES * k, largest)
    at = tops.shape[1] - k if largest else k - 1
    edge = np.partition(tops, at)[:, [at]]
    places = _places(rows, edge, largest)
    row = places // n
    counts = np.bincount(row, minlength=len(rows))
    if len(places) > 4 * k * len(rows) or counts.min() < k:
        return None
    widest = counts.max()
    starts = np.arange(len(rows)) * widest - np.cumsum(counts) + counts
    spot = starts[row] + np.arange(len(places))
    where, values = np.zeros(len(rows) * widest, "int64"), np.repeat(edge, widest)
    where[spot], values[spot] = places - row * n, rows.reshape(-1)[places]
    order = _ranked(values.reshape(-1, widest), largest)[:, :k]
    return where[order + np.arange(len(rows))[:, None] * widest]


def _lanes(rows: Any, least: int, largest: bool) -> Any:
    """The best elements of some lanes, `least` or more: the halves of rows are compared until these are short.  NaN stays."""
    better = np.maximum if largest else np.minimum
    tops = rows
    while (half := tops.shape[1] // 2) >= least:
        tops = better(tops[:, :half], tops[:, half:2 * half])
    return tops


def _places(rows: Any, edge: Any, largest: bool) -> Any:
    """The positions, in all the rows together, of what is as good as the edge of its row; NaN is among the largest."""
    size = rows.size
    good = np.zeros(size + -size % 8, "bool")
    inside = good[:size].reshape(rows.shape)
    if largest:
        np.logical_not(np.less(rows, edge, out=inside), out=inside)
    else:
        np.less_equal(rows, edge, out=inside)
    eights = good.view("uint64")
    some = np.flatnonzero(eights != 0)  # most are 0: looked at eight by eight
    hits = np.flatnonzero(eights[some].view("bool"))
    return some[hits >> 3] * 8 + (hits & 7)


def _best(rows: Any, k: int, largest: bool) -> Any:
    """By a partition: all that are at least as good as the k-th one, where these are k; rows with more equals one by one."""
    n = rows.shape[1]
    edge = np.partition(rows, n - k if largest else k - 1)[:, [n - k if largest else k - 1]]
    good = (rows >= edge) | (rows != rows) if largest else rows <= edge
    counts = np.count_nonzero(good, axis=1)
    if (counts == k).all():
        places = np.flatnonzero(good).reshape(-1, k) % n
        return np.take_along_axis(places, _ranked(np.take_along_axis(rows, places, 1), largest), 1)
    found = np.empty((len(rows), k), "int64")
    clean = counts == k
    found[clean] = _best(rows[clean], k, largest) if clean.any() else 0
    for r in np.flatnonzero(~clean):
        found[r] = _best_with_equals(rows[r], edge[r, 0], k, largest)
    return found


def _best_with_equals(row: Any, edge: Any, k: int, largest: bool) -> Any:
    """All that is better than the k-th one, then the first ones that are equal to it."""
    if edge == edge:
        beyond = (row > edge) | (row != row) if largest else row < edge
        equal = row == edge
    else:
        equal = row != row
        beyond = ~equal & (not largest)
    inside = np.flatnonzero(beyond)
    return np.concatenate([inside[_ranked(row[inside], largest)], np.flatnonzero(equal)[:k - len(inside)]])


def _ranked(values: Any, largest: bool) -> Any:
    """The positions that put the last axis in order, equals as they come."""
    if not largest:
        return np.argsort(values, axis=-1, kind="stable")
    return values.shape[-1] - 1 - np.argsort(values[..., ::-1], axis=-1, kind="stable")[..., ::-1]
