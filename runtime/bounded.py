"""Plans within a bound: for the sizes of a call the form, the order and the repeats of steps that keep to `max_bytes`."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from codegen.plan import Check, Commit, HostCall, Launch, Operand, OwnCall, Step
from exprgraph.errors import AllocationError
from exprgraph.footprint import largest
from exprgraph.within import Limit
from runtime import order
from runtime.fit import Fit
from runtime.footprint import Call, Peak, described, peak_of
from runtime.order import Problem, Task
from runtime.prepared import Prepared, in_parts

TRIES = 3
"""How often steps are ordered anew for a little less, where what lives at once fits but not in one block."""


def bounded(prepared: Prepared, call: Call, limit: Limit) -> Call:
    """The call, or one with another fit of the same plan that keeps to the limit; AllocationError where none was found."""
    best, peak = call.fit, peak_of(call)
    for fit in (call.fit, *_forms(prepared, call.fit)):
        for one in _tighter(prepared, call._replace(fit=fit), limit.left):
            found = peak_of(call._replace(fit=one))
            if found.total < peak.total or one is call.fit:
                best, peak = one, found
            if peak.total <= limit.left:
                return call._replace(fit=best, needs=peak.total)
    raise _refused(call._replace(fit=best), peak, limit)


def _forms(prepared: Prepared, fit: Fit) -> list[Fit]:
    """The same with what runs as one launch apart, which leaves more orders; and the other forms of the plan, apart."""
    every = [fit, *(prepared.fit(fit.found, form) for form in range(len(prepared.forms)))]
    apart = [prepared.fitted(in_parts(one.steps), fit.found) for one in every]
    return [one for one in apart if one.steps != fit.steps]


def _tighter(prepared: Prepared, call: Call, most: int) -> list[Fit]:
    """The fit of a call, and others that need less, as far as needed."""
    found, fit, peak = [call.fit], call.fit, peak_of(call)
    aim = most - (peak.total - peak.bytes["temporaries"])
    for _ in range(TRIES):
        if peak.total <= most or aim <= 0:
            break
        fit = _ordered(prepared, call, aim)
        found.append(fit)
        peak = peak_of(call._replace(fit=fit))
        aim -= peak.total - most
    return found


def _ordered(prepared: Prepared, call: Call, limit: int) -> Fit:
    fit = call.fit
    tasks = tuple(_task(prepared, fit, k) for k in range(len(fit.steps)))
    rooms = {n: call.memory.size(r) for n, r in fit.temporaries.items()}
    made = order.tightened(Problem(tasks, rooms, fit.uses[-1], limit))
    used: Counter[int] = Counter()
    steps = []
    for task in made:
        step = fit.steps[task.step]
        names = dict(task.names)
        if names or used[task.step]:
            step = prepared.repeated(step, tuple(sorted(names.items())), used[task.step], _renamed(step, names))
        used[task.step] += 1
        steps.append(step)
    return prepared.fitted(tuple(steps), fit.found, packed=True)


def _renamed(step: Step, names: dict[str, str]) -> Step:
    """A step on other buffers."""
    def moved(operands: Sequence[Operand]) -> tuple[Operand, ...]:
        return tuple(o._replace(buffer=names.get(o.buffer, o.buffer)) for o in operands)
    if isinstance(step, Launch):
        about = step.about._replace(writes=tuple((names.get(b, b), shape) for b, shape in step.about.writes))
        return step._replace(buffers=tuple(names.get(b, b) for b in step.buffers), about=about)
    if isinstance(step, HostCall):
        return step._replace(inputs=moved(step.inputs), output=moved((step.output,))[0])
    assert isinstance(step, OwnCall)
    return step._replace(inputs=moved(step.inputs), outputs=moved(step.outputs))


def accesses(step: Step) -> tuple[set[str], set[str]]:
    """The buffers that a step reads, and those that it writes to."""
    if isinstance(step, Launch):
        access = step.access or ("rw",) * len(step.buffers)
        both = list(zip(step.buffers, access))
        return {b for b, a in both if "r" in a}, {b for b, a in both if "w" in a}
    if isinstance(step, HostCall):
        return {o.buffer for o in step.inputs}, {step.output.buffer}
    return ({o.buffer for o in step.inputs}, {o.buffer for o in step.outputs}) if isinstance(step, OwnCall) else (set(), set())


def _task(prepared: Prepared, fit: Fit, number: int) -> Task:
    """A step as far as its order matters.  What the user's own steps do beside their results stays in order."""
    step, temps = fit.steps[number], fit.temporaries
    reads, writes = accesses(step)
    work = fit.found[step.work.text] if isinstance(step, Launch) else order.HOST
    again = isinstance(step, Launch | HostCall) and writes <= set(temps) and all(_alone(fit, b, number) for b in reads | writes)
    return Task(number, frozenset(reads), frozenset(writes), work, again, isinstance(step, OwnCall | Check | Commit))


def _alone(fit: Fit, buffer: str, number: int) -> bool:
    """Whether a buffer is written to at most once, and by a step that meets it first."""
    written = [k for k, s in enumerate(fit.steps) if buffer in accesses(s)[1]]
    used = [k for k, names in enumerate(fit.uses) if buffer in names]
    return not written or (len(written) == 1 and written[0] == used[0])


def _refused(call: Call, peak: Peak, limit: Limit) -> AllocationError:
    floor = peak.total - peak.bytes["temporaries"]
    rest = [t for t in peak.living if t.kind != "temporaries"]
    text = (f"{limit}: no order of the steps was found in which {call.name} needs less than {peak.total:,} bytes, steps run "
            f"twice and other forms included; {floor:,} of them are arguments, constants and results, which nothing can move")
    shown = largest(peak.living) if floor <= limit.left else largest(rest)
    error = AllocationError(f"{text}\n{described(call, peak, shown)}")
    error.tensors = shown
    return error
