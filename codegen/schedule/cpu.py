"""The schedule for CPUs: few work-items, each with a contiguous chunk, and vector loops of unit stride inside."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Expr, Kernel, Loop, Stmt
from codegen.schedule.common import Context, clamp, context, cost, has_loop, linear_loop, peel, points
from codegen.schedule.extrema import by_rank
from codegen.schedule.groups import in_groups
from codegen.schedule.panel import columnwise, panel_body, panel_size
from codegen.schedule.reduction import sequential
from codegen.schedule.tile import tiled, tiling
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv

LANES = 16
GRAIN = 32768
PER_UNIT = 6


def schedule(kernel: Kernel, target: Target, wanted: Dim | None = None, room: bool = False, panels: bool = False) -> Kernel:
    """The scheduled tree: chunks of rows, and for a map also chunks of the innermost loop.

    wanted: the number of chunks, where the caller knows it better than the number of statements tells.  room: whether there are
    chunks enough for all units however wide panels are.  panels: whether neighbouring rows are lanes though they are not neighbours in
    memory.
    """
    ctx = context(kernel, target)
    outer, inner = peel(kernel.body)
    across = bool(outer) and (panels or columnwise(outer[-1], inner))
    inner = by_rank(ctx, inner, kernel.wide, rows=not across)
    body = sequential(ctx, inner, LANES)
    if not outer:
        return kernel._replace(body=body)
    total = clamp(ceildiv(cost(kernel.body), GRAIN) if wanted is None else wanted, target.units * PER_UNIT)
    if across:
        return kernel._replace(body=_panels(ctx, outer, inner, total, panel_size(inner, room), wanted is not None))
    if has_loop(inner, "reduce", "parallel"):
        grouped = in_groups(ctx, outer, body, total) if wanted is None else None
        if grouped is not None:
            return kernel._replace(body=grouped)
        return kernel._replace(body=chunked(ctx, "serial", outer, body, total, 0))
    tiles = tiling(outer, inner)
    if tiles is not None:
        loops, body = tiled(ctx, outer, inner, tiles)
        return kernel._replace(body=chunked(ctx, "serial", loops, body, clamp(points(loops), total), 0))
    *rows, last = outer
    bands = clamp(points(rows), total) if rows else clamp(total, 1)
    columns = clamp(total // bands, ceildiv(points((last,)), 64)) if rows else total
    innermost = chunked(ctx, "vector", (last,), body, columns, 1 if rows else 0)
    return kernel._replace(body=chunked(ctx, "serial", rows, innermost, bands, 0) if rows else innermost)


def _panels(ctx: Context, outer: Sequence[Loop], inner: tuple[Stmt, ...], total: Dim, size: int, far: bool) -> tuple[Stmt, ...]:
    """Chunks of panels of the innermost outer loop, and of what is around it."""
    b, panel = ctx.b, ctx.names.fresh("panel")
    body = panel_body(ctx, outer[-1], panel, sequential(ctx, inner, 1), size, far)
    count = ceildiv(points(outer[-1:]), size)
    across = Loop("parallel", panel, b.index(0), b.index(count), b.index(1), ())
    loops = (*outer[:-1], across)
    return chunked(ctx, "serial", loops, body, clamp(points(loops), total), 0)


def chunked(ctx: Context, kind: str, loops: Sequence[Loop], body: tuple[Stmt, ...], chunks: Dim, axis: int) -> tuple[Stmt, ...]:
    """The nest as one loop over its linear index, cut into contiguous chunks: one for each work-item on `axis`."""
    b, count = ctx.b, points(loops)
    if chunks.const == 1:
        return (linear_loop(ctx, kind, loops, b.index(0), b.index(count), b.index(1), body),)
    var = ctx.names.fresh("chunk")
    each = b.index(ceildiv(count, chunks))
    start = b.mul(b.var(var), each)
    end: Expr = b.least(b.add(start, each), b.index(count))
    inside = linear_loop(ctx, kind, loops, start, end, b.index(1), body)
    return (Loop("grid", var, b.index(0), b.index(chunks), b.index(1), (inside,), axis),)
