"""Nodes that hold a graph of their own: rows of the kind "body", which `compile` opens before anything else.

A `Body` is a closed graph: its inputs are leaves of its own, and what it takes from the graph around it is among them.  So a body can be
put on any arguments of the same dtypes and ranks, and its outputs have the types that follow from theirs.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

from exprgraph import dtypes
from exprgraph.graph import order, rebuild
from exprgraph.node import CONSTANT, INPUT, Graph, Node, Op, Out, TensorType, leaf
from exprgraph.replace import copied

Place = tuple[Node, int]
MARKER = "gradient_marker"
POSITIONS = ("argmax", "argmin", "argsort", "argtopk", "searchsorted", "flatnonzero")
"""Rows whose values are places: gradients see no path through them, not even a flat one."""


class Body(Op):
    """The row of one body.  inside: the closed graph.  links: for each input, whether gradients know of a path from it to an output."""
    __slots__ = ("inside", "links")
    inside: Graph
    links: tuple[bool, ...]

    def expand(self, inputs: Sequence[Out]) -> list[Out]:
        """The outputs on other inputs, with bodies that are inside left as they are."""
        return put_on(self.inside.inputs, self.inside.outputs, inputs)

    def types(self, inputs: tuple[Out, ...]) -> tuple[TensorType, ...]:
        """The types of the outputs on some inputs."""
        return tuple(o.type for o in self.expand(inputs))


def put_on(leaves: Sequence[Out], outputs: Sequence[Out], inputs: Sequence[Out]) -> list[Out]:
    """Outputs with tensors in place of leaves."""
    return copied(outputs, {(a.node, a.index): b for a, b in zip(leaves, inputs, strict=True)})


def fresh(like: Out) -> Out:
    """A leaf of the dtype, rank and known lengths of a tensor."""
    return Out(leaf(INPUT, like.dtype, tuple(d.const for d in like.type.shape), like.name))


def linked(node: Node) -> Iterable[bool]:
    """For each input of a node whether gradients know of a path from it to an output; of other rows all have one."""
    return node.op.links if isinstance(node.op, Body) else repeat(True, len(node.inputs))


def closed(inputs: Sequence[Out], outputs: Sequence[Out]) -> tuple[Graph, list[Out]]:
    """A copy of what computes the outputs from the inputs, as a closed graph, and what it takes from outside, its further inputs.

    Those are the tensors nearest to the outputs that depend on no input.
    """
    given = {(i.node, i.index): fresh(i) for i in inputs}
    outside = _outside({i.node for i in inputs}, outputs)
    given.update({place: fresh(out) for place, out in outside.items()})
    return Graph(tuple(given.values()), tuple(copied(outputs, given))), list(outside.values())


def _outside(inputs: set[Node], outputs: Sequence[Out]) -> dict[Place, Out]:
    inner = set(inputs)
    found: dict[Place, Out] = {}
    for node in order(outputs, inputs):
        if node not in inputs and any(i.node in inner for i in node.inputs):
            inner.add(node)
            found.update({(i.node, i.index): i for i in node.inputs if i.node not in inner and i.node.op is not CONSTANT})
    found.update({(o.node, o.index): o for o in outputs if o.node not in inner and o.node.op is not CONSTANT})
    return found


def is_path(node: Node) -> bool:
    """Whether gradients know of a path through a node, be it flat: not through positions, sizes and what is disconnected on purpose."""
    return "no_path" not in node.op.flags and node.op.kind != "source" and node.op.name not in POSITIONS


def paths(graph: Graph) -> tuple[bool, ...]:
    """For each input of a graph, whether gradients know of a path from it to an output."""
    reached: set[Node] = set()
    todo = [o.node for o in graph.outputs]
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            if is_path(node):
                todo += [i.node for i, link in zip(node.inputs, linked(node)) if link]
    return tuple(i.node in reached and dtypes.has_gradient(i.dtype) for i in graph.inputs)


def opened(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """The outputs with every body replaced by what is inside, and without markers that only gradients look at."""
    found = tuple(outputs)
    while any(isinstance(n.op, Body) or MARKER in n.op.flags for n in order(found)):
        new: dict[Place, Out] = {}
        for node in order(found):
            made = _opened(node, tuple(_follow(i, new) for i in node.inputs))
            new.update({(node, k): made[k] for k in range(len(node.outs))})
        found = tuple(_follow(o, new) for o in found)
    return found


def _opened(node: Node, inputs: tuple[Out, ...]) -> Sequence[Out]:
    if isinstance(node.op, Body):
        return node.op.expand(inputs)
    if MARKER in node.op.flags:
        return inputs
    return [Out(rebuild(node, inputs).node, k) for k in range(len(node.outs))] if len(node.outs) > 1 else [rebuild(node, inputs)]


def _follow(out: Out, new: Mapping[Place, Out]) -> Out:
    made = new[out.node, out.index]
    if made.node is out.node and made.index == out.index:
        return out
    return made if out.name is None or out.name == made.name else Out(made.node, made.index, out.name)

