"""The backend that `compile` calls by name: a program becomes an executable on the device that the options ask for."""
from __future__ import annotations

from typing import Any

from codegen.plan import Plan
from exprgraph import pairs
from exprgraph.complex_pairs import parted
from exprgraph.config import config
from exprgraph.program import Program
from exprgraph.requires import requirements, uncertain
from runtime.device import choose
from runtime.executable import DeviceExecutable, Generator
from runtime.kept_plans import KeptPlans, program_text
from runtime.paired import PairedExecutable


def build(program: Program) -> DeviceExecutable | PairedExecutable:
    """The program, its complex tensors as pairs of floats, on `options["device"]`, with the default plan built; DeviceError where that
    device or a kernel fails."""
    device = choose(program.options.get("device"))
    forced = program.options.get("schedule") or config.schedule
    target = device.target if forced == "auto" else device.target._replace(schedule=forced)
    parts = parted(program)
    made = DeviceExecutable(program if parts is None else parts.program, device, target, GENERATOR)
    made.rehearse()
    return made if parts is None else PairedExecutable(program, parts, made)


def _plan(*arguments: Any) -> Plan:
    from codegen.generate import generate  # loaded by the first plan that nobody has made before
    from codegen.printed import printed
    return printed(generate(*arguments), arguments[5].dialect)


GENERATOR = Generator(_plan, requirements, uncertain, pairs.decide, program_text, KeptPlans)
