"""Choices between the forms of a plan, by measurement on the machine at hand, remembered on disk.

The sizes of a call pick a form by limits that were measured on some machine.  Where a function is called with the same sizes again and
again, all forms are timed, on the arguments of one of these calls, and the fastest is taken from then on, for all sizes of that class:
extents with as many binary digits.  Only what was timed while the machine was quiet counts.  Forms of large graphs that have not been made
yet are left alone until the calls have taken as long as making them would (`planning.worth`).

What was found is kept in a file for each device and version of its driver, under names that are made of what the first form runs, kernels
by their text and calls by their sizes: the others may not have been made yet.  A file that cannot be read or written costs time only.
"""
from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from codegen.plan import HostCall, Launch, Step
from exprgraph.atoms import anonymous
from exprgraph.keys import digest
from exprgraph.store import folder, usable, written_whole
from runtime.device import Device

OFTEN = (50, 200, 800, 3200, 12800)
"""The calls of a function with the same sizes in which forms are timed, the later ones where the machine was not quiet before."""
LEAST = 1 << 16
"""Elements of arguments from which on the forms of a call are worth timing."""
RUNS, SECONDS = 4, 0.04
"""How often each form runs at least, and for how long.  All runs of a form follow each other, and the first half does not count: threads
of another form, BLAS's for example, keep their cores for a while."""
QUIET = 1.25
"""How many times the shortest run the median may take: more is a sign that something else had the cores."""
GAIN = 0.9
"""The share of the time of the form in use that another one may take at most to replace it."""
_lock = threading.RLock()
_known: dict[Path | None, dict[str, int]] = {}


def file_of(device: Device) -> Path | None:
    """The file of a device; None where nothing shall be kept."""
    base = folder()
    driver = getattr(device.handle, "driver_version", "")
    name = digest([device.name, device.platform, driver, device.target.units])[:16]
    return None if base is None else base / f"choices-{name}.json"


def name_of(first: Iterable[Step], forms: int, shapes: Iterable[Sequence[int]]) -> str:
    """The name of a choice: what the first form runs, how many there are, and the class of the sizes."""
    runs = [s.kernel.name if isinstance(s, Launch) else _called(s) for s in first if isinstance(s, Launch | HostCall)]
    sizes = [[n.bit_length() for n in shape] for shape in shapes]
    return digest([runs, forms, sizes])[:24]


def _called(step: HostCall) -> str:
    """A call of NumPy, whatever the leaves are called that its sizes are of."""
    return anonymous(" ".join([step.function, *(d.text for o in (*step.inputs, step.output) for d in (o.offset, *o.shape, *o.strides))]))


def recall(device: Device, name: str, forms: int) -> int | None:
    """The form that was found to be the fastest, if there is such a choice among so many."""
    with _lock:
        path = file_of(device)
        if path not in _known:
            _known[path] = _read(path)
        found = _known[path].get(name)
    return found if found is not None and 0 <= found < forms else None


def remember(device: Device, name: str, form: int) -> None:
    """Note a choice, here and on disk, beside those that other processes have noted."""
    with _lock:
        path = file_of(device)
        _known[path] = {**_read(path), **_known.get(path, {}), name: form}
        if path is not None and usable(path.parent):
            with contextlib.suppress(OSError):
                written_whole(path, json.dumps(_known[path]).encode())


def _read(path: Path | None) -> dict[str, int]:
    try:
        found = json.loads(path.read_text()) if path is not None else {}
    except (OSError, ValueError):
        return {}
    plain = isinstance(found, dict) and all(type(v) is int for v in found.values())
    return found if plain else {}


def fastest(runs: Sequence[Callable[[], Any]], current: int) -> int | None:
    """Which of these is the fastest: the current one unless another gains by it; None where the machine is not quiet."""
    found = [_timed(run) for run in runs]
    if any(median > QUIET * least for least, median in found):
        return None
    best = min(range(len(runs)), key=lambda k: found[k][1])
    return best if found[best][1] < GAIN * found[current][1] else current


def _timed(run: Callable[[], Any]) -> tuple[float, float]:
    """The shortest and the median time of the later half of some runs."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < RUNS or time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    later = sorted(times[len(times) // 2:])
    return later[0], later[len(later) // 2]
