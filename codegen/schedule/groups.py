"""Rows in groups: a loop over rows whose body has loops goes on by several rows at a time.

First come the loops of all rows of a group, some rows abreast where that pays; then, as loops over the rows of the group, the plain
statements of a row.  Rows that go abreast lie far apart, since the hardware fetches memory ahead of several streams but not of
neighbouring ones.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from codegen.kernel import INDEX, Accumulate, Alloc, Expr, If, Let, Loop, Stmt, Store
from codegen.rows import row_of
from codegen.schedule.abreast import Row, abreast, mergeable
from codegen.schedule.common import Context, again, delinearise, mentioned, names_in, operations, points, rebuilt, stored
from codegen.schedule.jam import substituted
from exprgraph.dims import Dim, ceildiv

GROUP, ABREAST = 8, 4
"""Rows of a group, and how many of them are gone along at once where that pays."""
Arrays = Mapping[str, tuple[str, str]]
Then = Callable[[Expr, Expr, int, Arrays], tuple[Stmt, ...]]


class Groups:
    """The rows of a nest of outer loops: `body` is what one work-item does in a row.

    later: values that are read after the rows of a group.  totals: private scalars and what each row adds to them.  merged: whether
    some rows go abreast.
    """

    def __init__(self, ctx: Context, loops: Sequence[Loop], body: Sequence[Stmt], later: Sequence[Expr] = (),
                 totals: Sequence[tuple[str, Expr]] = ()) -> None:
        self.ctx, self.b, self.loops, self.later = ctx, ctx.b, loops, later
        rows = {r.var for r in loops}
        head, tail = _divided(body)
        read = _Fetched(ctx, rows, head, tail)
        self.tail = tuple(map(read.statement, tail))
        self.totals = [(name, read.expr(value)) for name, value in totals]
        self.head, self.stores = (*head, *read.lets), read.stores
        self.merged = mergeable(self.head, rows)

    @property
    def size(self) -> int:
        """Rows of a group: more where plain statements are worth vectors."""
        ops = operations(s for s in self.tail if isinstance(s, Let))
        return GROUP if any(e.dtype != "bool" and "expensive" in row_of(e.value).flags for e in ops) else ABREAST

    def loop(self, start: Expr, stop: Expr, step: Expr, apart: Expr, rows: int, then: Then) -> Loop:
        """Groups of rows at a distance; the first rows of groups are at another one.  then: what follows in each group."""
        b, ctx = self.b, self.ctx
        first, row = b.var(ctx.names.fresh("row")), b.var(ctx.names.fresh("lane"))
        kept, arrays, fill = self._kept(rows, row)
        at = {n: b.load(a, d, row) for n, (a, d) in arrays.items()}
        place = self._placed(b.add(first, b.mul(row, apart)))
        of_tail = {t.name for t in self.tail if isinstance(t, Let)}
        known = {n: e for n, e in at.items() if n not in of_tail}
        head = self._head(first, apart, row, rows, [s for n, s in fill.items() if n not in of_tail])
        inside: list[Stmt] = []
        for stmt in self.tail:
            inside.append(substituted(ctx, stmt, known))
            inside += [fill[stmt.name]] if isinstance(stmt, Let) and stmt.name in fill else []
        adds = [[substituted(ctx, Accumulate((name,), b.index(0), "sum", (value,)), known)] for name, value in self.totals]
        late = [substituted(ctx, s, at) for s in self.stores]
        kinds = [("vector", inside), *(("vector", add) for add in adds), ("serial", late)]  # compilers give up on large loops
        values = [Loop(kind, row.value, b.index(0), b.index(rows), b.index(1), (*place, *body)) for kind, body in kinds if body]
        return Loop("serial", first.value, start, stop, step, (*kept, *head, *values, *then(first, apart, rows, arrays)))

    def _head(self, first: Expr, apart: Expr, row: Expr, rows: int, fill: Sequence[Stmt]) -> tuple[Stmt, ...]:
        """The loops along the rows of a group: some rows abreast where that pays."""
        b = self.b
        if rows < ABREAST or not self.merged:
            place = self._placed(b.add(first, b.mul(row, apart)))
            return (Loop("serial", row.value, b.index(0), b.index(rows), b.index(1), (*place, *self.head, *fill)),)
        out, several, begin = list[Stmt](), list[Row](), b.var(self.ctx.names.fresh("begin"))
        for k in range(ABREAST):
            lane = b.add(begin, b.index(k))
            lets, variables = self.named(b.add(first, b.mul(lane, apart)))
            out += lets
            several.append(Row(self.ctx, {**variables, row.value: lane}))
        body = (*out, *abreast((*self.head, *fill), several))
        if rows == ABREAST:
            return (Let(begin.value, b.index(0)), *body)
        return (Loop("serial", begin.value, b.index(0), b.index(rows), b.index(ABREAST), body),)

    def _kept(self, rows: int, row: Expr) -> tuple[list[Stmt], Arrays, dict[str, Stmt]]:
        """Arrays over the rows of a group for what later loops need: their Allocs, their names and dtypes by what they hold, and what
        fills them."""
        b = self.b
        made = {s.name: s.dtype for s in self.head if isinstance(s, Alloc) and s.size == 1}
        lets = {s.name: s.value.dtype for s in (*self.head, *self.tail) if isinstance(s, Let)}
        values = tuple(Let("", value) for value in (*self.later, *(value for _, value in self.totals)))
        later = mentioned((*self.tail, *self.stores, *values), ("var", "load"))
        of_tail = {s.name for s in self.tail if isinstance(s, Let)}
        summed = mentioned((*self.stores, *(Let("", value) for value in self.later)), ("var", "load"))
        names = {n: d for n, d in {**made, **lets}.items() if n in (summed if n in of_tail else later)}
        arrays = {n: (self.ctx.names.fresh(n + "_rows"), d) for n, d in names.items()}
        fill: dict[str, Stmt] = {n: Store(a, row, b.load(n, d, b.index(0)) if n in made else b.var(n, d)) for n, (a, d) in arrays.items()}
        return [Alloc(a, d, rows, "private") for a, d in arrays.values()], arrays, fill

    def _placed(self, row: Expr) -> tuple[Stmt, ...]:
        """The variables of the outer loops at a row."""
        return delinearise(self.b, row, self.loops)

    def named(self, row: Expr) -> tuple[list[Stmt], dict[str, Expr]]:
        """The variables of the outer loops at a row under names of their own, and these by the names of the loops."""
        lets, found = list[Stmt](), dict[str, Expr]()
        for stmt in self._placed(row):
            assert isinstance(stmt, Let)
            found[stmt.name] = self.b.var(self.ctx.names.fresh(stmt.name))
            lets.append(Let(found[stmt.name].value, stmt.value))
        return lets, found


def in_groups(ctx: Context, outer: Sequence[Loop], body: tuple[Stmt, ...], chunks: Dim) -> tuple[Stmt, ...] | None:
    """The rows cut into chunks, one for each work-item, and each chunk into as many runs as rows go abreast; None where none do."""
    groups = Groups(ctx, outer, body)
    if not groups.merged:
        return None
    b, fresh, size = ctx.b, ctx.names.fresh, groups.size
    chunk, low, high, count = (b.var(fresh(n)) for n in ("chunk", "low", "high", "count"))
    each, one = b.index(ceildiv(ceildiv(points(outer), chunks), size) * size), b.index(1)
    rest = b.add(low, b.mul(count, b.index(size)))

    def nothing(*_: object) -> tuple[Stmt, ...]:
        return ()
    inside = (Let(low.value, b.mul(chunk, each)), Let(high.value, b.least(b.add(low, each), b.index(points(outer)))),
              Let(count.value, b.div(b.op("maximum", INDEX, b.sub(high, low), b.index(0)), b.index(size))),
              groups.loop(low, b.add(low, count), one, count, size, nothing),
              If(b.less(rest, high), (groups.loop(rest, high, one, one, 1, nothing),)))
    return (Loop("grid", chunk.value, b.index(0), b.index(chunks), one, inside),)


class _Fetched:
    """Statements of rows that lie apart, without memory that lies apart: what they read is read before, what they write is written
    after, so that a compiler makes vectors of the rest."""

    def __init__(self, ctx: Context, rows: set[str], head: Sequence[Stmt], tail: Sequence[Stmt]) -> None:
        self.ctx, self.rows = ctx, rows
        self.own = {s.name for s in head if isinstance(s, Alloc)} | {s.name for s in tail if isinstance(s, Let)}
        self.names: dict[Expr, Expr] = {}
        self.lets: list[Let] = []
        self.stores: list[Store] = []

    def expr(self, expr: Expr) -> Expr:
        """The expression over what has been read."""
        def change(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.kind != "load" or names_in(e) & self.own or not names_in(e) & self.rows:
                return again(self.ctx.b, e, args)
            if e not in self.names:
                self.names[e] = self.ctx.b.var(self.ctx.names.fresh("read"), e.dtype)
                self.lets.append(Let(self.names[e].value, e))
            return self.names[e]
        return rebuilt(expr, change)

    def statement(self, stmt: Stmt) -> Stmt:
        """The statement over what has been read, into a name where it is a store."""
        if isinstance(stmt, Store):
            name = self.ctx.names.fresh("written")
            self.stores.append(stmt._replace(value=self.ctx.b.var(name, stmt.value.dtype)))
            return Let(name, self.expr(stmt.value))
        return stmt._replace(**{f: self.expr(v) for f, v in zip(stmt._fields, stmt) if isinstance(v, Expr)})  # type: ignore[arg-type]


def _divided(body: Sequence[Stmt]) -> tuple[tuple[Stmt, ...], tuple[Stmt, ...]]:
    """What a row does up to its last loop and the joining of what that accumulated, and the plain statements that follow."""
    own = {s.name for s in body if isinstance(s, Alloc)}
    last = max((k for k, s in enumerate(body) if isinstance(s, Loop) or stored((s,)) & own), default=-1)
    return tuple(body[:last + 1]), tuple(body[last + 1:])
