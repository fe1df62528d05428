"""Calls that are given device arrays, on memory shared with NumPy: on what arrays they run, and whether they wait for that.

The kernels are those of other calls, on the same memory.  What would take less than it takes to hand it over is done at once, unless an
argument has not been computed yet.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.named import NamedTuple
from exprgraph.program import Program
from exprgraph.resident import DeviceArray
from runtime.actions import Action, FunctionCall, KernelCall, OwnAction
from runtime.case import Leaf
from runtime.prepared import Bound
from runtime.together import ALONE

Whole = Callable[[list[Any]], list[Any]]
FLOP = 10
"""Picoseconds for each multiplication and addition of a product of matrices by NumPy."""
TOUCH = 10_000
"""Picoseconds for each element that another function of NumPy takes or gives."""


def is_short(actions: Sequence[Action]) -> bool:
    """Whether one core needs less for the actions than it takes to hand them over, roughly."""
    return sum(_work(a) for a in actions) < ALONE


def _work(action: Action) -> float:
    """Picoseconds."""
    return action.work if isinstance(action, KernelCall) else _of_function(action) if isinstance(action, FunctionCall) else 0


def _of_function(call: FunctionCall) -> float:
    sizes = [float(np.prod(v.shape)) for v in (*call.inputs, call.output)]
    if call.function in (np.matmul, np.ndarray.dot):
        return FLOP * 2 * sizes[-1] * (call.inputs[0].shape[-1] if call.inputs[0].shape else 1)
    return TOUCH * sum(sizes)


def may_wait(actions: Sequence[Action]) -> bool:
    """Whether all that is done can be done by another thread: functions of the user's own run in theirs."""
    return not any(isinstance(a, OwnAction) for a in actions)


def stay(program: Program) -> bool:
    """Whether all results of a program are device arrays; new values of shared variables are results too."""
    return all(program.stays) and len(program.stays) == len(program.graph.outputs) > 0


def _fit(leaves: Sequence[Leaf], values: Sequence[Any]) -> bool:
    """Whether all arguments are of these forms, and none is looked at before a plan is chosen."""
    return all(v.shape == leaf.shape and v.dtype == leaf.dtype and leaf.value is None for leaf, v in zip(leaves, values))


class Residents(NamedTuple):
    """The calls of one executable.  kept: for each leaf, whether it is a shared variable; stays: whether all results are device arrays.

    name and device: the function's, and where it runs.  done: what is to be done after a call that a thread has made.
    """
    kept: tuple[bool, ...]
    stays: bool
    name: str
    device: str
    done: Callable[[], Any]

    def are_there(self, values: Sequence[Any], looked_at: Sequence[int]) -> bool:
        """Whether results may stay, all arguments are device arrays, and those that plans rest on have been computed."""
        there = self.stays and all(isinstance(v, DeviceArray) or own for v, own in zip(values, self.kept))
        return there and not any(isinstance(values[i], DeviceArray) and values[i].pending for i in looked_at)

    def call(self, whole: Whole, bound: Bound, values: Sequence[Any], checked: bool = False) -> list[Any] | None:
        """The outputs where the values, device arrays among them, are like those that were bound; whole: the executable."""
        given, waits, there = list(values), False, self.stays and bound.late
        for i, value in enumerate(values):
            if not isinstance(value, DeviceArray):
                there = there and self.kept[i]
            elif value.pending:
                waits = True
            else:
                given[i] = value.host()
        if there and (waits or not bound.short) and _fit(bound.leaves, values):
            return self._late(whole, bound, values)
        if waits:
            given = [v.host() if isinstance(v, DeviceArray) else v for v in values]
        try:
            found: list[Any] | None = bound.quick(*given, checked=checked)
        except Exception as error:
            if not there:
                raise
            from runtime import handed  # told when read, as those of longer calls are
            found = list(handed.failed(self.name, self.device, bound.fit.outputs, error))
        return found

    def _late(self, whole: Whole, bound: Bound, values: Sequence[Any]) -> list[Any]:
        """The outputs of a call that a thread makes."""
        from runtime import handed  # loads threads, which few need

        def run(given: list[Any]) -> list[Any]:
            found: list[Any] | None = bound.quick(*given)
            self.done()
            return [v.host() if isinstance(v, DeviceArray) else v for v in whole(given)] if found is None else found
        return list(handed.start(self.name, self.device, bound.fit.outputs, values, run))
