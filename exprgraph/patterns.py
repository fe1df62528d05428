"""The records of rules: patterns are ordinary expressions over wild symbols, kept as small trees.

A rule is `Rule(name, pattern, replacement)`, two functions of the same wild arguments.  The pattern is called once, on scalar stand-ins,
and its expression is kept as a small tree; the replacement is called on what matched.  The *names* of the arguments say what they match:

    c, d     a condition: a bool tensor               k          a constant whose elements are all equal
    p, q     the parameters of a row, see `some`      rest, more  all further inputs of a row, a tuple
    around   a function: the views and casts, if any, around what it is called on
    others   any tensor; its dtype is of one of the rule's `kinds`

A replacement that also asks for `root` gets the tensor that it replaces.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from exprgraph.errors import Source
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, INPUT, Node, Op, Out, Params, TensorType, constant_value, leaf
from exprgraph.ops.table import ROWS
from exprgraph.readers import Readers

SAMPLE = {"f": "float64", "i": "int64", "u": "uint64", "b": "bool"}
SORTS = {"c": "condition", "d": "condition", "p": "params", "q": "params", "k": "constant", "rest": "rest", "more": "rest",
         "around": "views"}
AROUND = Op("around", "view", lambda x: x, lambda x: ((x,), {}), lambda inputs: (inputs[0].type,), doc="In a pattern: any views and casts.")
class Rule(NamedTuple):
    """Where `pattern` matches, `when` holds and the wild tensors have dtypes of `kinds` (of "fiub"), `replacement` takes its place.

    A replacement may return None, which declines.  With pattern None it is asked about every elementwise node.  tags: what a mode may
    call it beside its name; the first is the list that it is of.  version, source: of a rule of the user's what tells its text from an
    older one, if it says so, and where it was made.  modulo: it is found however the graph spells it, see `modulo`.
    asks: without a pattern, rows that are each among those of the inputs where it may apply.
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
    modulo: bool = False
    asks: tuple[str, ...] = ()


def tagged(tags: str, rules: Iterable[Rule], modulo: bool = False) -> tuple[Rule, ...]:
    """Rules with these tags."""
    return tuple(r._replace(tags=tuple(tags.split()), modulo=modulo) for r in rules)


class Match(NamedTuple):
    """What a pattern matched: the tensor at its root, what each argument is bound to, and the nodes that it covers.

    around: what makes of the replacement what takes the root's place, where there is more at the root than the pattern says.  readers: who
    reads what in the graph.  alone: nothing is left at the root.  joined: how many products of factors that are left, which argument takes,
    are none of the graph.
    """
    root: Out
    bound: Mapping[str, Any]
    nodes: tuple[Node, ...]
    around: Callable[[Out], Out] | None = None
    readers: Readers | None = None
    alone: bool = True
    joined: int = 0


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
    """What an argument of this name matches: "condition", "params", "constant", "rest", "views" or "tensor"."""
    return SORTS.get(name, "tensor")


def trace(rule: Rule) -> Any:
    """The pattern of a rule as a tree of Form, Fixed and Wild."""
    wild: dict[Node, Wild] = {}
    given: list[Any] = []
    for name in arguments(rule):
        if sort(name) == "params":
            given.append(name)
        elif sort(name) == "views":
            given.append(lambda x, name=name: Out(Node(AROUND, (("*", name),), (x,), (x.type,), frozenset())))
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
        return Fixed(scalar(constant_value(out)))
    token = dict(node.params).get("*")
    if node.op.name == "cast" and token is None and node.inputs[0].node in wild:
        return wild[node.inputs[0].node]
    return Form(node.op, node.params if token is None else token, tuple(_tree(i, wild) for i in node.inputs))


def scalar(array: Any) -> Any:
    """The first element of an array."""
    return array.reshape(-1)[0]
