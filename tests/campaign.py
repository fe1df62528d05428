"""A long search through random graphs: chunks that the seed repeats, a file that remembers them, and each fault with its smallest graph."""
from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from exprgraph.close import close
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from tests.graphs import Drawn, graphs
from tests.plan_runner import CPU, GPU, interpret, unprinted

CHUNK = 200
WAYS = [(level, target, general, last) for general, last in ((False, False), (False, True), (True, False), (False, False))
        for target in (CPU, GPU) for level in ("default", "default", "fast_compile", "none")]
"""How a graph becomes values: the level, the target, whether by the general plan, whether by the last variant of each branch."""


class Chunk(NamedTuple):
    """Graphs of one seed: how many were drawn and checked, the seconds of processor time, and what went wrong."""
    seed: int
    graphs: int
    seconds: float
    fault: str


def check(drawn: Drawn, number: int) -> None:
    """The optimised graph by NumPy, and one way through generated trees, both against the graph as it was drawn."""
    level, target, general, last = WAYS[number % len(WAYS)]
    whole = Graph((*drawn.inputs, *drawn.shared), tuple(drawn.outputs))
    optimised = run_graph(whole, {"optimizer": level})
    with np.errstate(all="ignore"), unprinted():
        found = evaluate(optimised.outputs, drawn.by_leaf) if level != "none" else []
        leaves, values = list(drawn.by_leaf), list(drawn.by_leaf.values())
        found += interpret(optimised, leaves, values, target, general, last, options={"optimizer": level},
                           whole=number // len(WAYS) % 8 == 0)
        close(found, drawn.outputs * (len(found) // len(drawn.outputs)), drawn.by_leaf)


def run_chunk(number: int, checked: Callable[[Drawn, int], None] = check, size: int = CHUNK) -> Chunk:
    """Draw and check the graphs of one seed; a fault is told with the smallest graph that shows it."""
    drawn, start, told = count(), time.process_time(), [""]
    most = (4, 4, 4, 8)[number % 4]

    @seed(number)
    @settings(max_examples=size, deadline=None, database=None, derandomize=False, suppress_health_check=list(HealthCheck),
              phases=(Phase.generate, Phase.shrink), verbosity=Verbosity.quiet)
    @given(graphs("float64" if number % 8 == 7 else "float32", most))
    def search(graph: Drawn) -> None:
        at = next(drawn)
        try:
            checked(graph, at if not told[0] else int(told[0].split()[0]))
        except Exception as error:
            told[0] = f"{told[0].split()[0] if told[0] else at} {graph!r}: {type(error).__name__}: {error}"
            raise
    try:
        search()
    except Exception as error:
        told[0] = told[0] or f"{type(error).__name__}: {error}"
    return Chunk(number, next(drawn), round(time.process_time() - start, 2), told[0])


def chunk_seed(base: int, number: int) -> int:
    """The seed of a chunk of the campaign that begins with a seed."""
    return zlib.crc32(f"{base} {number}".encode())


def run_campaign(graphs: int, where: Path | None, base: int) -> list[Chunk]:
    """So many graphs, chunk after chunk; those that the file remembers are not drawn again."""
    known = [Chunk(**json.loads(line)) for line in where.read_text().splitlines()] if where is not None and where.exists() else []
    done, found = {c.seed for c in known}, list(known)
    for number in count():
        if sum(c.graphs for c in found) >= graphs:
            return found
        chosen = chunk_seed(base, number)
        if chosen not in done:
            found.append(run_chunk(chosen))
            if where is not None:
                with where.open("a") as file:
                    file.write(json.dumps(found[-1]._asdict()) + "\n")
    return found


def from_environment() -> list[Chunk]:
    """The campaign that EXPRGRAPH_CAMPAIGN (how many graphs) and EXPRGRAPH_CAMPAIGN_FILE (what is remembered) ask for."""
    where = os.environ.get("EXPRGRAPH_CAMPAIGN_FILE")
    asked = int(os.environ.get("EXPRGRAPH_CAMPAIGN", "3000"))
    return run_campaign(asked, Path(where) if where else None, int(os.environ["EXPRGRAPH_SEED"]))
