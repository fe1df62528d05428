"""What text and pictures of graphs have in common: which nodes are shown, and short safe texts for names, constants and parameters."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.errors import UseError, at, here
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, Graph, Node, Out, constant_value

LONGEST = 60
"""Characters of a name, a constant or a parameter."""
COUNTED = 100_000
"""Nodes are counted up to here; of a larger graph it is only said that it is larger."""


class Shown(NamedTuple):
    """The nodes of a graph that are shown, those nearest to the outputs, inputs before consumers; how many there are in all."""
    nodes: list[Node]
    total: int

    @property
    def cut(self) -> bool:
        """Whether some are left out."""
        return len(self.nodes) < self.total

    def __str__(self) -> str:
        return f"{len(self.nodes)} of {count_text(self.total)} nodes"


def count_text(total: int) -> str:
    """A number of nodes as `count` found it."""
    return str(total) if total <= COUNTED else f"more than {COUNTED}"


def roots(thing: Any) -> tuple[Out, ...]:
    """The outputs of an Out, a Graph, a compiled function, or a list, tuple or dict of Outs; UseError for anything else."""
    graph = thing if isinstance(thing, Graph) else getattr(thing, "graph", None)
    if isinstance(thing, Out):
        return (thing,)
    if isinstance(graph, Graph):
        return graph.outputs
    parts = list(thing.values()) if isinstance(thing, Mapping) else thing if isinstance(thing, list | tuple) else [None]
    if not all(isinstance(p, Out) for p in parts):
        raise UseError(f"expected a symbol, a list of symbols, a graph or a compiled function, not {type(thing).__name__}{at(here())}")
    return tuple(parts)


def shown(outputs: Sequence[Out], limit: int) -> Shown:
    """At most `limit` nodes, the nearest to the outputs first chosen; the cost does not grow beyond `COUNTED` nodes."""
    found: dict[Node, None] = {o.node: None for o in outputs}
    level = list(found)
    while level and len(found) <= COUNTED:
        below = {i.node: None for n in level for i in n.inputs if i.node not in found}
        found.update(below)
        level = list(below)
    kept = set(list(found)[:limit])
    return Shown(_ordered(outputs, kept), len(found))


def _ordered(outputs: Sequence[Out], kept: Collection[Node]) -> list[Node]:
    done: dict[Node, None] = {}
    todo = [(o.node, False) for o in outputs if o.node in kept][::-1]
    while todo:
        node, ready = todo.pop()
        if ready:
            done[node] = None
        elif node not in done:
            todo.append((node, True))
            todo += [(i.node, False) for i in reversed(node.inputs) if i.node in kept and i.node not in done]
    return list(done)


def named(outputs: Sequence[Out], nodes: Sequence[Node]) -> dict[Node, Out]:
    """For each node one of its outputs, with the user's name where it has one: names are kept on Outs as well as on nodes."""
    found = {n: Out(n) for n in nodes}
    for out in [*outputs, *(i for n in nodes for i in n.inputs)]:
        if out.node in found and out.name and len(out.node.outs) == 1:
            found[out.node] = out
    return found


def short(text: str) -> str:
    """Text cut to `LONGEST` characters."""
    return text if len(text) <= LONGEST else text[:LONGEST - 3] + "..."


def name_text(name: str) -> str:
    """A user's name: itself where it is an identifier, else quoted, with what does not print escaped; always short and on one line."""
    return name if name.isidentifier() and len(name) <= LONGEST else short(ascii(name[:LONGEST]) if not name.isprintable() else repr(name))


def number_text(value: Any) -> str:
    """A NumPy scalar as one writes it: whole floats without a point, others with the fewest digits that name them."""
    number = float(value) if value.dtype.kind == "f" else value.item()
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15 and not (number == 0 and np.signbit(number)):
        return str(int(number))
    return str(value) if isinstance(number, float) else str(number)


def value_text(array: Any) -> str:
    """An array on one short line."""
    if array.ndim == 0:
        return short(number_text(array[()]))
    return short(np.array2string(array, threshold=6, edgeitems=2).replace("\n", ""))


def constant_text(out: Out) -> str:
    """A constant: a number, a short list, or its type."""
    value = constant_value(out)
    assert value is not None
    if value.ndim == 0:
        return number_text(value[()])
    if value.ndim == 1 and value.size <= 6:
        return short("[" + ", ".join(number_text(v) for v in value) + "]")
    return f"<constant {out.type}>"


def leaf_text(out: Out) -> str:
    """An input or shared variable by its name, an unnamed one by its type; a constant by its value."""
    if out.node.op is CONSTANT and out.name is None:
        return constant_text(out)
    return name_text(out.name) if out.name else f"<{out.type}>"


def param_text(value: Any) -> str:
    """The value of a parameter; graphs and bytes by their kind alone."""
    if isinstance(value, Graph):
        return "<graph>"
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else short(repr(value))


def op_text(node: Node) -> str:
    """The op with its parameters, as in sum{axis=(0,)}; what a constant holds is not repeated."""
    if node.op is CONSTANT:
        return "constant"
    params = ", ".join(f"{k}={param_text(v)}" for k, v in node.params if not (k == "keepdims" and v is False))
    return node.op.name + ("{" + params + "}" if params else "")
