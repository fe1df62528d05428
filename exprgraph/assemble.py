"""From what the user asks of `compile` (inputs, outputs, updates, givens) to one graph with leaves and targets, every mistake named."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from exprgraph import dtypes
from exprgraph.bodies import opened
from exprgraph.errors import GraphError, MissingInputError, UnusedInputError, at, here, shortly
from exprgraph.graph import order, replace
from exprgraph.marked import Pack, hoisted, stripped
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, Graph, Node, Out, as_symbol, leaf
from exprgraph.ops.markers import Print
from exprgraph.shared import SharedNode, matching
from exprgraph.signature import In, Slot
from exprgraph.types import cast_to
from exprgraph.warned import warn

Updates = dict[SharedNode, Out]
POLICIES = ("raise", "warn", "ignore")


class Assembly(NamedTuple):
    """A graph whose outputs are the function's, what its Prints print, and one new value per target; its inputs are the leaves, inputs
    before shared.  n_outputs counts the outputs before the new values."""
    graph: Graph
    n_outputs: int
    shared: tuple[SharedNode, ...]
    targets: tuple[SharedNode, ...]
    printers: tuple[Print, ...]


class Form(NamedTuple):
    """The form that the user chose for outputs: "one", "list", "tuple", "dict" or "none", and the names of a dict."""
    kind: str
    names: tuple[str, ...] | None = None

    @property
    def pack(self) -> Pack:
        """What gives the form to a list of values."""
        names = self.names or ()
        forms: dict[str, Pack] = {"none": lambda values: None, "one": itemgetter(0), "list": list, "tuple": tuple,
                                  "dict": lambda values: dict(zip(names, values))}
        return forms[self.kind]

    def part(self, chosen: Sequence[int]) -> Form:
        """The form of some of the outputs: a dict of a dict, else a list."""
        return Form("list") if self.names is None else Form("dict", tuple(self.names[i] for i in chosen))


def unpacked(outputs: Any) -> tuple[list[Out], Form]:
    """The outputs as a list, and their form."""
    if outputs is None:
        return [], Form("none")
    if isinstance(outputs, dict):
        return _unpacked_dict(outputs)
    if isinstance(outputs, list | tuple):
        return [_output(o) for o in outputs], Form("list" if isinstance(outputs, list) else "tuple")
    return [_output(outputs)], Form("one")


def _unpacked_dict(outputs: dict[Any, Any]) -> tuple[list[Out], Form]:
    names = list(outputs)
    wrong = [n for n in names if not isinstance(n, str)]
    if wrong:
        raise GraphError(f"a dict of outputs has string keys; {shortly(wrong[0], 40)} is a {type(wrong[0]).__name__}{at(here())}")
    return [_output(o) for o in outputs.values()], Form("dict", tuple(names))


def _output(item: Any) -> Out:
    if item is None or isinstance(item, str | bytes | In):
        raise GraphError(f"an output is {shortly(item)}: a symbol is needed{at(here())}")
    return as_symbol(item)


def pairs(given: Any, what: str) -> list[tuple[Any, Any]]:
    """A dict or a sequence of pairs as a list of pairs."""
    if given is None:
        return []
    items = list(given.items() if isinstance(given, Mapping) else given) if isinstance(given, Iterable) else [given]
    if any(not isinstance(i, tuple | list) or len(i) != 2 for i in items):
        raise GraphError(f"{what} must be a dict or a list of pairs{at(here())}")
    return [(k, v) for k, v in items]


def as_updates(given: Any) -> Updates:
    """Updates by shared leaf, each with the dtype and rank of its target."""
    found: Updates = {}
    for target, new in pairs(given, "updates"):
        node = target.node if isinstance(target, Out) else None
        if not isinstance(target, Out) or not isinstance(node, SharedNode):
            raise GraphError(f"only shared variables can be updated, not {shortly(target)}{at(here())}")
        if node in found:
            raise GraphError(f"two updates of the shared variable {target.name!r}{at(here())}")
        found[node] = matching(target, new)
    return found


def as_givens(given: Any, strict: bool = True) -> dict[Node, Out]:
    """Givens by the node that they replace, each with the dtype and rank of what it replaces; not `strict`: cast to that dtype."""
    found: dict[Node, Out] = {}
    for old, new in pairs(given, "givens"):
        if not isinstance(old, Out):
            raise GraphError(f"givens replace symbols, not {shortly(old)}{at(here())}")
        if old.node in found:
            raise GraphError(f"givens replace {_name(old)} twice{at(here())}")
        out = cast_to(new, old.dtype) if dtypes.is_weak(new) or not strict else as_symbol(new)
        if (out.dtype, out.ndim) != (old.dtype, old.ndim):
            raise GraphError(f"givens replace {_name(old)}, which is {old.type}, by {out.type}: dtype and rank must agree; "
                             f"cast or reshape the replacement{at(here())}")
        found[old.node] = out
    return found


def _name(out: Out) -> str:
    return repr(out.name) if out.name else f"a result of {out.node.op.name}"


class _Substitution:
    """Applies givens, then puts fresh leaves where inputs stand that are computed; remembers which nodes it has seen."""

    def __init__(self, givens: Mapping[Node, Out], fresh: Mapping[Node, Out]) -> None:
        self.givens, self.fresh = givens, fresh
        self.seen: set[Node] = set()

    def __call__(self, outs: Sequence[Out]) -> tuple[Out, ...]:
        if self.givens:
            self.seen.update(order(outs))
            outs = replace(outs, self.givens)
        return replace(outs, self.fresh) if self.fresh else tuple(outs)


def input_leaves(specs: Sequence[In]) -> tuple[list[Node], dict[Node, Out]]:
    """The leaf of each input, and what takes the place of inputs that are computed; GraphError for an input given twice."""
    found: list[Node] = []
    fresh: dict[Node, Out] = {}
    seen: set[Node] = set()
    for spec in specs:
        out = spec.variable
        if out.node in seen:
            raise GraphError(f"the input {_name(out)} is listed twice{at(here())}")
        seen.add(out.node)
        if out.node.op is not INPUT:
            fresh[out.node] = Out(leaf(INPUT, out.dtype, tuple(d.const for d in out.type.shape), out.name))
        found.append(fresh[out.node].node if out.node in fresh else out.node)
    return found, fresh


def assemble(specs: Sequence[In], slots: Sequence[Slot], outputs: Sequence[Out], updates: Updates, givens: Mapping[Node, Out],
             excluded: Callable[[SharedNode], bool], policy: str) -> Assembly:
    """The graph of a function.  `excluded` says which shared variables do not take their default update; `policy` is on_unused_input."""
    inputs, fresh = input_leaves(specs)
    substitute = _Substitution(givens, fresh)
    updates = _with_inputs(specs, slots, updates)
    values = list(opened(substitute([*outputs, *updates.values()])))  # what rules of bodies take from outside is no longer among them
    new: Updates = dict(zip(updates, values[len(outputs):]))
    results = values[:len(outputs)]
    used = _with_defaults(results, new, substitute, excluded)
    _check_inputs(inputs, used, policy)
    if policy != "ignore":
        _check_givens(givens, substitute.seen)
    known = [n for n in used if isinstance(n, SharedNode)]
    plain, prints = stripped(opened([*results, *new.values()]))
    shown = [o for _, o in prints]
    graph = Graph(tuple(Out(n) for n in (*inputs, *known)), hoisted([*plain[:len(results)], *shown, *plain[len(results):]]))
    return Assembly(graph, len(results) + len(shown), tuple(known), tuple(new), tuple(p for p, _ in prints))


def _with_inputs(specs: Sequence[In], slots: Sequence[Slot], updates: Updates) -> Updates:
    """The updates with those of inputs, each of what holds the default."""
    found = dict(updates)
    for spec, slot in zip(specs, slots):
        if spec.update is not None and slot.default is not None:
            if slot.default in found:
                raise GraphError(f"two updates of what holds the default of {_name(spec.variable)}{at(here())}")
            found[slot.default] = matching(spec.variable, spec.update)
    return found


def _with_defaults(results: list[Out], new: Updates, substitute: _Substitution, excluded: Callable[[SharedNode], bool]) -> list[Node]:
    """Add default updates to `new`, also those that others bring in; the leaves of everything, in order."""
    while True:
        used = [n for n in order([*results, *new.values()]) if n.op is INPUT or isinstance(n, SharedNode)]
        due = {n: n.default_update for n in used
               if isinstance(n, SharedNode) and n.default_update is not None and n not in new and not excluded(n)}
        if not due:
            return used
        new.update(zip(due, substitute(list(due.values()))))


def _check_inputs(inputs: Sequence[Node], used: Sequence[Node], policy: str) -> None:
    listed, needed = set(inputs), set(used)
    for node in used:
        if node.op is INPUT and node not in listed:
            raise MissingInputError(f"an output or update needs {_name(Out(node))}, declared at {node.source}: add it to the inputs, "
                                    f"or replace it with givens{at(here())}")
    for node in inputs:
        if node not in needed:
            _unused(f"the input {_name(Out(node))} is used by no output and no update: leave it out", UnusedInputError, policy)


def _check_givens(givens: Mapping[Node, Out], seen: set[Node]) -> None:
    for node in givens:
        if node not in seen:
            raise GraphError(f"givens replace {_name(Out(node))}, which no output and no update depends on: leave it out, or compile "
                             f"with on_unused_input='ignore'{at(here())}")


def _unused(problem: str, error: type[GraphError], policy: str) -> None:
    if policy == "raise":
        raise error(f"{problem}, or compile with on_unused_input='ignore'{at(here())}")
    if policy == "warn":
        warn(problem + at(here()))
