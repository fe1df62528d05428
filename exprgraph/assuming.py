"""assume(): what the user knows of a tensor, for rules to use; and taking it out of a graph once they have."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph.dtypes import is_complex
from exprgraph.errors import AssertionFault, DTypeError, GraphError, RankError, ShapeError, at, here, shortly
from exprgraph.facts import of
from exprgraph.facts import wanted as wanted_of
from exprgraph.graph import order, reuse, transform
from exprgraph.known.record import implies, meet
from exprgraph.known.words import RANKS, SQUARE, Wanted, broken, checked, facts
from exprgraph.node import Graph, Node, Out, as_symbol
from exprgraph.ops.markers import assume as row
from exprgraph.types import show_shape


def assume(x: Any, *words: str, low: float | None = None, high: float | None = None, nan: bool = False) -> Out:
    """The tensor x, of which the optimiser may take for true what the words and bounds say of every element.

    words: "positive", "negative", "nonnegative" (-0.0 is not), "nonpositive", "finite", "number" (not NaN), "integer" (whole, of any
    real dtype); of a vector, or the last axis, "sorted" in rising order, and "unique", no two elements equal; of the matrices in the
    last two axes "symmetric", to the bit, "diagonal", "lower_triangular", "upper_triangular", and up to rounding "orthogonal" and
    "positive_semidefinite".  low, high: bounds, rounded to the dtype as constants are.  Words about numbers, and bounds, say that no
    element is NaN; with nan=True elements may be.  Where it does not hold, results may be anything; mode="DebugMode" looks at the
    values of each call.  No kernel does anything for it; gradients go through.

    OptionError for a word that is none, UseError for a bound that is no number, RankError or ShapeError where x has no such axes,
    DTypeError for complex numbers, GraphError where it contradicts what is known of x.
    """
    out, wanted = as_symbol(x), checked("assume", words, low, high, nan)
    _refuse(out, wanted)
    known, told = of(out), facts(wanted, out.dtype)
    if told is None or meet(known, told) is None:
        why = f"no {out.dtype} is all of that" if told is None else f"it is known to be in {known}"
        raise GraphError(f"assume({shortly(out, 40)}, {wanted}): {why}{at(here())}")
    return row(out, words=wanted.words, low=wanted.low, high=wanted.high, nan=wanted.nan)


def _refuse(out: Out, wanted: Wanted) -> None:
    if is_complex(out.dtype):
        raise DTypeError(f"assume does not take {out.dtype}: assume it of its parts{at(here())}")
    for word in wanted.words:
        if out.ndim < RANKS.get(word, 0):
            raise RankError(f"assume {word!r}: a tensor of at least {RANKS[word]} axes is needed, not {out.ndim}{at(here())}")
        sides = out.type.shape[-2:]
        if word in SQUARE and None not in (sides[0].const, sides[1].const) and sides[0] != sides[1]:
            raise ShapeError(f"assume {word!r}: a matrix of shape {show_shape(sides)} is not square{at(here())}")


def assumptions(outputs: Sequence[Out]) -> list[Node]:
    """The nodes of a graph that assume something."""
    return [n for n in order(outputs) if n.op is row]


def dropped(graph: Graph) -> Graph:
    """The graph without assumptions; the graph itself where there are none."""
    if not assumptions(graph.outputs):
        return graph
    return Graph(graph.inputs, transform(graph.outputs, lambda node, inputs: inputs[0] if node.op is row else reuse(node, inputs)))


def needless(x: Out, root: Out) -> Out | None:
    """x where all that is assumed of it is known."""
    told = facts(wanted_of(root.node), x.dtype)
    return x if told is not None and implies(of(x), told) else None


def check(node: Node, value: np.ndarray[Any, Any]) -> None:
    """AssertionFault, with the user's line, where an array does not keep to what a node assumes."""
    wanted = wanted_of(node)
    told = facts(wanted, node.outs[0].dtype)
    problem = None if told is None else broken(told, value)
    if problem is not None:
        raise AssertionFault(f"assume({shortly(node.inputs[0], 40)}, {wanted}): {problem}{at(node.source)}")
