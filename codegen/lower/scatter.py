"""Scatters: values that are put at integer positions along one axis, added to zeros or the largest kept; duplicates accumulate.

On a CPU each work-item owns a range of positions and scans all indices: no atomics, and the order of additions is that of NumPy.  On a GPU
the values are merged atomically after the starts are written, unless determinism is asked for and their order shows in the result.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.combine import COMBINES
from codegen.inline import Index, Inliner, checked_position, linear, unravel
from codegen.kernel import Atomic, Builder, Expr, If, Let, Loop, Stmt, Store
from codegen.lower.mapreduce import Lowering, collapse, flag, nest
from exprgraph.dims import ceildiv, maximum, minimum, product
from exprgraph.node import Node

MERGES = {"scatter_add": "sum", "scatter_inc": "sum", "scatter_max": "max"}


def _start(b: Builder, node: Node) -> Expr:
    """What the values are merged with."""
    dtype = node.outs[0].dtype
    if node.op.name == "scatter_inc" and dtype.startswith("float"):
        return b.lit(-0.0, dtype)
    return COMBINES[MERGES[node.op.name]].identity(b, (dtype,))[0]


class _Scatter:
    """The pieces that both forms are made of."""

    def __init__(self, node: Node, env: Lowering) -> None:
        self.node, self.env, self.b = node, env, env.builder
        self.idx, self.g = node.inputs[0], node.inputs[1]
        self.axis, self.combine = node.param("axis"), COMBINES[MERGES[node.op.name]]
        shape = node.outs[0].shape
        self.shape, self.size = shape, shape[self.axis]
        self.around = [k for k in range(len(shape)) if k != self.axis]
        self.loops = [self.b.var(f"i{k}") for k in range(len(shape))]
        self.count = product(self.idx.type.shape)
        self.k = self.b.var("k")
        self.inliner = Inliner(self.b, env.load)
        name = env.buffer(node)
        assert name is not None
        self.buffer = name

    def start(self) -> Store:
        """The element at the loops, as it is before values are merged with it."""
        node = self.node
        given = self.inliner.value(node.inputs[3], tuple(self.loops)) if len(node.inputs) > 3 else _start(self.b, node)
        return Store(self.buffer, self.at(self.loops[self.axis]), given)

    def position(self) -> tuple[list[Stmt], Expr]:
        """The checked position that index number k names; -1 where there is none."""
        b = self.b
        raw = self.inliner.value(self.idx, tuple(unravel(b, self.k, self.idx.type.shape)))
        position, fault = checked_position(b, raw, self.size, self.axis, self.node)
        let = Let("p", b.select(fault.condition, b.index(-1), position))
        return [let, flag(self.env, fault)], b.var("p")

    def added(self) -> Expr:
        """The value to put there for index number k and the loops around the axis."""
        at = list(unravel(self.b, self.k, self.idx.type.shape))
        index: Index = (*self.loops[:self.axis], *at, *self.loops[self.axis + 1:])
        return self.inliner.value(self.g, index)

    def at(self, position: Expr) -> Expr:
        """The address of an element of the result."""
        return linear(self.b, [*self.loops[:self.axis], position, *self.loops[self.axis + 1:]], self.shape)

    def around_nest(self, kind: str, body: Sequence[Stmt]) -> tuple[Stmt, ...]:
        """Loops over all axes but the indexed one."""
        return nest(self.b, kind, [self.loops[k] for k in self.around], [self.shape[k] for k in self.around], body)


def scatter_owned(node: Node, env: Lowering, units: int) -> tuple[Stmt, ...]:
    """The form in which work-items own ranges of positions."""
    s = _Scatter(node, env)
    b = s.b
    parts = maximum(minimum(minimum(s.size, s.count * product(s.shape[k] for k in s.around) // 4096), 4 * units), 1)
    chunk = ceildiv(s.size, parts)
    part, low = b.var("part"), b.mul(b.var("part"), b.index(chunk))
    high = b.least(b.add(low, b.index(chunk)), b.index(s.size))
    own = s.loops[s.axis]
    starts = Loop("serial", own.value, low, high, b.index(1), s.around_nest("serial", [s.start()]))
    checks, p = s.position()
    total, = s.combine.merge(b, (b.load(s.buffer, node.outs[0].dtype, s.at(p)),), (s.added(),))
    mine = b.both(b.op("ge", "bool", p, low), b.less(p, high))
    put = If(mine, s.around_nest("serial", [Store(s.buffer, s.at(p), total)]))
    faults = [flag(env, f) for f in s.inliner.faults]
    puts = Loop("serial", "k", b.index(0), b.index(s.count), b.index(1), (*checks, *faults, put))
    return nest(b, "parallel", [part], [parts], [starts, puts])


def scatter_starts(node: Node, env: Lowering) -> tuple[Stmt, ...]:
    """The first kernel of the atomic form: what values are merged with, everywhere."""
    s, b, shape = _Scatter(node, env), env.builder, node.outs[0].shape
    body = [s.start()]
    flat = collapse(b, body, s.loops, linear(b, s.loops, shape))
    return nest(b, "parallel", s.loops, shape, body) if flat is None else nest(b, "parallel", s.loops[:1], [product(shape)], flat)


def scatter_atomic(node: Node, env: Lowering) -> tuple[Stmt, ...]:
    """The second kernel of the atomic form: every value is merged where it belongs, on top of what the first kernel wrote."""
    env.load(node, tuple(env.builder.index(0) for _ in node.outs[0].shape))
    s = _Scatter(node, env)
    b = s.b
    checks, p = s.position()
    add = If(b.op("ge", "bool", p, b.index(0)), (Atomic(s.buffer, s.at(p), MERGES[node.op.name], s.added()),))
    body = [*checks, *(flag(env, f) for f in s.inliner.faults), add]
    return nest(b, "parallel", [s.k], [s.count], s.around_nest("parallel", body))
