"""The forms of a contraction on a GPU: which tiles, and whether several groups share the sums of a tile.

Large tiles multiply more for each element that they bring into local memory, but small ones are enough for all units earlier and fit
narrow results better; those that are as narrow as the items of a side have tiles that are one item's result wide or high.  Where tiles are
few and the sums long, as in the gradient of a layer's weights over a large batch, the sums are cut into parts: one kernel writes a
result for each part, a second one adds these and does what follows.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.inline import linear
from codegen.kernel import Accumulate, Alloc, Expr, Kernel, Loop, Param, Stmt, Store, walk
from codegen.lower.product_parts import Contraction, finish
from codegen.lower.tile_gpu import Parts, Tile, groups, tiled
from codegen.schedule import schedule
from codegen.schedule.common import clamp, operations
from codegen.target import Target
from exprgraph.dims import Dim, constant, maximum, minimum, product

SIDE, SMALL, LARGE = 16, 4, 8
LARGEST_EPILOGUE = 24
"""Operations that follow a product, up to which large tiles are made: they are printed once for each of an item's results."""
PART = 512
"""Steps of k in a part at least, which are worth a second kernel."""
GROUPS_PER_UNIT = 4
"""Groups that a unit works on at once: as many parts as fill it."""


Forms = list[tuple[Dim, tuple[Kernel, ...]]]


def gpu_forms(name: str, what: Contraction, target: Target) -> tuple[Dim, list[tuple[Kernel, ...]]]:
    """The kernels of each form, and which one suits the sizes."""
    found = _forms(name, what, target)
    possible = [found[0], *((pick, kernels) for pick, kernels in found[1:] if pick.const != 0)]
    always = [kernels for pick, kernels in possible[1:] if pick.const == 1]
    if always:
        return constant(0), always
    best = constant(0)
    for number, (pick, _) in enumerate(possible[1:], 1):   # no two suit the same sizes
        best = best + pick * number
    return best, [kernels for _, kernels in possible]


def _forms(name: str, what: Contraction, target: Target) -> Forms:
    """The form for all sizes that none of the others, with 1 for the sizes that they are for, suits."""
    square, large, high, wide = (_tile(what, target, *sizes) for sizes in ((SMALL, SMALL), (LARGE, LARGE), (LARGE, 1), (1, LARGE)))

    def whole(tile: Tile) -> tuple[Kernel, ...]:
        return (Kernel(name, (), tiled(what, tile)),)
    narrow, flat = _within(what.n, high.side), _within(what.m, high.side)
    usual = (1 - narrow) * (1 - flat)
    found: Forms = [(constant(1), whole(square))]
    for suited, tile in ((usual, square), (narrow, high), (flat * (1 - narrow), wide)):
        count = _parts(what, tile, target)
        several = minimum(count - 1, 1)
        found.append((suited * several, _in_parts(name, what, tile, target, count)))
        found += [(suited * (1 - several), whole(tile))] if tile is high else []
    if large.rows == LARGE and _brief(what):
        found.append((usual * _suits(what, large, square, target), whole(large)))
    return found


def _within(size: Dim, limit: int) -> Dim:
    """1 where a size is at most the limit, else 0."""
    return minimum(constant(limit) // maximum(size, 1), 1)


def _tile(what: Contraction, target: Target, rows: int, columns: int) -> Tile:
    """The tile that the device has room for; squares of wide elements are small, since registers hold half as many."""
    size = int(np.dtype(what.dtype).itemsize)
    side = min(SIDE, 1 << ((target.max_group.bit_length() - 1) // 2))
    most = min(side, SMALL if size > 4 and min(rows, columns) > SMALL else LARGE)
    found = Tile(side, min(rows, most), min(columns, most))
    while found.rows * found.columns > 1 and found.local * size > target.local_bytes:
        found = Tile(side, max(found.rows // 2, 1), max(found.columns // 2, 1))
    return found


def _brief(what: Contraction) -> bool:
    """Whether what follows is short."""
    b = what.builder
    after = finish(what, [b.var(f"batch{k}") for k in range(len(what.batch))], b.var("i"), b.var("j"), what.zero())
    return len(operations(walk(after))) <= LARGEST_EPILOGUE


def _suits(what: Contraction, large: Tile, small: Tile, target: Target) -> Dim:
    """1 where large tiles are the better ones: enough for three groups on two units, and with at most a third more results computed for
    nothing."""
    many = groups(what, large)
    ratio = large.height * large.width // (small.height * small.width)
    waste = groups(what, small) * 4 // maximum(many * 3 * ratio, 1)
    return minimum(minimum(many * 2 // (3 * target.units), waste), 1)


def _parts(what: Contraction, tile: Tile, target: Target) -> Dim:
    """Into how many parts sums are cut: more than one where tiles are fewer than units."""
    few = maximum(groups(what, tile), 1)
    units = constant(target.units)
    room = units * GROUPS_PER_UNIT // few * minimum(units // few, 1)
    return clamp(minimum(what.k // PART, room), target.units * GROUPS_PER_UNIT)


def _in_parts(name: str, what: Contraction, tile: Tile, target: Target, count: Dim) -> tuple[Kernel, ...]:
    b, shape = what.builder, (*what.batch, what.m, what.n)
    scratch = Param(f"sums_{tile.rows}_{tile.columns}", what.dtype, "w", product(shape) * count)   # forms share what has one name

    def place(*index: Expr) -> Expr:
        return linear(b, (b.var("part"), *index), (count, *shape))

    def keep(batch: Sequence[Expr], i: Expr, j: Expr, result: Expr) -> tuple[Stmt, ...]:
        return (Store(scratch.name, place(*batch, i, j), result),)
    first = Kernel(name, (scratch,), tiled(what, tile, Parts(count, keep)))
    batch, i, j = [b.var(f"batch{k}") for k in range(len(what.batch))], b.var("i"), b.var("j")
    add = Accumulate(("total",), b.index(0), "sum", (what.read(scratch.name, place(*batch, i, j)),))
    body: tuple[Stmt, ...] = (Alloc("total", what.dtype, 1, "private", what.zero()),
                              Loop("reduce", "part", b.index(0), b.index(count), b.index(1), (add,)),
                              *finish(what, batch, i, j, what.read("total", b.index(0))))
    for var, size in zip((*batch, i, j)[::-1], shape[::-1]):
        body = (Loop("parallel", var.value, b.index(0), b.index(size), b.index(1), body),)
    return first, schedule(Kernel(name, (scratch._replace(access="r"),), body), target)
