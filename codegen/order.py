"""Walks over expressions and statements that printer and interpreter share."""
from __future__ import annotations

from collections.abc import Container, Iterable

from codegen.kernel import Accumulate, Atomic, Expr, Outer, Prefix, Stmt, Store, walk


def postorder(roots: Iterable[Expr], stop: Container[Expr] = ()) -> list[Expr]:
    """Every expression below the roots once, operands first; those in `stop` without what is below them."""
    done: dict[Expr, None] = {}
    todo = list(roots)[::-1]
    while todo:
        top = todo[-1]
        waiting = [] if top in done or top in stop else [a for a in top.args if a not in done]
        if waiting:
            todo += waiting[::-1]
        else:
            done[todo.pop()] = None
    return list(done)


def writes_of(body: Iterable[Stmt]) -> set[str]:
    """The buffers and arrays that statements may change."""
    changed: set[str] = set()
    for stmt in walk(tuple(body)):
        if isinstance(stmt, Outer):
            changed.add(stmt.sums)
        changed.update(stmt.targets if isinstance(stmt, Accumulate) else (stmt.buffer,) if isinstance(stmt, Store | Atomic) else
                       (stmt.array,) if isinstance(stmt, Prefix) else ())
    return changed
