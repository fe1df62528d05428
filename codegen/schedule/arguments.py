"""argmax and argmin along a loop, in lanes that each know the best value that they met and where.

A lane meets positions in rising order, so it takes a value only if it is better than what it has: the first of equal values stays without
a comparison of positions.  It keeps the start of the block that the value is from, which is the same for all lanes.  The last block ends
with the loop and so may overlap the one before it, which changes nothing.
"""
from __future__ import annotations

from codegen.kernel import INDEX, Accumulate, Alloc, Expr, If, Let, Loop, Stmt, Store
from codegen.schedule.common import Context, halves, unit_step

BETTER = {"argmax": "gt", "argmin": "lt"}
LANES = 64


def in_lanes(loop: Loop) -> bool:
    """Whether a loop from 0 in steps of 1 does nothing but look for the place of one best value, at positions that rise with it."""
    *before, last = loop.body
    if not isinstance(last, Accumulate) or last.combine not in BETTER or not all(isinstance(s, Let) for s in before):
        return False
    position, single = last.values[1], {loop.var}
    for stmt in before:
        if isinstance(stmt, Let) and any(unit_step(stmt.value, v) for v in single):
            single.add(stmt.name)
    return position.kind == "op" and position.value == "cast" and any(unit_step(position.args[0], v) for v in single)


def arg_lanes(ctx: Context, loop: Loop, otherwise: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The loop in lanes; `otherwise` where it is shorter than they are many."""
    b, (*lets, last) = ctx.b, loop.body
    assert isinstance(last, Accumulate)
    best, where, row, lane, base = (ctx.names.fresh(n) for n in ("best", "where", "row", "lane", "base"))
    value, place, size, zero, one = last.values[0], last.values[1].args[0], b.index(LANES), b.index(0), b.index(1)

    def across(start: Expr, *body: Stmt) -> Loop:
        return Loop("vector", lane, zero, size, one, (Let(loop.var, b.add(start, b.var(lane))), *lets, *body))
    old = b.load(best, value.dtype, b.var(lane))
    better = b.op(BETTER[last.combine], "bool", value, old)
    if value.dtype.startswith("float"):  # the first NaN stays, and beats every number
        better = b.both(b.op("eq", "bool", old, old), b.op("or_", "bool", b.op("isnan", "bool", value), better))
    take = b.var(ctx.names.fresh("take"), "bool")
    block = b.load(where, INDEX, b.var(lane))
    first = across(zero, Store(best, b.var(lane), value), Store(where, b.var(lane), zero))
    step = across(b.var(base), Let(take.value, better), Store(where, b.var(lane), b.select(take, b.var(base), block)),
                  Store(best, b.var(lane), b.select(take, value, old)))
    places = across(block, Store(where, b.var(lane), place))
    blocks = b.div(b.add(loop.stop, b.index(LANES - 1)), size)
    down = Loop("serial", row, one, blocks, one, (Let(base, b.least(b.mul(b.var(row), size), b.sub(loop.stop, size))), step))
    found = (b.load(best, value.dtype, zero), b.op("cast", "int64", b.load(where, INDEX, zero)))
    arrays = Alloc(best, value.dtype, LANES, "private"), Alloc(where, INDEX, LANES, "private")
    lanes: tuple[Stmt, ...] = (*arrays, first, down, places,
                               *halves(ctx, last.combine, ((best, value.dtype), (where, INDEX)), LANES), last._replace(values=found))
    return (If(b.less(loop.stop, size), otherwise, lanes),)
