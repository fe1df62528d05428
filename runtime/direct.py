"""Calls on memory that NumPy shares with the device: for each plan and set of sizes one Python function, written for just that case.

Its text depends on the form of the plan only, so that it is compiled once; what differs between sizes (shapes, grids, kernels) is bound to
it as constants.  It looks at its arguments, sets pointers, launches, and returns fresh arrays, or None where the arguments are not like
those it was made for.
"""
from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from exprgraph.errors import WRITTEN, DeviceError
from exprgraph.named import NamedTuple
from runtime import pages
from runtime.actions import fault_of
from runtime.device import FORKED, Session, check_process
from runtime.driver import cl, failure
from runtime.failures import reentrant, translated
from runtime.memory import Array, Block, SharedMemory, View, data_of, flat, pointer
from runtime.native import switchboard
from runtime.recipe import ASLEEP, BUSY, DONE, FAULT, REFUSED
from runtime.together import Helpers, helper_of

KEPT = 1 << 28
"""The most bytes of workspace that a function keeps between calls."""


class Fixed(NamedTuple):
    """What the kernel of a launch is given when a call uses other sizes than the one before: None where each call sets a pointer."""
    kernel: Any
    names: tuple[str | None, ...]
    scalars: tuple[int, ...]


class Setting(NamedTuple):
    """What one set of sizes needs before its function may run.

    space: bytes of workspace.  offsets: where in it each intermediate lies, and rooms its bytes.  views: intermediates that host calls
    use, by their name in `found`.  flags: what kernels report faults in, zeros between calls.  leaves: what the arguments are like.
    """
    space: int
    offsets: dict[str, int]
    rooms: dict[str, int]
    blocks: dict[str, Block]
    launches: tuple[Fixed, ...]
    views: tuple[View, ...]
    found: list[Array]
    flags: Array
    leaves: Sequence[Any]


class State:
    """What the calls of one executable share: the lock, the queues, the workspace, and the sizes that the kernels are set to."""

    def __init__(self, session: Session, near: Session | None, memory: SharedMemory) -> None:
        self.session, self.near, self.memory = session, near, memory
        self.lock = threading.RLock()
        self.setting: Setting | None = None
        self.workspace: Block | None = None
        self.space = np.zeros(3, np.int64)
        self.board = switchboard(near)
        self.helpers: Helpers = helper_of(session)

    def install(self, setting: Setting) -> None:
        """Set the kernels to these sizes."""
        self.setting = None
        if setting.space and (self.workspace is None or self.workspace.nbytes < setting.space):
            self.trim()
            self.workspace = self.memory.fresh(setting.space)
        if self.workspace is not None:  # each time, since an interrupt may have come in between
            self.space[1:] = data_of(_host(self.workspace)), self.workspace.nbytes
        made = {name: cl.SVM(self._part(setting, name)) for name in setting.offsets}
        pointers = {**made, **{name: block.buffer for name, block in setting.blocks.items()}}
        for fixed in setting.launches:
            fixed.kernel.set_args(*[None if n is None else pointers[n] for n in fixed.names], *fixed.scalars)
        setting.found[:] = [v.on(self._part(setting, v.buffer) if v.buffer in setting.offsets else _host(setting.blocks[v.buffer]))
                            for v in setting.views]
        self.setting = setting

    def _part(self, setting: Setting, name: str) -> Array:
        assert self.workspace is not None
        start = setting.offsets[name]
        return _host(self.workspace)[start:start + setting.rooms[name]]

    def frozen(self, array: Array) -> Any:
        """What a kernel that only reads is given for a read-only array, which the driver takes no pointer to: one to the same place."""
        base = array.base
        if type(base) is np.ndarray and base.nbytes == array.nbytes and base.flags.c_contiguous and base.flags.writeable:
            return cl.SVM(base)
        return pointer(array)

    def translated(self, error: BaseException) -> BaseException:
        """The error to raise after a fault where nothing was launched."""
        return translated(error, self.session)

    def stuck(self) -> Exception:
        """The error of a native call that did nothing, for no reason that can be seen to."""
        return DeviceError(f"{self.session.named}: a native call came to nothing")

    def settle(self, outcome: Any, call: Callable[..., Any], arguments: tuple[Any, ...], setting: Setting) -> Any:
        """What a native call comes to after what was in its way has been seen to; it has done nothing so far."""
        try:
            if outcome is ASLEEP:
                self.helpers.wake()
                return call(*arguments)
            if outcome is not BUSY:
                raise self.stuck()
            with self.lock:
                if self.space[0]:
                    raise reentrant()
                self.install(setting)
                return call(*arguments)
        except BaseException as error:
            raise translated(error, self.session) from None

    def trim(self) -> None:
        """Give the workspace back."""
        with self.lock:
            self.space[1:] = 0
            self.setting = self.workspace = None

    def slim(self, kept: int | None = None) -> bool:
        """Give a workspace of more bytes back, unless a call is using it; whether it was."""
        with self.lock:
            large = self.workspace is not None and self.workspace.nbytes > (KEPT if kept is None else kept) and not self.space[0]
            if large:
                self.trim()
        return large

    def fail(self, error: BaseException) -> BaseException:
        """After a fault in the middle of a call: no kernel may still run when its memory goes; the error to raise."""
        self.helpers.halt()
        for session in (self.session, self.near or self.session):
            with contextlib.suppress(failure):
                session.finish()
        if self.setting is not None:
            self.setting.flags.fill(0)
        self.trim()
        return translated(error, self.session)


def _host(block: Block) -> Array:
    assert block.host is not None
    return block.host


def faulted(sites: Sequence[Any], flags: Array) -> Exception:
    """The error of the site that the flags name; they are zeroed for the next call."""
    found = fault_of(sites, flags.tolist())
    flags.fill(0)
    return found


@lru_cache(maxsize=512)
def _compiled(text: str) -> Callable[[Sequence[Any]], Any]:
    space: dict[str, Any] = {"ndarray": np.ndarray, "array": np.array, "empty": np.empty, "page": pages.array, "flat": flat,
             "SVM": getattr(cl, "SVM", None), "enqueue": getattr(cl, "enqueue_nd_range_kernel", None), "faulted": faulted,
             "FORKED": FORKED, "check_process": check_process, "done": DONE, "refused": REFUSED, "asleep": ASLEEP, "fault": FAULT}
    exec(compile(text, WRITTEN, "exec"), space)  # the source is made of our own names and numbers only
    made: Callable[[Sequence[Any]], Any] = space["make"]
    return made


class Writer:
    """The text of one function and the constants that it is bound to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: list[Any] = []

    def const(self, value: Any) -> str:
        """The name of a constant."""
        self.constants.append(value)
        return f"c{len(self.constants) - 1}"

    def emit(self, depth: int, line: str) -> None:
        """Add a line."""
        self.lines.append(" " * depth + line)

    def function(self, arguments: Sequence[str]) -> Any:
        """The compiled function."""
        names = "".join(f"c{k}, " for k in range(len(self.constants)))
        head = ["def make(constants):", f" ({names}) = constants" if names else " pass",
                f" def quick({''.join(a + ', ' for a in arguments)}*, checked=False, trusted=False):"]
        return _compiled("\n".join([*head, *self.lines, " return quick"]))(self.constants)
