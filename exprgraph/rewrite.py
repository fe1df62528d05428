"""Rules and the engine that applies them: patterns are ordinary expressions over wild symbols, matched by structure.

A rule is `Rule(name, pattern, replacement)`, two functions of the same wild arguments.  The pattern is called once, on scalar stand-ins,
and its expression is kept as a small tree; the replacement is called on what matched.  The *names* of the arguments say what they match:

    c, d     a condition: a bool tensor               k          a constant whose elements are all equal
    p, q     the parameters of a row, see `some`      rest, more  all further inputs of a row, a tuple
    others   any tensor; its dtype is of one of the rule's `kinds`
A replacement that also asks for `root` gets the tensor that it replaces.
Constants match by value, behind broadcasts too; commutative rows match in both orders; an operand of an elementwise row is found behind
`broadcast_to`, since what a rule makes is broadcast to the shape of what it replaces.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from exprgraph import graph as graphs
from exprgraph.errors import OwnOpError, Source, at, defined, here
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, INPUT, Graph, Node, Op, Out, Params, TensorType, constant_value, leaf
from exprgraph.ops.shape import dim_node
from exprgraph.ops.table import ROWS
from exprgraph.readers import Readers
from exprgraph.types import cast_to
from exprgraph.warned import warn

ROUNDS = 16
"""How often rules may apply to one node in one sweep."""
SAMPLE = {"f": "float64", "i": "int64", "u": "uint64", "b": "bool"}
SORTS = {"c": "condition", "d": "condition", "p": "params", "q": "params", "k": "constant", "rest": "rest", "more": "rest"}
CARRIERS = ("broadcast_to", "dimshuffle", "reshape")


class RewriteWarning(UserWarning):
    """A rule that broke its promise or never came to an end: a fault of the rule, not of the user's graph."""


class Rule(NamedTuple):
    """Where `pattern` matches, `when` holds and the wild tensors have dtypes of `kinds` (of "fiub"), `replacement` takes its place.

    A replacement may return None, which declines.  With pattern None it is asked about every elementwise node.  tags: what a mode may
    call it beside its name; the first is the list that it is of.  version, source: of a rule of the user's what tells its text from an
    older one, if it says so, and where it was made.
    """
    name: str
    pattern: Callable[..., Any] | None
    replacement: Callable[..., Any]
    when: Callable[[Match], bool] | None = None
    kinds: str = "f"
    why: str = ""
    tags: tuple[str, ...] = ()
    version: str | None = None
    source: Source | None = None


def tagged(tags: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules with these tags."""
    return tuple(r._replace(tags=tuple(tags.split())) for r in rules)


class Match(NamedTuple):
    """What a pattern matched: the tensor at its root, what each argument is bound to, the nodes that it covers; who reads what."""
    root: Out
    bound: Mapping[str, Any]
    nodes: tuple[Node, ...]
    readers: Readers | None = None


Fired = Callable[[str, Match, Out], None]


class Wild(NamedTuple):
    """A place in a pattern that matches anything of one sort."""
    name: str


class Fixed(NamedTuple):
    """A place in a pattern that matches one value."""
    value: Any


class Form(NamedTuple):
    """A place in a pattern that matches a row applied to what matches its parts; params: None to be equal, or the argument to bind."""
    op: Op
    params: Params | str
    parts: tuple[Any, ...]


def some(op: str, params: Any, *inputs: Any) -> Out:
    """The row `op` with these parameters, in a pattern those of the argument p or q; inputs may be tuples of inputs."""
    flat = tuple(i for part in inputs for i in (part if isinstance(part, tuple) else (part,)))
    row = ROWS[op]
    if isinstance(params, str):
        return Out(Node(row, (("*", params),), flat, (TensorType(flat[0].dtype, ()),), frozenset()))
    return row.apply(flat, params)


def arguments(rule: Rule) -> tuple[str, ...]:
    """The names of the rule's wild arguments."""
    return required(rule.pattern) if rule.pattern is not None else ()


@cache
def required(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the arguments that have no default."""
    code, defaults = function.__code__, function.__defaults__ or ()
    return tuple(code.co_varnames[:code.co_argcount - len(defaults)])


def sort(name: str) -> str:
    """What an argument of this name matches: "condition", "params", "constant", "rest" or "tensor"."""
    return SORTS.get(name, "tensor")


def trace(rule: Rule) -> Any:
    """The pattern of a rule as a tree of Form, Fixed and Wild."""
    wild: dict[Node, Wild] = {}
    given: list[Any] = []
    for name in arguments(rule):
        if sort(name) == "params":
            given.append(name)
        else:
            symbol = Out(leaf(INPUT, "bool" if sort(name) == "condition" else SAMPLE[rule.kinds[0]], (), name))
            wild[symbol.node] = Wild(name)
            given.append(symbol)
    assert rule.pattern is not None
    found = rule.pattern(*given)
    if not isinstance(found, Out):
        raise TypeError(f"it gives {found!r:.40}, which is no expression")
    return _tree(found, wild)


def _tree(out: Out, wild: Mapping[Node, Wild]) -> Any:
    """Recursive over a pattern, which is small, never over a graph."""
    node = out.node
    if node in wild:
        return wild[node]
    if node.op is CONSTANT:
        return Fixed(_scalar(constant_value(out)))
    token = dict(node.params).get("*")
    if node.op.name == "cast" and token is None and node.inputs[0].node in wild:
        return wild[node.inputs[0].node]
    return Form(node.op, node.params if token is None else token, tuple(_tree(i, wild) for i in node.inputs))


def _scalar(array: Any) -> Any:
    return array.reshape(-1)[0]


class Matcher:
    """Finds patterns at nodes; remembers which constants have one value."""

    def __init__(self, readers: Readers | None = None) -> None:
        self._uniform: dict[Node, Any] = {}
        self.readers = readers

    def find(self, tree: Any, out: Out) -> Iterator[Match]:
        """The ways in which the pattern matches at this tensor."""
        for bound, nodes in self._all((tree,), (out,), {}, (), False):
            yield Match(out, bound, nodes, self.readers)

    def value(self, out: Out) -> Any:
        """The value of a constant whose elements are all equal, behind broadcasts too; else None."""
        node = out.node
        while node.op.kind == "view" and node.op.name in CARRIERS:
            node = node.inputs[0].node
        if node.op is not CONSTANT:
            return None
        if node not in self._uniform:
            array = constant_value(Out(node))
            self._uniform[node] = _scalar(array) if array is not None and array.size and _all_equal(array) else None
        return self._uniform[node]

    def _binds(self, name: str, out: Out, bound: Mapping[str, Any]) -> bool:
        if name in bound:
            return same(bound[name], out)
        wanted = sort(name)
        return not ((wanted == "condition" and out.dtype != "bool") or (wanted == "constant" and self.value(out) is None))

    def _form(self, tree: Form, out: Out, bound: dict[str, Any], nodes: tuple[Node, ...], through: bool) -> Iterator[Any]:
        node = out.node
        if through and node.op is ROWS["broadcast_to"] and tree.op is not node.op:
            node = node.inputs[0].node
        if node.op is not tree.op:
            return
        if isinstance(tree.params, str):
            if bound.get(tree.params, node.params) != node.params:
                return
            bound = {**bound, tree.params: node.params}
        elif tree.params != node.params:
            return
        yield from self._parts(tree, node, bound, (*nodes, node))

    def _parts(self, tree: Form, node: Node, bound: dict[str, Any], nodes: tuple[Node, ...]) -> Iterator[Any]:
        parts, inputs = tree.parts, node.inputs
        if parts and isinstance(parts[-1], Wild) and sort(parts[-1].name) == "rest":
            if len(inputs) < len(parts) - 1:
                return
            bound, parts, inputs = {**bound, parts[-1].name: inputs[len(parts) - 1:]}, parts[:-1], inputs[:len(parts) - 1]
        if len(parts) != len(inputs):
            return
        yield from self._all(parts, inputs, bound, nodes, node.op.kind == "elementwise")
        if "commutative" in node.op.flags and not same(inputs[0], inputs[1]):
            yield from self._all(parts, inputs[::-1], bound, nodes, node.op.kind == "elementwise")

    def _all(self, parts: Sequence[Any], inputs: Sequence[Out], bound: dict[str, Any], nodes: tuple[Node, ...],
             through: bool) -> Iterator[Any]:
        for n, (part, given) in enumerate(zip(parts, inputs)):
            if isinstance(part, Form):
                for first, covered in self._form(part, given, bound, nodes, through):
                    yield from self._all(parts[n + 1:], inputs[n + 1:], first, covered, through)
                return
            if isinstance(part, Fixed):
                if not _equal(part.value, self.value(given)):
                    return
            elif self._binds(part.name, given, bound):
                bound = {**bound, part.name: given}
            else:
                return
        yield bound, nodes


def same(a: Any, b: Any) -> bool:
    """Whether two tensors are the same output of one node, or equal constants."""
    if a.node is b.node:
        return bool(a.index == b.index)
    return a.node.op is CONSTANT and b.node.op is CONSTANT and a.node.params == b.node.params


def _all_equal(array: np.ndarray[Any, Any]) -> bool:
    return array.size == 1 or (bool((array == _scalar(array)).all()) and not (array.dtype.kind == "f" and not _scalar(array)
                                                                              and np.signbit(array).any() != np.signbit(array).all()))


def _equal(wanted: Any, found: Any) -> bool:
    """Whether a constant has the value that a pattern asks for, rounded to the constant's dtype; the sign of zero counts."""
    if found is None or found.dtype.kind not in "biuf":
        return False
    if found.dtype.kind != "f":
        return bool(float(wanted) == int(found)) and not (wanted == 0 and math.copysign(1, wanted) < 0)
    value = np.asarray(wanted, found.dtype)
    return bool(value == found and np.signbit(value) == np.signbit(found))


def _words(node: Node) -> Iterator[str]:
    """What patterns may ask of the inputs of a node: their rows, also behind a broadcast, and whether one may be a constant."""
    for i in node.inputs:
        yield i.node.op.name
        inner = i.node
        while inner.op.kind == "view" and inner.op.name in CARRIERS:
            inner = inner.inputs[0].node
            yield inner.op.name
        if inner.op is CONSTANT:
            yield CONSTANT.name


def _asked(tree: Any) -> Iterator[str]:
    """What a pattern asks of the inputs of the node at its root, in the words of `_words`."""
    for part in tree.parts if tree is not None else ():
        if isinstance(part, Form):
            yield part.op.name
        elif isinstance(part, Fixed) or sort(part.name) == "constant":
            yield CONSTANT.name


class Engine:
    """Applies a list of rules, indexed by the row at the root of their patterns and what they ask of its inputs."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._rules: dict[str, list[tuple[Rule, Any, frozenset[str]]]] = {}
        self._elementwise: list[tuple[Rule, Any, frozenset[str]]] = []
        self._asked = set[str]()
        self._chosen: dict[tuple[str, frozenset[str]], list[tuple[Rule, Any]]] = {}
        for rule in self.rules:
            tree = None if rule.pattern is None else trace(rule)
            asked = frozenset(_asked(tree))
            self._asked |= asked
            (self._elementwise if tree is None else self._rules.setdefault(tree.op.name, [])).append((rule, tree, asked))

    def candidates(self, node: Node) -> list[tuple[Rule, Any]]:
        """The rules that may apply at a node, in their order."""
        key = node.op.name, frozenset(self._asked.intersection(_words(node)))
        found = self._chosen.get(key)
        if found is None:
            known = [*self._rules.get(node.op.name, ()), *(self._elementwise if node.op.kind == "elementwise" else ())]
            found = self._chosen[key] = [(rule, tree) for rule, tree, asked in known if asked <= key[1]]
        return found

    def sweep(self, graph: Graph, fired: Fired | None = None, spent: set[str] | None = None) -> tuple[Graph, str | None]:
        """One walk from the inputs to the outputs, and the name of the last rule that applied, None where the graph is at rest.

        fired(rule, match, made) is called for every rule that applies.  spent: names of rules that are left out, to which one is added
        that finds no end at a node.
        """
        matcher, last, out_of_use = Matcher(readers := Readers(graph.outputs)), None, set() if spent is None else spent

        def change(node: Node, inputs: tuple[Out, ...]) -> Out:
            nonlocal last
            out = graphs.reuse(node, inputs)
            for _ in range(ROUNDS if len(node.outs) == 1 else 0):
                name, made = self.once(out, matcher, fired, out_of_use)
                if made is None:
                    return out
                out, last = made, name
            if len(node.outs) == 1:
                warn(f"rule {last!r} still applies after {ROUNDS} rounds at one node", RewriteWarning)
                if spent is not None and last is not None:
                    spent.add(last)
            return out

        outputs = graphs.transform(graph.outputs, readers.noting(change))
        return (graph, None) if last is None else (Graph(graph.inputs, outputs), last)

    def once(self, out: Out, matcher: Matcher, fired: Fired | None, spent: set[str]) -> tuple[str, Out | None]:
        """The first rule that applies at a tensor, and what it makes of it."""
        for rule, tree in self.candidates(out.node):
            if rule.name not in spent:
                made = self.tried(rule, tree, out, matcher, fired)
                if made is not None:
                    return rule.name, made
        return "", None

    def tried(self, rule: Rule, tree: Any, out: Out, matcher: Matcher, fired: Fired | None) -> Out | None:
        """What a rule makes of a tensor; None where it does not apply."""
        for match in matcher.find(tree, out) if tree is not None else [Match(out, {}, (out.node,), matcher.readers)]:
            made = applied(rule, match)
            if made is not None:
                if fired is not None:
                    fired(rule.name, match, made)
                return made
        return None


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
        if sort(name) in ("tensor", "constant") and np.dtype(value.dtype).kind not in rule.kinds:
            return False
    return rule.when is None or rule.when(match)


def _made(rule: Rule, match: Match) -> Out | None:
    """What a rule makes of a match, in the type of what it replaces; None where it declines."""
    root = match.root
    made = rule.replacement(*(root if n == "root" else match.bound[n] for n in required(rule.replacement)))
    if made is None or (isinstance(made, Out) and made.node is root.node):
        return None
    fitted = _fit(made if isinstance(made, Out) else cast_to(made, root.dtype), root)
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
