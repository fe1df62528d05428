"""Steps: what a backend does one after the other in a call, as those see it who watch a call."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph.errors import Source
from exprgraph.modes import Monitor
from exprgraph.named import NamedTuple

Arrays = tuple[Any, ...]


class Step(NamedTuple):
    """One step of a call.

    kind: "kernel", "numpy" (a function of NumPy's), "own" (the user's) or "op" (a node that the NumPy backend evaluates).  name: of the
    kernel, the function or the op.  text: what it computes.  sources: the user's lines.  node: the node that the NumPy backend evaluates.
    """
    kind: str
    name: str
    text: str = ""
    sources: tuple[Source, ...] = ()
    node: Any = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f": {self.text}" if self.text else "")


class Watcher:
    """Who watches the steps of one call; arrays are read only where somebody asks for them."""

    def __init__(self, monitor: Monitor | None) -> None:
        self._before, self._after = monitor or Monitor()
        self._count = -1

    @property
    def looks(self) -> bool:
        """Whether anybody looks at arrays."""
        return self._before is not None or self._after is not None

    def before(self, step: Step, inputs: Arrays) -> None:
        """A step is about to be done."""
        self._count += 1
        if self._before is not None:
            self._before(self._count, step, inputs, ())

    def after(self, step: Step, inputs: Arrays, outputs: Arrays) -> None:
        """A step has been done."""
        if self._after is not None:
            self._after(self._count, step, inputs, outputs)


def lines(sources: Sequence[Source]) -> str:
    """Lines of the user's for a message or a table, the first few of them."""
    known = sorted(set(sources))
    return ", ".join(f"{s.file.rpartition('/')[2]}:{s.line}" for s in known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")
