"""The backend that `compile` calls by name: a program becomes an executable on the device that the options ask for."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codegen.plan import Plan
from codegen.target import Target
from exprgraph import pairs
from exprgraph.complex_pairs import parted
from exprgraph.config import config
from exprgraph.errors import DeviceError, at, here
from exprgraph.locks import LOADING
from exprgraph.program import Program
from exprgraph.requires import requirements, uncertain
from runtime import crashes
from runtime.chosen import choose
from runtime.device import Device
from runtime.driver import strange_options
from runtime.executable import DeviceExecutable
from runtime.failures import told
from runtime.generator import Generator, narrower
from runtime.kept_plans import KeptPlans, program_text
from runtime.paired import PairedExecutable
from runtime.program import GroupLimit

if TYPE_CHECKING:
    from runtime.narrowed import NarrowedExecutable
    Made = DeviceExecutable | PairedExecutable | NarrowedExecutable


def build(program: Program) -> Made:
    """The program, its complex tensors as pairs of floats, on `options["device"]`, with the default plan built; DeviceError where that
    device or a kernel fails."""
    device = choose(program.options.get("device"))
    if (strange := strange_options()) is not None:
        raise DeviceError(f"{strange}{at(here())}")
    forced = program.options.get("schedule") or config.schedule
    target = device.target._replace(schedule=device.target.schedule if forced == "auto" else forced,
                                    deterministic=bool(program.options.get("deterministic", config.deterministic)))
    if program.options.get("missing_float64") == "downcast" and not target.fp64:
        return _narrowed(program, device, target)
    return _built(program, device, target)


def _narrowed(program: Program, device: Device, target: Target) -> Made:
    from exprgraph.downcast import downcast  # what few devices need; it loads the ops of the user's own
    from runtime.narrowed import NarrowedExecutable
    cast = downcast(program)
    return _built(program, device, target) if cast is None else NarrowedExecutable(cast, _built(cast.program, device, target))


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
    with LOADING:
        from codegen.generate import generate  # loaded by the first plan that nobody has made before
        from codegen.printed import printed
    return printed(generate(*arguments), arguments[5].dialect)


GENERATOR = Generator(_plan, requirements, uncertain, pairs.decide, program_text, KeptPlans)
