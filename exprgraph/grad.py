"""Gradients: reverse accumulation over the rows, from one scalar cost to any symbols, to any order."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.bodies import linked, reaching
from exprgraph.errors import DisconnectedInputError, GradientError, MissingGradientError, NullTypeGradError, at, here, shortly
from exprgraph.graph import credit, mark, order
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, MOVING, OPERATORS, SHARED, Node, Op, Out, as_symbol, constant_value, make_constant
from exprgraph.ops.complexes import conj, real_part
from exprgraph.ops.pair import EACH
from exprgraph.ops.rounding import second
from exprgraph.ops.rows import Undefined
from exprgraph.ops.shape import broadcast_to, declared, dim_node, sum_to
from exprgraph.ops.table import ROWS
from exprgraph.types import cast_to
from exprgraph.warned import warn

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
    tensors, in full: nothing is added to it.  disconnected_inputs: "raise" (DisconnectedInputError), "warn" or "ignore" where the cost does
    not depend on a symbol; the result is then zeros, or None with return_disconnected="none" or "disconnected".  A dependence by
    comparisons, conditions or integers alone counts as one and gives zeros.  null_gradients: "raise" (NullTypeGradError, or its child
    MissingGradientError where a row has no gradient written) or "return" NaN where an operation has no derivative.
    """
    choose("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    absent = choose("return_disconnected", return_disconnected, ("zero", "none", "disconnected"), any_case=True)
    choose("null_gradients", null_gradients, ("raise", "return"))
    symbols = [_symbol(w, "gradients are taken with respect to symbols") for w in (wrt if isinstance(wrt, list | tuple) else [wrt])]
    constant = constants(consider_constant)
    starts = _starts(cost, known_grads)
    flow = backward(_stable(starts, symbols, constant, known_grads), symbols, constant, null_gradients == "return")
    without = [x for x in symbols if (x.node, x.index) not in flow.cotangents]
    flow.zeros.update(_flat([t for t, _ in starts], without, whole({(c.node, c.index) for c in constant})))
    found = [_result(flow, x, disconnected_inputs, absent, f" (number {k} of wrt)" if isinstance(wrt, list | tuple) else "")
             for k, x in enumerate(symbols)]
    if add_names:
        found = [_named(g, cost, x) for g, x in zip(found, symbols)]
    return found[0] if not isinstance(wrt, list | tuple) else tuple(found) if isinstance(wrt, tuple) else found


def _stable(starts: list[tuple[Out, Out]], symbols: Sequence[Out], constant: Sequence[Out], known: Any) -> list[tuple[Out, Out]]:
    """The cost as the stable rules make it, so that second gradients are stable too, where nothing inside it is asked for by name."""
    if known or constant or any(x.node.op not in (INPUT, SHARED) for x in symbols):
        return starts
    from exprgraph.stabilise import stabilised  # loads the engine of the rules
    (cost, one), = starts
    return [(stabilised([cost], ())[0][0], one)]


def subgraph_grad(wrt: Sequence[Out], end: Sequence[Out], start: Mapping[Out, Any] | None = None, cost: Out | None = None,
                  details: bool = False) -> Any:
    """Gradients with respect to `wrt` and to `end`, two lists, nothing flowing on from `end`: one stretch of a longer backward pass.

    start: the gradients that are known at the far side of the stretch, by tensor.  cost: a scalar whose gradient is added to theirs.
    details: two more lists, the gradients from `start` alone and from the cost alone with respect to all of wrt and end; None for what
    was not given.
    """
    for name, given in (("wrt", wrt), ("end", end)):
        if not isinstance(given, list | tuple):
            raise GradientError(f"subgraph_grad: {name}={shortly(given)}: a list of symbols is needed{at(here())}")
    if start is None and cost is None:
        raise GradientError(f"subgraph_grad needs start={{tensor: its gradient}} or a cost{at(here())}")
    both = [*wrt, *end]
    options: dict[str, Any] = {"consider_constant": end, "disconnected_inputs": "ignore"}
    from_start = grad(None, both, known_grads=start, **options) if start is not None else None
    from_cost = grad(cost, both, **options) if cost is not None else None
    given = [part for part in (from_start, from_cost) if part is not None]
    found = given[0] if len(given) == 1 else [OPERATORS["add"](a, b) for a, b in zip(*given)]
    parts = (list(found[:len(wrt)]), list(found[len(wrt):]))
    return (*parts, from_start, from_cost) if details else parts


def choose(name: str, value: Any, choices: Sequence[str], any_case: bool = False) -> str:
    """The value; ValueError where an argument is none of its choices."""
    meant = value.lower() if any_case and isinstance(value, str) else value
    if not isinstance(meant, str) or meant not in choices:
        raise ValueError(f"{name}={shortly(value)}: expected one of {', '.join(map(repr, choices))}{at(here())}")
    return meant


def _symbol(value: Any, what: str) -> Out:
    if not isinstance(value, Out):
        raise GradientError(f"{what}, not to {type(value).__name__}{at(here())}")
    return value


def constants(given: Any) -> list[Out]:
    """What consider_constant= was given, as a list."""
    items = [given] if isinstance(given, Out) else [] if given is None else given
    if not isinstance(items, Iterable) or isinstance(items, str):
        raise GradientError(f"consider_constant={shortly(given)}: a list of symbols is needed{at(here())}")
    listed = list(items)
    wrong = [c for c in listed if not isinstance(c, Out)]
    if wrong:
        raise GradientError(f"consider_constant has {shortly(wrong[0])}, which is no symbol{at(here())}")
    return listed


def _known(given: Any) -> list[tuple[Out, Out]]:
    if given is not None and not isinstance(given, Mapping):
        raise GradientError(f"known_grads={shortly(given)}: a dict, tensor -> its gradient, is needed{at(here())}")
    found = []
    for tensor, g in (given or {}).items():
        if not isinstance(tensor, Out):
            raise GradientError(f"known_grads has the key {shortly(tensor)}, which is no symbol{at(here())}")
        out = as_symbol(g)
        if out.ndim > tensor.ndim or (dtypes.is_complex(out.dtype) and not dtypes.is_complex(tensor.dtype)):
            raise GradientError(f"known_grads gives {_show(tensor)}, which is {tensor.type}, a gradient that is {out.type}{at(here())}")
        found.append((tensor, fit(out, tensor)))
    return found


def _starts(cost: Any, known: Any) -> list[tuple[Out, Out]]:
    starts = _known(known)
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
    if all(tensor.node is not cost.node or tensor.index != cost.index for tensor, _ in starts):
        starts.append((cost, make_constant(1, cost.dtype)))
    return starts


def _show(x: Out) -> str:
    return x.name or f"<{x.node.op.name}>"


def backward(starts: Sequence[tuple[Out, Out]], wrt: Sequence[Out], constant: Iterable[Out] = (), null: bool = False) -> Flow:
    """Accumulate cotangents from the tensors of `starts` back to `wrt`, once over every node between them.

    What a start is given is its whole cotangent: what other starts would add to it is left out.  Nothing flows on from `constant`, which
    the walk does not go beyond either.
    """
    ended = {(c.node, c.index) for c in constant}
    ends = whole(ended)
    nodes = order([t for t, _ in starts], ends)
    active = _between(nodes, wrt, ends)
    fixed = {(t.node, t.index): g for t, g in starts}
    flow = Flow(dict(fixed), set())
    for node in reversed(nodes):
        places = [p for p in ((node, i) for i in range(len(node.outs))) if p not in ended]
        if node in active and node not in ends and node.inputs and any(p in flow.cotangents or p in flow.zeros for p in places):
            _step(node, places, active, fixed, flow, null)
    return flow


def whole(places: Collection[Place]) -> set[Node]:
    """The nodes of whose floats all are among the places."""
    return {n for n, _ in places if all((n, k) in places for k, t in enumerate(n.outs) if dtypes.has_gradient(t.dtype))}


def _between(nodes: Sequence[Node], wrt: Sequence[Out], constant: set[Node]) -> set[Node]:
    """The nodes that depend on a symbol of `wrt` by floats alone."""
    active = {x.node for x in wrt}
    for node in nodes:
        if node not in constant and "no_path" not in node.op.flags and any(
                i.node in active and dtypes.has_gradient(i.dtype) and link for i, link in zip(node.inputs, linked(node))) and any(
                dtypes.has_gradient(t.dtype) for t in node.outs):
            active.add(node)
    return active


def _flat(outputs: Sequence[Out], wrt: Sequence[Out], constant: set[Node]) -> set[Place]:
    """The float symbols that reach the outputs by way of values that jump (comparisons, conditions, integers): their gradient is zero."""
    reached = reaching(outputs, constant) if wrt else set()
    return {(x.node, x.index) for x in wrt if x.node in reached and dtypes.has_gradient(x.dtype)}


def _step(node: Node, places: list[Place], active: set[Node], fixed: Mapping[Place, Out], flow: Flow, null: bool) -> None:
    """Pass the cotangent of a node on to its inputs."""
    flowing, own = any(p in flow.cotangents for p in places), dict.fromkeys(places)
    flat = "zero_grad" in node.op.flags and not dtypes.is_complex(node.outs[0].dtype)
    wanted = [link and x.node in active and dtypes.has_gradient(x.dtype) and (x.node, x.index) not in fixed
              for x, link in zip(node.inputs, linked(node))]
    cotangents = [flow.cotangents.get((node, k)) if (node, k) in own else None for k in range(len(node.outs))]
    before = mark()
    given = pullback(node, cotangents, null, wanted) if flowing and not flat else (None,) * len(wanted)
    for x, g, asked in zip(node.inputs, given, wanted, strict=True):
        place = (x.node, x.index)
        if asked and g is None:
            flow.zeros.add(place)
        elif asked:
            more = fit(g if is_own(node.op) else _sized(g, node, x), x)
            flow.cotangents[place] = OPERATORS["add"](flow.cotangents[place], more) if place in flow.cotangents else more
    credit((flow.cotangents.get((x.node, x.index)) for x, asked in zip(node.inputs, wanted) if asked), before, node, beside=True)


def _sized(g: Any, node: Node, x: Out) -> Out:
    return sized(g, node.outputs[0] if spreads(node) else x, f"the cotangent that {node.op.name} gives {_show(x)}", not spreads(node))


def pullback(node: Node, given: Sequence[Out | None], null: bool = False, wanted: Sequence[bool] | None = None) -> Sequence[Out | None]:
    """The cotangents that a node gives its inputs, from those of its outputs; they may still have the dtype and shape of the result.

    Where one does not exist, null puts NaN in its place; else NullTypeGradError says why, if it is among those wanted.
    """
    if node.op.grad is None:
        found: Sequence[Any] = [Undefined("none has been written", missing=True) if dtypes.has_gradient(x.dtype) else None
                                for x in node.inputs]
    elif len(node.outs) == 1:
        turned = is_turned(node)
        found = node.op.grad(_conj(given[0]) if turned else given[0], node.outputs[0], *node.inputs, **dict(node.params))
        found = [_conj(g) for g in found] if turned else found
    else:
        found = node.op.grad(tuple(given), node.outputs, *node.inputs, **dict(node.params))
    return defined(node, found, null, wanted)


def defined(node: Node, found: Sequence[Any], null: bool = False, wanted: Sequence[bool] | None = None) -> Sequence[Out | None]:
    """What a row gave as cotangents, with NaN or an error for those that do not exist; None for such as are not wanted."""
    if not any(isinstance(g, Undefined) for g in found):
        return found
    return [_absent(node, k, g, null) if isinstance(g, Undefined) and (wanted is None or wanted[k]) else
            None if isinstance(g, Undefined) else g for k, g in enumerate(found)]


def _absent(node: Node, number: int, why: Undefined, null: bool) -> Out:
    """NaN in place of a cotangent that does not exist, or the error that says so."""
    x = node.inputs[number]
    if null:
        return filled(float("nan"), x)
    error = MissingGradientError if why.missing else NullTypeGradError
    raise error(f"{node.op.name} has no gradient with respect to its input {number}, {_show(x)}: {why.reason}; disconnected_grad(x) treats "
                f"a part as constant, null_gradients=\"return\" gives NaN{at(node.source)}")


def is_turned(node: Node) -> bool:
    """Whether a row's gradient, which is written for real numbers, is taken between two conjugations.

    The cotangent of z = x + iy is dC/dx + i dC/dy.  Through w = f(z) it becomes that of w times the conjugate of f'(z); the row gives the
    product with f'(z) itself.  Rows that only move or add up need no turning; the flag "conjugated" is for those that think of it.
    """
    plain = node.op.kind in MOVING or node.op.pair == EACH or "conjugated" in node.op.flags
    return not plain and any(dtypes.is_complex(t.dtype) for t in (*node.outs, *(i.type for i in node.inputs)))


def _conj(g: Any) -> Any:
    if g is None or isinstance(g, Undefined) or not dtypes.is_complex(g.dtype):
        return g
    return g.node.inputs[0] if g.node.op is conj else conj(g)


def fit(value: Any, x: Out) -> Out:
    """A cotangent in the dtype and shape of what it belongs to: broadcast axes are summed, once, here, and missing ones are there; what
    belongs to something real is real."""
    g = _typed(value, x)
    if g.type.shape == x.type.shape:
        return g
    sizes = [dim_node(d) for d in x.type.shape]
    missing = g.ndim < x.ndim or any(a.const == 1 and b.const != 1 for a, b in zip(g.type.shape[g.ndim - x.ndim:], x.type.shape))
    return (broadcast_to if missing else sum_to)(g, *sizes)


def fit_forward(value: Any, y: Out) -> Out:
    """A tangent in the dtype and shape of what it belongs to, to which it is broadcast; what belongs to something real is real."""
    t = _typed(value, y)
    return t if t.type.shape == y.type.shape else broadcast_to(t, *[dim_node(d) for d in y.type.shape])


def _typed(value: Any, x: Out) -> Out:
    g = as_symbol(value)
    if dtypes.is_complex(g.dtype) and not dtypes.is_complex(x.dtype):
        g = real_part(g)
    return g if g.dtype == x.dtype else cast_to(g, x.dtype)


def is_own(op: Op) -> bool:
    """Whether a row is one of exprgraph's, whose gradient is known to have the right sizes."""
    return ROWS.get(op.name) is op


def spreads(node: Node) -> bool:
    """Whether the gradient of a node has the sizes of its result, to which its operands are broadcast."""
    return node.op.kind == "elementwise"


def sized(value: Any, like: Out, what: str, exact: bool = True) -> Out:
    """What a rule of the user's gave, which must have the sizes of `like`, or where it need not be exact broadcast to them.

    GradientError where that is known to be wrong, ShapeError when a call brings such sizes: generated code does not look at them.
    """
    g = as_symbol(value)
    lead = like.ndim - g.ndim
    pairs = [(k, d, like.type.shape[k + lead]) for k, d in enumerate(g.type.shape)] if lead >= 0 else []
    pairs = [(k, a, b) for k, a, b in pairs if a != b and (exact or a.const != 1)]
    wrong = any(a.const is not None and b.const is not None for _, a, b in pairs)
    if lead < 0 or wrong or (exact and lead and constant_value(g) is None):
        raise GradientError(f"{what} is {g.type}; it belongs to a tensor that is {like.type}{at(here())}")
    text = what.replace("{", "{{").replace("}", "}}")
    return declared(g, {k: (b, f"{text} has {{left}} elements along axis {k}, what it belongs to has {{right}}") for k, _, b in pairs})


def filled(value: float, x: Out) -> Out:
    """A tensor of one value, of the shape and dtype of another."""
    scalar = make_constant(value, x.dtype)
    return broadcast_to(scalar, *[dim_node(d) for d in x.type.shape]) if x.ndim else scalar


def _result(flow: Flow, x: Out, policy: str, otherwise: str, number: str) -> Out | None:
    place = (x.node, x.index)
    if place in flow.cotangents:
        return flow.cotangents[place]
    if place in flow.zeros:
        return second(x, 0.0)  # zeros that depend on x, so that they have a gradient in their turn
    if policy != "ignore":
        why = "the cost does not depend on it" if dtypes.has_gradient(x.dtype) else f"its dtype {x.dtype} carries no gradient"
        message = f"no gradient with respect to {_show(x)}{number}: {why}; disconnected_inputs=\"ignore\" gives zeros{at(here())}"
        if policy == "raise":
            raise DisconnectedInputError(message)
        warn(message)
    return filled(0.0, x) if otherwise == "zero" else None


def _named(g: Out | None, cost: Out | None, x: Out) -> Out | None:
    if g is None or x.name is None:
        return g
    over = cost.name if isinstance(cost, Out) and cost.name else "cost"
    return Out(g.node, g.index, f"d({over})/d({x.name})")
