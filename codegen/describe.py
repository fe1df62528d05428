"""Descriptions of clusters: which operations their kernel does, over which sizes, from which of the user's lines."""
from __future__ import annotations

from codegen.fuse import Cluster
from codegen.notes import SHOWN
from codegen.plan import Note
from exprgraph.node import CONSTANT, INPUT, SHARED, Node

SILENT = ("cast", "dimshuffle", "broadcast_to", "identity", "size", "bcast_size")


def describe(kernel: str, cluster: Cluster, roots: frozenset[Node]) -> Note:
    """What a kernel computes: its operations, its space and the user's lines."""
    nodes = _inside(cluster, roots)
    names = [n.op.name for n in nodes if n.op.name not in SILENT] or [n.op.name for n in nodes]
    lines = sorted(set().union(*(n.sources for n in nodes)))
    return Note(kernel, tuple(names), tuple(cluster.space), tuple(lines))


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
