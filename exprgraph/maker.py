"""What Theano's users find under `f.maker`: the optimised graph of a function, to look at."""
from __future__ import annotations

from exprgraph.graph import consumers, order
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out


class FunctionGraph:
    """A graph with the questions that users ask of it.

    inputs, outputs: symbols; in a function shared variables are among the inputs, what is printed and new values among the outputs.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inputs, self.outputs = list(graph.inputs), list(graph.outputs)

    def toposort(self) -> list[Node]:
        """The nodes that compute something, in the order of evaluation; a node has op, inputs and outputs."""
        return [n for n in order(self.outputs) if n.op.kind != "leaf"]

    @property
    def apply_nodes(self) -> set[Node]:
        """The nodes of `toposort`."""
        return set(self.toposort())

    @property
    def variables(self) -> list[Out]:
        """All tensors of the graph."""
        return [o for n in order(self.outputs) for o in n.outputs]

    @property
    def clients(self) -> dict[Node, list[Node]]:
        """For each node those that read it, once per reading."""
        return consumers(self.outputs)

    def __repr__(self) -> str:
        return f"<graph of {len(self.toposort())} nodes, {len(self.inputs)} inputs, {len(self.outputs)} outputs>"


class Maker(NamedTuple):
    """How a function came about: its graph, and the symbols that it was compiled from."""
    fgraph: FunctionGraph
    inputs: list[Out]
    outputs: list[Out]
