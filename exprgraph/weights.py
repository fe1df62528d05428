"""What an elementwise operation costs: picoseconds per element of a vectorised loop on data in a cache, measured on PoCL."""
from __future__ import annotations

from exprgraph.node import Op

CHEAP, DIVISION, EXPENSIVE, INDEX_DIVISION = 14, 100, 360, 1500
"""What one instruction does, what divides or takes a root, a function like exp, and a division of integers."""
DIVISIONS = frozenset(("true_div", "sqrt", "reciprocal", "int_div", "mod"))
WIDE = ("float64", "int64", "uint64")


def weight(row: Op, dtype: str) -> int:
    """The weight of a row on operands of a dtype."""
    dear = EXPENSIVE if "expensive" in row.flags else DIVISION if row.name in DIVISIONS else CHEAP
    return dear * width(dtype)


def width(dtype: str) -> int:
    """How many times as long an operation takes as on 32 bits."""
    return 2 if dtype in WIDE else 1
