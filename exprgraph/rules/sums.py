"""SUMS: rules that keep every product and every term of a sum and add them in another order, so that only the rounding differs.

A fold has no order of its own as written, and a product of matrices none at all; NaN and infinities come out alike where terms do not
overflow in one order alone.  What adds in another order *as written*, (a + b) - a, is never touched.
"""
from __future__ import annotations

from exprgraph.node import Out, Params
from exprgraph.ops.arithmetic import add, mul
from exprgraph.patterns import Rule, some, tagged
from exprgraph.rules.indexing import cuts_of, inner_alone, read, slice_of
from exprgraph.rules.reductions import fold_rules, fold_stacked, turned

KINDS = "fiu"
NARROW = ("float16", "bfloat16")
"""A fold of these adds in float32 and rounds once; their sums one by one would round, and overflow, after each."""


def join_sum(x: Out, y: Out) -> Out:
    """Two terms."""
    return add.apply((x, y))


def sum_stacked(p: Params, q: Params, rest: tuple[Out, ...], root: Out) -> Out | None:
    """The sum of few tensors in place of that of their stack."""
    return None if root.dtype in NARROW else fold_stacked("sum", join_sum, p, q, rest, root)


def slice_product(x: Out, y: Out, q: Params, more: tuple[Out, ...]) -> Out | None:
    """The product of some rows and some columns in place of some elements of a product."""
    rank, cuts = max(x.ndim, y.ndim), dict(cuts_of(q, more))
    rows, columns = cuts.pop(rank - 2, None), cuts.pop(rank - 1, None)
    if cuts:
        return None
    left = x if rows is None else read(x, {x.ndim - 2: rows})
    right = y if columns is None else read(y, {y.ndim - 1: columns})
    return some("matmul", (), left, right)


def swapped(x: Out) -> Out:
    """x with its last two axes exchanged, without the exchange where it is one."""
    axes = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    if x.node.op.name == "dimshuffle" and dict(x.node.params)["pattern"] == axes:
        return x.node.inputs[0]
    return turned(x, axes)


def product_turned(x: Out, y: Out, p: Params, root: Out) -> Out | None:
    """y.T @ x.T in place of (x @ y).T, where that leaves no transpose behind."""
    a, b = swapped(x), swapped(y)
    turn = dict(p)["pattern"]
    if turn != (*range(root.ndim - 2), root.ndim - 1, root.ndim - 2) or "dimshuffle" in (a.node.op.name, b.node.op.name):
        return None
    return some("matmul", (), b, a)


def roles(x: Out, y: Out, axes: tuple[int, ...], rank: int) -> dict[str, list[int]] | None:
    """Which axes of a product of broadcast operands are summed, of x alone, of y alone, and of both; None where that is not sure."""
    found: dict[str, list[int]] = {"summed": [], "left": [], "right": [], "both": []}
    for axis in range(rank):
        one, other = ([o.type.shape[a].const == 1 if (a := axis - rank + o.ndim) >= 0 else True for o in (x, y)])
        if not one and not other:
            if x.type.shape[axis - rank + x.ndim] != y.type.shape[axis - rank + y.ndim]:
                return None
            found["summed" if axis in axes else "both"].append(axis)
        elif axis in axes:
            return None
        elif one != other:
            found["right" if one else "left"].append(axis)
        else:
            found["both"].append(axis)
    return found


def as_product(x: Out, y: Out, p: Params, root: Out) -> Out | None:
    """A product of matrices in place of a sum over the outer products of broadcast operands, which nothing has to hold then."""
    axes, rank = dict(p)["axis"], root.node.inputs[0].ndim
    found = roles(x, y, axes, rank)
    if found is None or not len(found["summed"]) == len(found["left"]) == len(found["right"]) == 1:
        return None
    (k,), (m,), (n,), batch = found["summed"], found["left"], found["right"], found["both"]
    a, b = placed(x, (*batch, m, k), rank), placed(y, (*batch, k, n), rank)
    order = [*batch, m, n]
    shown = [axis for axis in range(rank) if dict(p)["keepdims"] or axis not in axes]
    return turned(some("matmul", (), a, b), tuple(order.index(axis) if axis in order else -1 for axis in shown))


def placed(x: Out, axes: tuple[int, ...], rank: int) -> Out:
    """The operand with these axes of the product, those that it has not being of length 1."""
    own = [axis - rank + x.ndim for axis in axes]
    return turned(x, tuple(max(a, -1) for a in own))


FOLDS = tagged("sums reductions", (
    *(r for name in ("sum", "prod") for r in fold_rules(name, KINDS)), slice_of("sum"), slice_of("prod"),
    Rule("sum of stack", lambda p, q, rest: some("sum", q, some("concat", p, rest)), lambda p, q, rest, root: sum_stacked(p, q, rest, root),
         kinds=KINDS, why="nothing has to be joined"),
))
PRODUCTS = tagged("sums products", (
    Rule("sum(x * y)", lambda x, y, p: some("sum", p, mul(x, y)), lambda x, y, p, root: as_product(x, y, p, root), inner_alone, kinds=KINDS,
         why="a product of matrices, which nothing has to hold the outer products of"),
    Rule("slice of matmul", lambda x, y, p, q, more: some("subtensor", q, some("matmul", p, x, y), more),
         lambda x, y, q, more: slice_product(x, y, q, more), inner_alone, kinds=KINDS, why="rows and columns that nothing reads"),
    Rule("dimshuffle of matmul", lambda x, y, p, q: some("dimshuffle", p, some("matmul", q, x, y)),
         lambda x, y, p, root: product_turned(x, y, p, root), inner_alone, kinds=KINDS, why="three transposes fewer"),
))
SUMS: tuple[Rule, ...] = (*FOLDS, *PRODUCTS)
"""All rules about the order of sums, in the order in which they are tried."""
