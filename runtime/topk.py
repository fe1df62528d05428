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


LANES = 8
"""The best of so many times k lanes of a row are looked at to learn which elements cannot be among the best k."""


def _filtered(rows: Any, k: int, largest: bool) -> Any:
    """The best of few candidates: what is at least as good as the k-th best of the best of some lanes.  None where these say too little:
    rows are short, have NaN, or many equals."""
    n, lanes = rows.shape[1], LANES * k
    if n < 4 * lanes:
        return None
    each = np.lib.stride_tricks.as_strided(rows, (len(rows), n // lanes, lanes), (n * rows.itemsize, lanes * rows.itemsize, rows.itemsize))
    tops = (np.max if largest else np.min)(each, axis=1)
    rest = rows[:, n // lanes * lanes:]
    if not (tops == tops).all() or not (rest == rest).all():
        return None
    edge = np.partition(tops, lanes - k if largest else k - 1)[:, [lanes - k if largest else k - 1]]
    places = np.flatnonzero(rows >= edge if largest else rows <= edge)
    if len(places) > 4 * k * len(rows):
        return None
    row, place = np.divmod(places, n)
    counts = np.bincount(row, minlength=len(rows))
    column = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    where, values = np.zeros((len(rows), counts.max()), "int64"), np.repeat(edge, counts.max(), 1)
    where[:], where[row, column], values[row, column] = n, place, rows[row, place]
    return np.take_along_axis(where, _ranked(values, largest)[:, :k], 1)


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
