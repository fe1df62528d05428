"""Graphs of any size: chains, graphs drawn from a seed, and the training step of a residual network."""
from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from exprgraph.node import Graph, Node, Out


class Large(NamedTuple):
    """A graph, its leaves, and values of these."""
    graph: Graph
    leaves: list[Node]
    values: list[np.ndarray]


def _whole(inputs: list[Any], outputs: list[Out], values: list[np.ndarray]) -> Large:
    return Large(Graph(tuple(Out(i.node) for i in inputs), tuple(Out(o.node) for o in outputs)), [i.node for i in inputs], values)


def chain(n: int) -> Large:
    """n elementwise operations one after the other."""
    x = eg.vector("x")
    steps = [lambda y: y + x, lambda y: y * 0.999, eg.sin, lambda y: y - x]
    return _whole([x], [reduce(lambda y, k: steps[k % 4](y), range(n), x)], [np.ones(8, "float32")])


DRAWN: tuple[Callable[[Out, Out], Out], ...] = (
    lambda y, z: y + z, lambda y, z: y * z, lambda y, z: y - z, lambda y, z: eg.tanh(y), lambda y, z: eg.sigmoid(z), eg.maximum,
    lambda y, z: y * 0.5, lambda y, z: y / (1 + y.sum(axis=1, keepdims=True)))


def drawn(n: int, seed: int = 0) -> Large:
    """About n operations: elementwise ones of values that were made lately, now and then a sum over rows, and what nobody reads summed."""
    rng, x = np.random.default_rng(seed), eg.matrix("x")
    made, read = [x], set()
    while len(made) < n:
        a, b = (int(rng.integers(max(0, len(made) - 20), len(made))) for _ in range(2))
        read |= {a, b}
        made.append(DRAWN[int(rng.integers(len(DRAWN)))](made[a], made[b]))
    left = [m for k, m in enumerate(made) if k not in read]
    return _whole([x], [sum(left[1:], left[0])], [np.ones((4, 3), "float32")])


def training_step(layers: int, widths: tuple[int, ...] = (64,), columns: int = 784, rows: int = 32, classes: int = 10) -> Large:
    """Dense layers with batch norm: the first, blocks of two with a residual, the last; cost, gradients, momentum, new parameters.

    widths: those of the layers within the blocks, in turn; the residual has the first of them.
    """
    rng, X, y = np.random.default_rng(0), eg.matrix("X"), eg.lvector("y")
    parameters: list[Any] = []

    def parameter(value: np.ndarray) -> Any:
        parameters.append(eg.shared(value.astype("float32"), name=f"p{len(parameters)}"))
        return parameters[-1]

    def layer(h: Any, a: int, b: int) -> Any:
        h = h @ parameter(rng.normal(size=(a, b)) / np.sqrt(a))
        centred = h - h.mean(axis=0)
        return centred / eg.sqrt(h.var(axis=0) + 1e-5) * parameter(np.ones(b)) + parameter(np.zeros(b))
    width = widths[0]
    h = eg.relu(layer(X, columns, width))
    for k in range((layers - 2) // 2):
        inner = widths[k % len(widths)]
        h = eg.relu(h + layer(eg.relu(layer(h, width, inner)), inner, width))
    logits = h @ parameter(rng.normal(size=(width, classes)) / 8) + parameter(np.zeros(classes))
    cost = eg.cross_entropy_with_logits(logits, y).mean()
    slopes = eg.grad(cost, parameters)
    speeds = [eg.shared(np.zeros_like(p.get_value()), name=f"v_{p.name}") for p in parameters]
    moved = [0.9 * v - 0.01 * g for v, g in zip(speeds, slopes)]
    values = [rng.normal(size=(rows, columns)).astype("float32"), rng.integers(0, classes, rows)]
    values += [p.get_value() for p in (*parameters, *speeds)]
    return _whole([X, y, *parameters, *speeds], [cost, *moved, *(p + v for p, v in zip(parameters, moved))], values)
