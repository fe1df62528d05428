"""Faults beside the work: an innermost loop that can meet faults notes only whether it met one, and a second loop finds out which.

What reports a fault is a branch with an atomic operation, which no compiler makes vectors of.  A disjunction it does; and the second loop,
which has nothing to do but to look for the first fault, runs in calls that raise an error anyway.  A fault that is the same in all
iterations, as that of the row of a table whose elements the loop copies, is looked for before the loop.
"""
from __future__ import annotations

from collections.abc import Iterable

from codegen.kernel import Accumulate, Alloc, Builder, Flag, If, Kernel, Let, Loop, Stmt, Store, exprs_of
from codegen.order import postorder, writes_of
from codegen.schedule.common import Names


def apart(kernel: Kernel) -> Kernel:
    """The kernel with the faults of its innermost loops found by loops of their own."""
    if not kernel.flags:
        return kernel
    return kernel._replace(body=_each(kernel.body, Builder(), Names(kernel)))


def _each(body: Iterable[Stmt], b: Builder, names: Names) -> tuple[Stmt, ...]:
    found: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Loop):
            found += _outside(stmt, b, names) if _suits(stmt) else [stmt._replace(body=_each(stmt.body, b, names))]
        elif isinstance(stmt, If):
            found.append(stmt._replace(then=_each(stmt.then, b, names), orelse=_each(stmt.orelse, b, names)))
        else:
            found.append(stmt)
    return tuple(found)


def _suits(loop: Loop) -> bool:
    """Whether the loop is an innermost one with faults, whose conditions do not rest on what it writes."""
    flags = [s for s in loop.body if isinstance(s, Flag)]
    if not flags or loop.kind not in ("serial", "vector") or not all(isinstance(s, Let | Store | Accumulate | Flag) for s in loop.body):
        return False
    read = {str(e.value) for s in loop.body if isinstance(s, Let | Flag) for e in postorder(exprs_of(s)) if e.kind == "load"}
    return not read & writes_of(loop.body)


def _outside(loop: Loop, b: Builder, names: Names) -> list[Stmt]:
    """The loop without its faults: those that stay the same before it, the others noted."""
    inside = {loop.var, *(s.name for s in loop.body if isinstance(s, Let))}
    same = [s for s in loop.body if isinstance(s, Flag)
            and not any(e.kind == "var" and e.value in inside for e in postorder(exprs_of(s)))]
    rest = loop._replace(body=tuple(s for s in loop.body if not (isinstance(s, Flag) and any(s is f for f in same))))
    before: list[Stmt] = [If(b.less(loop.start, loop.stop), tuple(same))] if same else []
    return [*before, *(_noted(rest, b, names.fresh("fault")) if any(isinstance(s, Flag) for s in rest.body) else [rest])]


def _noted(loop: Loop, b: Builder, name: str) -> list[Stmt]:
    """The loop with a note of whether there was a fault, and the search where there was."""
    at = b.index(0)
    work = [Accumulate((name,), at, "any", (s.condition,)) if isinstance(s, Flag) else s for s in loop.body]
    search = tuple(s for s in loop.body if isinstance(s, Let | Flag))
    return [Alloc(name, "bool", 1, "private", b.lit(False, "bool")), loop._replace(body=tuple(work)),
            If(b.load(name, "bool", at), (loop._replace(kind="serial", body=search),))]
