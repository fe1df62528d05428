"""What Python this runs on: one interpreter of a process, with its lock; anything else is refused by the import, in words.

Calls read and store shared variables, and native calls run, in single steps of the interpreter that its lock makes whole.
"""
from __future__ import annotations

import ctypes
import sys


def _is_main() -> bool:
    """Whether this is the first interpreter of the process."""
    try:
        python = ctypes.pythonapi
        python.PyInterpreterState_Get.restype = ctypes.c_void_p
        python.PyInterpreterState_GetID.argtypes, python.PyInterpreterState_GetID.restype = [ctypes.c_void_p], ctypes.c_int64
        return bool(python.PyInterpreterState_GetID(python.PyInterpreterState_Get()) == 0)
    except AttributeError:  # no CPython
        return True


def check() -> None:
    """ImportError in a subinterpreter, or where the lock of the interpreter is off."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ImportError("exprgraph needs the lock of the interpreter (GIL), which is off in this process: start Python with PYTHON_GIL=1 "
                          "or -X gil=1, or use a build that has it")
    if not _is_main():
        raise ImportError("exprgraph does not run in subinterpreters, as NumPy and OpenCL's drivers do not: import it in the main "
                          "interpreter, and use threads or processes (spawn)")


check()
