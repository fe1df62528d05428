"""Plans and programs that some process has made before, from disk; and why a plan was not found there.

The key of a plan is made of parts: the operations, constants and inputs of its program, how lines are shared, the options, the plan key,
the device, its driver, and the generator.  An entry begins with these parts, so `f.why()` can say which of them differed from those of the
nearest entry.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codegen.growth import every, missing
from codegen.plan import Code, Plan
from codegen.target import Target
from exprgraph import keys
from exprgraph.config import config
from exprgraph.graph_records import natural
from exprgraph.kept import ENTRY_BYTES
from exprgraph.keys import Structure, UnstorableError
from exprgraph.modes import kept_on_disk
from exprgraph.program import Program
from exprgraph.store import SUFFIX, Store, files, folder
from runtime import plan_records
from runtime.device import Device

PLANS, PROGRAMS = Store("plan"), Store("program")
SILENT = ("device", "name", "watch", "schedule", "missing_float64", "max_bytes", "mode", "around", "profile", "trace", "compared", "rules")
"""Options that no plan depends on, or that its target says; of its mode a plan depends on what NanGuardMode tests."""
SEARCHED = 1000
"""Entries that are looked through for the nearest one, the latest first."""
HEAD = 4096
LACKING = "lacking"
"""Beside the parts in the head of an entry, the number of variants that its plan lacks, if any."""
DAMAGED = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)


class KeptPlans:
    """The plans of one program on one device."""

    def __init__(self, program: Program, device: Device, target: Target) -> None:
        self.program, self.told = program, dict[Any, str | dict[str, str]]()
        self.reason = "its passes are watched" if any(program.options.get(o) is not None for o in ("watch", "trace")) else ""
        self.structure: Structure | None = None
        try:
            if not self.reason:
                found = keys.structure(program.graph, program.leaves)
                self.parts = {**found.parts, **_places(device, target), "options": _settings(program.options)}
                self.structure = found
        except UnstorableError as error:
            self.reason = str(error)

    def plan(self, key: tuple[Any, ...], make: Callable[[], Plan]) -> Plan:
        """The plan of a key, from disk if it is known."""
        if self.structure is None:
            self.told[key] = self.reason
            return make()
        parts, name = self._entry(key)
        found = self._read(name, parts)
        if found is not None:
            self.told[key] = f"from disk, entry {name[:12]}"
            return found
        self.told[key] = parts
        made = make()
        self._keep(name, parts, made)
        return made

    def _entry(self, key: tuple[Any, ...]) -> tuple[dict[str, str], str]:
        """The parts of a plan's key, and the name that they make."""
        parts = {**self.parts, "plan": keys.digest(key)}
        return parts, name_of(parts)

    def keep(self, key: tuple[Any, ...], plan: Plan) -> None:
        """A plan that has grown, in the place of one that has not so many variants."""
        if self.structure is None:
            return
        (parts, name), told = self._entry(key), self.told.get(key)
        content = PLANS.get(name)
        if content is None or _lacking(content) > len(list(missing(plan.steps, every))):
            self._keep(name, parts, plan)
        if isinstance(told, str) and told.startswith("from disk"):
            self.told[key] = f"from disk, entry {name[:12]}, and made anew for further variants"

    def _read(self, name: str, parts: Mapping[str, str]) -> Plan | None:
        assert self.structure is not None
        content = PLANS.get(name)
        if content is None:
            return None
        head, _, rest = content.partition(b"\n")
        try:
            if {k: v for k, v in json.loads(head).items() if k != LACKING} != parts:
                raise ValueError("it is another plan")
            return plan_records.read(rest, self.program.leaves, self.structure.lines, self.structure.nodes)
        except DAMAGED:
            PLANS.drop(name)
            return None

    def _keep(self, name: str, parts: Mapping[str, str], made: Plan) -> None:
        assert self.structure is not None
        try:
            content = plan_records.written(made, self.program.leaves, self.structure.lines, self.structure.nodes)
        except UnstorableError as error:
            self.structure, self.reason = None, str(error)
            self.told = dict.fromkeys(self.told, self.reason)
            return
        if len(content) <= ENTRY_BYTES:
            lacking = len(list(missing(made.steps, every)))
            PLANS.put(name, json.dumps({**parts, LACKING: lacking} if lacking else parts).encode() + b"\n" + content)

    def why(self, key: tuple[Any, ...]) -> str:
        """Where a plan came from."""
        told = self.told.get(key, "")
        if isinstance(told, str):
            return told if told.startswith("from disk") or not told else f"made by this process and not kept: {told}"
        return f"made by this process: {nearest(told)}"


def _lacking(content: bytes) -> int:
    """How many variants the plan of an entry lacks."""
    try:
        return natural(json.loads(content.partition(b"\n")[0]).get(LACKING, 0))
    except DAMAGED:
        return 1 << 30


def name_of(parts: Mapping[str, str]) -> str:
    """The key of a plan, made of its parts."""
    return keys.digest(sorted(parts.items()))


def driver_of(handle: Any) -> list[str]:
    """The versions of a device's driver and platform."""
    return [str(getattr(handle, "driver_version", "")), str(getattr(getattr(handle, "platform", None), "version", ""))]


def _places(device: Device, target: Target) -> dict[str, str]:
    return {"device": keys.digest([device.name, device.platform, *target._replace(deterministic=False)]), "generator": keys.generator(),
            "driver": keys.digest([*driver_of(device.handle), device.options])}


def _settings(options: Mapping[str, Any]) -> str:
    if not kept_on_disk(options):
        raise UnstorableError("a rule of its mode has no version")
    found = sorted((k, v) for k, v in options.items() if k not in SILENT)  # deterministic is one of them
    for name, value in found:
        if not isinstance(value, str | int | float | None):
            raise UnstorableError(f"its option {name} is a {type(value).__name__}")
    mode = options.get("mode")
    return keys.digest([*found, config.floatX, None if mode is None or mode.guard is None else tuple(mode.guard)])


def nearest(parts: Mapping[str, str]) -> str:
    """Which parts of a key no entry had, compared with the entry that has most of them."""
    if folder() is None:
        return "nothing is kept on disk (config.cache)"
    best: list[str] | None = None
    for other in _heads():
        wrong = [k for k in parts if other.get(k) != parts[k]]
        if wrong and (best is None or len(wrong) < len(best)):
            best = wrong
    if best is None:
        return "no other plan is kept"
    return f"the nearest plan that is kept differs in {', '.join(best)}"


def _heads() -> list[dict[str, str]]:
    base = folder()
    known = sorted(files(base), key=lambda e: -e.used) if base is not None else []
    found = []
    for entry in [e for e in known if e.path.name.endswith(SUFFIX) and e.path.parent.parent.name == "plans"][:SEARCHED]:
        try:
            with open(entry.path, "rb") as file:
                found.append(json.loads(file.read(HEAD).split(b"\n", 2)[1]))
        except (OSError, ValueError, IndexError):
            continue
    return found


def program_text(codes: Sequence[Code], dialect: str, jobs: bool) -> str:
    """One program with these kernels, from disk if it is known."""
    key = keys.digest([keys.generator(), dialect, jobs, *((c.text, c.body, c.job) for c in codes)])
    content = PROGRAMS.get(key)
    if content is not None:
        return content.decode()
    from codegen import printed  # the printer and all that it needs
    text = printed.program_text(codes, dialect, jobs)
    PROGRAMS.put(key, text.encode())
    return text
