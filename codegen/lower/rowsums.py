"""Rows and the sums over them in one kernel: each work-item makes a range of rows and adds what it makes to partial sums of its own.

It goes on by groups of rows.  Of each row come first the reductions along it, then, for all rows of the group at once, the values that
a row has, then, in one pass over the columns, what all rows of the group add to the sums: so a row comes from memory once.  The sums
of blocks of rows are joined to compensated sums, as in `codegen.schedule.reduction`.  The tree is born scheduled, for a CPU.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.fuse import Cluster, Task, placed
from codegen.kernel import INDEX, Accumulate, Alloc, Expr, If, Kernel, Let, Loop, Param, Stmt, Store
from codegen.lower.keep import is_inner
from codegen.lower.mapreduce import Lowering, Row, nest, passes
from codegen.schedule.common import Context, Names
from codegen.schedule.cpu import LANES
from codegen.schedule.estimate import picoseconds
from codegen.schedule.groups import GROUP, Arrays, Groups
from codegen.schedule.jam import substituted
from codegen.schedule.reduction import Stage, join, sequential
from codegen.target import Target
from exprgraph.dims import Dim, ceildiv, product
from exprgraph.named import NamedTuple

STEPS = 32
"""Groups of a block: so many terms have its sums."""


class RowSums(NamedTuple):
    """The scheduled tree, the scratch memory that it needs beside the cluster's buffers, and an estimate of its work."""
    body: tuple[Stmt, ...]
    scratch: tuple[Param, ...]
    work: Dim


class Sum(NamedTuple):
    """A sum over the rows: what a row (and column) adds, where the result lies, and for floats two more places of the same size: of a
    block's sum and of the correction.  Of columns they are buffers, of rows private scalars."""
    task: Task
    value: Expr
    buffer: str
    at: Expr
    block: str
    low: str

    @property
    def dtype(self) -> str:
        """The dtype of the sum."""
        return self.value.dtype

    @property
    def compensated(self) -> bool:
        """Whether roundings are kept."""
        return self.dtype.startswith("float")

    @property
    def target(self) -> str:
        """Where rows are added."""
        return self.block if self.compensated else self.buffer


def row_sums(cluster: Cluster, env: Lowering, target: Target) -> RowSums:
    """The kernel of a cluster with reductions along its rows and sums over them."""
    return _Kernel(cluster, env, target).build()


class _Kernel:
    """One kernel while it grows."""

    def __init__(self, cluster: Cluster, env: Lowering, target: Target) -> None:
        self.cluster, self.b, self.part = cluster, env.builder, env.builder.var("part")
        row = Row(cluster, env)
        self.loops = [Loop("parallel", row.loops[k].value, self.b.index(0), self.b.index(cluster.space[k]), self.b.index(1), ())
                      for k in cluster.outer]
        self.inner = [row.loops[k] for k in cluster.inner]
        self.width = product(cluster.space[k] for k in cluster.inner)
        self.rows = product(cluster.space[k] for k in cluster.outer)
        body = passes(row)
        tasks = [t for t in cluster.tasks if t.kind == "partial"]
        self.parts = tasks[0].node.outs[0].shape[0]
        row.enter(row.stage[tasks[0].node])
        values = {t.node: row.value(t) for t in tasks if not is_inner(cluster, t)}
        body += row.checks(inner=False)
        columns = [t for t in tasks if is_inner(cluster, t)]
        elements = [row.value(t) for t in columns]
        checks = row.checks(inner=True)
        if checks:
            body += self._columns("parallel", checks)
        lets, found = row.hoist(elements)
        env.release()
        self.ctx = ctx = Context(self.b, Names(Kernel("k", (), (*body, *lets))), target)
        for name in ("part", *(r.var for r in self.loops)):
            ctx.names.fresh(name)
        self.whole = (*body, *lets)
        self.sums = [self._sum(row, t, v) for t, v in zip(columns, found)]
        self.totals = [self._sum(row, t, values[t.node]) for t in tasks if t.node in values]
        self.groups = Groups(ctx, self.loops, (*sequential(ctx, tuple(body), LANES), *lets), found,
                             [(s.block, s.value) for s in self.totals])

    def _sum(self, row: Row, task: Task, value: Expr) -> Sum:
        """Where the sum of a task is kept."""
        index = placed(self.b, task.writes, row.loop_variables(task) if is_inner(self.cluster, task) else ())
        place = row.env.load(task.node, (self.part, *index))
        assert place is not None and row.env.buffer(task.node) == place.value
        name = self.ctx.names.fresh
        return Sum(task, value, place.value, place.args[0], name("block_sums"), name("low_sums"))

    def build(self) -> RowSums:
        """Ranges of rows, blocks, groups."""
        b, fresh, part = self.b, self.ctx.names.fresh, self.part
        rows, each = b.index(self.rows), b.index(ceildiv(ceildiv(self.rows, self.parts), GROUP) * GROUP)
        low, high, count, block, end = (b.var(fresh(n)) for n in ("low", "high", "count", "block", "end"))
        step, apart = (1, count) if self.groups.merged else (GROUP, b.index(1))
        top, rest, length = b.add(low, b.mul(count, b.index(step))), b.add(low, b.mul(count, b.index(GROUP))), b.index(STEPS * step)
        groups = self._block(block, end, b.index(step), apart, GROUP)
        body = (Let(low.value, b.mul(part, each)), Let(high.value, b.least(b.add(low, each), rows)),
                Let(count.value, b.div(b.op("maximum", INDEX, b.sub(high, low), b.index(0)), b.index(GROUP))),
                *self._zeros(self.sums, "buffer"), *self._zeros([s for s in self.sums if s.compensated], "low"), *self._scalars("start"),
                Loop("serial", block.value, low, top, length, (Let(end.value, b.least(b.add(block, length), top)), *groups)),
                If(b.less(rest, high), self._block(rest, high, b.index(1), b.index(1), 1)), *self._finished())
        scratch = tuple(Param(name, s.dtype, "rw", self.parts * self.width) for s in self.sums if s.compensated
                        for name in (s.block, s.low))
        adds = tuple(Accumulate((s.buffer,), s.at, "sum", (s.value,)) for s in self.sums)
        whole = nest(b, "parallel", [b.var(r.var) for r in self.loops], [self.cluster.space[k] for k in self.cluster.outer],
                     (*self.whole, *self._columns("parallel", adds)))
        return RowSums((Loop("grid", part.value, b.index(0), b.index(self.parts), b.index(1), body),), scratch, picoseconds(whole))

    def _block(self, start: Expr, stop: Expr, step: Expr, apart: Expr, rows: int) -> tuple[Stmt, ...]:
        """Some groups, whose sums are joined to those of the range."""
        zeros = self._zeros([s for s in self.sums if s.compensated], "target")
        return (*zeros, *self._scalars("block"), self.groups.loop(start, stop, step, apart, rows, self._added), *self._joined())

    def _columns(self, kind: str, body: Sequence[Stmt]) -> tuple[Stmt, ...]:
        """Loops over the columns: the innermost of this kind, the others around it of the same or serial."""
        *around, last = self.inner
        extents = [self.cluster.space[k] for k in self.cluster.inner]
        inside = nest(self.b, kind, [last], extents[-1:], body)
        return nest(self.b, "serial" if kind == "vector" else kind, around, extents[:-1], inside)

    def _zeros(self, sums: Sequence[Sum], field: str) -> tuple[Stmt, ...]:
        stores = [Store(getattr(s, field), s.at, self.b.lit(0, s.dtype)) for s in sums]
        return self._columns("vector", stores) if stores else ()

    def _scalars(self, when: str) -> list[Stmt]:
        """The private scalars of the sums of rows, those of a block or those of a range of rows."""
        out: list[Stmt] = []
        for s in self.totals:
            names = [s.block] if when == "block" else [self._total(s), s.low]
            out += [Alloc(n, s.dtype, 1, "private", self.b.lit(0, s.dtype)) for n in names]
        return out

    def _total(self, s: Sum) -> str:
        return s.block + "_all"

    def _added(self, first: Expr, apart: Expr, rows: int, arrays: Arrays) -> tuple[Stmt, ...]:
        """What the rows of a group add to the sums of columns."""
        b, ctx, lets = self.b, self.ctx, list[Stmt]()
        terms: list[list[Expr]] = [[] for _ in self.sums]
        for k in range(rows):
            new = {n: b.load(a, d, b.index(k)) for n, (a, d) in arrays.items()}
            more, variables = self.groups.named(b.add(first, b.mul(b.index(k), apart)))
            lets += more
            new |= variables
            for found, s in zip(terms, self.sums):
                changed = substituted(ctx, Let("", s.value), new)
                assert isinstance(changed, Let)
                found.append(changed.value)
        adds = [Store(s.target, s.at, b.op("add", s.dtype, b.load(s.target, s.dtype, s.at), self._tree(found, s.dtype)))
                for found, s in zip(terms, self.sums)]
        return (*lets, *self._columns("vector", adds))

    def _tree(self, terms: list[Expr], dtype: str) -> Expr:
        """The sum of a power of two of terms, by halves."""
        while len(terms) > 1:
            terms = [self.b.op("add", dtype, x, y) for x, y in zip(terms[::2], terms[1::2])]
        return terms[0]

    def _joined(self) -> tuple[Stmt, ...]:
        """The sums of a block go to those of the range."""
        b, zero, columns, out = self.b, self.b.index(0), list[Stmt](), list[Stmt]()
        for s in self.sums:
            if s.compensated:
                stage = Stage(1, {s.buffer: s.low})
                parts = join(self.ctx, Accumulate((s.buffer,), zero, "sum", (b.load(s.block, s.dtype, s.at),)), stage)
                columns += [self._in_buffers(stmt, s) for stmt in parts]
        for s in self.totals:
            stage = Stage(1, {self._total(s): s.low} if s.compensated else {})
            out += join(self.ctx, Accumulate((self._total(s),), zero, "sum", (b.load(s.block, s.dtype, zero),)), stage)
        return (*(self._columns("vector", columns) if columns else ()), *out)

    def _in_buffers(self, stmt: Stmt, s: Sum) -> Stmt:
        """A statement about private scalars, about the places of a sum instead."""
        b = self.b
        if isinstance(stmt, Accumulate):
            return Store(s.low, s.at, b.op("add", s.dtype, b.load(s.low, s.dtype, s.at), stmt.values[0]))
        changed = substituted(self.ctx, stmt, {s.buffer: b.load(s.buffer, s.dtype, s.at)} if isinstance(stmt, Let) else {})
        return changed._replace(at=s.at) if isinstance(changed, Store) else changed

    def _finished(self) -> tuple[Stmt, ...]:
        """The corrections go into the sums."""
        b, zero = self.b, self.b.index(0)

        def both(s: Sum, name: str, at: Expr) -> Expr:
            total = b.load(name, s.dtype, at)
            return b.op("add", s.dtype, total, b.load(s.low, s.dtype, at)) if s.compensated else total
        columns = [Store(s.buffer, s.at, both(s, s.buffer, s.at)) for s in self.sums if s.compensated]
        return (*(self._columns("vector", columns) if columns else ()),
                *(Store(s.buffer, s.at, both(s, self._total(s), zero)) for s in self.totals))
