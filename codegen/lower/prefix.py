"""Prefix scans: running sums, products, maxima, ... along one axis, as scheduled trees for both kinds of device."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from codegen.combine import COMBINES
from codegen.kernel import INDEX, Alloc, Barrier, Builder, Expr, If, Kernel, Let, Loop, Param, Stmt, Store
from codegen.schedule import schedule
from codegen.target import Target
from exprgraph.dims import Dim, maximum, minimum, product

LARGEST = 256
GROUPS_PER_UNIT = 16


class Scan(NamedTuple):
    """A scan along an axis of length `n` for each point of the extents `outer`.

    load(*outer indices, position) is the value at a position, store(value, *outer indices, position) keeps a running result;
    combine is the name of a combine of width 1.
    """
    builder: Builder
    outer: Sequence[Dim]
    n: Dim
    load: Callable[..., Expr]
    store: Callable[..., tuple[Stmt, ...]]
    combine: str
    dtype: str

    def merge(self, left: Expr, right: Expr) -> Expr:
        """The combination of two running results, left before right."""
        return COMBINES[self.combine].merge(self.builder, (left,), (right,))[0]

    def identity(self) -> Expr:
        """The running result of no values."""
        return COMBINES[self.combine].identity(self.builder, (self.dtype,))[0]

    def read(self, array: str, at: Expr) -> Expr:
        """An element of an array of the scan's dtype."""
        return self.builder.load(array, self.dtype, at)


def prefix_scan(name: str, params: Sequence[Param], scan: Scan, target: Target) -> Kernel:
    """The scheduled kernel of an inclusive scan; each row is scanned in order, so on a CPU floats come out as NumPy's."""
    if target.schedule == "gpu":
        return Kernel(name, tuple(params), _by_group(scan, target))
    rows = tuple(scan.builder.var(f"row{i}") for i in range(len(scan.outer)))
    return schedule(Kernel(name, tuple(params), _nest(scan, rows, _serial(scan, rows))), target)


def _nest(scan: Scan, rows: Sequence[Expr], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    b = scan.builder
    for var, extent in zip(rows[::-1], list(scan.outer)[::-1]):
        body = (Loop("parallel", var.value, b.index(0), b.index(extent), b.index(1), body),)
    return body


def _serial(scan: Scan, rows: Sequence[Expr]) -> tuple[Stmt, ...]:
    b, zero = scan.builder, scan.builder.index(0)
    at, value = b.var("position"), b.var("running", scan.dtype)
    step = (Let("running", scan.merge(scan.read("carry", zero), scan.load(*rows, at))), Store("carry", zero, value),
            *scan.store(value, *rows, at))
    loop = Loop("serial", "position", zero, b.index(scan.n), b.index(1), step)
    return (Alloc("carry", scan.dtype, 1, "private", scan.identity()), loop)


def _group_size(scan: Scan, target: Target) -> int:
    room = min(LARGEST, target.max_group, target.local_bytes // int(np.dtype(scan.dtype).itemsize))
    return 1 << (max(room, 1).bit_length() - 1)


def _by_group(scan: Scan, target: Target) -> tuple[Stmt, ...]:
    """A row per work-group: blocks of one element per item are scanned in local memory and start from the carry of those before."""
    b, size = scan.builder, _group_size(scan, target)
    zero, one, item, start = b.index(0), b.index(1), b.var("item"), b.var("start")
    rows = product(scan.outer)
    groups = maximum(minimum(rows, target.units * GROUPS_PER_UNIT), 1)
    names, lets = _row_indices(scan)
    blocks = Loop("serial", "start", zero, b.index(scan.n), b.index(size), _block(scan, names, item, b.add(start, item), size))
    row = (*lets, Alloc("carry", scan.dtype, 1, "private", scan.identity()), blocks)
    loop = Loop("serial", "row", b.var("group"), b.index(rows), b.index(groups), row)
    local = Loop("local", "item", zero, b.index(size), one, (loop,))
    return (Loop("group", "group", zero, b.index(groups), one, (Alloc("tile", scan.dtype, size, "local"), local)),)


def _row_indices(scan: Scan) -> tuple[tuple[Expr, ...], tuple[Stmt, ...]]:
    b, linear, lets = scan.builder, scan.builder.var("row"), list[Stmt]()
    for i in range(len(scan.outer) - 1, -1, -1):
        extent = b.index(scan.outer[i])
        lets.append(Let(f"row{i}", linear if i == 0 else b.mod(linear, extent)))
        linear = b.div(linear, extent)
    return tuple(b.var(f"row{i}", INDEX) for i in range(len(scan.outer))), tuple(lets)


def _block(scan: Scan, rows: Sequence[Expr], item: Expr, at: Expr, size: int) -> tuple[Stmt, ...]:
    b, zero, position = scan.builder, scan.builder.index(0), scan.builder.var("position")
    inside = b.less(position, b.index(scan.n))
    fetch = If(inside, (Store("tile", item, scan.load(*rows, position)),), (Store("tile", item, scan.identity()),))
    carry, mine = scan.read("carry", zero), b.var("running", scan.dtype)
    keep = (Let("running", scan.merge(carry, scan.read("tile", item))), *scan.store(mine, *rows, position))
    last = scan.merge(carry, scan.read("tile", b.index(size - 1)))
    return (Let("position", at), fetch, Barrier(), Alloc("sum", scan.dtype, 1, "private"), *_sweeps(scan, item, size), If(inside, keep),
            Store("carry", zero, last), Barrier())


def _sweeps(scan: Scan, item: Expr, size: int) -> tuple[Stmt, ...]:
    """After the sweep over distance d each element covers 2d elements up to itself."""
    b, zero, out, distance = scan.builder, scan.builder.index(0), list[Stmt](), 1
    while distance < size:
        far = b.op("ge", "bool", item, b.index(distance))
        both = scan.merge(scan.read("tile", b.sub(item, b.index(distance))), scan.read("tile", item))
        out += [Store("sum", zero, scan.read("tile", item)), If(far, (Store("sum", zero, both),)), Barrier(),
                Store("tile", item, scan.read("sum", zero)), Barrier()]
        distance *= 2
    return tuple(out)
