"""The schedule for GPUs: one element or row per work-item in a grid-stride loop, or one row per work-group with trees in local memory."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

from codegen.kernel import Expr, Kernel, Loop, Stmt
from codegen.schedule.common import Context, clamp, context, has_loop, linear_loop, peel, points
from codegen.schedule.group import LARGEST, cooperative, group_size
from codegen.schedule.panel import columnwise
from codegen.schedule.reduction import sequential
from codegen.schedule.several import each, passes, several
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum

ITEMS_PER_GROUP = 256
GROUPS_PER_UNIT = 16
"""Groups that keep a unit busy, for kernels whose groups cost something each."""
MOST_PER_UNIT = 512
"""Groups of a unit from which on they take several shares: short ones that come and go hide the ends of each other."""

LENGTHS = ((16, 1), (256, 32), (2048, 128))
"""Up to which length rows are shared by so many items; longer ones by as many as a group has."""


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


def by_length(kernel: Kernel, target: Target) -> tuple[Dim, tuple[Callable[[], Kernel], ...]]:
    """What makes the forms for rows of different lengths, and the number of the one that fits those of a call.

    An item wants several elements of a row, so that it can wait for all of them at once; and the fewer items, the less they wait for each
    other.  Very short rows have an item each.
    """
    outer, inner = peel(kernel.body)
    lengths = [points(peel((s,), "reduce")[0]) for s in inner if isinstance(s, Loop) and s.kind == "reduce"]
    if not outer or not lengths or apart(kernel) or any(d.const == 1 for d in lengths):
        return constant(0), (partial(schedule, kernel, target),)
    longest, most, pick = reduce(maximum, lengths, constant(1)), group_size(inner, target), constant(0)
    limits = [(limit, size) for limit, size in LENGTHS if size < most]
    for limit, _ in limits:
        pick = pick + minimum((longest - 1) // limit, 1)
    sizes = [size for _, size in (*limits, (0, most))]
    if pick.const is not None:
        sizes, pick = sizes[pick.const:pick.const + 1], constant(0)
    return pick, tuple(partial(by_item, kernel, target) if size == 1 else partial(by_group, kernel, target, size) for size in sizes)


def by_group(kernel: Kernel, target: Target, most: int = LARGEST) -> Kernel:
    """Each work-group takes rows; its items, `most` at most, share the reductions and the inner maps of a row."""
    ctx = context(kernel, target)
    outer, inner = peel(kernel.body)
    b, size = ctx.b, group_size(inner, target, most)
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
