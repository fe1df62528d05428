"""What the optimiser and the generator cost: chains, drawn graphs, and the training step of a residual network; seconds of processor time.

Kernels are generated and printed, not built by a driver.  Plans of large graphs are made with the first variant of each branch; beside
it is told what a call of the example's sizes takes to make, and then what all others take, as calls of very different sizes would.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from codegen import generate as generation
from codegen.growth import complete, flatten, grown
from codegen.printed import printed
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.pairs import decide
from exprgraph.passes import run_graph
from runtime.planning import taken
from tests.large_graphs import Large, chain, drawn, training_step
from tests.plan_runner import CPU, Sizes

SIZES = (1_000, 10_000, 100_000)
LAYERS = (20, 60, 164)
ALONE = 100_000


def optimised(large: Large) -> tuple[Graph, float]:
    """The optimised graph, and the seconds that it took."""
    start = time.process_time()
    return run_graph(large.graph, {}), time.process_time() - start


class Cost(NamedTuple):
    """The launches of a plan, its different kernels, the seconds until it is text, and the further ones until the variants of one call and
    until all of them are."""
    launches: int
    kernels: int
    seconds: float
    call: float
    rest: float


def generated(graph: Graph, large: Large) -> Cost:
    """What it costs to make a plan."""
    start, sizes = time.process_time(), Sizes(large.leaves, large.values)
    outcomes = decide(generation.uncertain(graph), sizes)
    plan = printed(generation.generate(graph, large.leaves, outcomes, ["C"] * len(large.leaves), False, CPU), "pocl")
    seconds = time.process_time() - start
    plan = grown(plan, taken({}, sizes))
    call = time.process_time() - start - seconds
    names = [s.kernel.name for s in flatten(complete(plan).steps) if hasattr(s, "kernel")]
    return Cost(len(names), len(set(names)), seconds, call, time.process_time() - start - seconds - call)


def row(name: str, make: Callable[[], Large], alone: bool = False) -> str:
    """One line of the table."""
    large = make()
    nodes = len(order(large.graph.outputs))
    graph, first = optimised(large)
    if alone:
        return f"| {name} | {nodes} | {first:.2f} | {first / nodes * 1e6:.0f} | | | | | | |"
    cost = generated(graph, large)
    return (f"| {name} | {nodes} | {first:.2f} | {first / nodes * 1e6:.0f} | {cost.seconds:.2f} | {cost.seconds / nodes * 1e6:.0f} "
            f"| {cost.call:.2f} | {cost.rest:.2f} | {cost.launches} | {cost.kernels} |")


def main(wanted: list[str]) -> None:
    """Print the table, or the rows whose names have one of the words in them."""
    row("", lambda: training_step(4))  # loads what is loaded once
    print("| graph | nodes | optimise, s | us a node | generate, s | us a node "
          "| a call, s more | all variants, s more | launches | kernels |")
    print("|---" * 10 + "|")
    for n in SIZES:
        for name, make in (("chain", chain), ("drawn", drawn)):
            if not wanted or name in wanted:
                print(row(name, partial(make, n), n >= ALONE), flush=True)
    for layers in LAYERS:
        if not wanted or "training" in wanted:
            print(row(f"training step, {layers} layers", partial(training_step, layers)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
