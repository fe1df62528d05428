"""Contractions: a matmul node as a call of NumPy on shared memory, or as the tiled kernel with what surrounds it spliced in."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.fuse import Cluster, Task, operands, placed
from codegen.inline import Index, Inliner, affine, aligned
from codegen.kernel import Builder, Expr, Kernel, Stmt, Store
from codegen.lower.contraction import Contraction, contraction
from codegen.lower.mapreduce import Lowering, flag
from codegen.memory import Memory
from codegen.plan import HostCall, Operand
from codegen.target import Target
from exprgraph.dims import constant
from exprgraph.node import Node, Out


def host_product(node: Node, env: Lowering, memory: Memory) -> HostCall:
    """The step that lets NumPy multiply in place."""
    inputs = tuple(_operand(i, env, memory) for i in node.inputs)
    memory.take()
    name = memory.name(node)
    assert name is not None
    return HostCall("matmul", inputs, Operand(name, constant(0), node.outs[0].shape, memory.strides(node)))


def _operand(out: Out, env: Lowering, memory: Memory) -> Operand:
    index = tuple(env.builder.var(f"i{k}") for k in range(out.ndim))
    value = Inliner(env.builder, env.load).value(out, index)
    assert value.kind == "load", value
    found = affine(value.args[0], index)
    assert found is not None, value
    offset, strides = found
    local = {p.name: n for n, p in memory.used.items()}
    return Operand(local[value.value], offset, out.type.shape, strides)


def contraction_kernel(cluster: Cluster, env: Lowering, target: Target) -> Kernel:
    """The tiled kernel of a matmul and of the maps that read its result where it is made; scheduled, its parameters yet to be named."""
    node = cluster.tasks[0].node
    a, c = node.inputs
    shape = node.outs[0].shape
    inliner = Inliner(env.builder, env.load)

    def read(out: Out, batch: Sequence[Expr], row: Expr, column: Expr) -> Expr:
        around = aligned(env.builder, tuple(batch), shape[:-2], out.type.shape[:-2])
        return inliner.value(out, (*around, row, column))

    def epilogue(value: Expr, *index: Expr) -> tuple[Stmt, ...]:
        return _epilogue(cluster, env, node, value, index)
    what = Contraction(env.builder, shape[:-2], shape[-2], shape[-1], a.type.shape[-1], lambda *i: read(a, i[:-2], i[-2], i[-1]),
                       lambda *i: read(c, i[:-2], i[-2], i[-1]), epilogue, node.outs[0].dtype)
    return contraction("k", (), what, target)


def _epilogue(cluster: Cluster, env: Lowering, node: Node, value: Expr, index: Sequence[Expr]) -> tuple[Stmt, ...]:
    homes = {t.node for t in cluster.tasks}

    def memory(n: Node, at: Index) -> Expr | None:
        if n is node:
            return value
        return None if n in homes else env.load(n, at)
    inliner = Inliner(env.builder, memory)
    loops = [i for i, dim in zip(index, node.outs[0].shape) if dim.const != 1]
    found: list[Stmt] = []
    for task in cluster.tasks:
        buffer = env.buffer(task.node)
        if buffer is not None:
            stored = value if task.node is node else _value(task, env.builder, inliner, loops)
            found.append(Store(buffer, env.address(task.node, placed(env.builder, task.writes, loops)), stored))
    return (*(flag(env, f) for f in inliner.faults), *found)


def _value(task: Task, b: Builder, inliner: Inliner, loops: Sequence[Expr]) -> Expr:
    (out, index), = operands(task, b, loops)
    return inliner.value(out, index)


