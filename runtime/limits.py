"""What this process may use of the machine: cores and memory, as its affinity and its control group say."""
from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def cores() -> int:
    """How many cores the process may keep busy; at least 1."""
    try:
        found = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        found = os.cpu_count() or 1
    older = zip(_told("cpu/cpu.cfs_quota_us"), _told("cpu/cpu.cfs_period_us")) if not _unified() else ()
    for quota, _, period in [*(text.partition(" ") for text in _told("cpu.max")), *((q, "", p) for q, p in older)]:
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            found = min(found, math.ceil(int(quota) / int(period)))
    return max(found, 1)


def memory() -> int | None:
    """The bytes that the process may use, where its control group limits them."""
    found = [int(text) for text in _told("memory.max" if _unified() else "memory/memory.limit_in_bytes") if text.isdigit()]
    return min((n for n in found if 0 < n < 1 << 60), default=None)


def _unified() -> bool:
    """Whether there is one tree of control groups, or one for each kind of limit as there was before."""
    return not (GROUPS / "memory").is_dir()


def _told(name: str) -> list[str]:
    """What the control groups of the process say under a name, from its own to the root."""
    if _unified() != ("/" not in name):
        return []
    top, _, rest = name.rpartition("/")
    found = []
    for folder in _folders(top):
        with contextlib.suppress(OSError):
            found.append((GROUPS / top / folder / rest).read_text().strip())
    return found


def _folders(kind: str) -> list[str]:
    """The group of the process in a tree, and those around it."""
    try:
        lines = [line.split(":", 2) for line in OWN.read_text().splitlines()]
    except OSError:
        return [""]
    paths = {line[2].strip("/") for line in lines if len(line) == 3 and (kind in line[1].split(",") if kind else not line[1])}
    return sorted({"/".join(path.split("/")[:n]) for path in paths or {""} for n in range(path.count("/") + 2)})
