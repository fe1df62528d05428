"""How many kernels and calls an expression costs: expressions that two languages can say, and what a plan launches for some sizes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from codegen import generate as generation
from codegen.growth import complete
from codegen.plan import Branch, HostCall, Launch, Step
from exprgraph.node import Graph, Out
from exprgraph.pairs import decide
from exprgraph.passes import run_graph
from tests.plan_runner import CPU, Sizes, unprinted

SMALL, LARGE = {"n": 32, "m": 16, "k": 8, "h": 12, "z": 3}, {"n": 4096, "m": 512, "k": 64, "h": 256, "z": 3}


class Case(NamedTuple):
    """An expression of tensors: shapes are texts of sizes, "i:" in front for integers; ideal: the fewest kernels that could compute it, one
    for each product of matrices and each pass that has to wait for all of an earlier one."""
    name: str
    ideal: int
    shapes: tuple[str, ...]
    make: Callable[..., Sequence[Any]]


class Ours:
    """What cases say in our language."""

    def __getattr__(self, name: str) -> Any:
        return getattr(eg, name)

    def with_gradient(self, cost: Callable[..., Any], *wrt: Any) -> list[Any]:
        """The cost and its gradients."""
        value = cost(*wrt)
        return [value, *eg.grad(value, list(wrt))]


def arguments(case: Case, sizes: dict[str, int]) -> list[np.ndarray]:
    """Arguments of a call."""
    shapes = [[sizes[c] for c in text.removeprefix("i:")] for text in case.shapes]
    return [np.zeros(s, "int64" if text.startswith("i:") else "float32") for text, s in zip(case.shapes, shapes)]


def counts(case: Case, *sizes: dict[str, int]) -> list[int]:
    """The kernels and calls of a plan on a CPU, for each of some sizes."""
    inputs = [eg.tensor(f"x{k}", a.dtype.name, (None,) * a.ndim) for k, a in enumerate(arguments(case, sizes[0]))]
    outputs = [Out(o.node) for o in case.make(Ours(), *inputs)]
    graph, found = run_graph(Graph(tuple(inputs), tuple(outputs)), {}), []
    for some in sizes:
        values = arguments(case, some)
        asked = Sizes([i.node for i in inputs], values)
        with unprinted():
            outcomes = decide(generation.uncertain(graph), asked)
            plan = complete(generation.generate(graph, [i.node for i in inputs], outcomes, ["C"] * len(inputs), False, CPU))
        found.append(sum(1 for _ in launched(plan.steps, asked)))
    return found


def launched(steps: Sequence[Step], sizes: Sizes) -> Any:
    """The launches and calls that run for some sizes."""
    for step in steps:
        if isinstance(step, Branch):
            yield from launched(step.variants[sizes(step.pick)], sizes)
        elif isinstance(step, HostCall) or (isinstance(step, Launch) and all(map(sizes, step.grid))):
            yield step


def _normal(L: Any, x: Any, axis: int, g: Any, b: Any) -> Any:
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred / L.sqrt((centred * centred).mean(axis=axis, keepdims=True) + 1e-5) * g + b


def _cross_entropy(L: Any, x: Any, y: Any) -> Any:
    return -(L.log(L.softmax(x, axis=1)) * y).sum(axis=1).mean()


def _labels(L: Any, x: Any, y: Any) -> Any:
    return -L.take_along_axis(L.log_softmax(x, axis=1), y[:, None], axis=1).mean()


def _gelu(L: Any, x: Any) -> Any:
    return 0.5 * x * (1 + L.tanh(0.7978846 * (x + 0.044715 * x * x * x)))


def _adam(L: Any, *tensors: Any) -> list[Any]:
    found = []
    for p, g, m, v in zip(*(tensors[k::4] for k in range(4))):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        found += [m, v, p - 0.001 * m / (L.sqrt(v) + 1e-8)]
    return found


def _momentum(L: Any, *tensors: Any) -> list[Any]:
    found = []
    for p, g, v in zip(*(tensors[k::3] for k in range(3))):
        v = 0.9 * v - 0.01 * g
        found += [v, p + v]
    return found


def _attention(L: Any, q: Any, k: Any, v: Any) -> list[Any]:
    return [L.softmax(q @ k.T * 0.125, axis=1) @ v]


def _gru(L: Any, x: Any, h: Any, w: Any, u: Any) -> list[Any]:
    z, r = (1 / (1 + L.exp(-(x @ w[i] + h @ u[i]))) for i in range(2))
    return [z * h + (1 - z) * L.tanh(x @ w[2] + (r * h) @ u[2])]


def _logistic(L: Any, x: Any, y: Any, w: Any) -> list[Any]:
    def cost(w: Any) -> Any:
        a = x @ w
        return (L.logaddexp(0 * a, a) - a * y).mean() + 0.01 * (w * w).sum()
    value, slope = L.with_gradient(cost, w)
    return [value, w - 0.1 * slope]


def _perceptron(L: Any, x: Any, y: Any, w: Any, b: Any, u: Any, c: Any) -> list[Any]:
    def cost(w: Any, b: Any, u: Any, c: Any) -> Any:
        return _labels(L, L.maximum(x @ w + b, 0) @ u + c, y)
    value, *slopes = L.with_gradient(cost, w, b, u, c)
    return [value, *(p - 0.1 * s for p, s in zip((w, b, u, c), slopes))]


def _mixture(L: Any, x: Any, mean: Any, scale: Any, weight: Any) -> list[Any]:
    z = (x[:, None] - mean) / scale
    return [L.logsumexp(L.log(weight) - 0.5 * z * z - L.log(scale), axis=1).sum()]


def _distances(x: Any, y: Any) -> Any:
    gap = x[:, None, :] - y[None, :, :]
    return (gap * gap).sum(axis=2)


def _kalman(L: Any, x: Any, p: Any, gain: Any, h: Any, z: Any) -> list[Any]:
    return [x + gain @ (z - h @ x), p - gain @ (h @ p)]


CASES = (
    Case("softmax of rows", 1, ("nm",), lambda L, x: [L.softmax(x, axis=1)]),
    Case("log-softmax of rows", 1, ("nm",), lambda L, x: [L.log_softmax(x, axis=1)]),
    Case("cross-entropy of labels and its gradient", 2, ("nm", "i:n"), lambda L, x, y: L.with_gradient(lambda x: _labels(L, x, y), x)),
    Case("cross-entropy of one-hot rows and its gradient", 2, ("nm", "nm"),
         lambda L, x, y: L.with_gradient(lambda x: _cross_entropy(L, x, y), x)),
    Case("layer norm", 1, ("nm", "m", "m"), lambda L, x, g, b: [_normal(L, x, 1, g, b)]),
    Case("gradient of layer norm", 2, ("nm", "m", "m", "nm"),
         lambda L, x, g, b, c: L.with_gradient(lambda x, g, b: (_normal(L, x, 1, g, b) * c).sum(), x, g, b)),
    Case("batch norm", 2, ("nm", "m", "m"), lambda L, x, g, b: [_normal(L, x, 0, g, b)]),
    Case("Adam over 10 parameters", 1, ("nm", "nm", "nm", "nm", "m", "m", "m", "m") * 5, _adam),
    Case("momentum over 10 parameters", 1, ("nm", "nm", "nm", "m", "m", "m") * 5, _momentum),
    Case("variance of everything", 2, ("nm",), lambda L, x: [L.var(x)]),
    Case("attention head", 3, ("nk", "nk", "nk"), _attention),
    Case("GRU step", 7, ("nm", "nh", "zmh", "zhh"), _gru),
    Case("logistic-regression step", 3, ("nm", "n", "m"), _logistic),
    Case("perceptron training step", 7, ("nm", "i:n", "mh", "h", "hk", "k"), _perceptron),
    Case("GELU(x + b)", 1, ("nm", "m"), lambda L, x, b: [_gelu(L, x + b)]),
    Case("log-likelihood of a mixture", 2, ("n", "k", "k", "k"), _mixture),
    Case("squared distances of points", 1, ("nk", "hk"), lambda L, x, y: [_distances(x, y)]),
    Case("rows of length 1", 1, ("nm",), lambda L, x: [x / L.sqrt((x * x).sum(axis=1, keepdims=True) + 1e-12)]),
    Case("k-means assignment", 1, ("nk", "hk"), lambda L, x, y: [L.argmin(_distances(x, y), axis=1)]),
    Case("Kalman update", 4, ("m", "mm", "mk", "km", "k"), _kalman),
    Case("SiLU(RMSNorm(x) g)", 1, ("nm", "m"), lambda L, x, g: [
        (lambda y: y / (1 + L.exp(-y)))(x / L.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-6) * g)]),
    Case("log-sum-exp of columns", 1, ("nm",), lambda L, x: [L.logsumexp(x, axis=0)]),
)
