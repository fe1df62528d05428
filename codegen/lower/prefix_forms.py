"""The loops of prefix scans: a row by one work-item in tiles, many rows side by side."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.combine import COMBINES
from codegen.kernel import INDEX, Alloc, Builder, Expr, Let, Loop, Prefix, Stmt, Store
from codegen.running import TILE
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant, minimum, product
from exprgraph.named import NamedTuple

GROUPS_PER_UNIT = 16
BLOCK = 64
"""Tiles that are folded before their result is joined to that of earlier ones, so that long sums stay accurate."""
GRAIN = 32768
PER_UNIT = 6
PANEL = 256


class Scan(NamedTuple):
    """A scan along an axis of length `n` for each point of the extents `outer`.

    load(*outer indices, position) is the value at a position, store(value, *outer indices, position) keeps a running result;
    combine is the name of a combine of width 1.  lanes: whether neighbours along the last of `outer` are neighbours in memory.
    """
    builder: Builder
    outer: Sequence[Dim]
    n: Dim
    load: Callable[..., Expr]
    store: Callable[..., tuple[Stmt, ...]]
    combine: str
    dtype: str
    lanes: bool = False

    @property
    def ordered(self) -> bool:
        """Whether results have to be combined one after another: products of floats, where 0 times a part that overflows is not 0."""
        return self.combine == "prod" and self.dtype.startswith("float")

    def merge(self, left: Expr, right: Expr) -> Expr:
        """The combination of two running results, left before right."""
        return COMBINES[self.combine].merge(self.builder, (left,), (right,))[0]

    def identity(self) -> Expr:
        """The running result of no values; -0.0 for sums of floats, which keeps the sign of a zero."""
        if self.combine == "sum" and self.dtype.startswith("float"):
            return self.builder.lit(-0.0, self.dtype)
        return COMBINES[self.combine].identity(self.builder, (self.dtype,))[0]

    def read(self, array: str, at: Expr) -> Expr:
        """An element of an array of the scan's dtype."""
        return self.builder.load(array, self.dtype, at)

    def step(self, rows: Sequence[Expr], at: Expr) -> tuple[Stmt, ...]:
        """One more position in order, from and to the scalar `carry`."""
        zero = self.builder.index(0)
        value = self.builder.var("running", self.dtype)
        return (Let("running", self.merge(self.read("carry", zero), self.load(*rows, at))), Store("carry", zero, value),
                *self.store(value, *rows, at))


class Part(NamedTuple):
    """How rows are cut: into how many parts, of how many elements, and where the folds of all but the last part of each row are."""
    number: Dim
    each: Dim
    folds: str


def whole(scan: Scan) -> Part:
    """Rows that are not cut."""
    return Part(constant(1), scan.n, "")


def in_lanes(scan: Scan) -> bool:
    """Whether rows lie side by side in memory, so that they are better scanned together."""
    return scan.lanes and bool(scan.outer)


def nest(scan: Scan, rows: Sequence[Expr], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """Parallel loops over the rows."""
    b = scan.builder
    for var, extent in zip(rows[::-1], list(scan.outer)[::-1]):
        body = (Loop("parallel", var.value, b.index(0), b.index(extent), b.index(1), body),)
    return body


def serial(scan: Scan, rows: Sequence[Expr]) -> tuple[Stmt, ...]:
    """A row in order, position by position."""
    b, zero = scan.builder, scan.builder.index(0)
    loop = Loop("serial", "position", zero, b.index(scan.n), b.index(1), scan.step(rows, b.var("position")))
    return (Alloc("carry", scan.dtype, 1, "private", scan.identity()), loop)


def preamble(scan: Scan, part: Part, item: Expr | None = None, items: int = 1) -> tuple[tuple[Stmt, ...], Expr, Expr]:
    """What stands before a part of row `row` is scanned: its bounds, and the carry out of the parts before it, of which each of several
    items folds its share; and the bounds."""
    b, zero = scan.builder, scan.builder.index(0)
    carry = Alloc("carry", scan.dtype, 1, "private", scan.identity())
    if not part.folds:
        return (carry,), zero, b.index(scan.n)
    lets, start, stop = bounds(scan, part)
    at = b.add(b.mul(b.var("row"), b.index(part.number - 1)), b.var("before"))
    joined = Store("carry", zero, scan.merge(scan.read("carry", zero), scan.read(part.folds, at)))
    before = Loop("serial", "before", zero if item is None else item, b.var("part"), b.index(items), (joined,))
    return (*lets, carry, before), start, stop


def bounds(scan: Scan, part: Part) -> tuple[tuple[Stmt, ...], Expr, Expr]:
    """The first position of part `part` of a row, and the one behind its last."""
    b, start = scan.builder, scan.builder.var("first")
    length = b.op("maximum", INDEX, b.least(b.index(part.each), b.sub(b.index(scan.n), start)), b.index(0))
    lets = (Let("first", b.mul(b.var("part"), b.index(part.each))), Let("last", b.add(start, length)))
    return lets, start, b.var("last")


def row_indices(scan: Scan, part: Part) -> tuple[tuple[Expr, ...], tuple[Stmt, ...]]:
    """The indices of `task`, which counts the parts of all rows, and the statements that name them."""
    b, lets, linear = scan.builder, list[Stmt](), scan.builder.var("task")
    if part.folds:
        lets.append(Let("part", b.mod(linear, b.index(part.number))))
    lets.append(Let("row", b.div(linear, b.index(part.number))))
    linear = b.var("row")
    for i in range(len(scan.outer) - 1, -1, -1):
        extent = b.index(scan.outer[i])
        lets.append(Let(f"row{i}", linear if i == 0 else b.mod(linear, extent)))
        linear = b.div(linear, extent)
    return tuple(b.var(f"row{i}", INDEX) for i in range(len(scan.outer))), tuple(lets)


def by_row(scan: Scan, target: Target, part: Part) -> tuple[Stmt, ...]:
    """A CPU's form: each work-item takes contiguous rows, or parts of rows, and scans them in tiles."""
    tasks = product(scan.outer) * part.number
    wanted = tasks if part.folds else minimum(tasks, ceildiv(product(scan.outer) * scan.n, GRAIN))
    rows, lets = row_indices(scan, part)
    return _chunked(scan, tasks, clamp(wanted, target.units * PER_UNIT), (*lets, *_tiles(scan, rows, part)))


def _chunked(scan: Scan, tasks: Dim, count: Dim, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    b, one = scan.builder, scan.builder.index(1)
    each = b.index(ceildiv(tasks, count))
    start = b.mul(b.var("chunk"), each)
    loop = Loop("serial", "task", start, b.least(b.add(start, each), b.index(tasks)), one, body)
    return (Loop("grid", "chunk", b.index(0), b.index(count), one, (loop,)),)


def _tiles(scan: Scan, rows: Sequence[Expr], part: Part) -> tuple[Stmt, ...]:
    """Whole tiles are scanned in registers and then combined with the carry; what is left of the row goes in order."""
    b, zero, one, size = scan.builder, scan.builder.index(0), scan.builder.index(1), scan.builder.index(TILE)
    before, start, stop = preamble(scan, part)
    if scan.ordered:
        return (*before, Loop("serial", "position", start, stop, one, scan.step(rows, b.var("position"))))
    full = b.add(start, b.mul(b.div(b.sub(stop, start), size), size))
    lane, at, value = b.var("lane"), b.add(b.var("base"), b.var("lane")), b.var("running", scan.dtype)
    fill = Loop("vector", "lane", zero, size, one, (Store("tile", lane, scan.load(*rows, at)),))
    carry = scan.read("carry", zero)
    keep = Loop("vector", "lane", zero, size, one, (Let("running", scan.merge(carry, scan.read("tile", lane))),
                                                    *scan.store(value, *rows, at)))
    last = Store("carry", zero, scan.merge(carry, scan.read("tile", b.index(TILE - 1))))
    tile = (Alloc("tile", scan.dtype, TILE, "private"), fill, Prefix("tile", scan.dtype, TILE, scan.combine), keep, last)
    return (*before, Loop("serial", "base", start, full, size, tile),
            Loop("serial", "position", full, stop, one, scan.step(rows, b.var("position"))))


def fold_parts(scan: Scan, target: Target, part: Part) -> tuple[Stmt, ...]:
    """A CPU's form of the first of two kernels: each work-item folds parts of rows, the last part of each row left out.

    The elements of a tile go to as many accumulators, in blocks.
    """
    b, zero, one, size = scan.builder, scan.builder.index(0), scan.builder.index(1), scan.builder.index(TILE)
    folded = part._replace(number=part.number - 1)
    rows, lets = row_indices(scan, folded)
    before, start, stop = bounds(scan, folded)
    full = b.add(start, b.mul(b.div(b.sub(stop, start), size), size))
    lane, base, block = b.var("lane"), b.var("base"), b.index(TILE * BLOCK)

    def lanes(into: str, value: Expr, count: int = TILE) -> Loop:
        return Loop("vector", "lane", zero, b.index(count), one, (Store(into, lane, scan.merge(scan.read(into, lane), value)),))
    tiles = Loop("serial", "base", b.var("block"), b.least(b.add(b.var("block"), block), full), size,
                 (lanes("fold", scan.load(*rows, b.add(base, lane))),))
    inner = (Alloc("fold", scan.dtype, TILE, "private", scan.identity()), tiles, lanes("total", scan.read("fold", lane)))
    rest = Store("total", zero, scan.merge(scan.read("total", zero), scan.load(*rows, b.var("position"))))
    joins = [lanes("total", scan.read("total", b.add(lane, b.index(w))), w) for w in _halves(TILE)]
    at = b.add(b.mul(b.var("row"), b.index(folded.number)), b.var("part"))
    total = Alloc("total", scan.dtype, TILE, "private", scan.identity())
    body = (*lets, *before, total, Loop("serial", "block", start, full, block, inner),
            Loop("serial", "position", full, stop, one, (rest,)), *joins, Store(part.folds, at, scan.read("total", zero)))
    tasks = product(scan.outer) * folded.number
    return _chunked(scan, tasks, clamp(tasks, target.units * PER_UNIT), body)


def _halves(size: int) -> list[int]:
    return [size >> k for k in range(1, size.bit_length())]


def by_lane(scan: Scan, target: Target) -> tuple[Stmt, ...]:
    """A CPU's form where rows are neighbours: each work-item takes panels of them and scans all rows of a panel together."""
    b, zero, one = scan.builder, scan.builder.index(0), scan.builder.index(1)
    across, panels = scan.outer[-1], ceildiv(scan.outer[-1], PANEL)
    narrow = scan._replace(outer=(*scan.outer[:-1], panels))
    rows, lets = row_indices(narrow, whole(narrow))
    begin, lane = b.mul(rows[-1], b.index(PANEL)), b.var("lane")
    width = b.least(b.index(PANEL), b.sub(b.index(across), b.var("begin")))
    index = (*rows[:-1], b.add(b.var("begin"), lane), b.var("position"))
    value = b.var("running", scan.dtype)
    step = (Let("running", scan.merge(scan.read("carry", lane), scan.load(*index))), Store("carry", lane, value),
            *scan.store(value, *index))
    loop = Loop("serial", "position", zero, b.index(scan.n), one, (Loop("vector", "lane", zero, b.var("width"), one, step),))
    body = (*lets, Let("begin", begin), Let("width", width), Alloc("carry", scan.dtype, PANEL, "private", scan.identity()), loop)
    tasks = product(narrow.outer)
    wanted = minimum(tasks, ceildiv(product(scan.outer) * scan.n, GRAIN))
    return _chunked(scan, tasks, clamp(wanted, target.units * PER_UNIT), body)
