"""The forms of a contraction on a GPU: small tiles, the same with sums in parts where tiles are few, large tiles where they are many.

Large tiles multiply more for each element that they bring into local memory, but small ones are enough for all units earlier and fit
narrow results better.  Where even these are few and the sums long, as in the gradient of a layer's weights over a large batch, the
sums are cut into parts: one kernel writes a result for each part, a second one adds these and does what follows.
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
PART = 1024
"""Steps of k in a part at least, which are worth a second kernel."""
GROUPS_PER_UNIT = 4
"""Groups that a unit works on at once: as many parts as fill it."""


def gpu_forms(name: str, what: Contraction, target: Target) -> tuple[Dim, list[tuple[Kernel, ...]]]:
    """The kernels of each form, and which one suits the sizes."""
    small, large = _tile(what, target, SMALL), _tile(what, target, LARGE)
    count = _parts(what, small, target)
    found = [(constant(1), (Kernel(name, (), tiled(what, small)),)), (minimum(count - 1, 1), _in_parts(name, what, small, target, count))]
    if large.each == LARGE and _brief(what):
        found.append((_suits(what, large, small, target), (Kernel(name, (), tiled(what, large)),)))
    possible = [(pick, kernels) for pick, kernels in found if pick.const != 0]
    always = [kernels for pick, kernels in possible[1:] if pick.const == 1]
    if always:
        return constant(0), always[:1]
    best = constant(0)
    for number, (pick, _) in enumerate(possible[1:], 1):   # no two suit the same sizes
        best = best + pick * number
    return best, [kernels for _, kernels in possible]


def _tile(what: Contraction, target: Target, each: int) -> Tile:
    """The tile that the device has room for; those of wide elements are small, since registers hold half as many."""
    size = int(np.dtype(what.dtype).itemsize)
    side = min(SIDE, 1 << ((target.max_group.bit_length() - 1) // 2))
    found = Tile(side, min(each, side, SMALL if size > 4 else LARGE))
    while found.each > 1 and 2 * found.depth * found.pitch * size > target.local_bytes:
        found = found._replace(each=found.each // 2)
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
    ratio = (large.edge // small.edge) ** 2
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
    scratch = Param("part_sums", what.dtype, "w", product(shape) * count)

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
