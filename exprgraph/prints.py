"""What `Print` asks for: the printed tensors as further outputs of a graph, and the printing after a call."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exprgraph.graph import order, rebuild, transform
from exprgraph.node import Node, Out
from exprgraph.ops.markers import Print, PrintRow

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
