"""Fusion: which nodes share a kernel.

A node is a *root* if its value has to exist as a whole: outputs, reductions, operands of opaque steps, and results that several
readers would otherwise compute again at some cost.  Each root is one `Task`; tasks that iterate over one space become one `Cluster`, one
kernel.  A cluster has a level, and reads only clusters of lower levels, so no circle of kernels can arise; a task joins a cluster of its
own level only if it reads the cluster's values at exactly the index at which they are made.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from codegen.inline import Index, Inliner, is_array_constant
from codegen.keeping import widest_value
from codegen.kernel import Builder, Expr
from codegen.products import is_call
from codegen.roots import Roots, find_roots, meet
from codegen.target import Target
from exprgraph.dims import Dim, constant, is_one, product
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, SHARED, Node, Out
from exprgraph.own.op import OwnOp

LARGEST_CLUSTER = {"cpu": 1500, "gpu": 500}
"""Operations in one kernel by schedule; the time to compile a kernel grows faster than its size, on GPUs much faster, where registers
are given to all of it at once and a value in memory costs little beside hundreds of operations."""

COLUMN = 32
"""The elements that a row of a reduction over rows counts for: 512 rows of some 1024 columns are more than a cache next to a core holds."""

LATEST = 4
"""How many clusters that read the same level a task is tried with, so that the time to fuse stays linear.  It joins one that reads what it
reads, which saves that; others it would only keep results alive for."""

Place = tuple[int, ...]
"""Where an index of an axis comes from: the sum of the loop variables at these positions; () is 0."""


class Task(NamedTuple):
    """One root: what is computed (node), how, over which space.

    kind: "map", "reduce", "partial", "scan", "contract", "scatter" or "composite".
    space: the sizes of the loops.  inner: positions in space that a reduction sums away.  reads: places of the operand's axes
    (of the node's own for a map).  writes: places of the node's own axes.
    """
    node: Node
    kind: str
    space: tuple[Dim, ...]
    inner: Place
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    cost: int

    @property
    def outer(self) -> tuple[Dim, ...]:
        """The sizes of the loops that remain after a reduction."""
        return tuple(d for k, d in enumerate(self.space) if k not in self.inner)


@dataclass
class Cluster:
    """Tasks that share a kernel: loops over `space`, of which the positions `inner` are reduced.

    loads: what is read from memory.  stores: roots that outputs, other clusters or tasks still to come read.  reads: for each task
    the roots of this cluster that it reads.
    """
    level: int
    space: tuple[Dim, ...]
    inner: Place
    kind: str
    tasks: list[Task] = field(default_factory=list)
    cost: int = 0
    loads: set[Node] = field(default_factory=set)
    stores: set[Node] = field(default_factory=set)
    reads: dict[Node, tuple[Node, ...]] = field(default_factory=dict)

    @property
    def outer(self) -> Place:
        """The positions of the loops that are not reduced."""
        return tuple(k for k in range(len(self.space)) if k not in self.inner)

    def positions(self, task: Task) -> Place | None:
        """Which of the cluster's loops are the task's loops, None if the task does not iterate over them."""
        if task.kind == "reduce":
            fits = task.space == self.space and (task.inner == self.inner or not self.inner)
            return tuple(range(len(self.space))) if fits else None
        if task.kind == "partial" and not self.over_rows(task):
            return None
        if task.space == self.space:
            return tuple(range(len(self.space)))
        return self.outer if self.inner and task.space == tuple(self.space[k] for k in self.outer) else None


    def over_rows(self, task: Task) -> bool:
        """Whether a task sums all outer loops of this cluster away, of its elements or of values of its rows."""
        rows = self.outer
        of_rows = task.space == tuple(self.space[k] for k in rows) and task.inner == tuple(range(len(rows)))
        return bool(self.inner and rows) and (of_rows or (task.space == self.space and task.inner == rows))


def variables(b: Builder, positions: Place) -> tuple[Expr, ...]:
    """The loop variables of some positions of a cluster's space."""
    return tuple(b.var(f"i{k}") for k in positions)


def placed(b: Builder, places: Sequence[Place], loops: Sequence[Expr]) -> Index:
    """An index from the places of its axes."""
    found = []
    for place in places:
        total = b.index(0)
        for k in place:
            total = b.add(total, loops[k])
        found.append(total)
    return tuple(found)


def _places(shape: Iterable[Dim]) -> tuple[tuple[Place, ...], tuple[Dim, ...]]:
    """Each axis that is not known to be 1 gets a loop of its own."""
    places: list[Place] = []
    space: list[Dim] = []
    for dim in shape:
        places.append(() if dim.const == 1 else (len(space),))
        if dim.const != 1:
            space.append(dim)
    return tuple(places), tuple(space)


def make_task(node: Node, cost: int = 1) -> Task:
    """The task of a root."""
    if node.op.kind == "reduce" and node.op.name == "sum_to":
        return _sum_to_task(node, cost)
    shape = node.outs[0].shape
    if node.op.kind not in ("reduce", "partial"):
        places, space = _places(shape)
        kind = node.op.kind if node.op.kind in ("scan", "contract", "scatter", "composite") else "map"
        return Task(node, kind, space, (), places, places, cost)
    axes = node.param("axis")
    reads, space = _places(node.inputs[0].type.shape)
    inner = tuple(k for a in axes for k in reads[a])
    if node.op.kind == "partial":
        return Task(node, "partial", space, inner, reads, tuple(p for a, p in enumerate(reads) if a not in axes), cost)
    kept = [() if a in axes else p for a, p in enumerate(reads) if node.param("keepdims") or a not in axes]
    return _reduction(node, space, inner, reads, tuple(kept), cost)


def _reduction(node: Node, space: tuple[Dim, ...], inner: Place, reads: tuple[Place, ...], writes: tuple[Place, ...], cost: int) -> Task:
    """The task of a reduction; one that has only axes of length 1 to reduce gets a loop of one round, so that all have a loop."""
    if inner:
        return Task(node, "reduce", space, inner, reads, writes, cost)
    return Task(node, "reduce", (*space, constant(1)), (len(space),), reads, writes, cost)


def _sum_to_task(node: Node, cost: int) -> Task:
    """Summing to a shape: an axis that only a call can decide gets two loops, of which one has length 1."""
    of, shape = node.inputs[0].type.shape, node.outs[0].shape
    writes, space_out = _places(shape)
    space, inner, reads = list(space_out), [], []
    for axis, dim in enumerate(of):
        own = axis - (len(of) - len(shape))
        place: Place = writes[own] if own >= 0 else ()
        if dim.const != 1 and not (own >= 0 and shape[own] == dim):
            extent = dim if own < 0 or shape[own].const == 1 else constant(1) + (dim - 1) * is_one(shape[own])
            inner.append(len(space))
            place = (*place, len(space))
            space.append(extent)
        reads.append(place)
    return _reduction(node, tuple(space), tuple(inner), tuple(reads), writes, cost)


class Fused(NamedTuple):
    """The clusters of a graph in an order in which they can run; the roots that other clusters than their own read; and the elements of
    reductions over everything that were kept apart from what follows them, so that they can be split over work-items.  A row of a
    reduction over rows counts as `COLUMN` elements."""
    clusters: tuple[Cluster, ...]
    crossing: set[Node]
    apart: tuple[Dim, ...]


class Fusions:
    """The roots and clusters of the graphs that a plan is made of, each found once."""

    def __init__(self) -> None:
        self.known: dict[tuple[tuple[Node, ...], Target], Roots] = {}
        self.fused: dict[tuple[tuple[Node, ...], Target, bool], tuple[Fused, _Fusion]] = {}

    def roots(self, outputs: Sequence[Out], target: Target) -> Roots:
        """`find_roots`."""
        key = tuple(o.node for o in outputs), target
        return self.known.get(key) or self.known.setdefault(key, find_roots(outputs, target))

    def clusters(self, outputs: Sequence[Out], target: Target, together: bool = False) -> Fused:
        """The clusters.  `together` lets reductions over everything share a kernel with what follows, which suits small sizes."""
        return self.fusion(outputs, target, together)[0]

    def fusion(self, outputs: Sequence[Out], target: Target, together: bool = False) -> tuple[Fused, _Fusion]:
        """The clusters, and the state in which finding them ended."""
        key = tuple(o.node for o in outputs), target, together
        if key not in self.fused:
            roots = self.roots(outputs, target)
            fusion = _Fusion(roots, {o.node for o in outputs}, target, together)
            for node in roots.nodes:
                fusion.place(make_task(node, roots.cost[node]))
            clusters = sorted((c for c in fusion.clusters if c.tasks), key=lambda c: c.level)
            self.fused[key] = Fused(tuple(clusters), fusion.crossing, tuple(fusion.apart.values())), fusion
        return self.fused[key]


def fed(outputs: Sequence[Out], target: Target, fusions: Fusions) -> dict[Node, Cluster]:
    """The sums over the rows of a cluster that could be made in it, since they read what it has for a row when it has it.

    These are sums of elements, one at least, and of values of rows.
    """
    fusion = fusions.fusion(outputs, target)[1]
    sums = [t for t in fusion.task.values() if t.node.op.name == "sum" and t.inner]
    found = {t.node: c for t in sums for c in (fusion.feeder(t),) if c is not None}
    columns = {id(c) for n, c in found.items() if fusion.task[n].space == c.space}
    return {n: c for n, c in found.items() if id(c) in columns}


class _Fusion:
    """The state of one run of `fuse`."""

    def __init__(self, roots: Roots, outputs: set[Node], target: Target, together: bool) -> None:
        self.roots, self.target, self.builder, self.read = frozenset(roots.nodes), target, roots.b, roots.read
        self.largest = LARGEST_CLUSTER[target.schedule]
        self.arrays, self.after, self.outputs, self.together = roots.arrays, roots.after, outputs, together
        self.apart: dict[str, Dim] = {}
        self.clusters: list[Cluster] = []
        self.home: dict[Node, Cluster] = {}
        self.task: dict[Node, Task] = {}
        self.crossing: set[Node] = set()
        self.by_space: dict[tuple[int, tuple[Dim, ...]], list[Cluster]] = {}
        self.waiting = Counter(n for root in roots.nodes for n in self.arrays[root] if n in self.roots)

    def place(self, task: Task) -> None:
        """Put a task into a cluster: one it can join, else a new one."""
        reads = self.reads(task, tuple(range(len(task.space))))
        below = [self.home[n] for n, _ in reads] + [self.home[n] for n in self.after.get(task.node, ())]
        level = max((c.level for c in below), default=0)
        cluster = next((c for c in self._candidates(task, below, level) if self._joins(task, c)), None)
        if cluster is None and below:
            level += 1
            beside = (c for c in self.by_space.get((level, task.space), ())[-LATEST:] if c.loads & self.arrays[task.node])
            cluster = next((c for c in beside if self._joins(task, c)), None)
        if cluster is None:
            cluster = Cluster(level, task.space, task.inner, task.kind)
            self.clusters.append(cluster)
            self.by_space.setdefault((level, task.space), []).append(cluster)
        if task.kind == "reduce" and not cluster.inner:
            cluster.inner = task.inner
        for node, index in reads:
            self._sink(node, index, task, cluster)
        cluster.tasks.append(task)
        cluster.reads[task.node] = tuple({n: None for n, _ in reads if self.home[n] is cluster})
        cluster.cost += task.cost
        self.home[task.node], self.task[task.node] = cluster, task
        self.crossing |= {n for n, _ in reads if self.home[n] is not cluster}
        self._account(task, cluster)

    def _account(self, task: Task, cluster: Cluster) -> None:
        """Which arrays the kernel reads and writes now, and which of its own it need not write since all readers are inside."""
        for node in self.arrays[task.node]:
            if self.home.get(node) is not cluster:
                cluster.loads.add(node)
            if node in self.roots:
                self.waiting[node] -= 1
                if not self._stored(node):
                    self.home[node].stores.discard(node)
        if self._stored(task.node):
            cluster.stores.add(task.node)

    def _sink(self, node: Node, index: Index, task: Task, cluster: Cluster) -> None:
        """Move a map that stands alone and reads only arguments into the kernel of its first reader, if that reads it where it is made."""
        home, own = self.home[node], self.task[node]
        if home is cluster or len(home.tasks) != 1 or own.kind != "map" or any(n in self.roots for n in self.arrays[node]):
            return
        if task.kind not in ("map", "reduce") or node in self.crossing or node in self.outputs or cluster.kind == "contract":
            return
        positions, loops = cluster.positions(own), cluster.positions(task)
        if positions is None or loops is None or cluster.cost + own.cost > self.largest or (node, index) not in self.reads(task, loops):
            return
        arrays = len(cluster.loads | self.arrays[node] | self.arrays[task.node]) + len(cluster.stores) + 2
        if index == self._written(own, cluster) and arrays <= 2 * widest_value(self.target):
            home.tasks.clear()
            cluster.tasks.append(own)
            cluster.cost += own.cost
            cluster.loads |= self.arrays[node]
            cluster.stores.add(node)
            cluster.reads[node] = ()
            self.home[node] = cluster

    def _stored(self, node: Node) -> bool:
        return node in self.outputs or node in self.crossing or self.waiting[node] > 0

    def _arguments(self, task: Task, cluster: Cluster) -> int:
        """How many arrays the kernel would have with this task, if all that still has readers to come is written."""
        inside = {n for n in self.arrays[task.node] if self.home.get(n) is cluster}
        done = sum(self.waiting[n] == 1 and n not in self.outputs and n not in self.crossing for n in inside)
        return len(cluster.loads | (self.arrays[task.node] - inside)) + len(cluster.stores) + 1 - done

    def reads(self, task: Task, positions: Place) -> set[tuple[Node, Index]]:
        """The roots that a task reads, each with the index at which it does, in the loop variables of `positions`."""
        key, b = (task.node, task.kind, positions), self.builder
        known = self.read.get(key)
        if known is not None:
            return known
        found = self.read[key] = set[tuple[Node, Index]]()

        def memory(node: Node, index: Index) -> Expr | None:
            if node.op in (INPUT, SHARED) or is_array_constant(node):
                return b.var(f"m{node.uid}", node.outs[0].dtype)
            if node in self.roots and node is not task.node:
                found.add((node, index))
                return b.make("op", node.outs[0].dtype, index, f"root{node.uid}")
            return None
        meet(Inliner(b, memory), operands(task, b, variables(b, positions)))
        return found

    def _candidates(self, task: Task, below: Sequence[Cluster], level: int) -> Iterator[Cluster]:
        yield from {id(c): c for c in below if c.level == level}.values()
        yield from self.by_space.get((level, task.space), ())

    def _joins(self, task: Task, cluster: Cluster) -> bool:
        positions = cluster.positions(task)
        if positions is None or cluster.cost + task.cost > self.largest or not self._kinds_fit(task, cluster):
            return False
        if self._arguments(task, cluster) > 2 * widest_value(self.target):
            return False
        inside = after = False
        for node, index in self.reads(task, positions):
            home = self.home[node]
            if home.level > cluster.level or (home.level == cluster.level and home is not cluster):
                return False
            if home is cluster:
                inside = True
                after = after or self.task[node].kind == "reduce" or self.task[node].space != cluster.space
                if index != self._written(self.task[node], cluster) or self.task[node].kind == "partial":
                    return False
        return (inside or cluster.kind not in ("contract", "scan")) and self._stays_parallel(task, cluster, inside, after)

    def _stays_parallel(self, task: Task, cluster: Cluster, inside: bool, after: bool) -> bool:
        """A reduction over everything, or over many rows, is split over work-items, which leaves no place for a second pass in the same
        kernel; after: whether the task reads what is there for each row or column."""
        if task.kind == "map" and task.space != cluster.space or not task.space:
            return True
        inner = task.inner if task.kind == "reduce" else cluster.inner
        if after and inner and len(cluster.space) - 1 not in inner:
            rows = product(cluster.space[k] for k in inner) * COLUMN
            self.apart[rows.text] = rows
            return self.together
        if len(inner) < len(cluster.space) or cluster.kind == "contract":
            return True
        if task.kind == "reduce" and not inside and all(t.kind == "reduce" or not t.space for t in cluster.tasks):
            return True
        total = product(cluster.space)
        self.apart[total.text] = total
        return self.together

    def feeder(self, task: Task) -> Cluster | None:
        """The cluster that has what a sum over its rows reads, and reads nothing that comes later."""
        task = task._replace(kind="partial")
        below = [self.home[n] for n, _ in self.reads(task, tuple(range(len(task.space))))]
        level = max((c.level for c in below), default=0)
        return next((c for c in {id(c): c for c in below}.values() if c.level == level and c.outer == tuple(range(len(c.outer)))
                     and self.home[task.node] is not c and self._joins(task, c)), None)

    def _kinds_fit(self, task: Task, cluster: Cluster) -> bool:
        if cluster.kind == "contract":
            return task.kind == "map" and not is_call(cluster.tasks[0].node, self.target)
        if cluster.kind == "scan":
            return task.kind == "map" and task.space == cluster.space
        return cluster.kind not in ("scatter", "composite") and task.kind in ("map", "reduce", "partial")

    def _written(self, task: Task, cluster: Cluster) -> Index:
        positions = cluster.positions(task)
        assert positions is not None
        return placed(self.builder, task.writes, variables(self.builder, positions))


def operands(task: Task, b: Builder, loops: Sequence[Expr]) -> list[tuple[Out, Index]]:
    """What a task reads, each with its index: the node itself for a map, the operand for a reduction or scan, nothing for opaque tasks."""
    if task.kind == "map":
        return [(Out(task.node), placed(b, task.reads, loops))]
    if task.kind in ("reduce", "partial", "scan"):
        return [(task.node.inputs[0], placed(b, task.reads, loops))]
    op = task.node.op
    read = task.node.inputs[:op.own.arity] if isinstance(op, OwnOp) else [i for i in task.node.inputs if i.ndim]
    return [(i, tuple(b.var(f"a{k}_{n}") for k in range(i.ndim))) for n, i in enumerate(read)]
