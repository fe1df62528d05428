"""What the optimiser did to a function, found out by running it once more under a clock: passes, rules that applied, graphs."""
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exprgraph.columns import columns
from exprgraph.errors import Source
from exprgraph.graph import order
from exprgraph.labels import op_text
from exprgraph.later import Later
from exprgraph.modulo import ModuloMatcher
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out
from exprgraph.pairs import facts
from exprgraph.passes import run_graph, run_plan
from exprgraph.patterns import Match, Rule
from exprgraph.requires import uncertain
from exprgraph.rewrite import Candidate, Engine, Fired, applied
from exprgraph.steps import lines

INEXACT = ("stable", "sums", "real", "own")
"""Lists of rules whose results may differ from what they replace."""
SHOWN = 20
"""Rows of rules that a text shows of each half."""


class PassRow(NamedTuple):
    """A pass: its name, the nodes of the graph before and after, and nanoseconds."""
    name: str
    before: int
    after: int
    nanoseconds: int


class RuleRow(NamedTuple):
    """A rule in one half: at how many nodes it was tried, how often it applied, nanoseconds of matching (with what it was tried for in
    vain) and of replacing (with its condition), the user's lines where it applied, and what the first time made of what."""
    rule: Rule
    tries: int
    times: int
    matching: int
    replacing: int
    sources: tuple[Source, ...]
    first: str

    @property
    def inexact(self) -> bool:
        """Whether it may change the numerics: `rule.why` says what for."""
        return any(t in INEXACT for t in self.rule.tags[:2])


class Half(NamedTuple):
    """GRAPH, once per function, or the PLAN half of one plan: the graph before and after, the passes, and all rules that were tried."""
    name: str
    before: Graph
    after: Graph
    passes: tuple[PassRow, ...]
    tried: tuple[RuleRow, ...]

    @property
    def rules(self) -> tuple[RuleRow, ...]:
        """The rules that applied, those that took longest first."""
        return tuple(sorted((r for r in self.tried if r.times), key=lambda r: -(r.matching + r.replacing)))

    @property
    def numerics(self) -> tuple[RuleRow, ...]:
        """The rules that applied and may have changed the numerics."""
        return tuple(r for r in self.rules if r.inexact)

    def __str__(self) -> str:
        rows = [("pass", "nodes", "", "ms"), *((p.name, str(p.before), f"-> {p.after}", _ms(p.nanoseconds)) for p in self.passes)]
        idle = [r for r in self.tried if not r.times]
        head = [f"{self.name}: {_size(self.before)} -> {_size(self.after)} nodes in {_ms(sum(p.nanoseconds for p in self.passes))} ms"]
        vain = [f"  {len(idle)} rules were tried in vain for {_ms(sum(r.matching + r.replacing for r in idle))} ms"] if idle else []
        return "\n".join([*head, *columns(rows, indent="  "), *self._rules(), *vain, *self._numerics()])

    def _rules(self) -> list[str]:
        found = self.rules
        rows = [("times", "matching ms", "replacing ms", "list", "rule", "first", "lines")]
        rows += [(str(r.times), _ms(r.matching), _ms(r.replacing), " ".join(r.rule.tags[:1]), r.rule.name, r.first, lines(r.sources))
                 for r in found[:SHOWN]]
        return [*columns(rows if found else [], indent="  "), *([f"  and {len(found) - SHOWN} more rules"] if len(found) > SHOWN else [])]

    def _numerics(self) -> list[str]:
        told = [f"    {r.rule.name}" + (f": {r.rule.why}" if r.rule.why else "") + f" ({lines(r.sources)})" for r in self.numerics]
        return ["  these rules may have changed the numerics:", *told] if told else []


class Report(NamedTuple):
    """What the optimiser did to the function `name`; the text is a few tables.  halves: GRAPH, then one PLAN for each plan."""
    name: str
    halves: tuple[Half, ...]

    @property
    def numerics(self) -> tuple[RuleRow, ...]:
        """The rules of all halves that applied and may have changed the numerics."""
        return tuple(r for half in self.halves for r in half.numerics)

    def __str__(self) -> str:
        return "\n".join([f"what the optimiser did to {self.name}", *map(str, self.halves)])

    def __repr__(self) -> str:
        return str(self)


class _Count:
    """What is counted of one rule."""

    def __init__(self) -> None:
        self.tries = self.times = self.matching = self.replacing = 0
        self.sources: set[Source] = set()
        self.first = ""


class Recorder:
    """What a run of one half tells, in the place of a trace."""

    def __init__(self) -> None:
        self.passes: list[PassRow] = []
        self.counts: dict[Rule, _Count] = {}
        self.mark = time.perf_counter_ns()

    def over(self, engine: Engine) -> Engine:
        """The engine under a clock."""
        return _Timed(engine, self.counts)

    def fired(self, rules: str, name: str, match: Match, made: Out) -> None:
        """A rule has applied: the engine under the clock has noted it."""

    def searched(self, rules: Sequence[Rule], before: Out, after: Out, nodes: tuple[Node, ...], nanoseconds: int) -> None:
        """The search has found another form of a tensor, which rests on these equalities."""
        for rule in rules:
            count = self.counts.setdefault(rule, _Count())
            count.tries, count.times = count.tries + 1, count.times + 1
            count.matching += nanoseconds // len(rules)
            count.sources |= before.node.sources
            count.first = count.first or _change(before, after)

    def passed(self, name: str, before: Graph, after: Graph) -> None:
        """A pass has been made."""
        self.passes.append(PassRow(name, _size(before), _size(after), time.perf_counter_ns() - self.mark))
        self.mark = time.perf_counter_ns()

    def half(self, name: str, before: Graph, after: Graph) -> Half:
        """What was told."""
        rows = [RuleRow(r, c.tries, c.times, c.matching, c.replacing, tuple(sorted(c.sources)), c.first) for r, c in self.counts.items()]
        return Half(name, before, after, tuple(self.passes), tuple(rows))


class _Timed(Engine):
    """An engine that notes for each rule how often it is tried and applies, and how long that takes."""

    def __init__(self, inner: Engine, counts: dict[Rule, _Count]) -> None:
        self.__dict__.update(inner.__dict__)
        self.counts, self.resting = counts, None

    def tried(self, candidate: Candidate, out: Out, matcher: ModuloMatcher, fired: Fired | None) -> Out | None:
        """What a rule makes of a tensor; None where it does not apply."""
        rule = candidate.rule
        count, start, made = self.counts.setdefault(rule, _Count()), time.perf_counter_ns(), None
        replacing = 0
        for match in candidate.matches(out, matcher):
            since = time.perf_counter_ns()
            made = applied(rule, match)
            replacing += time.perf_counter_ns() - since
            if made is not None:
                count.times += 1
                count.sources |= out.node.sources
                count.first = count.first or _change(out, made)
                break
        count.tries += 1
        count.replacing += replacing
        count.matching += time.perf_counter_ns() - start - replacing
        return made


def report(name: str, graph: Graph, options: Mapping[str, Any], run: Any) -> Report:
    """The report on a function: `graph` is what was handed to the optimiser, `run` its executable, whose plans are asked for."""
    found = [_half("GRAPH", graph, options)]
    for number, (planned, known) in enumerate(_plans(run), 1):
        found.append(_half(f"PLAN {number}", planned, options, known))
    return Report(name, tuple(found))


def _half(name: str, graph: Graph, options: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> Half:
    recorder = Recorder()
    told = {**options, "trace": recorder}
    after = run_graph(graph, told) if known is None else run_plan(graph, known, told)
    return recorder.half(name, graph, after)


def _plans(run: Any) -> Iterator[tuple[Graph, Mapping[str, Any]]]:
    """The graph of each plan, and what its key says of sizes."""
    for executable in _inner(run):
        program, keys = executable.program, list(executable.plans)
        graph = Graph(tuple(Out(n) for n in program.leaves), program.graph.outputs)
        for outcomes, *_ in keys:
            yield graph, {} if outcomes is None else facts(uncertain(graph), outcomes)


def _inner(run: Any) -> Iterator[Any]:
    """The executables that have plans, behind what goes before and after them; NumPy's has none."""
    todo = [run]
    while todo:
        top = todo.pop()
        if isinstance(top, Later):
            todo += [] if top.found is None else [top.found.executable]
        elif hasattr(top, "steps"):
            todo += [inner for _, inner in reversed(top.steps)]
        elif hasattr(top, "plans"):
            yield top
        elif hasattr(top, "inner"):
            todo.append(top.inner)


def _change(out: Out, made: Out) -> str:
    """What became of a tensor; not that it was broadcast to the size that it had."""
    inner = made.node.inputs[0] if made.node.op.name == "broadcast_to" and out.node.op.name != "broadcast_to" else made
    return f"{op_text(out.node)} -> {op_text(inner.node)}"


def _size(graph: Graph) -> int:
    return len(order(graph.outputs))


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.2f}"
