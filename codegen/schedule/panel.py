"""Panels: the innermost outer loop moves inside the loops of its body, a panel of iterations at a time, as vector loops.

What an iteration keeps in private memory becomes an array over the panel.  So a sum over the leading axis reads whole rows, and a time
loop keeps many independent lanes in step.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from codegen.kernel import Accumulate, Alloc, Expr, Flag, If, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.order import postorder
from codegen.schedule.common import Context, again, extent, has_loop, mentioned, names_in, unit_step
from codegen.schedule.jam import apart, jammed
from exprgraph.named import NamedTuple

PANEL, WIDE = 256, 1024
"""Iterations of the outer loop in a panel; the wide one, for few and simple sums, reads long runs of memory."""
FEWEST = 8
WIDE_SUMS = 4


class Lanes(NamedTuple):
    """The panel under way: the variable of the loop that became lanes, its lane, where the panel begins and how wide it is.

    size: the widest that a panel gets.  far: whether iterations of a pass come from ranges that lie far apart.  arrays: names that hold
    one element per lane now, and the array for each.  plain: other values that differ between lanes.  known: what expressions have become,
    and whether they differ.
    """
    ctx: Context
    var: str
    lane: Expr
    begin: Expr
    width: Expr
    size: int
    far: bool
    arrays: Mapping[str, str]
    plain: frozenset[str]
    known: dict[Expr, tuple[Expr, bool]]

    def varies(self, expr: Expr) -> bool:
        """Whether the expression differs between lanes."""
        return self.look(expr)[1]

    def seen(self, expr: Expr) -> Expr:
        """The expression with what has become an array read at the lane."""
        return self.look(expr)[0]

    def look(self, expr: Expr) -> tuple[Expr, bool]:
        """Both; what is found is known for the rest of the panel, since names have their meanings before they are mentioned."""
        for e in postorder((expr,), self.known) if expr not in self.known else ():
            if e not in self.known:
                parts = [self.known[a] for a in e.args]
                new, varies = again(self.ctx.b, e, tuple([p[0] for p in parts])), any(p[1] for p in parts)
                if e.kind in ("var", "load"):
                    array = self.arrays.get(e.value)
                    new = new if array is None else self.ctx.b.load(array, e.dtype, self.lane)
                    varies = varies or array is not None or e.value == self.var or e.value in self.plain
                self.known[e] = new, varies
        return self.known[expr]


def columnwise(last: Loop, body: tuple[Stmt, ...]) -> bool:
    """Whether neighbouring iterations of `last` read neighbouring elements inside the loops of its body, or its loops only step on."""
    length = extent(last)
    narrow = length is not None and length.const is not None and length.const < FEWEST
    if narrow or not has_loop(body) or not distributable(last, body):
        return False
    score = sum(_score(loop, last.var) for loop in walk(body) if isinstance(loop, Loop))
    return score > 0 or (score == 0 and not has_loop(body, "reduce", "parallel"))


def _score(loop: Loop, outer: str) -> int:
    """The loads of a loop that step by 1 with the outer variable, less those that do so with the loop's own."""
    single, moved = {loop.var}, {loop.var}
    for stmt in walk(loop.body):
        if isinstance(stmt, Let) and names_in(stmt.value) & moved:
            moved.add(stmt.name)
            single |= {stmt.name} if any(unit_step(stmt.value, v) for v in single) else set()
    total, inside = 0, postorder(root for s in walk(loop.body) for root in exprs_of(s))
    for index, loads in Counter(e.args[0] for e in inside if e.kind == "load").items():
        names = names_in(index)
        if outer in names and names & moved:
            total += loads * (1 if unit_step(index, outer) else -1 if any(unit_step(index, v) for v in single) else 0)
    return total


def distributable(last: Loop, body: tuple[Stmt, ...]) -> bool:
    """Whether all lanes run the same iterations and each private array has one element."""
    tainted = {last.var}
    for stmt in walk(body):
        if isinstance(stmt, Alloc) or (isinstance(stmt, Let) and names_in(stmt.value) & tainted):
            tainted.add(stmt.name)
    for stmt in walk(body):
        guarded = isinstance(stmt, If) and has_loop((*stmt.then, *stmt.orelse))
        array = isinstance(stmt, Alloc) and (stmt.size != 1 or stmt.space != "private")
        if guarded or array or (isinstance(stmt, Loop) and names_in(*exprs_of(stmt)) & tainted):
            return False
    return True


def panel_size(body: tuple[Stmt, ...], room: bool) -> int:
    """How wide panels are; room: whether there are work-items enough without narrow ones."""
    return WIDE if room and sum(isinstance(s, Accumulate) for s in walk(body)) <= WIDE_SUMS else PANEL


def panel_body(ctx: Context, last: Loop, panel: str, body: tuple[Stmt, ...], size: int, far: bool) -> tuple[Stmt, ...]:
    """What number `panel` of the panels does; `body` is what one iteration of `last` does, as one work-item runs it.

    The vector loops of a full panel have a literal length; a last one that is not full gets statements of its own.
    """
    b, length = ctx.b, extent(last)
    begin, width, lane = (b.var(ctx.names.fresh(n)) for n in ("begin", "width", "lane"))
    lanes = Lanes(ctx, last.var, lane, begin, b.index(size), size, far, {}, frozenset(), {})
    start = Let(begin.value, b.mul(b.var(panel), b.index(size)))
    if length is not None and length.const is not None and (length.const < size or length.const % size == 0):
        return (start, *_spread(lanes._replace(width=b.index(min(length.const, size))), body))
    left, full = Let(width.value, b.sub(last.stop, begin)), _spread(lanes, body)
    return (start, left, If(b.less(width, b.index(size)), _spread(lanes._replace(width=width, known={}), body), full))


def _spread(lanes: Lanes, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The statements, each run for all lanes before the next: runs of plain ones share a vector loop."""
    out: list[Stmt] = []
    run: list[Stmt] = []
    for stmt, wanted in zip(body, _wanted(body)):
        if isinstance(stmt, Alloc):
            name = lanes.ctx.names.fresh(stmt.name + "_panel")
            lanes = lanes._replace(arrays={**lanes.arrays, stmt.name: name})
            out.append(stmt._replace(name=name, size=lanes.size, init=None))
            run += [] if stmt.init is None else [Store(name, lanes.lane, stmt.init)]
        elif isinstance(stmt, Loop):
            loop = stmt._replace(kind="serial", body=_spread(lanes, stmt.body))
            passes = jammed(lanes.ctx, loop)
            out += (*_across(lanes, run), *(apart(lanes.ctx, loop) if lanes.far and len(passes) == 1 else passes))
            run = []
        elif isinstance(stmt, Let | Flag) and not any(map(lanes.varies, exprs_of(stmt))):
            out.append(stmt)
        else:
            lanes, alloc, stmt = _kept(lanes, stmt, wanted)
            out += alloc
            run.append(stmt)
    return (*out, *_across(lanes, run))


def _wanted(body: Sequence[Stmt]) -> list[frozenset[str]]:
    """For each statement the variables that the next loop or what follows it mentions."""
    found, later, since_loop = list[frozenset[str]](), frozenset[str](), frozenset[str]()
    for stmt in body[::-1]:
        found.append(since_loop)
        later |= mentioned((stmt,), ("var",))
        since_loop = later if isinstance(stmt, Loop) else since_loop
    return found[::-1]


def _kept(lanes: Lanes, stmt: Stmt, wanted: frozenset[str]) -> tuple[Lanes, tuple[Stmt, ...], Stmt]:
    """A plain statement of the lanes; a value that a later vector loop needs becomes an array."""
    new = _of_lane(lanes, stmt)
    if not isinstance(new, Let):
        return lanes, (), new
    if new.name not in wanted:
        return lanes._replace(plain=lanes.plain | {new.name}), (), new
    name = lanes.ctx.names.fresh(new.name + "_panel")
    alloc = Alloc(name, new.value.dtype, lanes.size, "private")
    return lanes._replace(arrays={**lanes.arrays, new.name: name}), (alloc,), Store(name, lanes.lane, new.value)


def _of_lane(lanes: Lanes, stmt: Stmt) -> Stmt:
    if isinstance(stmt, If):
        return If(lanes.seen(stmt.condition), tuple(_of_lane(lanes, s) for s in stmt.then), tuple(_of_lane(lanes, s) for s in stmt.orelse))
    if isinstance(stmt, Accumulate):
        stmt = stmt._replace(values=tuple(map(lanes.seen, stmt.values)))
        mine = stmt.targets[0] in lanes.arrays
        return stmt._replace(targets=tuple(lanes.arrays[t] for t in stmt.targets), at=lanes.lane) if mine else stmt
    changed = stmt._replace(**{f: lanes.seen(e) for f, e in zip(stmt._fields, stmt) if isinstance(e, Expr)})  # type: ignore[arg-type]
    if isinstance(changed, Store) and changed.buffer in lanes.arrays:
        return changed._replace(buffer=lanes.arrays[changed.buffer], at=lanes.lane)
    return changed


def _across(lanes: Lanes, run: Sequence[Stmt]) -> tuple[Stmt, ...]:
    b, inside = lanes.ctx.b, Let(lanes.var, lanes.ctx.b.add(lanes.begin, lanes.lane))
    return (Loop("vector", lanes.lane.value, b.index(0), lanes.width, b.index(1), (inside, *run)),) if run else ()
