"""The machine and the versions that a run is filed under."""
from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = ("exprgraph", "pyopencl", "pocl-binary-distribution", "numpy", "scipy", "numexpr", "numba", "jax", "torch", "pytensor")


def machine() -> dict[str, Any]:
    """CPU, cores, system and versions of what is installed."""
    return {"cpu": cpu(), "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(),
            "versions": {"Python": platform.python_version(), **{name: v for name in PACKAGES if (v := version(name))}}}


def cpu() -> str:
    """What the CPU calls itself, with its family and model, which a virtual machine does not hide."""
    try:
        pairs = [text.split(":", 1) for text in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in text]
    except OSError:
        return platform.processor()
    known = {key.strip(): value.strip() for key, value in pairs}
    return f"{known.get('model name', '?')} (family {known.get('cpu family', '?')}, model {known.get('model', '?')})"


def version(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
