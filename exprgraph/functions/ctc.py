"""Connectionist temporal classification: the cost of labels whose places in time are not known (Graves et al. 2006, equations 6 to 16).

The recursion over time is a function on arrays (`exprgraph.own.function`), for all sequences of a batch and all states at once.
"""
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import DTypeError, RankError, at, here
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol
from exprgraph.ops.shape import shape_of
from exprgraph.own.function import FunctionOp, as_op

Array = np.ndarray[Any, Any]
BLANK = 0
NEVER = -np.inf


def ctc(activations: Any, labels: Any, input_lengths: Any) -> Out:
    """The cost of each sequence of a batch, -log of the probability that its labels are said in their order; a vector.

    activations: floats (time, batch, classes), before the softmax; class 0 is the blank.  labels: integers (batch, most labels), from 1 on;
    what follows a negative one is padding.  input_lengths: integers (batch,), how many of the time steps count.  The cost is infinite, and
    has slope 0, where there are fewer steps than the labels need.  There is a gradient with respect to the activations, to first order.
    RankError, DTypeError; OwnOpError for a label or a length that is outside when a call brings it.
    """
    x, tags, lengths = map(as_symbol, (activations, labels, input_lengths))
    for name, tensor, ndim in (("activations", x, 3), ("labels", tags, 2), ("input_lengths", lengths, 1)):
        if tensor.ndim != ndim:
            raise RankError(f"ctc: {name} has {tensor.ndim} axes instead of {ndim}{at(here())}")
    if not dtypes.is_float(x.dtype) or not (dtypes.is_int(tags.dtype) and dtypes.is_int(lengths.dtype)):
        raise DTypeError(f"ctc takes floats, integers and integers, not {x.dtype}, {tags.dtype} and {lengths.dtype}{at(here())}")
    found: Out = _costs(x.dtype)(x, tags, lengths)
    return found


@cache
def _costs(dtype: str) -> FunctionOp:
    kinds = [(dtype, 3), ("int64", 2), ("int64", 1)]
    slopes = as_op(kinds, [(dtype, 3)], infer_shape=lambda node, shapes: [shapes[0]], name="ctc_slopes")(
        lambda x, labels, lengths: _slopes(_lattice(x, labels, lengths)).astype(dtype))

    def grad(g: Any, y: Out, x: Out, labels: Out, lengths: Out) -> tuple[Out | None, ...]:
        return g.reshape((1, shape_of(g)[0], 1)) * slopes(x, labels, lengths), None, None
    made: FunctionOp = as_op(kinds, [(dtype, 1)], infer_shape=lambda node, shapes: [(shapes[0][1],)], grad=grad, name="ctc")(
        lambda x, labels, lengths: (-_total(_lattice(x, labels, lengths))).astype(dtype))
    return made


class Lattice(NamedTuple):
    """What the recursions walk over.

    log_p: the log of the softmax, (time, batch, classes).  states: the class of each state, (batch, 2 labels + 1): a blank, a label, a
    blank, ...  extent: states of each sequence.  jumps: whether a state may follow the last but one.  steps: time steps of each sequence.
    alpha: the log of the probability of all ways into a state, its own step included, (time, batch, states).
    """
    log_p: Array
    states: Array
    extent: Array
    jumps: Array
    steps: Array
    alpha: Array

    def emitted(self, t: int) -> Array:
        """The log of the probability of each state's class at a step."""
        found: Array = np.take_along_axis(self.log_p[t], self.states, 1)
        return found


def _lattice(x: Array, labels: Array, lengths: Array) -> Lattice:
    steps, batch, classes = x.shape
    if labels.shape[0] != batch or lengths.shape != (batch,):
        raise ValueError(f"{batch} sequences have {labels.shape[0]} rows of labels and {lengths.size} lengths")
    if ((lengths < 0) | (lengths > steps)).any():
        raise ValueError(f"a length is not in 0 .. {steps}: {lengths[(lengths < 0) | (lengths > steps)][0]}")
    valid = np.logical_and.accumulate(labels >= 0, axis=1)
    wrong = labels[valid & ((labels == BLANK) | (labels >= classes))]
    if wrong.size:
        raise ValueError(f"a label is not in 1 .. {classes - 1}: {wrong[0]}")
    states = np.full((batch, 2 * labels.shape[1] + 1), BLANK, np.int64)
    states[:, 1::2] = np.where(valid, labels, BLANK)
    jumps = np.zeros(states.shape, bool)
    jumps[:, 2:] = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    wide = x.astype(np.float64)
    top = wide.max(axis=2, keepdims=True, initial=NEVER)
    log_p = wide - top - np.log(np.exp(wide - top).sum(axis=2, keepdims=True))
    found = Lattice(log_p, states, 2 * valid.sum(axis=1) + 1, jumps, lengths, np.full((steps, *states.shape), NEVER))
    return found._replace(alpha=_forward(found))


def _shifted(a: Array, by: int) -> Array:
    """The states moved along by some places, impossible ones coming in."""
    found = np.full(a.shape, NEVER)
    if by > 0:
        found[:, by:] = a[:, :-by]
    else:
        found[:, :by] = a[:, -by:]
    return found


def _forward(of: Lattice) -> Array:
    alpha = of.alpha
    for t in range(len(alpha)):
        if t:
            into = np.logaddexp(alpha[t - 1], _shifted(alpha[t - 1], 1))
            into = np.logaddexp(into, np.where(of.jumps, _shifted(alpha[t - 1], 2), NEVER))
        else:
            into = np.where(np.arange(of.states.shape[1]) < 2, 0.0, NEVER)
        alpha[t] = np.where(np.arange(of.states.shape[1]) < of.extent[:, None], into + of.emitted(t), NEVER)
    return alpha


def _last(of: Lattice) -> Array:
    """Whether a sequence may end in a state: the last two."""
    at_state = np.arange(of.states.shape[1])
    return np.asarray((at_state < of.extent[:, None]) & (at_state >= of.extent[:, None] - 2))


def _total(of: Lattice) -> Array:
    """The log of the probability of each sequence; of no steps it is that of no labels."""
    batch = np.arange(len(of.steps))
    empty = np.where(of.extent == 1, 0.0, NEVER)
    if not len(of.alpha):
        return empty
    ends = np.where(_last(of), of.alpha[np.maximum(of.steps, 1) - 1, batch], NEVER)
    return np.where(of.steps > 0, np.logaddexp.reduce(ends, axis=1), empty)


def _slopes(of: Lattice) -> Array:
    """The gradient of each cost: what the softmax says less what the ways through the labels say."""
    total, batch = _total(of), np.arange(len(of.steps))[:, None]
    slopes = np.exp(of.log_p)
    beta = np.full(of.states.shape, NEVER)
    for t in range(len(of.alpha) - 1, -1, -1):
        if t + 1 < len(of.alpha):
            after = beta + of.emitted(t + 1)
            onward = np.logaddexp(after, _shifted(after, -1))
            beta = np.logaddexp(onward, _shifted(np.where(of.jumps, after, NEVER), -2))
        beta = np.where(np.equal(of.steps, t + 1)[:, None], np.where(_last(of), 0.0, NEVER), beta)
        with np.errstate(invalid="ignore"):
            there = np.exp(of.alpha[t] + beta - total[:, None])
        np.subtract.at(slopes[t], (batch, of.states), np.nan_to_num(there))
    counted = (np.arange(len(slopes))[:, None] < of.steps) & np.isfinite(total)
    return np.where(counted[:, :, None], slopes, 0.0)
