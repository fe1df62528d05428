"""PoCL's pip build on CPUs younger than its compiler: give the driver a CPU name that the compiler knows.

LLVM 14 calls a CPU that it does not know "generic", a name that its own front end then refuses ("unknown target CPU"), so that nothing
can be built (pocl issue 1049; no environment variable or build option reaches that name).  The device record of the driver holds the
name next to the target triple; where exactly these two are found side by side, the name is replaced by that of the x86-64 level
whose instructions the CPU has.
"""
from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Any

from codegen.dialect import dialect_of

_LEVELS = (
    ("x86-64-v3", frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"])),
    ("x86-64-v2", frozenset(["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"])),
    ("x86-64", frozenset[str]()))
_UNKNOWN = b"generic\0"
_RECORD_BYTES = 1024
_names: dict[bytes, Any] = {}  # the driver keeps pointers to these, so they live as long as the process


def name_unknown_cpu(handles: tuple[Any, ...]) -> None:
    """Name the CPU for each of PoCL's devices whose compiler does not know it; any other device is left alone."""
    if platform.system() != "Linux" or platform.machine() != "x86_64" or not any(h.version.endswith("-generic") for h in handles):
        return
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        return
    try:
        for handle in handles:
            where = _find(memory, int(handle.int_ptr))
            if where is not None:
                ctypes.c_uint64.from_address(where).value = ctypes.addressof(_name(level()))
    finally:
        os.close(memory)


def level() -> str:
    """The highest x86-64 level up to 3 whose instructions this CPU has."""
    flags = instructions()
    return next(name for name, needs in _LEVELS if needs <= flags)


def instructions() -> set[str]:
    """The instruction sets of this CPU as Linux names them; none where that is not known."""
    try:
        with open("/proc/cpuinfo") as file:
            return next((set(line.split()) for line in file if line.startswith("flags")), set())
    except OSError:
        return set()


def dialect() -> str:
    """The dialect for PoCL on this CPU: without the instructions for AVX-512, code that has them would be an illegal instruction."""
    wanted = dialect_of("pocl_avx512").features.split(",")
    return "pocl_avx512" if platform.machine() == "x86_64" and instructions().issuperset(wanted) else "pocl"


def _name(name: str) -> Any:
    return _names.setdefault(name.encode(), ctypes.create_string_buffer(name.encode()))


def _find(memory: int, base: int) -> int | None:
    """The address of the pointer to the unknown name, right behind the pointer to the triple; read through the kernel, so that a
    word that is no pointer is an error code and not a crash."""
    words = struct.unpack(f"<{_RECORD_BYTES // 8}Q", _read(memory, base, _RECORD_BYTES) or bytes(_RECORD_BYTES))
    for i, (triple, name) in enumerate(zip(words, words[1:])):
        if _read(memory, name, len(_UNKNOWN)) == _UNKNOWN and _read(memory, triple, 7) == b"x86_64-":
            return base + 8 * (i + 1)
    return None


def _read(memory: int, address: int, count: int) -> bytes:
    if not 4096 <= address < 1 << 47:
        return b""
    try:
        found = os.pread(memory, count, address)
    except OSError:
        return b""
    return found if len(found) == count else b""
