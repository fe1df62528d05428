"""The PIPELINE, read top to bottom: what happens to a graph once per function (GRAPH) and once per plan key (PLAN)."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any

from exprgraph import graph as graphs
from exprgraph.assuming import dropped
from exprgraph.collecting import fewer_collections
from exprgraph.dims import Dim
from exprgraph.fold import fold
from exprgraph.merge import merge
from exprgraph.modes import OPTIMIZERS
from exprgraph.node import INPUT, SHARED, Graph, Node, Out
from exprgraph.ops.markers import assume
from exprgraph.patterns import Match, Rule
from exprgraph.program import Watch
from exprgraph.resolve import resolve
from exprgraph.rewrite import Engine, Fired, RewriteWarning
from exprgraph.warned import warn

Options = Mapping[str, Any]
Pass = Callable[[Graph, Options], Graph]
SWEEPS = 40
"""After so many sweeps a list of rules that has not come to rest is reported."""
OFTEN, FEW = 10, 200
"""How often a rule of the user's may apply in one run of a half: so often for each node of the graph, and a few times more."""
DEFAULT = ("exact", "stable", "sums")
LEVELS = {"none": (), "fast_compile": DEFAULT, "default": DEFAULT, "unsafe": (*DEFAULT, "real")}
"""The lists of rules at each level."""
ALL, OWN, SEARCH = "all", "own", "search"


@cache
def engine(rules: str) -> Engine:
    """The engine of one of the lists "exact", "stable", "sums" or "real"; built when first used, since rules import all rows."""
    from exprgraph.rules.catalogue import LISTS
    return Engine(LISTS[rules])


@lru_cache(32)
def _chosen_engine(rules: str, level: str, chosen: str, own: tuple[Rule, ...]) -> Engine:
    from exprgraph.rules.catalogue import LISTS
    known, there = (own, True) if rules == OWN else (LISTS[rules], rules in LEVELS[level])
    return Engine(r for r in known if included((r.name, *r.tags), there, chosen))


def engine_of(rules: str, options: Options) -> Engine | None:
    """The engine of a list, or of the rules "own" of a mode, with what the options leave of it; None where that is nothing."""
    chosen, own, trace = options.get("chosen") or "", options.get("rules") or (), options.get("trace")
    if chosen or own:
        found = _chosen_engine(rules, level_of(options), chosen, own)
    elif rules in LEVELS[level_of(options)]:
        found = engine(rules)
    else:
        return None
    return None if not found.rules else found if trace is None else trace.over(found)


def level_of(options: Options) -> str:
    """The level of optimisation."""
    return OPTIMIZERS[options.get("optimizer") or "default"]


def included(names: Sequence[str], there: bool, chosen: str) -> bool:
    """Whether something is included under any of its names; there: whether it is where nothing is said.  The last word decides."""
    for line in chosen.split("\n"):
        if line[:1] in ("+", "-") and line[1:] in (*names, ALL):
            there = line[0] == "+"
    return there


def folded(graph: Graph, options: Options) -> Graph:
    """The graph with its constants folded, where this is not excluded."""
    return fold(graph) if included(("fold",), level_of(options) != "none", options.get("chosen") or "") else graph


def swept(rules: str, graph: Graph, options: Options) -> tuple[Graph, str | None]:
    """One sweep of a list over the graph, and the name of the last rule that applied."""
    found = engine_of(rules, options)
    return (graph, None) if found is None else found.sweep(graph, _told(rules, options))


def _told(rules: str, options: Options) -> Fired | None:
    trace = options.get("trace")
    return None if trace is None else partial(trace.fired, rules)


def rewritten(rules: Sequence[str], graph: Graph, options: Options, sweeps: int | None = None) -> Graph:
    """Sweep the lists over the graph in turn, merging and folding in between, until nothing changes or so many sweeps are made."""
    engines = [(name, found) for name in rules if (found := engine_of(name, options)) is not None]
    bounds = {name: options.get("bound") or Bound(graph) for name, _ in engines if name == OWN}
    last: dict[str, str] = {}
    for _ in range(SWEEPS if sweeps is None else sweeps):
        last.clear()
        for name, found in engines:
            bound, told = bounds.get(name), _told(name, options)
            spent = None if bound is None else bound.spent
            graph, last_of = found.sweep(graph, told if bound is None else partial(bound.fired, told), spent)
            if last_of is not None:
                graph, last[name] = merge(folded(graph, options)), last_of
        if not last:
            return graph
    if sweeps is None:
        warn(f"rules have not come to rest after {SWEEPS} sweeps; the last was {' after '.join(map(repr, last.values()))}", RewriteWarning)
    return graph


class Bound:
    """How often a rule of the user's may apply in one run of a half: one that finds no end costs no more than a warning."""

    def __init__(self, graph: Graph) -> None:
        self.most = FEW + OFTEN * len(graphs.order(graph.outputs))
        self.times: Counter[str] = Counter()
        self.spent: set[str] = set()

    def fired(self, told: Fired | None, name: str, match: Match, made: Out) -> None:
        """A rule has applied."""
        self.times[name] += 1
        if self.times[name] == self.most:
            warn(f"rule {name!r} has applied {self.most} times to one graph; it is left out from here on", RewriteWarning)
            self.spent.add(name)
        if told is not None:
            told(name, match, made)


@lru_cache(32)
def equalities(level: str, chosen: str) -> tuple[str, ...]:
    """The names of the equalities that the search knows at a level; none where there is no search."""
    from exprgraph.rules.equalities import EQUALITIES, SYMPY
    asked = included((SYMPY.name,), False, "\n".join(line for line in chosen.split("\n") if line[1:] != ALL))
    if not asked and not included((SEARCH,), level in ("default", "unsafe"), chosen):
        return ()
    kept = [r.name for r in EQUALITIES if r is not SYMPY and included((r.name, *r.tags[1:]), r.tags[1] in LEVELS[level], chosen)]
    return (*kept, *([SYMPY.name] if asked else []))


def searched(graph: Graph, options: Options) -> Graph:
    """The graph with its elementwise parts in their cheapest forms."""
    kept = equalities(level_of(options), options.get("chosen") or "")
    if not kept:
        return graph
    from exprgraph.search.searching import search
    return search(graph, kept, options.get("trace"))


def rewrite_pass(*rules: str) -> Pass:
    """The pass that applies these lists of rules until they rest."""
    return partial(rewritten, rules)


def plain(change: Callable[[Graph], Graph]) -> Pass:
    """A pass that asks for no options."""
    return lambda graph, options: change(graph)


def if_any(rules: str, pass_: Pass) -> Pass:
    """A pass that runs only where a list has rules under the options."""
    return lambda graph, options: graph if engine_of(rules, options) is None else pass_(graph, options)


def unassumed(graph: Graph, options: Options) -> Graph:
    """The graph without assumptions, once rules have asked for them; rules see what was behind them once more."""
    plain_graph = dropped(graph)
    return graph if plain_graph is graph else rewritten(("own", "stable", "exact"), merge(plain_graph), options)


def after(rules: str, pass_: Pass) -> Pass:
    """A sweep of a list, and a pass that runs only where one of its rules applied."""
    def run(graph: Graph, options: Options) -> Graph:
        found, last = swept(rules, graph, options)
        return graph if last is None else pass_(merge(folded(found, options)), options)
    return run


def relink(graph: Graph) -> Graph:
    """The graph with every leaf replaced by the graph's own leaf of that uid: sizes made by rules name leaves by uid alone.

    No assumption is left for kernels.
    """
    own = {i.node.uid: i.node for i in graph.inputs}

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op is assume:
            return inputs[0]
        return Out(own.get(node.uid, node)) if node.op in (INPUT, SHARED) else graphs.rebuild(node, inputs)
    return Graph(graph.inputs, graphs.transform(graph.outputs, change))


Passes = tuple[tuple[str, Pass], ...]
GRAPH: Passes = (
    ("merge", plain(merge)),
    ("fold", folded),
    ("own", if_any("own", rewrite_pass("own"))),
    ("exact", rewrite_pass("exact")),
    ("stable", rewrite_pass("own", "stable", "exact")),
    ("sums", after("sums", rewrite_pass("own", "sums", "exact"))),
    ("real", if_any("real", rewrite_pass("own", "real", "exact"))),
    ("unassumed", unassumed),
)
"""Once per function."""
FAST: Passes = (
    ("merge", plain(merge)),
    ("fold", folded),
    ("rules", partial(rewritten, ("own", "exact", "stable", "sums", "real"), sweeps=1)),
    ("unassumed", plain(dropped)),
)
"""Once per function that shall be compiled soon: each list sweeps once."""
CHOSEN: Passes = (("rules", rewrite_pass("own", "exact", "stable", "sums", "real")), ("unassumed", plain(dropped)))
"""Once per function that wants no rules but those that its mode includes."""

PLAN: Passes = (
    ("merge", plain(merge)),
    ("fold", folded),
    ("own", if_any("own", rewrite_pass("own"))),
    ("exact", rewrite_pass("exact")),
    ("sums", after("sums", rewrite_pass("sums", "exact"))),
    ("search", searched),
    ("relink", plain(relink)),
    ("merge again", plain(merge)),
)
"""Once per plan key, on the graph that `resolve` has rebuilt under the facts of the key."""
LATE: Passes = PLAN[-3:]
"""What no plan can do without."""
HALVES: dict[str, tuple[Passes, Passes]] = {
    "none": (CHOSEN, LATE), "fast_compile": (FAST, LATE), "default": (GRAPH, PLAN), "unsafe": (GRAPH, PLAN)}
"""The halves of the pipeline at each level."""


def run_graph(graph: Graph, options: Options, watch: Watch | None = None) -> Graph:
    """The GRAPH half; at the level "none" the graph as it is.  `watch(name, before, after)` is called after each pass."""
    level = level_of(options)
    if level == "none" and not options.get("chosen"):
        return graph
    with fewer_collections(), graphs.ORDERS.meanwhile():
        return _run(HALVES[level][0], graph, options, watch)


def run_plan(graph: Graph, facts: Mapping[str, Dim], options: Options, watch: Watch | None = None) -> Graph:
    """The PLAN half: the graph resolved under `facts`, then the passes."""
    return _run((("resolve", lambda g, o: resolve(g, facts)), *HALVES[level_of(options)][1]), graph, options, watch)


def _run(passes: Sequence[tuple[str, Pass]], graph: Graph, options: Options, watch: Watch | None) -> Graph:
    options = {**options, "bound": Bound(graph)} if options.get("rules") else options
    for name, pass_ in passes:
        after = pass_(graph, options)
        for told in (watch, options.get("trace") and options["trace"].passed):
            if told is not None:
                told(name, graph, after)
        graph = after
    return graph
