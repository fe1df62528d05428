"""Contractions on a GPU: 16 x 16 items, each with a square of results; tiles of both factors in local memory."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.kernel import Accumulate, Alloc, Barrier, Expr, If, Let, Loop, Stmt, Store
from codegen.lower.product_parts import Contraction, batch_indices, finish, loop
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import ceildiv, product

SIDE = 16
MOST_GROUPS = 32768


def _shape(what: Contraction, target: Target) -> tuple[int, int]:
    """Items along a side, and results of an item along a side, that the device has room for."""
    side = SIDE if target.max_group >= SIDE * SIDE else 1 << ((target.max_group.bit_length() - 1) // 2)
    each = 4
    while each > 1 and (2 * side * each + 1) * side * int(np.dtype(what.dtype).itemsize) > target.local_bytes:
        each //= 2
    return side, each


def tiled(what: Contraction, target: Target) -> tuple[Stmt, ...]:
    """The tree: a group for each tile of results, as far as there are groups."""
    b, (batch, lets) = what.builder, batch_indices(what)
    side, each = _shape(what, target)
    edge = side * each
    body = (*lets, Let("top", b.mul(b.var("tile_row"), b.index(edge))), Let("left", b.mul(b.var("tile_column"), b.index(edge))),
            *_tile(what, batch, side, each))
    tiles = (("tile_column", ceildiv(what.n, edge)), ("tile_row", ceildiv(what.m, edge)), ("batch", product(what.batch)))
    counts = [clamp(count, MOST_GROUPS) for _, count in tiles]
    for axis, (var, count) in enumerate(tiles):
        body = (Loop("serial", var, b.var(f"group{axis}"), b.index(count), b.index(counts[axis]), body),)
    for axis in range(2):
        body = (loop(b, "local", f"item{axis}", side, *body)._replace(axis=axis),)
    body = (Alloc("tile_a", what.dtype, (edge + 1) * side, "local"), Alloc("tile_b", what.dtype, edge * side, "local"), *body)
    for axis in range(3):
        body = (loop(b, "group", f"group{axis}", b.index(counts[axis]), *body)._replace(axis=axis),)
    return body


def _tile(what: Contraction, batch: Sequence[Expr], side: int, each: int) -> tuple[Stmt, ...]:
    b, r, c = what.builder, what.builder.var("r"), what.builder.var("c")
    i, j = (b.add(b.var(corner), b.add(b.mul(v, b.index(side)), item)) for corner, v, item in
            (("top", r, b.var("item1")), ("left", c, b.var("item0"))))
    valid = b.both(b.less(i, b.index(what.m)), b.less(j, b.index(what.n)))
    at = b.add(b.mul(r, b.index(each)), c)
    done = If(valid, finish(what, batch, i, j, what.read("sums", at)))
    blocks = Loop("serial", "first", b.index(0), b.index(what.k), b.index(side),
                  (*_fetch(what, batch, side, each), Barrier(), _products(what, side, each), Barrier()))
    return (Alloc("sums", what.dtype, each * each, "private", what.zero()), blocks,
            loop(b, "unroll", "r", each, loop(b, "unroll", "c", each, done)))


def _fetch(what: Contraction, batch: Sequence[Expr], side: int, each: int) -> tuple[Stmt, ...]:
    """Both tiles, zero beyond the edges; neighbouring items read neighbouring elements of a row."""
    b, u, x, y = what.builder, what.builder.var("u"), what.builder.var("item0"), what.builder.var("item1")
    part, edge = b.add(b.mul(u, b.index(side)), y), b.index(side * each)
    i, k = b.add(b.var("top"), part), b.add(b.var("first"), x)
    place = b.add(b.mul(x, b.index(side * each + 1)), part)   # one more, so that neighbours write to different banks
    column = b.add(b.mul(u, b.index(side)), x)
    j, kk = b.add(b.var("left"), column), b.add(b.var("first"), y)
    put_a = _guarded(what, "tile_a", place, b.both(b.less(i, b.index(what.m)), b.less(k, b.index(what.k))), what.load_a(*batch, i, k))
    put_b = _guarded(what, "tile_b", b.add(b.mul(y, edge), column),
                     b.both(b.less(kk, b.index(what.k)), b.less(j, b.index(what.n))), what.load_b(*batch, kk, j))
    return (loop(b, "unroll", "u", each, put_a, put_b),)


def _guarded(what: Contraction, tile: str, at: Expr, valid: Expr, value: Expr) -> Stmt:
    return If(valid, (Store(tile, at, value),), (Store(tile, at, what.zero()),))


def _products(what: Contraction, side: int, each: int) -> Stmt:
    b, r, c, p = what.builder, what.builder.var("r"), what.builder.var("c"), what.builder.var("p")
    edge, apart = side * each, b.index(side)
    left = what.read("tile_a", b.add(b.mul(p, b.index(edge + 1)), b.add(b.mul(r, apart), b.var("item1"))))
    right = what.read("tile_b", b.add(b.mul(p, b.index(edge)), b.add(b.mul(c, apart), b.var("item0"))))
    at = b.add(b.mul(r, b.index(each)), c)
    one = loop(b, "unroll", "c", each, Accumulate(("sums",), at, "sum", (what.times(left, right),)))
    return loop(b, "serial", "p", side, loop(b, "unroll", "r", each, one))
