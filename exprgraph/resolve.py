"""Resolving: a graph rebuilt under facts about its sizes, so that shapes which a call decided are known to every later pass."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from exprgraph import graph as graphs
from exprgraph.dims import Atom, Call, Dim
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, TensorType
from exprgraph.ops.shape import dim_node
from exprgraph.substituting import Substitution

Facts = Mapping[str, Dim]


class Leaves(NamedTuple):
    """The leaves of a resolved graph: new nodes, under the uids of the old ones, where a shape became more precise."""
    by_uid: dict[int, Node]

    def local(self, dim: Dim) -> Dim:
        """The Dim over these leaves."""
        return dim if dim.const is not None else Dim(tuple((tuple(self._atom(a) for a in m), c) for m, c in dim.terms))

    def _atom(self, atom: Atom) -> Atom:
        if isinstance(atom, Call):
            return Call(atom.kind, self.local(atom.left), self.local(atom.right))
        if atom.source.uid not in self.by_uid:
            return atom
        source = self.by_uid[atom.source.uid]
        return atom._replace(source=source)


def resolve(graph: Graph, facts: Facts) -> Graph:
    """The graph with every size substituted; leaves of a new shape are fresh nodes with the uid, name and lines of the old ones."""
    nodes = graphs.order(graph.outputs)
    leaves = _leaves([*(i.node for i in graph.inputs), *(n for n in nodes if n.op in (INPUT, SHARED))], Substitution(facts))
    local = Substitution({text: leaves.local(dim) for text, dim in facts.items()})

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op in (INPUT, SHARED):
            return Out(leaves.by_uid[node.uid])
        size = _size(node, local, leaves)
        return size if size is not None else _rebuilt(node, inputs, local)

    outputs = graphs.transform(graph.outputs, change)
    inputs = tuple(Out(leaves.by_uid[i.node.uid], 0, i.name) for i in graph.inputs)
    return Graph(inputs, outputs)


def _leaves(nodes: Iterable[Node], known: Substitution) -> Leaves:
    found: dict[int, Node] = {}
    fresh: list[tuple[Node, tuple[Dim, ...]]] = []
    for node in nodes:
        if node.uid in found:
            continue
        shape = tuple(map(known, node.outs[0].shape))
        found[node.uid] = node
        if shape != node.outs[0].shape:
            found[node.uid] = made = Node(node.op, node.params, (), node.outs, node.sources, node.name)
            made.uid = node.uid
            fresh.append((made, shape))
    leaves = Leaves(found)
    for node, shape in fresh:
        node.outs = (TensorType(node.outs[0].dtype, tuple(leaves.local(d) for d in shape)),)
    return leaves


def _size(node: Node, local: Substitution, leaves: Leaves) -> Out | None:
    """A `size` node whose size the facts change, built anew from what that size is now."""
    if node.op.name != "size" or node.op.kind != "source":
        return None
    dim: Dim = node.inputs[0].type.shape[node.param("axis")]
    known = local(dim)
    return None if known == dim else dim_node(leaves.local(known))


def _rebuilt(node: Node, inputs: tuple[Out, ...], local: Substitution) -> Out:
    if graphs.unchanged(node, inputs) and not node.inputs:
        return Out(node)
    made = graphs.rebuild(node, inputs)
    outs = tuple(TensorType(t.dtype, tuple(map(local, t.shape))) for t in made.node.outs)
    if outs == made.node.outs:
        return made
    return Out(Node(node.op, node.params, inputs, outs, node.sources, node.name))
