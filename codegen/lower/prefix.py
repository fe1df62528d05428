"""Prefix scans: running sums, products, maxima, ... along one axis, as scheduled trees for both kinds of device.

Where the scanned axis is the innermost, rows go to work-items (on a GPU to work-groups); few long rows are cut into parts in two kernels:
the first folds each part into scratch memory, the second scans each part from what those before it fold to.  Where another axis is
the innermost, its elements are scanned side by side.  How a row is cut depends on the sizes only.
"""
from __future__ import annotations

from codegen.kernel import INDEX, Accumulate, Alloc, Kernel, Let, Loop, Param, Stmt, Store
from codegen.lower.prefix_forms import GROUPS_PER_UNIT, Part, Scan, by_group, by_lane, by_row, in_lanes, nest, serial, whole
from codegen.running import TILE
from codegen.schedule import cpu, schedule
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, maximum, minimum, product

PER_PART = {"cpu": 65536, "gpu": 16384}
"""Elements from which on a row is worth a part more."""
PARTS_PER_UNIT = {"cpu": 6, "gpu": GROUPS_PER_UNIT}


def prefix_scan(name: str, params: tuple[Param, ...], scan: Scan, target: Target) -> Kernel:
    """The scheduled kernel of an inclusive scan."""
    if target.schedule == "gpu" and not in_lanes(scan) and not scan.ordered:
        return Kernel(name, params, by_group(scan, target, whole(scan)))
    if target.schedule == "gpu":
        rows = tuple(scan.builder.var(f"row{i}") for i in range(len(scan.outer)))
        return schedule(Kernel(name, params, nest(scan, rows, serial(scan, rows))), target)
    return Kernel(name, params, by_lane(scan, target) if in_lanes(scan) else by_row(scan, target, whole(scan)))


def parts(scan: Scan, target: Target) -> Dim:
    """Into how many parts `split_scan` cuts each row: more than 1 where rows are long and fewer than the device has room for."""
    room = ceildiv(target.units * PARTS_PER_UNIT[target.schedule], maximum(product(scan.outer), 1))
    return clamp(ceildiv(scan.n, PER_PART[target.schedule]), room)


def split_scan(name: str, scan: Scan, target: Target) -> tuple[Kernel, Kernel]:
    """Two scheduled kernels that scan rows of at least two parts; scratch memory for the folds is a param of both.

    The last part of each row is not folded: nothing follows it.
    """
    count = parts(scan, target)
    each = ceildiv(ceildiv(scan.n, TILE), count) * TILE
    scratch = Param("folds", scan.dtype, "w", product(scan.outer) * (count - 1))
    first = _folds(name, scan, target, Part(count, each, scratch.name), scratch)
    second = (by_group if target.schedule == "gpu" else by_row)(scan, target, Part(count, each, scratch.name))
    return first, Kernel(name, (scratch._replace(access="r"),), second)


def _folds(name: str, scan: Scan, target: Target, part: Part, scratch: Param) -> Kernel:
    b, zero, one = scan.builder, scan.builder.index(0), scan.builder.index(1)
    rows = tuple(b.var(f"row{i}") for i in range(len(scan.outer)))
    row, number = b.index(0), b.var("part")
    for var, extent in zip(rows, scan.outer):
        row = b.add(b.mul(row, b.index(extent)), var)
    start = b.mul(number, b.index(part.each))
    length = b.op("maximum", INDEX, b.least(b.index(part.each), b.sub(b.index(scan.n), start)), zero)
    value = scan.load(*rows, b.add(start, b.var("offset")))
    fold: tuple[Stmt, ...] = (
        Let("length", length), Alloc("fold", scan.dtype, 1, "private", scan.identity()),
        Loop("reduce", "offset", zero, b.var("length"), one, (Accumulate(("fold",), zero, scan.combine, (value,)),)),
        Store(scratch.name, b.add(b.mul(row, b.index(part.count - 1)), number), scan.read("fold", zero)))
    body = nest(scan, rows, fold)
    kernel = Kernel(name, (scratch,), (Loop("parallel", "part", zero, b.index(part.count - 1), one, body),))
    return cpu.schedule(kernel, target, product(scan.outer) * (part.count - 1)) if target.schedule == "cpu" else schedule(kernel, target)


def variants(name: str, scan: Scan, target: Target) -> tuple[Dim | None, list[tuple[Kernel, ...]]]:
    """Which variant suits the sizes (None if there is but one), and the kernels of each."""
    one = (prefix_scan(name, (), scan, target),)
    if in_lanes(scan) or scan.ordered or scan.n.const == 1:
        return None, [one]
    return minimum(parts(scan, target) - 1, 1), [one, split_scan(name, scan, target)]
