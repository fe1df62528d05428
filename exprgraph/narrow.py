"""Narrow floats are only stored: a graph becomes one that computes in float32 what it said in float16 or bfloat16."""
from __future__ import annotations

from collections.abc import Sequence

from exprgraph.dtypes import NARROW
from exprgraph.graph import order, transform
from exprgraph.node import Node, Out, TensorType, constant_value, make_constant
from exprgraph.ops.rounding import cast
from exprgraph.own.op import OwnOp

WIDE = "float32"
MOVING = ("view", "gather")
"""Kinds of nodes that leave elements as they are: they work on what is stored."""


def widened(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """The outputs, of the same dtypes and shapes, without arithmetic on narrow floats.

    What lies in memory keeps its dtype and is cast where it is read; results are cast where they are stored.  What is computed in between
    keeps the precision of float32, except that a cast to a narrow dtype rounds.  The outputs themselves where nothing is narrow.
    """
    if not any(t.dtype in NARROW for n in order(outputs) for t in n.outs):
        return tuple(outputs)
    return _Widening().outputs(outputs)


class _Widening:
    """The rebuilding of one graph; every stored value is cast once."""

    def __init__(self) -> None:
        self._cast: dict[Node, Out] = {}

    def outputs(self, outputs: Sequence[Out]) -> tuple[Out, ...]:
        """The new outputs."""
        return tuple(n if n.dtype == o.dtype else Out(_cast(n, o.dtype).node, 0, o.name)
                     for o, n in zip(outputs, transform(outputs, self._change)))

    def _change(self, node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op.kind == "leaf":
            return Out(node)
        if node.op is cast:
            return inputs[0] if inputs[0].dtype == node.outs[0].dtype == WIDE else _on(node, inputs)
        if isinstance(node.op, OwnOp):  # it is given what it was promised
            return _on(node, tuple(_cast(i, o.dtype) if i.dtype != o.dtype else i for o, i in zip(node.inputs, inputs)), True)
        moves = node.op.kind in MOVING or node.op.name in ("identity", "size")
        if not moves or any(_is_narrow(o) and not _is_narrow(i) for o, i in zip(node.inputs, inputs)):
            inputs = tuple(self._wide(i) for i in inputs)
        return _on(node, inputs)

    def _wide(self, out: Out) -> Out:
        if not _is_narrow(out):
            return out
        if out.node not in self._cast:
            value = constant_value(out)
            self._cast[out.node] = _cast(out, WIDE) if value is None else make_constant(value, WIDE)
        return self._cast[out.node]


def _is_narrow(out: Out) -> bool:
    return out.dtype in NARROW


def _cast(out: Out, dtype: str) -> Out:
    return cast.apply((out,), (("dtype", dtype),), out.node.sources)


def _on(node: Node, inputs: tuple[Out, ...], same: bool = False) -> Out:
    """The node on other inputs, its shapes as they are; where its inputs are no longer narrow, neither is what it makes of them."""
    stored = same or node.op is cast or any(map(_is_narrow, inputs))
    params = node.params if stored else tuple((k, WIDE if isinstance(v, str) and v in NARROW else v) for k, v in node.params)
    outs = tuple(t if stored or t.dtype not in NARROW else TensorType(WIDE, t.shape) for t in node.outs)
    return Out(Node(node.op, params, inputs, outs, node.sources, node.name))
