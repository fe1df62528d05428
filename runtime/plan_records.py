"""Plans as bytes, over the leaves and lines of the program that they are of; and back, over those of another process.

A record is a list of its fields under its name; Dims, lines, kernels and arrays are numbers of what stands beside.  What is read is looked
up in closed tables and checked where other code relies on its form: names are identifiers, dtypes are known.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen import plan as plans
from codegen.plan import Code, Plan
from exprgraph import dtypes, errors
from exprgraph.dims import Dim
from exprgraph.errors import Source
from exprgraph.graph_records import Reader, Writer, name_at, natural, slots, whole
from exprgraph.keys import UnstorableError
from exprgraph.node import Node

RECORDS: dict[str, Any] = {r.__name__: r for r in (
    plans.About, plans.Branch, plans.Buffer, plans.Check, plans.Commit, plans.HostCall, plans.Launch, plans.Meaning, plans.Note,
    plans.Operand, plans.Site, Plan)}
FAULTS = {n: e for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, Exception)}
ROLES = ("leaf", "constant", "temp", "output", "flags")


class _Writer(Writer):
    """Numbers for kernels too."""

    def __init__(self, sources: Sequence[Node], lines: Sequence[Source], nodes: Sequence[Node]) -> None:
        super().__init__(sources, lines)
        self.codes: dict[Code, int] = {}
        self.names = slots(nodes)

    def record(self, value: Any) -> Any:
        """A value that a plan holds as JSON can hold it."""
        if value is None or isinstance(value, str | int):
            return value
        if isinstance(value, float):
            return {"float": value.hex()}
        if isinstance(value, Dim):
            return {"dim": self.dim(value)}
        if isinstance(value, Source):
            return {"line": self.line(value)}
        if isinstance(value, Code):
            return {"code": self.codes.setdefault(value, len(self.codes))}
        if isinstance(value, np.ndarray):
            return {"array": self.array(value)}
        if isinstance(value, plans.Later):
            return {"later": None}
        if isinstance(value, plans.Meaning) and value.name is not None:
            return {"Meaning": [{"slot": self.names.get(value.name)}, *map(self.record, value[1:])]}
        if type(value).__name__ in RECORDS and isinstance(value, tuple):
            return {type(value).__name__: [self.record(v) for v in value]}
        if isinstance(value, tuple):
            return [self.record(v) for v in value if not isinstance(v, Source) or self.line(v) is not None]
        name = str(getattr(value, "__name__", ""))
        if FAULTS.get(name) is value:
            return {"fault": name}
        raise UnstorableError(f"a step of it is a {type(value).__name__}")


class _Reader(Reader):
    """What numbers stand for, kernels too."""

    def __init__(self, content: bytes, sources: Sequence[Node], lines: Sequence[Source], nodes: Sequence[Node]) -> None:
        super().__init__(content, sources, lines)
        self.nodes = nodes
        self.codes = [_code(*fields) for fields in self.record["codes"]]

    def value(self, stored: Any) -> Any:
        """What a record stands for."""
        if isinstance(stored, list):
            return tuple(map(self.value, stored))
        if not isinstance(stored, dict):
            return stored
        ((kind, inner),) = stored.items()
        if kind in RECORDS:
            return _checked(RECORDS[kind](*map(self.value, inner)))
        if kind == "later":
            return plans.Later()
        meanings: dict[str, Callable[[Any], Any]] = {"float": float.fromhex, "dim": self.dim, "line": self.line, "code": self._kernel,
                                                     "array": self.array, "fault": FAULTS.__getitem__,
                                                     "slot": lambda slot: name_at(self.nodes, slot)}
        return meanings[kind](inner)

    def _kernel(self, number: int) -> Code:
        return self.codes[natural(number)]


def _code(*fields: Any) -> Code:
    code = Code(*fields)
    if not code.name.isidentifier() or not all(isinstance(t, str) for t in (code.text, code.body, code.job)):
        raise ValueError(f"{code.name!r:.40} is no kernel")
    return code._replace(buffers=natural(code.buffers), flags=bool(code.flags), wide=bool(code.wide), grouped=bool(code.grouped),
                         streamed=bool(code.streamed))


def _checked(record: Any) -> Any:
    """A record whose names and numbers are of the form that other code relies on; ValueError."""
    if isinstance(record, plans.Buffer):
        if not record.name.isidentifier() or record.role not in ROLES or not isinstance(record.size, Dim):
            raise ValueError(f"{record.name!r:.40} is no buffer")
        dtypes.canonical(record.dtype)
        whole(record.number)
    if isinstance(record, plans.Operand) and not record.buffer.isidentifier():
        raise ValueError(f"{record.buffer!r:.40} is no buffer")
    if isinstance(record, plans.HostCall) and not record.function.isidentifier():
        raise ValueError(f"{record.function!r:.40} is no function")
    if isinstance(record, plans.About | plans.Note):  # a line that the process at hand has not is none
        record = record._replace(lines=tuple(line for line in record.lines if line is not None))
    if isinstance(record, plans.About):
        shapes = [d for name, shape in record.writes if name.isidentifier() for d in shape]
        if not all(isinstance(d, Dim) for d in (record.flops, record.reach, *shapes)):
            raise ValueError("what is told of a step has no sizes")
    return record


def written(plan: Plan, leaves: Sequence[Node], lines: Sequence[Source], nodes: Sequence[Node]) -> bytes:
    """A plan whose kernels are text; nodes: those of its program, by which names are told.  UnstorableError where something in it belongs
    to this process."""
    writer = _Writer(leaves, lines, nodes)
    record = writer.record(plan)
    return writer.file({"plan": record, "codes": [list(c) for c in writer.codes]})


def read(content: bytes, leaves: Sequence[Node], lines: Sequence[Source], nodes: Sequence[Node]) -> Plan:
    """The plan; one of many errors where the bytes are not of our making."""
    reader = _Reader(content, leaves, lines, nodes)
    plan = reader.value(reader.record["plan"])
    if not isinstance(plan, Plan):
        raise ValueError("it holds no plan")
    return plan
