"""The sets of rows by name: the named ones, our own, and those that the generator draws."""
from __future__ import annotations

from typing import Any

from tests.bench import drawn, language, named, own
from tests.bench.engines import function_of
from tests.bench.row import Row, rows_of

GROUPS = ("named", "own", "language", "random")


def rows_in(group: str, seed: int) -> list[Row]:
    """The rows of a set; the seed draws those of "random"."""
    if group == "random":
        return rows_of(group, drawn.workloads(seed))
    return rows_of(group, {"named": named.WORKLOADS, "own": own.WORKLOADS, "language": language.WORKLOADS}[group])


def row_called(group: str, label: str, seed: int) -> Row:
    """The row of a label."""
    return next(row for row in rows_in(group, seed) if row.label == label)


def function_for(engine: str, row: Row, seed: int) -> Any:
    """What an engine runs for a row, or None where it has no way to say it."""
    if row.group == "random":
        return drawn.function_for(engine, row.workload.name, seed)
    return function_of(engine, row.group, row.workload.name)
