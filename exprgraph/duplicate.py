"""Copies of functions: the same compiled graph over other shared variables, defaults of their own, or some of the outputs only."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exprgraph.assemble import Assembly, pairs
from exprgraph.errors import CallError, GraphError, at, here, shortly
from exprgraph.node import Graph
from exprgraph.program import Program
from exprgraph.shared import Shared, SharedNode
from exprgraph.signature import Slot

Cells = dict[SharedNode, SharedNode]


def swaps(given: Any, function: str, used: Sequence[SharedNode]) -> Cells:
    """Which shared variable takes whose place; GraphError for what the function does not use, or what differs in dtype or rank."""
    found: Cells = {}
    for old, new in pairs(given, "swap"):
        if not isinstance(old, Shared) or not isinstance(new, Shared):
            raise GraphError(f"{function}: swap takes shared variables, not {shortly(old, 40)} and {shortly(new, 40)}{at(here())}")
        if old.cell not in used:
            raise GraphError(f"{function}: swap replaces {shortly(old)}, which the function does not use{at(here())}")
        if old.cell in found:
            raise GraphError(f"{function}: swap replaces {shortly(old)} twice{at(here())}")
        known = [(a.const, b.const) for a, b in zip(old.type.shape, new.type.shape)]
        if (old.dtype, old.ndim) != (new.dtype, new.ndim) or any(a is not None and a != b for a, b in known):
            raise GraphError(f"{function}: swap replaces {shortly(old)} by {shortly(new)}: dtype, rank and known lengths must agree"
                             f"{at(here())}")
        found[old.cell] = new.cell
    return found


def moved(assembly: Assembly, slots: Sequence[Slot], swap: Cells, function: str) -> tuple[Assembly, list[Slot]]:
    """The assembly and the slots of a copy: swapped shared variables, and fresh cells for the defaults that nobody else holds."""
    fresh = {s.default: Shared(s.default).clone().cell for s in slots if s.own and s.default is not None}
    cells = {**fresh, **swap}
    targets = tuple(cells.get(t, t) for t in assembly.targets)
    if len(set(targets)) < len(targets):
        raise GraphError(f"{function}: after the swap one shared variable would be updated twice{at(here())}")
    found = [s._replace(default=cells.get(s.default, s.default)) if s.default is not None else s for s in slots]
    return assembly._replace(shared=tuple(cells.get(n, n) for n in assembly.shared), targets=targets), found


def part(program: Program, chosen: Sequence[int], hidden: int, updates: bool = True) -> Program:
    """The program of some of its outputs to the user, of those that are hidden from them, and of the updates."""
    visible, outputs = program.n_outputs - hidden, program.graph.outputs
    kept = [*(outputs[i] for i in chosen), *outputs[visible:program.n_outputs]]
    graph = Graph(program.graph.inputs, (*kept, *(outputs[program.n_outputs:] if updates else ())))
    return program._replace(graph=graph, n_outputs=len(kept), stays=tuple(program.stays[i] for i in chosen if i < len(program.stays)))


def numbers(subset: Any, names: Sequence[str] | None, count: int, function: str) -> tuple[int, ...]:
    """The outputs that a call asks for by output_subset, indices or, of a dict of outputs, names; CallError for others."""
    if isinstance(subset, str) or not hasattr(subset, "__iter__"):
        raise CallError(f"{function}: output_subset={shortly(subset, 40)}: a list of outputs is needed{at(here())}")
    return tuple(_number(item, names, count, function) for item in subset)


def _number(item: Any, names: Sequence[str] | None, count: int, function: str) -> int:
    if names is not None:
        if item not in names:
            raise CallError(f"{function}: output_subset has {shortly(item, 40)}; the outputs are {', '.join(names)}{at(here())}")
        return names.index(item)
    if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < count:
        raise CallError(f"{function}: output_subset has {shortly(item, 40)}; the outputs are numbered from 0 to {count - 1}{at(here())}")
    return item
