"""Index expressions as offsets and coefficients, which is what strides can say."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codegen.kernel import Expr
from exprgraph.dims import Dim, constant


def affine(expr: Expr, variables: Sequence[Expr]) -> tuple[Dim, tuple[Dim, ...]] | None:
    """The expression as offset + sum(coefficient * variable) with Dims, or None where it is not of that form."""
    zero = constant(0)
    done: dict[int, tuple[Dim, tuple[Dim, ...]] | None] = {}
    todo = [expr]
    while todo:
        top = todo[-1]
        waiting = [a for a in top.args if id(a) not in done]
        if waiting and top.kind == "op":
            todo += waiting
            continue
        todo.pop()
        if top.kind in ("dim", "lit"):
            done[id(top)] = (top.value if isinstance(top.value, Dim) else constant(top.value), (zero,) * len(variables))
        elif top.kind == "var":
            done[id(top)] = (zero, tuple(constant(int(v is top)) for v in variables)) if any(v is top for v in variables) else None
        else:
            done[id(top)] = _combine_affine(top, [done.get(id(a)) for a in top.args]) if top.kind == "op" else None
    return done[id(expr)]


def _combine_affine(top: Expr, parts: list[Any]) -> tuple[Dim, tuple[Dim, ...]] | None:
    if any(p is None for p in parts) or top.value not in ("add", "sub", "mul"):
        return None
    (a, x), (c, y) = parts
    if top.value == "add":
        return a + c, tuple(p + q for p, q in zip(x, y))
    if top.value == "sub":
        return a - c, tuple(p - q for p, q in zip(x, y))
    if all(p == 0 for p in y):
        return a * c, tuple(p * c for p in x)
    return (a * c, tuple(a * q for q in y)) if all(p == 0 for p in x) else None
