"""argmax and argmin along a loop, in two passes: blocks are searched for the best value, then the best block for its place.

The first pass is a maximum or minimum, of floats by their ranks (`codegen.ranks`), the second one the least place of an equal value, so
compilers make vectors of both.  A later block takes over only if it is better, so the first of equal values is found; a block is small, so
that little is looked at twice.
"""
from __future__ import annotations

from codegen.combine import COMBINES
from codegen.kernel import INDEX, Accumulate, Alloc, Expr, If, Let, Loop, Stmt, Store
from codegen.ranks import RANKINGS
from codegen.schedule.common import Context, known, unit_step

BETTER = {"argmax": ("max", "gt"), "argmin": ("min", "lt")}
BLOCK, PLACE = 256, "int32"
"""Elements of a block, and the dtype of places in it."""


def searchable(loop: Loop) -> bool:
    """Whether a loop from 0 in steps of 1 does nothing but look for the place of one best value, at positions that rise with it."""
    *before, last = loop.body
    if not isinstance(last, Accumulate) or last.combine not in BETTER or not all(isinstance(s, Let) for s in before):
        return False
    if loop.start.kind != "lit" or loop.start.value != 0 or loop.step.kind != "lit" or loop.step.value != 1:
        return False
    position, single = last.values[1], {loop.var}
    for stmt in before:
        if isinstance(stmt, Let) and any(unit_step(stmt.value, v) for v in single):
            single.add(stmt.name)
    return position.kind == "op" and position.value == "cast" and any(unit_step(position.args[0], v) for v in single)


def search(ctx: Context, loop: Loop) -> tuple[Stmt, ...]:
    """The two passes, and what is found joined to the accumulators; unscheduled."""
    b, (*lets, last), zero, size = ctx.b, loop.body, ctx.b.index(0), ctx.b.index(BLOCK)
    assert isinstance(last, Accumulate)
    value = last.values[0]
    combine, better = BETTER[last.combine]
    best, where, found, base, step, begin = (ctx.names.fresh(n) for n in ("best", "where", "found", "base", "step", "begin"))
    old, at = b.load(best, value.dtype, zero), b.load(where, INDEX, zero)

    def along(first: Expr, length: Expr, last: Stmt) -> Loop:
        return Loop("reduce", step, zero, length, b.index(1), (Let(loop.var, b.add(first, b.var(step))), *lets, last))

    def block(first: Expr, length: Expr) -> tuple[Stmt, ...]:
        most, take = ctx.names.fresh("most"), b.var(ctx.names.fresh("take"), "bool")
        before, key, new = _keyed(ctx, combine, most, value)
        wins = b.op(better, "bool", new, old)
        if value.dtype.startswith("float"):
            wins = b.both(b.op("eq", "bool", old, old), b.op("or_", "bool", b.op("isnan", "bool", new), wins))
        return (before, along(first, length, Accumulate((most,), zero, combine, (key,))), Let(take.value, wins),
                Store(where, zero, b.select(take, first, at)), Store(best, zero, b.select(take, new, old)))
    equal = b.op("eq", "bool", value, old)
    if value.dtype.startswith("float"):
        equal = b.op("or_", "bool", equal, b.both(b.op("isnan", "bool", value), b.op("isnan", "bool", old)))
    far, own = b.lit(BLOCK, PLACE), b.var(begin)
    place = b.select(equal, b.op("cast", PLACE, b.var(step)), far)
    length = known(loop.stop)
    full = b.index(length // BLOCK * BLOCK) if length is not None else b.mul(b.div(loop.stop, size), size)
    start, = COMBINES[combine].identity(b, (value.dtype,))
    inside = (Alloc(best, value.dtype, 1, "private", start), Alloc(where, INDEX, 1, "private", zero),
              Loop("serial", base, zero, full, size, block(b.var(base), size)),
              If(b.less(full, loop.stop), block(full, b.sub(loop.stop, full))),
              Alloc(found, PLACE, 1, "private", far), Let(begin, at),
              along(own, b.least(size, b.sub(loop.stop, own)), Accumulate((found,), zero, "min", (place,))),
              Let(loop.var, b.add(own, b.op("cast", INDEX, b.load(found, PLACE, zero)))), *lets, last)
    return (If(b.less(zero, loop.stop), inside),)


def _keyed(ctx: Context, combine: str, most: str, value: Expr) -> tuple[Alloc, Expr, Expr]:
    """An accumulator for a block, what is accumulated for each element, and the value that comes out."""
    b, dtype, zero = ctx.b, value.dtype, ctx.b.index(0)
    kind = RANKINGS[combine].kinds.get(dtype, dtype)
    start, = COMBINES[combine].identity(b, (kind,))
    found = b.load(most, kind, zero)
    if kind == dtype:
        return Alloc(most, kind, 1, "private", start), value, found
    ranking = RANKINGS[combine]
    return Alloc(most, kind, 1, "private", start), b.op(ranking.rank, kind, value), b.op(ranking.values[0], dtype, found)
