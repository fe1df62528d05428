"""From unscheduled statement trees to scheduled ones, one module per kind of device."""
from __future__ import annotations

from codegen.kernel import Kernel
from codegen.schedule import cpu, gpu
from codegen.schedule.short import narrow
from codegen.schedule.split import parts, split
from codegen.target import Target

__all__ = ["narrow", "parts", "schedule", "split"]
SCHEDULES = {"cpu": cpu.schedule, "gpu": gpu.schedule}


def schedule(kernel: Kernel, target: Target) -> Kernel:
    """The tree as the device shall run it; `target.schedule` names the schedule."""
    return SCHEDULES[target.schedule](kernel, target)
