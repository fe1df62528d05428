"""Native calls: kernels of a device in this process are called like functions of CPython, by `codegen.switchboard`.

Needed are CPython with its lock, x86-64, and a driver whose kernels run in the calling thread and stay where they are: PoCL's `basic`
device.  Where anything is missing, or a rehearsal on the objects of this interpreter fails, `switchboard` is None, and kernels
are launched through the driver.
"""
from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen import switchboard as board
from codegen.jobs import DOOR
from exprgraph.config import config
from exprgraph.named import NamedTuple
from runtime import crashes, loaded, pins
from runtime.device import Session, opened
from runtime.driver import cl, failure
from runtime.memory import data_of
from runtime.pins import Found, pin
from runtime.recipe import DONE, GATE, OUTCOMES, REFUSED, forever, leaf, recipe
from runtime.workshop import compiled, workshop

FASTCALL = 0x80
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: GATE.fill(opened()))


class _Method(ctypes.Structure):
    """CPython's record of a function: its name, address, form and description."""
    _fields_ = [("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("form", ctypes.c_int), ("about", ctypes.c_char_p)]


class Switchboard(NamedTuple):
    """The functions of a process: `call` looks at its arguments, `sure` does not."""
    call: Any
    sure: Any

    def of(self, made: np.ndarray[Any, Any], sure: bool = False) -> Callable[..., Any]:
        """The function for a recipe, which it keeps alive."""
        return _function(self.sure if sure else self.call, made)


_lock = threading.RLock()
_known: dict[str, Switchboard | None] = {}
_python = ctypes.PyDLL(None)
"""CPython's functions, with prototypes of our own."""


def _function(method: Any, made: np.ndarray[Any, Any]) -> Callable[..., Any]:
    make = _python.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    found: Callable[..., Any] = make(ctypes.addressof(method), made, None)
    return found


def entered(session: Session, text: str, count: int, options: Sequence[str] = ()) -> Found | None:
    """What the door of a program tells that is built for it, of which nothing else is kept; None where it cannot be kept loaded."""
    if pins.full():
        return None
    device, place = session.device, workshop(session.device)
    try:
        opened = place.enter()
        found = addresses(opened.queue, compiled(opened.context, device, text, options), count)
    except failure:
        place.leave()
        raise
    loaded.remember(session, text, found)
    return found


def addresses(queue: Any, program: Any, count: int) -> Found | None:
    """What the door of a program tells, and what keeps its code where it is; None where that is not sure."""
    found = np.zeros(max(count, 8), np.int64)
    kernel = cl.Kernel(program, DOOR)
    kernel.set_args(cl.SVM(found), np.int32(0))
    cl.enqueue_nd_range_kernel(queue, kernel, (1,), (1,))
    queue.finish()
    told = found[:count].tolist()
    kept = [pin(address) for address in told]
    held = tuple(p for p in dict.fromkeys(kept) if p is not None)
    return None if None in kept else Found(told, held)


def possible(session: Session) -> bool:
    """Whether native calls can be made at all with the kernels of this device."""
    plain = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
    machine = platform.system() == "Linux" and platform.machine() == "x86_64" and sys.maxsize > 1 << 32
    device = session.device.pocl and session.device.name.startswith("basic")
    return plain and machine and device and config.native


def switchboard(session: Session | None) -> Switchboard | None:
    """The switchboard of a device, made on first use; None where native calls cannot be made."""
    if session is None:
        return None
    with _lock:
        if session.device.spec not in _known:
            _known[session.device.spec] = _made(session) if possible(session) else None
        return _known[session.device.spec]


def _made(session: Session) -> Switchboard | None:
    try:
        found, text = loaded.found(session, board.source(), 2)
        if found is None:
            crashes.building()
            found = entered(session, text, 2)
    except (failure, OSError, AttributeError):
        return None
    if found is None:
        return None
    call, sure = [_Method(b"native", code, FASTCALL, None) for code in found.addresses]
    for kept in (call, sure, found):
        forever(kept)
    made = Switchboard(call, sure)
    return made if _layouts() and _rehearsed(made) else None


def _layouts() -> bool:
    """Whether objects look as the switchboard takes them to."""
    def word(value: Any, field: str, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(id(value) + board.OBJECTS[field]).value
    part = np.arange(60, dtype=np.float64).reshape(5, 12)[1:4, ::3]
    whole, single, number = np.ones((2, 3), np.float32), np.float32(0.7), 0.3

    def extents(value: Any, field: str) -> tuple[int, ...]:
        return tuple((ctypes.c_int64 * value.ndim).from_address(word(value, field)))
    return (all(word(a, "TYPE") == id(type(a)) for a in (part, single, number))
            and all((word(a, "AXES", ctypes.c_int32), word(a, "DATA"), word(a, "DTYPE")) == (a.ndim, data_of(a), id(a.dtype))
                    and (extents(a, "SHAPE"), extents(a, "STRIDES")) == (a.shape, a.strides)
                    and word(a, "FLAGS", ctypes.c_int32) & 0x101 == board.ALIGNED | board.IN_ORDER * a.flags.c_contiguous
                    for a in (part, whole))
            and all((word(t, "NUMBER"), word(t, "ORDER", ctypes.c_char)) == (id(t.type), b"=") for t in (part.dtype, whole.dtype))
            and word(single, "VALUE", ctypes.c_float) == single and word(number, "VALUE", ctypes.c_double) == number)


def _rehearsed(made: Switchboard) -> bool:
    """Whether a call without jobs does what it should, for arguments that fit and that do not, and keeps the count of references."""
    call, good = made.of(recipe([leaf(np.dtype("f4"), (2, 3))])), np.ones((2, 3), "f4")
    tried: Sequence[tuple[tuple[Any, ...], Any]] = [
        ((good,), DONE), ((good.T,), REFUSED), ((good[::-1],), REFUSED), ((good.astype("f8"),), REFUSED), ((good[0],), REFUSED),
        ((), REFUSED), ((good, good), REFUSED), ((3.5,), REFUSED), ((None,), REFUSED)]
    before = [sys.getrefcount(o) for o in OUTCOMES]
    for _ in range(3):
        if any(call(*arguments) is not expected for arguments, expected in tried):
            return False
    return before == [sys.getrefcount(o) for o in OUTCOMES]
