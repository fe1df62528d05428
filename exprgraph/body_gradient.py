"""How a body is differentiated, pushed forward and batched: by what is inside, or by rules of its maker's."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.batch import batched
from exprgraph.bodies import Body, fresh, put_on
from exprgraph.errors import GradientError, at, here, shortly
from exprgraph.forward import pushforward
from exprgraph.grad import backward, fit, sized
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, OPERATORS, Graph, Out, as_symbol, leaf
from exprgraph.ops.rounding import identity, second
from exprgraph.ops.rows import Undefined
from exprgraph.ops.shape import shape_of
from exprgraph.reference import evaluate
from exprgraph.types import Accepted, cast_to

Rule = Callable[[Sequence[Out], Sequence[Out], Sequence[Any]], Sequence[Any]]
"""From inputs, outputs and their cotangents (tangents of the inputs) to cotangents of the inputs (tangents of the outputs); None is zero,
DEFAULT what the inside says."""
DEFAULT = "default"


class Rules(NamedTuple):
    """What takes the place of the gradient (pull) and of forward mode (push); None: what is inside says it.

    The rules know all inputs and speak of the first `arity`; the rest is what the body takes from outside, for which the inside
    counts in any case.  same: they say what the inside would.
    """
    arity: int
    pull: Rule | None = None
    push: Rule | None = None
    same: bool = False


def body_row(name: str, inside: Graph, rules: Rules, links: Sequence[bool | None] = (), more: Sequence[Out] = ()) -> Body:
    """The row of a closed graph.

    links: of the first inputs, whether gradients know of a path, where not None.  more: what rules compute from the inputs.
    """
    def refuse(*args: Any, **params: Any) -> Accepted:
        raise TypeError(f"{name} is called through what made it")
    row = Body(name, "body", lambda *arrays: _meaning(row, arrays), refuse, lambda inputs: row.types(inputs),
               flags=frozenset(("conjugated",)),
               grad=lambda g, y, *inputs: _pulled(row, rules, g, y, inputs),
               forward=lambda tangents, y, *inputs: _pushed(row, rules, tangents, y, inputs),
               batch=lambda inputs, mapped, size: _batched(row, rules, inputs, mapped), doc=f"The body of {name}.")
    row.settle(inside, more)
    row.ruled = not rules.same and (rules.pull is not None or rules.push is not None)
    row.links = tuple(known if given is None else given for given, known in zip([*links, *[None] * len(row.links)], row.links))
    return row


def _meaning(row: Body, arrays: Sequence[Any]) -> Any:
    found = evaluate(row.inside.outputs, {i.node: a for i, a in zip(row.inside.inputs, arrays)})
    return found[0] if len(found) == 1 else tuple(found)


def _listed(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _pulled(row: Body, rules: Rules, g: Any, y: Any, inputs: Sequence[Out]) -> tuple[Any, ...]:
    given, outs, n = _listed(g), _listed(y), rules.arity
    if rules.pull is None:
        return tuple(inner_pull(row, inputs, given))
    own = rules.pull(inputs, outs, [_filled(a, o) for a, o in zip(given, outs)])
    needed = len(inputs) > n or any(is_default(c) for c in own)
    inner = inner_pull(row, inputs, given) if needed else [None] * n
    return (*_checked(row, own, inner, inputs[:n], "cotangent"), *inner[n:])


def _pushed(row: Body, rules: Rules, tangents: Sequence[Out | None], y: Any, inputs: Sequence[Out]) -> Any:
    outs, n = _listed(y), rules.arity
    if rules.push is None:
        found: Sequence[Any] = inner_push(row, inputs, tangents)
        return found[0] if len(outs) == 1 else tuple(found)
    own = rules.push(inputs, outs, [_filled(t, i) for t, i in zip(tangents, inputs[:n])])
    inner = inner_push(row, inputs, tangents) if any(is_default(t) for t in own) else [None] * len(outs)
    found = _checked(row, own, inner, outs, "tangent")
    if any(t is not None for t in tangents[n:]):
        more = inner_push(row, inputs, [*[None] * n, *tangents[n:]])
        found = [a if is_default(o) else _sum(a, b) for o, a, b in zip(own, found, more)]
    return found[0] if len(outs) == 1 else tuple(found)


def is_default(value: Any) -> bool:
    """Whether a rule leaves something to the inside."""
    return isinstance(value, str) and value == DEFAULT


def _sum(a: Out | None, b: Out | None) -> Out | None:
    return a if b is None else b if a is None else OPERATORS["add"](a, b)


def _filled(given: Out | None, like: Out) -> Out:
    return second(like, 0.0) if given is None else given


def _checked(row: Body, found: Any, inner: Sequence[Any], of: Sequence[Out], what: str) -> tuple[Any, ...]:
    """What a rule gave, one for each of `of`, the inside's where it says so; GradientError for a wrong number or what is no symbol."""
    items = tuple(found)
    if len(items) != len(of):
        many = f"{what}{'s' * (len(items) != 1)}"
        raise GradientError(f"{row.name}: its rule gave {len(items)} {many} where {len(of)} are needed{at(here())}")
    items = tuple(inner[k] if is_default(item) else _symbol(item, of[k]) for k, item in enumerate(items))
    for k, item in enumerate(items):
        if item is not None and not isinstance(item, Out | Undefined):
            raise GradientError(f"{row.name}: its rule gave {shortly(item)} as {what} number {k}: a symbol, an array or a number is needed"
                                f", or None{at(here())}")
    return tuple(sized(item, of[k], f"the {what} number {k} that the rule of {row.name} gave") if isinstance(item, Out) else item
                 for k, item in enumerate(items))


def _symbol(item: Any, like: Out) -> Any:
    """Numbers and arrays as constants; anything else as it is."""
    if dtypes.is_weak(item) and dtypes.has_gradient(like.dtype):
        return cast_to(item, like.dtype)
    return as_symbol(item) if isinstance(item, np.ndarray | np.generic) and item.dtype.kind in "biufc" else item


def inner_pull(row: Body, inputs: Sequence[Out], given: Sequence[Out | None]) -> list[Out | None]:
    """The cotangents of the inputs by what is inside, on these inputs."""
    apart: list[Out] = []  # an input that is there twice has two cotangents
    for x in inputs:
        apart.append(identity(x) if any(x.node is a.node and x.index == a.index for a in apart) else x)
    starts = [(identity(o), g) for o, g in zip(row.expand(apart), given) if g is not None]  # an output may be an input, or lead to another
    flow = backward(starts, apart, apart)
    return [flow.cotangents.get((x.node, x.index)) for x in apart]


def inner_push(row: Body, inputs: Sequence[Out], tangents: Sequence[Out | None]) -> list[Out | None]:
    """The tangents of the outputs by what is inside."""
    leaves, outputs = row.inside.inputs, row.inside.outputs
    moving = [(i, fresh(i), t) for i, t in zip(leaves, tangents) if t is not None]
    found = pushforward(outputs, [(i, t) for i, t, _ in moving])
    return put_some([*leaves, *(t for _, t, _ in moving)], found, [*inputs, *(t for _, _, t in moving)])


def put_some(leaves: Sequence[Out], found: Sequence[Any], inputs: Sequence[Out]) -> list[Any]:
    """`put_on` for a list that may hold what is no symbol."""
    made = iter(put_on(leaves, [o for o in found if isinstance(o, Out)], inputs))
    return [next(made) if isinstance(o, Out) else o for o in found]


class _Batch(NamedTuple):
    """The body over a batch: which inputs have the leading axis, and leaves that have it in their place."""
    mapped: tuple[bool, ...]
    leaves: tuple[Out, ...]

    @property
    def size(self) -> Out:
        """The length of the axis."""
        return shape_of(self.leaves[self.mapped.index(True)])[0]

    def over(self, outputs: Sequence[Out], pairs: Sequence[tuple[Out, Out]]) -> list[Out]:
        """The outputs over the batch, where the first of each pair becomes the second."""
        return batched(list(outputs), dict(pairs), self.size)


def _longer(x: Out) -> Out:
    return Out(leaf(INPUT, x.dtype, (None, *(d.const for d in x.type.shape)), x.name))


def _batched(row: Body, rules: Rules, inputs: Sequence[Out], mapped: Sequence[bool]) -> Any:
    """A body over the batch, whose rules are those of this one over the batch."""
    leaves = row.inside.inputs
    batch = _Batch(tuple(map(bool, mapped)), tuple(_longer(i) if m else fresh(i) for i, m in zip(leaves, mapped)))
    own = [(i, b) for i, b, m in zip(leaves, batch.leaves, mapped) if m]
    fixed = {(i.node, i.index): b for i, b, m in zip(leaves, batch.leaves, mapped) if not m}

    def over(outputs: Sequence[Any], more: Sequence[tuple[Out, Out]]) -> list[Any]:
        made = iter(batch.over([o for o in outputs if isinstance(o, Out)], [*own, *more]))
        found = [next(made) if isinstance(o, Out) else o for o in outputs]
        return put_some([Out(n, k) for n, k in fixed], found, list(fixed.values()))

    def pull(now: Sequence[Out], outs: Sequence[Out], given: Sequence[Any]) -> Sequence[Any]:
        one = [fresh(o) for o in row.inside.outputs]
        many = [_longer(o) for o in one]
        found = _pulled(row, rules, tuple(one), row.inside.outputs, leaves)
        wide = over([fit(r, i) if isinstance(r, Out) else r for r, i in zip(found, leaves)], list(zip(one, many)))
        whole = [OPERATORS["sum"](r, axis=0) if isinstance(r, Out) and not m else r for r, m in zip(wide, mapped)]
        return put_some([*batch.leaves, *many], whole, [*now, *given])

    def push(now: Sequence[Out], outs: Sequence[Out], given: Sequence[Any]) -> Sequence[Any]:
        one = [fresh(i) for i in leaves]
        many = [_longer(i) for i in one]
        found = over(_listed(_pushed(row, rules, one, row.inside.outputs, leaves)), list(zip(one, many)))
        size = shape_of(now[batch.mapped.index(True)])[0]
        return put_some([*batch.leaves, *many], found, [*now, *(t if m else _spread(t, size) for t, m in zip(given, mapped))])
    inside = Graph(batch.leaves, tuple(over(row.inside.outputs, ())))
    wide = body_row(f"{row.name} over a batch", inside, Rules(len(leaves), rules.pull and pull, rules.push and push, rules.same), row.links)
    made = wide.apply(tuple(inputs))
    return made if len(inside.outputs) == 1 else made.node.outputs


def _spread(t: Out, size: Out) -> Out:
    found: Out = OPERATORS["broadcast_to"](t, (size, *shape_of(t)))
    return found
