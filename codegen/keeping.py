"""Whether a value is kept in memory, or computed again by each of its readers: a comparison of costs."""
from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from codegen.target import Target
from exprgraph.named import NamedTuple
from exprgraph.node import Node
from exprgraph.ops.table import ROWS

OPERATION, FUNCTION, GATHER = 14, 360, 400
"""Picoseconds that one element takes: an operation, a function like exp, a read at a place that is looked up.  A division counts as an
operation: computed twice beside loads it took no longer than a write and two reads, in the caches or out of them (a gather took two and a
half times as long, exp one and a half)."""
ACCESS = 30
"""The like for a read or write in a cache."""
MEMORY = ACCESS + ACCESS // 2
"""What one more reader saves by computing a value itself: its read, and its half of the write where there are two."""
ROW = 4 * ACCESS
"""The like where each element is repeated along the last axis only, since loops over rows compute it once a row: the value is read there
between loops, and its kernel is one more."""
JOINED = 4
"""The most tensors that are put side by side without a loop."""
LARGEST = 300
"""Operations after which a value is kept in memory in any case: a kernel of several such values is as large as compilers take in a second,
and on GPUs as registers hold."""
STRETCHING = ("concat", "place", "take", "take_along", "pick", "take_at")
"""Index maps that may read an element of their operands more than once, or for nothing."""


class Work(NamedTuple):
    """What it takes to compute one element of a value from memory: operations, and whether functions and gathers are among them."""
    operations: int
    functions: bool
    gathers: bool

    @property
    def row(self) -> int:
        """The picoseconds of one more time for all elements of a row; a place must be looked up for each row in any case."""
        return self.operations * OPERATION + self.functions * FUNCTION

    @property
    def again(self) -> int:
        """The picoseconds of one more time."""
        return self.row + self.gathers * GATHER


def kept(node: Node, work: Work, readers: Sequence[Node], arrays: int, cut: bool, target: Target) -> bool:
    """Whether a value that nobody asks for as a whole is kept in memory; cut: whether elements of it may be left out (`cut`).

    It is not where computing it once more costs no more than reading it.  It is if, beyond that, several readers would compute it, or
    one that asks for its elements more often than there are: a broadcast, a join, a gather.  The bounds of a kernel come first: its
    operations, and the arrays that one value is computed from.  A gather of which only a part is read stays where it is read, since
    places that nobody reads are not looked at.
    """
    if work.operations > LARGEST or arrays > widest_value(target):
        return True
    if (work.row if cut else work.again) <= MEMORY:
        return False
    if len(readers) > 1:
        return node.outs[0].ndim > 0 or any(_stretches(r, node) for r in readers)
    return any(_stretches(r, node) and (work.row > ROW or not _along_rows(r, node)) for r in readers)


def is_gather(node: Node) -> bool:
    """Whether an operation reads at places that are looked up for each element: a gather of whole rows copies memory, one of a single place
    is a view."""
    if node.op is ROWS["take"]:
        return node.inputs[1].ndim > 0 and node.param("axis") == node.inputs[0].ndim - 1
    return node.op is ROWS["take_along"]


def widest_value(target: Target) -> int:
    """The arrays that one value may be computed from: a quarter of the argument bytes, the rest is for other values and for sizes."""
    return max(4, min(64, target.argument_bytes // 32))


def is_join(node: Node) -> bool:
    """Whether a node puts a few tensors side by side along its last axis, of which each has one element there, as complex numbers are
    stored: it is computed without a loop along that axis, so every element of its operands is read once."""
    if node.op.name != "concat" or node.param("axis") != node.outs[0].ndim - 1:
        return False
    return 1 < len(node.inputs) <= JOINED and all(i.type.shape[-1].const == 1 for i in node.inputs)


def _stretches(reader: Node, node: Node) -> bool:
    """Whether a reader asks for elements of the node more often than there are: then they are computed once and kept."""
    if reader.op.name in STRETCHING:
        return not is_join(reader)
    if reader.op.kind != "elementwise" and reader.op.name != "broadcast_to":
        return False
    wide, own = reader.outs[0].shape, node.outs[0].shape
    return len([d for d in wide if d.const != 1]) != len([d for d in own if d.const != 1]) or any(
        a.const != 1 and a != b for a, b in zip(reversed(wide), reversed(own)))


def cut(nodes: Sequence[Node], readers: Mapping[Node, Sequence[Node]], whole: Container[Node]) -> set[Node]:
    """The nodes of which a reader, or one that reads them through others, may leave elements out.  nodes: operands first.  whole: those
    that are computed as a whole in any case."""
    found: set[Node] = set()
    for node in reversed(nodes):
        if any(r.op.name == "subtensor" or r.op.name in STRETCHING or (r in found and r not in whole) for r in readers[node]):
            found.add(node)
    return found


def _along_rows(reader: Node, node: Node) -> bool:
    """Whether it is along the last axis alone that a map repeats elements of the node."""
    wide, own = reader.outs[0].shape, node.outs[0].shape
    return reader.op.name not in STRETCHING and len(wide) == len(own) > 1 and own[-1].const == 1 and wide[:-1] == own[:-1]
