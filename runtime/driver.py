"""pyopencl where it can be imported and used, or the reason why not, so that the runtime can always say what is missing."""
from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path
from typing import Any

CURE = "pip install pyopencl pocl-binary-distribution"
NEEDED = ("Buffer", "CommandQueue", "Context", "Error", "Kernel", "MemoryError", "Program", "SVM", "VERSION_TEXT", "device_fp_config",
          "device_type", "enqueue_copy", "enqueue_nd_range_kernel", "get_platforms", "mem_flags")
LEAST = "2024.1"
"""The oldest pyopencl that is tried."""
OPTIONS = ("PYOPENCL_BUILD_OPTIONS", "POCL_EXTRA_BUILD_FLAGS")
"""Settings by which a user adds to the options of every build of the process."""
HARMLESS = frozenset(["-g", "-w", "-Werror", "-cl-opt-disable", "-cl-kernel-arg-info", "-cl-nv-verbose", "-cl-std=CL1.2", "-cl-std=CL2.0",
                      "-cl-std=CL3.0", "-cl-fp32-correctly-rounded-divide-sqrt"])
"""Options that change no result, read no file and define nothing."""


def _imported() -> Any:
    """pyopencl, or the exception that its import raised.

    It is imported by a thread of its own, which no interrupt reaches: a second import of what was left half imported ends the process.
    """
    found: list[Any] = []

    def load() -> None:
        try:
            found.append(importlib.import_module("pyopencl"))
        except BaseException as error:
            found.append(error)
    thread = threading.Thread(target=load)
    try:
        thread.start()
    except RuntimeError:  # no more threads, as at the end of the interpreter
        load()
    else:
        thread.join()
    return found[0]


cl: Any = _imported()
missing: str | None = None
if isinstance(cl, ImportError | OSError):  # OSError: a libOpenCL that is there but cannot be loaded
    cl, missing = None, f"pyopencl cannot be imported ({cl})"
elif isinstance(cl, BaseException):
    raise cl
else:
    lacking = [name for name in NEEDED if not hasattr(cl, name)]
    if lacking:
        missing = (f"pyopencl {getattr(cl, 'VERSION_TEXT', '')} at {getattr(cl, '__file__', None) or 'an unknown place'} has no "
                   f"{', '.join(lacking)}: it is older than {LEAST}, or another module of that name")

failure: type[Exception] = getattr(cl, "Error", RuntimeError)
"""The exception of the driver, for `except` clauses."""


def folder() -> Path | None:
    """Where the vendors files lie that come with pyopencl."""
    file = getattr(cl, "__file__", None)
    return Path(file).parent / ".libs" if file else None


def told() -> str:
    """The build options that the user's environment adds, as they are set there; "" for none."""
    return " ".join(f"{name}={os.environ[name]!r:.80}" for name in OPTIONS if os.environ.get(name, "").strip())


def strange_options() -> str | None:
    """What is wrong with the build options that the user's environment adds; None where they cannot change a result."""
    for name in OPTIONS:
        strange = [word for word in os.environ.get(name, "").split() if word not in HARMLESS]
        if strange:
            return (f"{name} adds {' '.join(strange)} to every build, which may change results or read files: unset it, or leave only "
                    f"{', '.join(sorted(HARMLESS))}")
    return None
