"""Machine code that PoCL has on disk, loaded by a later process without a build.

PoCL looks into its own cache only after its preprocessor has read the program, some 10 ms for each, however small.  Native calls
need of a program only where its functions lie, in one file of that cache.  So the name of the file, its digest and the places in it
are kept, by all that the driver makes code from.  A later process loads that very file; where it is gone, changed, or loaded otherwise
than it was, the program is built as ever.  A changed file must not reach the driver either, where it would end the process or compute
nonsense: it is removed if the cache is ours, and else the program is built under a name that the driver has never heard of.
"""
from __future__ import annotations

import json
import os
from pathlib import Path

from exprgraph import keys
from exprgraph.store import Store, digest_of
from exprgraph.warned import warn
from runtime import crashes, pins, pocl
from runtime.device import Session
from runtime.driver import OPTIONS
from runtime.pins import Found

MACHINE = Store("machine")
_changed: set[str] = set()
"""Programs of which a file in a cache of the user's own is not what it was."""
DAMAGED = (ValueError, KeyError, TypeError, OSError)


def recalled(session: Session, text: str, count: int) -> Found | None:
    """The functions of a program that some process has built, `count` of them; None where they are not known, or not any more."""
    name = _name(session, text)
    content = MACHINE.get(name)
    if content is None:
        return None
    try:
        told = json.loads(content)
        file, places = os.fsencode(told["file"]), [int(p) for p in told["places"]]
        own = told["text"] == _digest(text.encode()) and len(places) == count
        pin = pins.pinned(file) if own and _whole(name, file, told["digest"]) else None
    except DAMAGED:
        pin = None
    known = None if pin is None else pins.at(pin, file, places)
    if known is None and name not in _changed:  # of those every process has to be told
        MACHINE.drop(name)
    return known


def remember(session: Session, text: str, found: Found | None) -> None:
    """Keep where the functions of a program lie, if that is one file."""
    told = None if found is None else pins.places(found.addresses)
    if told is None or crashes.private():
        return
    file, places = told
    try:
        content = json.dumps({"file": os.fsdecode(file), "digest": _digest(_read(file)), "places": places,
                              "text": _digest(text.encode())})
    except DAMAGED:
        return
    MACHINE.put(_name(session, text), content.encode())


def _name(session: Session, text: str) -> str:
    """The key of a program: its text, the device, the driver, the instructions of this CPU, and what the environment tells the compiler."""
    device = session.device
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("POCL_") or k in OPTIONS)
    return keys.digest([text, device.name, device.platform, device.version, device.driver, device.options, settings,
                        sorted(pocl.instructions())])


def _whole(name: str, file: bytes, digest: str) -> bool:
    """Whether a file is as it was; where it is not, the driver must not find it either."""
    whole, path = _digest(_read(file)) == digest, Path(os.fsdecode(file))
    cache = Path(os.environ.get(crashes.POCL_CACHE, ""))
    if not whole and crashes.ours(str(cache)) and cache in path.parents:
        path.unlink()
    elif not whole and name not in _changed:
        _changed.add(name)
        warn(f"{str(path):.200} is not what PoCL wrote there, and is not used any more: remove it", RuntimeWarning)
    return whole


def found(session: Session, text: str, count: int) -> tuple[Found | None, str]:
    """The functions of a program where they are known, and the text to build it from where they are not: another one, which means the
    same, where a file that the driver would find for it was changed."""
    known = recalled(session, text, count)
    while known is None and _changed and _name(session, text) in _changed:
        text += "\ntypedef int eg_again;\n"
        known = recalled(session, text, count)
    return known, text


def _read(file: bytes) -> bytes:
    return Path(os.fsdecode(file)).read_bytes()


def _digest(content: bytes) -> str:
    return digest_of(content).decode()
