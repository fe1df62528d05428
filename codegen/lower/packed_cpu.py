"""Contractions on a CPU: one kernel packs both factors, a second one adds outer products of what is packed.

The first kernel computes each element of the factors once, with the maps that lead to it, and puts it where the second one reads it in
order: B as panels, as wide as a tile of results, each with the elements of one k side by side; A as tiles of rows, each row by itself
(a little longer than it need be, so that rows do not begin in the same sets of the cache) or, where A lies turned, with the elements of one
k side by side.  Nothing lies beyond the edges of a panel or a tile: it is zero, or a row twice.

A work-item of the second kernel owns some panels, as many as fit the cache, some tiles and some matrices of the batch.  It goes through
k in blocks, in each through its tiles, and for each tile through its panels, so that results follow each other in memory.  The sums of
all blocks but the last go to scratch memory; after the last one results are used where they are made.  So no sum of products is longer
than a block, which bounds the error of long sums.
"""
from __future__ import annotations

import numpy as np

from codegen.kernel import Accumulate, Alloc, Expr, If, Kernel, Let, Loop, Outer, Param, Stmt, Store
from codegen.lower.packing import Layout, pack_a, pack_b
from codegen.lower.product_parts import Contraction, batch_indices, finish, loop
from codegen.outer import Tile, tile_of
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import ceildiv, constant, maximum, minimum, product

BLOCK = 512
"""Products that are summed in registers before the sum is added to those of earlier ones."""
KEPT = 1 << 19
"""Bytes of panels that stay in the cache while rows of A pass by."""
GRAIN = 1 << 16
"""Products that are worth a work-item."""
PER_UNIT = 16
PACKED = 1 << 13
"""Elements that are worth a work-item while packing."""
PACKS_PER_UNIT = 4


def packed(name: str, what: Contraction, target: Target) -> tuple[Kernel, Kernel]:
    """The scheduled kernels; the params of each are the scratch memory that they share."""
    tile = tile_of(what.dtype, target.dialect)
    layout = Layout(what, tile)
    scratch = layout.params()
    partial = Param("partial", what.dtype, "rw", layout.sums() * minimum(maximum(what.k - 1, 0) // BLOCK, 1))
    first = Kernel(name, scratch, _packing(layout, target))
    second = Kernel(name, (*(p._replace(access="r") for p in scratch), partial), _Product(what, tile, layout, target).tree())
    return first, second


def _packing(layout: Layout, target: Target) -> tuple[Stmt, ...]:
    """Both factors, each cut into as many parts as there are work-items."""
    b, what = layout.what.builder, layout.what
    size = product(what.batch) * (what.m + what.n) * what.k
    items = clamp(size // PACKED, target.units * PACKS_PER_UNIT)
    body: list[Stmt] = []
    for count, pack in ((layout.all_panels, pack_b), (layout.all_tiles, pack_a)):
        each = b.index(ceildiv(count, items))
        start = b.mul(b.var("item"), each)
        end = b.least(b.add(start, each), b.index(count))
        body.append(Loop("serial", "part", start, end, b.index(1), pack(layout)))
    return (loop(b, "grid", "item", b.index(items), *body),)


class _Product:
    """The tree of the second kernel while it is made."""

    def __init__(self, what: Contraction, tile: Tile, layout: Layout, target: Target) -> None:
        self.what, self.b, self.tile, self.layout = what, what.builder, tile, layout
        self.batch, self.lets = batch_indices(what)
        total = clamp(product(what.batch) * what.m * what.n * what.k // GRAIN, target.units * PER_UNIT)
        batches = clamp(product(what.batch), total)
        abreast = maximum(constant(KEPT // int(np.dtype(what.dtype).itemsize)) // (clamp(what.k, BLOCK) * tile.lanes), 1)
        wanted = maximum(ceildiv(layout.panels, abreast), total // maximum(batches * layout.tiles, 1))   # few rows are no few work-items
        panels = clamp(wanted, maximum(layout.panels, 1))
        tiles = clamp(layout.tiles, ceildiv(total, batches * panels))
        self.chunks = (("batch", product(what.batch), batches), ("panel", layout.panels, panels), ("tile", layout.tiles, tiles))

    def var(self, name: str) -> Expr:
        """An index variable."""
        return self.b.var(name)

    def tree(self) -> tuple[Stmt, ...]:
        """One loop over work-items, so that several threads can share them; neighbours have the same panels."""
        b, rest, parts = self.b, self.var("item"), list[Stmt]()
        for name, count, chunks in reversed(self.chunks):
            each = b.index(ceildiv(count, chunks))
            start = b.mul(b.mod(rest, b.index(chunks)), each)
            parts += [Let(f"{name}_start", start), Let(f"{name}_end", b.least(b.add(start, each), b.index(count)))]
            rest = b.div(rest, b.index(chunks))
        tiles = self._over("tile", *self._rows(), self._over("panel", *self._panel(), *self._tile()))
        blocks = loop(b, "serial", "block", b.index(maximum(ceildiv(self.what.k, BLOCK), 1)), *self._block(), tiles)
        return (loop(b, "grid", "item", b.index(product(c for _, _, c in self.chunks)), *parts, self._over("batch", *self.lets, blocks)),)

    def _over(self, name: str, *body: Stmt) -> Loop:
        return Loop("serial", name, self.var(f"{name}_start"), self.var(f"{name}_end"), self.b.index(1), body)

    def _block(self) -> tuple[Stmt, ...]:
        b, k = self.b, self.b.index(self.what.k)
        first = b.mul(self.var("block"), b.index(BLOCK))
        return Let("first", first), Let("count", b.least(b.sub(k, self.var("first")), b.index(BLOCK)))

    def _panel(self) -> tuple[Stmt, ...]:
        b, lanes = self.b, self.b.index(self.tile.lanes)
        number = b.add(b.mul(self.var("batch"), b.index(self.layout.panels)), self.var("panel"))
        left = b.mul(self.var("panel"), lanes)
        return (Let("panel_at", self.layout.b_at(number, self.var("first"))), Let("left", left),
                Let("columns", b.least(b.sub(b.index(self.what.n), self.var("left")), lanes)))

    def _rows(self) -> tuple[Stmt, ...]:
        b, rows = self.b, self.b.index(self.tile.rows)
        number = b.add(b.mul(self.var("batch"), b.index(self.layout.tiles)), self.var("tile"))
        return (Let("number", number), Let("top", b.mul(self.var("tile"), rows)),
                Let("height", b.least(b.sub(b.index(self.what.m), self.var("top")), rows)))

    def _tile(self) -> tuple[Stmt, ...]:
        """The sums of a tile over a block of k, and what is done with them."""
        b, what, size = self.b, self.what, self.tile.rows * self.tile.lanes
        rows = [self.layout.a_at(self.var("number"), r, self.var("first")) for r in range(self.tile.rows)]
        step = Outer("sums", what.dtype, self.tile.lanes, self.tile.width, self.var("count"), "packed_a", tuple(rows),
                     self.layout.a_next, "packed_b", self.var("panel_at"))
        place = b.mul(b.add(b.mul(self.var("number"), b.index(self.layout.panels)), self.var("panel")), b.index(size))
        s = self.var("s")
        at = b.add(self.var("place"), s)
        earlier = loop(b, "vector", "s", size, Accumulate(("sums",), s, "sum", (what.read("partial", at),)))
        keep = loop(b, "vector", "s", size, Store("partial", at, what.read("sums", s)))
        more = b.less(b.add(self.var("first"), b.index(BLOCK)), b.index(what.k))
        return (Alloc("sums", what.dtype, size, "private", what.zero()), step,
                If(b.less(b.index(0), b.index(what.k - BLOCK)),
                   (Let("place", place), If(b.less(b.index(0), self.var("block")), (earlier,)), If(more, (keep,)))),
                If(more, (), (self._use(),)))

    def _use(self) -> Stmt:
        """What is done with the results inside the matrix: whole panels in loops of literal length."""
        b, what, r, c, lanes = self.b, self.what, self.var("r"), self.var("c"), self.b.index(self.tile.lanes)
        done = finish(what, self.batch, b.add(self.var("top"), r), b.add(self.var("left"), c),
                      what.read("sums", b.add(b.mul(r, lanes), c)))

        def over(width: Expr) -> tuple[Stmt, ...]:
            return (loop(b, "serial", "r", self.var("height"), loop(b, "vector", "c", width, *done)),)
        return If(b.op("eq", "bool", self.var("columns"), lanes), over(lanes), over(self.var("columns")))
