"""Batches of steps of the user's own: the step once for each lane, and its rules over the lanes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.batch import batched
from exprgraph.errors import GradientError, Source
from exprgraph.functions.shaping import specify_shape
from exprgraph.node import INPUT, OPERATORS, Out, as_symbol, leaf
from exprgraph.ops.shape import dim_node
from exprgraph.own.op import Array, Own, Rules, Run, Shapes, applied, listed, rows_of

Mapped = tuple[bool, ...]


def by_lanes(own: Own, rules: Rules, kernel: Callable[[Mapped], Any] = lambda mapped: None) -> Rules:
    """The rules with a batch rule that runs the step once for each lane; kernel(mapped): what devices run for these."""
    made: dict[Mapped, Own] = {}

    def batch(inputs: Sequence[Out], mapped: Mapped, size: Out) -> tuple[Out, ...]:
        if mapped not in made:
            made[mapped] = _of_lanes(own, rules, mapped, kernel)
        shapes, more = own.shapes(inputs[own.arity:]), inputs[own.arity + own.ranks:]
        return tuple(applied(made[mapped], inputs[:own.arity], [(size, *shape) for shape in shapes], more))
    return Rules(rules.grad, rules.forward, rules.batch, batch)


def _of_lanes(own: Own, rules: Rules, mapped: Mapped, kernel: Callable[[Mapped], Any]) -> Own:
    """The step over all lanes of a batch."""
    ranks, shift = own.arity + own.ranks, len(own.outputs)
    places = None if own.places is None else tuple(k if k < ranks else k + shift for k in own.places)
    over = own.arguments([*mapped, *(False for _ in range(max(own.places or (0,)) + 1))])
    sizes = None if own.sizes is None else (*(n for shape in own.shapes(own.sizes) for n in (None, *shape)), *own.sizes[own.ranks:])
    made = Own(f"{own.name} of each lane", own.arity, tuple((t, r + 1) for t, r in own.outputs), _run(own, mapped), own.source, own.pure,
               kernel(mapped), places, sizes, meant=own.meant)
    mine = Rules(None if rules.grad is None else _grad(own, rules.grad, over), None if rules.forward is None else
                 _forward(own, rules.forward, over))
    return rows_of(made, by_lanes(made, mine, lambda outer: _deeper(kernel, mapped, outer)))


def _deeper(kernel: Callable[[Mapped], Any], mapped: Mapped, outer: Mapped) -> Any:
    """What devices run for lanes of lanes: the outer ones first."""
    found = kernel(mapped)
    return None if found is None else found.within(outer)


def _run(own: Own, mapped: Mapped) -> Run:
    def run(values: Sequence[Array], shapes: Shapes, more: Sequence[int], source: Source | None) -> Sequence[Array]:
        found = [np.empty(shape, dtype) for shape, (dtype, _) in zip(shapes, own.outputs)]
        for lane in range(shapes[0][0]):
            given = [v[lane, ...] if m else v for v, m in zip(values, mapped)]
            for whole, part in zip(found, own.run(given, [s[1:] for s in shapes], more, source)):
                whole[lane, ...] = part
        return found
    return run


def _each(call: Callable[..., Any], given: Sequence[tuple[Out | None, bool]], size: Out) -> list[Out | None]:
    """What a function of the symbols of one lane gives, over all lanes; given: tensors, and whether they have lanes."""
    symbols: dict[Out, Out] = {}
    own: list[Out | None] = []
    for x, over in given:
        if x is not None and over:
            fresh = Out(leaf(INPUT, x.dtype, tuple(d.const for d in x.type.shape[1:])))
            symbols[fresh] = x
            sizes = [dim_node(d) for d in x.type.shape[1:]]
            own.append(specify_shape(fresh, sizes) if sizes else fresh)
        else:
            own.append(x)
    found = [None if f is None else as_symbol(f) for f in call(*own)]
    made = iter(batched([f for f in found if f is not None], symbols, size))
    return [None if f is None else next(made) for f in found]


def _grad(own: Own, grad: Callable[..., Any], mapped: Mapped) -> Callable[..., Any]:
    """The gradient of all lanes: what they share gets the sum of what each lane has for it."""
    def over_lanes(g: Any, y: Any, *values: Out) -> tuple[Out | None, ...]:
        several = isinstance(g, tuple)
        gs, ys = (g, y) if several else ((g,), (y,))

        def call(*lane: Any) -> tuple[Any, ...]:
            heads = lane[:len(gs)], lane[len(gs):2 * len(gs)]
            rest = lane[2 * len(gs):]
            found = grad(*(h if several else h[0] for h in heads), *rest)
            return listed(found, len(rest), f"grad of {own.name}", GradientError, own.source)
        given = [*((o, True) for o in (*gs, *ys)), *zip(values, mapped)]
        found = _each(call, given, dim_node(ys[0].type.shape[0]))
        return tuple(f if f is None or over else OPERATORS["sum"](f, axis=0) for f, over in zip(found, mapped))
    return over_lanes


def _forward(own: Own, forward: Callable[..., Any], mapped: Mapped) -> Callable[..., Any]:
    """The tangents of all lanes."""
    def over_lanes(tangents: Sequence[Out | None], y: Any, *values: Out) -> tuple[Out | None, ...]:
        several = isinstance(y, tuple)
        ys, count = y if several else (y,), len(values)

        def call(*lane: Any) -> tuple[Any, ...]:
            given, results, rest = lane[:count], lane[count:len(lane) - count], lane[len(lane) - count:]
            found = forward(given, results if several else results[0], *rest)
            return listed(found, len(ys), f"forward of {own.name}", GradientError, own.source)
        given = [*zip(tangents, mapped), *((o, True) for o in ys), *zip(values, mapped)]
        return tuple(_each(call, given, dim_node(ys[0].type.shape[0])))
    return over_lanes
