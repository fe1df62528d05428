"""Iterative traversal of graphs: order, consumers, rebuild, replace, structural key.  Nothing here recurses, however deep a graph."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from exprgraph.dims import Value, atoms
from exprgraph.errors import GraphError, UseError, at, here, shortly
from exprgraph.node import INPUT, SHARED, Graph, Node, Out
from exprgraph.remembered import Remembered
from exprgraph.types import dim_of

ORDERS = Remembered()
"""The last order that was found: of the passes that make a graph or a plan most change nothing."""


def order(outputs: Iterable[Out], stops: Collection[Node] = ()) -> list[Node]:
    """Every node that the outputs need, inputs before consumers, in an order that depends on the graph's structure alone.

    What only the nodes of `stops` need is left out.
    """
    wanted, known = [o.node for o in outputs], ORDERS.known
    if stops or known is None:
        return _ordered(wanted, stops)
    last: tuple[list[Node], list[Node]] | None = known.get("last")
    if last is None or last[0] != wanted:
        last = known["last"] = wanted, _ordered(wanted, stops)
    return last[1][:]


def _ordered(wanted: list[Node], stops: Collection[Node]) -> list[Node]:
    done: dict[Node, bool] = {}  # False while what a node reads is being looked at
    found: list[Node] = []
    todo = wanted[::-1]
    while todo:
        node = todo[-1]
        state = done.get(node)
        if state is None:
            done[node] = False
            for i in reversed(node.inputs) if node not in stops else ():
                known = done.get(i.node)
                if known is None:
                    todo.append(i.node)
                elif not known:
                    raise GraphError(f"the graph runs in a circle: {i.node.op.name} depends on itself{at(i.node.source)}")
        else:
            todo.pop()
            if not state:
                done[node] = True
                found.append(node)
    return found


def leaves(outputs: Iterable[Out]) -> list[Node]:
    """The inputs and shared variables that the outputs need, in order of first use."""
    return [n for n in order(outputs) if n.op in (INPUT, SHARED)]


def ancestors(variables: Out | Iterable[Out], blockers: Iterable[Out] = ()) -> list[Out]:
    """The tensors that the given ones are computed from, these included, inputs first; what is only behind `blockers` is left out."""
    listed = [variables] if isinstance(variables, Out) else list(variables)
    stops = {b.node for b in blockers}
    nodes = order(listed, stops)
    read = [*listed, *(i for n in nodes if n not in stops for i in n.inputs)]
    held = {(o.node, o.index): o for o in reversed(read)}  # the very symbols that the user holds, where there are any
    return [held[n, k] for n in nodes for k in range(len(n.outs)) if (n, k) in held]


def graph_inputs(variables: Out | Iterable[Out], blockers: Iterable[Out] = ()) -> list[Out]:
    """Those `ancestors` that nothing computes: inputs, shared variables, constants; and blockers."""
    stops = {b.node for b in blockers}
    return [o for o in ancestors(variables, blockers) if o.owner is None or o.node in stops]


def explicit_graph_inputs(variables: Out | Iterable[Out]) -> list[Out]:
    """The inputs that a compiled function of the tensors would need values for."""
    return [o for o in ancestors(variables) if o.node.op is INPUT]


def io_toposort(inputs: Iterable[Out], outputs: Iterable[Out]) -> list[Node]:
    """The nodes that compute the outputs from the inputs, in the order of evaluation."""
    stops = {i.node for i in inputs}
    return [n for n in order(outputs, stops) if n.op.kind != "leaf" and n not in stops]


def symbol_of(key: Any, outputs: Iterable[Out]) -> Out:
    """A symbol as it is, a name as the one input of that name; UseError for anything else."""
    if isinstance(key, Out):
        return key
    found = [o for o in explicit_graph_inputs(outputs) if o.name == key] if isinstance(key, str) else []
    if len(found) != 1:
        kind = "a symbol or the name of an input is needed" if not isinstance(key, str) else (
            "several inputs have this name" if found else "no input has this name")
        raise UseError(f"{shortly(key)}: {kind}{at(here())}")
    return found[0]


def consumers(outputs: Iterable[Out]) -> dict[Node, list[Node]]:
    """For each node the nodes that read it, once per reading."""
    found: dict[Node, list[Node]] = {}
    for node in order(outputs):
        found.setdefault(node, [])
        for i in node.inputs:
            found[i.node].append(node)
    return found


def rebuild(node: Node, inputs: Sequence[Out]) -> Out:
    """The first output of `node` on other inputs of the same dtypes; the node itself where nothing changed."""
    if unchanged(node, inputs):
        return Out(node)
    made = node.op.apply(tuple(inputs), node.params, node.sources)
    made.node.name = node.name
    return made


def reuse(node: Node, inputs: tuple[Out, ...]) -> Out:
    """The node on equal inputs; unlike `graph.rebuild` it keeps the types that are known where those of the inputs stayed the same."""
    if unchanged(node, inputs):
        return Out(node)
    if all(a.type == b.type and (a is b or not reads_size(a)) for a, b in zip(node.inputs, inputs)):
        return Out(Node(node.op, node.params, inputs, node.outs, node.sources, node.name))
    return rebuild(node, inputs)


def reads_size(out: Out) -> bool:
    """Whether an integer scalar rests on a size that a call reads: what takes its place may be another Dim."""
    found = dim_of(out) if not out.ndim and out.node.op.kind != "leaf" else None
    return found is not None and any(isinstance(a, Value) and a.source.op.name == "read_size" for a in atoms([found]))


def unchanged(node: Node, inputs: Sequence[Out]) -> bool:
    """Whether these are the very inputs of the node."""
    if inputs is node.inputs:
        return True
    for a, b in zip(node.inputs, inputs, strict=True):  # noqa: SIM110 - half the time of all()
        if a is not b and (a.node is not b.node or a.index != b.index):
            return False
    return True


def follow(out: Out, new: Mapping[Node, Out]) -> Out:
    """What takes the place of `out` where `new` holds what takes the place of its node; the user's name stays."""
    made = new[out.node]
    index = out.index if len(out.node.outs) > 1 else made.index
    if made.node is out.node and index == out.index:
        return out
    name = out.name
    return made if index == made.index and (name is None or name == made.name) else Out(made.node, index, name)


def followed(inputs: tuple[Out, ...], new: Mapping[Node, Out]) -> tuple[Out, ...]:
    """What takes the places of the inputs of a node: the very tuple where no node of them is among those of `new`."""
    for i in inputs:
        if i.node in new:
            return tuple([follow(i, new) if i.node in new else i for i in inputs])
    return inputs


def transform(outputs: Sequence[Out], change: Callable[[Node, tuple[Out, ...]], Out], nodes: Iterable[Node] | None = None
              ) -> tuple[Out, ...]:
    """Rebuild a graph bottom up: `change(node, new inputs)` gives what takes the place of each node's (first) output.

    nodes: what `order` gives for the outputs, where that is known.
    """
    new: dict[Node, Out] = {}
    for node in order(outputs) if nodes is None else nodes:
        made = change(node, followed(node.inputs, new))
        if made.node is not node:
            new[node] = made
    return followed(tuple(outputs), new)


def replace(outputs: Sequence[Out], given: Mapping[Node, Out]) -> tuple[Out, ...]:
    """The outputs with the nodes of `given` replaced; replacements are taken as they are, not replaced again."""
    return transform(outputs, lambda node, inputs: given[node] if node in given else rebuild(node, inputs))


def depends(outputs: Iterable[Out], on: Iterable[Node]) -> set[Node]:
    """The nodes among those that the outputs need which depend on one of `on` (these included)."""
    found = set(on)
    for node in order(outputs):
        if any(i.node in found for i in node.inputs):
            found.add(node)
    return found


def mark() -> int:
    """A uid that is below those of all nodes made from now on."""
    return Node(INPUT, (), (), (), frozenset()).uid


def credit(outs: Iterable[Out | None], mark: int, node: Node, beside: bool = False) -> None:
    """What was made since the node with the uid `mark` comes from the user's lines of `node`; beside: and from where it was made."""
    todo, seen = [o.node for o in outs if o is not None], set[Node]()
    while todo:
        made = todo.pop()
        if made.uid > mark and made not in seen:
            seen.add(made)
            made.sources = made.sources | node.sources if beside else node.sources
            todo += [i.node for i in made.inputs]


def key(graph: Graph) -> str:
    """A text that is equal for graphs of equal structure, in every process: what a plan or a merge may be keyed by."""
    numbers: dict[Node, int] = {i.node: n for n, i in enumerate(graph.inputs)}
    import hashlib  # rarely needed, and slow to load
    digest = hashlib.sha256()
    for node in order(graph.outputs):
        number = numbers.setdefault(node, len(numbers))
        parts: list[Any] = [number, node.op.name, [numbers[i.node] for i in node.inputs], node.params]
        if node.op in (INPUT, SHARED):
            parts += [node.outs[0].dtype, [d.const for d in node.outs[0].shape]]
        digest.update(repr(parts).encode())
    digest.update(repr([(numbers[o.node], o.index) for o in graph.outputs]).encode())
    return digest.hexdigest()


def names(outputs: Sequence[Out]) -> dict[Node, str]:
    """The user's names of nodes: those of the symbols by which others read them."""
    read = [*outputs, *(i for n in order(outputs) for i in n.inputs)]
    return {o.node: o.name for o in read if o.name is not None}
