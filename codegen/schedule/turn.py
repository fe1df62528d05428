"""Tiles of a work-group: a map on a GPU that reads operands across its innermost loop takes square tiles of them through local memory.

Neighbouring work-items then read neighbours along the operand's own rows and write neighbours along those of the result.  A tile's rows
lie one element further apart than they are long, so that a column of it comes from different banks.
"""
from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from codegen.kernel import Alloc, Barrier, Expr, If, Kernel, Let, Loop, Stmt, Store
from codegen.schedule.common import Context, context, extent, linear_loop, peel, points
from codegen.schedule.gpu import ITEMS_PER_GROUP, groups_for, launched
from codegen.schedule.short import Narrow
from codegen.schedule.tile import Tiling, across, from_tiles, tile_loops
from codegen.target import Target
from exprgraph.dims import constant, minimum

SIDE = 32
LEAST = SIDE // 2
"""The shortest axes that are worth tiles: along shorter ones too many items of a tile would have nothing to do."""


def turned(kernel: Kernel, target: Target) -> Narrow | None:
    """The form with tiles, for long axes; None where no operand is read across, or no tile fits into local memory."""
    outer, inner = peel(kernel.body)
    found = across(outer, inner) if target.schedule == "gpu" else None
    if found is None:
        return None
    size = 1 << (min(ITEMS_PER_GROUP, target.max_group).bit_length() - 1)
    found = _fitting(found, min(SIDE, size), target)
    shortest = minimum(*(constant(0) if d is None else d for d in map(extent, (found.row, outer[-1]))))
    pick = minimum(shortest // LEAST, 1)
    return Narrow(partial(_scheduled, kernel, target, found, size), pick, True) if found.loads and pick.const != 0 else None


def _fitting(found: Tiling, side: int, target: Target) -> Tiling:
    """The tiles that there is local memory for."""
    kept, room = list[Expr](), target.local_bytes
    for load in found.loads:
        room -= side * (side + 1) * int(np.dtype(load.dtype).itemsize)
        kept += [load] if room >= 0 else []
    return found._replace(loads=tuple(kept), side=side)


def _scheduled(kernel: Kernel, target: Target, found: Tiling, size: int) -> Kernel:
    ctx, (outer, inner) = context(kernel, target), peel(kernel.body)
    names = {load: ctx.names.fresh("tile") for load in found.loads}
    loops, corner = tile_loops(ctx, outer, found)
    group, item = ctx.names.fresh("group"), ctx.names.fresh("item")
    body = _tile(ctx, inner, found, outer[-1], corner, names, (ctx.b.var(item), size))
    groups = groups_for(target, points(loops))
    tiles = linear_loop(ctx, "serial", loops, ctx.b.var(group), ctx.b.index(points(loops)), ctx.b.index(groups), body)
    shared = tuple(Alloc(name, load.dtype, found.side * (found.side + 1), "local") for load, name in names.items())
    return kernel._replace(body=launched(ctx, group, item, groups, size, shared, (tiles,)))


def _tile(ctx: Context, body: tuple[Stmt, ...], found: Tiling, last: Loop, corner: tuple[str, str], names: Mapping[Expr, str],
          items: tuple[Expr, int]) -> tuple[Stmt, ...]:
    """What a group does in a tile: `corner` has the numbers of the tile along its two sides, `items` the item and how many there are."""
    b, side, (item, size) = ctx.b, ctx.b.index(found.side), items
    top, left = (Let(ctx.names.fresh("begin"), b.mul(b.var(at), side)) for at in corner)
    near, far, turn = b.mod(item, side), b.div(item, side), b.var(ctx.names.fresh("turn"))
    step = b.add(b.mul(turn, b.index(size // found.side)), far)

    def each(r: Expr, c: Expr, inside: tuple[Stmt, ...]) -> Loop:
        lets = (Let(found.row.var, b.add(b.var(top.name), r)), Let(last.var, b.add(b.var(left.name), c)))
        valid = b.both(*(b.less(b.var(let.name), loop.stop) for let, loop in zip(lets, (found.row, last))))
        return Loop("unroll", turn.value, b.index(0), b.index(found.side**2 // size), b.index(1), (*lets, If(valid, inside)))

    def place(r: Expr, c: Expr) -> Expr:
        return b.add(b.mul(c, b.index(found.side + 1)), r)
    fill = tuple(Store(name, place(near, step), load) for load, name in names.items())
    return (top, left, each(near, step, fill), Barrier(), each(step, near, from_tiles(ctx, body, names, place(step, near))), Barrier())
