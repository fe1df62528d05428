"""Functions and kernels of the user's own as steps of a plan."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Param
from codegen.memory import Memory
from codegen.plan import Operand, OwnCall
from exprgraph.dims import constant, product
from exprgraph.node import Node, Out
from exprgraph.own.op import OwnOp
from exprgraph.types import size_dims


def own_call(nodes: Sequence[Node], memory: Memory) -> OwnCall:
    """The step whose outputs these nodes are; what it writes and nobody reads gets memory too."""
    first = nodes[0]
    assert isinstance(first.op, OwnOp)
    own = first.op.own
    sizes = size_dims(first.inputs[own.arity:])
    wanted = {n.op.number: n for n in nodes if isinstance(n.op, OwnOp)}
    outputs = []
    for k, (shape, (dtype, _)) in enumerate(zip(own.shapes(sizes), own.outputs)):
        name = memory.name(wanted[k]) if k in wanted else memory.temporary(Param("own", dtype, "w", product(shape)))
        assert name is not None
        strides = tuple(product(shape[i + 1:]) for i in range(len(shape)))
        outputs.append(Operand(name, constant(0), shape, strides))
    inputs = tuple(_operand(i, memory) for i in first.inputs[:own.arity])
    return OwnCall(own, inputs, tuple(outputs), sizes[own.ranks:], first.source)


def _operand(out: Out, memory: Memory) -> Operand:
    name = memory.name(out.node)
    assert name is not None, out
    return Operand(name, constant(0), out.type.shape, memory.strides(out.node))
