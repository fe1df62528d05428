"""A region as an e-graph, and what was chosen of an e-graph as nodes."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from exprgraph import graph as graphs
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out, make_constant
from exprgraph.search.choice import Choice, axes_of, needed
from exprgraph.search.egraph import EGraph
from exprgraph.search.regions import Region


class Read(NamedTuple):
    """A region that is read: its e-graph, the class of each tensor in it or read by it, which tensors these are by class, the axes of the
    largest, and the choice of what was written."""
    graph: EGraph
    numbers: dict[tuple[Node, int], int]
    leaves: dict[int, Out]
    axes: int
    choice: Choice


def read(region: Region, most: int) -> Read:
    """A region as an e-graph of its terms."""
    graph = EGraph(most)
    numbers: dict[tuple[Node, int], int] = {}
    leaves: dict[int, Out] = {}
    for node in region.nodes:
        for i in node.inputs:
            if (i.node, i.index) not in numbers:
                number = numbers[i.node, i.index] = graph.leaf(len(leaves), i)
                leaves[number] = i
        numbers[node, 0] = graph.written(node, [numbers[i.node, i.index] for i in node.inputs])
    axes = max(axes_of(n.outs[0]) for n in region.nodes)
    return Read(graph, numbers, leaves, axes, {n: next(iter(graph.terms[n])) for n in graph.classes()})


def built(found: Read, choice: Choice, roots: Sequence[Node], leaf: Callable[[Out], Out]) -> dict[Node, Out]:
    """What takes the place of the roots of a region: nodes of the region where their operands are what they were.

    leaf: what takes the place of what the region reads.
    """
    graph = found.graph
    made: dict[int, Out] = {}
    leaves = {graph.find(n): out for n, out in found.leaves.items()}
    for number in needed(choice, [found.numbers[r, 0] for r in roots], graph):
        term = choice[number]
        if not term[2]:
            made[number] = leaf(leaves[number]) if number in leaves else make_constant(graph.values[number], graph.types[number].dtype)
        elif (node := graph.nodes.get(term)) is not None:
            made[number] = graphs.reuse(node, tuple([made[graph.find(found.numbers[i.node, i.index])] for i in node.inputs]))
        else:
            made[number] = term[0].apply(tuple([made[graph.find(p)] for p in term[2]]), term[1], graph.lines[number])
    return {r: made[graph.find(found.numbers[r, 0])] for r in roots}
