"""Short rows: where loops inside a row are too short to fill vectors, neighbouring rows are worked on together on a CPU.

Rows that are results become the lanes of panels (`panel.py`); rows of a reduction over all of them change places with the short loop,
a tile of rows at a time.  Either way memory is read with a stride, which costs a gather per element, and all else is done in vectors.
On a GPU rows that are not long are taken by teams of a group's items (`teams.py`).
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from codegen.kernel import Builder, Kernel, Let, Loop, Stmt, walk
from codegen.schedule import cpu
from codegen.schedule.common import Names, extent, has_loop, peel
from codegen.schedule.panel import columnwise, distributable
from codegen.schedule.teams import in_teams
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum
from exprgraph.named import NamedTuple

LONGEST, LONGEST_TILED = 10, 8
"""The longest inner loop whose rows become lanes, and the longest that changes places with a tile of rows."""
FEWEST = 32
"""Rows from which on that is worth it."""
TILE = 1024


class Narrow(NamedTuple):
    """Another form of a kernel, which comes scheduled or not, and a Dim that is 1 where sizes make it the better one and 0 elsewhere."""
    make: Callable[[], Kernel]
    pick: Dim
    scheduled: bool


def narrow(kernel: Kernel, target: Target) -> Narrow | None:
    """The form for short rows; None where there is none or it is never better."""
    if target.schedule == "gpu":
        teams = in_teams(kernel, target)
        return None if teams is None or teams[1].const == 0 else Narrow(*teams, True)
    found = _lanes(kernel, target) or _swapped(kernel)
    return None if found is None or found.pick.const == 0 else found


def _pick(short: Dim, rows: Dim, limit: int) -> Dim:
    return minimum(constant(limit) // maximum(short, 1), 1) * minimum(rows // FEWEST, 1)


def _lanes(kernel: Kernel, target: Target) -> Narrow | None:
    outer, inner = peel(kernel.body)
    if not outer or not has_loop(inner, "reduce") or columnwise(outer[-1], inner) or not distributable(outer[-1], inner):
        return None
    longest, rows = constant(0), extent(outer[-1])
    for loop in walk(inner):
        if isinstance(loop, Loop) and not has_loop(loop.body):
            length = extent(loop)
            if length is None:
                return None
            longest = maximum(longest, length)
    pick = _pick(longest, rows, LONGEST) if rows is not None else constant(0)
    return None if pick.const == 0 else Narrow(partial(cpu.schedule, kernel, target, panels=True), pick, True)


def _swapped(kernel: Kernel) -> Narrow | None:
    outer, inner = peel(kernel.body)
    nests = {k: found for k, s in enumerate(inner) if (found := _nest(s)) is not None}
    if not nests:
        return None
    longest, fewest = constant(0), None
    for _, long, short, _ in nests.values():
        length, rows = extent(short), extent(long)
        if length is None or rows is None:
            return None
        longest, fewest = maximum(longest, length), rows if fewest is None else minimum(fewest, rows)
    assert fewest is not None

    def changed() -> Kernel:
        b, names = Builder(), Names(kernel)
        body = tuple(_tiled(b, names, *nests[k]) if k in nests else s for k, s in enumerate(inner))
        for loop in outer[::-1]:
            body = (loop._replace(body=body),)
        return kernel._replace(body=body)
    return Narrow(changed, _pick(longest, fewest, LONGEST_TILED), False)


Nest = tuple[tuple[Loop, ...], Loop, Loop, tuple[Stmt, ...]]


def _nest(stmt: Stmt) -> Nest | None:
    """A nest of at least two reduce loops around plain statements: those around, the last but one, the last, the statements."""
    loops, body = peel((stmt,), "reduce")
    if len(loops) < 2 or has_loop(body):
        return None
    return loops[:-2], loops[-2], loops[-1], body


def _tiled(b: Builder, names: Names, around: tuple[Loop, ...], long: Loop, short: Loop, body: tuple[Stmt, ...]) -> Stmt:
    """Tiles of the long loop, in each of them the short loop, and in that the rows of the tile."""
    rows, tile, inside = extent(long), names.fresh("rows"), names.fresh("inside")
    assert rows is not None
    begin = b.mul(b.var(tile), b.index(TILE))
    stop = b.least(b.index(TILE), b.sub(b.index(rows), begin))
    row = Loop("reduce", inside, b.index(0), stop, b.index(1), (Let(long.var, b.add(begin, b.var(inside))), *body))
    out: Stmt = Loop("reduce", tile, b.index(0), b.index(ceildiv(rows, TILE)), b.index(1), (short._replace(body=(row,)),))
    for loop in around[::-1]:
        out = loop._replace(body=(out,))
    return out
