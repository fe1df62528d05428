"""Explaining: every node of an expression evaluated by NumPy, as a table that marks the first one that goes wrong."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.bodies import opened, without_rules
from exprgraph.columns import columns
from exprgraph.errors import MissingInputError, NoMeaningError, Source, at, here
from exprgraph.graph import ancestors, order, symbol_of
from exprgraph.labels import leaf_text, name_text, number_text, op_text, roots, short
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, Graph, Node, Out, constant_value
from exprgraph.own.alone import run_alone
from exprgraph.reference import Array, check_sizes, compute, evaluate
from exprgraph.resident import DeviceArray
from exprgraph.shared import SharedNode, host
from exprgraph.values import coerce, want

LIMIT = 60
"""Rows of a text."""
HEADS = ("", "value", "dtype", "shape", "range", "line", "")


class Row(NamedTuple):
    """One tensor: its number, what it is over the numbers of others, and what its value is like.

    node, output: which output of which node.  low, high: the least and the greatest finite value, None without any.  nans, infs: how many
    there are.  problem: what is wrong with it, None where nothing is.  Where a node failed, shape, low and high are None.
    """
    number: int
    text: str
    node: Node
    output: int
    dtype: str
    shape: tuple[int, ...] | None
    low: Any
    high: Any
    nans: int
    infs: int
    problem: str | None

    @property
    def source(self) -> Source | None:
        """The user's line."""
        return self.node.source

    def cells(self) -> tuple[str, ...]:
        """The row as texts, one per column of the table."""
        some = self.low is not None
        span = f"{number_text(self.low)} to {number_text(self.high)}" if some and self.low != self.high else (
            number_text(self.low) if some else "")
        odd = [f"{n} {word}" for n, word in ((self.nans, "NaN"), (self.infs, "inf")) if n]
        line = f"{self.source.file.rpartition('/')[2]}:{self.source.line}" if self.source else ""
        return (f"#{self.number}", self.text, self.dtype, "" if self.shape is None else str(self.shape),
                "; ".join([span] * some + odd), line, f"<- {self.problem}" if self.problem else "")


class Explanation(NamedTuple):
    """What `explain` found; its text is a table.  rows: one per tensor, in the order of evaluation, up to the first node that failed.

    first_bad: the first row with a problem, None where all is well.  total: the tensors of the expression, those after a failure too.
    """
    rows: tuple[Row, ...]
    first_bad: Row | None
    total: int
    limit: int

    def __str__(self) -> str:
        start, stop = self._shown()
        lines = columns([HEADS, *(r.cells() for r in self.rows[start:stop])])
        left = self.total - (stop - start)
        return "\n".join([*lines, *([f"... {stop - start} of {self.total} tensors are shown"] if left else []), self._verdict()])

    def _shown(self) -> tuple[int, int]:
        """The rows up to the first bad one and a few more, or the last ones."""
        last = len(self.rows) if self.first_bad is None else min(len(self.rows), self.first_bad.number + 1 + self.limit // 4)
        return max(0, last - self.limit), last

    def _verdict(self) -> str:
        bad = self.first_bad
        return "nothing is wrong" if bad is None else f"first bad: #{bad.number} {bad.text}: {bad.problem}{at(bad.source)}"

    def __repr__(self) -> str:
        return str(self)


def explain(expr: Any, given: Mapping[Any, Any] | None = None, limit: int = LIMIT, optimized: bool = False) -> Explanation:
    """Evaluate every node of an expression with NumPy, and find the first that goes wrong.

    expr: a symbol, a list of symbols or a compiled function.  given: values by symbol or name; a symbol without one takes its
    tag.test_value.  Wrong is a node that raises (sizes that do not fit, an index out of bounds, an assertion), and one whose value has a
    NaN or an infinity while none of its inputs has any.  The graph is looked at as it was written; optimized=True looks at what
    the optimiser makes of it, which may be stable where the original is not.  A kernel of the user's own that says nothing to NumPy
    runs on a device.  limit: rows of the text.  MissingInputError for a
    symbol without a value, CallError for a value of the wrong dtype or rank.
    """
    outputs = _optimized(roots(expr)) if optimized else without_rules(roots(expr))
    values = _leaf_values(outputs, given or {})
    rows = list(_rows(outputs, values))
    total = sum(len(n.outs) for n in order(outputs) if n.op is not CONSTANT)
    return Explanation(tuple(rows), next((r for r in rows if r.problem is not None), None), total, max(4, limit))


def get_test_value(x: Out) -> Array:
    """The value of a tensor where symbols have the values that are kept as their tag.test_value; MissingInputError for one without."""
    plain = without_rules([x])
    return evaluate(plain, _leaf_values(plain, {}))[0]


def _optimized(outputs: Sequence[Out]) -> tuple[Out, ...]:
    from exprgraph.passes import run_graph  # loads all rules
    leaves = tuple(o for o in ancestors(outputs) if o.owner is None and o.node.op is not CONSTANT)
    return run_graph(Graph(leaves, opened(outputs)), {}).outputs


def _leaf_values(outputs: Sequence[Out], given: Mapping[Any, Any]) -> dict[Node, Array]:
    values = {symbol_of(k, outputs).node: v for k, v in given.items()}
    found: dict[Node, Array] = {}
    for out in ancestors(outputs):
        node = out.node
        if isinstance(node, SharedNode) and node not in values:
            found[node] = host(node.version)
        elif out.owner is None and node.op is not CONSTANT:
            value = values[node] if node in values else _test_value(out)
            value = value.host() if isinstance(value, DeviceArray) else value
            found[node] = coerce(value, want(out, f"explain: {leaf_text(out)}", downcast=None, strict=False, cure="cast it"))
    return found


def _test_value(out: Out) -> Any:
    if not hasattr(out.tag, "test_value"):
        raise MissingInputError(f"explain: {leaf_text(out)}, declared at {out.node.source}, has no value: give one, or set its "
                                f"tag.test_value{at(here())}")
    return out.tag.test_value


class _Walk:
    """Numbers for tensors, their values as long as somebody reads them, and whether these have NaNs and infinities."""

    def __init__(self, outputs: Sequence[Out], values: Mapping[Node, Array]) -> None:
        self.nodes, self.values = order(outputs), dict(values)
        self.names = {(o.node, o.index): o.name for o in ancestors(outputs) if o.name and o.owner is not None}
        self.readers = Counter(i.node for n in self.nodes for i in n.inputs)
        self.done: dict[Node, tuple[Array, ...]] = {}
        self.odd: dict[Node, tuple[bool, bool]] = {}
        self.numbers: dict[Node, int] = {}

    def evaluated(self, node: Node) -> tuple[Array, ...]:
        """The values of a node; inputs that nobody reads any more are dropped."""
        if node.op is CONSTANT:
            value = constant_value(Out(node))
            assert value is not None
            return (value,)
        if node in self.values:
            return (self.values[node],)
        check_sizes(node, self.values)
        inputs = [self.done[i.node][i.index] for i in node.inputs]
        try:
            return compute(node, inputs)
        except NoMeaningError:
            return run_alone(node, inputs)

    def keep(self, node: Node, found: tuple[Array, ...]) -> None:
        """Remember the values of a node, and forget those that it was the last to read."""
        self.done[node] = found
        if node.op.name == "read_size":
            self.values[node] = found[0]
        self.odd[node] = (any(map(_nans, found)), any(map(_infs, found)))
        self.readers.subtract(i.node for i in node.inputs)
        for i in node.inputs:
            if not self.readers[i.node]:
                self.done.pop(i.node, None)

    def text(self, node: Node, index: int) -> str:
        """What a tensor is: the op over the numbers of its inputs, and its name."""
        if node.op.kind == "leaf":
            return leaf_text(Out(node))
        parts = [leaf_text(i) if i.node.op is CONSTANT else f"#{self.numbers[i.node] + i.index}" for i in node.inputs]
        name = self.names.get((node, index))
        several = f".{index}" if len(node.outs) > 1 else ""
        return short(f"{op_text(node)}({', '.join(parts)}){several}") + (f" = {name_text(name)}" if name else "")

    def problem(self, node: Node, index: int) -> str | None:
        """What is wrong with a tensor that could be computed."""
        for k, word in enumerate(("NaN", "an infinity")):
            if node.inputs and self.odd[node][k] and not any(self.odd[i.node][k] for i in node.inputs):
                return f"{word} that its inputs have not"
        return None


def _rows(outputs: Sequence[Out], values: Mapping[Node, Array]) -> Iterator[Row]:
    walk, number = _Walk(outputs, values), 0
    for node in walk.nodes:
        walk.numbers[node] = number
        try:
            with np.errstate(all="ignore"):
                found = walk.evaluated(node)
        except Exception as error:  # whatever the meaning of a row objects to is what was asked for
            problem = str(error).split("\n")[0]
            yield Row(number, walk.text(node, 0), node, 0, node.outs[0].dtype, None, None, None, 0, 0, problem)
            return
        walk.keep(node, found)
        for index, value in enumerate(found if node.op is not CONSTANT else ()):
            yield _row(walk, number, node, index, value)
            number += 1


def _row(walk: _Walk, number: int, node: Node, index: int, value: Array) -> Row:
    finite = value[np.isfinite(value)] if value.dtype.kind in "fc" else value
    ordered = finite.size > 0 and value.dtype.kind != "c"
    low, high = (finite.min(), finite.max()) if ordered else (None, None)
    return Row(number, walk.text(node, index), node, index, value.dtype.name, value.shape, low, high, _nans(value), _infs(value),
               walk.problem(node, index))


def _nans(value: Array) -> int:
    return int(np.isnan(value).sum()) if value.dtype.kind in "fc" else 0


def _infs(value: Array) -> int:
    return int(np.isinf(value).sum()) if value.dtype.kind in "fc" else 0
