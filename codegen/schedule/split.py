"""Long reductions over few rows in two kernels: the first reduces parts of each row into scratch memory, the second joins the parts."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.kernel import INDEX, Accumulate, Alloc, Builder, Expr, Kernel, Let, Loop, Param, Stmt, Store
from codegen.schedule import cpu, gpu
from codegen.schedule.common import Names, clamp, cost, delinearise, has_loop, peel, points, used
from codegen.schedule.panel import columnwise, panel_size
from codegen.schedule.reduction import accumulates
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, maximum, minimum
from exprgraph.named import NamedTuple

TILE = 4096
PER_PART = {"cpu": 32768, "gpu": 4096}
PER_PANEL = 3 << 17
"""The like on a CPU for the elements of a panel: each of its parts begins and ends with a row of sums."""
PER_ITEM = 128
"""The like on a GPU where work-items have rows of their own, so that a group does not share what a part costs."""
PARTS_PER_UNIT = {"cpu": cpu.PER_UNIT, "gpu": gpu.GROUPS_PER_UNIT}


class Form(NamedTuple):
    """A kernel that can be split: its outer loops, what stands before its only reduce nest, the nest, and what follows."""
    outer: tuple[Loop, ...]
    before: tuple[Stmt, ...]
    loop: Loop
    after: tuple[Stmt, ...]


def form(kernel: Kernel) -> Form | None:
    """The parts of a kernel with one reduction stage per row; None for any other."""
    outer, inner = peel(kernel.body)
    stages = [k for k, s in enumerate(inner) if has_loop((s,), "reduce")]
    if len(stages) != 1:
        return None
    before, loop, after = inner[:stages[0]], inner[stages[0]], inner[stages[0] + 1:]
    plain = all(isinstance(s, Alloc | Let) for s in before)
    if not plain or not isinstance(loop, Loop) or loop.kind != "reduce" or not peel((loop,), "reduce")[0]:
        return None
    own = {s.name for s in before if isinstance(s, Alloc)}
    found = accumulates((loop,))
    return Form(outer, before, loop, after) if found and all(t in own for a in found for t in a.targets) else None


def parts(kernel: Kernel, target: Target) -> Dim:
    """Into how many parts `split` cuts each row: more than 1 where the rows are fewer than the device has room for and long."""
    found = form(kernel)
    if found is None:
        raise ValueError(f"kernel {kernel.name} cannot be split")
    room = ceildiv(target.units * PARTS_PER_UNIT[target.schedule], maximum(_tasks(found, target), 1))
    if target.schedule == "cpu" and _columnwise(found):
        width = minimum(points(found.outer[-1:]), panel_size((found.loop,), True))
        return clamp(ceildiv(cost((found.loop,)) * width, PER_PANEL), room)
    alone = target.schedule == "gpu" and _columnwise(found)
    return clamp(ceildiv(cost((found.loop,)), PER_ITEM if alone else PER_PART[target.schedule]), room)


def _columnwise(found: Form) -> bool:
    """Whether neighbouring rows read neighbours, so that work-items take panels of them."""
    return bool(found.outer) and columnwise(found.outer[-1], (*found.before, found.loop))


def _tasks(found: Form, target: Target) -> Dim:
    """How many work-items (on a GPU work-groups) the rows keep busy."""
    rows, columns = points(found.outer[:-1]), points(found.outer[-1:])
    if not _columnwise(found):
        return rows * columns
    if target.schedule == "gpu":
        return ceildiv(rows * columns, gpu.ITEMS_PER_GROUP)
    return rows * ceildiv(columns, panel_size((found.loop,), True))


def splits(kernel: Kernel) -> bool:
    """Whether a kernel can be split."""
    return form(kernel) is not None


def split(kernel: Kernel, target: Target) -> tuple[Kernel, Kernel]:
    """Two scheduled kernels that do the work of one with a single reduction stage.

    Scratch buffers for the partial results, of rows times parts elements, are new params of both.  The order in which partial results are
    joined depends on the sizes only.
    """
    found = form(kernel)
    if found is None:
        raise ValueError(f"kernel {kernel.name} cannot be split")
    b, names, count = Builder(), Names(kernel), parts(kernel, target)
    scratch = _scratch(found, names, count)
    place = _places(b, found, target, count)
    reads = [Param(p.name, p.dtype, "r", p.size) for p in scratch.values()]
    first = _first(b, names, found, target, count, scratch, place)
    second = _around(found.outer, _second(b, names, found, count, scratch, place))
    return (_scheduled(Kernel(kernel.name + "_parts", used((*kernel.params, *scratch.values()), first), first, kernel.wide), target, count),
            _scheduled(Kernel(kernel.name + "_join", used((*kernel.params, *reads), second), second, kernel.wide), target, None))


def _scheduled(kernel: Kernel, target: Target, count: Dim | None) -> Kernel:
    if target.schedule == "gpu":
        return gpu.schedule(kernel, target)
    return cpu.schedule(kernel, target, None if count is None else points(peel(kernel.body)[0]), room=True)


def _scratch(found: Form, names: Names, count: Dim) -> dict[str, Param]:
    size = points(found.outer) * count
    dtypes = {t: v.dtype for a in accumulates((found.loop,)) for t, v in zip(a.targets, a.values)}
    return {t: Param(names.fresh(f"{t}_parts"), d, "w", size) for t, d in dtypes.items()}


def _places(b: Builder, found: Form, target: Target, count: Dim) -> Callable[[Expr], Expr]:
    """Where the result of a part of a row lies: beside that of the neighbouring row where a CPU works on neighbouring rows at once.

    On a GPU the parts of a row lie side by side always, so that the second kernel has a work-group for each row: the rows are few, and one
    work-item would wait for its parts one after the other.
    """
    row = _row(b, found.outer)
    if target.schedule == "cpu" and _columnwise(found):
        return lambda part: b.add(b.mul(part, b.index(points(found.outer))), row)
    return lambda part: b.add(b.mul(row, b.index(count)), part)


def _row(b: Builder, outer: Sequence[Loop]) -> Expr:
    row = b.index(0)
    for loop in outer:
        row = b.add(b.mul(row, loop.stop), b.var(loop.var))
    return row


def _around(outer: Sequence[Loop], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The body within the outer loops."""
    for loop in outer[::-1]:
        body = (loop._replace(body=body),)
    return body


def _first(b: Builder, names: Names, found: Form, target: Target, count: Dim, scratch: dict[str, Param],
           place: Callable[[Expr], Expr]) -> tuple[Stmt, ...]:
    part, offset, length = (names.fresh(n) for n in ("part", "offset", "length"))
    total, make = _flat(b, names, found.loop, target)
    each = b.index(ceildiv(total, count))
    start = b.mul(b.var(part), each)
    left = b.op("maximum", INDEX, b.least(each, b.sub(b.index(total), start)), b.index(0))
    loop = Loop("reduce", offset, b.index(0), b.var(length), b.index(1), make(b.add(start, b.var(offset))))
    keep = [Store(p.name, place(b.var(part)), b.load(t, p.dtype, b.index(0))) for t, p in scratch.items()]
    body = _around(found.outer, (*found.before, Let(length, left), loop, *keep))
    return (Loop("parallel", part, b.index(0), b.index(count), b.index(1), body),)


def _flat(b: Builder, names: Names, loop: Loop, target: Target) -> tuple[Dim, Callable[[Expr], tuple[Stmt, ...]]]:
    """The nest as one range of points, or on a CPU of tiles of its innermost loop, and the body at one of them."""
    loops, inner = peel((loop,), "reduce")
    if len(loops) == 1:
        return points(loops), lambda at: (Let(loop.var, at), *inner)
    if target.schedule == "gpu":
        return points(loops), lambda at: (*_named(b, names, at, loops), *inner)
    last, inside, tile = loops[-1], names.fresh("inside"), names.fresh("tile")
    tiles = ceildiv(points((last,)), TILE)
    begin = b.mul(b.var(tile), b.index(TILE))
    narrow = Loop("reduce", inside, b.index(0), b.least(b.index(TILE), b.sub(last.stop, begin)), b.index(1),
                  (Let(last.var, b.add(begin, b.var(inside))), *inner))
    around = (*loops[:-1], Loop("reduce", tile, b.index(0), b.index(tiles), b.index(1), ()))
    return points(around), lambda at: (*_named(b, names, at, around), narrow)


def _named(b: Builder, names: Names, at: Expr, loops: Sequence[Loop]) -> tuple[Stmt, ...]:
    point = names.fresh("at")
    return (Let(point, at), *delinearise(b, b.var(point), loops))


def _second(b: Builder, names: Names, found: Form, count: Dim, scratch: dict[str, Param],
           place: Callable[[Expr], Expr]) -> tuple[Stmt, ...]:
    part, zero = names.fresh("part"), b.index(0)
    at = place(b.var(part))
    joins: dict[tuple[str, ...], Stmt] = {}
    for stmt in accumulates((found.loop,)):
        values = tuple(b.load(scratch[t].name, v.dtype, at) for t, v in zip(stmt.targets, stmt.values))
        joins[stmt.targets] = Accumulate(stmt.targets, zero, stmt.combine, values)
    loop = Loop("reduce", part, zero, b.index(count), b.index(1), tuple(joins.values()))
    return (*found.before, loop, *found.after)
