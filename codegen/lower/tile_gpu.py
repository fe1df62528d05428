"""Contractions on a GPU: a work-group for each tile of results, each item with a square of them; slices of both factors in local memory.

A slice is some steps of k deep.  While items multiply one slice, what they are to put into the next is on its way into their registers.
An item's results lie in runs of `RUN`, so that it reads its factors from local memory several at a time, and a slice's rows are padded, so
that items which write neighbours of a row of memory meet different banks.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from codegen.kernel import Accumulate, Alloc, Barrier, Expr, If, Let, Loop, Stmt, Store
from codegen.lower.product_parts import Contraction, batch_indices, finish, loop
from codegen.schedule.common import below, unit_step
from exprgraph.dims import Dim, ceildiv, product
from exprgraph.ops.rows import row

RUN = 4
FUSED = row("multiply_add", lambda x, y, total: x * y + total, {"f": "EG_FMA{S}({0}, {1}, {2})"}, arity=3)
"""The step of a sum of products of floats, rounded once."""
Finish = Callable[[Sequence[Expr], Expr, Expr, Expr], tuple[Stmt, ...]]


class Tile(NamedTuple):
    """Items along a side of a tile, and results along a side of an item's square."""
    side: int
    each: int

    @property
    def edge(self) -> int:
        """Results along a side of the tile."""
        return self.side * self.each

    @property
    def depth(self) -> int:
        """Steps of k in a slice: fewer of the large ones, so that what is on its way fits into registers."""
        return max(self.side * RUN // max(self.each, RUN), 1)

    @property
    def items(self) -> int:
        """Work-items of a group."""
        return self.side * self.side

    @property
    def pitch(self) -> int:
        """Elements from one step of k to the next in local memory."""
        return self.edge + RUN

    @property
    def turns(self) -> int:
        """Elements of a slice that an item brings."""
        return self.edge * self.depth // self.items


class Parts(NamedTuple):
    """Groups that share the sums of a tile, each a range of k: how many, and what one does with its results."""
    number: Dim
    finish: Finish


def groups(what: Contraction, tile: Tile) -> Dim:
    """The tiles of all results."""
    return ceildiv(what.m, tile.edge) * ceildiv(what.n, tile.edge) * product(what.batch)


def tiled(what: Contraction, tile: Tile, parts: Parts | None = None) -> tuple[Stmt, ...]:
    """The tree; with parts, the number of a group's part is the variable "part"."""
    b, (batch, lets) = what.builder, batch_indices(what)
    use = parts.finish if parts is not None else lambda *a: finish(what, *a)
    item = b.add(b.mul(b.var("item1"), b.index(tile.side)), b.var("item0"))
    body = (*_place(what, tile, parts), *lets, Let("item", item), *_Square(what, tile, batch).statements(use))
    for axis in range(2):
        body = (loop(b, "local", f"item{axis}", tile.side, *body)._replace(axis=axis),)
    slices = [Alloc(name, what.dtype, tile.depth * tile.pitch, "local") for name in ("tile_a", "tile_b")]
    count = groups(what, tile) if parts is None else groups(what, tile) * parts.number
    return (loop(b, "group", "group", b.index(count), *slices, *body),)


def _place(what: Contraction, tile: Tile, parts: Parts | None) -> tuple[Stmt, ...]:
    """Which tile of which batch a group has, where that begins, and the steps of k that are summed."""
    b, linear, lets = what.builder, what.builder.var("group"), list[Stmt]()
    for name, size in (("left", ceildiv(what.n, tile.edge)), ("top", ceildiv(what.m, tile.edge))):
        lets.append(Let(name, b.mul(b.mod(linear, b.index(size)), b.index(tile.edge))))
        linear = b.div(linear, b.index(size))
    if parts is None:
        return (*lets, Let("batch", linear), Let("begin", b.index(0)), Let("end", b.index(what.k)))
    batches = b.index(product(what.batch))
    begin = b.mul(b.div(linear, batches), b.index(each := ceildiv(ceildiv(what.k, tile.depth), parts.number) * tile.depth))
    return (*lets, Let("batch", b.mod(linear, batches)), Let("part", b.div(linear, batches)), Let("begin", begin),
            Let("end", b.least(b.add(begin, b.index(each)), b.index(what.k))))


class _Square:
    """What an item does: it brings its share of each slice and adds up its square of results."""

    def __init__(self, what: Contraction, tile: Tile, batch: Sequence[Expr]) -> None:
        self.what, self.tile, self.batch, self.b = what, tile, batch, what.builder

    def statements(self, use: Finish) -> tuple[Stmt, ...]:
        """All sums from "begin" to "end", and what is done with them."""
        b, what, tile = self.b, self.what, self.tile
        following = b.add(b.var("first"), b.index(tile.depth))
        around = Loop("serial", "first", b.var("begin"), b.var("end"), b.index(tile.depth),
                      (*self._bring(following), self._multiplied(), Barrier(), *self._put(), Barrier()))
        ahead = [Alloc(name, what.dtype, tile.turns, "private") for name in ("next_a", "next_b")]
        return (Alloc("sums", what.dtype, tile.each * tile.each, "private", what.zero()), *ahead,
                *self._bring(b.var("begin")), *self._put(), Barrier(), around, self._finished(use))

    def _shares(self) -> tuple[tuple[str, Expr, Expr, Expr], ...]:
        """For each factor the place in its slice that turn "u" is for, as element of an edge and step of k, and where that lies."""
        return tuple((name, *self._share(turned)) for name, turned in
                     (("a", not self._along_k(self.what.load_a, True)), ("b", not self._along_k(self.what.load_b, False))))

    def _along_k(self, load: Callable[..., Expr], default: bool) -> bool:
        """Whether neighbours along k, rather than along the other axis, lie side by side in memory."""
        b = self.b
        edge, k = b.var("along_edge"), b.var("along_k")
        value = load(*self.batch, *((edge, k) if default else (k, edge)))
        places = [e.args[0] for e in below(value) if e.kind == "load"]
        steps = [any(unit_step(p, name) for p in places) for name in ("along_k", "along_edge")]
        return default if steps[0] == steps[1] else steps[0]

    def _share(self, across: bool) -> tuple[Expr, Expr, Expr]:
        """Neighbouring items bring neighbours along the edge (across) or along k."""
        b, tile, item = self.b, self.tile, self.b.var("item")
        near = b.index(tile.edge if across else tile.depth)
        far = b.add(b.mul(b.var("u"), b.index(tile.items // (tile.edge if across else tile.depth))), b.div(item, near))
        element, k = (b.mod(item, near), far) if across else (far, b.mod(item, near))
        return element, k, b.add(b.mul(k, b.index(tile.pitch)), element)

    def _bring(self, first: Expr) -> tuple[Stmt, ...]:
        """This item's share of the slice that begins at a step of k, zero beyond the edges, into registers."""
        b, what = self.b, self.what
        found = list[Stmt]()
        for name, element, k, _ in self._shares():
            corner, limit, read = ("top", what.m, what.load_a) if name == "a" else ("left", what.n, what.load_b)
            at, step = b.add(b.var(corner), element), b.add(first, k)
            valid = b.both(b.less(at, b.index(limit)), b.less(step, b.var("end")))
            value = read(*self.batch, *((at, step) if name == "a" else (step, at)))
            one = If(valid, (Store(f"next_{name}", b.var("u"), value),), (Store(f"next_{name}", b.var("u"), what.zero()),))
            found.append(loop(b, "unroll", "u", self.tile.turns, one))
        return tuple(found)

    def _put(self) -> tuple[Stmt, ...]:
        """What is in registers, into local memory."""
        b, u = self.b, self.b.var("u")
        return tuple(loop(b, "unroll", "u", self.tile.turns, Store(f"tile_{name}", place, self.what.read(f"next_{name}", u)))
                     for name, _, _, place in self._shares())

    def _along(self, number: Expr, item: Expr) -> Expr:
        """Where along the edge a result of an item lies: in runs, of which the items of a side take turns."""
        b, run = self.b, min(RUN, self.tile.each)
        return b.add(b.mul(b.div(number, b.index(run)), b.index(self.tile.side * run)),
                     b.add(b.mul(item, b.index(run)), b.mod(number, b.index(run))))

    def _multiplied(self) -> Stmt:
        """The outer products of a slice's steps, added to the sums."""
        b, tile, dtype = self.b, self.tile, self.what.dtype
        p, r, c = b.var("p"), b.var("r"), b.var("c")
        made = list[Stmt]()
        for name, slice_, number, item in (("column", "tile_a", r, "item1"), ("line", "tile_b", c, "item0")):
            at = b.add(b.mul(p, b.index(tile.pitch)), self._along(number, b.var(item)))
            made += [Alloc(name, dtype, tile.each, "private"),
                     loop(b, "unroll", number.value, tile.each, Store(name, number, self.what.read(slice_, at)))]
        step = self._step(b.add(b.mul(r, b.index(tile.each)), c), self.what.read("column", r), self.what.read("line", c))
        square = loop(b, "unroll", "r", tile.each, loop(b, "unroll", "c", tile.each, step))
        return loop(b, "unroll", "p", tile.depth, *made, square)

    def _step(self, at: Expr, left: Expr, right: Expr) -> Stmt:
        if self.what.dtype.startswith("float"):
            return Store("sums", at, self.b.op(FUSED, self.what.dtype, left, right, self.what.read("sums", at)))
        return Accumulate(("sums",), at, "sum", (self.what.times(left, right),))

    def _finished(self, use: Finish) -> Stmt:
        """What is done with the results inside the edges."""
        b, what, each, r, c = self.b, self.what, self.tile.each, self.b.var("r"), self.b.var("c")
        i, j = (b.add(b.var(corner), self._along(v, b.var(item))) for corner, v, item in (("top", r, "item1"), ("left", c, "item0")))
        valid = b.both(b.less(i, b.index(what.m)), b.less(j, b.index(what.n)))
        done = If(valid, use(self.batch, i, j, what.read("sums", b.add(b.mul(r, b.index(each)), c))))
        return loop(b, "unroll", "r", each, loop(b, "unroll", "c", each, done))
