"""Loops that run again where they must: first with functions that are right for usual arguments, then, if one was not, with the others.

A rare case costs a vector loop nothing only if it is not in the loop at all.  The first run reports that it met one; the second, with
the functions that are right everywhere, writes the same elements again.  Both give the same bits for usual arguments.
"""
from __future__ import annotations

import re
from collections.abc import Sequence

from codegen.kernel import Alloc, Flag, If, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.order import postorder, writes_of

_RARE = re.compile(r"\beg_(sin|cos|tan)_(f32|f64)\(")


def repeatable(body: tuple[Stmt, ...]) -> bool:
    """Whether statements can run twice: they write nothing that they read."""
    inside = list(walk(body))
    own = {s.name for s in inside if isinstance(s, Alloc)}
    read = {str(e.value) for e in postorder(e for s in inside for e in exprs_of(s)) if e.kind in ("load", "var")}
    return all(isinstance(s, Let | Store | If | Flag | Alloc | Loop) for s in inside) and not (writes_of(body) - own) & read


def again(lines: Sequence[str], flag: str) -> list[str]:
    """The lines of a loop, run again if `flag` is set by then; unchanged where they call no function that has a rare case."""
    usual = [_RARE.sub(rf"eg_near\1_\2(&{flag}, ", line) for line in lines]
    return [f"int {flag} = 0;", *usual, f"if ({flag}) {{", *lines, "}"] if usual != list(lines) else list(lines)
