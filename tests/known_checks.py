"""What the lists of rules that ask for facts claim, as checks of one rule: its arguments are symbols of which drawn facts are known."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from exprgraph.known.record import PLUS, Facts, of_dtype
from exprgraph.node import INPUT, Graph, Out, leaf
from exprgraph.patterns import Rule, arguments, sort
from exprgraph.reference import evaluate
from exprgraph.rewrite import Engine
from tests.fact_checks import fitting, symbol, words_of
from tests.rule_cases import Array, assert_same_bits, drawn

DTYPES = {"f": ("float16", "float32", "float64"), "i": ("int8", "int64"), "u": ("uint8",), "b": ("bool",)}
WIDER = {"float16": "float32"}
"""Between the nodes of a kernel narrow floats are float32."""
DRAWS = 60


def narrow(rng: np.random.Generator, dtype: str, count: int) -> list[Facts]:
    """Facts of some tensors whose bounds are often those of others, zero or the ends of the dtype; often one lies above another."""
    whole = of_dtype(dtype)
    some = [0, 1] if dtype == "bool" else [whole.low, -2, -1, 0, 0, 1, 2, 7, whole.high] if dtype[0] != "u" else [0, 0, 1, 2, 7, whole.high]
    bounds = rng.choice(np.array(some, object), 2 * count).tolist()
    bounds = sorted(bounds) if rng.random() < 0.6 else bounds
    if rng.random() < 0.2 and dtype != "bool":  # a remainder below what divides it, and the like
        bounds = sorted(rng.choice(np.array([0, 1, 2, 7, whole.high], object), 2 * count, replace=False).tolist()) if count < 3 else bounds
    return [_narrow(rng, dtype, *sorted(bounds[2 * k:2 * k + 2])) for k in rng.permutation(count)]


def _narrow(rng: np.random.Generator, dtype: str, low: float, high: float) -> Facts:
    whole = of_dtype(dtype)
    low, high = (float(low), float(high)) if dtype.startswith("float") else (low, high)
    if dtype.startswith("float") and rng.random() < 0.3:  # infinities apart
        low, high = max(low, -float(np.finfo(dtype).max)), min(high, float(np.finfo(dtype).max))
        low = low if low != 0 or rng.random() < 0.5 else float(np.finfo(dtype).smallest_subnormal)
        low, high = min(low, high), max(low, high)
    holds = whole.holds | words_of(rng)
    return Facts(low, high, holds if low <= 0 <= high else holds | {PLUS})


def check_known(rule: Rule, draws: int = DRAWS) -> None:
    """Both sides have the same bits wherever the rule applies, for values that keep to what is known; and it applies in every dtype."""
    engine, rng = Engine([rule]), drawn(rule.name)
    names = [n for n in arguments(rule) if sort(n) == "tensor"]
    assert rule.pattern is not None
    for dtype in [d for kind in rule.kinds for d in DTYPES[kind]]:
        fired = 0
        for _ in range(draws):
            known = narrow(rng, dtype, len(names))
            symbols = [symbol(dtype, 1, k) for k in known]
            left = rule.pattern(*symbols)
            graph, last = engine.sweep(Graph(tuple(symbols), (left,)))
            if last is not None:
                fired += 1
                _compare(rule.name, left, graph.outputs[0], dict(zip(symbols, (fitting(k, dtype) for k in known))))
        assert fired, f"{rule.name}: does not apply in {dtype}"


def _compare(name: str, left: Out, right: Out, points: Mapping[Out, Array]) -> None:
    grid = np.meshgrid(*points.values())
    values = {x.node: g.ravel() for x, g in zip(points, grid)}
    assert_same_bits(name, *evaluate([left, right], values))
    if left.dtype == "float16":
        assert_same_bits(name, *evaluate([left, right], values, wider=WIDER))


def applied(rule: Rule, left: Out, inputs: Sequence[Out]) -> Out | None:
    """What a rule alone makes of a tensor; None where it does not apply."""
    graph, last = Engine([rule]).sweep(Graph(tuple(inputs), (left,)))
    return None if last is None else graph.outputs[0]


def matrix(words: set[str], dtype: str = "float32", rank: int = 2, size: int | None = None) -> Out:
    """A tensor with square matrices of which words are known."""
    made = Out(leaf(INPUT, dtype, (*(None,) * (rank - 2), size, size), "x"))
    made.node.facts = of_dtype(dtype)._replace(holds=of_dtype(dtype).holds | words)
    return made


def examples(rng: np.random.Generator) -> Iterator[Array]:
    """Matrices of which nothing is known."""
    for n in (1, 2, 4):
        yield rng.standard_normal((n, n))


