"""The loops of prefix scans on GPUs: a row, or a part of one, to a work-group.

A group scans blocks of some elements per item, which it reads and writes as they lie in memory and turns in local memory, so that each
item has neighbours for itself: it scans them alone, the items' totals are scanned together, and both are joined with what came before.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.kernel import Alloc, Barrier, Expr, If, Let, Loop, Stmt, Store
from codegen.lower.prefix_forms import GROUPS_PER_UNIT, Part, Scan, preamble, row_indices
from codegen.target import Target
from exprgraph.dims import Dim, maximum, minimum, product

LARGEST = 256
BYTES = 32
"""What an item scans alone where rows are long."""
WAYS = 4
"""How many totals a sweep joins into one."""
SHORT = 4
"""Up to how many elements per item of a group a row counts as short: then an item scans one."""


def most_each(dtype: str) -> int:
    """The elements of a block per item where rows are long."""
    return min(BYTES // int(np.dtype(dtype).itemsize), 8)


def group_size(scan: Scan, target: Target, each: int) -> int:
    """The largest power of two of items whose blocks and totals fit into local memory."""
    room = min(LARGEST, target.max_group, target.local_bytes // ((each + 5) * int(np.dtype(scan.dtype).itemsize)))
    return 1 << (max(room, 1).bit_length() - 1)


def is_long(scan: Scan, target: Target) -> Dim:
    """1 where rows suit the form with several elements per item, else 0."""
    return minimum(scan.n // (SHORT * group_size(scan, target, most_each(scan.dtype)) + 1), 1)


def by_group(scan: Scan, target: Target, part: Part, each: int) -> tuple[Stmt, ...]:
    """A row or part to a work-group, in blocks of `each` elements per item, or of fewer where there are fewer items."""
    size = group_size(scan, target, each)
    each = min(each, size)
    b, work = scan.builder, _Block(scan, each, size)
    zero, one, item = b.index(0), b.index(1), b.var("item")
    tasks = product(scan.outer) * part.number
    groups = maximum(minimum(tasks, target.units * GROUPS_PER_UNIT), 1)
    rows, lets = row_indices(scan, part)
    before, start, stop = work.begin(part)
    blocks = Loop("serial", "base", start, stop, b.index(size * each), work.turned(rows, stop) if each > 1 else work.plain(rows, stop))
    loop = Loop("serial", "task", b.var("group"), b.index(tasks), b.index(groups), (*lets, *before, blocks))
    free = If(b.less(item, b.index(work.pad)), tuple(Store(t, item, scan.identity()) for t in work.totals))
    local = Loop("local", "item", zero, b.index(size), one, (free, loop))
    return (Loop("group", "group", zero, b.index(groups), one, (*work.arrays(), local)),)


class _Block:
    """What the items of a group do with a block of a row: `size` items, `each` elements to one.

    Totals lie behind `pad` elements that hold the running result of no values, in two arrays of which a sweep reads one and writes the
    other.
    """
    totals = ("total", "other")

    def __init__(self, scan: Scan, each: int, size: int) -> None:
        self.scan, self.each, self.size, self.b = scan, each, size, scan.builder
        self.sweeps, distance = list[tuple[int, int]](), 1
        while distance < size:
            self.sweeps.append((distance, min(WAYS, size // distance)))
            distance *= self.sweeps[-1][1]
        self.pad = max(((ways - 1) * d for d, ways in self.sweeps), default=1)
        self.item, self.last = self.b.var("item"), self.totals[len(self.sweeps) % 2]

    def arrays(self) -> tuple[Stmt, ...]:
        """The local arrays."""
        tile = [Alloc("tile", self.scan.dtype, self.size * (self.each + 1), "local")] if self.each > 1 else []
        return (*tile, *(Alloc(t, self.scan.dtype, self.pad + self.size, "local") for t in self.totals))

    def total(self, array: str, back: int = 0) -> Expr:
        """The total of the item that lies some items back."""
        return self.scan.read(array, self.b.add(self.item, self.b.index(self.pad - back)))

    def whole(self) -> Expr:
        """The total of all items, after the sweeps."""
        return self.scan.read(self.last, self.b.index(self.pad + self.size - 1))

    def sweep(self, mine: Expr) -> tuple[Stmt, ...]:
        """From each item's total to that of all items up to it: after a sweep over distance d, of w totals, each covers w * d items."""
        out: list[Stmt] = [Store(self.totals[0], self.b.add(self.item, self.b.index(self.pad)), mine), Barrier()]
        for number, (distance, ways) in enumerate(self.sweeps):
            old, new = self.totals[number % 2], self.totals[1 - number % 2]
            found = [self.total(old, k * distance) for k in range(ways)][::-1]
            while len(found) > 1:
                found = [self.scan.merge(x, y) for x, y in zip(found[::2], found[1::2])]
            out += [Store(new, self.b.add(self.item, self.b.index(self.pad)), found[0]), Barrier()]
        return tuple(out)

    def begin(self, part: Part) -> tuple[tuple[Stmt, ...], Expr, Expr]:
        """What stands before a part of row `row` is scanned: its bounds, and the carry out of the parts before it, which the items fold
        together; and the bounds."""
        before, start, stop = preamble(self.scan, part, self.item, self.size)
        if part.folds:
            zero = self.b.index(0)
            before += (*self.sweep(self.scan.read("carry", zero)), Store("carry", zero, self.whole()), Barrier())
        return before, start, stop

    def plain(self, rows: Sequence[Expr], stop: Expr) -> tuple[Stmt, ...]:
        """A block of one element per item, which needs no turning."""
        b, scan, zero, position = self.b, self.scan, self.b.index(0), self.b.var("position")
        inside, carry = b.less(position, stop), scan.read("carry", zero)
        keep = (Let("running", scan.merge(carry, self.total(self.last))), *scan.store(b.var("running", scan.dtype), *rows, position))
        return (Let("position", b.add(b.var("base"), self.item)), Alloc("mine", scan.dtype, 1, "private", scan.identity()),
                If(inside, (Store("mine", zero, scan.load(*rows, position)),)), *self.sweep(scan.read("mine", zero)), If(inside, keep),
                Store("carry", zero, scan.merge(carry, self.whole())), Barrier())

    def turned(self, rows: Sequence[Expr], stop: Expr) -> tuple[Stmt, ...]:
        """A block of several elements per item.  An item writes the places of the tile that it reads last in the block before, so that no
        meeting is needed there."""
        b, scan, zero, each, dtype = self.b, self.scan, self.b.index(0), self.each, self.scan.dtype
        position, running, carry = b.var("position"), b.var("running", dtype), scan.read("carry", zero)
        place = b.add(b.var("spot"), b.mul(b.var("turn"), b.index(self.size + self.size // each)))
        inside = b.less(position, stop)

        def turns(*body: Stmt) -> Loop:
            at = b.add(b.add(b.var("base"), b.mul(b.var("turn"), b.index(self.size))), self.item)
            return Loop("unroll", "turn", zero, b.index(each), b.index(1), (Let("position", at), *body))
        fill = turns(If(inside, (Store("tile", place, scan.load(*rows, position)),), (Store("tile", place, scan.identity()),)))
        keep = turns(If(inside, (Let("running", scan.read("tile", place)), *scan.store(running, *rows, position))))
        places = [b.add(b.var("own"), b.index(u)) for u in range(each)]
        sums: list[Stmt] = [Let("sum0", scan.read("tile", places[0]))]
        sums += [Let(f"sum{u}", scan.merge(b.var(f"sum{u - 1}", dtype), scan.read("tile", places[u]))) for u in range(1, each)]
        ends = [Store("tile", places[u], scan.merge(b.var("start", dtype), b.var(f"sum{u}", dtype))) for u in range(each)]
        return (Let("spot", b.add(self.item, b.div(self.item, b.index(each)))), Let("own", b.mul(self.item, b.index(each + 1))), fill,
                Barrier(), *sums, *self.sweep(b.var(f"sum{each - 1}", dtype)), Let("start", scan.merge(carry, self.total(self.last, 1))),
                *ends, Store("carry", zero, scan.merge(carry, self.whole())), Barrier(), keep)
