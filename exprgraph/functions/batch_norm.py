"""Batch normalisation: with the statistics of the batch, or with given ones."""
from __future__ import annotations

from typing import Any

from exprgraph.dims import product
from exprgraph.errors import RankError, ShapeError, UseError, at, here, shortly
from exprgraph.functions.stats import as_floats, mean, var
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import reciprocal, sqrt
from exprgraph.ops.rounding import cast
from exprgraph.ops.shape import dim_node, dimshuffle
from exprgraph.types import normal_axes

Axes = str | int | tuple[int, ...]
LEAST_EPSILON = 1e-5


class Layout(NamedTuple):
    """The axes that statistics are taken over, and the rank of the input and of its parameters, which may leave these axes out."""
    name: str
    axes: tuple[int, ...]
    rank: int
    short: bool

    def wide(self, parameter: Any) -> Any:
        """A parameter with all axes, those of the statistics of length 1."""
        out = as_symbol(parameter)
        if out.ndim != (self.rank - len(self.axes) if self.short else self.rank):
            raise RankError(f"{self.name}: all parameters have the axes of gamma; this one has {out.ndim}{at(here())}")
        if not self.short:
            return out
        kept = iter(range(out.ndim))
        return dimshuffle(out, pattern=[-1 if i in self.axes else next(kept) for i in range(self.rank)])

    def own(self, statistic: Out) -> Out:
        """A statistic with all axes in the layout of the parameters."""
        return dimshuffle(statistic, pattern=[i for i in range(self.rank) if i not in self.axes]) if self.short else statistic


def _layout(name: str, inputs: Out, gamma: Any, axes: Axes) -> Layout:
    if isinstance(axes, str):
        if axes not in ("per-activation", "spatial"):
            raise UseError(f"{name}: axes must be \"per-activation\", \"spatial\" or axes, not {shortly(axes)}{at(here())}")
        chosen = (0,) if axes == "per-activation" else (0, *range(2, inputs.ndim))
    else:
        chosen = normal_axes(axes, inputs.ndim)
    if inputs.ndim <= max(chosen, default=0):
        raise RankError(f"{name}: the inputs have no axis 0 to take statistics over{at(here())}")
    rank = as_symbol(gamma).ndim
    if rank not in (inputs.ndim, inputs.ndim - len(chosen)):
        raise RankError(f"{name}: gamma has {rank} axes; it takes {inputs.ndim}, or {inputs.ndim - len(chosen)} without those of "
                        f"the statistics{at(here())}")
    return Layout(name, chosen, inputs.ndim, rank != inputs.ndim)


def _epsilon(name: str, epsilon: Any) -> Any:
    if not isinstance(epsilon, Out) and epsilon < LEAST_EPSILON:
        raise ShapeError(f"{name}: epsilon must be at least {LEAST_EPSILON}, not {epsilon}{at(here())}")
    return epsilon


def batch_normalization_train(inputs: Any, gamma: Any, beta: Any, axes: Axes = "per-activation", epsilon: Any = 1e-4,
                              running_average_factor: Any = 0.1, running_mean: Any = None, running_var: Any = None) -> list[Out]:
    """(inputs - mean) / sqrt(var + epsilon) * gamma + beta with the mean and variance of the batch.

    axes: those that statistics are taken over: "per-activation" is (0,), "spatial" all but axis 1.  gamma, beta and the running
    statistics have the axes of inputs, of length 1 where statistics are taken, or leave these out.

    Returns the result, the mean and 1 / sqrt(var + epsilon), then the new running mean and the new running variance where the old ones
    are given: old * (1 - factor) + that of the batch * factor, the variance of the batch being the unbiased one.
    """
    out: Any = as_floats(inputs)
    layout = _layout("batch_normalization_train", out, gamma, axes)
    middle: Any = mean(out, layout.axes, keepdims=True)
    spread: Any = var(out, layout.axes, keepdims=True)
    scale: Any = reciprocal(sqrt(spread + _epsilon(layout.name, epsilon)))
    result = (out - middle) * (layout.wide(gamma) * scale) + layout.wide(beta)
    found = [result, layout.own(middle), layout.own(scale)]
    factor = running_average_factor
    if running_mean is not None:
        found.append(layout.own(layout.wide(running_mean) * (1 - factor) + middle * factor))
    if running_var is not None:
        count: Any = cast(dim_node(product(out.type.shape[i] for i in layout.axes)), out.dtype)
        found.append(layout.own(layout.wide(running_var) * (1 - factor) + spread * (count / (count - 1)) * factor))
    return found


def batch_normalization_test(inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, axes: Axes = "per-activation",
                             epsilon: Any = 1e-4) -> Out:
    """`batch_normalization_train` with given statistics: (inputs - mean) / sqrt(var + epsilon) * gamma + beta."""
    out: Any = as_floats(inputs)
    layout = _layout("batch_normalization_test", out, gamma, axes)
    scale: Any = layout.wide(gamma) / sqrt(layout.wide(var) + _epsilon(layout.name, epsilon))
    return (out - layout.wide(mean)) * scale + layout.wide(beta)  # type: ignore[no-any-return]


def batch_normalization(inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem") -> Out:
    """(inputs - mean) / std * gamma + beta, all broadcast; mode is accepted and not needed."""
    scaled: Any = (as_floats(inputs) - mean) * (gamma / as_symbol(std))
    return scaled + beta  # type: ignore[no-any-return]
