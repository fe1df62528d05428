"""Constant folding: nodes whose inputs are all constants are computed once, by the NumPy meaning of their row."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph import graph as graphs
from exprgraph.dims import product
from exprgraph.dtypes import BFLOAT
from exprgraph.node import CONSTANT, Graph, Node, Out, constant_value, make_constant

LIMIT = 2**16
Array = np.ndarray[Any, Any]


def fold(graph: Graph) -> Graph:
    """The graph with what is constant computed; what would be larger than its inputs, or raises, stays as it is."""
    outputs = graphs.transform(graph.outputs, _folded)
    return graph if all(a is b for a, b in zip(outputs, graph.outputs)) else Graph(graph.inputs, outputs)


def _folded(node: Node, inputs: tuple[Out, ...]) -> Out:
    if inputs and inputs[0].node.op is CONSTANT and len(node.outs) == 1 and "impure" not in node.op.flags and all(
            i.node.op is CONSTANT for i in inputs):
        value = _compute(node, inputs)
        if value is not None:
            made = make_constant(value, node.outs[0].dtype)
            made.node.sources, made.node.name = node.sources, node.name
            return made
    return graphs.reuse(node, inputs)


def _compute(node: Node, inputs: tuple[Out, ...]) -> Array | None:
    """The value of a node of constants, None where it is better left to the device."""
    size = product(node.outs[0].shape).const
    arrays = [a for a in (constant_value(i) for i in inputs) if a is not None]
    if BFLOAT in (node.outs[0].dtype, *(i.dtype for i in inputs)):
        return None
    if size is None or size > min(LIMIT, max(a.size for a in arrays)):
        return None
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(node.op.numpy(*arrays, **dict(node.params)))
    except Exception:  # whatever the meaning objects to shall be reported by the call, not by compile()
        return None
    return value if value.dtype == node.outs[0].dtype and value.shape == tuple(d.const for d in node.outs[0].shape) else None
