"""Nodes that hold a graph of their own: rows of the kind "body", which `compile` opens before anything else.

A `Body` is a closed graph: its inputs are leaves of its own, and what it takes from the graph around it is among them.  So a body can be
put on any arguments of the same dtypes and ranks, and its outputs have the types that follow from theirs.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.atoms import Call, Size, Value
from exprgraph.dims import Dim, atoms
from exprgraph.errors import Source
from exprgraph.graph import order, rebuild, transform
from exprgraph.node import CONSTANT, INPUT, Graph, Node, Op, Out, Params, TensorType, leaf, make_constant
from exprgraph.replace import copied
from exprgraph.substituting import Substitution
from exprgraph.types import cast_to, dim_of, known_size

Place = tuple[Node, int]
MARKER = "gradient_marker"
POSITIONS = ("argmax", "argmin", "argsort", "argtopk", "searchsorted", "flatnonzero")
"""Rows whose values are places: gradients see no path through them, not even a flat one."""
VALUES = ("leaf", "elementwise", "reduce", "scan", "contract", "gather")
"""Kinds of rows that have none of their inputs as a size."""


class Body(Op):
    """The row of one body.

    inside: the closed graph.  links: for each input, whether gradients know of a path from it to an output.  reads: for each input
    whether the inside, or a rule, has it as a size or as the bound of a slice: a value that takes its place is read by the call.
    valued: for each input whether the outputs need it; else a rule alone does.  informed: the row with further inputs, for rules that
    wait until a gradient asks for them.  ruled: whether its maker's rules say another gradient than the inside.
    """
    __slots__ = ("inside", "links", "reads", "valued", "by_sizes", "informed", "ruled")
    inside: Graph
    links: tuple[bool, ...]
    reads: tuple[bool, ...]
    valued: tuple[bool, ...]
    by_sizes: bool
    ruled: bool
    informed: Callable[[Sequence[Out]], Body] | None

    def settle(self, inside: Graph, more: Sequence[Out] = ()) -> None:
        """Take a closed graph; more: what rules compute from its inputs."""
        own = {(i.node, i.index) for i in inside.inputs}
        self.inside, self.links, self.reads = inside, paths(inside), _reads(Graph(inside.inputs, (*inside.outputs, *more)))
        self.informed, needed = None, set(order(inside.outputs))
        self.valued = tuple(i.node in needed for i in inside.inputs)
        self.by_sizes = all((source, 0) in own for source in _sources(d for o in inside.outputs for d in o.type.shape))

    def apply(self, inputs: tuple[Out, ...], params: Params = (), sources: frozenset[Source] | None = None) -> Out:
        """The node of this row; what computes a size is read by the call, as it would be without the body."""
        given = tuple(cast_to(known_size(x, signed=True), x.dtype) if read and not x.ndim else x
                      for x, read in zip(inputs, self.reads, strict=True))
        return super().apply(given, params, sources)

    def expand(self, inputs: Sequence[Out]) -> list[Out]:
        """The outputs on other inputs, with bodies that are inside left as they are."""
        return put_on(self.inside.inputs, self.inside.outputs, inputs)

    def types(self, inputs: tuple[Out, ...]) -> tuple[TensorType, ...]:
        """The types of the outputs on some inputs: the sizes inside, with those of the inputs in place of the leaves'."""
        if not self.by_sizes:
            return tuple(o.type for o in self.expand(inputs))
        facts: dict[str, Dim] = {}
        for inner, out in zip(self.inside.inputs, inputs):
            facts.update({Size(inner.node, k).text: d for k, d in enumerate(out.type.shape)})
            known = dim_of(out)
            if known is not None:
                facts[Value(inner.node).text] = known
        local = Substitution(facts)
        return tuple(TensorType(o.dtype, tuple(map(local, o.type.shape))) for o in self.inside.outputs)


def _reads(graph: Graph) -> tuple[bool, ...]:
    """For each input of a graph whether it is part of a size, or of where a slice begins."""
    places: set[Any] = set()
    for node in order(graph.outputs):
        if isinstance(node.op, Body):
            slots = [i for i, read in zip(node.inputs, node.op.reads) if read]
        else:
            slots = [] if node.op.kind in VALUES else list(node.inputs)
        found = [dim_of(i) for i in slots if not i.ndim and dtypes.is_int(i.dtype)]
        places.update(_sources(d for d in found if d is not None))
    return tuple(i.node in places and not i.ndim for i in graph.inputs)


def _sources(dims: Iterable[Dim]) -> set[Any]:
    """The nodes whose sizes and values the Dims rest on."""
    return {a.source for a in atoms(dims) if not isinstance(a, Call)}


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


def ways(node: Node) -> list[Out]:
    """The inputs from which gradients know of a path to a node, be it flat: not positions, sizes and what is disconnected on purpose."""
    if "no_path" in node.op.flags or node.op.kind == "source" or node.op.name in POSITIONS:
        return []
    if isinstance(node.op, Body):
        return [i for i, link in zip(node.inputs, node.op.links) if link]
    return list(node.inputs[:1] if node.op.kind == "gather" else node.inputs[1:2] if node.op.kind == "scatter" else node.inputs)


def reaching(outputs: Iterable[Out], constant: Collection[Node] = ()) -> set[Node]:
    """The nodes from which gradients know of a path to the outputs, none through `constant`."""
    reached: set[Node] = set()
    todo = [o.node for o in outputs]
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            todo += [i.node for i in ways(node)] if node not in constant else []
    return reached


def paths(graph: Graph) -> tuple[bool, ...]:
    """For each input of a graph, whether gradients know of a path from it to an output."""
    reached = reaching(graph.outputs)
    return tuple(i.node in reached and dtypes.has_gradient(i.dtype) for i in graph.inputs)


def without_rules(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """The outputs with zeros in the places of what only rules of bodies need: their values do not ask for it."""
    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if not isinstance(node.op, Body) or all(node.op.valued):
            return rebuild(node, inputs)
        return rebuild(node, [i if needed else _nothing(i) for i, needed in zip(inputs, node.op.valued)])
    return transform(outputs, change)


def _nothing(like: Out) -> Out:
    return make_constant(np.zeros([d.const or 0 for d in like.type.shape]), like.dtype)


def opened(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """The outputs with every body replaced by what is inside, and without markers that only gradients look at."""
    if not any(isinstance(n.op, Body) or MARKER in n.op.flags for n in order(outputs)):
        return tuple(outputs)
    walks = [_walk(outputs, {})]
    found: list[Out] | None = None
    while walks:  # bodies may be nested deeper than Python may recurse
        try:
            inside, inputs = walks[-1].send(found)
            walks.append(_walk(inside.outputs, {(i.node, i.index): x for i, x in zip(inside.inputs, inputs)}))
            found = None
        except StopIteration as end:
            walks.pop()
            found = end.value
    return tuple(found or ())


Walk = Generator[tuple[Graph, tuple[Out, ...]], list[Out] | None, list[Out]]


def _walk(outputs: Sequence[Out], given: Mapping[Place, Out]) -> Walk:
    """The outputs with tensors in place of others; asks for the outputs of each body on its inputs."""
    new: dict[Place, Out] = dict(given)
    for node in order(outputs, {n for n, _ in given}):
        if (node, 0) in given:
            continue
        inputs = tuple(_follow(i, new, given) for i in node.inputs)
        if isinstance(node.op, Body):
            made: Sequence[Out] = (yield node.op.inside, inputs) or ()
        elif MARKER in node.op.flags:
            made = inputs[:1]
        else:
            first = rebuild(node, inputs)
            made = [first] if len(node.outs) == 1 else [Out(first.node, k) for k in range(len(node.outs))]
        new.update({(node, k): out for k, out in enumerate(made)})
    return [_follow(o, new, given) for o in outputs]


def _follow(out: Out, new: Mapping[Place, Out], given: Mapping[Place, Out]) -> Out:
    made = new[out.node, out.index]
    if (made.node is out.node and made.index == out.index) or (out.node, out.index) in given:
        return out if made.node is out.node and made.index == out.index else made
    return made if out.name is None or out.name == made.name else Out(made.node, made.index, out.name)
