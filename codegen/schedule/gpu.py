"""The schedule for GPUs: one element or row per work-item in a grid-stride loop, or one row per work-group with trees in local memory."""
from __future__ import annotations

from codegen.kernel import Expr, Kernel, Loop, Stmt
from codegen.schedule.common import Context, clamp, context, has_loop, linear_loop, peel, points
from codegen.schedule.group import cooperative, group_size
from codegen.schedule.panel import columnwise
from codegen.schedule.reduction import sequential
from codegen.schedule.several import each, passes, several
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant

ITEMS_PER_GROUP = 256
GROUPS_PER_UNIT = 16
"""Groups that keep a unit busy, for kernels whose groups cost something each."""
MOST_PER_UNIT = 512
"""Groups of a unit from which on they take several shares: short ones that come and go hide the ends of each other."""


def schedule(kernel: Kernel, target: Target) -> Kernel:
    """A row per work-group where the rows have reductions, else, and where neighbouring rows read neighbours, one per work-item."""
    return by_item(kernel, target) if apart(kernel) else by_group(kernel, target)


def apart(kernel: Kernel) -> bool:
    """Whether work-items had better work for themselves: no reductions, steps in order, or reads that are next to those of the next row."""
    outer, inner = peel(kernel.body)
    steps = any(isinstance(s, Loop) and s.kind in ("serial", "vector") for s in inner)
    return steps or not has_loop(inner, "reduce") or bool(outer and columnwise(outer[-1], inner))


def by_item(kernel: Kernel, target: Target) -> Kernel:
    """Each work-item takes elements (of a map) or rows (with reductions) in a grid-stride loop."""
    ctx = context(kernel, target)
    outer, inner = peel(kernel.body)
    body = sequential(ctx, inner, 1)
    if not outer:
        return kernel._replace(body=body)
    b, size = ctx.b, min(ITEMS_PER_GROUP, target.max_group)
    group, item = ctx.names.fresh("group"), ctx.names.fresh("item")
    if each(body) > 1:
        groups = groups_for(target, passes(outer, size))
        loop = several(ctx, outer, body, (b.var(group), b.var(item)), size, groups)
        return kernel._replace(body=launched(ctx, group, item, groups, size, (), (loop,)))
    groups = groups_for(target, ceildiv(points(outer), size))
    start = b.add(b.mul(b.var(group), b.index(size)), b.var(item))
    loop = linear_loop(ctx, "serial", outer, start, b.index(points(outer)), b.index(groups * size), body)
    return kernel._replace(body=launched(ctx, group, item, groups, size, (), (loop,)))


def by_group(kernel: Kernel, target: Target) -> Kernel:
    """Each work-group takes rows; its items share the reductions and the inner maps of a row."""
    ctx = context(kernel, target)
    outer, inner = peel(kernel.body)
    b, size = ctx.b, group_size(inner, target)
    group, item = ctx.names.fresh("group"), ctx.names.fresh("item")
    tiles, body = cooperative(ctx, inner, b.var(item), size)
    if not outer:
        return kernel._replace(body=launched(ctx, group, item, constant(1), size, tiles, body))
    groups = groups_for(target, points(outer))
    rows = linear_loop(ctx, "serial", outer, b.var(group), b.index(points(outer)), b.index(groups), body)
    return kernel._replace(body=launched(ctx, group, item, groups, size, tiles, (rows,)))


def groups_for(target: Target, wanted: Dim) -> Dim:
    """How many groups are launched where so many would have work."""
    return clamp(wanted, target.units * MOST_PER_UNIT)


def launched(ctx: Context, group: str, item: str, groups: Dim, size: int, shared: tuple[Stmt, ...],
             body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The loops over groups and items around a body, and the local arrays of a group."""
    zero, one = ctx.b.index(0), ctx.b.index(1)
    items: Expr = ctx.b.index(size)
    return (Loop("group", group, zero, ctx.b.index(groups), one, (*shared, Loop("local", item, zero, items, one, body))),)
