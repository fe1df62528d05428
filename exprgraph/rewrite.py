"""The engine that applies rules: a sweep from the inputs to the outputs of a graph, in a deterministic order."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from exprgraph import graph as graphs
from exprgraph import pattern_trees as trees
from exprgraph.errors import OwnOpError, at, defined, here
from exprgraph.matching import arguments_alone, asked, at_once, kind_of
from exprgraph.matching import words as words_of
from exprgraph.merge import Merging
from exprgraph.modulo import ModuloMatcher
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out
from exprgraph.ops.shape import dim_node
from exprgraph.ops.table import ROWS
from exprgraph.patterns import Match, Rule, Wild, required, sort, trace
from exprgraph.readers import Readers
from exprgraph.types import cast_to
from exprgraph.warned import warn

ROUNDS = 16
"""How often rules may apply to one node in one sweep."""
DEPTH = 16
"""How deep rules are followed into what they make in one sweep."""


class RewriteWarning(UserWarning):
    """A rule that broke its promise or never came to an end: a fault of the rule, not of the user's graph."""


Fired = Callable[[str, Match, Out], None]


class Candidate(NamedTuple):
    """A rule, the tree of its pattern, what that asks of the inputs of a node, and its arguments where it is a row of nothing but these."""
    rule: Rule
    tree: Any
    asked: frozenset[str]
    bare: tuple[str, ...] | None = None

    def may(self, kinds: tuple[str, str]) -> bool:
        """Whether it may match at an elementwise node whose first and last operands are of these kinds; no others are among them."""
        if self.rule.modulo or not any(isinstance(p, Wild) and sort(p.name) in ("tensor", "constant") for p in self.tree.parts):
            return True
        return kinds[0] in self.rule.kinds or kinds[1] in self.rule.kinds

    def matches(self, out: Out, matcher: ModuloMatcher) -> Iterable[Match]:
        """The ways in which the rule matches at a tensor."""
        if self.tree is None:
            return [Match(out, {}, (out.node,), None, matcher.readers)]
        if self.bare is not None:
            return at_once(self.tree, self.bare, out, matcher)
        return matcher.found(self.tree, out) if self.rule.modulo else matcher.find(self.tree, out)


class Engine:
    """Applies a list of rules, indexed by the row at the root of their patterns and what they ask of its inputs."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._rules: dict[str, list[Candidate]] = {}
        self._elementwise: list[Candidate] = []
        self._asked, self._modulo = set[str](), set[str]()
        self._chosen: dict[tuple[str, frozenset[str], tuple[str, str] | None], list[Candidate]] = {}
        self.resting = object() if all(r.source is None for r in self.rules) else None
        """What nodes keep at which no rule applies, whatever reads them; None with rules of the user's, which may answer otherwise."""
        for rule in self.rules:
            tree = None if rule.pattern is None else trace(rule)
            if rule.modulo:
                tree = trees.spelled(tree)
            bare = None if rule.modulo else arguments_alone(tree)
            words = trees.asked(tree) if rule.modulo else rule.asks if tree is None else asked(tree)
            candidate = Candidate(rule, tree, frozenset(words), bare)
            self._asked |= candidate.asked
            names = trees.roots(tree) if rule.modulo else () if tree is None else (tree.op.name,)
            self._modulo |= set(names) if rule.modulo else set()
            for known in [self._rules.setdefault(n, []) for n in names] or [self._elementwise]:
                known.append(candidate)

    def candidates(self, node: Node, matcher: ModuloMatcher) -> list[Candidate]:
        """The rules that may apply at a node, in their order."""
        name = node.op.name
        if name not in self._rules and not (self._elementwise and node.op.kind == "elementwise"):
            return []
        met = self._asked.intersection(words_of(node, matcher))
        if name in self._modulo:
            met |= self._asked & matcher.words(node)
        elementwise = node.op.kind == "elementwise"
        key = name, frozenset(met), (node.inputs[0].type.dtype, node.inputs[-1].type.dtype) if elementwise else None
        found = self._chosen.get(key)
        if found is None:
            found = self._chosen[key] = list(self._select(*key))
        return found

    def _select(self, name: str, met: frozenset[str], dtypes: tuple[str, str] | None) -> Iterator[Candidate]:
        kinds = None if dtypes is None else (kind_of(dtypes[0]), kind_of(dtypes[1]))
        yield from (c for c in self._rules.get(name, ()) if c.asked <= met and (kinds is None or c.may(kinds)))
        if dtypes is not None:
            yield from (c for c in self._elementwise if c.asked <= met)

    def sweep(self, graph: Graph, fired: Fired | None = None, spent: set[str] | None = None) -> tuple[Graph, str | None]:
        """One walk from the inputs to the outputs, and the name of the last rule that applied, None where the graph is at rest.

        fired(rule, match, made) is called for every rule that applies.  spent: names of rules that are left out, to which one is added
        that finds no end at a node.
        """
        nodes = graphs.order(graph.outputs)
        if self.resting is not None and all(self.resting in n.rest for n in nodes):
            return graph, None
        sweep = _Sweep(self, graph, nodes, fired, spent)
        outputs = graphs.transform(graph.outputs, sweep.readers.noting(sweep.change), nodes)
        return (graph, None) if sweep.last is None else (Graph(graph.inputs, outputs), sweep.last)

    def once(self, out: Out, matcher: ModuloMatcher, fired: Fired | None, spent: set[str]) -> tuple[str, Out | None]:
        """The first rule that applies at a tensor, and what it makes of it."""
        for candidate in self.candidates(out.node, matcher):
            if candidate.rule.name not in spent:
                made = self.tried(candidate, out, matcher, fired)
                if made is not None:
                    return candidate.rule.name, made
        return "", None

    def tried(self, candidate: Candidate, out: Out, matcher: ModuloMatcher, fired: Fired | None) -> Out | None:
        """What a rule makes of a tensor; None where it does not apply."""
        rule = candidate.rule
        for match in candidate.matches(out, matcher):
            made = applied(rule, match)
            if made is not None:
                if fired is not None:
                    fired(rule.name, match, made)
                return made
        return None


class _Sweep:
    """One walk of an engine: what takes the place of each node, and the name of the last rule that applied."""

    def __init__(self, engine: Engine, graph: Graph, nodes: list[Node], fired: Fired | None, spent: set[str] | None) -> None:
        self.engine, self.fired, self.spent = engine, fired, set() if spent is None else spent
        self.readers = Readers(graph.outputs)
        self.matcher, self.merged = ModuloMatcher(self.readers), Merging(nodes)
        self.last: str | None = None

    def change(self, node: Node, inputs: tuple[Out, ...], depth: int = 0) -> Out:
        """What takes the place of a node on other inputs."""
        resting, readers = self.engine.resting, self.readers
        if inputs is node.inputs and resting in node.rest:
            return Out(node)
        out = self.merged(graphs.reuse(node, inputs))
        for _ in range(ROUNDS if len(node.outs) == 1 else 0):
            if resting in out.node.rest:
                return out
            asked = readers.asked
            name, made = self.engine.once(out, self.matcher, self.fired, self.spent)
            if made is None:
                if readers.asked == asked and resting is not None and not self.spent:
                    out.node.rest += (resting,)
                return out
            self.last = name
            out = self.merged(self.inner(made, out.node.uid, depth) if resting is not None and depth < DEPTH else made)
        if len(node.outs) == 1:
            warn(f"rule {self.last!r} still applies after {ROUNDS} rounds at one node", RewriteWarning)
            if self.last is not None:
                self.spent.add(self.last)
        return out

    def inner(self, made: Out, since: int, depth: int) -> Out:
        """What a rule has made, after the rules have been at what lies within it: a slice moves along a chain at once."""
        new = young(made.node, since, self.readers)
        if not new:
            return made
        return graphs.transform([made], lambda n, inputs: (
            graphs.reuse(n, inputs) if n is made.node else self.change(n, inputs, depth + 1)), [*new, made.node])[0]


def young(node: Node, since: int, readers: Readers) -> list[Node]:
    """What a node reads that was made after `since` and that no rule has seen, inputs first; no scalars, most of which are sizes."""
    found, todo, seen = dict[Node, None](), [node], set[Node]()
    while todo:
        top = todo[-1]
        waiting = [] if top in seen else [
            i.node for i in top.inputs if i.ndim and i.node.uid > since and i.node not in seen and not readers.knows(i.node)]
        seen.add(top)
        todo += waiting
        if not waiting:
            found[todo.pop()] = None
    return [n for n in found if n is not node]


def applied(rule: Rule, match: Match) -> Out | None:
    """What a rule makes of a match, None where it declines; OwnOpError where a function of the user's fails."""
    try:
        return _made(rule, match) if _holds(rule, match) else None
    except Exception as error:
        if rule.source is None or isinstance(error, Warning):
            raise
        told = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise OwnOpError(f"rule {rule.name!r} failed at {match.root.node.op.name}: {told}{at(match.root.node.source)}"
                         f"{defined(rule.source)}") from error


def _holds(rule: Rule, match: Match) -> bool:
    for name, value in match.bound.items():
        if sort(name) in ("tensor", "constant") and kind_of(value.dtype) not in rule.kinds:
            return False
    return rule.when is None or rule.when(match)


def _made(rule: Rule, match: Match) -> Out | None:
    """What a rule makes of a match, in the type of what it replaces; None where it declines."""
    root = match.root
    made = rule.replacement(*(root if n == "root" else match.bound[n] for n in required(rule.replacement)))
    if made is None or (isinstance(made, Out) and made.node is root.node):
        return None
    whole = made if isinstance(made, Out) else cast_to(made, root.dtype)
    fitted = _fit(whole if match.around is None else match.around(whole), root)
    if fitted is None:
        warn(f"rule {rule.name!r} changed {root.type} to {made.type}; left out", RewriteWarning)
    else:
        _inherit(fitted, root, match.nodes, rule.source is None)
    return fitted


def _fit(made: Out, root: Out) -> Out | None:
    """What a rule made in the type of the root; None where dtype, rank or known sizes contradict it."""
    if made.dtype != root.dtype or made.ndim > root.ndim:
        return None
    pairs = list(zip(reversed(made.type.shape), reversed(root.type.shape)))
    stretches = root.node.op.kind == "elementwise"  # a length of 1 may have been broadcast to a size that is not known yet
    least = 2 if stretches else 0
    if made.ndim == root.ndim and all(a == b or b.const is None and a.const is not None and a.const >= least for a, b in pairs):
        return made
    if stretches:
        return ROWS["broadcast_to"](made, *[dim_node(d) for d in root.type.shape])
    if made.ndim < root.ndim or any(None not in (a.const, b.const) and a != b for a, b in pairs):
        return None
    node = made.node  # equal sizes, though it cannot be proved from the node alone: facts of the PLAN half are in the root's type
    return Out(Node(node.op, node.params, node.inputs, root.node.outs, node.sources)) if node.uid > root.node.uid else made


def _inherit(made: Out, root: Out, nodes: Sequence[Node], ours: bool) -> None:
    """Give what is younger than the root, so made, the user's lines of the nodes replaced, beside those that a rule of ours gave it."""
    sources, unknown = frozenset().union(*(n.sources for n in nodes)), {here()}
    todo, seen = [made.node], {root.node}
    while todo:
        node = todo.pop()
        if node.uid > root.node.uid and node not in seen:
            seen.add(node)
            node.sources = sources | (node.sources - unknown) if ours else sources
            todo += [i.node for i in node.inputs]
