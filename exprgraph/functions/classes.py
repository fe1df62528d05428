"""Output layers over many classes: hierarchical softmax and products of chosen blocks, and how often classes were confused."""
from __future__ import annotations

from typing import Any

from exprgraph.errors import RankError, at, here
from exprgraph.functions.counting import unique
from exprgraph.functions.einsum import einsum
from exprgraph.functions.indexing import getitem, take, take_along_axis
from exprgraph.functions.joining import concatenate
from exprgraph.functions.linear import dot, tensordot
from exprgraph.functions.nnet import softmax
from exprgraph.functions.positions import inside
from exprgraph.functions.shaping import reshape
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import int_div, mod
from exprgraph.ops.compare import eq
from exprgraph.ops.rounding import cast
from exprgraph.ops.shape import dim_node, dimshuffle


def sparse_block_dot(W: Any, h: Any, inputIdx: Any, b: Any, outputIdx: Any) -> Out:
    """Products of chosen blocks: result[n, j] = b[outputIdx[n, j]] + the sum over i of h[n, i] @ W[inputIdx[n, i], outputIdx[n, j]].

    W: (input blocks, output blocks, input size, output size); h: (batch, inputs, input size); inputIdx: (batch, inputs); b: (output blocks,
    output size); outputIdx: (batch, outputs).  The result is (batch, outputs, output size).  IndexFault for a block that is not there.
    """
    blocks, given = as_symbol(W), as_symbol(h)
    ranks = [t.ndim for t in (blocks, given, as_symbol(inputIdx), as_symbol(b), as_symbol(outputIdx))]
    if ranks != [4, 3, 2, 2, 2]:
        raise RankError(f"sparse_block_dot takes tensors of 4, 3, 2, 2 and 2 axes, not {', '.join(map(str, ranks))}{at(here())}")
    rows, columns, height, width = blocks.type.shape
    left = inside("sparse_block_dot", inputIdx, dim_node(rows), "raise", place=True)
    right = inside("sparse_block_dot", outputIdx, dim_node(columns), "raise", place=True)
    flat = reshape(blocks, (dim_node(rows * columns), dim_node(height), dim_node(width)))
    pairs: Any = dimshuffle(left, pattern=[0, 1, -1]) * dim_node(columns) + dimshuffle(right, pattern=[0, -1, 1])
    return einsum("nis,nijso->njo", given, take(flat, pairs, 0)) + take(b, right, 0)  # type: ignore[no-any-return]


def h_softmax(x: Any, batch_size: Any, n_outputs: int, n_classes: int, n_outputs_per_class: int, W1: Any, b1: Any, W2: Any, b2: Any,
              target: Any = None) -> Out:
    """The softmax of two levels: the probability of a class times that of an output in it.

    x: (batch_size, features); W1: (features, n_classes); b1: (n_classes,); W2: (n_classes, features, n_outputs_per_class); b2: (n_classes,
    n_outputs_per_class).  Output k is number k % n_outputs_per_class of class k // n_outputs_per_class.  Without target the
    probabilities of all outputs, (batch_size, n_outputs); with it, a vector of integers, only those of the targets, (batch_size,).
    """
    first = softmax(dot(x, W1) + b1)
    if target is None:
        inner = softmax(tensordot(x, W2, axes=((1,), (1,))) + b2)
        both: Any = dimshuffle(first, pattern=[0, 1, -1]) * inner
        every = reshape(both, (batch_size, n_classes * n_outputs_per_class))
        return getitem(every, (slice(None), slice(0, n_outputs)))
    places = inside("h_softmax", target, n_outputs, "raise", place=True)
    group, member = int_div(places, n_outputs_per_class), mod(places, n_outputs_per_class)
    inner = softmax(einsum("bf,bfo->bo", x, take(W2, group, 0)) + take(b2, group, 0))
    return _picked(first, group) * _picked(inner, member)  # type: ignore[no-any-return]


def _picked(rows: Out, places: Out) -> Out:
    return getitem(take_along_axis(rows, dimshuffle(places, pattern=[0, -1]), axis=1), (slice(None), 0))


def confusion_matrix(actual: Any, pred: Any) -> list[Out]:
    """How often each label was taken for each other, [matrix, labels]: actual labels in the rows, predicted ones in the columns, int64.

    labels: those that occur in either vector, ascending; each call decides how many there are.
    """
    found = [as_symbol(a) for a in (actual, pred)]
    if [a.ndim for a in found] != [1, 1]:
        raise RankError(f"confusion_matrix takes two vectors, not tensors of {found[0].ndim} and {found[1].ndim} axes{at(here())}")
    labels = unique(concatenate(found, 0))
    rows, columns = (cast(eq(dimshuffle(a, pattern=[0, -1]), labels), "int64") for a in found)
    return [dot(dimshuffle(rows, pattern=[1, 0]), columns), labels]
