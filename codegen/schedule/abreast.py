"""Several rows abreast: loops along rows, merged into one loop that takes a step in each of them.

What the rows have in common is read once for all, their sums do not wait for each other, and memory is read in several streams.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from codegen.kernel import Accumulate, Alloc, Expr, If, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.rows import row_of
from codegen.schedule.common import Context, again, names_in, operations, rebuilt, stored

MOST = 12
"""Operations of a step up to which rows are merged; beyond, a row has enough to do by itself."""
PLAIN = (Alloc, Let, Loop, If, Store)
"""What rows can do abreast, besides sums."""


def mergeable(body: Sequence[Stmt], rows: set[str]) -> bool:
    """Whether rows can do these statements abreast, and gain: loops that are short of work, as long in all rows, and only accumulate.
    rows: the variables that tell the rows apart."""
    statements = tuple(body)
    inside = walk(statements)
    loops = [s for s in inside if isinstance(s, Loop)]
    if not loops or not all(s.combine == "sum" if isinstance(s, Accumulate) else isinstance(s, PLAIN) for s in inside):
        return False
    if not stored(statements) <= {s.name for s in inside if isinstance(s, Alloc)}:
        return False
    innermost = [loop for loop in loops if not any(isinstance(s, Loop) for s in loop.body)]
    if any(len(operations(loop.body)) > MOST for loop in innermost):
        return False
    work = operations(s for loop in loops for s in loop.body)
    cheap = len(work) <= 3 * MOST and not any(e.dtype != "bool" and "expensive" in row_of(e.value).flags for e in work)
    return cheap and not _differ(statements, rows)


def _differ(body: tuple[Stmt, ...], rows: set[str]) -> bool:
    """Whether some loop is not as long in all rows, or some condition not the same."""
    tainted = rows | {s.name for s in walk(body) if isinstance(s, Alloc)}
    for stmt in walk(body):
        if isinstance(stmt, Let) and names_in(stmt.value) & tainted:
            tainted = tainted | {stmt.name}
    return any(names_in(*exprs_of(s)) & tainted for s in walk(body) if isinstance(s, Loop | If))


class Row:
    """One of the rows: what stands for the variables, arrays and scalars of the statements in it."""

    def __init__(self, ctx: Context, variables: Mapping[str, Expr]) -> None:
        self.ctx, self.variables, self.names = ctx, dict(variables), dict[str, str]()

    def expr(self, expr: Expr) -> Expr:
        """The expression in this row."""
        def change(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.kind == "var" and e.value in self.variables:
                return self.variables[e.value]
            if e.kind == "load" and e.value in self.names:
                return self.ctx.b.load(self.names[e.value], e.dtype, args[0])
            return again(self.ctx.b, e, args)
        return rebuilt(expr, change)

    def statement(self, stmt: Stmt) -> Stmt | None:
        """The statement in this row; None for a Let that is the same in all rows, and stands there already."""
        if isinstance(stmt, Alloc):
            self.names[stmt.name] = self.ctx.names.fresh(stmt.name)
            return stmt._replace(name=self.names[stmt.name])
        if isinstance(stmt, Accumulate):
            return stmt._replace(targets=tuple(self.names.get(t, t) for t in stmt.targets), at=self.expr(stmt.at),
                                 values=tuple(map(self.expr, stmt.values)))
        if isinstance(stmt, Store):
            return Store(self.names.get(stmt.buffer, stmt.buffer), self.expr(stmt.at), self.expr(stmt.value))
        assert isinstance(stmt, Let), stmt
        value = self.expr(stmt.value)
        if value is stmt.value:
            return None
        name = self.ctx.names.fresh(stmt.name)
        self.variables[stmt.name] = self.ctx.b.var(name, value.dtype)
        return Let(name, value)


def abreast(body: Sequence[Stmt], rows: Sequence[Row]) -> tuple[Stmt, ...]:
    """Statements that are `mergeable`, in all rows at once."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop):
            out.append(stmt._replace(body=abreast(stmt.body, rows)))
        elif isinstance(stmt, If):
            out.append(stmt._replace(then=abreast(stmt.then, rows), orelse=abreast(stmt.orelse, rows)))
        else:
            made = [row.statement(stmt) for row in rows]
            out += [m for m in made if m is not None] or [stmt]
    return tuple(out)
