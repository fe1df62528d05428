"""Rows that make tensors from positions alone."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import constant
from exprgraph.node import Condition, Op, Out
from exprgraph.ops.pair import positions
from exprgraph.ops.rows import table
from exprgraph.ops.shape import Types, needed, typed
from exprgraph.types import Accepted, size_argument, size_dim, size_dims


def _accept(n: Any, *steps: Any, dtype: Any = "int64") -> Accepted:
    return (size_argument(n), *map(size_argument, steps)), {"dtype": dtypes.canonical(dtype)}


def _infer(inputs: tuple[Out, ...], dtype: str) -> Types:
    return typed(dtype, [size_dim(inputs[0])])


def _requires(inputs: tuple[Out, ...], dtype: str) -> list[Condition]:
    found = needed("le", constant(0), size_dim(inputs[0]), "a size cannot be negative: {right}")
    for step in size_dims(inputs[1:]):
        found += needed("le", constant(1), step * step, "arange: the step cannot be 0")
    return found


iota = Op("iota", "source", lambda n, *steps, dtype: np.arange(int(n)).astype(dtype), _accept, _infer,
          lambda g, y, *sizes, dtype: (None,) * len(sizes), requires=_requires, pair=positions,
          doc="0 .. n-1.  Further integers are steps that n was computed from, which must not be 0.")

TABLE = table([iota])
