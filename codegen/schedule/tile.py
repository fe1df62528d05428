"""Tiles: a map that reads some of its operands across its innermost loop copies square tiles of them into private memory first.

Reading down a column costs a cache line per element.  A tile is read along its own rows, whole cache lines at a time, and then taken from
the nearest cache in the order of the result.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codegen.kernel import Alloc, Expr, If, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.schedule.common import Context, again, below, extent, names_in, points, rebuilt, stored, unit_step
from exprgraph.dims import Dim, ceildiv
from exprgraph.named import NamedTuple

SIDE_BYTES = 256
"""The length of a tile's side: four cache lines, so that the rows of a tile are worth fetching though they lie far apart."""
MOST = 4
"""Operands that get tiles; more would not fit into the nearest cache."""


class Tiling(NamedTuple):
    """Which outer loop the transposed operands run along, how they are read, and the elements along a side of a tile."""
    row: Loop
    loads: tuple[Expr, ...]
    side: int


def tiling(outer: Sequence[Loop], body: tuple[Stmt, ...]) -> Tiling | None:
    """How to tile a map on a CPU; None where it reads no operand across."""
    found = across(outer, body)
    if found is None:
        return None
    size = max(np.dtype(e.dtype).itemsize for e in found.loads)
    return found._replace(loads=found.loads[:MOST], side=SIDE_BYTES // max(size, 4))


def across(outer: Sequence[Loop], body: tuple[Stmt, ...]) -> Tiling | None:
    """What a map over at least two loops reads across: operands that step along an outer loop rather than along the innermost."""
    if len(outer) < 2 or any(isinstance(s, Loop | If) for s in walk(body)):
        return None
    last, written = outer[-1], stored(body)
    loads = [e for e in _loads(body) if e.value not in written and _plain(e.args[0], outer)]
    for row in outer[-2::-1]:
        found = tuple(e for e in loads if last.var in names_in(e.args[0]) and unit_step(e.args[0], row.var))
        if found and not any(_short(loop) for loop in (row, last)):
            return Tiling(row, found, 0)
    return None


def _loads(body: tuple[Stmt, ...]) -> list[Expr]:
    return list(dict.fromkeys(e for stmt in walk(body) for root in exprs_of(stmt) for e in below(root) if e.kind == "load"))


def _plain(index: Expr, loops: Sequence[Loop]) -> bool:
    """Whether an index is computed from loop variables and sizes alone, so that it can be computed elsewhere."""
    known = {loop.var for loop in loops}
    return all(e.kind in ("lit", "dim", "op") or (e.kind == "var" and e.value in known) for e in below(index))


def _short(loop: Loop) -> bool:
    length = extent(loop)
    return length is None or (length.const is not None and length.const < 8)


def tiled(ctx: Context, outer: Sequence[Loop], body: tuple[Stmt, ...], found: Tiling) -> tuple[tuple[Loop, ...], tuple[Stmt, ...]]:
    """The loops over tiles and over what is around them, and what happens in one tile."""
    b, last = ctx.b, outer[-1]
    loops, (down, right) = tile_loops(ctx, outer, found)
    top, height, r = _side(ctx, found, found.row, down)
    left, width, c = _side(ctx, found, last, right)
    place = {found.row.var: b.add(b.var(top[0].name), r), last.var: b.add(b.var(left[0].name), c)}
    names = {load: ctx.names.fresh("tile") for load in found.loads}
    at = b.add(b.mul(c, b.index(found.side)), r)
    fill = [s for load, name in names.items() for s in _fill(ctx, found, load, name, at, place, (r, height), (c, width))]
    inside = (Let(found.row.var, place[found.row.var]), Let(last.var, place[last.var]), *from_tiles(ctx, body, names, at))
    rows = _span(ctx, "serial", r, height, (_span(ctx, "vector", c, width, inside),))
    return loops, (*top, *left, *fill, rows)


def tile_loops(ctx: Context, outer: Sequence[Loop], found: Tiling) -> tuple[tuple[Loop, ...], tuple[str, str]]:
    """The outer loops with those of the tile's sides over tiles, and the variables of these two."""
    b, sides = ctx.b, {found.row.var: ctx.names.fresh("tile_row"), outer[-1].var: ctx.names.fresh("tile_column")}
    loops = tuple(Loop("parallel", sides[loop.var], b.index(0), b.index(_tiles(found, loop)), b.index(1), ()) if loop.var in sides else loop
                  for loop in outer)
    return loops, (sides[found.row.var], sides[outer[-1].var])


def _tiles(found: Tiling, loop: Loop) -> Dim:
    return ceildiv(points((loop,)), found.side)


def _side(ctx: Context, found: Tiling, loop: Loop, tile: str) -> tuple[tuple[Let, Let], Expr, Expr]:
    """Where the tile begins along a loop and how far it reaches, the latter also as a variable, and the variable inside it."""
    b, begin, length, inside = ctx.b, *(ctx.names.fresh(n) for n in ("begin", "length", "inside"))
    lets = (Let(begin, b.mul(b.var(tile), b.index(found.side))),
            Let(length, b.least(b.index(found.side), b.sub(loop.stop, b.var(begin)))))
    return lets, b.var(length), b.var(inside)


def _span(ctx: Context, kind: str, var: Expr, length: Expr, body: tuple[Stmt, ...]) -> Loop:
    return Loop(kind, var.value, ctx.b.index(0), length, ctx.b.index(1), body)


def _fill(ctx: Context, found: Tiling, load: Expr, name: str, at: Expr, place: Mapping[str, Expr], down: tuple[Expr, Expr],
          across: tuple[Expr, Expr]) -> tuple[Stmt, ...]:
    """The tile of one operand: each of its rows is a column of the result."""
    copy = Store(name, at, _placed(ctx, load, place))
    row = _span(ctx, "vector", *down, (copy,))
    return Alloc(name, load.dtype, found.side * found.side, "private"), _span(ctx, "serial", *across, (row,))


def _placed(ctx: Context, expr: Expr, place: Mapping[str, Expr]) -> Expr:
    """The expression with variables replaced."""
    return rebuilt(expr, lambda e, args: place[e.value] if e.kind == "var" and e.value in place else again(ctx.b, e, args))


def from_tiles(ctx: Context, body: tuple[Stmt, ...], names: Mapping[Expr, str], at: Expr) -> tuple[Stmt, ...]:
    """The statements with loads taken from tiles instead."""
    def change(e: Expr, args: tuple[Expr, ...]) -> Expr:
        return ctx.b.load(names[e], e.dtype, at) if e in names else again(ctx.b, e, args)
    return tuple(stmt._replace(**{f: rebuilt(v, change) for f, v in zip(stmt._fields, stmt) if isinstance(v, Expr)})  # type: ignore[arg-type]
                 for stmt in body)
