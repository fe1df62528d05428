"""Checks for people who write ops or expressions: derivatives of graphs against finite differences."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.called import results
from exprgraph.errors import GradientError, at, here, shortly
from exprgraph.forward import pushforward
from exprgraph.grad import backward, grad
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, OPERATORS, Out, leaf, make_constant
from exprgraph.ops.complexes import real_part
from exprgraph.reference import evaluate

Array = np.ndarray[Any, Any]
MODES = ("forward", "reverse")
STEPS = {"float16": (1e-1, 5e-2, 5e-2), "float32": (2e-3, 1e-2, 1e-2), "float64": (1e-6, 1e-4, 1e-4)}
"""For each dtype the step of `verify_grad`, its absolute and its relative tolerance."""
ROUNDING = 100 * float(np.finfo("float64").eps)
"""The rounding errors of a cost that `check_grads` allows for, as a part of its terms."""


class GradientMismatch(AssertionError):
    """A derivative of a graph that finite differences do not confirm; the message names what was differentiated and where it differs."""


def check_grads(function: Callable[..., Any], point: Sequence[Any], order: int = 2, modes: Sequence[str] | str = ("reverse",),
                seed: int = 0, tolerance: float = 1e-5, step: float = 1e-4) -> None:
    """Compare derivatives of `function`, of symbols, with finite differences in random directions; GradientMismatch where they differ.

    point: a list or tuple of one real array per argument, taken as float64.  The result, of any shape, or several in a container, is
    projected on random weights to a cost, the real and the imaginary part of a complex one each; order 2 also checks the derivative of the
    slope in a random direction, and so on.  modes: "reverse" takes slopes from gradients, "forward" from tangents; both together check
    every mixture, forward over reverse among them.  The step is central, of the fourth order.  tolerance: the error that is allowed as a
    part of the slope, beside the rounding of the difference.  A message names the mode, the order, and for a first gradient the argument
    and the element that is wrong.
    """
    if not isinstance(order, int | np.integer) or isinstance(order, bool) or order < 1:
        raise ValueError(f"order={shortly(order)}: a whole number of at least 1 is needed, else nothing is checked{at(here())}")
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    if not chosen or any(not isinstance(m, str) or m not in MODES for m in chosen):
        raise ValueError(f"modes={shortly(modes)}: expected some of {', '.join(map(repr, MODES))}{at(here())}")
    rng = np.random.default_rng(seed)
    values = _point(point)
    symbols = [Out(leaf(INPUT, "float64", (None,) * v.ndim, f"argument {i}")) for i, v in enumerate(values)]
    start, size = _weighted(function(*symbols), symbols, values, rng)
    check = _Check(symbols, values, tolerance, step, max(1.0, size))
    for path in itertools.product(chosen, repeat=order):
        cost = start
        for level in range(order):
            cost = check.slope(cost, path[:level + 1], [np.asarray(rng.standard_normal(v.shape)) for v in values])


def _point(given: Any) -> list[Array]:
    if not isinstance(given, list | tuple):
        raise GradientError(f"check_grads: point is {type(given).__name__}; a list or tuple of arrays is needed, one for each argument"
                            f"{at(here())}")
    found = [np.asarray(p) for p in given]
    for k, v in enumerate(found):
        if v.dtype.kind not in "fiub":
            raise GradientError(f"check_grads: argument {k} is {v.dtype}; finite differences need real numbers: make a complex argument "
                                f"of two real ones{at(here())}")
    return [v.astype("float64") for v in found]


class _Check(NamedTuple):
    symbols: Sequence[Out]
    values: Sequence[Array]
    tolerance: float
    step: float
    size: float

    def slope(self, cost: Any, path: Sequence[str], directions: Sequence[Array]) -> Any:
        """The derivative of a cost in a direction, checked."""
        made = (_pushed if path[-1] == "forward" else _pulled)(cost, self.symbols, directions)
        got = float(_value(made, self.symbols, self.values))
        expected = _difference(cost, self.symbols, self.values, directions, self.step)
        rounding = ROUNDING * max(self.size, abs(float(_value(cost, self.symbols, self.values)))) / self.step
        if not abs(got - expected) <= self.tolerance * max(abs(got), abs(expected)) + rounding:
            where = "" if "forward" in path else self.worst(cost)
            raise GradientMismatch(f"{' of '.join(reversed(path))}: gradient of order {len(path)} in a random direction: the graph gives "
                                   f"{got:.9g}, finite differences give {expected:.9g}{where}")
        return made

    def worst(self, cost: Any) -> str:
        """The element of a gradient that differs most from a difference along it alone; of large arguments only some are looked at."""
        grads = [_value(g, self.symbols, self.values) for g in grad(cost, list(self.symbols), disconnected_inputs="ignore")]
        found = []
        for k, g in enumerate(grads):
            for place in itertools.islice(np.ndindex(*g.shape), 200):
                unit = [np.zeros(v.shape) for v in self.values]
                unit[k][place] = 1
                wanted = _difference(cost, self.symbols, self.values, unit, self.step)
                error = abs(float(g[place]) - wanted)
                found.append((error if error == error else np.inf, k, place, float(g[place]), wanted))
        if not found:
            return ""
        _, k, place, got, wanted = max(found)
        element = f"[{', '.join(map(str, place))}]" if place else ""
        return f"; furthest off with respect to argument {k}{element}: {got:.9g} for {wanted:.9g}"


def _value(out: Out, symbols: Sequence[Out], values: Sequence[Array]) -> Array:
    found: Array = evaluate([out], {s.node: v for s, v in zip(symbols, values)})[0]
    return found


def _weighted(found: Any, symbols: Sequence[Out], values: Sequence[Array], rng: np.random.Generator) -> tuple[Any, float]:
    """The weighted sum of all results, and that of their absolute values."""
    total, size = None, 0.0
    outs = results("check_grads", found)
    for out in [part for o in outs for part in ((real_part(o), OPERATORS["imag"](o)) if dtypes.is_complex(o.dtype) else (o,))]:
        value = _value(out, symbols, values)
        weights = rng.uniform(0.5, 1.5, value.shape)
        part = OPERATORS["sum"](OPERATORS["mul"](out, make_constant(weights, "float64")))
        total, size = part if total is None else OPERATORS["add"](total, part), size + float(np.abs(value * weights).sum())
    return total, size


def _pulled(cost: Out, symbols: Sequence[Out], directions: Sequence[Array]) -> Any:
    """The derivative of the cost in a direction from its gradient, a scalar."""
    total: Any = make_constant(0.0, "float64")
    for g, direction in zip(grad(cost, list(symbols), disconnected_inputs="ignore"), directions):
        total = total + OPERATORS["sum"](OPERATORS["mul"](g, make_constant(direction, "float64")))
    return total


def _pushed(cost: Out, symbols: Sequence[Out], directions: Sequence[Array]) -> Any:
    """The derivative of the cost in a direction from its tangent, a scalar."""
    found, = pushforward([cost], [(s, make_constant(d, "float64")) for s, d in zip(symbols, directions)])
    return make_constant(0.0, "float64") if found is None else found


def _difference(cost: Out, symbols: Sequence[Out], values: Sequence[Array], directions: Sequence[Array], step: float) -> float:
    def at(distance: float) -> float:
        return float(_value(cost, symbols, [v + distance * d for v, d in zip(values, directions)]))
    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def verify_grad(fun: Callable[..., Any], pt: Sequence[Any], n_tests: int = 2, rng: Any = None, eps: float | None = None,
                out_type: str | None = None, abs_tol: float | None = None, rel_tol: float | None = None, mode: str | None = None,
                cast_to_output_type: bool = False) -> None:
    """Theano's check: the gradient of a random projection of `fun` against finite differences, every element of every input by itself.

    fun: a function of symbols that returns one tensor.  pt: float arrays, whose dtypes are those of the symbols.  n_tests: how many
    projections.  rng: a NumPy generator or RandomState, or a seed.  eps, abs_tol, rel_tol: the step and the tolerances, of which either is
    enough; else they follow from the narrowest dtype.  out_type: the dtype that the result must have.  mode: "FAST_RUN" or
    "FAST_COMPILE", and the function is compiled for the device that config names; without it NumPy evaluates the graph.
    cast_to_output_type: the projection has the dtype of the result.  GradientMismatch, an AssertionError, names the input and the
    element that is furthest off.
    """
    values = [np.asarray(p) for p in pt]
    for k, v in enumerate(values):
        if not dtypes.is_float(v.dtype.name):
            raise GradientError(f"verify_grad: input {k} is {v.dtype}; finite differences need floats{at(here())}")
    symbols = [Out(leaf(INPUT, v.dtype.name, (None,) * v.ndim, f"input {k}")) for k, v in enumerate(values)]
    out = fun(*symbols)
    if not isinstance(out, Out):
        raise GradientError(f"verify_grad: the function gave {shortly(out)}, not one symbol{at(here())}")
    if out_type is not None and out.dtype != dtypes.canonical(out_type):
        raise GradientError(f"verify_grad: the result is {out.dtype} where out_type={shortly(out_type)} is expected{at(here())}")
    narrow = min((np.dtype(s.dtype) for s in (*symbols, out)), key=lambda d: d.itemsize).name
    step, absolute, relative = (given if given is not None else own for given, own in zip((eps, abs_tol, rel_tol), STEPS[narrow]))
    draw = rng if hasattr(rng, "uniform") else np.random.default_rng(rng if rng is not None else 0)
    test = _Projection(symbols, values, out, mode, cast_to_output_type)
    for number in range(n_tests):
        test.run(draw.uniform(0.5, 1.5, test.shape) * draw.choice([-1.0, 1.0], test.shape), number, step, absolute, relative)


class _Projection:
    """One function and its gradient, for any projection."""

    def __init__(self, symbols: Sequence[Out], values: Sequence[Array], out: Out, mode: str | None, cast: bool) -> None:
        dtype = out.dtype if cast or not dtypes.is_float(out.dtype) else "float64"
        self.symbols, self.values = symbols, values
        self.weights = Out(leaf(INPUT, dtype, (None,) * out.ndim, "weights"))
        cost = OPERATORS["sum"](OPERATORS["mul"](out, self.weights))
        flow = backward([(cost, make_constant(1, cost.dtype))], symbols)
        grads = [flow.cotangents.get((s.node, s.index)) for s in symbols]
        self.known = [k for k, g in enumerate(grads) if g is not None]
        wanted = [g for g in grads if g is not None]
        inputs = [*symbols, self.weights]
        self.cost, self.grads = _evaluator(inputs, [cost], mode), _evaluator(inputs, wanted, mode)
        self.shape = _evaluator(symbols, [out], mode)(values)[0].shape

    def run(self, weights: Array, number: int, step: float, absolute: float, relative: float) -> None:
        """Compare all elements; GradientMismatch for the one that is furthest off."""
        drawn = weights.astype(self.weights.dtype)
        found = dict(zip(self.known, self.grads([*self.values, drawn])))
        worst: tuple[float, str] = (0.0, "")
        for k, v in enumerate(self.values):
            g = found.get(k, np.zeros(v.shape))
            for place in np.ndindex(*v.shape):
                wanted = self._difference(drawn, k, place, step)
                off = abs(float(g[place]) - wanted)
                off = off if off == off else float("inf")
                enough = off <= absolute or off <= relative * (abs(wanted) + abs(float(g[place])))
                if not enough and off > worst[0]:
                    element = f"[{', '.join(map(str, place))}]" if place else ""
                    worst = off, f"with respect to input {k}{element}: the graph gives {float(g[place]):.9g}, differences {wanted:.9g}"
        if worst[1]:
            raise GradientMismatch(f"verify_grad, projection {number}: {worst[1]}")

    def _difference(self, drawn: Array, k: int, place: tuple[int, ...], step: float) -> float:
        ends = []
        for sign in (1, -1):
            moved = [v.copy() for v in self.values]
            moved[k][place] += sign * step
            ends.append((float(self.cost([*moved, drawn])[0]), float(moved[k][place])))
        return (ends[0][0] - ends[1][0]) / (ends[0][1] - ends[1][1])


def _evaluator(inputs: Sequence[Out], outputs: Sequence[Out], mode: str | None) -> Callable[[Sequence[Any]], list[Array]]:
    if mode is None:
        return lambda values: evaluate(outputs, {s.node: v for s, v in zip(inputs, values)})
    from exprgraph.compilation import compile  # rarely needed
    compiled = compile(list(inputs), list(outputs), mode=mode, on_unused_input="ignore")
    return lambda values: compiled(*values)
