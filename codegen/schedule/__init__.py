"""From unscheduled statement trees to scheduled ones, one module per kind of device."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from codegen.kernel import Kernel
from codegen.schedule import cpu, gpu
from codegen.schedule.short import narrow
from codegen.schedule.split import form, parts, split, splits
from codegen.schedule.turn import turned
from codegen.target import Target
from exprgraph.dims import Dim, constant

__all__ = ["by_length", "narrow", "parts", "schedule", "split", "splits", "turned"]


def _cpu(kernel: Kernel, target: Target) -> Kernel:
    """A kernel that `split` would divide where units are idle needs no narrow panels."""
    return cpu.schedule(kernel, target, room=form(kernel) is not None)


SCHEDULES = {"cpu": _cpu, "gpu": gpu.schedule}


def schedule(kernel: Kernel, target: Target) -> Kernel:
    """The tree as the device shall run it; `target.schedule` names the schedule."""
    return SCHEDULES[target.schedule](kernel, target)


def by_length(kernel: Kernel, target: Target) -> tuple[Dim, tuple[Callable[[], Kernel], ...]]:
    """What makes the forms of the tree for rows of different lengths, and the number of the one for those of a call."""
    return gpu.by_length(kernel, target) if target.schedule == "gpu" else (constant(0), (partial(schedule, kernel, target),))
