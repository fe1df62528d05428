"""Composite rows made of other rows: sorting by digits, where NumPy does not share the device's memory, and searching by halving.

Sorting is by digits of four bits, the lowest first.  Keys are unsigned integers in the order of the elements, equal for what is equal.  A
pass over one digit moves every element to its place among those of smaller digits and those of the same digit before it: one running sum
over a table of 16 rows, one for each digit, that is 1 where an element has it, gives all places at once.  So the number of passes follows
from the dtype alone, and one plan serves every size.  Searching halves the vector 31 or 63 times, without a branch, inside whatever kernel
reads the position.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen.inline import is_array_constant
from codegen.ranks import RANKINGS
from codegen.target import Target
from exprgraph.dims import Dim, product
from exprgraph.graph import credit, mark, order, rebuild, transform
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, OPERATORS, Node, Out, make_constant
from exprgraph.ops.create import iota
from exprgraph.ops.index import scatter_add, subtensor
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle, reshape, shape_of
from exprgraph.ops.sort import argsort, pick, searchsorted
from exprgraph.ops.table import ROWS
from exprgraph.own.op import OwnOp
from exprgraph.types import cast_to

DIGIT = 4
"""Bits of a digit.  A pass writes 2**DIGIT sums for each element, and there are as many passes as digits."""


def expanded(outputs: Sequence[Out], target: Target, wide: bool) -> tuple[Out, ...]:
    """The outputs without composite nodes, unless they are left to NumPy.  wide: whether positions need 64 bits."""
    found = tuple(outputs)
    left, copies = HOSTED if target.host_calls else (), dict[Node, Out]()

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op.kind != "composite":
            return rebuild(node, inputs)
        if isinstance(node.op, OwnOp):
            values = tuple(_in_memory(i, copies, True) for i in inputs[:node.op.own.arity])
            return rebuild(node, (*values, *inputs[node.op.own.arity:]))
        if node.op.name in left:
            return rebuild(node, tuple(_in_memory(i, copies) for i in inputs))
        before = mark()
        made = EXPANSIONS[node.op.name](node, inputs, wide)
        credit([made], before, node)
        return made
    if any(_is_left(n, left) for n in order(found)):
        found = transform(found, change)
    while any(n.op.kind == "composite" and not _is_left(n, left) for n in order(found)):
        found = transform(found, change)
    return found


def _is_left(node: Node, names: Sequence[str]) -> bool:
    return isinstance(node.op, OwnOp) or (node.op.kind == "composite" and node.op.name in names)


def _in_memory(out: Out, copies: dict[Node, Out], scalars: bool = False) -> Out:
    """An operand that NumPy can be given: constants of one element and sizes have no memory, a copy of them has."""
    alone = out.node.op is CONSTANT and not is_array_constant(out.node)
    if (alone and (scalars or out.ndim)) or (scalars and out.node.op.kind == "source" and not out.ndim):
        if out.node not in copies:
            copies[out.node] = ROWS["identity"].apply((out,))
        return copies[out.node]
    return out


def _ints(wide: bool) -> str:
    return "int64" if wide else "int32"


def _keys(x: Any) -> tuple[Any, int]:
    """Unsigned integers in the order of the elements, and how many bits they have."""
    if x.dtype == "bool":
        return cast_to(x, "uint8"), 1
    if x.dtype.startswith("uint"):
        return x, 8 * np.dtype(x.dtype).itemsize
    if x.dtype.startswith("float"):
        plain = OPERATORS["where"](OPERATORS["isnan"](x), make_constant(np.nan, x.dtype), x + make_constant(0, x.dtype))
        x = RANKINGS["max"].rank.apply((plain,))
    width = 8 * np.dtype(x.dtype).itemsize
    return cast_to(x, f"uint{width}") ^ make_constant(1 << (width - 1), f"uint{width}"), width


class _Rows(NamedTuple):
    """A tensor as rows along one axis: its elements in a line, their places in the order of each row, and what gives results its form."""
    line: Out
    places: Any
    length: Dim
    shape: tuple[Dim, ...]
    back: list[int]

    def formed(self, found: Any) -> Out:
        """A line as the tensor's shape, the axis where it was."""
        return dimshuffle(reshape(found, *[dim_node(d) for d in self.shape]), pattern=self.back)


def _ordered(x: Out, axis: int, wide: bool) -> _Rows:
    turned = [*(i for i in range(x.ndim) if i != axis), axis]
    rows = dimshuffle(x, pattern=turned)
    shape = rows.type.shape
    line = reshape(rows, dim_node(product(shape)))
    places = _sorted_places(*_keys(line), product(shape[:-1]), shape[-1], _ints(wide))
    return _Rows(line, places, shape[-1], shape, [turned.index(i) for i in range(x.ndim)])


def _argsort(node: Node, inputs: tuple[Out, ...], wide: bool) -> Out:
    rows = _ordered(inputs[0], node.param("axis"), wide)
    return rows.formed(cast_to(rows.places % dim_node(rows.length), "int64"))


def _sorted_places(keys: Any, bits: int, count: Dim, length: Dim, dtype: str) -> Any:
    """The flat positions of the elements of `count` rows of `length` elements each, in the order of the keys of each row."""
    total = count * length
    places: Any = iota(dim_node(total), dtype=dtype)
    for shift in range(0, bits, DIGIT):
        digits = cast_to((pick(keys, places) >> make_constant(shift, keys.dtype)) & make_constant((1 << DIGIT) - 1, keys.dtype), dtype)
        places = scatter_add(_goals(digits, min(1 << DIGIT, 1 << (bits - shift)), count, length, dtype), places, dim_node(total), axis=0)
    return places


def _goals(digits: Any, kinds: int, count: Dim, length: Dim, dtype: str) -> Any:
    """Where each element goes: behind the elements of its row with smaller digits and those with its digit that come before it."""
    sizes = dim_node(count), make_constant(kinds, "int64"), dim_node(length)
    table = OPERATORS["eq"](dimshuffle(reshape(digits, sizes[0], sizes[2]), pattern=[0, -1, 1]),
                            dimshuffle(iota(sizes[1], dtype=dtype), pattern=[-1, 0, -1]))
    ones = cast_to(reshape(table, sizes[0], dim_node(kinds * length)), dtype)
    sums = reshape(ROWS["cumsum"].apply((ones,), (("axis", 1),)), dim_node(count * kinds * length))
    flat: Any = iota(dim_node(count * length), dtype=dtype)
    n = cast_to(dim_node(length), dtype)
    row, column = flat // n, flat % n
    return cast_to(row * n + pick(sums, (row * cast_to(kinds, dtype) + digits) * n + column) - 1, "int64")


def _sort(node: Node, inputs: tuple[Out, ...], wide: bool) -> Out:
    rows = _ordered(inputs[0], node.param("axis"), wide)
    return rows.formed(pick(rows.line, rows.places))


def _argtopk(node: Node, inputs: tuple[Out, ...], wide: bool) -> Out:
    """The first of what is sorted by keys, those of the largest turned round."""
    x, k = inputs
    axis = node.param("axis")
    keys, bits = _keys(x)
    if node.param("largest"):
        keys = keys ^ make_constant((1 << bits) - 1, keys.dtype)
    return subtensor(argsort(keys, axis=axis), 0, 1, k, axes=(axis,))


def _searchsorted(node: Node, inputs: tuple[Out, ...], wide: bool) -> Out:
    """Halving: at each step the position moves on by a power of two if the elements up to there come before the value."""
    a, v = inputs
    length, dtype = a.type.shape[-1], _ints(wide)
    n = cast_to(dim_node(length), dtype)
    line, first = _vectors(a, v.ndim, n, dtype)
    position: Any = broadcast_to(cast_to(0, dtype), *shape_of(v))
    for bit in range((length.const.bit_length() if length.const is not None else 63 if wide else 31) - 1, -1, -1):
        ahead = position + cast_to(1 << bit, dtype)
        inside = ahead <= n
        place = OPERATORS["maximum"](OPERATORS["where"](inside, ahead, n), 1) - 1
        element = pick(line, place if first is None else first + place)
        position = OPERATORS["where"](inside & _before(element, v, node.param("side")), ahead, position)
    return cast_to(position, "int64")


def _vectors(a: Out, rank: int, n: Any, dtype: str) -> tuple[Out, Any]:
    """The vectors that are searched one after the other, and where each begins, in the form of values of `rank` axes."""
    *lead, length = a.type.shape
    if not lead:
        return a, None
    number: Any = reshape(iota(dim_node(product(lead)), dtype=dtype), *[dim_node(d) for d in lead])
    return (reshape(a, dim_node(product(lead) * length)),
            dimshuffle(number * n, pattern=[*range(len(lead)), *[-1] * (rank - len(lead))]))


def _before(element: Any, value: Any, side: str) -> Any:
    """Whether a value is to be put behind an element; NaN is the greatest."""
    if not element.dtype.startswith("float"):
        return element < value if side == "left" else element <= value
    isnan = OPERATORS["isnan"]
    if side == "left":
        return (element < value) | (isnan(value) & ~isnan(element))
    return (element <= value) | isnan(value)


def _flatnonzero(node: Node, inputs: tuple[Out, ...], wide: bool) -> Out:
    """The k-th position is the first one at which the running count exceeds k."""
    mask, n = inputs
    dtype = _ints(wide)
    counts = ROWS["cumsum"].apply((cast_to(mask, dtype),), (("axis", 0),))
    return searchsorted(counts, iota(n, dtype=dtype), side="right")


HOSTED = ("sort", "argsort", "argtopk", "flatnonzero")
"""What is left to NumPy where that is possible: its sorting uses the vector unit.  Searching is quicker in kernels, on all cores."""
EXPANSIONS: dict[str, Callable[[Node, tuple[Out, ...], bool], Out]] = {
    "sort": _sort, "argsort": _argsort, "argtopk": _argtopk, "searchsorted": _searchsorted, "flatnonzero": _flatnonzero}
"""By the name of the row: what takes the place of a node on other inputs."""
