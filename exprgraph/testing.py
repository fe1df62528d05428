"""Checks for people who write ops or expressions: gradients against finite differences."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.grad import grad
from exprgraph.node import INPUT, OPERATORS, Out, leaf, make_constant
from exprgraph.reference import evaluate

Array = np.ndarray[Any, Any]


def check_grads(function: Callable[..., Any], point: Sequence[Any], order: int = 2, seed: int = 0, tolerance: float = 1e-5,
                step: float = 1e-4) -> None:
    """Compare gradients of `function`, of symbols, with finite differences in random directions; AssertionError where they differ.

    point: one array per argument, taken as float64.  The result, of any shape, is projected on random weights to a cost; order 2 also
    checks the gradient of the slope in a random direction, and so on.  The step is central, of the fourth order.
    """
    rng = np.random.default_rng(seed)
    values = [np.asarray(p, "float64") for p in point]
    symbols = [Out(leaf(INPUT, "float64", (None,) * v.ndim, f"argument {i}")) for i, v in enumerate(values)]
    cost = _weighted(function(*symbols), symbols, values, rng)
    for level in range(1, order + 1):
        directions = [rng.standard_normal(v.shape) for v in values]
        slope = _slope(cost, symbols, directions)
        got = float(_value(slope, symbols, values))
        expected = _difference(cost, symbols, values, directions, step)
        scale = max(1.0, abs(expected), abs(float(_value(cost, symbols, values))))
        if not abs(got - expected) <= tolerance * scale:
            raise AssertionError(f"gradient of order {level}: the graph gives {got:.9g}, finite differences give {expected:.9g}")
        cost = slope


def _value(out: Out, symbols: Sequence[Out], values: Sequence[Array]) -> Array:
    found: Array = evaluate([out], {s.node: v for s, v in zip(symbols, values)})[0]
    return found


def _weighted(out: Out, symbols: Sequence[Out], values: Sequence[Array], rng: np.random.Generator) -> Any:
    weights = rng.uniform(0.5, 1.5, _value(out, symbols, values).shape)
    return OPERATORS["sum"](OPERATORS["mul"](out, make_constant(weights, "float64")))


def _slope(cost: Out, symbols: Sequence[Out], directions: Sequence[Array]) -> Any:
    """The derivative of the cost in a direction, a scalar."""
    total: Any = make_constant(0.0, "float64")
    for g, direction in zip(grad(cost, list(symbols), disconnected_inputs="ignore"), directions):
        total = total + OPERATORS["sum"](OPERATORS["mul"](g, make_constant(direction, "float64")))
    return total


def _difference(cost: Out, symbols: Sequence[Out], values: Sequence[Array], directions: Sequence[Array], step: float) -> float:
    def at(distance: float) -> float:
        return float(_value(cost, symbols, [v + distance * d for v, d in zip(values, directions)]))
    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
