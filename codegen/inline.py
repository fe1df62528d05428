"""Inlining: the value of a node at an index, as one scalar expression over the memory that a kernel reads.

Views, gathers and creation ops vanish here into index expressions.  Every node kind has one visitor, a generator that asks for the
values it needs by yielding a `Want` and returns an expression; one loop drives them all, so no depth of graph recurses.  A select
evaluates both of its values, so what is not chosen must be readable too: an index outside its axis is clamped, and where an axis may
be empty the want carries a guard.
"""
from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from codegen.kernel import INDEX, Builder, Expr
from codegen.plan import Site
from codegen.rows import value_of
from exprgraph.dims import Dim, bounds, constant, maximum, minimum, product
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, Node, Out, constant_value, no_refusal
from exprgraph.types import size_dim, size_dims

Index = tuple[Expr, ...]
Memory = Callable[[Node, Index], Expr | None]


class Want(NamedTuple):
    """The element of `out` at an index; all memory is read at its first element and no fault is reported where `guard` is 0, not 1."""
    out: Out
    at: Index
    guard: Dim | None = None


Key = tuple[Node, Index, Dim | None]
Visit = Generator[Want, Expr, Expr]


class Fault(NamedTuple):
    """A condition under which an index is outside its axis, or an op has no value, with what to report."""
    condition: Expr
    at: Expr
    size: Expr
    site: Site


class Inliner:
    """Expressions for the nodes of one kernel.

    memory(node, index) gives the expression that reads a node which the kernel finds in memory or in an accumulator, and None for one
    that is to be computed.  faults collects the checks that the values asked for need, whether or not they were asked for before:
    whoever takes them out knows where the checks run, and whether an earlier check of the same fault runs wherever these do.
    """

    def __init__(self, builder: Builder, memory: Memory) -> None:
        self.b = builder
        self.memory = memory
        self.faults: dict[Fault, None] = {}
        self._done: dict[Key, Expr] = {}
        self._checks: dict[Key, dict[Fault, None]] = {}
        self._open: list[tuple[Key, Visit]] = []

    def value(self, out: Out, index: Index) -> Expr:
        """The element of `out` at `index` (one index per axis)."""
        stack = self._open = []
        request: Want | None = Want(out, index)
        answer: Expr | None = None
        while True:
            if request is not None:
                key = (request.out.node, request.at, _both(stack[-1][0][2] if stack else None, request.guard))
                answer = self._known(key)
                if answer is None:
                    visitor = _elementwise if key[0].op.kind == "elementwise" else VISITORS[key[0].op.name]
                    stack.append((key, visitor(self, *key[:2])))
            if answer is not None:
                self._keep(stack[-1][0] if stack else None, self._checks.get(key))
            if not stack:
                assert answer is not None
                return answer
            key = stack[-1][0]
            request, answer = self._advance(stack, answer)

    def _keep(self, key: Key | None, found: dict[Fault, None] | None) -> None:
        """Count checks to those of a value, or to those that whoever asked for the value has to make."""
        if found:
            (self.faults if key is None else self._checks.setdefault(key, {})).update(found)

    def _known(self, key: Key) -> Expr | None:
        found = self._done.get(key)
        if found is None:
            found = self._guarded(self.memory(*key[:2]), key[2])
            if found is None:
                found = _scalar(self.b, *key[:2])
            if found is not None:
                self._done[key] = found
        return found

    def _guarded(self, found: Expr | None, guard: Dim | None) -> Expr | None:
        """What memory holds, read at its first element where the guard is 0: every buffer has one."""
        if found is None or found.kind != "load" or guard is None:
            return found
        return self.b.load(found.value, found.dtype, self.b.mul(found.args[0], self.b.index(guard)))

    def _advance(self, stack: list[tuple[Key, Visit]], answer: Expr | None) -> tuple[Want | None, Expr | None]:
        key, visit = stack[-1]
        try:
            return visit.send(answer), None  # type: ignore[arg-type]  # None starts a fresh visitor
        except StopIteration as end:
            stack.pop()
            self._done[key] = end.value
            return None, end.value

    def ready(self, node: Node, index: Index) -> Expr | None:
        """The value where nothing has to be visited for it, for the value that is being visited."""
        own = self._open[-1][0]
        key = (node, index, own[2])
        found = self._known(key)
        if found is not None:
            self._keep(own, self._checks.get(key))
        return found

    def report(self, fault: Fault) -> None:
        """Note a check of the value that is being visited; it cannot fail where the guard is 0."""
        key = self._open[-1][0]
        if key[2] is not None:
            fault = fault._replace(condition=self.b.both(fault.condition, self.b.less(self.b.index(0), self.b.index(key[2]))))
        self._keep(key, {fault: None})


def _both(one: Dim | None, other: Dim | None) -> Dim | None:
    return other if one is None else one if other is None or other == one else one * other


def _some(size: Dim) -> Dim | None:
    """1 where an axis has elements and 0 where it has none, None where it is known to have some."""
    return None if bounds(size)[0] > 0 else minimum(size, 1)


def _scalar(b: Builder, node: Node, index: Index) -> Expr | None:
    """Values that need nothing else: scalar constants, sizes, indices."""
    if node.op.kind == "elementwise":
        return None
    value = constant_value(Out(node))
    if value is not None and value.size == 1:
        return b.lit(value.reshape(()).item(), node.outs[0].dtype)
    if node.op.name == "size":
        return b.op("cast", "int64", b.index(node.inputs[0].type.shape[node.param("axis")]))
    if node.op.name == "bcast_size":
        return b.op("cast", "int64", b.index(size_dim(Out(node))))
    if node.op.name == "iota":
        dtype = node.outs[0].dtype
        return b.op("cast", dtype, index[0])
    return None


def _elementwise(t: Inliner, node: Node, index: Index) -> Visit:
    operands, shape = [], node.outs[0].shape
    for i in node.inputs:
        at = aligned(t.b, index, shape, i.type.shape)
        known = t.ready(i.node, at)
        operands.append((yield Want(i, at)) if known is None else known)
    for refusal in () if node.op.refuses is no_refusal else node.op.refuses(node.inputs, **dict(node.params)):
        condition = yield Want(refusal.condition, aligned(t.b, index, node.outs[0].shape, refusal.condition.type.shape))
        value = yield Want(refusal.value, aligned(t.b, index, node.outs[0].shape, refusal.value.type.shape))
        size = t.b.lit(0, "int64")
        if refusal.size is not None:
            size = yield Want(refusal.size, aligned(t.b, index, node.outs[0].shape, refusal.size.type.shape))
        site = Site(refusal.message, node.source, refusal.error)
        t.report(Fault(condition, t.b.op("cast", "int64", value), t.b.op("cast", "int64", size), site))
    return t.b.op(value_of(node.op), node.outs[0].dtype, *operands)


def aligned(b: Builder, index: Index, shape: Sequence[Dim], of: Sequence[Dim]) -> Index:
    """The index at which an operand of shape `of` is read where the result of shape `shape` is at `index`."""
    skip = len(shape) - len(of)
    return tuple([i if d is s and d.const is None else axis_index(b, i, s, d) for i, s, d in zip(index[skip:], shape[skip:], of)])


def axis_index(b: Builder, index: Expr, size: Dim, of: Dim) -> Expr:
    """`index` where the sizes agree, 0 where the operand has size 1, and a product with 0 or 1 where only a call can tell."""
    if of.const == 1:
        return b.index(0)
    return index if of == size else b.mul(index, b.index(minimum(maximum(of - 1, 0), 1)))


def _dimshuffle(t: Inliner, node: Node, index: Index) -> Visit:
    source = [t.b.index(0)] * node.inputs[0].ndim
    for position, axis in enumerate(node.param("pattern")):
        if axis >= 0:
            source[axis] = index[position]
    return (yield Want(node.inputs[0], tuple(source)))


def _broadcast_to(t: Inliner, node: Node, index: Index) -> Visit:
    x = node.inputs[0]
    return (yield Want(x, aligned(t.b, index, node.outs[0].shape, x.type.shape)))


def _specify_shape(t: Inliner, node: Node, index: Index) -> Visit:
    return (yield Want(node.inputs[0], index))


def _reshape(t: Inliner, node: Node, index: Index) -> Visit:
    x = node.inputs[0]
    return (yield Want(x, regroup(t.b, index, node.outs[0].shape, x.type.shape)))


def regroup(b: Builder, index: Index, shape: Sequence[Dim], of: Sequence[Dim]) -> Index:
    """The index into shape `of` of the element that has `index` in `shape`, both in C order; axes that agree are untouched."""
    found: list[Expr] = []
    i = j = 0
    while i < len(shape) or j < len(of):
        stop_i, stop_j = _group(shape, of, i, j)
        flat = linear(b, index[i:stop_i], shape[i:stop_i])
        found += unravel(b, flat, of[j:stop_j])
        i, j = stop_i, stop_j
    return tuple(found)


def _group(shape: Sequence[Dim], of: Sequence[Dim], i: int, j: int) -> tuple[int, int]:
    """The end of the shortest run of axes, from i and j on, whose products provably agree."""
    if i == len(shape) or j == len(of):
        return len(shape), len(of)
    left, right = {}, {}
    stop_i, stop_j = i, j
    while stop_i < len(shape) or stop_j < len(of):
        if stop_i < len(shape):
            stop_i += 1
            left[product(shape[i:stop_i]).text] = stop_i
        if stop_j < len(of):
            stop_j += 1
            right[product(of[j:stop_j]).text] = stop_j
        common = [text for text in left if text in right]
        if common:
            return left[common[0]], right[common[0]]
    return len(shape), len(of)


def linear(b: Builder, index: Sequence[Expr], shape: Sequence[Dim]) -> Expr:
    """The C-order position of an index in a shape."""
    flat = b.index(0)
    for i, dim in zip(index, shape):
        flat = i if dim == 0 else _horner(b, flat, i, dim)
    return flat


def _horner(b: Builder, high: Expr, low: Expr, dim: Dim) -> Expr:
    """high * dim + low, seeing through a quotient and remainder of one number by the same size."""
    size = b.index(dim)
    if high.kind == low.kind == "op" and (high.value, low.value) == ("int_div", "mod") and high.args == low.args == (low.args[0], size):
        return low.args[0]
    return b.add(b.mul(high, size), low)


def unravel(b: Builder, flat: Expr, shape: Sequence[Dim]) -> list[Expr]:
    """The index in a shape that has the C-order position `flat`; axes of size 1 get 0."""
    found = [b.index(0)] * len(shape)
    axes = [k for k, dim in enumerate(shape) if dim.const != 1]
    for k in axes[:0:-1]:
        found[k] = b.mod(flat, b.index(shape[k]))
        flat = b.div(flat, b.index(shape[k]))
    if axes:
        found[axes[0]] = flat
    return found


def _subtensor(t: Inliner, node: Node, index: Index) -> Visit:
    source = list(index)
    for k, axis in enumerate(node.param("axes")):
        start, step = size_dims(node.inputs[1 + 3 * k:3 + 3 * k])
        source[axis] = t.b.add(t.b.mul(index[axis], t.b.index(step)), t.b.index(start))
    return (yield Want(node.inputs[0], tuple(source)))


def _place(t: Inliner, node: Node, index: Index) -> Visit:
    b, g, axes = t.b, node.inputs[0], node.param("axes")
    source, inside, guard = list(index), None, None
    for k, axis in enumerate(axes):
        start, step = size_dims(node.inputs[1 + 2 * k:3 + 2 * k])
        position, here = _unsliced(b, index[axis], start, step, g.type.shape[axis])
        guard = _both(guard, _some(g.type.shape[axis]))
        source[axis], inside = position, here if inside is None else b.both(inside, here)
    value = yield Want(g, tuple(source), guard)
    return value if inside is None else b.select(inside, value, b.lit(0, node.outs[0].dtype))


def _unsliced(b: Builder, index: Expr, start: Dim, step: Dim, count: Dim) -> tuple[Expr, Expr]:
    """The position in the slice that writes to `index`, clamped to the slice, and whether there is one.

    A negative step runs from the other end, so that the division is of numbers that are not negative.
    """
    sign, back = _sign(step), maximum(count - 1, 0)
    forward = minimum(sign + 1, 1)
    low = start * forward + (start + back * step) * (1 - forward)
    stride = maximum(step, -step)
    offset = b.sub(index, b.index(low))
    safe = b.op("maximum", INDEX, offset, b.index(0))
    hit = b.least(b.div(safe, b.index(stride)), b.index(back))
    exact = b.op("eq", "bool", b.mul(hit, b.index(stride)), offset)
    some = b.less(b.index(0), b.index(count))
    position = hit if forward.const == 1 else b.add(b.mul(hit, b.index(sign)), b.index(back * (1 - forward)))
    return position, exact if count.const not in (None, 0) else b.both(some, exact)


def _sign(step: Dim) -> Dim:
    return maximum(minimum(step, 1), -1)


def _concat(t: Inliner, node: Node, index: Index) -> Visit:
    b, axis = t.b, node.param("axis")
    begin = constant(0)
    parts: list[tuple[Expr, Expr]] = []
    for x in node.inputs:
        size = x.type.shape[axis]
        offset = b.sub(index[axis], b.index(begin))
        inside = b.most(b.least(offset, b.index(maximum(size - 1, 0))), b.index(0))
        value = yield Want(x, (*index[:axis], inside, *index[axis + 1:]), _some(size))
        begin = begin + size
        parts.append((b.less(index[axis], b.index(begin)), value))
    chosen = parts[-1][1]
    for before, value in parts[-2::-1]:
        chosen = b.select(before, value, chosen)
    return chosen


def _wrapped(t: Inliner, node: Node, raw: Expr, size: Dim, axis: int) -> Expr:
    """A user's index as a position: negative ones count from the end, those outside are clamped and reported."""
    position, fault = checked_position(t.b, raw, size, axis, node)
    t.report(fault)
    return position


def checked_position(b: Builder, raw: Expr, size: Dim, axis: int, node: Node) -> tuple[Expr, Fault]:
    """The position that an index names, 0 for one outside the axis, and the fault it may be.

    All is decided in int64, before the index becomes as narrow as the kernel's own.
    """
    extent = b.op("cast", "int64", b.index(size))
    moved = b.select(b.less(raw, b.lit(0, "int64")), b.op("add", "int64", raw, extent), raw)
    outside = b.op("ge", "bool", b.op("cast", "uint64", moved), b.op("cast", "uint64", extent))
    inside = b.select(outside, b.lit(0, "int64"), moved)
    message = f"{node.op.name}: index {{index}} is out of bounds for axis {axis} with size {{size}}"
    return b.op("cast", INDEX, inside), Fault(outside, raw, extent, Site(message, node.source))


def _take(t: Inliner, node: Node, index: Index) -> Visit:
    x, idx = node.inputs
    axis = node.param("axis")
    raw = yield Want(idx, index[axis:axis + idx.ndim])
    position = _wrapped(t, node, raw, x.type.shape[axis], axis)
    return (yield Want(x, (*index[:axis], position, *index[axis + idx.ndim:])))


def _take_along(t: Inliner, node: Node, index: Index) -> Visit:
    x, idx = node.inputs
    axis = node.param("axis")
    raw = yield Want(idx, aligned(t.b, index, node.outs[0].shape, idx.type.shape))
    position = _wrapped(t, node, raw, x.type.shape[axis], axis)
    around = list(aligned(t.b, index, node.outs[0].shape, x.type.shape))
    around[axis] = position
    return (yield Want(x, tuple(around)))


def _pick(t: Inliner, node: Node, index: Index) -> Visit:
    x, idx = node.inputs
    raw = yield Want(idx, index)
    return (yield Want(x, (t.b.op("cast", INDEX, raw),)))


def _take_at(t: Inliner, node: Node, index: Index) -> Visit:
    x, *positions = node.inputs
    axes, rank = node.param("axes"), positions[0].ndim
    found: dict[int, Expr] = {}
    for idx, axis in zip(positions, axes):
        raw = yield Want(idx, index[axes[0]:axes[0] + rank])
        found[axis] = _wrapped(t, node, raw, x.type.shape[axis], axis)
    others = iter((*index[:axes[0]], *index[axes[0] + rank:]))
    return (yield Want(x, tuple(found[k] if k in found else next(others) for k in range(x.ndim))))


VISITORS: dict[str, Callable[[Inliner, Node, Index], Visit]] = {
    "dimshuffle": _dimshuffle, "broadcast_to": _broadcast_to, "reshape": _reshape, "subtensor": _subtensor, "place": _place,
    "specify_shape": _specify_shape, "read_size": _specify_shape, "barrier": _specify_shape, "concat": _concat, "take": _take,
    "take_along": _take_along, "pick": _pick, "take_at": _take_at}


def is_array_constant(node: Node) -> bool:
    """Whether a node is a constant that has to lie in memory."""
    value = constant_value(Out(node)) if node.op is CONSTANT else None
    return value is not None and np.size(value) != 1
