"""One kernel of the user's own run for itself, where only a device can say what it gives."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exprgraph.errors import NoMeaningError, at, defined
from exprgraph.node import INPUT, Node, Out, leaf, make_constant
from exprgraph.own.op import Array, OwnOp


def run_alone(node: Node, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """What the node gives for these inputs on the device that a compile would choose."""
    from exprgraph.compilation import compile  # it loads all passes
    assert isinstance(node.op, OwnOp)
    arity = node.op.own.arity
    symbols = [Out(leaf(INPUT, a.dtype.name, (None,) * a.ndim)) for a in inputs[:arity]]
    sizes = [make_constant(a, "int64") for a in inputs[arity:]]
    try:
        run = compile(symbols, node.op.apply((*symbols, *sizes), node.params, node.sources), on_unused_input="ignore")
        return (np.asarray(run(*inputs[:arity])),)
    except NoMeaningError:
        raise NoMeaningError(f"{node.op.name} has no NumPy meaning, and no device is there to run it: give numpy={at(node.source)}"
                             f"{defined(node.op.own.source)}") from None
