"""Contractions: C[..., i, j] = sum over k of A[..., i, k] * B[..., k, j], tiled, with what follows spliced into the last step."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from codegen.kernel import Accumulate, Alloc, Barrier, Builder, Expr, If, Kernel, Let, Loop, Param, Stmt, Store
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, product

SIDE = 16
ROWS, COLUMNS = 4, 32
GRAIN = 32768
PER_UNIT = 6
MOST_GROUPS = 32768


class Contraction(NamedTuple):
    """What is multiplied: batch extents and the sizes m, n, k.

    load_a(*batch, i, k) and load_b(*batch, k, j) are the factors, in `dtype`; epilogue(value, *batch, i, j) are the statements that use a
    result.  Sums run in the order of k in `dtype`; integers wrap.
    """
    builder: Builder
    batch: Sequence[Dim]
    m: Dim
    n: Dim
    k: Dim
    load_a: Callable[..., Expr]
    load_b: Callable[..., Expr]
    epilogue: Callable[..., tuple[Stmt, ...]]
    dtype: str

    def times(self, left: Expr, right: Expr) -> Expr:
        """The product of two factors."""
        return self.builder.op("mul", self.dtype, left, right)

    def read(self, array: str, at: Expr) -> Expr:
        """An element of an array of the contraction's dtype."""
        return self.builder.load(array, self.dtype, at)

    def zero(self) -> Expr:
        """The sum of no products."""
        return self.builder.lit(0, self.dtype)


def contraction(name: str, params: Sequence[Param], what: Contraction, target: Target) -> Kernel:
    """The scheduled kernel: square tiles in local memory on a GPU, register tiles over chunks on a CPU."""
    return Kernel(name, tuple(params), (_gpu if target.schedule == "gpu" else _cpu)(what, target))


def _batch(what: Contraction) -> tuple[tuple[Expr, ...], tuple[Stmt, ...]]:
    """The batch indices and the statements that find them in the linear index "batch"."""
    b, linear, lets = what.builder, what.builder.var("batch"), list[Stmt]()
    for i in range(len(what.batch) - 1, -1, -1):
        extent = b.index(what.batch[i])
        lets.append(Let(f"batch{i}", linear if i == 0 else b.mod(linear, extent)))
        linear = b.div(linear, extent)
    return tuple(b.var(f"batch{i}") for i in range(len(what.batch))), tuple(lets)


def _loop(b: Builder, kind: str, var: str, stop: Expr | int, *body: Stmt) -> Loop:
    end = b.index(stop) if isinstance(stop, int) else stop
    return Loop(kind, var, b.index(0), end, b.index(1), body)


def _finish(what: Contraction, batch: Sequence[Expr], i: Expr, j: Expr, result: Expr) -> tuple[Stmt, ...]:
    return (Let("result", result), *what.epilogue(what.builder.var("result", what.dtype), *batch, i, j))


# --- CPU: 4 x 32 results in registers, full rows of k -------------------------------------------------------------------------------------

def _cpu(what: Contraction, target: Target) -> tuple[Stmt, ...]:
    b, (batch, lets) = what.builder, _batch(what)
    down, across = ceildiv(what.m, ROWS), ceildiv(what.n, COLUMNS)
    rows = product(what.batch) * down
    total = clamp(product(what.batch) * what.m * what.n * what.k // GRAIN, target.units * PER_UNIT)
    chunks = clamp(rows, total)
    panels = clamp(across, total // chunks)
    place = (Let("batch", b.div(b.var("tile"), b.index(down))), *lets,
             Let("top", b.mul(b.mod(b.var("tile"), b.index(down)), b.index(ROWS))), Let("left", b.mul(b.var("panel"), b.index(COLUMNS))))
    fits = b.both(b.op("le", "bool", b.add(b.var("top"), b.index(ROWS)), b.index(what.m)),
                  b.op("le", "bool", b.add(b.var("left"), b.index(COLUMNS)), b.index(what.n)))
    body = (*place, If(fits, _full_tile(what, batch), _edge_tile(what, batch)))
    tiles = _chunk(b, "tile", rows, chunks, 0, body)
    return (_loop(b, "grid", "tile_chunk", b.index(chunks),
                  _loop(b, "grid", "panel_chunk", b.index(panels), *_chunk(b, "panel", across, panels, 1, tiles))._replace(axis=1)),)


def _chunk(b: Builder, var: str, count: Dim, chunks: Dim, axis: int, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    each = b.index(ceildiv(count, chunks))
    start = b.mul(b.var(f"{var}_chunk"), each)
    return (Loop("serial", var, start, b.least(b.add(start, each), b.index(count)), b.index(1), body),)


def _full_tile(what: Contraction, batch: Sequence[Expr]) -> tuple[Stmt, ...]:
    b, r, c, k = what.builder, what.builder.var("r"), what.builder.var("c"), what.builder.var("k")
    i, j, at = b.add(b.var("top"), r), b.add(b.var("left"), c), b.add(b.mul(r, b.index(COLUMNS)), c)
    one = _loop(b, "vector", "c", COLUMNS,
                Accumulate(("sums",), at, "sum", (what.times(b.var("factor", what.dtype), what.load_b(*batch, k, j)),)))
    step = _loop(b, "unroll", "r", ROWS, Let("factor", what.load_a(*batch, i, k)), one)
    done = _loop(b, "vector", "c", COLUMNS, *_finish(what, batch, i, j, what.read("sums", at)))
    return (Alloc("sums", what.dtype, ROWS * COLUMNS, "private", what.zero()), _loop(b, "serial", "k", b.index(what.k), step),
            _loop(b, "serial", "r", ROWS, done))


def _edge_tile(what: Contraction, batch: Sequence[Expr]) -> tuple[Stmt, ...]:
    b, i, k = what.builder, what.builder.var("i"), what.builder.var("k")
    c = b.var("c")
    j = b.add(b.var("left"), c)
    width = b.least(b.sub(b.index(what.n), b.var("left")), b.index(COLUMNS))
    bottom = b.least(b.add(b.var("top"), b.index(ROWS)), b.index(what.m))
    one = Accumulate(("edge",), c, "sum", (what.times(b.var("factor", what.dtype), what.load_b(*batch, k, j)),))
    step = _loop(b, "serial", "k", b.index(what.k), Let("factor", what.load_a(*batch, i, k)), _loop(b, "vector", "c", b.var("width"), one))
    done = _loop(b, "vector", "c", b.var("width"), *_finish(what, batch, i, j, what.read("edge", c)))
    row = (Alloc("edge", what.dtype, COLUMNS, "private", what.zero()), step, done)
    return (Let("width", width), Loop("serial", "i", b.var("top"), bottom, b.index(1), row))


# --- GPU: 16 x 16 items, each with a square of results; tiles of both factors in local memory ---------------------------------------------

def _shape(what: Contraction, target: Target) -> tuple[int, int]:
    """Items along a side, and results of an item along a side, that the device has room for."""
    side = SIDE if target.max_group >= SIDE * SIDE else 1 << ((target.max_group.bit_length() - 1) // 2)
    each = 4
    while each > 1 and (2 * side * each + 1) * side * int(np.dtype(what.dtype).itemsize) > target.local_bytes:
        each //= 2
    return side, each


def _gpu(what: Contraction, target: Target) -> tuple[Stmt, ...]:
    b, (batch, lets) = what.builder, _batch(what)
    side, each = _shape(what, target)
    edge = side * each
    body = (*lets, Let("top", b.mul(b.var("tile_row"), b.index(edge))), Let("left", b.mul(b.var("tile_column"), b.index(edge))),
            *_tile(what, batch, side, each))
    tiles = (("tile_column", ceildiv(what.n, edge)), ("tile_row", ceildiv(what.m, edge)), ("batch", product(what.batch)))
    counts = [clamp(count, MOST_GROUPS) for _, count in tiles]
    for axis, (var, count) in enumerate(tiles):
        body = (Loop("serial", var, b.var(f"group{axis}"), b.index(count), b.index(counts[axis]), body),)
    for axis in range(2):
        body = (_loop(b, "local", f"item{axis}", side, *body)._replace(axis=axis),)
    body = (Alloc("tile_a", what.dtype, (edge + 1) * side, "local"), Alloc("tile_b", what.dtype, edge * side, "local"), *body)
    for axis in range(3):
        body = (_loop(b, "group", f"group{axis}", b.index(counts[axis]), *body)._replace(axis=axis),)
    return body


def _tile(what: Contraction, batch: Sequence[Expr], side: int, each: int) -> tuple[Stmt, ...]:
    b, r, c = what.builder, what.builder.var("r"), what.builder.var("c")
    i, j = (b.add(b.var(corner), b.add(b.mul(v, b.index(side)), item)) for corner, v, item in
            (("top", r, b.var("item1")), ("left", c, b.var("item0"))))
    valid = b.both(b.less(i, b.index(what.m)), b.less(j, b.index(what.n)))
    at = b.add(b.mul(r, b.index(each)), c)
    done = If(valid, _finish(what, batch, i, j, what.read("sums", at)))
    blocks = Loop("serial", "first", b.index(0), b.index(what.k), b.index(side),
                  (*_fetch(what, batch, side, each), Barrier(), _products(what, side, each), Barrier()))
    return (Alloc("sums", what.dtype, each * each, "private", what.zero()), blocks,
            _loop(b, "unroll", "r", each, _loop(b, "unroll", "c", each, done)))


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
    return (_loop(b, "unroll", "u", each, put_a, put_b),)


def _guarded(what: Contraction, tile: str, at: Expr, valid: Expr, value: Expr) -> Stmt:
    return If(valid, (Store(tile, at, value),), (Store(tile, at, what.zero()),))


def _products(what: Contraction, side: int, each: int) -> Stmt:
    b, r, c, p = what.builder, what.builder.var("r"), what.builder.var("c"), what.builder.var("p")
    edge, apart = side * each, b.index(side)
    left = what.read("tile_a", b.add(b.mul(p, b.index(edge + 1)), b.add(b.mul(r, apart), b.var("item1"))))
    right = what.read("tile_b", b.add(b.mul(p, b.index(edge)), b.add(b.mul(c, apart), b.var("item0"))))
    at = b.add(b.mul(r, b.index(each)), c)
    one = _loop(b, "unroll", "c", each, Accumulate(("sums",), at, "sum", (what.times(left, right),)))
    return _loop(b, "serial", "p", side, _loop(b, "unroll", "r", each, one))
