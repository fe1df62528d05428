"""DebugMode: rewrites and kernels are compared with the NumPy backend, on the values of a call."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.assuming import assumptions, check
from exprgraph.close import Tolerance, problem_of, tolerances
from exprgraph.columns import columns
from exprgraph.errors import MismatchFault, Source, at
from exprgraph.graph import order
from exprgraph.labels import op_text
from exprgraph.modes import Debug
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, SHARED, Graph, Node, Out
from exprgraph.patterns import Match, Rule
from exprgraph.program import Executable, Outer, Program
from exprgraph.reference import Array, evaluate
from exprgraph.rewrite import Engine
from exprgraph.steps import lines

BETTER = ("stable", "real", "rules", "own", "search")
"""Lists of rules, and passes of that name: they may give a number where there was none, a better one, or a zero of the other sign."""
ROUNDED = 1.0
"""The ULPs by which all that such a rule replaces may be off."""


class Firing(NamedTuple):
    """A rule that applied: the list that it is of, its name, the tensor before and after, and the nodes that it replaced."""
    rules: str
    name: str
    before: Out
    after: Out
    nodes: tuple[Node, ...]


class Trace:
    """What happens to a graph while it is optimised and planned.

    places: the tensor that lies in each buffer of a plan.  first: the graph before any pass.
    """

    def __init__(self) -> None:
        self.firings: list[Firing] = []
        self.passes: list[tuple[str, Graph, Graph]] = []
        self.places: dict[str, Out] = {}
        self.first: Graph | None = None

    def over(self, engine: Engine) -> Engine:
        """The engine that sweeps: that of the list."""
        return engine

    def fired(self, rules: str, name: str, match: Match, made: Out) -> None:
        """A rule has applied."""
        self.firings.append(Firing(rules, name, match.root, made, match.nodes))

    def searched(self, rules: Sequence[Rule], before: Out, after: Out, nodes: tuple[Node, ...], nanoseconds: int) -> None:
        """The search has found another form of a tensor."""
        exact = all(r.tags[1] == "exact" for r in rules)
        self.firings.append(Firing("exact" if exact else "search", ", ".join(r.name for r in rules), before, after, nodes))

    def passed(self, name: str, before: Graph, after: Graph) -> None:
        """A pass has been made."""
        self.first = self.first or before
        if before is not after:
            self.passes.append((name, before, after))


class Compared(NamedTuple):
    """One comparison.  kind: "rule", "pass" or "kernel".  ulps: the largest distance, in units of the last place of the expected value,
    None where there is none.  problem: how it differs by more than rounding explains, or why it could not be compared."""
    kind: str
    name: str
    text: str
    sources: tuple[Source, ...]
    ulps: float | None
    problem: str | None = None
    wrong: bool = False

    def __str__(self) -> str:
        distance = "not compared" if self.ulps is None else f"{self.ulps:.3g} ULPs"
        return f"{self.kind} {self.name}: {self.text}: {distance}" + (f", {self.problem}" if self.problem else "")


class Comparisons:
    """All that the latest call compared, as a table, the worst first."""

    def __init__(self) -> None:
        self.rows: list[Compared] = []

    def note(self, row: Compared) -> None:
        """Add a comparison; MismatchFault where it shows something wrong."""
        self.rows.append(row)
        if row.wrong:
            source = row.sources[0] if row.sources else None
            raise MismatchFault(f"DebugMode: {row.kind} {row.name!r} ({row.text}) differs from NumPy: {row.problem}; {row.ulps:.3g} ULPs"
                                f"{at(source)}")

    def __str__(self) -> str:
        rows = sorted(self.rows, key=lambda r: -1.0 if r.ulps is None else r.ulps, reverse=True)
        table = [("ULPs", "", "name", "what", "lines")]
        table += [("-" if r.ulps is None else f"{r.ulps:.3g}", r.kind, r.name, r.text, lines(r.sources)) for r in rows]
        return "\n".join(columns(table))

    def __repr__(self) -> str:
        return str(self)


def values_of(outputs: Iterable[Out], known: Mapping[int, Array]) -> dict[Node, Array]:
    """The values of the leaves of some graphs, by their uids: rules name leaves by these alone."""
    return {n: known[n.uid] for n in order(outputs) if n.op in (INPUT, SHARED) and n.uid in known}


def compare_trace(trace: Trace, leaves: Mapping[int, Array], found: Comparisons) -> None:
    """Compare all rules that applied and all passes; MismatchFault at the first that is wrong.

    A rule is looked at where it applied: what it did not touch has the values of the graph before.  What NumPy cannot evaluate on these
    values is left to the call, which says why.
    """
    for firing in trace.firings:
        found.note(_of_rule(firing, leaves))
    for name, before, after in trace.passes:
        sources = tuple(sorted({s for o in after.outputs for s in o.node.sources}))
        found.note(attempt("pass", name, f"{len(after.outputs)} outputs", sources, lambda b=before, a=after, n=name: _both(  # type: ignore
            b.outputs, a.outputs, values_of([*b.outputs, *a.outputs], leaves), n in BETTER)))


def check_assumptions(graph: Graph, leaves: Mapping[int, Array]) -> None:
    """AssertionFault, with the user's line, where the values of a call do not keep to what the graph assumes of them."""
    for node in assumptions(graph.outputs):
        check(node, evaluate(node.inputs, values_of(node.inputs, leaves))[0])


def _of_rule(firing: Firing, leaves: Mapping[int, Array]) -> Compared:
    covered = set(firing.nodes)
    edge = list({i.node: Out(i.node) for n in firing.nodes for i in n.inputs if i.node not in covered}.values())
    known = values_of([firing.before, firing.after], leaves)

    def run() -> tuple[float, str | None]:
        inner = [o for o in edge if o.node.op.kind != "leaf" and len(o.node.outs) == 1]
        given = {**known, **dict(zip([o.node for o in inner], evaluate(inner, known)))}
        needed = {n: given[n] for n in order([firing.before, firing.after], given) if n in given}
        return _both([firing.before], [firing.after], needed, firing.rules in BETTER)
    text = f"{op_text(firing.before.node)} -> {op_text(firing.after.node)}"
    return attempt("rule", firing.name, text, tuple(sorted(firing.before.node.sources)), run)


def attempt(kind: str, name: str, text: str, sources: tuple[Source, ...], run: Callable[[], tuple[float, str | None]]) -> Compared:
    """A comparison, whose distance and problem `run` finds; where it fails, for the values of a call, there is none."""
    try:
        ulps, problem = run()
    except Exception as error:  # a fault of the user's values, which the call itself reports
        return Compared(kind, name, text, sources, None, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return Compared(kind, name, text, sources, ulps, problem, problem is not None)


def _both(before: Sequence[Out], after: Sequence[Out], values: Mapping[Node, Array], better: bool) -> tuple[float, str | None]:
    """The distance of the values after from those before, and what is wrong with it."""
    got, worst = evaluate(after, values), 0.0
    for value, tolerance in zip(got, tolerances(before, values, ROUNDED if better else 0.0)):
        if better and value.shape == tolerance.own.shape and value.dtype.kind in "fc":
            odd = ~np.isfinite(tolerance.own) | ~np.isfinite(tolerance.reference) | ((value == 0) & (tolerance.own == 0))
            value = np.where(odd, tolerance.own, value)
        worst = max(worst, ulps(value, tolerance))
        if (problem := problem_of(value, tolerance)) is not None:
            return worst, problem
    return worst, None


def ulps(got: Array, tolerance: Tolerance) -> float:
    """The largest distance between a result and the reference, in units in the last place; for integers and truth values in ones."""
    if got.shape != tolerance.own.shape or not got.size:
        return 0.0
    with np.errstate(all="ignore"):
        wide = np.clongdouble if got.dtype.kind == "c" else np.longdouble
        rounded = tolerance.reference.astype(tolerance.own.dtype)
        apart = np.abs(got.astype(wide) - rounded.astype(wide))
        unit = np.spacing(np.abs(rounded)) if got.dtype.kind in "fc" else 1
        found = apart / unit
    finite = found[np.isfinite(found)]
    return float(finite.max()) if finite.size else 0.0


class Debugged(Outer):
    """The executable of a program in DebugMode: rewrites are compared before it runs; kernels are by those who run them."""

    def __init__(self, program: Program, inner: Executable, mode: Debug) -> None:
        super().__init__(inner)
        self.program, self.mode = program, mode

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Compare and run; MismatchFault."""
        found: Comparisons = self.program.options["compared"]
        found.rows.clear()
        leaves = {n.uid: v if isinstance(v, np.ndarray) else np.asarray(v.host()) for n, v in zip(self.program.leaves, values)}
        check_assumptions(self.program.options["trace"].first or self.program.graph, leaves)
        if self.mode.rewrites:
            compare_trace(self.program.options["trace"], leaves, found)
        return self.inner(values)
