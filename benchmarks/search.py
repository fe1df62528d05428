"""What the equality search makes of a dozen expressions: weighed operations and the time of their kernels, without it and with it.

`python -m benchmarks.search [NAME ...]`.  One million float32 elements (of integers int32); the least of many calls, those without the
search and those with it in turn, on one thread of the CPU's processor time.
"""
from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import exprgraph as eg
from exprgraph.columns import columns
from exprgraph.graph import order
from exprgraph.node import Graph, Out
from exprgraph.passes import run_graph, run_plan
from exprgraph.search.choice import operation

COUNT, ROUNDS = 1 << 18, 15
LEVELS = ("default", "unsafe")
X, Y, Z, W = (eg.tensor(n, "float32", (COUNT,)) for n in "xyzw")
I, J = (eg.tensor(n, "int32", (COUNT,)) for n in "ij")
A, B = eg.scalar("a"), eg.scalar("b")
ROOT = 1 / np.sqrt(2)


def _cdf(x: Out) -> Out:
    return 0.5 * (1 + eg.erf(x * ROOT))


def _black_scholes() -> list[Out]:
    spot, strike, years = X, Y, Z
    d1 = (eg.log(spot / strike) + (A + eg.sqr(B) / 2) * years) / (B * eg.sqrt(years))
    d2 = d1 - B * eg.sqrt(years)
    later = eg.exp(-A * years)
    return [spot * _cdf(d1) - strike * later * _cdf(d2), strike * later * _cdf(-d2) - spot * _cdf(-d1)]


def _adam() -> list[Out]:
    gradient, mean, square, weight = X, Y, Z, W
    m, v = 0.9 * mean + (1 - 0.9) * gradient, 0.999 * square + (1 - 0.999) * eg.sqr(gradient)
    return [m, v, weight - A * (m / (1 - 0.9**5)) / (eg.sqrt(v / (1 - 0.999**5)) + 1e-8)]


def _rows(axis: int) -> list[Out]:
    rows, features = 512, COUNT // 512
    x, g = eg.tensor("x", "float32", (rows, features)), eg.tensor("g", "float32", (rows, features))
    mean, var = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    normal = (x - mean) / eg.sqrt(var + 1e-5)
    return [(g - g.mean(axis=axis, keepdims=True) - normal * (g * normal).mean(axis=axis, keepdims=True)) / eg.sqrt(var + 1e-5)]


def _softmax() -> list[Out]:
    e = eg.exp(eg.tensor("x", "float32", (512, COUNT // 512)))
    return [e / e.sum(axis=1, keepdims=True)]


def _gaussian(x: Out, mean: float, width: float) -> Out:
    return eg.exp(-eg.sqr(x - mean) / (2 * width**2)) / (width * np.sqrt(2 * np.pi))


def _gradient(cost: Out) -> list[Out]:
    return [eg.grad(cost.sum(), X)]


EXPRESSIONS: dict[str, Callable[[], list[Out]]] = {
    "polynomial 8": lambda: [3 * X**8 + 2 * X**7 - X**6 + 4 * X**5 + X**4 - 5 * X**3 + 2 * X**2 + X - 7],
    "polynomial xy": lambda: [X**3 + 3 * X**2 * Y + 3 * X * Y**2 + Y**3 - 2 * X * Y],
    "gaussian mixture": lambda: [0.3 * _gaussian(X, 0, 1) + 0.5 * _gaussian(X, 1, 2) + 0.2 * _gaussian(X, -1, 0.5)],
    "gaussian product": lambda: [_gaussian(X, 0, 1) * _gaussian(Y, 1, 2) * _gaussian(Z, -1, 0.5)],
    "black-scholes": _black_scholes,
    "adam": _adam,
    "batch norm gradient": lambda: _rows(0),
    "layer norm gradient": lambda: _rows(1),
    "softmax": _softmax,
    "gelu": lambda: [0.5 * X * (1 + eg.tanh(0.7978846 * (X + 0.044715 * X**3)))],
    "gelu gradient": lambda: _gradient(0.5 * X * (1 + eg.tanh(0.7978846 * (X + 0.044715 * X**3)))),
    "directions": lambda: [v / eg.sqrt(eg.sqr(X) + eg.sqr(Y) + eg.sqr(Z)) for v in (X, Y, Z)],
    "shared scalar": lambda: [X / A + Y / B - Z / A],
    "elu": lambda: [eg.switch(X > 0, eg.exp(X) * Y, eg.exp(Y) * Y)],
    "lennard-jones": lambda: [4 * ((A / X) ** 12 - (A / X) ** 6)],
    "units": lambda: [(X * 3 * 5 - 2 - 5) / 8 / 5],
    "hash": lambda: [(I * 16 + I // 8 + J % 32) * 5 + I * 3 + J * 3],
    "calendar": lambda: [I // 7, I % 7],
}


def _values(leaves: list[Out]) -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.uniform(0.5, 1.5, tuple(d.const for d in v.type.shape)).astype(v.dtype) if v.dtype == "float32"
            else rng.integers(-1000, 1000, COUNT).astype("int32") for v in leaves]


def _weight(outputs: list[Out], leaves: list[Out], level: str, chosen: str) -> tuple[int, str]:
    """The weighed operations on all elements, and the operations in words."""
    options = {"optimizer": level, "chosen": chosen}
    made = run_plan(run_graph(Graph(tuple(leaves), tuple(outputs)), options), {}, options).outputs
    inner = [n for n in order(made) if n.op.kind == "elementwise" and n.outs[0].ndim and n.outs[0].shape[0].const != 1]
    names = Counter(n.op.name for n in inner)
    return (sum(int(operation((n.op, (), ()), n.inputs[-1].dtype)) for n in inner),
            " ".join(f"{k} {n}" for k, n in sorted(names.items())))


def _times(functions: list[Any], values: list[Any]) -> list[float]:
    """The least processor time of each, in microseconds."""
    least = [float("inf")] * len(functions)
    for _ in range(ROUNDS):
        for k, f in enumerate(functions):
            start = time.process_time()
            f(*values)
            least[k] = min(least[k], time.process_time() - start)
    return [1e6 * t for t in least]


def main(names: list[str]) -> None:
    """Print a table."""
    rows = [("expression", "level", "weight", "", "us", "", "", "operations")]
    for name, make in EXPRESSIONS.items():
        if names and name not in names:
            continue
        outputs = make()
        leaves = eg.explicit_graph_inputs(outputs) if hasattr(eg, "explicit_graph_inputs") else []
        values = _values(leaves)
        for level in LEVELS:
            modes = [eg.Mode(level).excluding("search"), eg.Mode(level)]
            functions = [eg.compile(leaves, outputs, mode=m, device="pocl", on_unused_input="ignore") for m in modes]
            weights = [_weight(outputs, leaves, level, c) for c in ("-search", "")]
            old, new = _times(functions, values)
            rows.append((name, level, str(weights[0][0]), str(weights[1][0]), f"{old:.0f}", f"{new:.0f}", f"{old / new:.2f}",
                         f"{weights[0][1]} -> {weights[1][1]}"))
            print(" | ".join(rows[-1]), flush=True)
    print("\n".join(columns(rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
