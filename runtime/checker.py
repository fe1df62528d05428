"""DebugMode's look at kernels: what each writes is compared with what NumPy makes of the values that lie in memory before it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exprgraph.close import problem_of, tolerances
from exprgraph.debugging import Comparisons, attempt, ulps, values_of
from exprgraph.graph import order
from exprgraph.labels import op_text
from exprgraph.node import Node, Out
from exprgraph.steps import Step
from runtime.memory import Array


class Checker:
    """The comparisons of one call.  places: the tensor in each buffer.  writes: for each action the buffers that it writes.

    A buffer is compared when the last kernel that writes it has run, and is from then on among what others are computed from.
    """

    def __init__(self, places: Mapping[str, Out], leaves: Mapping[int, Array], writes: Sequence[Sequence[str]], found: Comparisons) -> None:
        self.places, self.found = places, found
        self.last = {name: k for k, names in enumerate(writes) for name in names}
        self.known: dict[Node, Array] = values_of(places.values(), leaves)

    def check(self, number: int, step: Step, array: Callable[[str], Array]) -> None:
        """Compare what an action has written; MismatchFault."""
        complete = [name for name, last in self.last.items() if last == number and name in self.places]
        got = {self.places[name].node: array(name) for name in complete}
        for node, value in got.items():
            if node not in self.known:
                self.found.note(attempt("kernel", step.name, f"{op_text(node)} in {step.text}", tuple(sorted(node.sources)),
                                        lambda n=node, v=value: self._compared(n, v)))  # type: ignore[misc]
        self.known |= got

    def _compared(self, node: Node, value: Array) -> tuple[float, str | None]:
        needed = {n: self.known[n] for n in order([Out(node)], self.known) if n in self.known}
        tolerance, = tolerances([Out(node)], needed)
        return ulps(value, tolerance), problem_of(value.reshape(tolerance.own.shape), tolerance)
