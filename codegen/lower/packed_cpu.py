"""Contractions on a CPU: panels of B packed so that a tile of results in registers reads them in order, rows of A read in place.

A work-item owns some panels (columns of the result, as wide as a tile) and some rows.  It packs its panels once for each matrix of the
batch, then goes through blocks of rows that fit the cache, panel by panel, tile by tile.  A is read where it lies if its elements are at
a fixed distance along k; else a block of its rows is packed too, which is where maps on A are computed.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.inline import affine
from codegen.kernel import Accumulate, Alloc, Expr, If, Let, Loop, Outer, Param, Stmt, Store
from codegen.lower.product_parts import Contraction, batch_indices, finish, loop
from codegen.outer import vector_width
from codegen.schedule.common import clamp, unit_step
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum, product

ROWS, VECTORS = 6, 2
"""A tile: 12 vectors of sums, 2 of B and one element of A are what 16 registers hold."""
DEPTH = 512
"""Products that are summed in registers before the sum is added to those of earlier ones: bounds the error of long sums."""
BLOCK = 1 << 16
"""Elements of A in a block of rows."""
STRIP = 64
GRAIN = 1 << 18
PER_UNIT = 4


class _Packed:
    """The tree while it is made: names of indices, sizes of chunks."""

    def __init__(self, what: Contraction, target: Target) -> None:
        self.what, self.b = what, what.builder
        self.lanes = VECTORS * vector_width(what.dtype)
        self.batch, self.lets = batch_indices(what)
        self.panels, self.tiles = ceildiv(what.n, self.lanes), ceildiv(what.m, ROWS)
        total = clamp(product(what.batch) * what.m * what.n * what.k // GRAIN, target.units * PER_UNIT)
        self.chunks: list[tuple[str, Dim, Dim]] = []
        for name, count, least in (("batch", product(what.batch), 1), ("panel", self.panels, 4), ("tile", self.tiles, 1)):
            chunks = clamp(count // least, total)
            total = total // chunks
            self.chunks.append((name, count, chunks))
        self.each = {name: ceildiv(count, chunks) for name, count, chunks in self.chunks}
        self.height = maximum(minimum(constant(BLOCK) // maximum(what.k * ROWS, 1), self.each["tile"]), 1)
        self.scratch: list[Param] = []

    def var(self, name: str) -> Expr:
        """An index variable."""
        return self.b.var(name)

    def slot(self, name: str, each: Dim) -> Expr:
        """The begin of a work-item's part of scratch memory."""
        b, items, number = self.b, constant(1), self.b.index(0)
        for chunk, _, chunks in self.chunks:
            number = b.add(b.mul(number, b.index(chunks)), self.var(f"{chunk}_chunk"))
            items = items * chunks
        self.scratch.append(Param(name, self.what.dtype, "w", items * each))
        return b.mul(number, b.index(each))

    def tree(self) -> tuple[Stmt, ...]:
        """Chunks of batch, panels and rows around what a work-item does."""
        b = self.b
        first = {name: b.mul(self.var(f"{name}_chunk"), b.index(self.each[name])) for name, _, _ in self.chunks}
        ends = [Let(f"{name}_end", b.least(b.add(first[name], b.index(self.each[name])), b.index(count))) for name, count, _ in self.chunks]
        starts = [Let(f"{name}_start", first[name]) for name, _, _ in self.chunks]
        inside = (*self.lets, self.pack(), *self.blocks())
        matrix = Loop("serial", "batch", self.var("batch_start"), self.var("batch_end"), b.index(1), inside)
        body: tuple[Stmt, ...] = (*starts, *ends, matrix)
        for axis, (name, _, chunks) in enumerate(reversed(self.chunks)):
            body = (loop(b, "grid", f"{name}_chunk", b.index(chunks), *body)._replace(axis=axis),)
        return body

    def pack(self) -> Stmt:
        """The work-item's panels of B, one after another, each with the elements of a row of k side by side, zero beyond the edge."""
        b, what = self.b, self.what
        size = b.mul(b.index(what.k), b.index(self.lanes))
        self.b_slot = self.slot("packed_b", self.each["panel"] * what.k * self.lanes)
        self.b_panel = b.add(self.b_slot, b.mul(b.sub(self.var("panel"), self.var("panel_start")), size))
        left = Let("left", b.mul(self.var("panel"), b.index(self.lanes)))
        width = b.least(b.sub(b.index(what.n), self.var("left")), b.index(self.lanes))
        full = b.op("eq", "bool", self.var("width"), b.index(self.lanes))
        fast = self._copy_b(b.index(self.lanes))
        edge = (*self._copy_b(self.var("width")), self._zeros())
        return Loop("serial", "panel", self.var("panel_start"), self.var("panel_end"), b.index(1),
                    (left, Let("width", width), Let("to", self.b_panel), If(full, fast, edge)))

    def _copy_b(self, width: Expr) -> tuple[Stmt, ...]:
        b, k, c = self.b, self.var("k"), self.var("c")
        value = self.what.load_b(*self.batch, k, b.add(self.var("left"), c))
        put = Store("packed_b", b.add(b.add(self.var("to"), b.mul(k, b.index(self.lanes))), c), value)
        return self._transposing("k", self.what.k, "c", width, put) if steps(value, "k") else (
            loop(b, "serial", "k", b.index(self.what.k), loop(b, "vector", "c", width, put)),)

    def _transposing(self, far: str, length: Dim, near: str, width: Expr, put: Stmt) -> tuple[Stmt, ...]:
        """Strips of what is read in order."""
        b, strip = self.b, self.var("strip")
        end = b.least(b.add(strip, b.index(STRIP)), b.index(length))
        return (Loop("serial", "strip", b.index(0), b.index(length), b.index(STRIP),
                     (loop(b, "serial", near, width, Loop("serial", far, strip, end, b.index(1), (put,))),)),)

    def _zeros(self) -> Stmt:
        b, k, c = self.b, self.var("k"), self.var("c")
        put = Store("packed_b", b.add(b.add(self.var("to"), b.mul(k, b.index(self.lanes))), c), self.what.zero())
        return loop(b, "serial", "k", b.index(self.what.k), Loop("vector", "c", self.var("width"), b.index(self.lanes), b.index(1), (put,)))

    def blocks(self) -> tuple[Stmt, ...]:
        """Blocks of rows; in each all panels; for each panel all tiles of the block."""
        b, block = self.b, self.var("block")
        end = Let("block_end", b.least(b.add(block, b.index(self.height)), self.var("tile_end")))
        place = (Let("base", self.b_panel), Let("left_edge", b.mul(self.var("panel"), b.index(self.lanes))))
        before, a, rows, a_next = self._left()
        tiles = Loop("serial", "tile", block, self.var("block_end"), b.index(1), self._tile(a, rows, a_next))
        panels = Loop("serial", "panel", self.var("panel_start"), self.var("panel_end"), b.index(1), (*place, tiles))
        return (Loop("serial", "block", self.var("tile_start"), self.var("tile_end"), b.index(self.height), (end, *before, panels)),)

    def _left(self) -> tuple[tuple[Stmt, ...], str, tuple[Expr, ...], Expr]:
        """How a tile reads A: what is done before, the array, where each row begins at "first", and the distance along k."""
        b, what = self.b, self.what
        rows = [b.least(b.add(b.mul(self.var("tile"), b.index(ROWS)), b.index(r)), b.index(what.m - 1)) for r in range(ROWS)]
        value = what.load_a(*self.batch, self.var("i"), self.var("first"))
        found = affine(value.args[0], (*self.batch, self.var("i"), self.var("first"))) if value.kind == "load" else None
        if found is not None and value.dtype == what.dtype:
            places = [what.load_a(*self.batch, row, self.var("first")).args[0] for row in rows]
            return (), value.value, tuple(places), b.index(found[1][-1])
        length = ceildiv(what.k, STRIP) * STRIP + STRIP // 2   # rows never begin in the same sets of the cache
        slot = self.slot("packed_a", self.height * ROWS * length)
        at = [b.add(slot, b.mul(b.sub(row, b.mul(self.var("block"), b.index(ROWS))), b.index(length))) for row in (*rows, self.var("i"))]
        top = b.mul(self.var("block"), b.index(ROWS))
        bottom = b.least(b.mul(self.var("block_end"), b.index(ROWS)), b.index(what.m))
        read = what.load_a(*self.batch, self.var("i"), self.var("k"))
        put = Store("packed_a", b.add(at[-1], self.var("k")), read)
        copy = Loop("serial", "i", top, bottom, b.index(1), (loop(b, "vector", "k", b.index(what.k), put),))
        return (copy,), "packed_a", tuple(b.add(p, self.var("first")) for p in at[:-1]), b.index(1)

    def _tile(self, a: str, rows: Sequence[Expr], a_next: Expr) -> tuple[Stmt, ...]:
        """The results of a tile, and what is done with those inside the matrix."""
        b, what, r, c, first = self.b, self.what, self.var("r"), self.var("c"), self.var("first")
        size = ROWS * self.lanes
        count = b.least(b.sub(b.index(what.k), first), b.index(DEPTH))
        panel = b.add(self.var("base"), b.mul(first, b.index(self.lanes)))
        step = Outer("sums", what.dtype, self.lanes, self.var("count"), a, tuple(rows), a_next, "packed_b", panel)
        merge = loop(b, "vector", "s", size, Accumulate(("totals",), self.var("s"), "sum", (what.read("sums", self.var("s")),)))
        blocks = Loop("serial", "first", b.index(0), b.index(what.k), b.index(DEPTH),
                      (Let("count", count), Alloc("sums", what.dtype, size, "private", what.zero()), step, merge))
        top = b.mul(self.var("tile"), b.index(ROWS))
        done = finish(what, self.batch, b.add(self.var("top"), r), b.add(self.var("left_edge"), c),
                      what.read("totals", b.add(b.mul(r, b.index(self.lanes)), c)))
        height = b.least(b.sub(b.index(what.m), self.var("top")), b.index(ROWS))
        width = b.least(b.sub(b.index(what.n), self.var("left_edge")), b.index(self.lanes))
        use = loop(b, "serial", "r", self.var("height"), loop(b, "vector", "c", self.var("columns"), *done))
        return (Alloc("totals", what.dtype, size, "private", what.zero()), blocks, Let("top", top), Let("height", height),
                Let("columns", width), use)


def steps(value: Expr, var: str) -> bool:
    """Whether an element read from memory is followed by the next one as the variable grows."""
    return value.kind == "load" and unit_step(value.args[0], var)


def packed(what: Contraction, target: Target) -> tuple[tuple[Param, ...], tuple[Stmt, ...]]:
    """The scratch memory and the scheduled tree."""
    made = _Packed(what, target)
    body = made.tree()
    return tuple(made.scratch), body
