"""Markers: rows that change nothing but what the gradient sees."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exprgraph.node import Op
from exprgraph.ops.rows import row, table


def _marker(name: str, flags: str, doc: str) -> Op:
    same: Callable[..., Any] = lambda x: x  # noqa: E731  (a value, as the rows of NumPy functions have)
    return row(name, same, "{0}", None, flags=flags, doc=doc)


disconnected_grad = _marker("disconnected_grad", "no_path", "The tensor itself; for gradients it depends on nothing.")
zero_grad = _marker("zero_grad", "zero_grad", "The tensor itself; its gradient is zero.")

TABLE = table([disconnected_grad, zero_grad])
