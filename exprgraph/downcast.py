"""Programs without float64, for devices that have none: what was float64 is computed in float32, where the user has asked for that."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from exprgraph.errors import DeviceError, at
from exprgraph.graph import order, transform, unchanged
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, TensorType, constant_value, make_constant
from exprgraph.ops.rounding import cast
from exprgraph.own.elementwise import TextOp
from exprgraph.own.op import OwnOp
from exprgraph.own.reduction import FoldOp
from exprgraph.program import Program
from exprgraph.resolve import Leaves

SMALLER = {"float64": "float32", "complex128": "complex64"}


class Downcast(NamedTuple):
    """A program without float64.

    leaves and outputs: for each the dtype that the user knows it by, where that is another one than the program's.  tensors: how many
    have another dtype than before.
    """
    program: Program
    leaves: tuple[str | None, ...]
    outputs: tuple[str | None, ...]
    tensors: int


def downcast(program: Program) -> Downcast | None:
    """The program in float32 and complex64; None where it has no wider floats.

    DeviceError for what is of the user's own and made for float64, with its line.
    """
    nodes = list(dict.fromkeys((*program.leaves, *order(program.graph.outputs))))
    wide = sum(any(t.dtype in SMALLER for t in n.outs) for n in nodes)
    if not wide:
        return None
    leaves = _leaves(nodes)
    outputs = transform(program.graph.outputs, lambda node, inputs: _smaller(node, inputs, leaves))
    inputs = tuple(Out(leaves.by_uid.get(i.node.uid, i.node), 0, i.name) for i in program.graph.inputs)
    made = program._replace(graph=Graph(inputs, outputs), leaves=tuple(leaves.by_uid.get(n.uid, n) for n in program.leaves))
    return Downcast(made, _wide(n.outs[0].dtype for n in program.leaves), _wide(o.dtype for o in program.graph.outputs), wide)


def _wide(dtypes: Iterable[str]) -> tuple[str | None, ...]:
    return tuple(d if d in SMALLER else None for d in dtypes)


def _leaves(nodes: Sequence[Node]) -> Leaves:
    """New leaves for those of wide floats, under their uids, so that sizes mean what they meant."""
    found: dict[int, Node] = {}
    for node in nodes:
        if node.op in (INPUT, SHARED) and node.outs[0].dtype in SMALLER:
            found[node.uid] = made = Node(node.op, node.params, (), node.outs, node.sources, node.name)
            made.uid = node.uid
    leaves = Leaves(found)
    for made in found.values():
        made.outs = _types(made, leaves)
    return leaves


def _types(node: Node, leaves: Leaves) -> tuple[TensorType, ...]:
    return tuple(TensorType(SMALLER.get(t.dtype, t.dtype), tuple(leaves.local(d) for d in t.shape)) for t in node.outs)


def _smaller(node: Node, inputs: tuple[Out, ...], leaves: Leaves) -> Out:
    if node.op in (INPUT, SHARED):
        return Out(leaves.by_uid.get(node.uid, node))
    value = constant_value(Out(node))
    if value is not None and node.outs[0].dtype in SMALLER:
        with np.errstate(over="ignore"):
            return make_constant(value, SMALLER[node.outs[0].dtype])
    if isinstance(node.op, OwnOp | TextOp | FoldOp) and any(t.dtype in SMALLER for t in (*node.outs, *(i.type for i in node.inputs))):
        raise DeviceError(f"{node.op.name} is of your own and was made for float64, which cannot become float32: cast what it is given"
                          f"{at(node.source)}")
    params = tuple((k, SMALLER.get(v, v) if isinstance(v, str) else v) for k, v in node.params)
    if node.op is cast and inputs[0].dtype == dict(params)["dtype"]:
        return inputs[0]
    if params == node.params and unchanged(node, inputs):
        return Out(node)
    return Out(Node(node.op, params, inputs, _types(node, leaves), node.sources, node.name))
