"""Descriptions of kernels for people: which operations, over which sizes, from which of the user's lines."""
from __future__ import annotations

import os
from collections.abc import Iterable

from codegen.fuse import Cluster
from exprgraph.dims import Call, Dim, Size, Stride
from exprgraph.errors import Source
from exprgraph.node import CONSTANT, INPUT, SHARED, Node

SHOWN = 8
SILENT = ("cast", "dimshuffle", "broadcast_to", "identity", "size", "bcast_size")


def describe(cluster: Cluster, roots: frozenset[Node]) -> str:
    """What a kernel computes: its operations, its space and the user's lines."""
    nodes = _inside(cluster, roots)
    names = [n.op.name for n in nodes if n.op.name not in SILENT] or [n.op.name for n in nodes]
    lines = sorted(set().union(*(n.sources for n in nodes)))
    space = " x ".join(readable(d) for d in cluster.space) or "one element"
    return f"{_some(names)} over {space}, from {_some(_near(line) for line in lines)}"


def _near(line: Source) -> str:
    """A line of the user's, its file relative to the working directory where it lies below it."""
    return f"{line.file.removeprefix(os.getcwd() + os.sep)}:{line.line}"


def _some(items: Iterable[str]) -> str:
    known = list(items)
    return ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")


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


def readable(dim: Dim) -> str:
    """A Dim in terms of the shapes and values of the inputs."""
    parts = []
    for monomial, coefficient in dim.terms:
        factors = [str(coefficient)] * (coefficient != 1 or not monomial) + [_atom(a) for a in monomial]
        parts.append(" * ".join(factors))
    return " + ".join(parts) or "0"


def _atom(atom: object) -> str:
    if isinstance(atom, Call):
        return f"{atom.kind}({readable(atom.left)}, {readable(atom.right)})"
    name = getattr(atom, "source").name or "input"  # noqa: B009  (every leaf atom has a source)
    if isinstance(atom, Size):
        return f"{name}.shape[{atom.axis}]"
    return f"{name}.strides[{atom.axis}]" if isinstance(atom, Stride) else str(name)
