"""Maxima and minima of floats and their places by rank: as integers, which a compiler makes vectors of where it does not of floats."""
from __future__ import annotations

from collections.abc import Mapping

from codegen.combine import COMBINES
from codegen.kernel import Accumulate, Alloc, If, Loop, Stmt, walk
from codegen.ranks import RANKINGS
from codegen.schedule.arguments import search, searchable
from codegen.schedule.common import Context, rebuild

SHORT = 64
"""The length of rows from which on places are searched for in a second pass."""


def by_rank(ctx: Context, body: tuple[Stmt, ...], wide: bool, rows: bool = False) -> tuple[Stmt, ...]:
    """An unscheduled tree whose reduce loops accumulate ranks, which are joined to the accumulators after each nest.

    wide: whether places may be beyond 2**31.  rows: whether each row is gone along for itself, so that places can be searched for.
    """
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop) and rows and stmt.kind == "reduce" and searchable(stmt):
            long = ctx.b.less(ctx.b.index(SHORT - 1), stmt.stop)
            out.append(If(long, search(ctx, stmt), _nest(ctx, stmt, wide, False)))
        elif isinstance(stmt, Loop):
            out += _nest(ctx, stmt, wide, rows) if stmt.kind == "reduce" else (stmt._replace(body=by_rank(ctx, stmt.body, wide, rows)),)
        elif isinstance(stmt, If):
            out.append(stmt._replace(then=by_rank(ctx, stmt.then, wide, rows), orelse=by_rank(ctx, stmt.orelse, wide, rows)))
        else:
            out.append(stmt)
    return tuple(out)


def _nest(ctx: Context, loop: Loop, wide: bool, rows: bool) -> tuple[Stmt, ...]:
    b, zero, ranks = ctx.b, ctx.b.index(0), dict[str, str]()
    own = {s.name for s in walk(loop.body) if isinstance(s, Alloc)}
    before, after = list[Stmt](), list[Stmt]()
    for stmt in walk(loop.body):
        if isinstance(stmt, Accumulate) and _ranked(stmt, wide) and stmt.targets[0] not in {*own, *ranks}:
            ranking, dtypes = RANKINGS[stmt.combine], tuple(v.dtype for v in stmt.values)
            name, kind = ctx.names.fresh(stmt.targets[0] + "_rank"), ranking.kinds[dtypes[0]]
            ranks[stmt.targets[0]] = name
            before.append(Alloc(name, kind, 1, "private", *COMBINES[ranking.combine].identity(b, (kind,))))
            values = tuple(b.op(row, dtype, b.load(name, kind, zero)) for row, dtype in zip(ranking.values, dtypes))
            after.append(stmt._replace(at=zero, values=values))
    return (*before, loop._replace(body=by_rank(ctx, _renamed(ctx, loop.body, ranks), wide, rows)), *after)


def _ranked(stmt: Accumulate, wide: bool) -> bool:
    """Whether an Accumulate is a maximum or minimum of floats, or their place where it fits."""
    ranking = RANKINGS.get(stmt.combine)
    return ranking is not None and stmt.values[0].dtype in ranking.kinds and not (wide and len(stmt.values) > 1)


def _renamed(ctx: Context, body: tuple[Stmt, ...], ranks: Mapping[str, str]) -> tuple[Stmt, ...]:
    """The tree with ranks accumulated in place of the floats."""
    def change(stmt: Stmt) -> tuple[Stmt, ...]:
        if not isinstance(stmt, Accumulate) or stmt.targets[0] not in ranks:
            return (stmt,)
        ranking = RANKINGS[stmt.combine]
        rank = ctx.b.op(ranking.rank, ranking.kinds[stmt.values[0].dtype], *stmt.values)
        return (stmt._replace(targets=(ranks[stmt.targets[0]],), combine=ranking.combine, values=(rank,)),)
    return rebuild(body, change)
