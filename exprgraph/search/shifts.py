"""Products and quotients of integers by powers of two as shifts: shifts wrap and round down as they do."""
from __future__ import annotations

from typing import Any

from exprgraph.node import CONSTANT, Node, constant_value
from exprgraph.ops.table import ROWS
from exprgraph.patterns import Rule
from exprgraph.search.egraph import EGraph

SHIFTED = {"mul": "left_shift", "int_div": "right_shift"}


def proposed(graph: EGraph, rule: Rule) -> bool:
    """Add the shifts that products and quotients are; whether there are new ones."""
    before, changed = graph.count, False
    for number in graph.classes():
        for op, _, parts in list(graph.terms[number]):
            if op.name in SHIFTED and graph.types[number].dtype[0] in "iu":
                changed |= _shifted(graph, number, SHIFTED[op.name], parts, rule)
    return changed or graph.count > before


def _shifted(graph: EGraph, number: int, name: str, parts: tuple[int, ...], rule: Rule) -> bool:
    turned = parts[::-1] if name == "left_shift" and graph.values[parts[0]] is not None else parts
    places = exponent(graph.values[turned[1]])
    if places is None:
        return False
    dtype = graph.types[number].dtype
    made = graph.add(ROWS[name], (turned[0], graph.constant(places, dtype)), rule, graph.lines[number])
    return made is not None and graph.union(number, made, rule)


def exponent(value: Any) -> int | None:
    """n where a number is 2**n and n is above 0."""
    if value is None:
        return None
    whole = int(value)
    return whole.bit_length() - 1 if whole > 1 and whole & (whole - 1) == 0 else None


def shiftable(node: Node) -> bool:
    """Whether a node multiplies or divides integers by a power of two."""
    if node.op.name not in SHIFTED or node.outs[0].dtype[0] not in "iu":
        return False
    return any(i.node.op is CONSTANT and not i.ndim and exponent(constant_value(i)) is not None for i in node.inputs)
