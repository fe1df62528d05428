"""Graphs that some process has optimised before, from disk: where one is known, neither rules nor passes are loaded."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exprgraph import graph_records, keys
from exprgraph.config import config
from exprgraph.keys import Structure, UnstorableError
from exprgraph.locks import LOADING
from exprgraph.modes import kept_on_disk
from exprgraph.node import Graph, Node, Out
from exprgraph.store import Store

GRAPHS = Store("graph")
ENTRY_BYTES = 32 << 20
"""Graphs whose constants, and plans whose constants, take more are not kept."""
RULES = ("optimizer", "chosen")
"""The options that passes look at."""


def optimised(graph: Graph, leaves: Sequence[Node], options: Mapping[str, Any]) -> Graph:
    """A graph after the GRAPH half of the pipeline.  Passes that somebody watches or traces are run whatever is known."""
    def run() -> Graph:
        with LOADING:
            from exprgraph.passes import run_graph  # loads all rules
        return run_graph(graph, options, options.get("watch"))
    watched = options.get("watch") is not None or options.get("trace") is not None
    if watched or not kept_on_disk(options) or (options.get("optimizer") == "none" and not options.get("chosen")):
        return run()
    made = kept("optimised", graph, leaves, [options.get(k) for k in RULES], lambda: run().outputs)
    return Graph(graph.inputs, made)


def kept(what: str, graph: Graph, leaves: Sequence[Node], settings: Any, make: Callable[[], Sequence[Out]]) -> tuple[Out, ...]:
    """What `make` makes of a graph under some settings, from disk if it is known: as many outputs, which keep their names, or none."""
    try:
        found = keys.structure(graph, leaves)
    except UnstorableError:
        return tuple(make())
    key = keys.digest([what, settings, config.floatX, keys.generator(), sorted(found.parts.items())])
    content = GRAPHS.get(key)
    outputs = None if content is None else _read(key, content, found, leaves)
    if outputs is None:
        made = tuple(make())
        outputs = _keep(key, Graph(graph.inputs, made), found, leaves) or made
    return tuple(Out(o.node, o.index, old.name) for o, old in zip(outputs, graph.outputs))


def _read(key: str, content: bytes, found: Structure, leaves: Sequence[Node]) -> tuple[Out, ...] | None:
    try:
        outputs = graph_records.read(content, leaves, found.lines, found.nodes)
        if outputs and len(outputs) != found.outputs:
            raise ValueError("it has other outputs")
        return outputs
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):  # whatever is in there, it is not of our making
        GRAPHS.drop(key)
        return None


def _keep(key: str, made: Graph, found: Structure, leaves: Sequence[Node]) -> tuple[Out, ...] | None:
    """The graph as those will read it who find it, so that what follows from it is found too; None where it cannot be kept."""
    try:
        content = graph_records.written(made, leaves, found.lines, graph_records.slots(found.nodes))
    except (UnstorableError, RecursionError, KeyError):  # sizes that rest on nodes which rules have replaced
        return None
    if len(content) <= ENTRY_BYTES:
        GRAPHS.put(key, content)
    return _read(key, content, found, leaves)
