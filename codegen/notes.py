"""Notes as people read them: which operations a kernel does, over which sizes, from which of the user's lines."""
from __future__ import annotations

import os
from collections.abc import Iterable

from codegen.plan import Note
from exprgraph.dims import Call, Dim, Size, Stride
from exprgraph.errors import Source

SHOWN = 8


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


def readable(dim: Dim) -> str:
    """A Dim in terms of the shapes and values of the inputs."""
    parts = []
    for monomial, coefficient in dim.terms:
        factors = [str(coefficient)] * (coefficient != 1 or not monomial) + [_atom(a) for a in monomial]
        parts.append(" * ".join(factors))
    return " + ".join(parts) or "0"


def _atom(atom: object) -> str:
    if isinstance(atom, Call):
        return f"{atom.kind}({readable(atom.left)}, {readable(atom.right)})"
    name = getattr(atom, "source").name or "input"  # noqa: B009  (every leaf atom has a source)
    if isinstance(atom, Size):
        return f"{name}.shape[{atom.axis}]"
    return f"{name}.strides[{atom.axis}]" if isinstance(atom, Stride) else str(name)
