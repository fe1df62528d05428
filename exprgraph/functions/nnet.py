"""The functions of neural networks, composed of rows: activations, softmax and its logarithm, cross-entropies."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.errors import DTypeError, RankError, at, here
from exprgraph.functions.stats import as_floats, mean
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import absolute, neg, sqr, sub
from exprgraph.ops.compare import clip, gt, lt, switch
from exprgraph.ops.compare import relu as relu_row
from exprgraph.ops.index import take_along
from exprgraph.ops.reduce import max_, sum_
from exprgraph.ops.shape import dimshuffle
from exprgraph.ops.transcendental import erf, exp, expm1, log, sigmoid, softplus, tanh
from exprgraph.types import cast_to

Axis = int | Sequence[int] | None
SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def softmax(x: Any, axis: Axis = -1) -> Out:
    """exp(x) over its sum along the axes (None: all), without overflow; NaN where a row is all -inf or holds +inf or NaN."""
    out: Any = as_floats(x)
    raised: Any = exp(out - max_(out, axis=axis, keepdims=True, shift=True))
    return raised / sum_(raised, axis=axis, keepdims=True)  # type: ignore[no-any-return]


def log_softmax(x: Any, axis: Axis = -1) -> Out:
    """The logarithm of `softmax`, exact where softmax itself is rounded to 0 or 1."""
    out: Any = as_floats(x)
    below: Any = out - max_(out, axis=axis, keepdims=True, shift=True)
    return below - log(sum_(exp(below), axis=axis, keepdims=True))  # type: ignore[no-any-return]


def relu(x: Any, alpha: Any = 0) -> Out:
    """x where it is positive, else alpha * x; the derivative at 0 is alpha."""
    if not isinstance(alpha, Out) and dtypes.is_weak(alpha) and alpha == 0:
        return relu_row(x)
    out: Any = as_symbol(x)
    return switch(gt(out, 0), out, out * alpha)


def leaky_relu(x: Any, alpha: Any = 0.01) -> Out:
    """x where it is positive, else alpha * x."""
    return relu(x, alpha)


def elu(x: Any, alpha: Any = 1.0) -> Out:
    """x where it is positive, else alpha * (exp(x) - 1)."""
    out: Any = as_floats(x)
    above = gt(out, 0)
    low: Any = expm1(switch(above, 0, out))
    return switch(above, out, low * alpha)


def selu(x: Any) -> Out:
    """elu scaled so that layers of it keep mean 0 and variance 1."""
    scale, alpha = SELU
    return elu(x, alpha) * scale  # type: ignore[no-any-return]


def silu(x: Any) -> Out:
    """x * sigmoid(x), also called swish."""
    out: Any = as_floats(x)
    return out * sigmoid(out)  # type: ignore[no-any-return]


def gelu(x: Any, approximate: bool = False) -> Out:
    """x times the probability that a standard normal number is below x; approximate computes that with tanh."""
    out: Any = as_floats(x)
    if approximate:
        inner: Any = tanh((out + out * sqr(out) * 0.044715) * 0.7978845608028654)
    else:
        inner = erf(out * 0.7071067811865476)
    return out * 0.5 * (inner + 1)  # type: ignore[no-any-return]


def softsign(x: Any) -> Out:
    """x / (1 + abs(x))."""
    out: Any = as_floats(x)
    return out / (absolute(out) + 1)  # type: ignore[no-any-return]


def hard_sigmoid(x: Any) -> Out:
    """sigmoid in three straight lines: 0.2 * x + 0.5 between 0 and 1."""
    out: Any = as_floats(x)
    return clip(out * 0.2 + 0.5, 0, 1)


def ultra_fast_sigmoid(x: Any) -> Out:
    """sigmoid without exp, off by at most 0.05: a hyperbola around 0, then two straight lines."""
    half: Any = as_floats(x) * 0.5
    size: Any = absolute(half)
    near, far = 1.5 * size / (size + 1), 0.935409070603099 + 0.0458812946797165 * (size - 1.7)
    height: Any = switch(lt(size, 1.7), near, switch(lt(size, 3), far, size * 0 + 0.99505475368673))
    return switch(lt(half, 0), -height, height) * 0.5 + 0.5  # type: ignore[no-any-return]


def log_sigmoid(x: Any) -> Out:
    """log(sigmoid(x)) without overflow."""
    return neg(softplus(neg(as_floats(x))))


def mse(output: Any, target: Any) -> Out:
    """The mean squared error, a scalar."""
    return mean(sqr(sub(output, target)))


def binary_crossentropy(output: Any, target: Any) -> Out:
    """-(target * log(output) + (1 - target) * log(1 - output)), elementwise, for probabilities strictly between 0 and 1.

    Where output is sigmoid(x), rules turn the logarithms into softplus, which is finite for every finite x; `optimizer="none"` leaves
    them out: `sigmoid_binary_crossentropy` is stable by itself.
    """
    p, t = _pair("binary_crossentropy", output, target)
    return -(t * log(p) + (1 - t) * log(1 - p))  # type: ignore[no-any-return]


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Out:
    """`binary_crossentropy(sigmoid(output), target)` for finite outputs (logits) of any size, elementwise."""
    x, t = _pair("sigmoid_binary_crossentropy", output, target)
    return t * softplus(-x) + (1 - t) * softplus(x)  # type: ignore[no-any-return]


def _pair(name: str, output: Any, target: Any) -> tuple[Any, Any]:
    """Float outputs and targets that are of their dtype, whatever integers or bools they were."""
    p = as_floats(output)
    t = cast_to(target, p.dtype) if dtypes.is_weak(target) else as_symbol(target)
    t = t if dtypes.is_float(t.dtype) else as_floats(t, p.dtype)
    if t.ndim > p.ndim:
        raise RankError(f"{name}: the target has {t.ndim} axes, the output only {p.ndim}{at(here())}")
    return p, t


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Out:
    """-log of the probability of the true class, one value per row of probabilities in the last axis of coding_dist.

    true_dist: integer labels of one axis fewer, or a distribution (one-hot rows) of the same rank.  Where coding_dist is a softmax, rules
    turn its logarithm into log_softmax.
    """
    return _crossentropy("categorical_crossentropy", coding_dist, true_dist, log)


def cross_entropy_with_logits(logits: Any, target: Any) -> Out:
    """-log_softmax(logits) of the true class, one value per row of the last axis; targets as in `categorical_crossentropy`."""
    return _crossentropy("cross_entropy_with_logits", logits, target, log_softmax)


def _crossentropy(name: str, output: Any, target: Any, logarithm: Callable[[Any], Out]) -> Out:
    scores, truth = as_floats(output), as_symbol(target)
    if scores.ndim and truth.ndim == scores.ndim:
        return neg(sum_(truth * logarithm(scores), axis=-1))
    if truth.ndim != scores.ndim - 1:
        raise RankError(f"{name}: the target must have {scores.ndim} axes (a distribution per row) or {scores.ndim - 1} (labels), "
                        f"not {truth.ndim}{at(here())}")
    if not dtypes.is_int(truth.dtype):
        raise DTypeError(f"{name}: labels must be integers, not {truth.dtype}{at(here())}")
    chosen = take_along(logarithm(scores), dimshuffle(truth, pattern=[*range(truth.ndim), -1]), axis=-1)
    return neg(dimshuffle(chosen, pattern=range(truth.ndim)))
