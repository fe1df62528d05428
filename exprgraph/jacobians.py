"""Jacobians and Hessians: all rows or all columns at once, as one batch of cotangents or of tangents.

Reverse mode takes a lane for each element of the expression, forward mode one for each element of what it is derived by; forward mode
is chosen where the sizes say that it takes fewer.  Of a sparse Jacobian whose pattern is known, lanes that share no element go together
(Curtis, Powell and Reid 1974): its columns, or its rows, are coloured greedily, and a lane is the sum of all of one colour.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.batch import batched
from exprgraph.dims import bounds, product
from exprgraph.errors import GradientError, at, here
from exprgraph.grad import choose, constants, grad
from exprgraph.named import NamedTuple
from exprgraph.node import OPERATORS, Out, as_symbol, make_constant
from exprgraph.ops.create import iota
from exprgraph.ops.rounding import cast, second
from exprgraph.ops.shape import dim_node, dimshuffle, reshape, shape_of
from exprgraph.products import Rop, tangents
from exprgraph.types import cast_to

Array = np.ndarray[Any, Any]
MODES = ("auto", "forward", "reverse")


def jacobian(expression: Any, wrt: Any, consider_constant: Iterable[Out] | None = None, disconnected_inputs: str = "raise",
             mode: str = "auto", sparsity: Any = None, sparse: bool = False) -> Any:
    """The derivatives of each element of a float tensor with respect to each element of a symbol, or of a list or tuple of them.

    The result has the expression's shape followed by the symbol's, and the symbol's dtype; complex tensors have none.  mode: "forward" or
    "reverse" chooses how; "auto" goes forward where the symbols are known to have fewer elements than the expression.  sparsity: a matrix,
    or one of SciPy's, the expression's elements by the symbol's, that is not zero wherever the Jacobian may not be; with it, elements that
    share no row (or no column) are derived together, and sparse=True gives the vector of the values at np.nonzero(sparsity) alone.
    consider_constant, disconnected_inputs: as for `grad`.  GradientError for wrong arguments; ShapeError where the pattern does not fit the
    sizes of a call.
    """
    choose("mode", mode, MODES)
    choose("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    y, several = as_symbol(expression), isinstance(wrt, list | tuple)
    symbols = list(wrt) if several else [wrt]
    if not all(isinstance(x, Out) for x in symbols):
        raise GradientError(f"a Jacobian is taken with respect to symbols{at(here())}")
    if any(dtypes.is_complex(t.dtype) for t in (y, *symbols)):
        raise GradientError(f"no Jacobian of complex tensors is formed: take the real and imaginary parts of each{at(here())}")
    if not symbols:
        return wrt
    lanes = _Lanes(y, symbols, constants(consider_constant), disconnected_inputs)
    if sparsity is not None or sparse:
        if several or sparsity is None:
            raise GradientError(f"sparsity= is for one symbol, and sparse=True needs it{at(here())}")
        found = [_compressed(lanes, mode, pattern_of(sparsity), sparse)]
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
    symbols, held = list(wrt) if isinstance(wrt, list | tuple) else [wrt], constants(consider_constant)
    slopes = grad(cost, symbols, held, disconnected_inputs, add_names=False)
    found = [jacobian(g, x, held, "ignore", mode="forward") for g, x in zip(slopes, symbols)]
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
    many = sum((product(x.type.shape) for x in symbols[1:]), product(symbols[0].type.shape))
    return bounds(product(y.type.shape) - many)[0] >= 1


def _basis(x: Out) -> Out:
    """For each element of a tensor a lane that is 1 there and 0 elsewhere."""
    length = dim_node(product(x.type.shape))
    places = iota(length)
    ones: Any = OPERATORS["eq"](dimshuffle(places, pattern=[0, -1]), dimshuffle(places, pattern=[-1, 0]))
    return reshape(cast(ones, x.dtype), length, *shape_of(x))


def _turned(found: Out, y: Out, x: Out) -> Out:
    """What forward mode gives for each element of x, with y's axes first."""
    back = cast_to(dimshuffle(found, pattern=[*range(1, found.ndim), 0]), x.dtype)
    return reshape(back, *shape_of(y), *shape_of(x))


class Pattern(NamedTuple):
    """Where a matrix may not be zero: the rows and columns of its elements, in C order, and its shape."""
    rows: Array
    columns: Array
    shape: tuple[int, int]

    def turned(self) -> Pattern:
        """The pattern of the transpose, its elements in the order of this one."""
        return Pattern(self.columns, self.rows, self.shape[::-1])

    def dense(self) -> Array:
        """The matrix of bools."""
        found = np.zeros(self.shape, bool)
        found[self.rows, self.columns] = True
        return found


def pattern_of(matrix: Any) -> Pattern:
    """The pattern of an array, or of one of SciPy's sparse matrices or arrays; GradientError for what is no matrix."""
    if hasattr(matrix, "tocsr"):
        whole = matrix.tocsr().tocoo()
        at_row, at_column = (np.asarray(i)[np.asarray(whole.data) != 0] for i in (whole.row, whole.col))
        at_row, at_column = np.unique(np.stack([at_row, at_column]).astype(np.int64), axis=1)
    else:
        whole = np.asarray(matrix)
        if whole.ndim != 2:
            raise GradientError(f"sparsity= is a matrix: elements of the expression by elements of the symbol{at(here())}")
        at_row, at_column = np.nonzero(whole)
    return Pattern(at_row, at_column, (int(whole.shape[0]), int(whole.shape[1])))


def colours(pattern: Pattern) -> Array:
    """A colour for each column, 0, 1, ...: no two columns of one colour have an element in the same row.

    Greedy, columns with most elements first; time and memory grow with the elements, not with the area.
    """
    found = np.zeros(pattern.shape[1], np.int64)
    sizes = np.bincount(pattern.columns, minlength=pattern.shape[1])
    inside = np.split(pattern.rows[np.argsort(pattern.columns, kind="stable")], np.cumsum(sizes)[:-1]) if len(sizes) else []
    taken: list[set[int]] = [set() for _ in range(pattern.shape[0])]
    for column in np.argsort(-sizes, kind="stable"):
        rows = inside[column].tolist()
        colour = next(c for c in count() if not any(c in taken[r] for r in rows))
        found[column] = colour
        for r in rows:
            taken[r].add(colour)
    return found


def _compressed(lanes: _Lanes, mode: str, pattern: Pattern, sparse: bool) -> Out:
    """The Jacobian from one lane for each colour."""
    y, x = lanes.y, lanes.symbols[0]
    ways = ((pattern, "forward"), (pattern.turned(), "reverse"))
    by_column, by_row = (colours(p) if mode in ("auto", name) else None for p, name in ways)
    forward = by_row is None or (by_column is not None and by_column.max(initial=0) <= by_row.max(initial=0))
    colour, seeded = (by_column, x) if forward else (by_row, y)
    assert colour is not None
    groups = np.arange(colour.max(initial=-1) + 1)[:, None] == colour
    seeds = reshape(make_constant(groups.astype(seeded.dtype)), len(groups), *shape_of(seeded))
    found = lanes.forward(0, seeds) if forward else lanes.reverse(seeds)[0]
    rows = reshape(found, len(groups), pattern.shape[0 if forward else 1])
    if sparse:
        picked = (colour[pattern.columns], pattern.rows) if forward else (colour[pattern.rows], pattern.columns)
        return cast_to(OPERATORS["getitem"](rows, picked), x.dtype)
    whole: Any = OPERATORS["take"](rows, colour, axis=0)
    dense = OPERATORS["where"](make_constant(pattern.dense()), whole.T if forward else whole, 0)
    return reshape(cast_to(dense, x.dtype), *shape_of(y), *shape_of(x))
