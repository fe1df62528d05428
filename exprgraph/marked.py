"""What Print and Assert ask for: printed tensors as further outputs, assertions at the outputs, and the printing after a call."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exprgraph.graph import order, rebuild, transform
from exprgraph.node import Node, Out
from exprgraph.ops.markers import Print, PrintRow, assert_

Pack = Callable[[list[Any]], Any]


def stripped(outputs: Sequence[Out]) -> tuple[tuple[Out, ...], list[tuple[Print, Out]]]:
    """The outputs without Prints, and what is to be printed, in the order of evaluation."""
    found: list[tuple[Print, Out]] = []
    if not any(isinstance(n.op, PrintRow) for n in order(outputs)):
        return tuple(outputs), found

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if not isinstance(node.op, PrintRow):
            return rebuild(node, inputs)
        found.append((node.op.printer, inputs[0]))
        return inputs[0]
    return transform(outputs, change), found


def hoisted(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """The outputs with every Assert at those that depend on it, so that none stands between what rules and kernels would join."""
    nodes = order(outputs)
    asserts = [n for n in nodes if n.op is assert_]
    if not asserts:
        return tuple(outputs)
    bit, needs, holds = {n: 1 << k for k, n in enumerate(asserts)}, dict[Node, int](), dict[Node, Out]()
    for node in nodes:
        needs[node] = bit.get(node, 0)
        for i in node.inputs:
            needs[node] |= needs[i.node]

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op is not assert_:
            return rebuild(node, inputs)
        holds[node] = inputs[1]
        return inputs[0]
    found: dict[tuple[Node, int], Out] = {}
    for old, new in zip(outputs, transform(outputs, change)):
        if (old.node, old.index) not in found:
            for node in asserts:
                new = assert_.apply((new, holds[node]), node.params, node.sources) if needs[old.node] & bit[node] else new
            found[old.node, old.index] = new
    return tuple(found[o.node, o.index] for o in outputs)


def printing(pack: Pack, printers: Sequence[Print]) -> Pack:
    """`pack` for values that end with those to be printed."""
    if not printers:
        return pack

    def show(values: list[Any]) -> Any:
        count = len(values) - len(printers)
        for printer, value in zip(printers, values[count:]):
            printer.show(value)
        return pack(values[:count])
    return show
