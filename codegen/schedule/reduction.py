"""Loops inside one work-item: reductions in blocks and lanes, accurate like a pairwise sum, and maps as vector loops."""
from __future__ import annotations

from collections.abc import Mapping

from codegen.combine import COMBINES
from codegen.kernel import Accumulate, Alloc, Expr, If, Let, Loop, Stmt, Store, walk
from codegen.schedule.common import Context, extent, halves, has_loop, known, rebuild
from exprgraph.named import NamedTuple

BLOCK = 16
FREE = 256
"""Iterations of a vector loop that adds up floats, after which the sum goes to the compensated one; a compiler that does not make
vectors of them adds them one after the other, and longer chains lose digits."""


class Stage(NamedTuple):
    """How the reductions of one nest run: lanes per block row, and for each compensated accumulator the array of its correction."""
    lanes: int
    corrections: Mapping[str, str]


def sequential(ctx: Context, body: tuple[Stmt, ...], lanes: int) -> tuple[Stmt, ...]:
    """Statements with "parallel" and "reduce" loops, as one work-item runs them."""
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop):
            out += _loop(ctx, stmt, lanes)
        elif isinstance(stmt, If):
            out.append(stmt._replace(then=sequential(ctx, stmt.then, lanes), orelse=sequential(ctx, stmt.orelse, lanes)))
        else:
            out.append(stmt)
    return tuple(out)


def _loop(ctx: Context, loop: Loop, lanes: int) -> tuple[Stmt, ...]:
    if loop.kind == "reduce":
        return nest(ctx, loop, lanes)
    kind = loop.kind if loop.kind != "parallel" else "serial" if has_loop(loop.body) else "vector"
    return (loop._replace(kind=kind, body=sequential(ctx, loop.body, lanes)),)


def nest(ctx: Context, loop: Loop, lanes: int, outer: Mapping[str, str] | None = None) -> tuple[Stmt, ...]:
    """A nest of reduce loops as one work-item runs it; sums of floats carry a correction from the first to the last iteration."""
    above = outer or {}
    sums = {t: d for t, d in _float_sums(loop).items() if t not in above}
    mine = {t: ctx.names.fresh(t + "_low") for t in sums}
    stage = Stage(lanes, {**above, **mine})
    before: list[Stmt] = [Alloc(mine[t], d, 1, "private", ctx.b.lit(0, d)) for t, d in sums.items()]
    inside = _middle(ctx, loop, stage) if has_loop(loop.body) else blocked(ctx, loop, stage)
    zero = ctx.b.index(0)
    after = [Accumulate((t,), zero, "sum", (ctx.b.load(mine[t], d, zero),)) for t, d in sums.items()]
    return (*before, *inside, *after)


def _float_sums(loop: Loop) -> dict[str, str]:
    own = {s.name for s in walk(loop.body) if isinstance(s, Alloc)}
    return {s.targets[0]: s.values[0].dtype for s in walk(loop.body) if isinstance(s, Accumulate) and s.combine == "sum"
            and s.targets[0] not in own and s.values[0].dtype.startswith("float")}


def _middle(ctx: Context, loop: Loop, stage: Stage) -> tuple[Stmt, ...]:
    """A reduce loop around further loops: serial; the lanes are those of the innermost loop."""
    return (loop._replace(kind="serial", body=_middle_body(ctx, loop.body, stage)),)


def _middle_body(ctx: Context, body: tuple[Stmt, ...], stage: Stage) -> tuple[Stmt, ...]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop) and stmt.kind == "reduce":
            out += nest(ctx, stmt, stage.lanes, stage.corrections)
        elif isinstance(stmt, Loop):
            kind = "serial" if stmt.kind == "parallel" else stmt.kind
            out.append(stmt._replace(kind=kind, body=_middle_body(ctx, stmt.body, stage)))
        elif isinstance(stmt, If):
            out.append(If(stmt.condition, _middle_body(ctx, stmt.then, stage), _middle_body(ctx, stmt.orelse, stage)))
        else:
            out += join(ctx, stmt, stage) if isinstance(stmt, Accumulate) else (stmt,)
    return tuple(out)


def blocked(ctx: Context, loop: Loop, stage: Stage) -> tuple[Stmt, ...]:
    """An innermost reduce loop: blocks of 16 iterations a lane, each block reduced for itself and then joined to the accumulators."""
    if not accumulates(loop.body):
        return (loop._replace(kind="serial"),)
    plain = loop.start.kind == "lit" and loop.start.value == 0 and loop.step.kind == "lit" and loop.step.value == 1
    if stage.lanes > 1 and plain and not _any_order(loop):
        return _lanes(ctx, loop, stage)
    kind, block = ("vector", FREE) if stage.lanes > 1 and plain else ("serial", 2 * BLOCK)
    if not any(t in stage.corrections for a in accumulates(loop.body) for t in a.targets):
        return (loop._replace(kind=kind),)
    length = extent(loop)
    if length is not None and length.const is not None and length.const <= block:
        return partial(ctx, loop, stage, kind)
    if kind == "vector":
        return _fixed(ctx, loop, stage)
    b, stride = ctx.b, ctx.b.mul(loop.step, ctx.b.index(block))
    at = ctx.names.fresh("block")
    end = b.least(b.add(b.var(at), stride), loop.stop)
    return (Loop("serial", at, loop.start, loop.stop, stride, partial(ctx, loop._replace(start=b.var(at), stop=end), stage, kind)),)


def _fixed(ctx: Context, loop: Loop, stage: Stage) -> tuple[Stmt, ...]:
    """Blocks of a literal number of iterations, which need no tests of their length and no remainder, then what is left: the text
    twice, but for 20 to 200 operations an iteration it takes 0.4 to 0.7 times as long as blocks whose length is found (AVX2, rows of
    300 or more)."""
    b, block, length, size = ctx.b, ctx.b.var(ctx.names.fresh("block")), known(loop.stop), ctx.b.index(FREE)
    full = b.index(length // FREE * FREE) if length is not None else b.mul(b.div(loop.stop, size), size)
    whole = partial(ctx, loop._replace(start=block, stop=b.add(block, size)), stage, "vector")
    blocks = Loop("serial", block.value, loop.start, full, size, whole)
    if full is loop.stop:
        return (blocks,)
    return (blocks, If(b.less(full, loop.stop), partial(ctx, loop._replace(start=full), stage, "vector")))


def _any_order(loop: Loop) -> bool:
    """Whether a compiler may be told to accumulate in any order: sums and products, and what integers are put together by."""
    def free(stmt: Accumulate) -> bool:
        return len(stmt.targets) == 1 and (stmt.combine in ("sum", "prod") or not stmt.values[0].dtype.startswith("float"))
    return all(map(free, accumulates(loop.body)))


def accumulates(body: tuple[Stmt, ...]) -> list[Accumulate]:
    """The Accumulates of a tree."""
    return [s for s in walk(body) if isinstance(s, Accumulate)]


def partial(ctx: Context, loop: Loop, stage: Stage, kind: str = "serial") -> tuple[Stmt, ...]:
    """The loop, run into accumulators of its own, which are then joined to the outer ones."""
    zero = ctx.b.index(0)
    allocs, renamed = private_copies(ctx, loop.body, 1)
    body = redirect(loop.body, renamed, zero)
    return (*allocs, loop._replace(kind=kind, body=body), *_join_all(ctx, loop.body, renamed, stage))


def _lanes(ctx: Context, loop: Loop, stage: Stage) -> tuple[Stmt, ...]:
    b, count = ctx.b, ctx.b.index(stage.lanes)
    length = known(loop.stop)
    rows = b.index(length // stage.lanes) if length is not None else b.div(loop.stop, count)
    done = b.mul(rows, count)
    rest = partial(ctx, loop._replace(start=done), stage)
    if length is not None and length.const is not None and length.const < stage.lanes:
        return rest
    return (*_blocks(ctx, loop, rows, stage), *(() if known(done) == length and length is not None else rest))


def _blocks(ctx: Context, loop: Loop, rows: Expr, stage: Stage) -> tuple[Stmt, ...]:
    b, one = ctx.b, ctx.b.index(1)
    block, row, lane = (ctx.names.fresh(n) for n in ("block", "row", "lane"))
    allocs, renamed = private_copies(ctx, loop.body, stage.lanes)
    place = Let(loop.var, b.add(b.mul(b.var(row), b.index(stage.lanes)), b.var(lane)))
    across = Loop("vector", lane, b.index(0), b.index(stage.lanes), one, (place, *redirect(loop.body, renamed, b.var(lane))))
    exact = not any(t in stage.corrections for a in accumulates(loop.body) for t in a.targets)  # then a chain may be of any length
    end = rows if exact else b.least(b.add(b.var(block), b.index(BLOCK)), rows)
    down = Loop("serial", row, b.index(0) if exact else b.var(block), end, one, (across,))
    joined = [s for a in accumulates(loop.body)
              for s in halves(ctx, a.combine, [(renamed[t], v.dtype) for t, v in zip(a.targets, a.values)], stage.lanes)]
    body = (*allocs, down, *joined, *_join_all(ctx, loop.body, renamed, stage))
    return body if exact else (Loop("serial", block, b.index(0), rows, b.index(BLOCK), body),)


def private_copies(ctx: Context, body: tuple[Stmt, ...], size: int) -> tuple[tuple[Stmt, ...], dict[str, str]]:
    """Private arrays that stand for the accumulators of a tree, at their identities, and their names."""
    allocs: list[Stmt] = []
    renamed: dict[str, str] = {}
    for stmt in accumulates(body):
        dtypes = tuple(v.dtype for v in stmt.values)
        for target, dtype, start in zip(stmt.targets, dtypes, COMBINES[stmt.combine].identity(ctx.b, dtypes)):
            if target not in renamed:
                renamed[target] = ctx.names.fresh(target + "_part")
                allocs.append(Alloc(renamed[target], dtype, size, "private", start))
    return tuple(allocs), renamed


def redirect(body: tuple[Stmt, ...], renamed: Mapping[str, str], at: Expr) -> tuple[Stmt, ...]:
    """The tree with its Accumulates into the renamed arrays, at the index `at`."""
    def change(stmt: Stmt) -> tuple[Stmt, ...]:
        if isinstance(stmt, Accumulate) and stmt.targets[0] in renamed:
            return (stmt._replace(targets=tuple(renamed[t] for t in stmt.targets), at=at),)
        return (stmt,)
    return rebuild(body, change)


def _join_all(ctx: Context, body: tuple[Stmt, ...], renamed: Mapping[str, str], stage: Stage) -> tuple[Stmt, ...]:
    zero, out, done = ctx.b.index(0), list[Stmt](), set[str]()
    for stmt in accumulates(body):
        if stmt.targets[0] not in done:
            done.add(stmt.targets[0])
            values = tuple(ctx.b.load(renamed[t], v.dtype, zero) for t, v in zip(stmt.targets, stmt.values))
            out += join(ctx, stmt._replace(at=zero, values=values), stage)
    return tuple(out)


def join(ctx: Context, stmt: Accumulate, stage: Stage) -> tuple[Stmt, ...]:
    """An Accumulate that, where its target is compensated, keeps the rounding error of the sum in the correction (two-sum)."""
    low = stage.corrections.get(stmt.targets[0])
    if low is None:
        return (stmt,)
    b, (value,), zero, dtype = ctx.b, stmt.values, ctx.b.index(0), stmt.values[0].dtype

    def let(stem: str, expr: Expr) -> Expr:
        lets.append(Let(ctx.names.fresh(stem), expr))
        return b.var(lets[-1].name, dtype)
    lets: list[Let] = []
    old, new = let("old", b.load(stmt.targets[0], dtype, zero)), let("new", value)
    total = let("total", b.op("add", dtype, old, new))
    back = let("back", b.op("sub", dtype, total, old))
    error = let("error", b.op("add", dtype, b.op("sub", dtype, old, b.op("sub", dtype, total, back)), b.op("sub", dtype, new, back)))
    nothing = b.lit(0, dtype)
    finite = b.op("eq", "bool", b.op("sub", dtype, error, error), nothing)   # an infinity or NaN has no rounding error to keep
    keep = Accumulate((low,), zero, "sum", (b.select(finite, error, nothing),))
    return (*lets, Store(stmt.targets[0], zero, total), keep)
