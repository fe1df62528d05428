"""Optimised graphs as bytes, over the leaves and lines of the graph that they were made of; and back, over those of another process.

A file is a line of JSON and the bytes of arrays behind it.  Dims are numbered, each over those before it; nodes too.  Nothing that is read
is run: ops are looked up by name, numbers are checked to be numbers.  What does not fit is a ValueError, KeyError, IndexError or TypeError.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.atoms import INTEGER
from exprgraph.dims import Atom, Call, Dim, Size, Stride, Value, constant, of_atom
from exprgraph.errors import Source
from exprgraph.graph import order
from exprgraph.keys import UnstorableError, op_name, plain
from exprgraph.node import CONSTANT, INPUT, SHARED, Graph, Node, Out, TensorType, make_constant
from exprgraph.ops.table import ROWS

Record = dict[str, Any]
Array = np.ndarray[Any, Any]
ATOMS: dict[str, Callable[[Any, Any], Atom]] = {"s": Size, "t": Stride, "v": lambda source, least: Value(source, float(least))}


class Writer:
    """Numbers for sources of atoms, Dims, lines and arrays, and what they stand for as plain records."""

    def __init__(self, sources: Sequence[Node], lines: Sequence[Source]) -> None:
        self.places = {n.uid: k for k, n in enumerate(sources)}
        self.lines = {s: k for k, s in enumerate(lines)}
        self.dims: list[Any] = []
        self._numbers: dict[str, int] = {}
        self.data = bytearray()

    def line(self, source: Source | None) -> int | None:
        """The number of a line; None for none, and for a line that nobody else has."""
        return None if source is None else self.lines.get(source)

    def dim(self, dim: Dim) -> int:
        """The number of a Dim.  Dims may be nested deeper than Python may recurse."""
        todo = [(dim, False)]
        while todo:
            top, ready = todo.pop()
            if top.text in self._numbers:
                continue
            calls = [a for m, _ in top.terms for a in m if isinstance(a, Call)]
            if not ready and calls:
                todo += [(top, True), *((side, False) for a in calls for side in (a.left, a.right))]
                continue
            self.dims.append([[c, [self._atom(a) for a in m]] for m, c in top.terms])
            self._numbers[top.text] = len(self._numbers)
        return self._numbers[dim.text]

    def _atom(self, atom: Atom) -> list[Any]:
        if isinstance(atom, Call):
            return [atom.kind, self._numbers[atom.left.text], self._numbers[atom.right.text]]
        place = self.places.get(atom.source.uid)
        if place is None:
            raise UnstorableError("a size of it rests on something that is not among its inputs")
        if isinstance(atom, Value):
            return ["v", place, atom.least.hex() if isinstance(atom.least, float) else float(atom.least).hex()]
        return ["s" if isinstance(atom, Size) else "t", place, atom.axis]

    def array(self, value: Array) -> list[Any]:
        """The record of an array, whose bytes go behind."""
        start = len(self.data)
        self.data += np.ascontiguousarray(value).tobytes()
        return [start, value.dtype.name, list(value.shape)]

    def file(self, record: Record) -> bytes:
        """Everything as bytes."""
        return json.dumps({**record, "dims": self.dims}, separators=(",", ":")).encode() + b"\n" + bytes(self.data)


class Reader:
    """What numbers stand for, over the sources and lines at hand."""

    def __init__(self, content: bytes, sources: Sequence[Node], lines: Sequence[Source]) -> None:
        head, _, self._data = content.partition(b"\n")
        self.record: Record = json.loads(head)
        self.sources, self.lines = list(sources), lines
        self._dims: dict[int, Dim] = {}

    def line(self, number: int | None) -> Source | None:
        """The line of a number."""
        return None if number is None else self.lines[natural(number)]

    def dim(self, number: int) -> Dim:
        """The Dim of a number, made when first asked for, since its atoms may be nodes that are read meanwhile."""
        todo = [natural(number)]
        while todo:
            top = todo[-1]
            terms = self.record["dims"][top]
            below = [side for _, m in terms for a in m if a[0] in INTEGER for side in (natural(a[1], top), natural(a[2], top))]
            missing = [k for k in below if k not in self._dims]
            if missing:
                todo += missing
                continue
            todo.pop()
            if top not in self._dims:
                self._dims[top] = self._sum(terms)
        return self._dims[number]

    def _sum(self, terms: Sequence[Any]) -> Dim:
        total = constant(0)
        for coefficient, monomial in terms:
            part = constant(whole(coefficient))
            for atom in monomial:
                part = part * of_atom(self._atom(*atom))
            total = total + part
        return total

    def _atom(self, kind: str, left: Any, right: Any) -> Atom:
        if kind in INTEGER:
            return Call(kind, self._dims[left], self._dims[right])
        return ATOMS[kind](self.sources[natural(left)], float.fromhex(right) if kind == "v" else natural(right))

    def array(self, record: Sequence[Any]) -> Array:
        """The array of a record, read-only."""
        start, name, shape = record
        dtype = np.dtype(dtypes.canonical(name))
        count = int(np.prod([natural(n) for n in shape], dtype=object))
        found = np.frombuffer(self._data, np.uint8, count * dtype.itemsize, natural(start))
        return found.view(dtype).reshape(shape)


def whole(value: Any) -> int:
    """An integer as it is; ValueError for anything else."""
    if type(value) is not int:
        raise ValueError(f"{value!r:.40} is no integer")
    return value


def natural(value: Any, below: int = 2**63) -> int:
    """A natural number as it is; ValueError for anything else, and for one that is not below a bound."""
    if not 0 <= whole(value) < below:
        raise ValueError(f"{value!r:.40} is out of range")
    return int(value)


Slot = tuple[int, int]
"""Where a name stands in a graph that the reader has too: the number of a node, and which of its inputs has it, -1 for the node itself."""


def slots(nodes: Sequence[Node]) -> dict[str, Slot]:
    """Where each name stands first."""
    found: dict[str, Slot] = {}
    for number, node in enumerate(nodes):
        for at, name in enumerate((node.name, *(i._name for i in node.inputs)), -1):
            if name is not None:
                found.setdefault(name, (number, at))
    return found


def name_at(nodes: Sequence[Node], slot: Sequence[int] | None) -> str | None:
    """The name that stands in a slot now."""
    if slot is None:
        return None
    node, at = nodes[natural(slot[0])], whole(slot[1])
    return node.name if at < 0 else node.inputs[at]._name


def written(graph: Graph, leaves: Sequence[Node], lines: Sequence[Source], names: Mapping[str, Slot]) -> bytes:
    """A graph over its leaves; names: where the reader finds each name."""
    inner = [n for n in order(graph.outputs) if n.op not in (INPUT, SHARED)]
    nodes = [*leaves, *inner]
    writer = Writer(nodes, lines)
    numbers = {n: k for k, n in enumerate(nodes)}
    records = []
    for node in inner:
        kinds = [[t.dtype, [writer.dim(d) for d in t.shape]] for t in node.outs]
        told = {"data": writer.array(np.frombuffer(node.param("data"), np.uint8))} if node.op is CONSTANT else {
            "params": [[k, plain(v, node)] for k, v in node.params],
            "inputs": [[numbers[i.node], i.index, names.get(i._name or "")] for i in node.inputs]}
        where = [k for k in map(writer.line, sorted(node.sources)) if k is not None]
        records.append({"op": "constant" if node.op is CONSTANT else op_name(node.op), "outs": kinds, "lines": where,
                        "name": names.get(node.name or ""), **told})
    ends = [[numbers[o.node], o.index, None] for o in graph.outputs]
    return writer.file({"nodes": records, "outputs": ends})


def read(content: bytes, leaves: Sequence[Node], lines: Sequence[Source], known: Sequence[Node]) -> tuple[Out, ...]:
    """The outputs of a graph over other leaves; known: the nodes that names are taken from."""
    reader = Reader(content, leaves, lines)
    for record in reader.record["nodes"]:
        reader.sources.append(_node(reader, record, known))
    return tuple(_out(reader, place, known) for place in reader.record["outputs"])


def _out(reader: Reader, place: Sequence[Any], known: Sequence[Node]) -> Out:
    number, index, slot = place
    return Out(reader.sources[natural(number)], natural(index), name_at(known, slot))


def _node(reader: Reader, record: Record, known: Sequence[Node]) -> Node:
    if record["op"] == CONSTANT.name:
        (kind,) = record["outs"]
        shape = [reader.dim(d).const for d in kind[1]]
        node = make_constant(reader.array(record["data"]).view(kind[0]).reshape(shape), dtypes.canonical(kind[0])).node
    else:
        params = tuple((str(k), value_of(v)) for k, v in record["params"])
        node = Node(ROWS[record["op"]], params, tuple(_out(reader, place, known) for place in record["inputs"]), (), frozenset())
        reader.sources.append(node)  # its types may speak of itself
        node.outs = tuple(TensorType(dtypes.canonical(name), tuple(map(reader.dim, shape))) for name, shape in record["outs"])
        reader.sources.pop()
    node.sources = frozenset(reader.lines[natural(k)] for k in record["lines"])
    node.name = name_at(known, record["name"])
    return node


def value_of(stored: Any) -> Any:
    """The parameter that `keys.plain` made a record of."""
    if isinstance(stored, list):
        return tuple(map(value_of, stored))
    return float.fromhex(stored["float"]) if isinstance(stored, dict) else stored
