"""Gradients: reverse accumulation over the rows, from one scalar cost to any symbols, to any order."""
from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from exprgraph import dtypes
from exprgraph.errors import DisconnectedInputError, GradientError, at, here
from exprgraph.graph import order
from exprgraph.node import MOVING, OPERATORS, Node, Out, as_symbol, make_constant
from exprgraph.ops.complexes import conj, real_part
from exprgraph.ops.pair import EACH
from exprgraph.ops.rounding import second
from exprgraph.ops.shape import broadcast_to, dim_node, sum_to
from exprgraph.types import cast_to

Place = tuple[Node, int]


class Flow(NamedTuple):
    """What backward accumulation found: cotangents by place, and the places whose gradient is zero though the cost depends on them."""
    cotangents: dict[Place, Out]
    zeros: set[Place]


def grad(cost: Out | None, wrt: Any, consider_constant: Iterable[Out] | None = None, disconnected_inputs: str = "raise",
         add_names: bool = True, known_grads: Mapping[Out, Any] | None = None, return_disconnected: str = "zero",
         null_gradients: str = "raise") -> Any:
    """The gradient of a float scalar `cost` with respect to one symbol, or a list or tuple of them; each has its symbol's shape and dtype.

    consider_constant: tensors through which nothing flows.  known_grads: the gradient of the (then unneeded) cost with respect to some
    tensors.  disconnected_inputs: "raise" (DisconnectedInputError), "warn" or "ignore" where the cost does not depend on a symbol; the
    result is then zeros, or None with return_disconnected="none".  A dependence by comparisons, conditions or integers alone counts as
    one and gives zeros.  null_gradients: "raise" (GradientError) or "return" NaN where an operation has no derivative.
    """
    choose("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    choose("return_disconnected", return_disconnected.lower(), ("zero", "none"))
    choose("null_gradients", null_gradients, ("raise", "return"))
    symbols = [_symbol(w) for w in (wrt if isinstance(wrt, list | tuple) else [wrt])]
    starts = _starts(cost, known_grads)
    flow = backward(starts, symbols, consider_constant or (), null_gradients == "return")
    without = [x for x in symbols if (x.node, x.index) not in flow.cotangents]
    flow.zeros.update(_flat([t for t, _ in starts], without, {c.node for c in consider_constant or ()}))
    found = [_result(flow, x, disconnected_inputs, return_disconnected.lower()) for x in symbols]
    if add_names:
        found = [_named(g, cost, x) for g, x in zip(found, symbols)]
    return found[0] if not isinstance(wrt, list | tuple) else tuple(found) if isinstance(wrt, tuple) else found


def choose(name: str, value: str, choices: Sequence[str]) -> None:
    """ValueError where an argument is none of its choices."""
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, choices))}{at(here())}")


def _symbol(value: Any) -> Out:
    if not isinstance(value, Out):
        raise GradientError(f"gradients are taken with respect to symbols, not to {type(value).__name__}{at(here())}")
    return value


def _starts(cost: Any, known: Mapping[Out, Any] | None) -> list[tuple[Out, Out]]:
    starts = [(tensor, fit(as_symbol(g), tensor)) for tensor, g in (known or {}).items()]
    if cost is None:
        if not starts:
            raise GradientError(f"without a cost, grad needs known_grads={{tensor: its gradient}}{at(here())}")
        return starts
    cost = as_symbol(cost)
    if dtypes.is_complex(cost.dtype):
        raise GradientError(f"the cost {_show(cost)} is {cost.dtype}; a gradient needs a real one: take its real part or abs(){at(here())}")
    if not dtypes.is_float(cost.dtype):
        raise GradientError(f"the cost {_show(cost)} has dtype {cost.dtype}, which has no gradient: cast it to a float{at(here())}")
    if cost.ndim:
        raise GradientError(f"the cost {_show(cost)} has {cost.ndim} axes; a gradient needs a scalar: take .sum() or .mean(){at(here())}")
    if all(tensor.node is not cost.node for tensor, _ in starts):
        starts.append((cost, make_constant(1, cost.dtype)))
    return starts


def _show(x: Out) -> str:
    return x.name or f"<{x.node.op.name}>"


def backward(starts: Sequence[tuple[Out, Out]], wrt: Sequence[Out], constant: Iterable[Out] = (), null: bool = False) -> Flow:
    """Accumulate cotangents from the tensors of `starts` back to `wrt`, once over every node between them."""
    active = _between([t for t, _ in starts], wrt, {c.node for c in constant})
    fixed = {(t.node, t.index): g for t, g in starts}
    flow = Flow(dict(fixed), set())
    for node in reversed(order(t for t, _ in starts)):
        places = [(node, i) for i in range(len(node.outs))]
        if node in active and node.inputs and any(p in flow.cotangents or p in flow.zeros for p in places):
            _step(node, places, active, fixed, flow, null)
    return flow


def _between(outputs: Sequence[Out], wrt: Sequence[Out], constant: set[Node]) -> set[Node]:
    """The nodes that depend on a symbol of `wrt` by floats alone."""
    active = {x.node for x in wrt}
    for node in order(outputs):
        if node not in constant and "no_path" not in node.op.flags and any(
                i.node in active and dtypes.has_gradient(i.dtype) for i in node.inputs) and any(
                dtypes.has_gradient(t.dtype) for t in node.outs):
            active.add(node)
    return active


def _flat(outputs: Sequence[Out], wrt: Sequence[Out], constant: set[Node]) -> Iterator[Place]:
    """The float symbols that reach the outputs by way of values that jump (comparisons, conditions, integers): their gradient is zero.

    Positions (argmax, indices) and sizes are no such way: they are not functions of a value's size.
    """
    reached: set[Node] = set()
    todo = [o.node for o in outputs] if wrt else []
    while todo:
        node = todo.pop()
        if node in reached:
            continue
        reached.add(node)
        stops = node in constant or "no_path" in node.op.flags or node.op.kind == "source" or node.op.name in ("argmax", "argmin")
        if not stops:
            inputs = node.inputs[:1] if node.op.kind == "gather" else node.inputs[1:2] if node.op.kind == "scatter" else node.inputs
            todo += [i.node for i in inputs]
    yield from ((x.node, x.index) for x in wrt if x.node in reached and dtypes.has_gradient(x.dtype))


def _step(node: Node, places: list[Place], active: set[Node], fixed: Mapping[Place, Out], flow: Flow, null: bool) -> None:
    """Pass the cotangent of a node on to its inputs."""
    flowing = any(p in flow.cotangents for p in places)
    flat = "zero_grad" in node.op.flags and not dtypes.is_complex(node.outs[0].dtype)
    given = pullback(node, [flow.cotangents.get(p) for p in places], null) if flowing and not flat else (None,) * len(node.inputs)
    for x, g in zip(node.inputs, given, strict=True):
        place = (x.node, x.index)
        if x.node not in active or not dtypes.has_gradient(x.dtype) or place in fixed:
            continue
        if g is None:
            flow.zeros.add(place)
            continue
        g = fit(g, x)
        flow.cotangents[place] = OPERATORS["add"](flow.cotangents[place], g) if place in flow.cotangents else g


def pullback(node: Node, given: Sequence[Out | None], null: bool = False) -> Sequence[Out | None]:
    """The cotangents that a node gives its inputs, from those of its outputs; they may still have the dtype and shape of the result."""
    if node.op.grad is None:
        if null:
            return [filled(float("nan"), x) if dtypes.has_gradient(x.dtype) else None for x in node.inputs]
        raise GradientError(f"{node.op.name} has no gradient (none is implemented, or none exists); disconnected_grad(x) treats a part "
                            f"as constant{at(node.source)}")
    if len(node.outs) == 1:
        turned = is_turned(node)
        found = node.op.grad(_conj(given[0]) if turned else given[0], node.outputs[0], *node.inputs, **dict(node.params))
        return [_conj(g) for g in found] if turned else found
    return node.op.grad(tuple(given), node.outputs, *node.inputs, **dict(node.params))


def is_turned(node: Node) -> bool:
    """Whether a row's gradient, which is written for real numbers, is taken between two conjugations.

    The cotangent of z = x + iy is dC/dx + i dC/dy.  Through w = f(z) it becomes that of w times the conjugate of f'(z); the row gives the
    product with f'(z) itself.  Rows that only move or add up need no turning; the flag "conjugated" is for those that think of it.
    """
    plain = node.op.kind in MOVING or node.op.pair == EACH or "conjugated" in node.op.flags
    return not plain and any(dtypes.is_complex(t.dtype) for t in (*node.outs, *(i.type for i in node.inputs)))


def _conj(g: Any) -> Any:
    if g is None or not dtypes.is_complex(g.dtype):
        return g
    return g.node.inputs[0] if g.node.op is conj else conj(g)


def fit(value: Any, x: Out) -> Out:
    """A cotangent or tangent in the dtype and shape of what it belongs to: broadcast axes are summed, once, here, and missing ones are
    there; what belongs to something real is real."""
    g = as_symbol(value)
    if dtypes.is_complex(g.dtype) and not dtypes.is_complex(x.dtype):
        g = real_part(g)
    if g.dtype != x.dtype:
        g = cast_to(g, x.dtype)
    if g.type.shape == x.type.shape:
        return g
    sizes = [dim_node(d) for d in x.type.shape]
    missing = g.ndim < x.ndim or any(a.const == 1 and b.const != 1 for a, b in zip(g.type.shape[g.ndim - x.ndim:], x.type.shape))
    return (broadcast_to if missing else sum_to)(g, *sizes)


def filled(value: float, x: Out) -> Out:
    """A tensor of one value, of the shape and dtype of another."""
    scalar = make_constant(value, x.dtype)
    return broadcast_to(scalar, *[dim_node(d) for d in x.type.shape]) if x.ndim else scalar


def _result(flow: Flow, x: Out, policy: str, otherwise: str) -> Out | None:
    place = (x.node, x.index)
    if place in flow.cotangents:
        return flow.cotangents[place]
    if place in flow.zeros:
        return second(x, 0.0)  # zeros that depend on x, so that they have a gradient in their turn
    if policy != "ignore":
        why = "the cost does not depend on it" if dtypes.has_gradient(x.dtype) else f"its dtype {x.dtype} carries no gradient"
        message = f"no gradient with respect to {_show(x)}: {why}; disconnected_inputs=\"ignore\" gives zeros{at(here())}"
        if policy == "raise":
            raise DisconnectedInputError(message)
        warnings.warn(message, stacklevel=3)
    return filled(0.0, x) if otherwise == "zero" else None


def _named(g: Out | None, cost: Out | None, x: Out) -> Out | None:
    if g is None or x.name is None:
        return g
    over = cost.name if isinstance(cost, Out) and cost.name else "cost"
    return Out(g.node, g.index, f"d({over})/d({x.name})")
