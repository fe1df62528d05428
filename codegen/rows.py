"""Which row an expression stands for: its name where it is one of exprgraph's own, else the row itself, since names are not unique."""
from __future__ import annotations

from exprgraph.dtypes import BFLOAT
from exprgraph.node import Op
from exprgraph.ops.table import ROWS


def value_of(row: Op) -> str | Op:
    """What `Expr.value` holds for a row."""
    return row.name if ROWS.get(row.name) is row else row


def row_of(value: str | Op) -> Op:
    """The row that `Expr.value` stands for; KeyError where there is none of that name."""
    return value if isinstance(value, Op) else ROWS[value]


def template_of(row: Op, dtype: str) -> str | None:
    """The row's C spelling where its last operand has this dtype, None where it has none."""
    kind = "b" if dtype == "bool" else "f" if dtype == BFLOAT else dtype[0]
    return row.c.get(kind, row.c.get("*"))
