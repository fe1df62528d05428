"""Files that are kept between processes: where they lie, and how one is written so that nobody ever reads half of it."""
from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER = "EXPRGRAPH_CACHE"
"""Where files are kept; by default exprgraph/ in the user's folder for caches."""


def folder() -> Path:
    """The folder of the files."""
    own = os.environ.get(FOLDER)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(own or base).expanduser() / ("" if own else "exprgraph")
    except RuntimeError:  # nobody's home is known
        return Path(os.devnull) / "exprgraph"  # where nothing can be written


def replace(path: Path, text: str) -> None:
    """Write a file anew: others see what was there before or all of the new text; OSError where that cannot be done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def writable() -> str | None:
    """None where files can be written, otherwise why not."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder()):
            return None
    except OSError as error:
        return str(error)
