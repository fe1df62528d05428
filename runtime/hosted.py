"""What NumPy does on memory that it shares with the device: the meanings of composite rows, with a place for the result.

NumPy gives the interpreter's lock away while it sorts, so large arrays of several rows are shared by threads.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from exprgraph.node import Params
from runtime.topk import best_positions

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Array = np.ndarray[Any, Any]
LEAST = 1 << 16
"""Elements for each thread, which take some 100 us and more; to call a thread takes some 30."""


def _sort(x: Array, out: Array, axis: int) -> None:
    out[...] = x
    out.sort(axis)


def _argsort(x: Array, out: Array, axis: int) -> None:
    out[...] = np.argsort(x, axis, kind="stable")


def _argtopk(x: Array, out: Array, axis: int, largest: bool) -> None:
    out[...] = best_positions(x, out.shape[axis], axis, largest)


def _flatnonzero(mask: Array, out: Array) -> None:
    out[...] = np.flatnonzero(mask)


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads beside the calling one; a forked process has its own."""
    from concurrent.futures import ThreadPoolExecutor  # loaded by the first array that is large enough
    return ThreadPoolExecutor(max((os.cpu_count() or 1) - 1, 1), "exprgraph-sort")


def _in_parts(x: Array, out: Array, axis: int, work: Callable[..., None], **params: Any) -> None:
    """The work along an axis, on as many parts of the longest other axis as there are threads for."""
    across = max((i for i in range(x.ndim) if i != axis), key=lambda i: x.shape[i], default=axis)
    parts = min(os.cpu_count() or 1, x.size // LEAST, x.shape[across] if across != axis else 1)
    if parts < 2:
        return work(x, out, axis, **params)
    own, *others = zip(np.array_split(x, parts, across), np.array_split(out, parts, across))
    waiting = [_threads(os.getpid()).submit(work, *pair, axis, **params) for pair in others]
    try:
        work(*own, axis, **params)
    finally:
        for each in waiting:
            each.result()
    return None


FUNCTIONS: dict[str, Callable[..., None]] = {
    "sort": partial(_in_parts, work=_sort), "argsort": partial(_in_parts, work=_argsort), "argtopk": partial(_in_parts, work=_argtopk),
    "flatnonzero": _flatnonzero}
"""One for each row of `codegen.expansions.HOSTED`."""


def hosted(name: str, params: Params) -> Callable[..., None]:
    """The function of a composite row, called with arrays and the keyword `out`."""
    return partial(FUNCTIONS[name], **dict(params))
