"""Several iterations of a loop in one pass of the vector loop inside it: what they add to stays in registers meanwhile."""
from __future__ import annotations

from collections.abc import Mapping

from codegen.kernel import Accumulate, Expr, Let, Loop, Stmt, exprs_of
from codegen.rows import row_of
from codegen.schedule.common import Context, again, names_in, operations, rebuilt

ROWS = 8
SIMPLE, MOST = 4, 12
"""Operations of an iteration up to which 8 and up to which 4 are done in a pass; beyond, a pass has enough to do by itself."""


def jammed(ctx: Context, loop: Loop) -> tuple[Stmt, ...]:
    """A serial loop, with passes of several iterations where its body is a vector loop that adds to private arrays, lane by lane.

    The order in which a lane adds stays the same, and so does the result.
    """
    rows = _rows(loop)
    if rows == 1:
        return (loop,)
    b = ctx.b
    done = b.add(loop.start, b.mul(b.div(b.sub(loop.stop, loop.start), b.index(rows)), b.index(rows)))
    return (loop._replace(stop=done, step=b.index(rows), body=_together(ctx, loop, rows, b.index(1))), loop._replace(start=done))


def apart(ctx: Context, loop: Loop) -> tuple[Stmt, ...]:
    """A loop over blocks of iterations that `jammed` has changed: those of a pass come from as many ranges, which lie far apart, since the
    hardware fetches memory ahead of several streams but not of neighbouring rows."""
    at = next((k for k, s in enumerate(loop.body[:-1]) if _pair(loop, s, loop.body[k + 1])), None)
    if at is None:
        return (loop,)
    passes, rest = loop.body[at], loop.body[at + 1]
    assert isinstance(passes, Loop) and isinstance(rest, Loop)
    b, rows, count = ctx.b, passes.step.value, ctx.b.var(ctx.names.fresh("count"))
    top, length = b.add(loop.start, count), b.index(loop.step.value // rows)
    inside = rest._replace(start=b.var(loop.var), stop=b.least(b.add(b.var(loop.var), length), top), body=_together(ctx, rest, rows, count))
    return (Let(count.value, b.div(b.sub(loop.stop, loop.start), passes.step)),
            loop._replace(stop=top, step=length, body=(*loop.body[:at], inside, *loop.body[at + 2:])),
            loop._replace(start=b.add(loop.start, b.mul(count, passes.step)),
                          body=(*loop.body[:at], rest._replace(start=b.var(loop.var)), *loop.body[at + 2:])))


def _pair(outer: Loop, first: Stmt, second: Stmt) -> bool:
    """Whether two statements are the passes over a block, and what they leave over."""
    if not isinstance(first, Loop) or not isinstance(second, Loop) or first.var != second.var or outer.step.kind != "lit":
        return False
    whole = first.step.kind == "lit" and first.step.value > 1 and outer.step.value % first.step.value == 0
    return whole and first.start.kind == "var" and first.start.value == outer.var


def _rows(loop: Loop) -> int:
    """How many iterations to do in a pass."""
    inner = loop.body[-1] if loop.body else None
    if not isinstance(inner, Loop) or inner.kind != "vector" or loop.kind != "serial" or loop.step.kind != "lit" or loop.step.value != 1:
        return 1
    plain = all(isinstance(s, Let) for s in loop.body[:-1]) and all(isinstance(s, Let | Accumulate) for s in inner.body)
    moved = {loop.var, *(s.name for s in loop.body[:-1] if isinstance(s, Let))}
    if not plain or names_in(*exprs_of(inner)) & moved or not any(isinstance(s, Accumulate) for s in inner.body):
        return 1
    work = operations(inner.body)
    if len(work) > MOST or any("expensive" in row_of(e.value).flags for e in work):
        return 1
    return ROWS if len(work) <= SIMPLE else ROWS // 2


def _together(ctx: Context, loop: Loop, rows: int, distance: Expr) -> tuple[Stmt, ...]:
    """The body for iterations loop.var, loop.var + distance, ..."""
    inner = loop.body[-1]
    assert isinstance(inner, Loop)
    before: list[Stmt] = []
    inside: list[Stmt] = []
    for k in range(rows):
        new = {loop.var: ctx.b.add(ctx.b.var(loop.var), ctx.b.mul(ctx.b.index(k), distance))} if k else {}
        before += _copies(ctx, loop.body[:-1], new, bool(k))
        inside += _copies(ctx, inner.body, new, bool(k))
    return (*before, inner._replace(body=tuple(inside)))


def _copies(ctx: Context, body: tuple[Stmt, ...], new: dict[str, Expr], rename: bool) -> list[Stmt]:
    """The statements over other values of variables; what they name otherwise is added to these, under a fresh name."""
    out: list[Stmt] = []
    for stmt in body:
        changed = substituted(ctx, stmt, new)
        if changed == stmt and isinstance(stmt, Let) and rename:
            continue
        if isinstance(changed, Let) and rename:
            name = ctx.names.fresh(changed.name)
            new[changed.name] = ctx.b.var(name, changed.value.dtype)
            changed = changed._replace(name=name)
        out.append(changed)
    return out


def substituted(ctx: Context, stmt: Stmt, new: Mapping[str, Expr]) -> Stmt:
    """A statement without statements inside, over other values of variables and of private scalars."""
    def change(e: Expr, args: tuple[Expr, ...]) -> Expr:
        return new[e.value] if e.kind in ("var", "load") and e.value in new else again(ctx.b, e, args)
    if isinstance(stmt, Accumulate):
        return stmt._replace(at=rebuilt(stmt.at, change), values=tuple(rebuilt(v, change) for v in stmt.values))
    return stmt._replace(**{f: rebuilt(v, change) for f, v in zip(stmt._fields, stmt) if isinstance(v, Expr)})  # type: ignore[arg-type]
