"""Entries on disk: bytes by key, without locks; what is half-written, damaged, foreign or old is a miss that mends itself.

An entry is a file of its own, written under a name that no reader looks for and then renamed; it is never changed.  So any number of
processes may use a folder at once, over NFS too.  Its first line holds the format and a checksum of the rest.  That is no signature: the
kernels in entries are compiled and run, so a folder that others may write to is refused.  A folder that cannot be used costs time only.
"""
from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    from _blake2 import blake2b  # hashlib has the same, but loads OpenSSL for it, which takes longer than all that is done here
except ImportError:
    from hashlib import blake2b

from exprgraph.config import config
from exprgraph.named import NamedTuple
from exprgraph.warned import warn

FORMAT = b"exprgraph entry 1 "
SUFFIX, UNFINISHED = ".entry", ".unfinished-"
SWEEP_SHARE, SWEEP_COUNT, SWEEP_PART = 64, 256, 8
"""After so small a share of `config.cache_bytes`, or so many entries of its own, a process looks whether the bound is kept; where it has
found many entries, which take long to look through, after so small a part of as many."""
STALE = 3600.0
"""Seconds after which an unfinished file is nobody's any more."""
DAY = 86400.0
_log = logging.getLogger("exprgraph.store")
_warned: set[str] = set()


def digest_of(*parts: bytes) -> bytes:
    """The digest of some bytes, in hexadecimal."""
    found = blake2b(digest_size=32)
    for part in parts:
        found.update(part)
    return found.hexdigest().encode()


class Swept(NamedTuple):
    """How many files are gone, and how many entries are left."""
    gone: int
    left: int


class Entry(NamedTuple):
    """A file of an entry: where it is, its size in bytes, when it was last of use (seconds since 1970)."""
    path: Path
    size: int
    used: float


def folder() -> Path | None:
    """The folder of all files, `config.cache`; None where nothing shall be kept."""
    own = config.cache
    if own.lower() == "off":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(own).expanduser() if own else Path(base).expanduser() / "exprgraph"
    except RuntimeError:  # nobody knows where the user's home is
        return None


def usable(path: Path) -> bool:
    """Whether a folder may hold what is compiled and run: it is made if need be, and nobody but its owner, this user, may write to it.

    Where it may not, a warning says so once.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.stat(path)
    except OSError as error:
        return _refused(path, f"cannot be used: {error.strerror or error}")
    reason = fault(found)
    return reason is None or _refused(path, reason)


def fault(found: os.stat_result) -> str | None:
    """Why nothing may be run that lies in a folder, by what `os.stat` says of it; None where it may."""
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return "belongs to another user"
    if os.name == "posix" and found.st_mode & stat.S_IWOTH:
        return "can be written to by every user: take that right away (chmod o-w)"
    if os.name == "posix" and found.st_mode & stat.S_IWGRP and not alone(found.st_gid):
        return "can be written to by its group: take that right away (chmod g-w)"
    return None


def alone(group: int) -> bool:
    """Whether a group is this user's own, as many systems make one for each."""
    import grp  # rarely needed
    import pwd
    try:
        name, known = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return known.gr_name == name and set(known.gr_mem) <= {name}


def _sound(path: Path) -> bool:
    """Whether a folder, if it is there, may hold what is run."""
    try:
        reason = fault(os.stat(path))
    except OSError:
        return True
    return reason is None or _refused(path, reason)


def _refused(path: Path, reason: str) -> bool:
    if reason not in _warned:
        _warned.add(reason)
        warn(f"nothing is kept between processes: the folder {str(path):.200} {reason} (EXPRGRAPH_CACHE names another one, "
             "EXPRGRAPH_CACHE=off keeps nothing without a warning)", RuntimeWarning)
    return False


class Store:
    """The entries of one kind, "graph" or "plan" for example, in the folder of this moment."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._sound: dict[Path, bool] = {}
        self._bytes, self._count, self._most = 0, 0, SWEEP_COUNT

    def path(self, key: str) -> Path | None:
        """The file of an entry; None where there is no folder to use."""
        base = folder()
        if base is None:
            return None
        if base not in self._sound:
            self._sound[base] = usable(base) and _sound(base / f"{self.kind}s")
        return base / f"{self.kind}s" / key[:2] / (key[2:] + SUFFIX) if self._sound[base] else None

    def get(self, key: str) -> bytes | None:
        """What was kept under a key; None where that is nothing, or cannot be trusted, and then it is removed."""
        path = self.path(key)
        if path is None:
            return None
        try:
            found = path.read_bytes()
        except OSError:
            return None
        content = verified(found)
        if content is None:
            self.drop(key)
            return None
        with contextlib.suppress(OSError):
            if time.time() - os.stat(path).st_mtime > DAY:
                os.utime(path)
        return content

    def drop(self, key: str) -> None:
        """Remove an entry that turned out to be of no use."""
        path = self.path(key)
        if path is not None:
            _log.debug("the entry %s is damaged or foreign and is made anew", path)
            with contextlib.suppress(OSError):
                path.unlink()

    def put(self, key: str, content: bytes) -> None:
        """Keep some bytes under a key; where that is not possible a warning says so once, and nothing else happens."""
        path = self.path(key)
        if path is None:
            return
        try:
            for place in (path.parent.parent, path.parent):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            written_whole(path, sealed(content))
        except OSError as error:
            _refused(path.parent.parent.parent, f"takes no more files: {error.strerror or error}")
            return
        self._bytes, self._count = self._bytes + len(content), self._count + 1
        if self._bytes > config.cache_bytes // SWEEP_SHARE or self._count > self._most:
            self._bytes, self._count = 0, 0
            self._most = max(SWEEP_COUNT, sweep(path.parent.parent.parent).left // SWEEP_PART)


def sealed(content: bytes) -> bytes:
    """The file of an entry."""
    return FORMAT + digest_of(content) + b"\n" + content


def verified(found: bytes) -> bytes | None:
    """The content of an entry's file, None where it is not as it was written."""
    head, _, content = found.partition(b"\n")
    return content if head == FORMAT + digest_of(content) else None


def written_whole(path: Path, content: bytes) -> None:
    """Write a file under a name of its own, then rename it, so that nobody reads a part; OSError."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise


def files(base: Path) -> Iterator[Entry]:
    """All files below a folder that are entries, or were going to be; those that vanish meanwhile are left out."""
    for kind in _folders(base, "s"):
        for part in _folders(kind, ""):
            with contextlib.suppress(OSError), os.scandir(part) as found:
                for item in found:
                    if item.name.endswith(SUFFIX) or item.name.startswith(UNFINISHED):
                        with contextlib.suppress(OSError):
                            told = item.stat(follow_symlinks=False)
                            yield Entry(Path(item.path), told.st_size, told.st_mtime)


def _folders(base: Path, ending: str) -> list[Path]:
    try:
        with os.scandir(base) as found:
            return sorted(Path(i.path) for i in found if i.is_dir(follow_symlinks=False) and i.name.endswith(ending))
    except OSError:
        return []


def sweep(base: Path, bound: int | None = None) -> Swept:
    """Remove unfinished files that nobody works on, then the entries that were of no use for the longest time, until all take at most
    `bound` bytes, `config.cache_bytes` for None."""
    known = sorted(files(base), key=lambda e: e.used)
    gone = [e for e in known if e.path.name.startswith(UNFINISHED) and time.time() - e.used > STALE]
    kept = [e for e in known if e.path.name.endswith(SUFFIX)]
    total = sum(e.size for e in kept)
    old = 0
    while old < len(kept) and total > (config.cache_bytes if bound is None else bound):
        total -= kept[old].size
        old += 1
    gone += kept[:old]
    for entry in gone:
        with contextlib.suppress(OSError):
            entry.path.unlink()
    return Swept(len(gone), len(kept) - old)
