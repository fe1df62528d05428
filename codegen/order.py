"""Walks over expressions and statements that printer and interpreter share."""
from __future__ import annotations

from collections.abc import Container, Iterable

from codegen.kernel import Accumulate, Atomic, Expr, Outer, Prefix, Stmt, Store, walk


def postorder(roots: Iterable[Expr], stop: Container[Expr] = ()) -> list[Expr]:
    """Every expression below the roots once, operands first; those in `stop` without what is below them."""
    done: dict[Expr, None] = {}
    todo = list(roots)[::-1]
    while todo:
        top = todo.pop()
        if top in done:
            continue
        if top.args and top not in stop:
            waiting = []
            for arg in top.args:
                if arg not in done:
                    if arg.args:
                        waiting.append(arg)
                    else:
                        done[arg] = None
            if waiting:
                todo.append(top)
                todo += waiting[::-1]
                continue
        done[top] = None
    return list(done)


def writes_of(body: Iterable[Stmt]) -> set[str]:
    """The buffers and arrays that statements and those inside may change."""
    return written_by(walk(body))


def written_by(statements: Iterable[Stmt]) -> set[str]:
    """The buffers and arrays that these statements by themselves may change."""
    changed: set[str] = set()
    for stmt in statements:
        if isinstance(stmt, Store | Atomic):
            changed.add(stmt.buffer)
        elif isinstance(stmt, Accumulate):
            changed.update(stmt.targets)
        elif isinstance(stmt, Outer):
            changed.add(stmt.sums)
        elif isinstance(stmt, Prefix):
            changed.add(stmt.array)
    return changed
