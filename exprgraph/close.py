"""How close a result must be: the one function that every test of values uses."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.dtypes import COMPLEX
from exprgraph.graph import order, reuse, transform
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out, make_constant
from exprgraph.ops.arithmetic import mul
from exprgraph.ops.complexes import joined
from exprgraph.reference import evaluate

Array = np.ndarray[Any, Any]
Inputs = Mapping[Node, Array]
WIDER = {"float16": "float32", "float32": "float64", "float64": "longdouble",
         "complex64": "complex128", "complex128": "clongdouble"}
FACTOR = 4.0
PATTERNS = 3
ALL_UP = -1
"""One more pattern: every input goes up.  Moves at random of the terms of a sum may cancel out in all patterns, and then say nothing of
what another order of the terms rounds: three of them did so in one of 41,000 random graphs, a cumsum of five elements."""
UNORDERED = ("reduce", "contract", "scatter", "scan")
BY_ANGLES = 4.0
CHAIN = 0.5
"""ULPs for the root of how many products a product of matrices adds.  Kernels add them one after the other, BLAS in some other order.  The
rounding of such a chain walks at random: for terms of one sign by sqrt(n) / 3 ULPs in the standard deviation, at most; `FACTOR` times
half of the root is six of them, which no element of a matrix exceeds."""


class Tolerance(NamedTuple):
    """What one output is compared with: the wider reference, the oracle in its own dtype, and the allowed distance per element."""
    reference: Array
    own: Array
    allowed: Array


def close(got: Any, graph: Graph | Sequence[Out] | Out, inputs: Inputs) -> None:
    """AssertionError where results are further from the graph's values than its arithmetic explains.

    The reference is the oracle in the next wider dtype; 4 times the larger of these is allowed: the oracle's own error in its own
    dtype, the change under perturbations of the inputs by one unit in the last place and of the rows' results by their ULPs, and these
    ULPs.  NaN, infinity and the sign of zero must agree.  `got` holds one array per output, or is one array; `inputs` are the values of
    the leaves, or of other nodes that are not to be computed.  Complex results are compared by the absolute value of the difference.
    """
    outputs = graph.outputs if isinstance(graph, Graph) else (graph,) if isinstance(graph, Out) else tuple(graph)
    results = [got] if isinstance(got, np.ndarray | np.generic) else list(got)
    if len(results) != len(outputs):
        raise AssertionError(f"{len(results)} results for {len(outputs)} outputs")
    if all(problem_of(np.asarray(r), t) is None for r, t in zip(results, _least(outputs, inputs))):
        return
    for number, (result, tolerance) in enumerate(zip(results, tolerances(outputs, inputs))):
        problem = problem_of(np.asarray(result), tolerance)
        if problem:
            raise AssertionError(f"output {number} ({outputs[number]!r}): {problem}")


def _least(outputs: Sequence[Out], inputs: Inputs) -> Iterator[Tolerance]:
    """What is allowed whatever perturbations would change: most results are within it, and two evaluations tell, not eight."""
    for out, own, reference in zip(outputs, evaluate(outputs, inputs), evaluate(outputs, inputs, WIDER)):
        yield Tolerance(reference, own, FACTOR * _distance(reference, own, [], _ulps(out, inputs)))


def tolerances(outputs: Sequence[Out], inputs: Inputs, least: float = 0.0) -> list[Tolerance]:
    """The reference and the allowed distance for each output; least: the ULPs that every elementwise result may be off at least."""
    own = evaluate(outputs, inputs)
    reference = evaluate(outputs, inputs, WIDER)
    moved = [evaluate(outputs, _perturbed(inputs, seed), WIDER) for seed in range(ALL_UP, PATTERNS)]
    moved += [evaluate(_inexact(outputs, inputs, seed, least), inputs, WIDER) for seed in range(PATTERNS)]
    return [Tolerance(r, o, FACTOR * _distance(r, o, [m[i] for m in moved], _ulps(outputs[i], inputs)))
            for i, (r, o) in enumerate(zip(reference, own))]


def _inexact(outputs: Sequence[Out], inputs: Inputs, seed: int, least: float) -> tuple[Out, ...]:
    """The graph with the result of every row that may be some ULPs off moved by as many, up or down: what follows may enlarge that."""
    draw = np.random.default_rng(seed)

    def change(node: Node, operands: tuple[Out, ...]) -> Out:
        if node in inputs:
            return Out(node)
        made, ulps = reuse(node, operands), max(node.op.ulp, least)
        if node.op.kind != "elementwise" or not ulps or made.dtype not in WIDER:
            return made
        away = 1 + draw.choice([-1, 1]) * ulps * float(np.finfo(made.dtype).eps)
        return mul.apply((made, make_constant(away, made.dtype)), (), node.sources)
    return transform(outputs, change)


def _distance(reference: Array, own: Array, moved: Sequence[Array], ulps: float) -> Array:
    """The largest of own error, change under perturbation and ULPs, per element; what is not finite counts as 0."""
    wide = _wide(reference)
    with np.errstate(all="ignore"):
        parts = [np.abs(_wide(other) - wide) for other in (own, *moved) if other.shape == wide.shape]
        if own.dtype.kind in "fc":
            parts.append(ulps * _wide(np.spacing(np.abs(reference.astype(own.dtype)))))
    distance: Array = np.max([np.where(np.isfinite(p), p, 0) for p in parts], axis=0)
    return distance


def _wide(array: Array) -> Array:
    return array.astype(np.clongdouble if array.dtype.kind == "c" else np.longdouble)


def _ulps(output: Out, inputs: Inputs) -> float:
    """The ULPs of the rows that lead to an output, summed; a fold in an order of its own rounds at least once more, a product of matrices
    as often as a chain of sums may, and a product of complex numbers by their angles at least as often as a sine and a cosine."""
    nodes = order([output], inputs)
    products = [n for n in nodes if n.op.kind == "contract" and n not in inputs]
    chains = dict(zip(products, (CHAIN * a.shape[-1] ** 0.5 for a in evaluate([n.inputs[0] for n in products], inputs) if a.ndim)))
    return float(sum(max(n.op.ulp, float(n.op.kind in UNORDERED), BY_ANGLES * _by_angles(n), chains.get(n, 0.0)) for n in nodes))


def _by_angles(node: Node) -> bool:
    return node.op.name in ("prod", "cumprod") and node.outs[0].dtype in COMPLEX


def _perturbed(inputs: Inputs, seed: int) -> dict[Node, Array]:
    """The inputs with every finite float that is not 0 moved to its neighbour above or below."""
    draw = None if seed == ALL_UP else np.random.default_rng(seed)
    return {node: _nudged(np.asarray(value), draw) for node, value in inputs.items()}


def _nudged(value: Array, draw: np.random.Generator | None) -> Array:
    if value.dtype.kind == "c":
        return np.asarray(joined(_nudged(value.real, draw), _nudged(value.imag, draw)))
    if value.dtype.kind != "f":
        return value
    down = np.zeros(value.shape, bool) if draw is None else draw.random(value.shape) < 0.5
    towards = np.where(down, -np.inf, np.inf).astype(value.dtype)
    with np.errstate(all="ignore"):
        moved = np.nextafter(value, towards)
    return np.where((value == 0) | ~np.isfinite(value) | ~np.isfinite(moved), value, moved)


def problem_of(got: Array, tolerance: Tolerance) -> str | None:
    """How a result differs from what it is compared with by more than is allowed, None where it does not."""
    reference, own, allowed = tolerance
    if got.dtype != own.dtype or got.shape != own.shape:
        return f"{got.dtype} of shape {got.shape} instead of {own.dtype} of shape {own.shape}"
    with np.errstate(all="ignore"):
        rounded = reference.astype(own.dtype)
        near = np.abs(_wide(got) - _wide(reference)) <= allowed
        fine = _same(got, own) | _same(got, rounded) | (near & np.isfinite(_wide(got)) & _signs(got, own, rounded))
    return None if fine.all() else _report(got, rounded, allowed, fine)


def _same(got: Array, other: Array) -> Array:
    """Where two arrays agree exactly: NaN with NaN, and zeros of one sign."""
    if got.dtype.kind == "c":
        return np.asarray(_same(got.real, other.real) & _same(got.imag, other.imag))
    if got.dtype.kind != "f":
        return np.asarray(got == other)
    return np.asarray((np.isnan(got) & np.isnan(other)) | ((got == other) & (np.signbit(got) == np.signbit(other))))


def _signs(got: Array, own: Array, rounded: Array) -> Array:
    """Where a zero for a zero has a sign that the oracle gives it."""
    if got.dtype.kind != "f":
        return np.ones(got.shape, bool)
    agree = (np.signbit(got) == np.signbit(own)) | (np.signbit(got) == np.signbit(rounded))
    return np.asarray((got != 0) | ((own != 0) & (rounded != 0)) | agree)


def _report(got: Array, expected: Array, allowed: Array, fine: Array) -> str:
    with np.errstate(all="ignore"):
        excess = np.where(fine, -1, np.nan_to_num(np.abs(_wide(got) - _wide(expected)) - allowed, nan=np.inf, posinf=np.inf))
    at = np.unravel_index(int(np.argmax(excess)), got.shape)
    where = tuple(int(i) for i in at)
    return (f"{int((~fine).sum())} of {got.size} elements differ, the worst at {where}: got {got[at]!r}, expected {expected[at]!r}, "
            f"{float(abs(_wide(got)[at] - _wide(expected)[at])):.3g} apart where {float(allowed[at]):.3g} is allowed")
