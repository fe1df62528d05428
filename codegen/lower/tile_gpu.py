"""Contractions on a GPU: a work-group for each tile of results, each item with some of them; slices of both factors in local memory.

A slice is some steps of k deep.  While items multiply one slice, what they are to put into the next is on its way into their registers.
An item's results lie in runs of `RUN`, so that it reads its factors from local memory several at a time, and a slice's rows are padded, so
that items which write neighbours of a row of memory meet different banks.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.kernel import Accumulate, Alloc, Barrier, Expr, If, Let, Loop, Stmt, Store
from codegen.lower.product_parts import Contraction, batch_indices, finish, loop
from codegen.schedule.common import below, unit_step
from exprgraph.dims import Dim, ceildiv, product
from exprgraph.named import NamedTuple
from exprgraph.ops.rows import row

RUN = 4
FUSED = row("multiply_add", lambda x, y, total: x * y + total, {"f": "EG_FMA{S}({0}, {1}, {2})"}, arity=3)
"""The step of a sum of products of floats, rounded once."""
Finish = Callable[[Sequence[Expr], Expr, Expr, Expr], tuple[Stmt, ...]]


class Tile(NamedTuple):
    """Items along a side of a tile, and rows and columns of an item's results."""
    side: int
    rows: int
    columns: int

    @property
    def height(self) -> int:
        """Rows of results."""
        return self.side * self.rows

    @property
    def width(self) -> int:
        """Columns of results."""
        return self.side * self.columns

    @property
    def depth(self) -> int:
        """Steps of k in a slice: fewer of the large ones, so that what is on its way fits into registers."""
        return max(self.side * RUN // max(min(self.rows, self.columns), RUN), 1)

    @property
    def local(self) -> int:
        """Elements in local memory."""
        return self.depth * (self.height + self.width + 2 * RUN)


class Side(NamedTuple):
    """One factor as a tile sees it: its name, the tile's edge along it, results of an item there, the item's number there, where the tile
    begins, the size, how an element is read at (edge, k), and whether neighbours in memory are neighbours along the edge."""
    name: str
    edge: int
    each: int
    item: str
    corner: str
    size: Dim
    read: Callable[[Expr, Expr], Expr]
    across: bool

    @property
    def pitch(self) -> int:
        """Elements from one step of k to the next in local memory."""
        return self.edge + RUN


class Parts(NamedTuple):
    """Groups that share the sums of a tile, each a range of k: how many, and what one does with its results."""
    number: Dim
    finish: Finish


def groups(what: Contraction, tile: Tile) -> Dim:
    """The tiles of all results."""
    return ceildiv(what.m, tile.height) * ceildiv(what.n, tile.width) * product(what.batch)


def tiled(what: Contraction, tile: Tile, parts: Parts | None = None) -> tuple[Stmt, ...]:
    """The tree; with parts, the number of a group's part is the variable "part"."""
    b, (batch, lets) = what.builder, batch_indices(what)
    use = parts.finish if parts is not None else lambda *a: finish(what, *a)
    item = b.add(b.mul(b.var("item1"), b.index(tile.side)), b.var("item0"))
    body = (*_place(what, tile, parts), *lets, Let("item", item), *_Item(what, tile, batch).statements(use))
    for axis in range(2):
        body = (loop(b, "local", f"item{axis}", tile.side, *body)._replace(axis=axis),)
    slices = [Alloc(f"tile_{name}", what.dtype, tile.depth * (edge + RUN), "local") for name, edge in zip("ab", (tile.height, tile.width))]
    count = groups(what, tile) if parts is None else groups(what, tile) * parts.number
    return (loop(b, "group", "group", b.index(count), *slices, *body),)


def _place(what: Contraction, tile: Tile, parts: Parts | None) -> tuple[Stmt, ...]:
    """Which tile of which batch a group has, where that begins, and the steps of k that are summed."""
    b, linear, lets = what.builder, what.builder.var("group"), list[Stmt]()
    for name, size, edge in (("left", what.n, tile.width), ("top", what.m, tile.height)):
        count = b.index(ceildiv(size, edge))
        lets.append(Let(name, b.mul(b.mod(linear, count), b.index(edge))))
        linear = b.div(linear, count)
    if parts is None:
        return (*lets, Let("batch", linear), Let("begin", b.index(0)), Let("end", b.index(what.k)))
    batches = b.index(product(what.batch))
    begin = b.mul(b.div(linear, batches), b.index(each := ceildiv(ceildiv(what.k, tile.depth), parts.number) * tile.depth))
    return (*lets, Let("batch", b.mod(linear, batches)), Let("part", b.div(linear, batches)), Let("begin", begin),
            Let("end", b.least(b.add(begin, b.index(each)), b.index(what.k))))


class _Item:
    """What an item does: it brings its share of each slice and adds up its results."""

    def __init__(self, what: Contraction, tile: Tile, batch: Sequence[Expr]) -> None:
        self.what, self.tile, self.b = what, tile, what.builder

        def right(j: Expr, k: Expr) -> Expr:
            return what.load_b(*batch, k, j)

        def left(i: Expr, k: Expr) -> Expr:
            return what.load_a(*batch, i, k)
        self.batch = batch
        self.a = Side("a", tile.height, tile.rows, "item1", "top", what.m, left, self._across(left, False))
        self.c = Side("b", tile.width, tile.columns, "item0", "left", what.n, right, self._across(right, True))

    def _across(self, read: Callable[[Expr, Expr], Expr], default: bool) -> bool:
        """Whether neighbours along the edge, rather than along k, lie side by side in memory."""
        b = self.b
        places = [e.args[0] for e in below(read(b.var("along_edge"), b.var("along_k"))) if e.kind == "load"]
        edge, k = (any(unit_step(p, name) for p in places) for name in ("along_edge", "along_k"))
        return default if edge == k else edge

    def statements(self, use: Finish) -> tuple[Stmt, ...]:
        """All sums from "begin" to "end", and what is done with them."""
        b, what, tile, sides = self.b, self.what, self.tile, (self.a, self.c)
        following = b.add(b.var("first"), b.index(tile.depth))
        around = Loop("serial", "first", b.var("begin"), b.var("end"), b.index(tile.depth),
                      (*(self._bring(s, following) for s in sides), self._multiplied(), Barrier(), *map(self._put, sides), Barrier()))
        ahead = [Alloc(f"next_{s.name}", what.dtype, self._turns(s), "private") for s in sides]
        return (Alloc("sums", what.dtype, tile.rows * tile.columns, "private", what.zero()), *ahead,
                *(self._bring(s, b.var("begin")) for s in sides), *map(self._put, sides), Barrier(), around, self._finished(use))

    def _turns(self, side: Side) -> int:
        """Elements of a slice that an item brings."""
        return side.edge * self.tile.depth // self.tile.side**2

    def _share(self, side: Side) -> tuple[Expr, Expr]:
        """Which element along the edge and which step of k turn "u" is for: neighbouring items bring neighbours in memory."""
        b, near = self.b, side.edge if side.across else self.tile.depth
        item = b.var("item")
        far = b.add(b.mul(b.var("u"), b.index(self.tile.side**2 // near)), b.div(item, b.index(near)))
        here = b.mod(item, b.index(near))
        return (here, far) if side.across else (far, here)

    def _bring(self, side: Side, first: Expr) -> Stmt:
        """This item's share of the slice that begins at a step of k, zero beyond the edges, into registers."""
        b, (element, k) = self.b, self._share(side)
        at, step, ahead = b.add(b.var(side.corner), element), b.add(first, k), f"next_{side.name}"
        valid = b.both(b.less(at, b.index(side.size)), b.less(step, b.var("end")))
        one = If(valid, (Store(ahead, b.var("u"), side.read(at, step)),), (Store(ahead, b.var("u"), self.what.zero()),))
        return loop(b, "unroll", "u", self._turns(side), one)

    def _put(self, side: Side) -> Stmt:
        """What is in registers, into local memory."""
        b, (element, k) = self.b, self._share(side)
        place = b.add(b.mul(k, b.index(side.pitch)), element)
        return loop(b, "unroll", "u", self._turns(side), Store(f"tile_{side.name}", place, self.what.read(f"next_{side.name}", b.var("u"))))

    def _along(self, side: Side, number: Expr) -> Expr:
        """Where along the edge a result of an item lies: in runs, of which the items of a side take turns."""
        b, run = self.b, min(RUN, side.each)
        return b.add(b.mul(b.div(number, b.index(run)), b.index(self.tile.side * run)),
                     b.add(b.mul(b.var(side.item), b.index(run)), b.mod(number, b.index(run))))

    def _multiplied(self) -> Stmt:
        """The outer products of a slice's steps, added to the sums."""
        b, tile, p, r, c = self.b, self.tile, self.b.var("p"), self.b.var("r"), self.b.var("c")
        made = list[Stmt]()
        for side, name, number in ((self.a, "column", r), (self.c, "line", c)):
            at = b.add(b.mul(p, b.index(side.pitch)), self._along(side, number))
            made += [Alloc(name, self.what.dtype, side.each, "private"),
                     loop(b, "unroll", number.value, side.each, Store(name, number, self.what.read(f"tile_{side.name}", at)))]
        step = self._step(self._sum(), self.what.read("column", r), self.what.read("line", c))
        square = loop(b, "unroll", "r", tile.rows, loop(b, "unroll", "c", tile.columns, step))
        return loop(b, "unroll", "p", tile.depth, *made, square)

    def _sum(self) -> Expr:
        """The place of the sum of row "r" and column "c"."""
        return self.b.add(self.b.mul(self.b.var("r"), self.b.index(self.tile.columns)), self.b.var("c"))

    def _step(self, at: Expr, left: Expr, right: Expr) -> Stmt:
        if self.what.dtype.startswith("float"):
            return Store("sums", at, self.b.op(FUSED, self.what.dtype, left, right, self.what.read("sums", at)))
        return Accumulate(("sums",), at, "sum", (self.what.times(left, right),))

    def _finished(self, use: Finish) -> Stmt:
        """What is done with the results inside the edges."""
        b, what = self.b, self.what
        i, j = (b.add(b.var(s.corner), self._along(s, b.var(number))) for s, number in ((self.a, "r"), (self.c, "c")))
        valid = b.both(b.less(i, b.index(what.m)), b.less(j, b.index(what.n)))
        done = If(valid, use(self.batch, i, j, what.read("sums", self._sum())))
        return loop(b, "unroll", "r", self.tile.rows, loop(b, "unroll", "c", self.tile.columns, done))
