"""Verdicts: what the self-test of each device found, kept on disk under all that its results may depend on."""
from __future__ import annotations

import contextlib
import json
from pathlib import Path

from exprgraph import __version__, store
from runtime import pocl
from runtime.device import Device

PASSED = "passed"
UNTESTED = "not tested"


def recalled(device: Device) -> str | None:
    """The verdict on disk, if there is one that can be read."""
    path = file_of(device)
    if path is None:
        return None
    try:
        found = json.loads(path.read_text())
        said = found["verdict"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return said if isinstance(said, str) and (said == PASSED or said.startswith("failed")) else None


def file_of(device: Device) -> Path | None:
    """The file of a device; None where nothing shall be kept."""
    parts = [device.name, device.platform, device.version, device.driver, device.kind, str(device.target.units), __version__,
             *sorted(pocl.instructions() if device.kind == "cpu" else ())]
    base = store.folder()
    return None if base is None else base / f"verdict-{store.digest_of(chr(0).join(parts).encode()).decode()[:16]}.json"


def keep(device: Device, said: str) -> None:
    """Note the verdict on a device, where that can be done."""
    path = file_of(device)
    if path is not None and store.usable(path.parent):
        with contextlib.suppress(OSError):
            store.written_whole(path, json.dumps({"verdict": said, "device": device.name, "driver": device.driver}).encode())
