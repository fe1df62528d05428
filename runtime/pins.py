"""Files of machine code that stay loaded as long as somebody may call what lies in them."""
from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence

from exprgraph.named import NamedTuple

PINNED = 4096
"""The most files that are kept loaded at a time: each takes several mappings, of which a process has some 65,000."""


class Pin:
    """A file that stays loaded while this lives, at `base`.  Whoever calls what lies in it holds this."""
    __slots__ = ("__weakref__", "base")

    def __init__(self, file: bytes) -> None:
        library = ctypes.CDLL(os.fsdecode(file))
        self.base: int = ctypes.c_int64.from_address(library._handle).value  # a handle points to the loader's record, which begins with it
        weakref.finalize(self, _python.dlclose, ctypes.c_void_p(library._handle)).atexit = False


class Found(NamedTuple):
    """Functions of a program: their addresses, and what keeps their code there."""
    addresses: list[int]
    pins: tuple[Pin, ...]


class _Symbol(ctypes.Structure):
    """What the loader says of an address."""
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("address", ctypes.c_void_p)]


_lock = threading.RLock()
_pinned: weakref.WeakValueDictionary[bytes, Pin] = weakref.WeakValueDictionary()
_python = ctypes.PyDLL(None)
"""The loader's functions, with prototypes of our own."""


def pin(address: int) -> Pin | None:
    """What keeps the file that an address was loaded from; the driver unloads what it has not launched for long."""
    file = _place(address)[0]
    found = None if file is None else pinned(file)
    return found if _place(address)[0] == file else None


def pinned(file: bytes) -> Pin | None:
    """What keeps a file loaded; None where it cannot be, or too many are."""
    with _lock:
        found = _pinned.get(file)
        if found is None and not full():
            try:
                found = _pinned[file] = Pin(file)
            except OSError:
                return None
        return found


def full() -> bool:
    """Whether no more files can be kept loaded."""
    return len(_pinned) >= PINNED


def _place(address: int) -> tuple[bytes | None, int]:
    """The file that an address was loaded from, and how far into it."""
    known, symbol = _python.dladdr, _Symbol()
    known.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return (symbol.file, address - (symbol.base or 0)) if known(address, ctypes.addressof(symbol)) else (None, 0)


def places(addresses: Sequence[int]) -> tuple[bytes, list[int]] | None:
    """The one file that all addresses were loaded from, and how far into it each; None where there is no such file."""
    found = [_place(a) for a in addresses]
    file = found[0][0] if found else None
    return None if file is None or any(f != file for f, _ in found) else (file, [p for _, p in found])


def at(kept: Pin, file: bytes, places: Sequence[int]) -> Found | None:
    """The functions at these places of a loaded file; None where one is not there."""
    found = [kept.base + p for p in places]
    return Found(found, (kept,)) if all(_place(a) == (file, p) for a, p in zip(found, places)) else None


