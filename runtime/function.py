"""The backend that `compile` calls by name: a program becomes an executable on the device that the options ask for."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codegen.plan import Code, Plan
from codegen.target import Target
from exprgraph import pairs
from exprgraph.complex_pairs import parted
from exprgraph.config import config
from exprgraph.downcast import downcast
from exprgraph.errors import DeviceError, at, here
from exprgraph.program import Program
from exprgraph.requires import requirements, uncertain
from runtime import crashes
from runtime.device import Device
from runtime.driver import strange_options
from runtime.executable import DeviceExecutable, Generator, narrower
from runtime.failures import told
from runtime.narrowed import NarrowedExecutable
from runtime.paired import PairedExecutable
from runtime.program import GroupLimit
from runtime.verdicts import choose


def build(program: Program) -> DeviceExecutable | PairedExecutable | NarrowedExecutable:
    """The program, its complex tensors as pairs of floats, on `options["device"]`, with the default plan built; DeviceError where that
    device or a kernel fails."""
    device = choose(program.options.get("device"))
    if (strange := strange_options()) is not None:
        raise DeviceError(f"{strange}{at(here())}")
    forced = program.options.get("schedule") or config.schedule
    target = device.target if forced == "auto" else device.target._replace(schedule=forced)
    smaller = downcast(program) if program.options.get("missing_float64") == "downcast" and not target.fp64 else None
    made = _built(program if smaller is None else smaller.program, device, target)
    return made if smaller is None else NarrowedExecutable(smaller, made)


def _built(program: Program, device: Device, target: Target) -> DeviceExecutable | PairedExecutable:
    parts = parted(program)
    with crashes.settling():
        while True:
            try:
                made = DeviceExecutable(program if parts is None else parts.program, device, target, GENERATOR)
                with told(made.session):
                    made.rehearse()
                return made if parts is None else PairedExecutable(program, parts, made)
            except GroupLimit as error:
                target = narrower(target, error)


def _plan(*arguments: Any) -> Plan:
    from codegen.generate import generate  # loaded by the first plan that nobody has made before
    from codegen.printed import printed
    return printed(generate(*arguments), arguments[5].dialect)


def _text(codes: Sequence[Code], dialect: str, jobs: bool) -> str:
    from codegen.printed import program_text
    return program_text(codes, dialect, jobs)


GENERATOR = Generator(_plan, requirements, uncertain, pairs.decide, _text)
