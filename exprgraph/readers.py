"""How many nodes read a tensor while a graph is being rewritten, for rules that pay only where nothing else needs what they replace."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from exprgraph.graph import order
from exprgraph.node import Node, Out

Change = Callable[[Node, tuple[Out, ...]], Out]


class Readers:
    """Who reads what in the graph of these outputs, counted when it is first asked for; an output is read by the user too."""

    def __init__(self, outputs: Sequence[Out] = ()) -> None:
        self._outputs = outputs
        self._counts: Counter[Node] | None = None
        self._before: dict[Node, Node | None] = {}
        self.asked = 0
        """How often somebody has asked."""

    def noting(self, change: Change) -> Change:
        """The change of a node, noted: what takes the place of two nodes has at least two readers."""
        before = self._before

        def noted(node: Node, inputs: tuple[Out, ...]) -> Out:
            made = change(node, inputs)
            before[made.node] = None if made.node in before else node
            return made
        return noted

    def alone(self, out: Out) -> bool:
        """Whether at most one node reads the tensor; a tensor that is not of the graph was made for the one that asks."""
        self.asked += 1
        if self._counts is None:
            self._counts = Counter(o.node for o in self._outputs)
            self._counts.update(i.node for n in order(self._outputs) for i in n.inputs)
        if out.node not in self._before:
            return True
        before = self._before[out.node]
        return before is not None and self._counts[before] <= 1
