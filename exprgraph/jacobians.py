"""Jacobians and Hessians: all rows or all columns at once, as one batch of cotangents or of tangents.

Reverse mode takes a lane for each element of the expression, forward mode one for each element of what it is derived by; forward mode
is chosen where the sizes say that it takes fewer.  Of a sparse Jacobian whose pattern is known, lanes that share no element go together
(Curtis, Powell and Reid 1974): its columns, or its rows, are coloured greedily, and a lane is the sum of all of one colour.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from exprgraph.batch import batched
from exprgraph.dims import bounds, product
from exprgraph.errors import GradientError, at, here
from exprgraph.grad import choose, grad
from exprgraph.node import OPERATORS, Out, as_symbol, make_constant
from exprgraph.ops.create import iota
from exprgraph.ops.rounding import cast, second
from exprgraph.ops.shape import dim_node, dimshuffle, reshape, shape_of
from exprgraph.products import Rop, tangents

Array = np.ndarray[Any, Any]
MODES = ("auto", "forward", "reverse")


def jacobian(expression: Any, wrt: Any, consider_constant: Iterable[Out] | None = None, disconnected_inputs: str = "raise",
             mode: str = "auto", sparsity: Any = None, sparse: bool = False) -> Any:
    """The derivatives of each element of a float tensor with respect to each element of a symbol, or of a list or tuple of them.

    The result has the expression's shape followed by the symbol's.  mode: "forward" or "reverse" chooses how; "auto" goes forward where
    the symbols are known to have fewer elements than the expression.  sparsity: a matrix, expression's elements by symbol's, that is
    not zero wherever the Jacobian may not be; with it, elements that share no row (or no column) are derived together, and sparse=True
    gives the vector of the values at np.nonzero(sparsity) alone.  consider_constant, disconnected_inputs: as for `grad`.
    GradientError for wrong arguments; ShapeError where the pattern does not fit the sizes of a call.
    """
    choose("mode", mode, MODES)
    y, several = as_symbol(expression), isinstance(wrt, list | tuple)
    symbols = list(wrt) if several else [wrt]
    if not all(isinstance(x, Out) for x in symbols):
        raise GradientError(f"a Jacobian is taken with respect to symbols{at(here())}")
    lanes = _Lanes(y, symbols, list(consider_constant or ()), disconnected_inputs)
    if sparsity is not None or sparse:
        found = [_compressed(lanes, mode, _pattern(sparsity, several), sparse)]
    elif mode == "forward" or (mode == "auto" and _fewer(symbols, y)):
        found = [_turned(lanes.forward(k, _basis(x)), y, x) for k, x in enumerate(symbols)]
    else:
        found = [reshape(j, *shape_of(y), *shape_of(x)) for j, x in zip(lanes.reverse(_basis(y)), symbols)]
    return found[0] if not several else tuple(found) if isinstance(wrt, tuple) else found


def hessian(cost: Any, wrt: Any, consider_constant: Iterable[Out] | None = None, disconnected_inputs: str = "raise") -> Any:
    """The second derivatives of a float scalar with respect to a symbol, or to each of a list or tuple of symbols.

    Each result has its symbol's shape twice; blocks between different symbols are not formed.  All of it is one batch of
    forward mode over the gradient.  The other arguments are those of `grad`.
    """
    symbols = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    slopes = grad(cost, symbols, consider_constant, disconnected_inputs, add_names=False)
    found = [jacobian(g, x, consider_constant, "ignore", mode="forward") for g, x in zip(slopes, symbols)]
    return found[0] if not isinstance(wrt, list | tuple) else tuple(found) if isinstance(wrt, tuple) else found


def hessian_vector_product(cost: Any, wrt: Any, p: Any, **keywords: Any) -> Any:
    """The Hessian of a float scalar with respect to wrt, times p, in the form of wrt; no Hessian is formed.

    wrt: a symbol, or a list or tuple; p: for each a tensor of its shape.  Blocks between the symbols count.  keywords: for `grad`.
    """
    return Rop(grad(cost, wrt, add_names=False, **keywords), wrt, p, disconnected_outputs="ignore")


class _Lanes:
    """A tensor and symbols that it is derived by, many lanes at a time."""

    def __init__(self, y: Out, symbols: Sequence[Out], constant: Sequence[Out], policy: str) -> None:
        self.y, self.symbols, self.constant, self.policy = y, symbols, constant, policy

    def reverse(self, seeds: Out) -> list[Out]:
        """For cotangents, one a lane along the first axis, those of each symbol."""
        given = second(self.y, 0.0)
        pulled = grad(None, list(self.symbols), self.constant, self.policy, add_names=False, known_grads={self.y: given})
        return batched(pulled, {given: seeds}, shape_of(seeds)[0])

    def forward(self, k: int, seeds: Out) -> Out:
        """For tangents of one symbol, one a lane along the first axis, those of the tensor."""
        given = second(self.symbols[k], 0.0)
        pushed, = tangents([self.y], [(self.symbols[k], given)], self.policy, constant=self.constant)
        assert pushed is not None
        return batched([pushed], {given: seeds}, shape_of(seeds)[0])[0]


def _fewer(symbols: Sequence[Out], y: Out) -> bool:
    """Whether the symbols are known to have fewer elements together than a tensor, whatever the sizes."""
    count = sum((product(x.type.shape) for x in symbols[1:]), product(symbols[0].type.shape))
    return bounds(product(y.type.shape) - count)[0] >= 1


def _basis(x: Out) -> Out:
    """For each element of a tensor a lane that is 1 there and 0 elsewhere."""
    count = dim_node(product(x.type.shape))
    places = iota(count)
    ones: Any = OPERATORS["eq"](dimshuffle(places, pattern=[0, -1]), dimshuffle(places, pattern=[-1, 0]))
    return reshape(cast(ones, x.dtype), count, *shape_of(x))


def _turned(found: Out, y: Out, x: Out) -> Out:
    """What forward mode gives for each element of x, with y's axes first."""
    back = dimshuffle(found, pattern=[*range(1, found.ndim), 0])
    return reshape(back, *shape_of(y), *shape_of(x))


def _pattern(sparsity: Any, several: bool) -> Array:
    dense = sparsity.toarray() if hasattr(sparsity, "toarray") else np.asarray(False if sparsity is None else sparsity)
    if dense.ndim != 2 or several:
        raise GradientError("sparsity= is a matrix for one symbol: elements of the expression by elements of the symbol"
                            f"{at(here())}")
    return np.asarray(dense != 0)


def colours(pattern: Array) -> Array:
    """A colour for each column, 0, 1, ...: no two columns of one colour have an element that is not zero in the same row.

    Greedy, columns with most elements first.
    """
    taken = np.zeros((pattern.shape[0], 0), bool)
    found = np.zeros(pattern.shape[1], np.int64)
    for column in np.argsort(-pattern.sum(axis=0), kind="stable"):
        rows = pattern[:, column]
        free = np.flatnonzero(~taken[rows].any(axis=0))
        if not free.size:
            taken = np.concatenate([taken, np.zeros((len(taken), 1), bool)], axis=1)
            free = np.array([taken.shape[1] - 1])
        found[column] = free[0]
        taken[rows, free[0]] = True
    return found


def _compressed(lanes: _Lanes, mode: str, pattern: Array, sparse: bool) -> Out:
    """The Jacobian from one lane for each colour."""
    y, x = lanes.y, lanes.symbols[0]
    by_column, by_row = (colours(p) if mode in ("auto", name) else None for p, name in ((pattern, "forward"), (pattern.T, "reverse")))
    forward = by_row is None or (by_column is not None and by_column.max(initial=0) <= by_row.max(initial=0))
    colour, seeded = (by_column, x) if forward else (by_row, y)
    assert colour is not None
    groups = np.arange(colour.max(initial=-1) + 1)[:, None] == colour
    seeds = reshape(make_constant(groups.astype(seeded.dtype)), len(groups), *shape_of(seeded))
    found = lanes.forward(0, seeds) if forward else lanes.reverse(seeds)[0]
    rows = reshape(found, len(groups), pattern.shape[0 if forward else 1])
    if sparse:
        at_row, at_column = np.nonzero(pattern)
        return OPERATORS["getitem"](rows, (colour[at_column], at_row) if forward else (colour[at_row], at_column))  # type: ignore[no-any-return]
    whole: Any = OPERATORS["take"](rows, colour, axis=0)
    dense = OPERATORS["where"](make_constant(pattern), whole.T if forward else whole, 0)
    return reshape(dense, *shape_of(y), *shape_of(x))
