"""checkpoint: what a function computes is computed again in the backward pass instead of being kept for it."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.bodies import Body, closed, fresh
from exprgraph.body_gradient import Rules, body_row, inner_pull
from exprgraph.called import formed, results, tensors, with_tensors
from exprgraph.node import Out
from exprgraph.ops.gradient_markers import barrier, new_token


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of which only arguments and results are kept for its gradient: checkpoint(f)(*args), or a decorator.

    What the backward pass needs of what the function computes is computed a second time, once the cotangents of its results are there.
    Gradients are the same, bit for bit where the backend computes the same op alike each time; memory between the passes is less.  Tensors
    among the arguments, also in tuples, lists and dicts, may be symbols or arrays; the function gives a symbol, or a container of
    symbols.
    """
    name = f"checkpoint of {getattr(function, '__name__', 'a function')}"

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        given = tensors(args)
        inputs = [fresh(t) for t in given]
        returned = function(*with_tensors(args, inputs), **keywords)
        graph, outside = closed(inputs, results(name, returned))
        plain = body_row(name, graph, Rules(0))
        row = body_row(name, graph, Rules(len(graph.inputs), _again(plain), same=True))
        return formed(returned, row.apply((*given, *outside)).node.outputs)
    return call


def _again(plain: Body) -> Callable[..., Sequence[Any]]:
    """The gradient of a body on inputs behind barriers: they wait for the cotangents, and nothing merges with the first time."""
    token = new_token()

    def pull(inputs: Sequence[Out], outs: Sequence[Out], given: Sequence[Any]) -> Sequence[Any]:
        return inner_pull(plain, [x if _may_be_size(x) else barrier(x, *given, token=token) for x in inputs], given)
    return pull


def _may_be_size(x: Out) -> bool:
    """Integer scalars are known before anything runs where they are sizes, and cost nothing to keep."""
    return not x.ndim and dtypes.is_int(x.dtype)
