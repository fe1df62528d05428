"""Machine code that PoCL has on disk, loaded by a later process without a build.

PoCL looks into its own cache only after its preprocessor has read the program, some 30 ms for each, however small.  Native calls
need of a program only where its functions lie, in one file of that cache.  So the name of the file, its digest and the places in it
are kept, by all that the driver makes code from.  A later process loads that very file; where it is gone, changed, or loaded otherwise
than it was, the program is built as ever.  A changed file is removed first, if the cache is ours: it would end the process.
"""
from __future__ import annotations

import json
import os
from pathlib import Path

from exprgraph import keys
from exprgraph.store import Store, digest_of
from runtime import crashes, pins, pocl
from runtime.device import Session
from runtime.pins import Found

MACHINE = Store("machine")
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
        pin = pins.pinned(file) if _whole(file, told["digest"]) and len(places) == count else None
    except DAMAGED:
        pin = None
    found = None if pin is None else pins.at(pin, file, places)
    if found is None:
        MACHINE.drop(name)
    return found


def remember(session: Session, text: str, found: Found | None) -> None:
    """Keep where the functions of a program lie, if that is one file."""
    told = None if found is None else pins.places(found.addresses)
    if told is None:
        return
    file, places = told
    try:
        content = json.dumps({"file": os.fsdecode(file), "digest": _digest(file), "places": places})
    except DAMAGED:
        return
    MACHINE.put(_name(session, text), content.encode())


def _name(session: Session, text: str) -> str:
    """The key of a program: its text, the device, the driver, the instructions of this CPU, and what the environment tells PoCL."""
    device, machine = session.device, os.uname().nodename if hasattr(os, "uname") else ""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("POCL_"))
    return keys.digest([text, device.name, device.platform, device.version, device.driver, device.options, machine, settings,
                        sorted(pocl.instructions())])


def _whole(file: bytes, digest: str) -> bool:
    """Whether a file is as it was; where it is not, the driver must not find it either."""
    whole, path = _digest(file) == digest, Path(os.fsdecode(file))
    cache = Path(os.environ.get(crashes.POCL_CACHE, ""))
    if not whole and crashes.ours(str(cache)) and cache in path.parents:
        path.unlink()
    return whole


def _digest(file: bytes) -> str:
    return digest_of(Path(os.fsdecode(file)).read_bytes()).decode()
