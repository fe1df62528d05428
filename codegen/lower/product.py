"""Contractions: a matmul node as a call of NumPy on shared memory, or as the tiled kernel with what surrounds it spliced in."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.affine import affine
from codegen.describe import flops_of, reach_of
from codegen.fuse import Cluster
from codegen.inline import Inliner, aligned
from codegen.kernel import Expr, Kernel, Stmt
from codegen.lower.contraction import Contraction, contractions
from codegen.lower.epilogue import epilogue
from codegen.lower.mapreduce import Lowering
from codegen.memory import Memory
from codegen.plan import About, HostCall, Operand
from codegen.target import Target
from exprgraph.dims import Dim, constant
from exprgraph.node import Node, Out


def host_call(node: Node, env: Lowering, memory: Memory) -> HostCall:
    """The step that lets NumPy compute a node on memory in place; its scalar operands are sizes, which its result tells."""
    inputs = tuple(_operand(i, env, memory) for i in node.inputs if i.ndim)
    memory.take()
    name = memory.name(node)
    assert name is not None
    shape = node.outs[0].shape
    about = About(tuple(sorted(node.sources)), flops_of([node]), reach_of([node]), ((name, shape),))
    return HostCall(node.op.name, inputs, Operand(name, constant(0), shape, memory.strides(node)), node.params, about)


def _operand(out: Out, env: Lowering, memory: Memory) -> Operand:
    index = tuple(env.builder.var(f"i{k}") for k in range(out.ndim))
    value = Inliner(env.builder, env.load).value(out, index)
    assert value.kind == "load", value
    found = affine(value.args[0], index)
    assert found is not None, value
    offset, strides = found
    local = {p.name: n for n, p in memory.used.items()}
    return Operand(local[value.value], offset, out.type.shape, strides)


def contraction_kernels(cluster: Cluster, env: Lowering, target: Target) -> tuple[Dim, list[tuple[Kernel, ...]]]:
    """The kernels of a matmul and of the maps that read its result where it is made, in one form or several, and which one suits the
    sizes; scheduled, their parameters only scratch memory."""
    node = cluster.tasks[0].node
    a, c = node.inputs
    shape = node.outs[0].shape
    inliner = Inliner(env.builder, env.load)

    def read(out: Out, batch: Sequence[Expr], row: Expr, column: Expr) -> Expr:
        around = aligned(env.builder, tuple(batch), shape[:-2], out.type.shape[:-2])
        return inliner.value(out, (*around, row, column))

    def store(value: Expr, *index: Expr) -> tuple[Stmt, ...]:
        return epilogue(cluster, env, node, value, [i for i, dim in zip(index, shape) if dim.const != 1])
    what = Contraction(env.builder, shape[:-2], shape[-2], shape[-1], a.type.shape[-1], lambda *i: read(a, i[:-2], i[-2], i[-1]),
                       lambda *i: read(c, i[:-2], i[-2], i[-1]), store, node.outs[0].dtype)
    return contractions("k", what, target)
