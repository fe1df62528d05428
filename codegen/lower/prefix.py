"""Prefix scans: running sums, products, maxima, ... along one axis, as scheduled trees for both kinds of device.

Where the scanned axis is the innermost, rows go to work-items (on a GPU to work-groups); few long rows are cut into parts in two kernels:
the first folds each part into scratch memory, the second scans each part from what those before it fold to.  Where another axis is
the innermost, its elements are scanned side by side, and on a GPU, where they are few, parts of them too.  How a row is cut depends on
the sizes only.
"""
from __future__ import annotations

from codegen.kernel import Kernel, Param
from codegen.lower.prefix_forms import GROUPS_PER_UNIT, Part, Scan, by_lane, by_row, fold_parts, in_lanes, nest, serial, whole
from codegen.lower.prefix_gpu import by_group, is_long, most_each
from codegen.lower.prefix_lanes import fold_each, fold_place, lane_parts, row_variables, split_lanes
from codegen.running import TILE
from codegen.schedule import schedule
from codegen.schedule.common import clamp
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, maximum, minimum, product

PER_PART = {"cpu": 131072, "gpu": 4096}
"""Elements of a part."""
LEAST = {"cpu": 3 * 131072, "gpu": 32768}
"""Elements of a row from which on two kernels are quicker than one work-item or work-group."""
PARTS_PER_UNIT = {"cpu": 6, "gpu": GROUPS_PER_UNIT}


def prefix_scan(name: str, params: tuple[Param, ...], scan: Scan, target: Target, each: int = 1) -> Kernel:
    """The scheduled kernel of an inclusive scan; each: how many elements an item of a work-group takes at a time."""
    if target.schedule == "gpu" and not in_lanes(scan) and not scan.ordered:
        return Kernel(name, params, by_group(scan, target, whole(scan), each))
    if target.schedule == "gpu":
        rows = row_variables(scan)
        return schedule(Kernel(name, params, nest(scan, rows, serial(scan, rows))), target)
    return Kernel(name, params, by_lane(scan, target) if in_lanes(scan) else by_row(scan, target, whole(scan)))


def parts(scan: Scan, target: Target) -> Dim:
    """Into how many parts `split_scan` cuts each row: more than 1 where rows are longer than a part and fewer than the device has room
    for."""
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
    part = Part(count, each, scratch.name)
    second = by_group(scan, target, part, most_each(scan.dtype)) if target.schedule == "gpu" else by_row(scan, target, part)
    return first, Kernel(name, (scratch._replace(access="r"),), second)


def _folds(name: str, scan: Scan, target: Target, part: Part, scratch: Param) -> Kernel:
    """The kernel that folds all parts but the last of each row."""
    if target.schedule == "cpu":
        return Kernel(name, (scratch,), fold_parts(scan, target, part))
    rows = row_variables(scan)
    return schedule(Kernel(name, (scratch,), fold_each(scan, rows, part, fold_place(scan, rows, part))), target)


def variants(name: str, scan: Scan, target: Target) -> tuple[Dim | None, list[tuple[Kernel, ...]]]:
    """Which variant suits the sizes (None if there is but one), and the kernels of each."""
    one, lanes = (prefix_scan(name, (), scan, target),), in_lanes(scan)
    if scan.ordered or scan.n.const == 1 or (lanes and target.schedule == "cpu"):
        return None, [one]
    if lanes:
        return minimum(lane_parts(scan, target) - 1, 1), [one, split_lanes(name, scan, target)]
    cut = minimum(minimum(parts(scan, target) - 1, scan.n // LEAST[target.schedule]), 1)
    if target.schedule == "cpu":
        return cut, [one, split_scan(name, scan, target)]
    rows = (prefix_scan(name, (), scan, target, most_each(scan.dtype)),)
    return is_long(scan, target) * (1 + cut), [one, rows, split_scan(name, scan, target)]
