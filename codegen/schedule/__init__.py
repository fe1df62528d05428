"""From unscheduled statement trees to scheduled ones, one module per kind of device."""
from __future__ import annotations

from codegen.kernel import Kernel
from codegen.schedule import cpu, gpu
from codegen.schedule.short import narrow
from codegen.schedule.split import form, parts, split
from codegen.schedule.turn import turned
from codegen.target import Target

__all__ = ["narrow", "parts", "schedule", "split", "turned"]


def _cpu(kernel: Kernel, target: Target) -> Kernel:
    """A kernel that `split` would divide where units are idle needs no narrow panels."""
    return cpu.schedule(kernel, target, room=form(kernel) is not None)


SCHEDULES = {"cpu": _cpu, "gpu": gpu.schedule}


def schedule(kernel: Kernel, target: Target) -> Kernel:
    """The tree as the device shall run it; `target.schedule` names the schedule."""
    return SCHEDULES[target.schedule](kernel, target)
