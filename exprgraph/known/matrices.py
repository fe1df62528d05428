"""Words about matrices: which rows keep triangles and symmetry, masks that are triangles, products with one's own transpose."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exprgraph.dtypes import is_float
from exprgraph.known.arithmetic import Given
from exprgraph.known.record import LOWER, MATRIX, NONE, ORTHOGONAL, PSD, SYMMETRIC, UPPER
from exprgraph.node import CONSTANT, Node, Op, Out, constant_value
from exprgraph.ops.arithmetic import absolute, add, mul, neg, sign, sqr, sqrt, sub
from exprgraph.ops.compare import eq, ge, gt, le, lt, maximum, minimum, relu, switch
from exprgraph.ops.contract import matmul
from exprgraph.ops.create import iota
from exprgraph.ops.index import subtensor
from exprgraph.ops.rounding import cast, ceil, floor, round_half_to_even, trunc
from exprgraph.ops.shape import broadcast_to, dimshuffle

TRIANGLES = (LOWER, UPPER)
OF_ZEROS = (neg, absolute, sqr, sqrt, sign, relu, cast, add, sub, maximum, minimum, floor, ceil, trunc, round_half_to_even)
"""Rows that make zero of zeros."""
ROW, COLUMN = 0, 1


def full(out: Out, node: Node) -> bool:
    """Whether an operand has the matrices of the result: it is not repeated along its last two axes."""
    return out.ndim >= 2 and out.type.shape[-2:] == node.outs[0].shape[-2:]


def single(out: Out) -> bool:
    """Whether every matrix of a result meets one value of this operand."""
    return all(d.const == 1 for d in out.type.shape[-2:])


COMPARED = frozenset((lt, le, gt, ge, eq))
"""Rows that may make masks."""


def elementwise(node: Node, given: Given) -> frozenset[str]:
    """What each element by itself carries on: symmetry of all operands; zeros of those that decide it."""
    if len(node.outs[0].shape) < 2:
        return NONE
    whole = [full(i, node) for i in node.inputs]
    found = {SYMMETRIC} if any(whole) and all(
        SYMMETRIC in f.holds if w else single(i) for f, w, i in zip(given, whole, node.inputs)) else set()
    found |= {w for w in TRIANGLES if _zeros(node, given, whole, w)} | masked(node)
    if node.op is cast:
        found |= given[0].holds & ({ORTHOGONAL, PSD} if is_float(node.outs[0].dtype) or node.inputs[0].dtype == "bool" else NONE)
    return frozenset(found)


def _zeros(node: Node, given: Given, whole: Sequence[bool], word: str) -> bool:
    """Whether the result is zero outside a triangle."""
    zero = [w and word in f.holds or f.low == f.high == 0 for f, w in zip(given, whole)]
    if node.op is switch:
        return all(zero[1:]) or zero[0] and zero[2]
    if node.op is mul:
        return zero[0] and given[1].finite or zero[1] and given[0].finite
    return node.op in OF_ZEROS and all(zero)


def line(out: Out) -> tuple[int, int] | None:
    """Whether a tensor counts rows or columns, and from which number: iota along the last or the last but one of its axes."""
    offset = 0
    while out.node.op in (add, sub):
        (a, b), minus = out.node.inputs, out.node.op is sub
        known, other = (b, a) if b.node.op is CONSTANT else (a, b)
        value = constant_value(known)
        if value is None or value.size != 1 or known.ndim > 2 or (minus and known is a):
            return None
        offset, out = offset + (-1 if minus else 1) * int(value.reshape(-1)[0]), other
    node = out.node
    if node.op is iota:
        return COLUMN, offset
    if node.op is not dimshuffle or node.inputs[0].node.op is not iota or out.dtype not in ("int64", "int32"):
        return None
    pattern = node.param("pattern")
    if len(pattern) == 1 or pattern[-1] == 0:
        return COLUMN, offset
    return (ROW, offset) if pattern[-2] == 0 else None


def band(node: Node) -> tuple[int | None, int | None] | None:
    """Where a comparison of row and column numbers holds: column - row from the first to the second number, None without an end."""
    op = node.op
    if op not in COMPARED:
        return None
    left, right = line(node.inputs[0]), line(node.inputs[1])
    if left is None or right is None or left[0] == right[0]:
        return None
    (first, k), (_, n) = left, right
    if first == ROW:  # turned so that columns are at the left
        op, k, n = {lt: gt, le: ge, gt: lt, ge: le}.get(op, op), n, k
    edge = n - k
    if op is eq:
        return edge, edge
    return (None, edge - (op is lt)) if op in (lt, le) else (edge + (op is gt), None)


def masked(node: Node) -> frozenset[str]:
    """The words of a mask made of row and column numbers."""
    found = band(node)
    if found is None:
        return NONE
    first, last = found
    shape = node.outs[0].shape
    diagonal = first == last == 0 and shape[-1] == shape[-2]
    return frozenset(w for w, holds in ((LOWER, last is not None and last <= 0), (UPPER, first is not None and first >= 0),
                                        (SYMMETRIC, diagonal), (ORTHOGONAL, diagonal), (PSD, diagonal)) if holds)


SWAPPED = {LOWER: UPPER, UPPER: LOWER}


def moved(node: Node, given: Given) -> frozenset[str]:
    """Views that keep the matrices, or transpose each."""
    x, holds = node.inputs[0], given[0].holds & MATRIX
    if x.ndim < 2 or len(node.outs[0].shape) < 2:
        return NONE
    if node.op is dimshuffle:
        last = node.param("pattern")[-2:]
        if last == (x.ndim - 1, x.ndim - 2):
            return frozenset(SWAPPED.get(w, w) for w in holds)
        return holds if last == (x.ndim - 2, x.ndim - 1) else NONE
    kept = full(x, node) if node.op is broadcast_to else all(a < x.ndim - 2 for a in node.param("axes"))
    return holds if kept else NONE


def turned(a: Out, b: Out) -> bool:
    """Whether each matrix of one is the transpose of that of the other."""
    for one, other in ((a, b), (b, a)):
        node = one.node
        if node.op is dimshuffle and node.inputs[0].node is other.node and node.inputs[0].index == other.index:
            return bool(node.param("pattern") == (*range(other.ndim - 2), other.ndim - 1, other.ndim - 2))
    return False


def multiplied(node: Node, given: Given) -> frozenset[str]:
    """Products of triangles whose elements are finite; of orthogonal matrices; of a matrix and its transpose."""
    both = given[0].holds & given[1].holds
    finite = given[0].finite and given[1].finite
    gram = is_float(node.outs[0].dtype) and turned(*node.inputs)
    return frozenset({w for w in TRIANGLES if finite and w in both} | (both & {ORTHOGONAL}) | ({PSD} if gram else set()))


TABLE: Mapping[Op, Callable[[Node, Given], frozenset[str]]] = {dimshuffle: moved, subtensor: moved, broadcast_to: moved, matmul: multiplied}
"""Rows that are not elementwise and carry words about matrices on."""
