"""The row of a work-group, or of one of its teams: reductions shared by the items and joined in local memory, maps strided over the items.

The teams of a group meet at the same barriers, so those that have no row go along and do nothing in between.
"""
from __future__ import annotations

from collections import Counter

import numpy as np

from codegen.kernel import Accumulate, Alloc, Atomic, Barrier, Expr, Flag, If, Loop, Stmt, Store, walk
from codegen.schedule.common import Context, linear_loop, loaded, peel, points, stored
from codegen.schedule.reduction import accumulates, nest, private_copies, redirect, sequential
from codegen.target import Target
from exprgraph.named import NamedTuple

LARGEST = 256
FAN, LAST = 8, 8
"""Partial results that an item joins between two barriers, and that every item joins after the last one."""
Tiles = dict[tuple[str, int, int], Alloc]


class Team(NamedTuple):
    """A team with a row of its own: its number, how many there are in a group, and whether it has a row."""
    number: Expr
    teams: int
    busy: Expr


def group_size(body: tuple[Stmt, ...], target: Target, most: int = LARGEST) -> int:
    """The largest power of two of work-items whose tiles fit into local memory: of each dtype those of any two reductions."""
    loops = [s for s in walk(body) if isinstance(s, Loop) and s.kind == "reduce"]
    counts = [Counter(v.dtype for a in _distinct(s.body) for v in a.values) for s in loops]
    need = sum(_bytes(t) * sum(sorted(c[t] for c in counts)[-2:]) for t in {t for c in counts for t in c})
    size = 1
    while 2 * size <= min(most, target.max_group) and 2 * size * need <= target.local_bytes:
        size *= 2
    return size


def _bytes(dtype: str) -> int:
    return int(np.dtype(dtype).itemsize)


def _distinct(body: tuple[Stmt, ...]) -> list[Accumulate]:
    """One Accumulate for each accumulator that the tree reaches outside itself."""
    own = {s.name for s in walk(body) if isinstance(s, Alloc)}
    return list({a.targets: a for a in accumulates(body) if a.targets[0] not in own}.values())


def cooperative(ctx: Context, body: tuple[Stmt, ...], item: Expr, size: int,
                team: Team | None = None) -> tuple[tuple[Stmt, ...], tuple[Stmt, ...]]:
    """The local arrays and the statements of a row whose work the items of a group, or of a team, share."""
    row = _Row(ctx, item, size, {s.name for s in walk(body) if isinstance(s, Alloc)}, team)
    out = row.statements(body)
    again = row.met or 0 in row.unread or (row.unread and row.branched)
    return tuple(row.tiles.values()), (*out, Barrier()) if again else out


class _Row:
    """One row under way: the local arrays made so far, the buffers written since the last meeting of the group, those written in the row,
    the reductions, even or odd, whose results items may still be about to read, and which of both comes next."""

    def __init__(self, ctx: Context, item: Expr, size: int, private: set[str], team: Team | None) -> None:
        self.ctx, self.item, self.size, self.private, self.team = ctx, item, size, private, team
        self.first = ctx.b.index(0) if team is None else ctx.b.mul(team.number, ctx.b.index(size))
        self.place = ctx.b.add(self.first, item)
        self.tiles: Tiles = {}
        self.fresh, self.written, self.unread = set[str](), set[str](), set[int]()
        self.met, self.branched, self.turn = False, False, 0

    def statements(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Statements of a row; one that reads what other items wrote comes after a barrier."""
        out: list[Stmt] = []
        for stmt in body:
            reads = loaded((stmt,))
            if self.fresh & reads:
                out.append(Barrier())
                self.fresh, self.unread = set(), set()
            self.met |= bool(self.written & reads)
            out += self._statement(stmt)
            made = stored((stmt,)) - self.private
            self.written |= made
            self.fresh |= set() if isinstance(stmt, Loop) and stmt.kind == "reduce" and _distinct(stmt.body) else made
        return tuple(out)

    def _statement(self, stmt: Stmt) -> tuple[Stmt, ...]:
        if isinstance(stmt, Loop):
            return self._reduce(stmt) if stmt.kind == "reduce" else self._busy(self._map(stmt))
        if isinstance(stmt, If):
            return (self._either(stmt),)
        if isinstance(stmt, Flag | Atomic) or (isinstance(stmt, Store) and stmt.buffer not in self.private):
            return self._busy((If(self.ctx.b.op("eq", "bool", self.item, self.ctx.b.index(0)), (stmt,)),))
        return (stmt,)

    def _either(self, stmt: If) -> If:
        """Both branches; afterwards everything holds that may hold after one of them."""
        fresh, unread = set(self.fresh), set(self.unread)
        then = self.statements(stmt.then)
        after, left = self.fresh, self.unread
        self.fresh, self.unread = set(fresh), set(unread)
        orelse = self.statements(stmt.orelse)
        self.fresh, self.unread = self.fresh | after | fresh, self.unread | left | unread
        self.branched = True
        return stmt._replace(then=then, orelse=orelse)

    def _busy(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Statements between barriers, for teams that have a row."""
        return body if self.team is None or not body else (If(self.team.busy, body),)

    def _map(self, loop: Loop) -> tuple[Stmt, ...]:
        return self._strided(loop, "parallel", "serial")

    def _strided(self, loop: Loop, kind: str, becomes: str) -> tuple[Stmt, ...]:
        b, (loops, inner) = self.ctx.b, peel((loop,), kind)
        step = b.index(self.size)
        body = sequential(self.ctx, inner, 1) if becomes == "serial" else inner
        if loops:
            return (linear_loop(self.ctx, becomes, loops, self.item, b.index(points(loops)), step, body),)
        start = b.add(loop.start, b.mul(self.item, loop.step))
        body = sequential(self.ctx, loop.body, 1) if becomes == "serial" else loop.body
        return (loop._replace(kind=becomes, start=start, step=b.mul(loop.step, step), body=body),)

    def _reduce(self, loop: Loop) -> tuple[Stmt, ...]:
        """The nest over this item's share into partial results; then a tree over the items; then every item has the result."""
        if not _distinct(loop.body):
            return self._busy(self._strided(loop, "reduce", "serial"))
        outside = _distinct(loop.body)
        own = {s.name for s in walk(loop.body) if isinstance(s, Alloc)}
        allocs, renamed = private_copies(self.ctx, tuple(outside), 1)
        self.private |= set(renamed.values())
        kept = {t: n for t, n in renamed.items() if t not in own}
        body = redirect(loop.body, kept, self.ctx.b.index(0))
        shares = self._strided(loop._replace(body=body), "reduce", "reduce")
        inside = tuple(s for share in shares if isinstance(share, Loop) for s in nest(self.ctx, share, 1))
        return (*allocs, *self._busy(inside), *self._tree(outside, renamed))

    def _tree(self, outside: list[Accumulate], renamed: dict[str, str]) -> tuple[Stmt, ...]:
        """A few items join the partial results of several each, until every item can join what is left for itself.

        What is read last stays until the next barrier; the next reduction has arrays of its own, so that it need not wait for one.
        """
        b, tiles, left = self.ctx.b, self._tiles(outside), self.size
        put = self._put(outside, tiles, renamed)
        out: list[Stmt] = [*([Barrier()] if self.turn in self.unread else []), *put, Barrier()]
        while left > LAST:
            fewer = max(left // FAN, 1)
            joins = self._joins(outside, renamed, tiles, (1, left // fewer), (self.place, fewer))
            out += [If(b.less(self.item, b.index(fewer)), (joins, *put)), Barrier()]
            left = fewer
        out.append(self._joins(outside, {t: t for a in outside for t in a.targets}, tiles, (0, left), (self.first, 1)))
        self.fresh, self.unread, self.turn = set(), {self.turn}, 1 - self.turn
        return tuple(out)

    def _put(self, outside: list[Accumulate], tiles: dict[str, str], renamed: dict[str, str]) -> tuple[Stmt, ...]:
        return tuple(Store(tiles[t], self.place, self.ctx.b.load(renamed[t], v.dtype, self.ctx.b.index(0)))
                     for a in outside for t, v in zip(a.targets, a.values))

    def _joins(self, outside: list[Accumulate], into: dict[str, str], tiles: dict[str, str], span: tuple[int, int],
               places: tuple[Expr, int]) -> Stmt:
        b, k = self.ctx.b, self.ctx.b.var(self.ctx.names.fresh("other"))
        place = b.add(places[0], b.mul(k, b.index(places[1])))
        joins = tuple(Accumulate(tuple(into[t] for t in a.targets), b.index(0), a.combine,
                                 tuple(b.load(tiles[t], v.dtype, place) for t, v in zip(a.targets, a.values))) for a in outside)
        return Loop("unroll", k.value, b.index(span[0]), b.index(span[1]), b.index(1), joins)

    def _tiles(self, outside: list[Accumulate]) -> dict[str, str]:
        """A local array for each accumulator; every other reduction has the same ones."""
        count = 1 if self.team is None else self.team.teams
        taken: dict[str, int] = {}
        found: dict[str, str] = {}
        for stmt in outside:
            for target, value in zip(stmt.targets, stmt.values):
                slot = (value.dtype, self.turn, taken.get(value.dtype, 0))
                taken[value.dtype] = slot[2] + 1
                if slot not in self.tiles:
                    self.tiles[slot] = Alloc(self.ctx.names.fresh("tile"), value.dtype, self.size * count, "local")
                found[target] = self.tiles[slot].name
        return found
