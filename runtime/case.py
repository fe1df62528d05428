"""Cases: a plan with the numbers of one call and what its arguments have to be like, ready to be written as a function."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exprgraph.named import NamedTuple
from runtime.actions import Action
from runtime.memory import Block, View


class Leaf(NamedTuple):
    """An argument as it was when the sizes of a call were first met: a later one must be alike."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    value: int | None
    name: str | None


class Case(NamedTuple):
    """A plan with the numbers of one call.

    leaves: the arguments.  actions: what to run.  results: (name, view) for each output; rooms: bytes of the intermediates.  counts:
    elements of each output buffer; aligned: buffers that must begin with a cache line.  kept: from which output on
    results are new versions of shared variables.  told: what a fault is called.  often: what to do in the calls
    `choices.OFTEN` with their number and the arguments.
    """
    leaves: tuple[Leaf, ...]
    actions: tuple[Action, ...]
    results: tuple[View, ...]
    counts: dict[str, tuple[int, np.dtype[Any]]]
    aligned: frozenset[str]
    rooms: dict[str, int]
    offsets: dict[str, int]
    space: int
    blocks: dict[str, Block]
    flags: Any
    wanted: int
    kept: int
    told: Callable[[BaseException], BaseException]
    often: Callable[..., None] | None = None
