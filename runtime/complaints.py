"""What a driver says of C text of the user's own, in the words and lines of that text."""
from __future__ import annotations

import re
from collections.abc import Sequence

from codegen.snippets import PLACES
from exprgraph.errors import OwnOpError, at, defined
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.own.body import UNNAMED
from exprgraph.own.elementwise import TextOp
from exprgraph.own.reduction import FoldOp
from exprgraph.own.text import Snippet
from exprgraph.own.text import mentioned as snippets_of

__all__ = ["NOISE", "TextError", "complaints", "snippets_of"]

_PLACE = re.compile(r"(?:^|[\s\"])(" + "|".join(PLACES) + r")\"?(?:, line |:)(\d+)(?::\d+)?: *(.*)")
NOISE = re.compile(r"\s*(?:$|=====|Build on <|\(options:|\(source saved|\d+ (?:error|warning)s?.* generated|clBuildProgram failed|"
                   r"Device .* failed to build|Build succeeded|Logs:)")
"""Lines of a driver's log, or of pyopencl's, that say nothing about the text."""
_RENAMED = re.compile(r"\bown_[0-9a-f]{16}_")


class TextError(OwnOpError):
    """C text that could not be built.  snippet: the text; device: whose driver says what about it."""

    def __init__(self, snippet: Snippet, device: str, said: str) -> None:
        super().__init__(_message(device, snippet.name, said) + defined(snippet.source))
        self.snippet, self.device, self.said = snippet, device, said

    def called(self, graph: Graph) -> OwnOpError:
        """The error in the name of the first call in a graph, with its line: equal texts of several kernels are one snippet."""
        rows = [(n, n.op.fold.merge if isinstance(n.op, FoldOp) else n.op) for n in order(graph.outputs)]
        for node, op in rows:
            if isinstance(op, TextOp) and op.c["*"].startswith(self.snippet.functions):
                return OwnOpError(_message(self.device, op.name, self.said) + at(node.source) + defined(op.source))
        return self


def _message(device: str, name: str, said: str) -> str:
    return f"{device} could not build the text of {name}\n{said}"


def complaints(snippet: Snippet, log: str) -> list[str]:
    """A line for each error: where it is in the user's text, what it is, and that line of the text; the log where none is understood."""
    lines = [line for line in log.splitlines() if not NOISE.match(line)]
    places = [m.groups() for m in map(_PLACE.search, lines) if m and not m.group(3).startswith(("warning", "note"))]
    return list(dict.fromkeys(_said(snippet, p) for p in places)) or [_spoken(line) for line in lines]


def _spoken(line: str) -> str:
    """A driver's line in the names of the user."""
    return _RENAMED.sub("", line).replace(UNNAMED, "the result")


def _said(snippet: Snippet, found: Sequence[str]) -> str:
    place, number, message = found
    message = _spoken(re.sub(r"^(?:fatal )?error: *", "", message))
    if place not in PLACES[:2]:
        return f"  {message}"
    lines = snippet.texts[PLACES.index(place)].splitlines()
    shown = lines[int(number) - 1].strip() if 0 < int(number) <= len(lines) else ""
    return f"  {'the preamble, ' * (place == PLACES[0])}line {number}: {message}\n      {shown}".rstrip()
