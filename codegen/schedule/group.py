"""The row of a work-group, or of one of its teams: reductions shared by the items and joined in local memory, maps strided over the items.

The teams of a group meet at the same barriers, so those that have no row go along and do nothing in between.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from codegen.kernel import Accumulate, Alloc, Atomic, Barrier, Expr, Flag, If, Loop, Stmt, Store, walk
from codegen.schedule.common import Context, linear_loop, loaded, peel, points, stored
from codegen.schedule.reduction import accumulates, nest, private_copies, redirect, sequential
from codegen.target import Target

LARGEST = 256
Tiles = dict[tuple[str, int], Alloc]


class Team(NamedTuple):
    """A team with a row of its own: its number, how many there are in a group, and whether it has a row."""
    number: Expr
    teams: int
    busy: Expr


def group_size(body: tuple[Stmt, ...], target: Target) -> int:
    """The largest power of two of work-items whose tiles fit into local memory."""
    need = max((sum(_bytes(v.dtype) for a in _distinct(s.body) for v in a.values)
                for s in walk(body) if isinstance(s, Loop) and s.kind == "reduce"), default=0)
    size = 1
    while 2 * size <= min(LARGEST, target.max_group) and 2 * size * need <= target.local_bytes:
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
    return tuple(row.tiles.values()), (*out, Barrier()) if row.met else out


class _Row:
    """One row under way: the local arrays made so far and the buffers written since the last meeting of the group."""

    def __init__(self, ctx: Context, item: Expr, size: int, private: set[str], team: Team | None) -> None:
        self.ctx, self.item, self.size, self.private, self.team = ctx, item, size, private, team
        self.first = ctx.b.index(0) if team is None else ctx.b.mul(team.number, ctx.b.index(size))
        self.place = ctx.b.add(self.first, item)
        self.tiles: Tiles = {}
        self.fresh: set[str] = set()
        self.met = False

    def statements(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Statements of a row; one that reads what other items wrote comes after a barrier."""
        out: list[Stmt] = []
        for stmt in body:
            if self.fresh & loaded((stmt,)):
                out.append(Barrier())
                self.fresh, self.met = set(), True
            out += self._statement(stmt)
            self.fresh |= stored((stmt,)) - self.private
        return tuple(out)

    def _statement(self, stmt: Stmt) -> tuple[Stmt, ...]:
        if isinstance(stmt, Loop):
            return self._reduce(stmt) if stmt.kind == "reduce" else self._busy(self._map(stmt))
        if isinstance(stmt, If):
            return (stmt._replace(then=self.statements(stmt.then), orelse=self.statements(stmt.orelse)),)
        if isinstance(stmt, Flag | Atomic) or (isinstance(stmt, Store) and stmt.buffer not in self.private):
            return self._busy((If(self.ctx.b.op("eq", "bool", self.item, self.ctx.b.index(0)), (stmt,)),))
        return (stmt,)

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
        b, zero, tiles = self.ctx.b, self.ctx.b.index(0), self._tiles(outside)
        put = [Store(tiles[t], self.place, b.load(renamed[t], v.dtype, zero)) for a in outside for t, v in zip(a.targets, a.values)]
        out: list[Stmt] = [*put, Barrier()]
        half = self.size // 2
        while half:
            out += [If(b.less(self.item, b.index(half)), self._merges(outside, tiles, half)), Barrier()]
            half //= 2
        out += [Accumulate(a.targets, zero, a.combine, tuple(b.load(tiles[t], v.dtype, self.first) for t, v in zip(a.targets, a.values)))
                for a in outside]
        self.fresh = set()
        return (*out, Barrier())

    def _merges(self, outside: list[Accumulate], tiles: dict[str, str], half: int) -> tuple[Stmt, ...]:
        other = self.ctx.b.add(self.place, self.ctx.b.index(half))
        return tuple(Accumulate(tuple(tiles[t] for t in a.targets), self.place, a.combine,
                                tuple(self.ctx.b.load(tiles[t], v.dtype, other) for t, v in zip(a.targets, a.values))) for a in outside)

    def _tiles(self, outside: list[Accumulate]) -> dict[str, str]:
        """A local array for each accumulator; stages share them, as a barrier stands between any two."""
        count = 1 if self.team is None else self.team.teams
        taken: dict[str, int] = {}
        found: dict[str, str] = {}
        for stmt in outside:
            for target, value in zip(stmt.targets, stmt.values):
                slot = (value.dtype, taken.get(value.dtype, 0))
                taken[value.dtype] = slot[1] + 1
                if slot not in self.tiles:
                    self.tiles[slot] = Alloc(self.ctx.names.fresh("tile"), value.dtype, self.size * count, "local")
                found[target] = self.tiles[slot].name
        return found
