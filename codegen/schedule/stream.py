"""Streaming stores: large results go to memory past the caches, which so need not read what is overwritten anyway.

A vector loop that stores results becomes a loop over blocks.  A full block, whose place in memory is aligned, is computed into private
arrays and then copied out by "stream" loops; the first and last block, which may be short, stay vector loops.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from codegen.kernel import STREAM_BYTES, Alloc, Expr, If, Kernel, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.schedule.common import Context, again, below, context, rebuilt, unit_step
from codegen.target import Target
from exprgraph.dims import Dim, constant, minimum

BLOCK = 64
FILL, LEAST = 1.25, 1 << 20
"""Results are streamed where a kernel reads and writes so many times what the largest cache holds, since they would not be found there by
whoever reads them, and writes so many bytes."""
WIDTHS = (4, 8)


def streams(kernel: Kernel, target: Target) -> Dim:
    """1 where the results of a kernel are worth streaming, else 0."""
    total = written = constant(0)
    for param in kernel.params:
        nbytes = param.size * np.dtype(param.dtype).itemsize
        total = total + nbytes
        if param.access != "r":
            written = written + nbytes
    return minimum(minimum(total // max(int(target.cache_bytes * FILL), 1), written // LEAST), 1)


def streamable(kernel: Kernel, target: Target) -> bool:
    """Whether some loop of a scheduled kernel can stream what it stores."""
    ctx, memory = context(kernel, target), {p.name for p in kernel.params}
    return any(isinstance(s, Loop) and _place(ctx, s, memory) is not None for s in walk(kernel.body))


def streamed(kernel: Kernel, target: Target) -> Kernel:
    """The scheduled kernel with its stores streamed where loops can do so: what it writes must begin at a multiple of STREAM_BYTES."""
    return kernel._replace(body=_body(context(kernel, target), kernel.body, {p.name for p in kernel.params}))


def _body(ctx: Context, body: tuple[Stmt, ...], memory: set[str]) -> tuple[Stmt, ...]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop):
            place = _place(ctx, stmt, memory)
            out += _blocks(ctx, stmt, place) if place is not None else (stmt._replace(body=_body(ctx, stmt.body, memory)),)
        elif isinstance(stmt, If):
            out.append(stmt._replace(then=_body(ctx, stmt.then, memory), orelse=_body(ctx, stmt.orelse, memory)))
        else:
            out.append(stmt)
    return tuple(out)


def _place(ctx: Context, loop: Loop, memory: set[str]) -> Expr | None:
    """Where all stores of a vector loop go, in terms of its variable; None where it has none or they cannot be streamed."""
    if loop.kind != "vector" or loop.step.kind != "lit" or loop.step.value != 1:
        return None
    if not all(isinstance(s, Let | Store) for s in loop.body):
        return None
    stores = [s for s in loop.body if isinstance(s, Store)]
    if not stores or any(s.buffer not in memory for s in stores) or len({s.buffer for s in stores}) != len(stores):
        return None
    lets = {s.name: s.value for s in loop.body if isinstance(s, Let)}
    places = {_spelled_out(ctx, s.at, lets) for s in stores}
    widths = {np.dtype(s.value.dtype).itemsize for s in stores}
    place = places.pop()
    if places or len(widths) != 1 or not widths <= set(WIDTHS) or not unit_step(place, loop.var):
        return None
    written = {s.buffer for s in stores}
    reads = {e for s in loop.body for root in exprs_of(s) for e in below(root) if e.kind == "load" and e.value in written}
    return place if all(_spelled_out(ctx, e.args[0], lets) is place for e in reads) else None


def _spelled_out(ctx: Context, expr: Expr, lets: Mapping[str, Expr]) -> Expr:
    """An expression of the loop's variable and of what does not change in the loop."""
    def change(e: Expr, args: tuple[Expr, ...]) -> Expr:
        inside = lets.get(e.value) if e.kind == "var" else None
        return ctx.b.make(e.kind, e.dtype, args, e.value) if inside is None else _spelled_out(ctx, inside, lets)
    return rebuilt(expr, change)


def _at(ctx: Context, place: Expr, var: str, value: Expr) -> Expr:
    return rebuilt(place, lambda e, args: value if e.kind == "var" and e.value == var else again(ctx.b, e, args))


def _blocks(ctx: Context, loop: Loop, place: Expr) -> tuple[Stmt, ...]:
    b, (base, block, low, high) = ctx.b, (ctx.names.fresh(n) for n in ("base", "block", "low", "high"))
    stores = [s for s in loop.body if isinstance(s, Store)]
    aligned = b.index(STREAM_BYTES // np.dtype(stores[0].value.dtype).itemsize)
    size = b.index(BLOCK)
    short = loop._replace(start=b.var(low), stop=b.var(high))
    full = b.op("eq", "bool", b.sub(b.var(high), b.var(low)), size)
    inside = (Let(low, b.op("maximum", "index", b.var(block), loop.start)), Let(high, b.least(b.add(b.var(block), size), loop.stop)),
              If(full, _full(ctx, loop, place, b.var(low)), (short,)))
    return (Let(base, b.sub(loop.start, b.mod(_at(ctx, place, loop.var, loop.start), aligned))),
            Loop("serial", block, b.var(base), loop.stop, size, inside))


def _full(ctx: Context, loop: Loop, place: Expr, low: Expr) -> tuple[Stmt, ...]:
    b, lane = ctx.b, ctx.b.var(ctx.names.fresh("lane"))
    tiles = {s.buffer: Alloc(ctx.names.fresh("kept"), s.value.dtype, BLOCK, "private") for s in loop.body if isinstance(s, Store)}

    def across(kind: str, body: tuple[Stmt, ...]) -> Loop:
        return Loop(kind, lane.value, b.index(0), b.index(BLOCK), b.index(1), body)
    kept = tuple(Store(tiles[s.buffer].name, lane, s.value) if isinstance(s, Store) else s for s in loop.body)
    at = _at(ctx, place, loop.var, b.add(low, lane))
    out = [across("stream", (Store(name, at, b.load(tile.name, tile.dtype, lane)),)) for name, tile in tiles.items()]
    return (*tiles.values(), across("vector", (Let(loop.var, b.add(low, lane)), *kept)), *out)
