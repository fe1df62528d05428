"""Plans for functions of tensors, and what they launch for some sizes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import exprgraph as eg
from codegen import generate as generation
from codegen.growth import complete
from codegen.plan import Branch, Launch, Plan, Step
from codegen.target import Target
from exprgraph.node import Graph, Out
from exprgraph.pairs import decide
from exprgraph.passes import run_graph
from tests.plan_runner import Sizes, unprinted

F = "float32"


def plan_of(shapes: Sequence[tuple[int, ...]], make: Callable[..., Sequence[Any]], target: Target) -> tuple[Plan, Sizes, Graph]:
    """The plan for some sizes."""
    inputs = [eg.tensor(f"x{k}", F, (None,) * len(s)) for k, s in enumerate(shapes)]
    graph = run_graph(Graph(tuple(inputs), tuple(Out(o.node) for o in make(*inputs))), {})
    sizes = Sizes([i.node for i in inputs], values_of(shapes))
    with unprinted():
        outcomes = decide(generation.uncertain(graph), sizes)
        plan = complete(generation.generate(graph, [i.node for i in inputs], outcomes, ["C"] * len(inputs), False, target))
    return plan, sizes, graph


def values_of(shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Arguments of a call."""
    return [np.linspace(0, 0.9, int(np.prod(s)), dtype=F).reshape(s) + k for k, s in enumerate(shapes)]


def taken(steps: Sequence[Step], sizes: Sizes) -> list[Launch]:
    """The launches for some sizes."""
    found: list[Launch] = []
    for step in steps:
        if isinstance(step, Branch):
            found += taken(step.variants[sizes(step.pick)], sizes)
        elif isinstance(step, Launch) and all(map(sizes, step.grid)):
            found.append(step)
    return found
