"""Row buffers: which maps of a cluster are kept in memory from one pass over the inner axes to the next, and where.

A map that several passes need is computed again in each if that is cheap.  Else the first pass that needs it stores it and later ones load
it: into its own buffer if it has one, into the buffer of a result that a last pass writes at the same places, or into memory of
its own, which maps whose passes do not overlap share.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping

from codegen.fuse import Cluster, Task
from exprgraph.named import NamedTuple
from exprgraph.node import Node

WORTH_KEEPING = 12
"""Operations from which on a value is loaded rather than computed again."""


class Kept(NamedTuple):
    """The pass that makes each kept map, the last pass that needs it, and the result (if any) whose buffer it borrows."""
    first: dict[Node, int]
    last: dict[Node, int]
    lender: dict[Node, Node]


def stages(cluster: Cluster) -> dict[Node, int]:
    """The pass over the inner axes in which each task can be computed: after those of all reductions that it reads; sums over the rows
    come last, in a pass of their own."""
    found: dict[Node, int] = {}
    ready: dict[Node, int] = {}
    for task in cluster.tasks:
        stage = max((ready[n] for n in cluster.reads[task.node]), default=0)
        found[task.node] = stage
        ready[task.node] = stage + (task.kind == "reduce")
    last = max(found.values()) + 1
    return found | {t.node: last for t in cluster.tasks if t.kind == "partial"}


def is_inner(cluster: Cluster, task: Task) -> bool:
    """Whether a task runs inside the loops over the inner axes."""
    return task.kind == "reduce" or (bool(cluster.inner) and task.space == cluster.space)


def kept(cluster: Cluster, stage: Mapping[Node, int], heavy: set[Node], stored: Callable[[Node], bool]) -> Kept:
    """What to keep; `stored` tells which tasks have buffers that others read."""
    maps = [t for t in cluster.tasks if t.kind == "map" and is_inner(cluster, t)]
    dear = _dear(cluster, maps, heavy)
    readers: dict[Node, list[Task]] = {t.node: [] for t in maps}
    for task in cluster.tasks:
        for node in cluster.reads[task.node]:
            if node in readers:
                readers[node].append(task)
    found, uses = Kept({}, {}, {}), dict[Node, set[int]]()
    for task in reversed(maps):
        needed = {stage[task.node]} if stored(task.node) else set[int]()
        for reader in readers[task.node]:
            node = reader.node
            needed |= {stage[node]} if reader.kind != "map" else {found.first[node]} if node in found.first else uses.get(node, set())
        uses[task.node] = needed
        if len(needed) > 1 and task.node in dear:
            found.first[task.node], found.last[task.node] = min(needed), max(needed)
    _lend(maps, stage, stored, found)
    return found


def _dear(cluster: Cluster, maps: list[Task], heavy: set[Node]) -> set[Node]:
    """The maps that are worth keeping: computed from memory and accumulators they take long."""
    work: dict[Node, int] = {}
    dear = set[Node]()
    for task in maps:
        inside = [n for n in cluster.reads[task.node] if n in work]
        work[task.node] = min(task.cost + sum(work[n] for n in inside), 1 << 20)
        if work[task.node] > WORTH_KEEPING or task.node in heavy or any(n in dear for n in inside):
            dear.add(task.node)
    return dear


def _lend(maps: list[Task], stage: Mapping[Node, int], stored: Callable[[Node], bool], found: Kept) -> None:
    """Let one kept map use the buffer of a result that is written by the last pass that needs the map."""
    for task in maps:
        node = task.node
        for other in maps if node in found.first and not stored(node) else ():
            late = stored(other.node) and other.node not in found.first and stage[other.node] == found.last[node]
            if late and other.node.outs[0].dtype == node.outs[0].dtype:
                found.lender[node] = other.node
                return
