"""Forward mode: tangents from some tensors to those computed from them, by what the rows say of their gradients.

The tangent of a row comes, in this order, from its own rule (`Op.forward`); from itself where it is linear; from its gradient, which for
an elementwise row is a factor times the cotangent, and takes a tangent as well; and else from its gradient's gradient: a row's
pullback is linear in the cotangent, and the transpose of that map is the row's pushforward.  So every row that has a gradient
has forward mode, with complex numbers too: their cotangents are those of the inner product Re(conj(a) b), and transposing
twice gives the map itself.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.bodies import ways
from exprgraph.errors import GradientError, at
from exprgraph.grad import Place, backward, defined, filled, fit, fit_forward, is_own, is_turned, pullback, sized, spreads, whole
from exprgraph.graph import credit, mark, order
from exprgraph.node import OPERATORS, Node, Out
from exprgraph.ops.contract import matmul
from exprgraph.ops.reduce import sum_
from exprgraph.ops.rounding import cast, second
from exprgraph.ops.scan import cumsum
from exprgraph.ops.shape import sum_to

Tangents = tuple[Out | None, ...]
LINEAR_KINDS = {"view", "gather", "scatter"}
LINEAR = {sum_, sum_to, cumsum, cast}
"""Linear in all of their floats together."""


def pushforward(outputs: Sequence[Out], starts: Sequence[tuple[Out, Out]], constant: Iterable[Out] = ()) -> list[Out | None]:
    """The tangents of the outputs, each of its output's shape and dtype; None where an output does not depend on a start by floats.

    starts: tensors, which count as independent of each other, and their tangents; a tensor that comes twice has the sum of them, and
    integers and bools have none.  constant: tensors through which nothing flows.
    """
    stopped = {(c.node, c.index) for c in constant}
    stops = whole(stopped)
    tangents: dict[Place, Out] = {}
    for x, tangent in starts:
        if not dtypes.has_gradient(x.dtype):
            continue
        place, own = (x.node, x.index), fit_forward(tangent, x)
        tangents[place] = _sum([tangents[place], own]) if place in tangents else own
    fixed = set(tangents) | stopped
    for node in order(outputs):
        given = tuple(tangents.get((i.node, i.index)) for i in node.inputs)
        if node not in stops and any(t is not None for t in given) and moves(node):
            before = mark()
            for index, t in enumerate(_tangents(node, given)):
                if t is not None and (node, index) not in fixed:
                    y = Out(node, index)
                    checked = t if is_own(node.op) else sized(t, y, f"the tangent that {node.op.name} gives", not spreads(node))
                    tangents[node, index] = fit_forward(checked, y)
            credit((tangents.get((node, k)) for k in range(len(node.outs))), before, node, beside=True)
    return [tangents.get((o.node, o.index)) for o in outputs]


def moves(node: Node) -> bool:
    """Whether a node's value moves with its inputs': it has floats, and is not one that gradients take for constant."""
    flat = "zero_grad" in node.op.flags and not dtypes.is_complex(node.outs[0].dtype)
    return not flat and "no_path" not in node.op.flags and any(dtypes.has_gradient(t.dtype) for t in node.outs)


def reaches(outputs: Sequence[Out], starts: Collection[Node]) -> list[bool]:
    """For each output whether it depends on one of the nodes by floats or by jumps: not by positions, sizes or what is disconnected."""
    reached = set(starts)
    for node in order(outputs):
        if any(i.node in reached for i in ways(node)):
            reached.add(node)
    return [o.node in reached for o in outputs]


def _tangents(node: Node, given: Tangents) -> Sequence[Out | None]:
    """The tangents of a node's outputs from those of its inputs, at least one of which is there."""
    params = dict(node.params)
    if node.op.forward is not None:
        ys = node.outputs
        found = node.op.forward(given, ys[0] if len(ys) == 1 else ys, *node.inputs, **params)
        return found if isinstance(found, tuple) else (found,)
    if node.op.kind in LINEAR_KINDS or node.op in LINEAR:
        return (_linear(node, given),)
    if node.op is matmul:
        return (_sum([matmul(*(t if k == i else x for k, x in enumerate(node.inputs))) for i, t in enumerate(given) if t is not None]),)
    if node.op.grad is None:
        raise GradientError(f"{node.op.name} has no forward mode: it has neither a gradient nor a forward rule; disconnected_grad(x) "
                            f"treats a part as constant{at(node.source)}")
    if node.op.kind == "elementwise" and (is_turned(node) or not _has_complex(node)):
        return (_elementwise(node, given),)
    if node.op.kind == "reduce" and not _has_complex(node):
        weight = pullback(node, (filled(1.0, node.outputs[0]),))[0]
        return (None if weight is None else _folded(node, given[0], weight),)
    return _transposed(node, given)


def _sum(terms: Sequence[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _linear(node: Node, given: Tangents) -> Out | None:
    """The node on the tangents of its floats."""
    moved = [x if not dtypes.has_gradient(x.dtype) else second(x, 0.0) if t is None else t for x, t in zip(node.inputs, given)]
    if node.op is cast:
        return OPERATORS["cast"](moved[0], node.outs[0].dtype)  # type: ignore[no-any-return]
    return node.op.apply(tuple(moved), node.params, node.sources)


def _has_complex(node: Node) -> bool:
    return any(dtypes.is_complex(t.dtype) for t in (*node.outs, *(i.type for i in node.inputs)))


def _elementwise(node: Node, given: Tangents) -> Out | None:
    """The sum of what each operand's part of the gradient makes of its tangent: both are the derivative times what is given."""
    assert node.op.grad is not None
    moved = [t is not None for t in given]
    terms = [defined(node, node.op.grad(t, node.outputs[0], *node.inputs, **dict(node.params)), wanted=moved)[k]
             for k, t in enumerate(given) if t is not None]
    left = [t for t in terms if t is not None]
    return _sum(left) if left else None


def _folded(node: Node, tangent: Out | None, weight: Any) -> Out:
    """The tangent of a reduction whose gradient is a weight of each element."""
    found: Out = sum_(tangent * weight, axis=node.param("axis"), keepdims=node.param("keepdims"), dtype=node.outs[0].dtype)
    return found


def _transposed(node: Node, given: Tangents) -> Sequence[Out | None]:
    """The transpose of the pullback, which is linear: the gradient of what it gives with respect to the cotangents that it is given.

    What it gives may be one tensor several times, or lead to another, so each is a node of its own.
    """
    cotangents = tuple(second(y, 0.0) if dtypes.has_gradient(y.dtype) else None for y in node.outputs)
    pulled = pullback(node, cotangents)
    pairs = [(OPERATORS["identity"](fit(c, x)), t) for c, x, t in zip(pulled, node.inputs, given) if c is not None and t is not None]
    wanted = [c for c in cotangents if c is not None]
    flow = backward(pairs, wanted)
    return [None if c is None else flow.cotangents.get((c.node, c.index)) for c in cotangents]
