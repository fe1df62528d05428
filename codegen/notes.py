"""Notes as people read them: which operations a kernel does, over which sizes, from which of the user's lines."""
from __future__ import annotations

import os
from collections.abc import Iterable

from codegen.plan import Note
from exprgraph.errors import Source
from exprgraph.readable import readable as readable

SHOWN = 8
Notes = dict[tuple[str, tuple[Source, ...]], dict[Note, None]]
"""Notes by the kernel and the lines that they speak of."""


def noted(notes: Notes, note: Note) -> None:
    """Put a note beside the others of its kernel and lines."""
    notes.setdefault((note.kernel, note.lines), {})[note] = None


def note_text(note: Note) -> str:
    """What a kernel computes, on one line whatever the user's names are."""
    space = " x ".join(readable(d) for d in note.space) or "one element"
    text = f"{_some(note.operations)} over {space}, from {_some(_near(line) for line in note.lines)}"
    return "".join(c if c.isprintable() else " " for c in text).rstrip("\\ ")


def _near(line: Source) -> str:
    """A line of the user's, its file relative to the working directory where it lies below it."""
    return f"{line.file.removeprefix(os.getcwd() + os.sep)}:{line.line}"


def _some(items: Iterable[str]) -> str:
    known = list(items)
    return ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
