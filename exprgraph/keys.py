"""Keys of graphs: what they are made of, alike in every process, whatever the symbols are called and on which lines they stand.

Two programs that differ in names, or whose lines have moved, have one key; where several nodes came from one line is part of it, so that
what is kept can speak of lines by number, and tells the lines of whoever reads it.
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from exprgraph.errors import Source
from exprgraph.graph import order
from exprgraph.node import CONSTANT, INPUT, SHARED, Graph, Node, Op
from exprgraph.ops.table import ROWS
from exprgraph.store import digest_of

PLAIN = (int, str, type(None))
ROOMS = ("exprgraph", "codegen", "runtime")


class UnstorableError(Exception):
    """Something that has no key, with the reason; it is made anew in each process."""


class Structure(NamedTuple):
    """A graph as far as keys see it.

    nodes: all, leaves first in the order of a call, then as they are computed.  lines: the user's lines, each once, in the order of the
    nodes.  outputs: how many there are.  parts: digests by what they are of.
    """
    nodes: tuple[Node, ...]
    lines: tuple[Source, ...]
    outputs: int
    parts: dict[str, str]


def structure(graph: Graph, leaves: Sequence[Node]) -> Structure:
    """The nodes, lines and digests of a graph; UnstorableError where it holds ops that are not exprgraph's own."""
    inner = [n for n in order(graph.outputs) if n.op not in (INPUT, SHARED)]
    nodes = (*leaves, *inner)
    numbers = {n: k for k, n in enumerate(nodes)}
    tokens: dict[int, int] = {}
    try:
        told = [_told(n, numbers, tokens) for n in inner]
        ends = [(numbers[o.node], o.index) for o in graph.outputs]
    except KeyError:
        raise UnstorableError("it depends on something that is not among its inputs") from None
    lines = {s: None for n in nodes for s in sorted(n.sources)}
    known = {s: k for k, s in enumerate(lines)}
    return Structure(nodes, tuple(lines), len(ends), {
        "operations": digest([*told, ends]),
        "constants": digest(data for n in inner if n.op is CONSTANT for data in (n.params[1:], n.param("data"))),
        "inputs": digest((n.op.name, n.outs[0].dtype, [d.const for d in n.outs[0].shape]) for n in leaves),
        "lines": digest(sorted(known[s] for s in n.sources) for n in nodes)})


def _told(node: Node, numbers: dict[Node, int], tokens: dict[int, int]) -> Any:
    """What a node is, over the numbers of others."""
    if node.op is CONSTANT:
        return "constant", node.outs[0].dtype, [d.const for d in node.outs[0].shape]
    params = [(k, tokens.setdefault(v, len(tokens)) if k == "token" else plain(v, node)) for k, v in node.params]
    return op_name(node.op), params, [(numbers[i.node], i.index) for i in node.inputs]


def op_name(op: Op) -> str:
    """What an op is kept as: the name of its row."""
    if ROWS.get(op.name) is not op:
        raise UnstorableError(f"{op.name} is no row of exprgraph's own tables")
    return op.name


def plain(value: Any, node: Node) -> Any:
    """A parameter as JSON can hold it."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, tuple):
        return [plain(v, node) for v in value]
    raise UnstorableError(f"{node.op.name} has a parameter of type {type(value).__name__}")


def digest(items: Iterable[Any]) -> str:
    """A digest of plain records and bytes, each told apart from the next."""
    told = [item if isinstance(item, bytes) else repr(item).encode() for item in items]
    return digest_of(*(part for text in told for part in (b"%d:" % len(text), text))).decode()


@cache
def generator() -> str:
    """A digest of the versions of NumPy and of this package: of the files of all rooms, by name, size and time of change."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    todo, found = [os.path.join(root, room) for room in ROOMS], []
    while todo:
        with os.scandir(todo.pop()) as items:
            for item in items:
                if item.name.endswith(".py"):
                    told = item.stat()
                    found.append((item.path[len(root):], told.st_size, told.st_mtime_ns))
                elif "." not in item.name and item.name != "__pycache__" and item.is_dir():
                    todo.append(item.path)
    return digest([np.__version__, *sorted(found)])
