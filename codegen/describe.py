"""Descriptions of kernels for people: which operations, over which sizes, from which of the user's lines."""
from __future__ import annotations

import os
from collections.abc import Iterable

from codegen.fuse import Cluster
from codegen.plan import About
from exprgraph.dims import Call, Dim, Size, Stride, constant, product
from exprgraph.dtypes import is_float
from exprgraph.errors import Source
from exprgraph.node import CONSTANT, INPUT, SHARED, Node

SHOWN = 8
SILENT = ("cast", "dimshuffle", "broadcast_to", "identity", "size", "bcast_size")


def flops_of(nodes: Iterable[Node]) -> Dim:
    """About how many floating-point operations it takes to compute some nodes once: one for each element of an elementwise operation, or of
    what is reduced or scattered, two for each multiplication of a product."""
    total = constant(0)
    for node in nodes:
        if not is_float(node.outs[0].dtype) or node.op.name in SILENT:
            continue
        if node.op.kind == "contract":
            total = total + product((*node.outs[0].shape, node.inputs[0].type.shape[-1])) * 2
        elif node.op.kind in ("elementwise", "scan"):
            total = total + product(node.outs[0].shape)
        elif node.op.kind in ("reduce", "scatter"):
            total = total + product(node.inputs[-1 if node.op.kind == "scatter" else 0].type.shape)
    return total


def about(cluster: Cluster, roots: frozenset[Node], writes: tuple[tuple[str, tuple[Dim, ...]], ...], counts: bool) -> About:
    """What a launch of a cluster's kernel is to be shown as; counts: whether it does the cluster's arithmetic."""
    nodes = inside(cluster, roots)
    sources = tuple(sorted(set[Source]().union(*(n.sources for n in nodes))))
    return About(describe(cluster, roots).partition(", from ")[0], sources, flops_of(nodes) if counts else constant(0), writes)


def describe(cluster: Cluster, roots: frozenset[Node]) -> str:
    """What a kernel computes: its operations, its space and the user's lines."""
    nodes = inside(cluster, roots)
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


def inside(cluster: Cluster, roots: frozenset[Node]) -> list[Node]:
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
