"""Programs: build generated kernels, each text once per device and process, and make them ready to launch."""
from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.plan import Code
from exprgraph.errors import DeviceError
from exprgraph.named import NamedTuple
from exprgraph.phases import phase
from runtime import crashes, loaded
from runtime.declared import MARK
from runtime.device import Session
from runtime.driver import cl, failure, told
from runtime.native import addresses, entered
from runtime.pins import Found, Pin
from runtime.workshop import compiled

if TYPE_CHECKING:
    from exprgraph.own.text import Snippet

KEPT = 256
"""Kernels that are kept though no function may use them any more; where the driver launches them, each takes some 100 KiB of its memory."""
PAUSES = (0.05, 0.2)
"""Seconds to wait for another process before a program is built once more."""
TextOf = Callable[[Sequence[Code], str, bool], str]
"""What puts a program together from kernels, in a dialect, with jobs or without: `codegen.printed.program_text`."""


class Built(NamedTuple):
    """A kernel that was built.  code: the address of its second entry, where it has one, which stays while `pins` live.  program: what
    the driver launches it from; None where all of the program are called by their addresses."""
    program: Any
    name: str
    code: int = 0
    pins: tuple[Pin, ...] = ()


Made = tuple[Any, Found]
"""A program and the entries of its jobs."""


class GroupLimit(Exception):
    """A kernel that was built takes fewer work-items in a group than it was made for.  limit: how many."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit} work-items in a group")
        self.limit = limit


class _Cache:
    """The kernels that this process has built, by device and text; the least used go first."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.built: OrderedDict[tuple[str, str, bool, str], Built] = OrderedDict()
        self.count = 0


_cache = _Cache()


def built() -> int:
    """How many programs this process has built so far."""
    return _cache.count


def build(session: Session, codes: Sequence[Code], text_of: TextOf, jobs: bool = False) -> list[Built]:
    """The kernels, built together in one program, or in two where some of them must not stand beside others, unless this process has built
    all of them before; DeviceError.

    The text of a program depends on the kernels alone, not on what was built before: so the driver's own cache knows it again.
    """
    with _cache.lock:
        for group in ([c for c in codes if not c.grouped], [c for c in codes if c.grouped]):
            _build(session, group, text_of, jobs)
        found = [_cache.built[_key(session, c, jobs)] for c in codes]
        for code in codes:
            _cache.built.move_to_end(_key(session, code, jobs))
        while len(_cache.built) > KEPT:
            _cache.built.popitem(last=False)
    return found


def _build(session: Session, codes: Sequence[Code], text_of: TextOf, jobs: bool) -> None:
    if all(_key(session, c, jobs) in _cache.built for c in codes):
        return
    text = text_of(codes, session.device.target.dialect, jobs)
    known = [c for c in codes if c.job] if jobs else []
    with phase("build", f"{len(codes)} kernel{'s' * (len(codes) != 1)}"):
        program, entries = _compile(session, text, [c.name for c in codes], len(known))
    found = dict(zip((c.name for c in known), entries.addresses))
    for code in codes:
        _cache.built[_key(session, code, jobs)] = Built(program, code.name, found.get(code.name, 0), entries.pins)


def _key(session: Session, code: Code, jobs: bool) -> tuple[str, str, bool, str]:
    return session.key, session.device.target.dialect, jobs, code.text


def _compile(session: Session, text: str, names: Sequence[str], jobs: int) -> Made:
    """The program, or None where all of its kernels have jobs, and the addresses of its jobs, where they can be had."""
    native = jobs == len(names)
    known, text = loaded.found(session, text, jobs) if native else (None, text)
    if known is not None:
        return None, known
    crashes.building()
    try:
        made = _made(session, text, jobs, native)
    except failure as error:
        again = _again(session, text, jobs, native, str(error))
        if again is None:
            check_snippets(session, text)
            raise DeviceError(_report(session, text, names, error)) from error
        made = again
    _cache.count += 1
    return made


def _made(session: Session, text: str, jobs: int, native: bool) -> Made:
    found = entered(session, text, jobs, session.device.options) if native else None
    if found is not None:
        return None, found
    program = compiled(session.context, session.device, text, session.device.options)
    found = addresses(session.queue, program, jobs) if jobs and not native else None
    return program, found or Found([], ())


def _again(session: Session, text: str, jobs: int, native: bool, said: str) -> Made | None:
    """The program where it was not its text that failed: another process may have been writing what PoCL keeps of the same program, which
    is whole a moment later, or that is damaged."""
    if not session.device.pocl:
        return None
    for pause in PAUSES if "error:" not in said else ():
        crashes.unusable()  # it makes the folder anew where somebody has removed it
        time.sleep(pause)
        with contextlib.suppress(failure):
            return _made(session, text, jobs, native)
    return _afresh(session, text, jobs, native)


def _afresh(session: Session, text: str, jobs: int, native: bool) -> Made | None:
    """The program under a name that PoCL's cache has never heard of: where that succeeds, a file in there is damaged, and the next process
    empties it.  None where it fails too."""
    try:
        made = _made(session, f"{text}\ntypedef int eg_{os.urandom(8).hex()};\n", jobs, native)
    except failure:
        return None
    crashes.spoilt()
    return made


def check_snippets(session: Session, text: str) -> None:
    """TextError where the driver cannot build one of the texts of the user's own that a program calls."""
    if MARK in text:
        from runtime.complaints import snippets_of  # it loads the ops of the user's own
        for snippet in snippets_of(text):
            check_snippet(session, snippet)


def check_snippet(session: Session, snippet: Snippet) -> None:
    """TextError with what the driver says where it cannot build C text of the user's own."""
    from codegen.snippets import program_of
    from runtime.complaints import TextError, complaints
    text = program_of(snippet, session.device.target.dialect)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            cl.Program(session.context, text).build(list(session.device.options), devices=[session.device.handle])
    except failure as error:
        said = "\n".join(complaints(snippet, str(error)))
        raise TextError(snippet, session.named, said) from None


def _report(session: Session, text: str, names: Sequence[str], error: Exception) -> str:
    return report(session, text, f"the generated kernels {', '.join(names)}", error)


def report(session: Session, text: str, what: str, error: Exception) -> str:
    """That a text could not be built, its lines, and what the driver says."""
    numbered = "\n".join(f"{i:5d}  {line}" for i, line in enumerate(text.splitlines(), 1))
    from runtime.complaints import NOISE  # it loads the ops of the user's own
    said = [line for line in str(error).splitlines() if not NOISE.match(line)]
    unkept = crashes.unusable() if session.device.pocl else None
    options = [f"{told()} adds to the options of every build: unset it, if that is what fails"] if told() else []
    log = "\n".join([f"{unkept}: {crashes.CURE}"] if unkept else [*(said or str(error).splitlines()[:1]), *options])
    return f"{session.named} could not build {what}\n{numbered}\n{log}"


def ready(kernel: Built, buffers: int, integers: int, wide: bool) -> Any:
    """A kernel object for one thread at a time, which takes buffers and then integers."""
    made = cl.Kernel(kernel.program, kernel.name)
    made.set_scalar_arg_dtypes([None] * buffers + [np.dtype(np.int64 if wide else np.int32)] * integers)
    return made


def check_group(kernel: Any, session: Session, local: Sequence[int]) -> None:
    """GroupLimit where a kernel, as it was built, does not fit the groups that it is for: registers and local memory count too."""
    items = math.prod(local)
    if items == 1:
        return
    info, handle = cl.kernel_work_group_info, session.device.handle
    limit = int(kernel.get_work_group_info(info.WORK_GROUP_SIZE, handle))
    if limit < items:
        raise GroupLimit(max(limit, 1))
    if int(kernel.get_work_group_info(info.LOCAL_MEM_SIZE, handle)) > session.device.target.local_bytes:
        raise GroupLimit(items // 2)
