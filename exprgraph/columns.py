"""Tables for people: lines of cells in columns, each as wide as its widest cell."""
from __future__ import annotations

from collections.abc import Collection, Sequence


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = (), indent: str = "") -> list[str]:
    """A line for each row, without blanks at its end.  right: numbers of the columns whose cells stand at the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [(indent + "  ".join(cell.rjust(width) if k in right else cell.ljust(width)
                                for k, (cell, width) in enumerate(zip(row, widths)))).rstrip() for row in rows]
