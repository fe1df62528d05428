"""Keys of graphs: what they are made of, alike in every process, whatever the symbols are called and on which lines they stand.

Two programs that differ in names, or whose lines have moved, have one key; where several nodes came from one line is part of it, so that
what is kept can speak of lines by number, and tells the lines of whoever reads it.
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from exprgraph.atoms import Atom, Call, Value
from exprgraph.dims import Dim
from exprgraph.errors import Source
from exprgraph.graph import order
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, INPUT, SHARED, Graph, Node, Op
from exprgraph.ops.table import ROWS
from exprgraph.store import digest_of

PLAIN = (int, str, type(None))
LONG = 200
"""Characters of a Dim's text from which on a digest takes its place."""
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
    sizes = Sizes({n.uid: k for n, k in numbers.items()})
    try:
        told = [(*_told(n, numbers, tokens), sizes.types(n)) for n in inner]
        ends = [(numbers[o.node], o.index) for o in graph.outputs]
    except KeyError:
        raise UnstorableError("it depends on something that is not among its inputs") from None
    lines = {s: None for n in nodes for s in sorted(n.sources)}
    known = {s: k for k, s in enumerate(lines)}
    return Structure(nodes, tuple(lines), len(ends), {
        "operations": digest([*told, ends]),
        "constants": digest(data for n in inner if n.op is CONSTANT for data in (n.params[1:], n.param("data"))),
        "inputs": digest((n.op.name, sizes.types(n)) for n in leaves),
        "lines": digest(sorted(known[s] for s in n.sources) for n in nodes)})


class Sizes:
    """Dims as texts that are alike in every process: over the numbers of nodes, and of what is not among them in the order in which it is
    met.  Equal structures may differ in these: an input may have the sizes of another one."""

    def __init__(self, numbers: dict[int, int]) -> None:
        self.numbers = dict(numbers)
        self.known: dict[str, str] = {}

    def types(self, node: Node) -> list[Any]:
        """The types of a node's outputs."""
        return [(t.dtype, *map(self.text, t.shape)) for t in node.outs]

    def text(self, dim: Dim) -> str:
        """The text of a Dim, which may be nested deeper than Python may recurse."""
        todo = [dim]
        while todo:
            top = todo[-1]
            calls = [a for m, _ in top.terms for a in m if isinstance(a, Call)]
            waiting = [side for a in calls for side in (a.left, a.right) if side.text not in self.known]
            if waiting and top.text not in self.known:
                todo += waiting
                continue
            todo.pop()
            if top.text not in self.known:
                made = repr(sorted((c, sorted(map(self._atom, m))) for m, c in top.terms))
                self.known[top.text] = made if len(made) < LONG else digest([made])
        return self.known[dim.text]

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, Call):
            return f"{atom.kind}({self.known[atom.left.text]},{self.known[atom.right.text]})"
        number = self.numbers.setdefault(atom.source.uid, -1 - len(self.numbers))
        return f"v{number}>={atom.least}" if isinstance(atom, Value) else f"{atom.text[0]}{number}.{atom.axis}"


def _told(node: Node, numbers: dict[Node, int], tokens: dict[int, int]) -> tuple[Any, ...]:
    """What a node is, over the numbers of others."""
    if node.op is CONSTANT:
        return ("constant",)
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
