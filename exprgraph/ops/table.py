"""All rows by name: the tables of the themes, merged."""
from __future__ import annotations

from exprgraph.node import Op
from exprgraph.ops import (
    arithmetic,
    bits,
    compare,
    complexes,
    contract,
    create,
    gradient_markers,
    index,
    markers,
    points,
    reduce,
    rounding,
    rows,
    scan,
    shape,
    sort,
    transcendental,
)

THEMES = (
    arithmetic, bits, compare, complexes, contract, create, gradient_markers, index, markers, points, reduce, rounding, scan, shape, sort,
    transcendental)

ROWS: dict[str, Op] = rows.table([row for theme in THEMES for row in theme.TABLE.values()])
