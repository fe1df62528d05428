"""Sizes as one compiled function: the values of many Dims from those of the leaf atoms that they rest on."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exprgraph.dims import INTEGER, Atom, Dim, calls


def _python(dim: Dim, names: Mapping[str, str]) -> str:
    parts = [" * ".join([str(c)] * (c != 1 or not m) + [names[a.text] for a in m]) for m, c in dim.terms]
    return " + ".join(parts) or "0"


def program(dims: Sequence[Dim], leaves: Sequence[Atom]) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """Compile the Dims into one function from the values of `leaves` (in that order) to the values of the Dims."""
    names = {atom.text: f"v[{i}]" for i, atom in enumerate(leaves)}
    lines = ["def run(v):"]
    for number, call in enumerate(calls(dims)):
        lines.append(f" c{number} = {call.kind}({_python(call.left, names)}, {_python(call.right, names)})")
        names[call.text] = f"c{number}"
    lines.append(f" return ({''.join(_python(d, names) + ', ' for d in dims)})")
    space: dict[str, Any] = dict(INTEGER)
    exec("\n".join(lines), space)  # the source is made of our own atoms only
    made: Callable[[Sequence[int]], tuple[int, ...]] = space["run"]
    return made
