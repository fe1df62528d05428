"""The memory of the NumPy backend: each node's value lives from where it is computed to its last use."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph import dims, size_program
from exprgraph.bodies import Body, opened
from exprgraph.dims import Atom, Dim, Size, Value, constant, product
from exprgraph.errors import at, here
from exprgraph.footprint import KINDS, Footprint, Given, MissingSizeError, Tensor, check_sizes, formula, largest
from exprgraph.graph import names, order
from exprgraph.node import CONSTANT, INPUT, SHARED, Node
from exprgraph.program import Program

LEAVES = {INPUT: "inputs", SHARED: "shared", CONSTANT: "constants"}


class _Values:
    """The nodes in the order in which they are evaluated, the kind of each, and which intermediates live while one is computed."""

    def __init__(self, program: Program) -> None:
        self.program, self.outputs = program, program.graph.outputs
        if any(isinstance(n.op, Body) for n in order(self.outputs)):
            self.outputs = opened(self.outputs)
        self.nodes = order(self.outputs)
        self.kinds = {n: LEAVES.get(n.op, "temporaries") for n in self.nodes}
        for number, out in reversed(list(enumerate(self.outputs))):
            if self.kinds[out.node] in ("temporaries", "outputs", "updates"):
                self.kinds[out.node] = "outputs" if number < program.n_outputs else "updates"
        self.names = names(self.outputs)
        for leaf in program.leaves:
            self.kinds.setdefault(leaf, LEAVES[leaf.op])

    def living(self) -> list[list[Node]]:
        """For each node the intermediates that live while it is computed, itself among them."""
        last = {i.node: k for k, n in enumerate(self.nodes) for i in n.inputs}
        found, now = [], dict[Node, None]()
        for k, node in enumerate(self.nodes):
            if self.kinds[node] == "temporaries" and node.op.kind != "view":
                now[node] = None
            found.append(list(now))
            for done in [n for n in now if last.get(n, k) == k]:
                del now[done]
        return found


def _bytes(node: Node) -> Dim:
    total = constant(0)
    for kind in node.outs:
        total = total + product(kind.shape) * np.dtype(kind.dtype).itemsize
    return total


def footprint(program: Program, check: Callable[[Mapping[Node, Any]], None], given: Sequence[Given] | None,
              sizes: Mapping[str, int]) -> Footprint:
    """What a call takes; check: raises the error of arguments whose sizes do not fit.  CallError for sizes that nothing is called by."""
    check_sizes(sizes)
    values = _Values(program)
    fixed = {kind: sum((_bytes(n) for n, k in values.kinds.items() if k == kind), constant(0)) for kind in KINDS[:-1]}
    living = values.living()
    loads = [sum(map(_bytes, nodes), constant(0)) for nodes in living]
    told = formula(fixed, loads)
    name = program.options.get("name") or "f"
    if given is None:
        return Footprint(name, "numpy", told)
    wanted = [*fixed.values(), *loads, *(d for n in values.kinds for k in n.outs for d in k.shape), *map(_bytes, values.kinds)]
    check({n: np.broadcast_to(np.asarray(g.value or 0), g.shape or ()) for n, g in zip(program.leaves, given)})
    found = _numbers(program, given, wanted)
    bytes_of = {kind: found[fixed[kind].text] for kind in fixed}
    at_most = max(range(len(loads)), key=lambda k: found[loads[k].text])
    bytes_of["temporaries"] = found[loads[at_most].text]
    alive = [*living[at_most], *(n for n, k in values.kinds.items() if k != "temporaries")]
    tensors = [_tensor(n, values.kinds[n], values.names.get(n) or n.name, found) for n in alive]
    node = values.nodes[at_most]
    shapes = tuple(tuple(found[d.text] for d in o.type.shape) for o in values.outputs)
    return Footprint(name, "numpy", told, shapes, bytes_of, sum(bytes_of.values()), f"{node.op.name}{at(node.source).replace(chr(10), '')}",
                     largest(tensors))


def _numbers(program: Program, given: Sequence[Given], wanted: Sequence[Dim]) -> dict[str, int]:
    """The values of Dims by their text."""
    of = dict(zip(program.leaves, given))
    unique = list({d.text: d for d in wanted}.values())
    atoms = dims.atoms(unique)
    return dict(zip([d.text for d in unique], size_program.program(unique, atoms)([_number(a, of) for a in atoms])))


def _number(atom: Atom, of: Mapping[Node, Given]) -> int:
    if isinstance(atom, Size):
        return (of[atom.source].shape or ())[atom.axis]
    value = of[atom.source].value if isinstance(atom, Value) and atom.source in of else None
    if value is None:
        raise MissingSizeError(f"memory: sizes rest on the value of {getattr(atom, 'source').name!r}: give it{at(here())}")  # noqa: B009
    return value


def _tensor(node: Node, kind: str, name: str | None, found: Mapping[str, int]) -> Tensor:
    shape = tuple(found[d.text] for d in node.outs[0].shape)
    own = repr(name) if name else "without a name" if node.op in (INPUT, SHARED) else node.op.name
    what = {"inputs": "input ", "shared": "shared variable ", "constants": "a constant "}.get(kind, "" if name else "the result of ")
    nbytes = math.prod(shape) * np.dtype(node.outs[0].dtype).itemsize if len(node.outs) == 1 else found[_bytes(node).text]
    return Tensor(what + own, kind, node.outs[0].dtype, shape, nbytes, node.source)
