"""Copies of graphs with some tensors replaced: clone, graph_replace, and the clone of a symbol."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.errors import GraphError, at, here, shortly
from exprgraph.graph import order
from exprgraph.node import CONSTANT, INPUT, Node, Out, TensorType, as_symbol, leaf
from exprgraph.types import cast_to

Place = tuple[Node, int]


def clone_symbol(x: Out) -> Out:
    """A new input of the same name, dtype, rank and known lengths, whatever computes x; a constant stays itself."""
    if x.node.op is CONSTANT:
        return x
    return Out(leaf(INPUT, x.dtype, tuple(d.const for d in x.type.shape), x.name))


def stand_in(x: Out, dropped: int = 0) -> Out:
    """An input like a tensor without its first axes; its sizes are those of the tensor, so that what is equal stays provably equal."""
    return Out(Node(INPUT, (), (), (TensorType(x.dtype, x.type.shape[dropped:]),), frozenset((here(),)), x.name))


def clone(output: Any, replace: Any = None, strict: bool = True, share_inputs: bool = True) -> Any:
    """A copy of the graph of a symbol, or of each of a list, tuple or dict of symbols, with some tensors replaced.

    replace: a dict or pairs, tensor -> replacement; all at once, so a replacement is taken as it is.  strict: a replacement must have
    the dtype of what it replaces, else it is cast to it; the ranks must agree in any case.  share_inputs: with False the inputs are new
    symbols too; shared variables stay, since a copy would have the same value.  GraphError for what does not fit.
    """
    return _cloned(output, _replacements(replace, strict), share_inputs)


def clone_replace(output: Any, replace: Any = None, strict: bool = True, copy_inputs_over: bool = True) -> Any:
    """`clone` under PyTensor's name."""
    return clone(output, replace, strict, copy_inputs_over)


def graph_replace(outputs: Any, replace: Any = None, *, strict: bool = True) -> Any:
    """`clone` with, in strict mode, GraphError where a tensor to replace is not in the graph."""
    given = _replacements(replace, strict)
    nodes = set(order(_listed(outputs)))
    for node, index in given if strict else ():
        if node not in nodes:
            raise GraphError(f"graph_replace: {shortly(Out(node, index))} is not in the graph; strict=False allows that{at(here())}")
    return _cloned(outputs, given, True)


def _listed(output: Any) -> list[Out]:
    items = list(output.values()) if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else [output]
    return [as_symbol(o) for o in items]


def _cloned(output: Any, given: Mapping[Place, Out], share_inputs: bool) -> Any:
    made = copied(_listed(output), given, share_inputs)
    if isinstance(output, Mapping):
        return dict(zip(output, made))
    return (tuple if isinstance(output, tuple) else list)(made) if isinstance(output, list | tuple) else made[0]


def _replacements(replace: Any, strict: bool) -> dict[Place, Out]:
    items = list(replace.items() if isinstance(replace, Mapping) else replace or ())
    found: dict[Place, Out] = {}
    for item in items:
        if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[0], Out):
            raise GraphError(f"replace must be a dict or pairs of a symbol and its replacement, not {shortly(item)}{at(here())}")
        old, new = item
        out = cast_to(new, old.dtype) if dtypes.is_weak(new) or not strict else as_symbol(new)
        if (out.dtype, out.ndim) != (old.dtype, old.ndim):
            raise GraphError(f"replace {shortly(old)} by {shortly(out)}: dtype and rank must agree; strict=False casts{at(here())}")
        found[old.node, old.index] = out
    return found


def copied(outputs: Sequence[Out], given: Mapping[Place, Out], share_inputs: bool = True) -> list[Out]:
    """Every node anew, on the copies of its inputs; the user's names stay.  What only replaced tensors need is not looked at."""
    new: dict[Place, Out] = dict(given)
    stops = {node for node, _ in given if all((node, k) in given for k in range(len(node.outs)))}

    def follow(out: Out) -> Out:
        made = new[out.node, out.index]
        return made if out.name is None or (out.node, out.index) in given or made.name == out.name else Out(made.node, made.index, out.name)
    for node in order(outputs, stops):
        missing = [k for k in range(len(node.outs)) if (node, k) not in new]
        if missing:
            made = _again(node, tuple(follow(i) for i in node.inputs), share_inputs)
            new.update({(node, k): Out(made, k) for k in missing})
    return [follow(o) for o in outputs]


def _again(node: Node, inputs: tuple[Out, ...], share_inputs: bool) -> Node:
    if node.op.kind == "leaf":
        return node if share_inputs or node.op is not INPUT else clone_symbol(Out(node)).node
    made = node.op.apply(inputs, node.params, node.sources).node
    made.name = node.name
    return made
