"""Rules of the user's own as closed graphs: what a rule takes from outside is an input of the node, as what its outputs take is.

A rule is called once, on symbols, when its node is made, so that copies and batches of the node follow what it captures.  A rule whose
node is made by the same rule (that of sin uses cos, that of cos uses sin) cannot be: it is called when a gradient asks for it.  What it
captures is then looked for among all that the outer rule knows.
"""
from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from itertools import islice
from typing import Any

from exprgraph import dtypes
from exprgraph.bodies import Body, closed
from exprgraph.body_gradient import Rule, Rules, body_row, is_default, put_some
from exprgraph.graph import depends, rebuild, transform
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out

DEEPEST = 12
"""Rules that are being called at once; those of further nodes wait."""
_ACTIVE: ContextVar[tuple[Hashable, ...]] = ContextVar("active", default=())


class Trace(NamedTuple):
    """What a rule gave when it was called on symbols, or the error that it raised; waiting: it has not been called.

    standing: symbols that stand for the outputs, if the rule is called with them, and for cotangents (tangents).
    """
    rule: Callable[[Sequence[Out]], Any]
    standing: tuple[Out, ...]
    with_outputs: bool
    given: tuple[Any, ...] = ()
    waiting: bool = False
    error: Exception | None = None

    def called(self) -> Trace:
        """The same, after the rule has been called."""
        found = self.rule(self.standing)
        return self._replace(given=tuple(found) if isinstance(found, list | tuple) else (found,), waiting=False)

    def moved(self, standing: Iterator[Out], made: Iterator[Out]) -> Trace:
        """The same in a copy of the graph."""
        return self._replace(standing=tuple(islice(standing, len(self.standing))),
                             given=tuple(next(made) if isinstance(o, Out) else o for o in self.given))


def traced(key: Any, rule: Callable[[Sequence[Out]], Any], standing: Sequence[Out], with_outputs: bool = False) -> Trace:
    """A rule called on symbols, unless it is being called already, as `key`, a function or what has it, tells.

    What it raises is raised where a gradient asks for it: whoever takes none never hears of it.
    """
    trace, mark, active = Trace(rule, tuple(standing), with_outputs), getattr(key, "__code__", key), _ACTIVE.get()
    if mark in active or len(active) >= DEEPEST:
        return trace._replace(waiting=True)
    token = _ACTIVE.set((*active, mark))
    try:
        return trace.called()
    except Exception as error:
        return trace._replace(error=error)
    finally:
        _ACTIVE.reset(token)


def applied(name: str, inputs: Sequence[Out], outputs: Sequence[Out], arguments: Sequence[Out], pull: Trace | None = None,
            push: Trace | None = None, links: Sequence[bool] | None = None) -> tuple[Out, ...]:
    """The outputs of a new node that holds what computes `outputs` from `inputs`, put on arguments, and rules of its maker's.

    links: for each input whether gradients know of a path from it; by default from those that the rule of the gradient covers, and of
    the others what is inside says.
    """
    traces = [t for t in (pull, push) if t is not None]
    standing = [s for t in traces for s in t.standing]
    found = [*outputs, *(o for t in traces for o in t.given if isinstance(o, Out))]
    graph, outside = closed([*inputs, *standing], _informed(found, [*inputs, *standing]))
    n, k = len(inputs), len(outputs)
    inside = Graph((*graph.inputs[:n], *graph.inputs[n + len(standing):]), graph.outputs[:k])
    stand, made = iter(graph.inputs[n:]), iter(graph.outputs[k:])
    moved = [t and t.moved(stand, made) for t in (pull, push)]
    covered = _covered(inputs, pull) if links is None else links

    def row(env: Sequence[Out]) -> Body:
        """The row, with further inputs that waiting rules may use."""
        whole = Graph((*inside.inputs, *env), inside.outputs)
        originals = (*inputs, *outside, *env)
        to_inputs, to_outputs = (t and _ruled(t, originals if t.waiting else whole.inputs) for t in moved)
        rules = Rules(n, to_inputs, to_outputs)
        return body_row(name, whole, rules, covered, graph.outputs[k:])
    plain = row(())
    if any(t.waiting for t in traces):
        plain.informed = row
    return plain.apply((*arguments, *outside)).node.outputs


def _informed(outputs: Sequence[Out], inputs: Sequence[Out]) -> Sequence[Out]:
    """The outputs, where nodes with waiting rules have all that the outer node knows as further inputs."""
    inner = depends(outputs, {i.node for i in inputs})
    if not any(isinstance(n.op, Body) and n.op.informed for n in inner):
        return outputs
    env = [*inputs, *closed(inputs, outputs)[1]]

    def change(node: Node, given: tuple[Out, ...]) -> Out:
        if isinstance(node.op, Body) and node.op.informed and node in inner:
            return node.op.informed(env).apply((*given, *env), node.params, node.sources)
        return rebuild(node, given)
    return transform(outputs, change)


def _covered(inputs: Sequence[Out], pull: Trace | None) -> list[bool | None]:
    """For each input whether a rule gives its cotangent, be it zero; None where the inside says whether there is one."""
    if pull is None:
        return [None] * len(inputs)
    given = pull.given if len(pull.given) == len(inputs) else [None] * len(inputs)
    return [None if is_default(g) else dtypes.has_gradient(i.dtype) for i, g in zip(inputs, given)]


def _ruled(trace: Trace, leaves: Sequence[Out]) -> Rule:
    """A rule for any inputs, which take the place of the leaves that it was called on."""
    def ruled(now: Sequence[Out], outs: Sequence[Out], given: Sequence[Any]) -> Sequence[Any]:
        if trace.error is not None:
            raise trace.error
        found = trace.called() if trace.waiting else trace
        known = [*outs, *given] if trace.with_outputs else given
        return put_some([*leaves, *found.standing], found.given, [*now, *known])
    return ruled
