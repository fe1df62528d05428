"""Parts of prefix scans on GPUs whose rows lie side by side in memory: neighbouring work-items take the same part of neighbouring rows.

A first kernel folds each part, a second one folds what lies before a part and scans it in order.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.inline import linear
from codegen.kernel import INDEX, Accumulate, Alloc, Expr, Kernel, Let, Loop, Param, Stmt, Store
from codegen.lower.prefix_forms import Part, Scan, bounds, nest
from codegen.schedule import schedule
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, maximum, minimum, product

PER_PART = 64
"""Elements of a part, where there are enough of them for all."""
ITEMS_PER_UNIT = 1024
"""Work-items that keep a unit busy."""
MOST = 1024
"""Parts of a row at most: each item folds all parts before its own."""


def lane_parts(scan: Scan, target: Target) -> Dim:
    """Into how many parts rows are cut: more than 1 where they are fewer than the device has room for."""
    room = ceildiv(target.units * ITEMS_PER_UNIT, maximum(product(scan.outer), 1))
    return clamp(ceildiv(scan.n, PER_PART), minimum(room, MOST))


def split_lanes(name: str, scan: Scan, target: Target) -> tuple[Kernel, Kernel]:
    """Two scheduled kernels; scratch memory for the folds, those of neighbouring rows side by side, is a param of both."""
    count, rows, b = lane_parts(scan, target), row_variables(scan), scan.builder
    scratch = Param("folds", scan.dtype, "w", product(scan.outer) * (count - 1))
    part = Part(count, ceildiv(scan.n, count), scratch.name)
    first = schedule(Kernel(name, (scratch,), fold_each(scan, rows, part, _beside(scan, rows, b.var("part")))), target)
    return first, schedule(Kernel(name, (scratch._replace(access="r"),), _scan_each(scan, rows, part)), target)


def row_variables(scan: Scan) -> tuple[Expr, ...]:
    """The variables of the loops over rows."""
    return tuple(scan.builder.var(f"row{i}") for i in range(len(scan.outer)))


def fold_place(scan: Scan, rows: Sequence[Expr], part: Part) -> Expr:
    """Where the fold of a part lies, those of a row side by side."""
    b = scan.builder
    return b.add(b.mul(linear(b, rows, scan.outer), b.index(part.number - 1)), b.var("part"))


def _beside(scan: Scan, rows: Sequence[Expr], part: Expr) -> Expr:
    b = scan.builder
    return b.add(b.mul(part, b.index(product(scan.outer))), linear(b, rows, scan.outer))


def fold_each(scan: Scan, rows: Sequence[Expr], part: Part, place: Expr) -> tuple[Stmt, ...]:
    """The unscheduled tree that folds all parts but the last of each row."""
    b, zero, one, number = scan.builder, scan.builder.index(0), scan.builder.index(1), scan.builder.var("part")
    start = b.mul(number, b.index(part.each))
    length = b.op("maximum", INDEX, b.least(b.index(part.each), b.sub(b.index(scan.n), start)), zero)
    add = Accumulate(("fold",), zero, scan.combine, (scan.load(*rows, b.add(start, b.var("offset"))),))
    fold = (Let("length", length), Alloc("fold", scan.dtype, 1, "private", scan.identity()),
            Loop("reduce", "offset", zero, b.var("length"), one, (add,)), Store(part.folds, place, scan.read("fold", zero)))
    return (Loop("parallel", "part", zero, b.index(part.number - 1), one, nest(scan, rows, fold)),)


def _scan_each(scan: Scan, rows: Sequence[Expr], part: Part) -> tuple[Stmt, ...]:
    """The tree that scans each part from what those before it fold to."""
    b, zero, one = scan.builder, scan.builder.index(0), scan.builder.index(1)
    lets, start, stop = bounds(scan, part)
    joined = scan.merge(scan.read("carry", zero), scan.read(part.folds, _beside(scan, rows, b.var("before"))))
    body = (*lets, Alloc("carry", scan.dtype, 1, "private", scan.identity()),
            Loop("serial", "before", zero, b.var("part"), one, (Store("carry", zero, joined),)),
            Loop("serial", "position", start, stop, one, scan.step(rows, b.var("position"))))
    return (Loop("parallel", "part", zero, b.index(part.number), one, nest(scan, rows, body)),)
