"""Map-reduce: a cluster of maps and reductions over one space becomes one unscheduled tree.

Outer loops are "parallel".  Inside them, stage by stage: the accumulators of the stage's reductions, one "reduce" nest that feeds them
all and stores the maps that are ready, then what a row needs only once.  Values of earlier stages are read from the accumulators.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.combine import COMBINES
from codegen.fuse import Cluster, Task, operands, placed, variables
from codegen.inline import Fault, Index, Inliner, linear
from codegen.keeping import is_join
from codegen.kernel import INDEX, Accumulate, Alloc, Builder, Expr, Flag, Let, Loop, Stmt, Store, exprs_of
from codegen.lower.keep import is_inner, kept, stages
from codegen.order import postorder
from codegen.plan import Site
from exprgraph.dims import Dim, product
from exprgraph.named import NamedTuple
from exprgraph.node import Node
from exprgraph.own.reduction import FoldOp

Address = Callable[[Node, Index], Expr]


class Lowering(NamedTuple):
    """What a lowering needs from the plan: a builder, how memory is read and written, the numbers of fault sites.

    stored(node): whether others than its own kernel read it.  lend(node, lender, first, last): memory for a map between two passes, that
    of `lender` if it is given; release() ends all of these.  heavy: the nodes that are not to be computed twice.
    """
    builder: Builder
    load: Callable[[Node, Index], Expr | None]
    address: Address
    buffer: Callable[[Node], str | None]
    site: Callable[[Site], int]
    stored: Callable[[Node], bool]
    lend: Callable[[Node, Node | None, int, int], None]
    release: Callable[[], None]
    heavy: set[Node]


class Row:
    """The tree of one cluster while it grows."""

    def __init__(self, cluster: Cluster, env: Lowering) -> None:
        self.cluster, self.env, self.b = cluster, env, env.builder
        self.loops = variables(self.b, tuple(range(len(cluster.space))))
        self.inner = {self.loops[k] for k in cluster.inner}
        self.accumulators: dict[Node, tuple[str, ...]] = {}
        self.homes = {t.node: t for t in cluster.tasks}
        self.hoisted: dict[Expr, Expr] = {}
        self.checked: dict[Fault, bool] = {}
        self.stage = stages(cluster)
        self.own = {t.node for t in cluster.tasks if env.stored(t.node)}
        self.kept = kept(cluster, self.stage, env.heavy, self.own.__contains__)
        self.enter(0)

    def enter(self, number: int) -> None:
        """Begin a pass: what earlier ones have kept is in memory now."""
        self.number, self.inliner = number, Inliner(self.b, self._memory)
        for node, first in self.kept.first.items():
            if first == number and node not in self.own:
                lender = self.kept.lender.get(node)
                self.env.lend(node, lender, first, self.kept.last[node])

    def _memory(self, node: Node, index: Index) -> Expr | None:
        if node in self.accumulators:
            name = self.accumulators[node][-1]
            return self.b.load(name, node.outs[0].dtype, self.b.index(0))
        if node in self.homes and not self.number > self.kept.first.get(node, self.number):
            return None
        return self.env.load(node, index)

    def due(self, task: Task) -> bool:
        """Whether this pass has to do something for a task of the inner loops."""
        node = task.node
        if task.kind == "reduce":
            return self.stage[node] == self.number
        return self.kept.first.get(node) == self.number or (node in self.own and self.stage[node] == self.number)

    def loop_variables(self, task: Task) -> tuple[Expr, ...]:
        """The cluster's loop variables that are the task's."""
        positions = self.cluster.positions(task)
        assert positions is not None
        return tuple(self.loops[k] for k in positions)

    def value(self, task: Task) -> Expr:
        """The expression that a map stores or a reduction accumulates."""
        (out, index), = operands(task, self.b, self.loop_variables(task))
        return self.inliner.value(out, index)

    def store(self, task: Task, value: Expr) -> list[Stmt]:
        """The statement that keeps a task's result, none where nobody outside the kernel reads it."""
        if task.node not in self.own and task.node not in self.kept.first:
            return []
        buffer = self.env.buffer(task.node)
        assert buffer is not None
        return [Store(buffer, self.env.address(task.node, placed(self.b, task.writes, self.loop_variables(task))), value)]

    def checks(self, inner: bool) -> list[Stmt]:
        """The fault checks that the values since the last call need; one in an inner loop, which may be empty, does not serve the row."""
        faults = [f for f in self.inliner.faults if f not in self.checked or (self.checked[f] and not inner)]
        self.checked.update(dict.fromkeys(faults, inner))
        self.inliner.faults.clear()
        return [flag(self.env, f) for f in faults]

    def hoist(self, exprs: Sequence[Expr]) -> tuple[list[Stmt], tuple[Expr, ...]]:
        """Name the largest parts that no inner loop changes, so that they are computed once per row."""
        return hoist(self.b, exprs, self.inner, self.hoisted)


def flag(env: Lowering, fault: Fault) -> Flag:
    """The statement that reports a fault."""
    return Flag(fault.condition, env.site(fault.site), fault.at, fault.size)


def map_reduce(cluster: Cluster, env: Lowering) -> tuple[Stmt, ...]:
    """The unscheduled tree of a cluster of maps and reductions."""
    row = Row(cluster, env)
    joined = not cluster.inner and all(t.kind == "map" and t.space == cluster.space and is_join(t.node) for t in cluster.tasks)
    outer = cluster.outer[:-1] if joined else cluster.outer
    loops, extents = [row.loops[k] for k in outer], [cluster.space[k] for k in outer]
    body = _side_by_side(row) if joined else passes(row)
    env.release()
    if not cluster.inner and len(loops) > 1:
        flat = collapse(row.b, body, loops, linear(row.b, loops, extents))
        if flat is not None:
            return nest(row.b, "parallel", loops[:1], [product(extents)], flat)
    return nest(row.b, "parallel", loops, extents, body)


def _side_by_side(row: Row) -> list[Stmt]:
    """What happens in a row for each position of the last axis, one after the other."""
    loops, body = row.loops, list[Stmt]()
    for position in range(row.cluster.space[-1].const or 0):
        row.loops = (*loops[:-1], row.b.index(position))
        body += passes(row)
    return body


def passes(row: Row) -> list[Stmt]:
    """What happens in a row, but for sums over the rows."""
    tasks = [t for t in row.cluster.tasks if t.kind != "partial"]
    body: list[Stmt] = []
    for number in range(max(row.stage[t.node] for t in tasks) + 1):
        row.enter(number)
        body += _row_level(row, [t for t in tasks if row.stage[t.node] == number and not is_inner(row.cluster, t)])
        body += _inner_level(row, [t for t in tasks if is_inner(row.cluster, t)])
    return body


def collapse(b: Builder, body: Sequence[Stmt], loops: Sequence[Expr], flat: Expr) -> list[Stmt] | None:
    """The body over one loop (the first variable) where it uses the loops only through their flat position, else None."""
    exprs = [e for stmt in body for e in exprs_of(stmt)]
    new: dict[Expr, Expr] = {}
    for e in postorder(exprs, stop=(flat,)):
        if e is flat:
            new[e] = loops[0]
        elif e in loops:
            return None
        else:
            new[e] = b.make(e.kind, e.dtype, tuple(new[a] for a in e.args), e.value)
    return [_with(stmt, new) for stmt in body]


def _with(stmt: Stmt, new: dict[Expr, Expr]) -> Stmt:
    if isinstance(stmt, Store):
        return Store(stmt.buffer, new[stmt.at], new[stmt.value])
    assert isinstance(stmt, Flag), stmt
    return Flag(new[stmt.condition], stmt.site, new[stmt.at], new[stmt.size])


def _row_level(row: Row, tasks: Sequence[Task]) -> list[Stmt]:
    found: list[Stmt] = []
    for task in tasks:
        if task.node in row.own:
            value = row.value(task)
            found += row.checks(inner=False) + row.store(task, value)
    return found


def _inner_level(row: Row, tasks: Sequence[Task]) -> list[Stmt]:
    lending = set(row.kept.lender.values())
    wanted = sorted((t for t in tasks if row.due(t)), key=lambda t: t.node in lending)  # what a lender overwrites is read before
    if not wanted:
        return []
    values = [row.value(t) for t in wanted]
    checks = row.checks(inner=True)
    lets, values_ = row.hoist(values)
    allocs: list[Stmt] = []
    body: list[Stmt] = list(checks)
    for task, value in zip(wanted, values_):
        if task.kind == "reduce":
            made, statement = _accumulate(row, task, value)
            allocs += made
            body.append(statement)
        else:
            body += row.store(task, value)
    kind = "reduce" if any(t.kind == "reduce" for t in wanted) else "parallel"
    loops = nest(row.b, kind, [row.loops[k] for k in row.cluster.inner], [row.cluster.space[k] for k in row.cluster.inner], body)
    return [*lets, *allocs, *loops, *_results(row, [t for t in wanted if t.kind == "reduce"])]


def _results(row: Row, tasks: Sequence[Task]) -> list[Stmt]:
    found: list[Stmt] = []
    for task in tasks:
        name = row.accumulators[task.node][-1]
        found += row.store(task, row.b.load(name, task.node.outs[0].dtype, row.b.index(0)))
    return found


def combine_of(node: Node) -> str:
    """The name of the combine of a reduction."""
    return node.op.key if isinstance(node.op, FoldOp) else "sum" if node.op.name == "sum_to" else node.op.name


def _accumulate(row: Row, task: Task, value: Expr) -> tuple[list[Stmt], Accumulate]:
    combine = COMBINES[combine_of(task.node)]
    number = len(row.accumulators)
    values = (value,) if combine.width == 1 else (value, _position(row, task))
    dtypes = tuple(v.dtype for v in values)
    names = tuple(f"a{number}_{k}" for k in range(combine.width))
    starts = combine.identity(row.b, dtypes)
    row.accumulators[task.node] = names
    allocs: list[Stmt] = [Alloc(n, t, 1, "private", s) for n, t, s in zip(names, dtypes, starts)]
    return allocs, Accumulate(names, row.b.index(0), combine_of(task.node), values)


def _position(row: Row, task: Task) -> Expr:
    """The position in the flattened reduced axes, for argmax and argmin."""
    flat = row.b.index(0)
    for k in task.inner:
        flat = row.b.add(row.b.mul(flat, row.b.index(task.space[k])), row.loops[k])
    return row.b.op("cast", "int64", flat)


def nest(b: Builder, kind: str, loops: Sequence[Expr], extents: Sequence[Dim], body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """Loops of one kind around a body, the first one outermost."""
    statements = tuple(body)
    for var, extent in zip(reversed(loops), reversed(extents)):
        statements = (Loop(kind, var.value, b.index(0), b.index(extent), b.index(1), statements),)
    return statements


def hoist(b: Builder, exprs: Sequence[Expr], inner: set[Expr], names: dict[Expr, Expr]) -> tuple[list[Stmt], tuple[Expr, ...]]:
    """Lets for the largest operations and loads that depend on no variable of `inner`, and the expressions over those names."""
    if not inner:
        return [], tuple(exprs)
    nodes = postorder(exprs)
    varies: dict[Expr, bool] = {}
    for e in nodes:
        varies[e] = e in inner or any(varies[a] for a in e.args)
    lets: list[Stmt] = []
    new: dict[Expr, Expr] = {}
    for e in nodes:
        new[e] = e if not varies[e] else b.make(e.kind, e.dtype, tuple(_named(b, a, varies, new, names, lets) for a in e.args), e.value)
    return lets, tuple(_named(b, e, varies, new, names, lets) for e in exprs)


def _named(b: Builder, e: Expr, varies: dict[Expr, bool], new: dict[Expr, Expr], names: dict[Expr, Expr], lets: list[Stmt]) -> Expr:
    trivial = e.kind in ("lit", "var", "dim") or (e.kind == "load" and e.args[0].kind == "lit") or e.dtype in (INDEX, "bool")
    if varies[e] or trivial:
        return new[e]
    if e not in names:
        names[e] = b.var(f"h{len(names)}", e.dtype)
        lets.append(Let(names[e].value, e))
    return names[e]
