"""Loops that run again where they must: first with functions that are right for usual arguments, then, if one was not, with the others.

A rare case costs a vector loop nothing only if it is not in the loop at all.  The first run reports that it met one; the second, with
the functions that are right everywhere, writes the same elements again.  Both give the same bits for usual arguments.
"""
from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence

from codegen.kernel import Accumulate, Alloc, If, Let, Loop, Stmt, Store, exprs_of, walk
from codegen.order import postorder, writes_of

_RARE = re.compile(r"\beg_(sin|cos|tan|pow|mod|floordiv)_(f32|f64)\(")


def met(lines: Sequence[str]) -> bool:
    """Whether lines call a function that has a rare case."""
    return any("eg_" in line and _RARE.search(line) for line in lines)


def carried(body: tuple[Stmt, ...], scalars: Container[str]) -> list[str] | None:
    """What has to be as it was before statements can run a second time: private scalars that they read and write.  None where they
    read and write anything else, or report faults: the first run must not, of values that are of no use."""
    inside = walk(body)
    own = {s.name for s in inside if isinstance(s, Alloc)}
    read = {str(e.value) for e in postorder(e for s in inside for e in exprs_of(s)) if e.kind in ("load", "var")}
    sums = {t for s in inside if isinstance(s, Accumulate) for t in s.targets}
    found = sorted((writes_of(body) - own) & (read | sums))
    known = all(isinstance(s, Let | Store | Accumulate | If | Alloc | Loop) for s in inside)
    return found if known and all(name in scalars for name in found) else None


def again(lines: Sequence[str], flag: str, before: Mapping[str, tuple[str, str]]) -> list[str]:
    """The lines of a loop, run again if `flag` is set by then; unchanged where they call no function that has a rare case.

    before: what the loop carries, each with its C type and the name of a copy.
    """
    usual = [_RARE.sub(rf"eg_near\1_\2(&{flag}, ", line) for line in lines]
    if usual == list(lines):
        return usual
    kept = [f"const {kind} {copy} = {name};" for name, (kind, copy) in before.items()]
    back = [f"{name} = {copy};" for name, (_, copy) in before.items()]
    margin, step = lines[0][:len(lines[0]) - len(lines[0].lstrip())], "    "
    inside = [*(step + margin + line for line in (f"int {flag} = 0;", *kept)), *(step + line for line in usual),
              f"{step}{margin}if ({flag}) {{", *(2 * step + margin + line for line in back), *(2 * step + line for line in lines),
              f"{step}{margin}}}"]
    return [margin + "{", *inside, margin + "}"]
