"""Profiles: what `profile=True` gathers about a function, as a table and as a trace for chrome://tracing and Perfetto."""
from __future__ import annotations

import atexit
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from exprgraph.columns import columns
from exprgraph.locks import lock
from exprgraph.named import NamedTuple
from exprgraph.steps import Step, lines

KEPT = 20000
"""The latest steps that a trace shows."""
FUNCTIONS = 1000
"""The latest functions that the summary knows."""
SHOWN = 30
"""Rows of a table."""
LONGEST = 60
NANO, MICRO, MILLI = 1e9, 1e3, 1e6
_profiles: deque[Profile] = deque(maxlen=FUNCTIONS)
_exit: list[bool] = []


class Row(NamedTuple):
    """One step of a function over all calls: how often it ran, and in all nanoseconds, bytes moved and floating-point operations.

    where: the device, or "numpy".  Bytes are those of the buffers that the step reads or writes, operations an estimate.
    """
    step: Step
    where: str
    times: int
    nanoseconds: int
    nbytes: int
    flops: int


class Event(NamedTuple):
    """Something that took time: when it began and how long it was, in nanoseconds of one clock."""
    name: str
    kind: str
    where: str
    start: int
    spent: int
    about: dict[str, Any]


class Profile:
    """What is known of the calls of one function (`f.profile`); its text is a table of its steps, the longest first.

    name: the function's, or where it was compiled.  calls: how many there were, and nanoseconds they took in all.  phases: the
    nanoseconds of compiling, by "optimise", "generate" and "build".  rows:
    the steps.  Times of kernels are those of the device's events.  Threads may add at once.
    """

    def __init__(self, name: str) -> None:
        self.name, self.calls, self.nanoseconds = name, 0, 0
        self.phases: dict[str, int] = {}
        self._rows: dict[tuple[Any, ...], Row] = {}
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._rates: dict[str, Callable[[], float]] = {}
        self._lock = lock()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The steps, those that took longest first."""
        with self._lock:
            return tuple(sorted(self._rows.values(), key=lambda r: -r.nanoseconds))

    def called(self, spent: int) -> None:
        """A call has ended, or failed, after so many nanoseconds."""
        with self._lock:
            self.calls += 1
            self.nanoseconds += spent

    def device(self, where: str, rate: Callable[[], float]) -> None:
        """What measures the bytes a second that a device can move."""
        with self._lock:
            self._rates.setdefault(where, rate)

    def add(self, step: Step, where: str, start: int, spent: int, nbytes: int, flops: int) -> None:
        """A step has been done."""
        key = step.kind, step.name, step.sources, where
        with self._lock:
            row = self._rows.get(key) or Row(step, where, 0, 0, 0, 0)
            self._rows[key] = Row(step, where, row.times + 1, row.nanoseconds + spent, row.nbytes + nbytes, row.flops + flops)
            about = {"bytes": nbytes, "flops": flops, "lines": lines(step.sources)}
            self._events.append(Event(step.name, step.kind, where, start, spent, about))

    def phase(self, name: str, start: int, spent: int) -> None:
        """A phase of compiling has ended."""
        with self._lock:
            self.phases[name] = self.phases.get(name, 0) + spent
            self._events.append(Event(name, "compile", "compile", start, spent, {}))

    def events(self) -> tuple[Event, ...]:
        """The latest steps and phases."""
        with self._lock:
            return tuple(self._events)

    def rate(self, where: str) -> float | None:
        """The bytes a second that a device moves in a plain copy, measured when first asked for; None where that cannot be told."""
        return self._rates[where]() if where in self._rates else None

    def trace(self) -> dict[str, Any]:
        """The latest steps in the format of chrome://tracing and Perfetto, ready for json.dump."""
        return trace([self])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to a file."""
        Path(path).write_text(json.dumps(self.trace()))

    def __str__(self) -> str:
        rows = self.rows
        total = sum(r.nanoseconds for r in rows)
        phases = ", ".join(f"{name} {ns / MILLI:.1f} ms" for name, ns in self.phases.items())
        head = f"{self.name}: {self.calls} call{'s' * (self.calls != 1)} in {self.nanoseconds / MILLI:.3f} ms"
        head += f", {total / MILLI:.3f} ms of it in steps"
        head += f"; {phases}" if phases else ""
        table = _table([(r, self.rate(r.where)) for r in rows[:SHOWN]], total)
        left = [f"... {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        return "\n".join([head, *table, *left])

    def __repr__(self) -> str:
        return str(self)


HEADS = ("share", "ms", "count", "us each", "GB/s", "of copy", "GFLOP/s", "step", "lines", "what")


def _table(rows: Sequence[tuple[Row, float | None]], total: int) -> list[str]:
    table = [HEADS, *(_cells(row, rate, total) for row, rate in rows)]
    return columns(table, right=range(7))


def _cells(row: Row, rate: float | None, total: int) -> tuple[str, ...]:
    seconds = max(row.nanoseconds, 1) / NANO
    moved = row.nbytes / seconds
    what = row.step.text if len(row.step.text) <= LONGEST else row.step.text[:LONGEST - 3] + "..."
    return (f"{100 * row.nanoseconds / max(total, 1):.1f} %", f"{row.nanoseconds / MILLI:.3f}", str(row.times),
            f"{row.nanoseconds / MICRO / max(row.times, 1):.1f}", f"{moved / 1e9:.2f}", f"{100 * moved / rate:.0f} %" if rate else "",
            f"{row.flops / seconds / 1e9:.2f}", row.step.name, lines(row.step.sources), what)


def distinct(profiles: Sequence[Profile]) -> list[str]:
    """Their names; one that several have has a number behind it."""
    count, met, found = Counter(p.name for p in profiles), Counter[str](), []
    for profile in profiles:
        met[profile.name] += 1
        found.append(f"{profile.name} #{met[profile.name]}" if count[profile.name] > 1 else profile.name)
    return found


def trace(profiles: Iterable[Profile]) -> dict[str, Any]:
    """Several profiles as one trace: a process for each function, a thread for each device and for compiling."""
    events: list[dict[str, Any]] = []
    known = list(profiles)
    for process, (profile, name) in enumerate(zip(known, distinct(known)), 1):
        threads: dict[str, int] = {}
        events.append({"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": name}})
        for e in profile.events():
            if e.where not in threads:
                threads[e.where] = len(threads) + 1
                events.append({"name": "thread_name", "ph": "M", "pid": process, "tid": threads[e.where], "args": {"name": e.where}})
            events.append({"name": e.name, "cat": e.kind, "ph": "X", "ts": e.start / MICRO, "dur": e.spent / MICRO, "pid": process,
                           "tid": threads[e.where], "args": e.about})
    return {"traceEvents": events, "displayTimeUnit": "ms"}


class Summary(NamedTuple):
    """The profiles of a process, those of functions that are gone too (the latest thousand); its text is two tables."""
    profiles: tuple[Profile, ...]

    def trace(self) -> dict[str, Any]:
        """All of them in the format of chrome://tracing and Perfetto."""
        return trace(self.profiles)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to a file."""
        Path(path).write_text(json.dumps(self.trace()))

    def __str__(self) -> str:
        if not self.profiles:
            return "no function has been compiled with profile=True"
        spent = {id(p): sum(r.nanoseconds for r in p.rows) for p in self.profiles}
        ranked = sorted(zip(self.profiles, distinct(self.profiles)), key=lambda pair: -spent[id(pair[0])])
        functions = [f"{spent[id(p)] / MILLI:12.3f} ms  {p.calls:8d} calls  compiled in "
                     f"{sum(p.phases.values()) / MILLI:9.1f} ms  {name}" for p, name in ranked[:SHOWN]]
        rows = sorted(((r, p) for p in self.profiles for r in p.rows), key=lambda pair: -pair[0].nanoseconds)[:SHOWN]
        return "\n".join([f"{len(self.profiles)} profiled functions", *functions,
                          *_table([(r, p.rate(r.where)) for r, p in rows], sum(spent.values()))])


def profile_summary() -> Summary:
    """What the profiles of all functions of this process say: `print(eg.profile_summary())`, `eg.profile_summary().save("trace.json")`."""
    return Summary(tuple(_profiles))


def new(name: str, at_exit: bool = False) -> Profile:
    """A profile of a function, known to the summary; at_exit: the summary is printed to stderr when the process ends."""
    made = Profile(name)
    _profiles.append(made)
    if at_exit and not _exit:
        _exit.append(True)
        atexit.register(lambda: print(profile_summary(), file=sys.stderr))
    return made
