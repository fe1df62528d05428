"""Drivers that end the process while they build: a note on disk survives, and who finds one moves the driver's cache away.

A damaged file in PoCL's cache of binaries aborts Python, in every process, for ever.  So its cache lies below ours, unless the user has
put it elsewhere, and a process has a note on disk from the start of a build to the end of the first call of what was built.  The note of
a process that is no more means that it died there; the next process that looks for devices empties that cache.  Only notes of processes
of this very machine count, and the start of a process is part of the name of its note, so ids that are used again do not confuse.
"""
from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from exprgraph import __version__, store
from exprgraph.locks import lock

POCL_CACHE = "POCL_CACHE_DIR"
NOTES = "building"
INVOKERS = "pyopencl.invoker"
CACHES = "XDG_CACHE_HOME"
ROOM = 4 << 20
"""Bytes that have to be free for PoCL's cache: its compiler ends the process where it cannot write."""
CURE = f"unset {POCL_CACHE}, or let it name a folder that you can write to"
REMEMBERED = 16
"""The most notes that wait for somebody to ask the doctor."""


class _State:
    """The note of this process, and the threads that need it."""

    def __init__(self) -> None:
        self.lock = lock()
        self.note: Path | None = None
        self.threads: set[int] = set()
        self.own: list[str] = []


_state = _State()
_depth = threading.local()


def prepare(driver_version: str) -> None:
    """Before devices are listed: choose the place of PoCL's cache, and empty it where a process died while it built.

    Without any place for a cache PoCL has no devices, and pyopencl makes no kernels: where the user's folder for caches cannot be written
    to, this process has one of its own.
    """
    if not _writable(os.environ.get(CACHES) or os.path.expanduser("~/.cache")):
        os.environ[CACHES] = _own()  # pyopencl has files of its own there, and cannot do without
    _invokers()
    if POCL_CACHE not in os.environ:
        place = _place(driver_version)
        if place is not None:
            os.environ[POCL_CACHE] = str(place)
            if unusable() is not None:
                os.environ[POCL_CACHE] = _own()
    notes = dead()
    for note in notes:
        _react(note, len(notes) > REMEMBERED)


def unusable() -> str | None:
    """Why PoCL cannot keep what it builds where the environment says, without which it builds nothing; None where it can."""
    place = os.environ.get(POCL_CACHE)
    try:
        problem = None if place is None else _problem(place)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    return None if problem is None else f"{POCL_CACHE}={place:.200} cannot hold what PoCL builds ({problem}), and so it builds nothing"


def _problem(place: str) -> str | None:
    if not place:
        return "it is empty"
    if os.path.exists(place) and not os.path.isdir(place):
        return "it is no folder"
    os.makedirs(place, mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=place):
        pass
    return "its disk is full" if shutil.disk_usage(place).free < ROOM else None


def _invokers() -> None:
    """Load what pyopencl makes kernels with, which it keeps in files: where they are damaged, this process has others of its own."""
    try:
        importlib.import_module(INVOKERS)
    except ImportError:  # a pyopencl that has no such module
        return
    except Exception:  # whatever a damaged file leads to
        os.environ[CACHES] = _own()
        sys.modules.pop(INVOKERS, None)
        importlib.import_module(INVOKERS)


def ours(cache: str) -> bool:
    """Whether a cache of the driver is one that this project has put there: a user's own is left alone."""
    return Path(cache).parent == store.folder() and Path(cache).name.startswith("pocl-")


def _place(driver_version: str) -> Path | None:
    """A folder below ours; where nothing is kept there, None for PoCL's own place."""
    base = store.folder()
    if base is not None and store.usable(base):
        place = base / f"pocl-{__version__}-{driver_version}"
        with contextlib.suppress(OSError):
            place.mkdir(exist_ok=True, mode=0o700)
            if os.access(place, os.W_OK) and store.fault(os.stat(place)) is None:
                return place
    return None


def _own() -> str:
    """A folder for this process alone."""
    own = tempfile.mkdtemp(prefix="exprgraph-caches-")
    _state.own.append(own)
    atexit.register(_remove, own)
    return own


def private() -> bool:
    """Whether PoCL's cache goes when this process ends."""
    return os.environ.get(POCL_CACHE, "").startswith(tuple(_state.own))


def _writable(folder: str) -> bool:
    """Whether a folder can be written to, or made."""
    while not os.path.exists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def _remove(folder: str | Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _notes() -> Path | None:
    base = store.folder()
    return None if base is None else base / NOTES


def dead() -> list[Path]:
    """The notes of processes of this machine that are no more."""
    place = _notes()
    try:
        names = os.listdir(place) if place is not None else []
    except OSError:
        return []
    here = f"{_machine()}-"
    return [place / name for name in names if place is not None and name.startswith(here) and not alive(name)]


def myself() -> str:
    """A name for this process that no other one has or will have."""
    return f"{_machine()}-{os.getpid()}-{_start(os.getpid())}"


def alive(name: str) -> bool:
    """Whether the process of that name lives, as far as can be told here."""
    machine, _, rest = name.partition("-")
    pid, _, start = rest.partition("-")
    return machine != _machine() or (pid.isdigit() and _start(pid) == start)


def _react(note: Path, many: bool) -> None:
    """Empty the cache that a dead process used, then forget the note; one that speaks of a user's own cache is left to the doctor, unless
    there are many."""
    with contextlib.suppress(OSError):
        cache = note.read_text().strip()
        if cache and ours(cache):
            empty(Path(cache))
        if many or not cache or ours(cache):
            note.unlink()


def empty(cache: Path) -> None:
    """Move all that lies in a driver's cache away and delete it; the folder stays for processes that use it."""
    try:
        entries = os.listdir(cache)
        gone = Path(tempfile.mkdtemp(prefix=f".{cache.name}-", dir=cache.parent))
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):  # another process moves it
            os.rename(cache / entry, gone / entry)
    _remove(gone)


def building() -> None:
    """From here to the end of the outermost `settling` of this thread: if the process ends before, that is known."""
    if getattr(_depth, "of", 0):
        with _state.lock:
            _state.threads.add(threading.get_ident())
            if _state.note is None:
                _state.note = _write(myself())


@contextlib.contextmanager
def settling() -> Iterator[None]:
    """What is built within has run at the end."""
    _depth.of = getattr(_depth, "of", 0) + 1
    try:
        yield
    finally:
        _depth.of -= 1
        if not _depth.of and _state.threads:
            _settled()


def _settled() -> None:
    with _state.lock:
        _state.threads.discard(threading.get_ident())
        if not _state.threads and _state.note is not None:
            with contextlib.suppress(OSError):
                _state.note.unlink()
            _state.note = None


def spoilt() -> None:
    """The driver's cache is damaged, though this process lives: a note as of one that does not."""
    _write(f"{_machine()}-0-0")


def _write(name: str) -> Path | None:
    """A note under this name, with the place of the driver's cache."""
    place = _notes()
    if place is None:
        return None
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        (place / name).write_text(os.environ.get(POCL_CACHE, ""))
    except OSError:
        return None
    return place / name


@lru_cache(maxsize=1)
def _machine() -> str:
    """What tells this machine, since it was started, from others: ids of processes mean something within it alone."""
    parts = [os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")]
    with contextlib.suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return store.digest_of("\0".join(parts).encode()).decode()[:12]


def _start(pid: int | str) -> str:
    """When a process started, as the system counts; "" where there is no such process, "0" where only that it lives is known."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return ""
    except (OSError, ValueError):
        pass
    return "0"


def _forget() -> None:
    """In a forked child: the note is the parent's."""
    _state.note = None
    _state.threads.clear()


def _leave() -> None:
    """The process ends by itself, whatever its other threads are at."""
    _state.threads.clear()
    _settled()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
