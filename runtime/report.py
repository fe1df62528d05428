"""Reports for people: the source of a function's kernels, and why its plans are as they are."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from codegen.growth import flatten
from codegen.notes import note_text, readable
from codegen.plan import Branch, Check, HostCall, Later, Launch, OwnCall, Step
from runtime.declared import MARK
from runtime.device import Device
from runtime.prepared import Prepared, code_of

Key = tuple[tuple[str, ...] | None, str, bool]


def source(plans: Mapping[Key, Prepared]) -> str:
    """Each kernel once, under comments that say what it computes; before them the helpers that the user wrote, behind them his kernels."""
    seen: dict[str, str] = {}
    for prepared in plans.values():
        notes = _notes(prepared)
        for kernel in prepared.kernels:
            if kernel.name not in seen:
                comment = "".join(f"// {line}\n" for line in notes.get(kernel.name, ()))
                seen[kernel.name] = comment + kernel.text
    steps = [s for prepared in plans.values() for s in flatten(prepared.plan.steps) if isinstance(s, OwnCall)]
    whole = dict.fromkeys(s.own.kernel.text for s in steps if s.own.kernel is not None)
    return "\n".join([*_snippets("".join(seen.values())), *seen.values(), *whole])


def _snippets(text: str) -> list[str]:
    """The texts of the user's own that kernels call."""
    if MARK not in text:
        return []
    from exprgraph.own.text import mentioned  # what nobody has used is not loaded
    return [s.text for s in mentioned(text)]


def _notes(prepared: Prepared) -> dict[str, list[str]]:
    """The notes of a plan by the kernel that they speak of."""
    found: dict[str, list[str]] = {}
    for note in prepared.plan.notes:
        found.setdefault(note.kernel, []).append(note_text(note))
    return found


def why(plans: Mapping[Key, Prepared], device: Device, general: tuple[str, ...] | None, origin: Callable[[Key], str]) -> str:
    """The plans of a function, each with its key, its notes and its steps."""
    lines = [f"{len(plans)} plan{'s' * (len(plans) != 1)} on {device.name} ({device.spec})"]
    for number, (key, prepared) in enumerate(plans.items(), 1):
        where = origin(key)
        lines += [f"plan {number}: {_reason(key, general)}", *[f"  ({where})"] * bool(where),
                  *(f"  {line}" for line in _steps(prepared.plan.steps))]
        launched = {code_of(s).name for s in flatten(prepared.plan.steps) if isinstance(s, Launch)}
        lines += [f"  # {note.kernel}: {note_text(note)}" for note in prepared.plan.notes if note.kernel in launched]
    return "\n".join(lines)


def _reason(key: Key, general: tuple[str, ...] | None) -> str:
    outcomes, layouts, wide = key
    ones = [] if outcomes is None else [f"pair {i}: the {o} is 1" for i, o in enumerate(outcomes) if o != "equal"]
    strided = [f"argument {i} is strided{' with inner stride 1' * (kind == 'S')}" for i, kind in enumerate(layouts) if kind != "C"]
    if outcomes is None and general is None:
        ones = ["general: serves all sizes that fit"]
    parts = ones + strided + ["64-bit indices"] * wide
    return "; ".join(parts) or "sizes that must fit are equal, arguments without gaps"


def _steps(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, Launch):
            grid, local = " x ".join(map(readable, step.grid)), " x ".join(map(str, step.local))
            yield f"launch {code_of(step).name} on {grid} work-items in groups of {local}"
        elif isinstance(step, HostCall):
            yield f"numpy.{step.function}({', '.join(o.buffer for o in step.inputs)}) into {step.output.buffer}"
        elif isinstance(step, OwnCall):
            names = [", ".join(o.buffer for o in side) for side in (step.inputs, step.outputs)]
            yield f"{'kernel' if step.own.kernel else 'function'} {step.own.name!r} of your own ({names[0]}) into {names[1]}"
        elif isinstance(step, Branch):
            yield f"variant {readable(step.pick)} of {len(step.variants)}"
            for number, variant in enumerate(step.variants):
                yield from (f"  [{number}] {line}" for line in _steps(variant))
        elif isinstance(step, Later):
            yield "made when a call takes it"
        elif isinstance(step, Check):
            yield f"check {len(step.sites)} fault site{'s' * (len(step.sites) != 1)}"
