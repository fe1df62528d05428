"""Teams: where rows with reductions are many and not long, a group of a GPU takes several, each by a team of its items.

A team has few elements to wait for and fewer steps in which its items join what they have, and the barriers of a group serve all rows.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from codegen.kernel import Kernel, Let, Loop
from codegen.schedule.common import context, delinearise, has_loop, peel, points
from codegen.schedule.gpu import LENGTHS, apart, groups_for
from codegen.schedule.group import Team, cooperative, group_size
from codegen.schedule.panel import distributable
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, constant, maximum, minimum

TEAMS = 8
LONGEST = 2048
"""Elements of a row up to which a team is enough for it; those of rows that `by_length` gives an item each are too few."""
FEWEST = 32
"""Rows for each unit from which on teams keep them busy."""


def in_teams(kernel: Kernel, target: Target) -> tuple[Callable[[], Kernel], Dim] | None:
    """What schedules the kernel, and a Dim that is 1 where sizes make that the better form, else 0; None where rows differ in steps."""
    outer, inner = peel(kernel.body)
    size = group_size(inner, target) // TEAMS
    if not outer or apart(kernel) or size < 2 or not all(distributable(loop, inner) for loop in outer):
        return None
    longest = _longest(kernel)
    if longest is None:
        return None
    short = minimum(constant(LONGEST) // maximum(longest, 1), 1) * minimum(maximum(longest - 1, 0) // LENGTHS[0][0], 1)
    return partial(_scheduled, kernel, target, size), short * minimum(points(outer) // (FEWEST * target.units), 1)


def _longest(kernel: Kernel) -> Dim | None:
    """The most elements of a loop nest inside a row; None where that is not known before."""
    longest = constant(0)
    for loop in peel(kernel.body)[1]:
        nest, inside = peel((loop,), loop.kind) if isinstance(loop, Loop) else ((), ())
        if isinstance(loop, Loop) and (not nest or has_loop(inside)):
            return None
        longest = maximum(longest, points(nest))
    return longest


def _scheduled(kernel: Kernel, target: Target, size: int) -> Kernel:
    ctx, (outer, inner) = context(kernel, target), peel(kernel.body)
    b, fresh, rows = ctx.b, ctx.names.fresh, points(outer)
    group, item, team, first, row = (b.var(fresh(n)) for n in ("group", "item", "team", "first", "row"))
    busy = b.less(b.add(first, team), b.index(rows))
    tiles, body = cooperative(ctx, inner, item, size, Team(team, TEAMS, busy))
    # A team without a row looks at the last one and keeps what it finds to itself.
    place = (Let(row.value, b.least(b.add(first, team), b.index(rows - 1))), *delinearise(b, row, outer))
    groups = groups_for(target, ceildiv(rows, TEAMS))
    loop = Loop("serial", first.value, b.mul(group, b.index(TEAMS)), b.index(rows), b.index(groups * TEAMS), (*place, *body))
    items = Loop("local", item.value, b.index(0), b.index(size), b.index(1), (loop,))
    teams = Loop("local", team.value, b.index(0), b.index(TEAMS), b.index(1), (items,), axis=1)
    return kernel._replace(body=(Loop("group", group.value, b.index(0), b.index(groups), b.index(1), (*tiles, teams)),))
