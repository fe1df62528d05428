"""What NumPy does on memory that it shares with the device: the meanings of composite rows, with a place for the result."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from exprgraph.node import Params
from exprgraph.ops.sort import best_positions
from exprgraph.ops.table import ROWS

Array = np.ndarray[Any, Any]


def _sort(x: Array, out: Array, axis: int) -> None:
    out[...] = x
    out.sort(axis)


def _flatnonzero(mask: Array, out: Array) -> None:
    out[...] = np.flatnonzero(mask)


def _argtopk(x: Array, out: Array, axis: int, largest: bool) -> None:
    out[...] = best_positions(x, out.shape[axis], axis, largest)


OWN: dict[str, Callable[..., None]] = {"sort": _sort, "flatnonzero": _flatnonzero, "argtopk": _argtopk}
"""Rows that can write their result in place, or have sizes among their arguments."""


def _meaning(*arrays: Array, out: Array, name: str, params: Params) -> None:
    out[...] = ROWS[name].numpy(*arrays, **dict(params))


def hosted(name: str, params: Params) -> Callable[..., None]:
    """The function of a composite row, called with arrays and the keyword `out`."""
    own = OWN.get(name)
    return partial(_meaning, name=name, params=params) if own is None else partial(own, **dict(params))
