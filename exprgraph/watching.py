"""Who watches the calls of a program, as its mode and its profile ask: around its executable, and around each node of the NumPy backend."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from exprgraph.config import config
from exprgraph.debugging import Comparisons, Debugged, Trace
from exprgraph.errors import here
from exprgraph.guards import UNTESTED, Guarded, tested
from exprgraph.labels import op_text
from exprgraph.modes import Mode
from exprgraph.node import Node
from exprgraph.profiles import Profile, new
from exprgraph.program import Outer, Program
from exprgraph.reference import Around, Array, One
from exprgraph.steps import Step, Watcher, lines


def collectors(mode: Mode, profiled: bool, name: str | None) -> dict[str, Any]:
    """The options that say who watches, and hold what is found out about a function; one without a name is called by the user's line."""
    found: dict[str, Any] = {"around": around} if mode.debug is None else {"around": around, "trace": Trace(), "compared": Comparisons()}
    return found | {"profile": new(name or f"f at {lines([here()])}", config.profile == "exit")} if profiled else found


def wrapped(program: Program, executable: Any) -> Any:
    """The executable with what its mode does before and after a call."""
    mode: Mode = program.options["mode"]
    if mode.guard is not None:
        executable = Guarded(program, executable, mode.guard)
    if mode.debug is not None:
        executable = Debugged(program, executable, mode.debug)
    profile = program.options.get("profile")
    return executable if profile is None else Profiled(executable, profile)


class Profiled(Outer):
    """An executable whose calls are counted."""

    def __init__(self, inner: Any, profile: Profile) -> None:
        super().__init__(inner)
        self.profile = profile

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run and count."""
        start = time.perf_counter_ns()
        try:
            return self.inner(values)
        finally:
            self.profile.called(time.perf_counter_ns() - start)


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
            profile.add(step, "numpy", start, time.perf_counter_ns() - start, nbytes, _flops(node, inputs, found))
        watcher.after(step, tuple(inputs), found)
        return found
    return run


def _flops(node: Node, inputs: Sequence[Array], found: Sequence[Array]) -> int:
    """About how many floating-point operations a node took."""
    if found[0].dtype.kind not in "fc" or node.op.kind in UNTESTED:
        return 0
    if node.op.kind == "contract":
        return 2 * int(found[0].size) * int(inputs[0].shape[-1])
    return int(inputs[0].size if node.op.kind == "reduce" else found[0].size)
