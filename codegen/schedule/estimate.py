"""The time that a kernel takes on one core, estimated from its unscheduled tree: what decides on which of two devices it runs.

The weights are picoseconds per innermost iteration of a vectorised loop on data in a cache, measured on PoCL; only the order of magnitude
counts, since a wrong choice between a single thread and many costs some ten microseconds.
"""
from __future__ import annotations

from codegen.kernel import INDEX, Accumulate, Atomic, Barrier, Expr, If, Loop, Stmt, exprs_of
from codegen.schedule.common import extent
from exprgraph.dims import Dim, constant, maximum, product
from exprgraph.node import Node, Op
from exprgraph.ops.table import ROWS
from exprgraph.weights import INDEX_DIVISION, WIDE, weight, width

ACCESS, GATHER, MERGE, ATOMIC = 30, 400, 40, 5000
PREFIX, PRODUCT, PACK = 250, 18, 120
"""The like for an element of a prefix scan, a multiplication of a product and an element of its factors, whose trees are born scheduled."""


def picoseconds(body: tuple[Stmt, ...]) -> Dim:
    """About how long one core is busy; loops of unknown length count as one iteration."""
    total, own, seen = constant(0), 0, set[Expr]()
    for stmt in body:
        if isinstance(stmt, Loop):
            length = extent(stmt)
            total = total + picoseconds(stmt.body) * (1 if length is None else length)
        elif isinstance(stmt, If):
            total = total + maximum(picoseconds(stmt.then), picoseconds(stmt.orelse))
        if not isinstance(stmt, Loop | Barrier):
            own += _statement(stmt) + sum(_operation(e) for root in exprs_of(stmt) for e in _new(root, seen))
    return total + own


def product_work(node: Node) -> tuple[Dim, Dim]:
    """The like for packing the factors of a matmul, and for multiplying."""
    shape, k = node.outs[0].shape, node.inputs[0].type.shape[-1]
    wide = 2 if node.outs[0].dtype in WIDE else 1
    return product((*shape[:-2], shape[-2] + shape[-1], k)) * (PACK * wide), product((*shape, k)) * (PRODUCT * wide)


def _new(root: Expr, seen: set[Expr]) -> list[Expr]:
    """What is in an expression and not yet in `seen`, to which it is added: equal expressions of a block are computed once."""
    found, todo = [], [root]
    while todo:
        top = todo.pop()
        if top not in seen:
            seen.add(top)
            found.append(top)
            todo += top.args
    return found


def _statement(stmt: Stmt) -> int:
    if isinstance(stmt, Atomic):
        return ATOMIC
    return MERGE * len(stmt.targets) if isinstance(stmt, Accumulate) else ACCESS


def _operation(expr: Expr) -> int:
    if expr.kind == "load":
        return (GATHER if any(e.kind == "load" for e in _new(expr.args[0], set())) else ACCESS) * width(expr.dtype)
    if expr.kind != "op":
        return 0
    if expr.dtype == INDEX:
        return INDEX_DIVISION if expr.value in ("int_div", "mod") else 0
    row = expr.value if isinstance(expr.value, Op) else ROWS[expr.value]
    return weight(row, expr.dtype)
