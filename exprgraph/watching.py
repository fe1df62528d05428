"""Who watches the calls of a program, as its mode and its profile ask: around its executable, and around each node of the NumPy backend."""
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from exprgraph.debugging import Comparisons, Debugged, Trace
from exprgraph.guards import Guarded, tested
from exprgraph.labels import op_text
from exprgraph.modes import Mode
from exprgraph.node import Node
from exprgraph.program import Program
from exprgraph.reference import Around, Array, One
from exprgraph.steps import Step, Watcher


def collectors(mode: Mode, profiled: bool, name: str | None) -> dict[str, Any]:
    """The options that say who watches, and hold what is found out about a function."""
    found: dict[str, Any] = {"around": around} if mode.debug is None else {"around": around, "trace": Trace(), "compared": Comparisons()}
    return found


def wrapped(program: Program, executable: Any) -> Any:
    """The executable with what its mode does before and after a call."""
    mode: Mode = program.options["mode"]
    if mode.guard is not None:
        executable = Guarded(program, executable, mode.guard)
    return executable if mode.debug is None else Debugged(program, executable, mode.debug)


def around(options: Mapping[str, Any]) -> Around:
    """What goes around the evaluation of each node in one call of the NumPy backend."""
    mode: Mode = options.get("mode") or Mode()
    watcher, profile = Watcher(mode.monitor), options.get("profile")

    def run(one: One, node: Node, inputs: list[Array]) -> tuple[Array, ...]:
        if node.op.kind == "leaf":
            return one(node, inputs)
        step = Step("op", node.op.name, op_text(node), tuple(sorted(node.sources)), node)
        watcher.before(step, tuple(inputs))
        start = time.perf_counter_ns()
        found = one(node, inputs) if mode.guard is None else tested(mode.guard, one, node, inputs)
        if profile is not None:
            nbytes = sum(v.nbytes for v in (*inputs, *found))
            profile.add(step, "numpy", start, time.perf_counter_ns() - start, nbytes, sum(v.size for v in found))
        watcher.after(step, tuple(inputs), found)
        return found
    return run
