"""Graphs as plain records: what JSON can hold, with the bytes of constants and shared values beside it; and back."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import GraphError, Source, at, here
from exprgraph.graph import order
from exprgraph.graph_records import value_of
from exprgraph.keys import UnstorableError, plain
from exprgraph.node import CONSTANT, INPUT, SHARED, Node, Out, leaf, make_constant
from exprgraph.ops.markers import Print, PrintRow
from exprgraph.ops.table import ROWS
from exprgraph.own.made import Made
from exprgraph.shared import Nothing, Shared, SharedNode, host, shared
from exprgraph.symbols import MAX_RANK

Record = dict[str, Any]
Arrays = dict[str, np.ndarray[Any, Any]]


class Writer:
    """Numbers for the nodes that some tensors need, their records, and the arrays beside them.

    own: a list to which ops of the user's own are added, as what made them; without one they are refused.  values: whether those
    of shared variables, and their default updates, are stored.
    """

    def __init__(self, outputs: Iterable[Out], own: list[Made] | None = None, values: bool = True) -> None:
        self.nodes: list[Record] = []
        self.arrays: Arrays = {}
        self._own, self._values = own, values
        self._numbers: dict[Node, int] = {}
        self._shared: list[SharedNode] = []
        self._add(list(outputs))
        for node in self._shared:  # grows while default updates bring in more
            if values and node.default_update is not None:
                self._add([node.default_update])
                self.nodes[self._numbers[node]]["default_update"] = self.place(node.default_update)

    def alone(self, node: Node, inputs: Iterable[Node]) -> Record:
        """The record of one node, whose inputs have these numbers."""
        self._numbers = {i: k for k, i in enumerate(inputs)}
        return self._record(node)

    def place(self, out: Out) -> list[Any]:
        """A tensor: its node, which output, and its name."""
        return [self._numbers[out.node], out.index, out.name]

    def _add(self, outputs: Sequence[Out]) -> None:
        for node in order(outputs):
            if node not in self._numbers:
                self.nodes.append(self._record(node))
                self._numbers[node] = len(self._numbers)

    def _record(self, node: Node) -> Record:
        kind = node.op.name
        found: Record = {"op": kind, "name": node.name, "sources": sorted([s.file, s.line] for s in node.sources)}
        if isinstance(node, SharedNode):
            self._shared.append(node)
            found |= {"strict": node.wanted.strict, "downcast": node.wanted.downcast}
            found |= self.array(host(node.version)) if self._values and not isinstance(node.version, Nothing) else {}
        elif node.op is CONSTANT:
            found |= self.array(CONSTANT.numpy(**dict(node.params)))
        if node.op.kind == "leaf":
            return found | {"dtype": node.outs[0].dtype, "known": [d.const for d in node.outs[0].shape]}
        return found | self._applied(node)

    def _applied(self, node: Node) -> Record:
        found: Record = {"inputs": [self.place(i) for i in node.inputs], "params": [[k, _plain(v, node)] for k, v in node.params]}
        if isinstance(node.op, PrintRow):
            if node.op.printer.global_fn is not None:
                raise GraphError(f"a Print with a global_fn cannot be stored{at(node.source)}")
            return found | {"attrs": list(node.op.printer.attrs)}
        made: Made | None = getattr(node.op, "made", None)
        if self._own is not None and made is not None:
            self._own.append(made)
            return found | {"own": [len(self._own) - 1, made.identity]}
        if ROWS.get(node.op.name) is not node.op:
            raise GraphError(f"{node.op.name} is no row of exprgraph's own tables and cannot be stored{at(node.source)}")
        return found

    def array(self, value: np.ndarray[Any, Any]) -> Record:
        """The record of an array, whose bytes go beside."""
        key = f"a{len(self.arrays)}"
        self.arrays[key] = np.frombuffer(np.ascontiguousarray(value).tobytes(), "uint8")
        return {"data": key, "dtype": value.dtype.name, "shape": list(value.shape)}


def _plain(value: Any, node: Node) -> Any:
    try:
        return plain(value, node)
    except UnstorableError as error:
        raise GraphError(f"{error}, which cannot be stored{at(node.source)}") from None


class Reader:
    """The nodes of records, made anew by the rows of this version."""

    def __init__(self, nodes: Sequence[Record], arrays: Mapping[str, np.ndarray[Any, Any]], own: Sequence[Made] = ()) -> None:
        self._arrays, self._own = arrays, own
        self._nodes: list[Out] = []
        for record in nodes:
            self._nodes.append(self._made(record))
        for out, record in zip(self._nodes, nodes):
            if isinstance(out, Shared) and record.get("default_update") is not None:
                out.default_update = self.out(record["default_update"])

    def alone(self, record: Record, inputs: Sequence[Node]) -> Node:
        """The node of a record of `Writer.alone`."""
        self._nodes = [Shared(i) if isinstance(i, SharedNode) else Out(i) for i in inputs]
        return self._made(record).node

    def out(self, place: Sequence[Any]) -> Out:
        """The tensor at a place; a leaf or a first output is the same object each time unless it has another name."""
        number, index, name = place
        made = self._nodes[_natural(number, len(self._nodes))]
        if index == made.index and name == made.name:
            return made
        return Out(made.node, _natural(index, len(made.node.outs)), None if name is None else str(name))

    def array(self, record: Record) -> np.ndarray[Any, Any]:
        """The array of a record; the sizes must fit the bytes."""
        dtype, shape = np.dtype(dtypes.canonical(record["dtype"])), tuple(_natural(n, 2**63) for n in _axes(record["shape"]))
        return np.frombuffer(self._arrays[record["data"]].tobytes(), dtype).reshape(shape)

    def _made(self, record: Record) -> Out:
        name = record["name"] if record["name"] is None else str(record["name"])
        if record["op"] == SHARED.name:
            fixed = [n == 1 for n in _axes(record["known"])]
            value = self.array(record) if "data" in record else np.ones((1,) * len(fixed), dtypes.canonical(record["dtype"]))
            cell = shared(value, name, bool(record["strict"]), record["downcast"], broadcastable=fixed)
            if "data" not in record:
                cell.cell.version = cast(Any, Nothing(name))
            return cell
        if record["op"] == CONSTANT.name:
            made = make_constant(self.array(record), dtypes.canonical(record["dtype"]))
        elif record["op"] == INPUT.name:
            known = tuple(n if n is None else _natural(n, 2**63) for n in _axes(record["known"]))
            made = Out(leaf(INPUT, dtypes.canonical(record["dtype"]), known))
        else:
            made = self._applied(record)
        made.node.name, made.node.sources = name, frozenset(Source(str(file), int(line)) for file, line in record["sources"])
        return made

    def _applied(self, record: Record) -> Out:
        inputs = tuple(self.out(p) for p in record["inputs"])
        params = tuple((str(k), value_of(v)) for k, v in record["params"])
        if "own" in record:
            made: Out = self._own[_natural(record["own"][0], len(self._own))].row.apply(inputs, params)
            return made
        if record["op"] == "print":
            return Print(dict(params)["message"], tuple(record["attrs"]))(*inputs)
        return ROWS[record["op"]].apply(inputs, params)


def _axes(sizes: Sequence[Any]) -> Sequence[Any]:
    """The sizes, if there are not more than a tensor may have."""
    if len(sizes) > MAX_RANK:
        raise GraphError(f"a tensor of {len(sizes)} axes: at most {MAX_RANK} are supported{at(here())}")
    return sizes


def _natural(value: Any, below: int) -> int:
    if type(value) is not int or not 0 <= value < below:
        raise GraphError(f"a number below {below} was expected, not {value!r:.40}{at(here())}")
    return value
