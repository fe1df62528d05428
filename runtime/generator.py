"""What makes plans for a device: functions of `codegen` and `exprgraph`, or of tests."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codegen.plan import Plan
from codegen.target import Target
from exprgraph.dims import Dim
from exprgraph.errors import DeviceError
from exprgraph.named import NamedTuple
from exprgraph.program import Program
from exprgraph.requires import Requirement
from runtime.device import Device
from runtime.kept_plans import KeptPlans
from runtime.program import GroupLimit, TextOf


class Generator(NamedTuple):
    """What makes plans and programs of them: `runtime.kept` and `exprgraph.requires`; tests bring their own."""
    generate: Callable[..., Plan]
    requirements: Callable[..., tuple[Requirement, ...]]
    uncertain: Callable[..., Sequence[Any]]
    decide: Callable[[Sequence[Any], Callable[[Dim], int]], tuple[str, ...]]
    text_of: TextOf
    kept: Callable[[Program, Device, Target], KeptPlans] | None = None


def narrower(target: Target, found: GroupLimit) -> Target:
    """The same device with smaller groups; DeviceError where they cannot be."""
    if not 1 <= found.limit < target.max_group:
        raise DeviceError(f"{target.name} takes {found}, fewer than any of the kernels needs")
    return target._replace(max_group=found.limit)
