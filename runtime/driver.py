"""pyopencl where it can be imported, or the reason why not, so that the runtime can always say what is missing."""
from __future__ import annotations

from pathlib import Path
from typing import Any

CURE = "pip install pyopencl pocl-binary-distribution"

cl: Any = None
missing: str | None = None
try:
    import pyopencl as _cl
except (ImportError, OSError) as error:  # OSError: a libOpenCL that is there but cannot be loaded
    missing = f"pyopencl cannot be imported ({error})"
else:
    cl = _cl

failure: type[Exception] = cl.Error if cl is not None else RuntimeError
"""The exception of the driver, for `except` clauses."""


def folder() -> Path | None:
    """Where the vendors files lie that come with pyopencl."""
    file = getattr(cl, "__file__", None)
    return Path(file).parent / ".libs" if file else None
