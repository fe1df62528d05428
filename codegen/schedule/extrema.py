"""Maxima and minima of floats, taken of their ranks: integers that a compiler makes vectors of where it does not of floats."""
from __future__ import annotations

from collections.abc import Mapping

from codegen.combine import COMBINES
from codegen.kernel import Accumulate, Alloc, If, Loop, Stmt, walk
from codegen.ranks import INTEGER, RANKINGS
from codegen.schedule.common import Context, rebuild


def by_rank(ctx: Context, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """An unscheduled tree whose reduce loops accumulate ranks, which are joined to the accumulators after each nest."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop):
            out += _nest(ctx, stmt) if stmt.kind == "reduce" else (stmt._replace(body=by_rank(ctx, stmt.body)),)
        elif isinstance(stmt, If):
            out.append(stmt._replace(then=by_rank(ctx, stmt.then), orelse=by_rank(ctx, stmt.orelse)))
        else:
            out.append(stmt)
    return tuple(out)


def _nest(ctx: Context, loop: Loop) -> tuple[Stmt, ...]:
    b, zero, ranks = ctx.b, ctx.b.index(0), dict[str, str]()
    own = {s.name for s in walk(loop.body) if isinstance(s, Alloc)}
    before, after = list[Stmt](), list[Stmt]()
    for stmt in walk(loop.body):
        if isinstance(stmt, Accumulate) and _ranked(stmt) and stmt.targets[0] not in {*own, *ranks}:
            (target,), dtype = stmt.targets, stmt.values[0].dtype
            name, kind = ctx.names.fresh(target + "_rank"), INTEGER[dtype]
            ranks[target] = name
            before.append(Alloc(name, kind, 1, "private", *COMBINES[stmt.combine].identity(b, (kind,))))
            value = b.op(RANKINGS[stmt.combine].value, dtype, b.load(name, kind, zero))
            after.append(stmt._replace(at=zero, values=(value,)))
    return (*before, loop._replace(body=by_rank(ctx, _renamed(ctx, loop.body, ranks))), *after)


def _ranked(stmt: Accumulate) -> bool:
    """Whether an Accumulate is a maximum or minimum of floats."""
    return stmt.combine in RANKINGS and stmt.values[0].dtype in INTEGER


def _renamed(ctx: Context, body: tuple[Stmt, ...], ranks: Mapping[str, str]) -> tuple[Stmt, ...]:
    """The tree with ranks accumulated in place of the floats."""
    def change(stmt: Stmt) -> tuple[Stmt, ...]:
        if not isinstance(stmt, Accumulate) or stmt.targets[0] not in ranks:
            return (stmt,)
        rank = ctx.b.op(RANKINGS[stmt.combine].rank, INTEGER[stmt.values[0].dtype], *stmt.values)
        return (stmt._replace(targets=(ranks[stmt.targets[0]],), values=(rank,)),)
    return rebuild(body, change)
