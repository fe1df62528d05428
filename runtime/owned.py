"""Functions of bound plans on memory that belongs to the device: queued ones, or watched ones where a mode or a profile asks for it."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from exprgraph.program import Program
from runtime.memory import CopiedMemory, Memory, check_budget
from runtime.prepared import Bound
from runtime.queued import Queued, Sizes


class Owner(Protocol):
    """What the function has to know of its executable."""
    program: Program
    memory: Memory
    watched: bool
    _kept: tuple[bool, ...]
    _lock: Any

    @property
    def _name(self) -> str: ...


def queued(owner: Owner, bound: Bound, values: Sequence[Any], trace: Any = None) -> Queued:
    """The function of a bound plan; AllocationError where it needs more than the device has.  trace: of the plan, in DebugMode."""
    memory, program, fit = owner.memory, owner.program, bound.fit
    assert isinstance(memory, CopiedMemory)
    largest = max([*fit.rooms.values(), *(math.prod(v.shape) * v.dtype.itemsize for v in values)], default=0)
    check_budget(memory, fit.wanted, largest)
    sizes = Sizes(tuple(fit.buffers.values()), fit.constants, bound.actions, fit.outputs, fit.rooms, fit.wanted, largest, bound.leaves,
                  owner._kept, program.n_outputs, program.stays, owner._name, bound.told)
    if owner.watched:
        from runtime.watched import Watched, watch  # rarely needed
        return Watched(sizes, memory, owner._lock, watch(bound, program.leaves, program.options, trace))
    return Queued(sizes, memory, owner._lock)
