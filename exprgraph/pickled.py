"""How symbols, graphs and compiled functions pickle: as records of nodes (`exprgraph.records`), which are made again by the rows here.

A symbol pickles as the list of the nodes that it needs, inputs first, so that no depth of graph is too deep, and nodes that several
objects of one pickle need come back as one.  A function pickles as its recipe: the graph that was handed to the optimiser, as a text,
and beside it the symbols of its inputs and the shared variables.  The text is the name under which this process keeps what it has compiled.
"""
from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from exprgraph.assemble import Assembly, Form
from exprgraph.bodies import Body, opened
from exprgraph.compilation import later
from exprgraph.compiled import Function
from exprgraph.errors import GraphError, at, defined, here
from exprgraph.graph import order, replace
from exprgraph.locks import lock
from exprgraph.modes import Mode
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out
from exprgraph.ops.markers import Print
from exprgraph.own.made import Made, found_by_name, name_of
from exprgraph.patterns import Rule
from exprgraph.program import Executable, Program
from exprgraph.records import Arrays, Reader, Record, Writer
from exprgraph.shared import Shared, SharedNode
from exprgraph.signature import CURE, Slot
from exprgraph.values import want

VERSION = 2
STAY_BEHIND = ("watch", "mode", "profile", "compared")
"""Options that watch a compile or calls in this process."""


class Stored(NamedTuple):
    """A function without its symbols and shared variables.

    text: JSON with the nodes, how the graph is put together of them, and the options.  arrays: constants.  own: ops of the user's own.
    printers: message, attributes and function of each Print.  rules: those of the user's that its mode includes.
    """
    text: str
    arrays: Arrays
    own: tuple[Made, ...]
    printers: tuple[tuple[Any, ...], ...]
    rules: tuple[Rule, ...] = ()

    @property
    def key(self) -> str:
        """The name of what is compiled from this, in any process."""
        found = hashlib.sha256(self.text.encode())
        found.update(repr([(r.name, r.version, *map(name_of, _functions(r))) for r in self.rules]).encode())
        for name, array in sorted(self.arrays.items()):
            found.update(f"\0{name}\0".encode() + array.tobytes())
        return found.hexdigest()


class Kept(NamedTuple):
    """What functions of one recipe share beside the executable."""
    program: Program
    assembly: Assembly
    device: str


_lock = lock()
_executables: WeakValueDictionary[str, Executable] = WeakValueDictionary()
_kept: WeakKeyDictionary[Executable, Kept] = WeakKeyDictionary()
_latest: OrderedDict[str, Executable] = OrderedDict()
LATEST = 16
"""Of so many recipes what was compiled is kept though nobody holds it: pools unpickle a function for each task."""


def reduced(thing: Any) -> Any:
    """What `__reduce__` gives for a node, a symbol or a function; GraphError, with op and line, for what cannot be pickled."""
    if isinstance(thing, Function):
        return _function, (_stored(thing), *_beside(thing))
    return _of_node(thing) if isinstance(thing, Node) else _of_symbol(thing)


def _of_symbol(out: Out) -> Any:
    nodes = order([out])
    bodies = [n for n in nodes if isinstance(n.op, Body)]
    for node in bodies:
        assert isinstance(node.op, Body)
        if node.op.ruled:
            raise GraphError(f"{node.op.name} cannot be pickled as a symbol, since its gradient is a rule of yours: pickle a function "
                             f"compiled from it{at(node.source)}")
    if bodies:
        inner, = opened([out])
        out, nodes = Out(inner.node, inner.index, out.name), order([inner])
    return _symbol, (tuple(nodes), out.index, out._name)


def _symbol(nodes: Sequence[Node], index: int, name: str | None) -> Out:
    node = nodes[-1]
    return Shared(node, index, name) if isinstance(node, SharedNode) else Out(node, index, name)


def _of_node(node: Node) -> Any:
    own: list[Made] = []
    writer = Writer((), own)
    inputs = tuple(dict.fromkeys(i.node for i in node.inputs))
    return _node, (writer.alone(node, inputs), writer.arrays, tuple(own), inputs), getattr(node, "default_update", None)


def _node(record: Record, arrays: Arrays, own: Sequence[Made], inputs: Sequence[Node]) -> Node:
    return Reader((), arrays, own).alone(record, inputs)


def _stored(function: Function) -> Stored:
    """The recipe, under whose name this process now knows what the function runs."""
    program, assembly, own = function._program, function._assembly, list[Made]()
    writer = Writer((*assembly.graph.inputs, *assembly.graph.outputs), own, values=False)
    options = {k: v for k, v in program.options.items() if isinstance(v, str | int | float | None) and k not in STAY_BEHIND}
    text = json.dumps({
        "version": VERSION, "name": function.name, "nodes": writer.nodes, "inputs": [writer.place(i) for i in assembly.graph.inputs],
        "outputs": [writer.place(o) for o in assembly.graph.outputs], "n_outputs": assembly.n_outputs,
        "stays": program.stays, "options": options}, sort_keys=True)
    printers = tuple((p.message, p.attrs, p.global_fn) for p in assembly.printers)
    for printer in assembly.printers:
        if printer.global_fn is not None and not found_by_name(printer.global_fn):
            raise GraphError(f"{function.name} cannot be pickled: the global_fn of Print({printer.message!r}) has no name to be found by: "
                             f"define it with def at the top level of a module{at(here())}")
    stored = Stored(text, writer.arrays, tuple(own), printers, _rules(program.options.get("rules") or (), function.name))
    watched = any(program.options.get(k) is not None for k in ("profile", "trace", "around"))
    if not function.ready or watched or not program.options.get("mode", Mode()).plain:
        return stored  # what is watched here is no executable for those who unpickle it
    with _lock:
        known = _executables.setdefault(stored.key, function._run)
        if known is function._run:
            _kept[known] = Kept(program, assembly, function.device)
    return stored


def _rules(rules: Sequence[Rule], name: str) -> tuple[Rule, ...]:
    """Rules of the user's; GraphError for one whose functions cannot be found by their names."""
    for rule in rules:
        if not all(map(found_by_name, _functions(rule))):
            raise GraphError(f"{name} cannot be pickled: a function of the rule {rule.name!r} of its mode has no name to be found by: "
                             f"define it with def at the top level of a module{at(here())}{defined(rule.source)}")
    return tuple(rules)


def _functions(rule: Rule) -> list[Any]:
    return [f for f in (rule.pattern, rule.replacement, rule.when) if f is not None]


def _beside(function: Function) -> tuple[Any, ...]:
    """What the recipe goes with: inputs, shared variables, targets, the form and the names of outputs, trust_input."""
    slots = tuple((s.variable, s.name, s.want.what, s.want.downcast, s.want.strict, s.default, s.implicit, s.own)
                  for s in function.signature.slots)
    names = tuple(o.name for o in function.outputs)
    return slots, tuple(function._shared), tuple(function.targets), tuple(function._form), names, function.name, function.trust_input


def _function(stored: Stored, slots: Sequence[tuple[Any, ...]], shared: tuple[SharedNode, ...], targets: tuple[SharedNode, ...],
              form: tuple[Any, ...], names: Sequence[str | None], name: str, trust: bool) -> Function:
    """The function of a recipe."""
    executable, kept = _shared(stored)
    made = [_slot(*s) for s in slots]
    printers = tuple(Print(*p) for p in stored.printers)
    graph = kept.assembly.graph
    assembly = kept.assembly._replace(shared=shared, targets=targets, printers=printers)
    own = dict(zip((i.node for i in graph.inputs), (*(s.variable for s in made), *map(Shared, shared))))
    outputs = [Out(o.node, o.index, n) for o, n in zip(replace(graph.outputs[:len(names)], own), names)]
    found = Function(name, made, outputs, assembly, Form(*form), kept.program, executable, kept.device)
    found.trust_input = trust
    return found


def _slot(variable: Out, name: str | None, what: str, downcast: bool | None, strict: bool, default: SharedNode | None, implicit: bool,
          own: bool) -> Slot:
    return Slot(variable, name, want(variable, what, downcast=downcast, strict=strict, cure=CURE), default, implicit, own)


def _shared(stored: Stored) -> tuple[Executable, Kept]:
    """What functions of a recipe share in this process; it is compiled by the first call of one of them, where errors can be told."""
    key = stored.key
    with _lock:
        executable = _executables.get(key)
        if executable is None:
            executable, kept = _fresh(stored)
            _executables[key], _kept[executable] = executable, kept
        _latest[key] = executable
        _latest.move_to_end(key)
        if len(_latest) > LATEST:
            _latest.popitem(last=False)
        return executable, _kept[executable]


def _fresh(stored: Stored) -> tuple[Executable, Kept]:
    record = json.loads(stored.text)
    if record["version"] != VERSION:
        raise GraphError(f"another version of exprgraph pickled this function: its recipe is of version {record['version']!r:.20}, here "
                         f"{VERSION} is known{at(here())}")
    reader = Reader(record["nodes"], stored.arrays, stored.own)
    inputs, outputs = (tuple(reader.out(p) for p in record[k]) for k in ("inputs", "outputs"))
    leaves = tuple(i.node for i in inputs if isinstance(i.node, SharedNode))
    assembly = Assembly(Graph(inputs, outputs), record["n_outputs"], leaves, (), ())
    options = {**record["options"], "watch": None, "mode": Mode(record["options"]["optimizer"]), "rules": stored.rules or None}
    program, executable, device = later(assembly, options, tuple(record["stays"]))
    return executable, Kept(program, assembly, device)
