"""How the factors of a product are packed on a CPU: where each element goes, and the loops that put it there."""
from __future__ import annotations

from codegen.kernel import Expr, If, Let, Loop, Param, Stmt, Store
from codegen.lower.product_parts import Contraction, batch_indices, loop
from codegen.outer import Tile
from codegen.schedule.common import below, unit_step
from exprgraph.dims import Dim, ceildiv, product

LINE = 64
"""Elements to whose multiple rows are padded, and half as many more: rows never begin in the same sets of the cache."""
STRIP = 64


class Layout:
    """Where the elements of the packed factors lie.

    tiles and panels: how many there are in a matrix; all_tiles and all_panels: in the whole batch.  turned: whether the elements of
    one k lie side by side in A.  a_next: the distance along k there.
    """

    def __init__(self, what: Contraction, tile: Tile) -> None:
        self.what, self.b, self.tile = what, what.builder, tile
        self.batch, self.lets = batch_indices(what)
        self.panels, self.tiles = ceildiv(what.n, tile.lanes), ceildiv(what.m, tile.rows)
        self.all_panels, self.all_tiles = product(what.batch) * self.panels, product(what.batch) * self.tiles
        self.left = what.load_a(*self.batch, self.b.var("i"), self.b.var("k"))
        self.turned = votes(self.left, "i") > votes(self.left, "k")
        self.length = what.k if self.turned else ceildiv(what.k, LINE) * LINE + LINE // 2
        self.a_next = self.b.index(tile.rows if self.turned else 1)

    def params(self) -> tuple[Param, Param]:
        """The memory of both."""
        what, tile = self.what, self.tile
        return (Param("packed_b", what.dtype, "w", self.all_panels * what.k * tile.lanes),
                Param("packed_a", what.dtype, "w", self.all_tiles * tile.rows * self.length))

    def sums(self) -> Dim:
        """Elements of all tiles of results."""
        return self.all_tiles * self.panels * (self.tile.rows * self.tile.lanes)

    def a_at(self, number: Expr, row: int | Expr, k: Expr) -> Expr:
        """The place of an element of a tile, of which `number` counts those before it in the batch."""
        b, rows = self.b, self.b.index(self.tile.rows)
        row = b.index(row) if isinstance(row, int) else row
        if self.turned:
            return b.add(b.mul(b.add(b.mul(number, b.index(self.length)), k), rows), row)
        return b.add(b.mul(b.add(b.mul(number, rows), row), b.index(self.length)), k)

    def b_at(self, number: Expr, k: Expr) -> Expr:
        """The place of the elements of one k in a panel."""
        return self.b.mul(self.b.add(self.b.mul(number, self.b.index(self.what.k)), k), self.b.index(self.tile.lanes))


def votes(value: Expr, var: str) -> int:
    """How many reads in a value go through memory one element after the other as the variable grows."""
    return sum(e.kind == "load" and unit_step(e.args[0], var) for e in below(value))


def _part(layout: Layout, each: Dim, name: str) -> tuple[Stmt, ...]:
    """The matrix of the batch and the panel or tile in it that "part" counts."""
    b, part = layout.b, layout.b.var("part")
    return Let("batch", b.div(part, b.index(each))), *layout.lets, Let(name, b.mod(part, b.index(each)))


def pack_a(layout: Layout) -> tuple[Stmt, ...]:
    """The tile of rows of A that "part" counts; beyond the last row that one again."""
    b, what, rows, k, r = layout.b, layout.what, layout.tile.rows, layout.b.var("k"), layout.b.var("r")
    put = Store("packed_a", layout.a_at(b.var("part"), r, k), layout.left)
    head = (*_part(layout, layout.tiles, "tile"), Let("top", b.mul(b.var("tile"), b.index(rows))))
    row = b.add(b.var("top"), r)
    last = b.least(row, b.index(what.m - 1))
    if not layout.turned:
        return (*head, loop(b, "serial", "r", rows, Let("i", last), loop(b, "vector", "k", b.index(what.k), put)))

    def columns(i: Expr) -> tuple[Stmt, ...]:
        return (loop(b, "serial", "k", b.index(what.k), loop(b, "vector", "r", rows, Let("i", i), put)),)
    inside = b.op("le", "bool", b.add(b.var("top"), b.index(rows)), b.index(what.m))
    return (*head, If(inside, columns(row), columns(last)))


def pack_b(layout: Layout) -> tuple[Stmt, ...]:
    """The panel of B that "part" counts; zero beyond the last column."""
    b, what, lanes, k, c = layout.b, layout.what, layout.b.index(layout.tile.lanes), layout.b.var("k"), layout.b.var("c")
    value = what.load_b(*layout.batch, k, b.add(b.var("left"), c))
    at = b.add(layout.b_at(b.var("part"), k), c)

    def copy(width: Expr) -> tuple[Stmt, ...]:
        put = Store("packed_b", at, value)
        if votes(value, "k") <= votes(value, "c"):
            return (loop(b, "serial", "k", b.index(what.k), loop(b, "vector", "c", width, put)),)
        end = b.least(b.add(b.var("strip"), b.index(STRIP)), b.index(what.k))
        inside = loop(b, "serial", "c", width, Loop("serial", "k", b.var("strip"), end, b.index(1), (put,)))
        return (Loop("serial", "strip", b.index(0), b.index(what.k), b.index(STRIP), (inside,)),)
    rest = Loop("vector", "c", b.var("columns"), lanes, b.index(1), (Store("packed_b", at, what.zero()),))
    edge = (*copy(b.var("columns")), loop(b, "serial", "k", b.index(what.k), rest))
    return (*_part(layout, layout.panels, "panel"), Let("left", b.mul(b.var("panel"), lanes)),
            Let("columns", b.least(b.sub(b.index(what.n), b.var("left")), lanes)),
            If(b.op("eq", "bool", b.var("columns"), lanes), copy(lanes), edge))
