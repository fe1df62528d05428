"""The PIPELINE, read top to bottom: what happens to a graph once per function (GRAPH) and once per plan key (PLAN)."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from exprgraph import graph as graphs
from exprgraph.dims import Dim
from exprgraph.fold import fold
from exprgraph.merge import merge
from exprgraph.node import INPUT, SHARED, Graph, Node, Out
from exprgraph.program import Watch
from exprgraph.resolve import resolve
from exprgraph.rewrite import Engine, RewriteWarning
from exprgraph.warned import warn

Options = Mapping[str, Any]
Pass = Callable[[Graph, Options], Graph]
SWEEPS = 40
"""After so many sweeps a list of rules that has not come to rest is reported."""


@cache
def engine(rules: str) -> Engine:
    """The engine of one of the lists "exact", "stable" or "real"; built when first used, since rules import all rows."""
    from exprgraph.rules.exact import EXACT
    from exprgraph.rules.movement import MOVEMENT
    from exprgraph.rules.real import REAL
    from exprgraph.rules.stable import STABLE
    return Engine({"exact": MOVEMENT + EXACT, "stable": STABLE, "real": REAL}[rules])


def rewritten(rules: Sequence[str], graph: Graph, options: Options) -> Graph:
    """Sweep the lists over the graph in turn, merging and folding in between, until nothing changes."""
    last: str | None = ""
    trace = options.get("trace")
    for _ in range(SWEEPS):
        resting = True
        for name in rules:
            graph, last_of = engine(name).sweep(graph, None if trace is None else partial(trace.fired, name))
            if last_of is not None:
                graph, last, resting = merge(fold(graph)), last_of, False
        if resting:
            return graph
    warn(f"rules have not come to rest after {SWEEPS} sweeps; the last was {last!r}", RewriteWarning)
    return graph


def rewrite_pass(*rules: str) -> Pass:
    """The pass that applies these lists of rules until they rest."""
    return partial(rewritten, rules)


def plain(change: Callable[[Graph], Graph]) -> Pass:
    """A pass that asks for no options."""
    return lambda graph, options: change(graph)


def if_real(pass_: Pass) -> Pass:
    """A pass that runs only where the option real_rules is set."""
    return lambda graph, options: pass_(graph, options) if options.get("real_rules") else graph


def relink(graph: Graph) -> Graph:
    """The graph with every leaf replaced by the graph's own leaf of that uid: sizes made by rules name leaves by uid alone."""
    own = {i.node.uid: i.node for i in graph.inputs}

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        return Out(own.get(node.uid, node)) if node.op in (INPUT, SHARED) else graphs.rebuild(node, inputs)
    return Graph(graph.inputs, graphs.transform(graph.outputs, change))


GRAPH: tuple[tuple[str, Pass], ...] = (
    ("merge", plain(merge)),
    ("fold", plain(fold)),
    ("exact", rewrite_pass("exact")),
    ("stable", rewrite_pass("stable", "exact")),
    ("real", if_real(rewrite_pass("real", "exact"))),
)
"""Once per function."""

PLAN: tuple[tuple[str, Pass], ...] = (
    ("merge", plain(merge)),
    ("fold", plain(fold)),
    ("exact", rewrite_pass("exact")),
    ("relink", plain(relink)),
    ("merge again", plain(merge)),
)
"""Once per plan key, on the graph that `resolve` has rebuilt under the facts of the key."""


def run_graph(graph: Graph, options: Options, watch: Watch | None = None) -> Graph:
    """The GRAPH half; with optimizer "none" the graph as it is.  `watch(name, before, after)` is called after each pass."""
    return _run(GRAPH, graph, options, watch) if options.get("optimizer", "full") == "full" else graph


def run_plan(graph: Graph, facts: Mapping[str, Dim], options: Options, watch: Watch | None = None) -> Graph:
    """The PLAN half: the graph resolved under `facts`, then the passes; with optimizer "none" only resolved."""
    chosen = PLAN if options.get("optimizer", "full") == "full" else PLAN[-2:]
    return _run((("resolve", lambda g, o: resolve(g, facts)), *chosen), graph, options, watch)


def _run(passes: Sequence[tuple[str, Pass]], graph: Graph, options: Options, watch: Watch | None) -> Graph:
    for name, pass_ in passes:
        after = pass_(graph, options)
        for told in (watch, options.get("trace") and options["trace"].passed):
            if told is not None:
                told(name, graph, after)
        graph = after
    return graph
