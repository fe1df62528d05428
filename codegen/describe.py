"""Descriptions of clusters: which operations their kernel does, over which sizes, from which of the user's lines."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import reduce

from codegen.fuse import Cluster
from codegen.notes import SHOWN
from codegen.plan import About, Note
from exprgraph.dims import Dim, constant, maximum, product
from exprgraph.dtypes import is_float
from exprgraph.errors import Source
from exprgraph.node import CONSTANT, INPUT, SHARED, Node

SILENT = ("cast", "dimshuffle", "broadcast_to", "identity", "size", "bcast_size")


def flops_of(nodes: Iterable[Node]) -> Dim:
    """About how many floating-point operations it takes to compute some nodes once: one for each element of an elementwise operation, or of
    what is reduced or scattered, two for each multiplication of a product."""
    times = Counter[tuple[Dim, ...]]()
    for node in nodes:
        if not is_float(node.outs[0].dtype) or node.op.name in SILENT:
            continue
        if node.op.kind == "contract":
            times[(*node.outs[0].shape, node.inputs[0].type.shape[-1])] += 2
        elif node.op.kind in ("elementwise", "scan"):
            times[node.outs[0].shape] += 1
        elif node.op.kind in ("reduce", "scatter"):
            times[node.inputs[-1 if node.op.kind == "scatter" else 0].type.shape] += 1
    return sum((product(shape) * count for shape, count in times.items()), constant(0))


def reach_of(nodes: Iterable[Node]) -> Dim:
    """How many elements of one buffer it takes at most to compute some nodes: as many as the largest of them has, or of what is folded."""
    folded = ("reduce", "contract", "scatter")
    shapes = dict.fromkeys(t.shape for n in nodes for t in (*n.outs, *(i.type for i in n.inputs if n.op.kind in folded)))
    return reduce(maximum, {d.text: d for d in map(product, shapes)}.values(), constant(1))


Counted = dict[tuple[Node, ...], tuple[Dim, Dim]]
"""`flops_of` and `reach_of` some nodes."""


def describe(cluster: Cluster, roots: frozenset[Node], counted: Counted) -> tuple[Note, About]:
    """What the kernels of a cluster compute: the operations, the space and the user's lines, in a note for no kernel yet; and what is told
    of their launches but for what they write."""
    nodes = _inside(cluster, roots)
    key = tuple(nodes)
    if key not in counted:
        counted[key] = flops_of(nodes), reach_of(nodes)
    names = [n.op.name for n in nodes if n.op.name not in SILENT] or [n.op.name for n in nodes]
    lines = tuple(sorted(set[Source]().union(*(n.sources for n in nodes))))
    return Note("", tuple(names), tuple(cluster.space), lines), About(lines, *counted[key])


def _inside(cluster: Cluster, roots: frozenset[Node]) -> list[Node]:
    """The nodes that the cluster's kernel computes, inputs first, as far as they are shown."""
    found: dict[Node, None] = {}
    todo = [t.node for t in cluster.tasks]
    own = set(todo)
    while todo and len(found) < 50 * SHOWN:
        node = todo.pop()
        if node not in found and node.op not in (INPUT, SHARED, CONSTANT) and (node in own or node not in roots):
            found[node] = None
            todo += [i.node for i in node.inputs]
    return sorted(found, key=lambda n: n.uid)
