"""DebugMode's look at kernels: what each writes is compared with what NumPy makes of the values that lie in memory before it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exprgraph.close import problem_of, tolerances
from exprgraph.debugging import Compared, Comparisons, attempt, ulps, values_of
from exprgraph.graph import order
from exprgraph.labels import op_text
from exprgraph.node import Node, Out
from exprgraph.steps import Step
from runtime.memory import Array

Known = Mapping[Node, Array]
ASIDE = ("leaf", "source", "view")
"""Kinds of nodes at which a kernel computes nothing."""
MOST = 64
"""How many nodes are looked at one by one."""


class Checker:
    """The comparisons of one call.  places: the tensor in each buffer.  writes: for each action the buffers that it writes.  computed: the
    values of some nodes from what is known, by kernels.

    A buffer is compared when the last kernel that writes it has run, and is from then on among what others are computed from.
    """

    def __init__(self, places: Mapping[str, Out], leaves: Mapping[int, Array], writes: Sequence[Sequence[str]], found: Comparisons,
                 computed: Callable[[Sequence[Node], Known], Sequence[Array]]) -> None:
        self.places, self.found, self.computed = places, found, computed
        self.last = {name: k for k, names in enumerate(writes) for name in names}
        self.known: dict[Node, Array] = values_of(places.values(), leaves)

    def check(self, number: int, step: Step, array: Callable[[str], Array]) -> None:
        """Compare what an action has written, inputs before what is computed from them; MismatchFault names the first that is wrong."""
        complete = [name for name, last in self.last.items() if last == number and name in self.places]
        got = {self.places[name].node: array(name) for name in complete}
        for node in order([Out(n) for n in got], self.known):
            if node in got and node not in self.known:
                row = _compared(node, got[node], step, self.known)
                self.found.note(self._first(node, step, row) if row.wrong and step.kind == "kernel" else row)
        self.known |= got

    def _first(self, node: Node, step: Step, row: Compared) -> Compared:
        """The comparison of the first node that is wrong of those that a kernel computes for a wrong result; where that is not to be
        found, since kernels that keep all of them are right, that of the result."""
        below = order([Out(node)], self.known)
        inside = _askable([n for n in below if n not in self.known])
        needed = set(below)
        known = {n: v for n, v in self.known.items() if n.op.kind == "leaf" or n in needed}
        try:
            values = self.computed(inside[:MOST], known)
        except Exception:  # it is only to say more of an error that is told anyway
            return row
        for one, value in zip(inside, values):
            found = _compared(one, value, step, known)
            if found.wrong:
                return found
            known[one] = value
        return row


def _askable(nodes: Sequence[Node]) -> list[Node]:
    """Those of some nodes, inputs first, that compute something and whose values may be asked for: not what generation itself put in."""
    late = set[Node]()
    for node in nodes:
        if node.op.kind == "partial" or any(i.node in late for i in node.inputs):
            late.add(node)
    return [n for n in nodes if n not in late and n.op.kind not in ASIDE and len(n.outs) == 1]


def _compared(node: Node, value: Array, step: Step, known: Known) -> Compared:
    def run() -> tuple[float, str | None]:
        needed = {n: known[n] for n in order([Out(node)], known) if n in known}
        tolerance, = tolerances([Out(node)], needed)
        return ulps(value, tolerance), problem_of(value.reshape(tolerance.own.shape), tolerance)
    return attempt("kernel", step.name, f"{op_text(node)} in {step.text}", tuple(sorted(node.sources)), run)
