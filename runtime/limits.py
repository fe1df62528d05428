"""What this process may use of the machine: cores and memory, as its affinity and its control group say."""
from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def cores() -> int:
    """How many cores the process may keep busy; at least 1."""
    try:
        found = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        found = os.cpu_count() or 1
    for text in (*_told("cpu.max"), *_pairs()):
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            found = min(found, math.ceil(int(quota) / int(period)))
    return max(found, 1)


def memory() -> int | None:
    """The bytes that the process may use, where its control group limits them."""
    found = [int(text) for text in (*_told("memory.max"), *_told("memory/memory.limit_in_bytes")) if text.isdigit()]
    return min((n for n in found if 0 < n < 1 << 60), default=None)


def _pairs() -> Iterator[str]:
    """The older form of the limit of cores."""
    yield from (f"{q} {p}" for q, p in zip(_told("cpu/cpu.cfs_quota_us"), _told("cpu/cpu.cfs_period_us")))


def _told(name: str) -> list[str]:
    """What the control groups of the process say under a name, from its own to the root."""
    top, _, rest = name.rpartition("/")
    found = []
    for folder in _folders():
        with contextlib.suppress(OSError):
            found.append((GROUPS / top / folder / rest).read_text().strip())
    return found


def _folders() -> list[str]:
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return [""]
    paths = {line.split(":", 2)[2].strip("/") for line in lines if line.count(":") >= 2}
    return sorted({"/".join(path.split("/")[:n]) for path in paths for n in range(path.count("/") + 2)})
