"""The memory of a program in stages: each keeps what stages before it gave, and the sizes that a call computes are told by name."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exprgraph.dims import constant, product
from exprgraph.errors import at, here
from exprgraph.footprint import KINDS, Footprint, Given, MissingSizeError, Tensor, check_sizes, largest
from exprgraph.node import INPUT, SHARED, Node, Out
from exprgraph.program import Program
from exprgraph.readable import readable
from exprgraph.stages import Read, Stage
from exprgraph.within import beside


def footprint(program: Program, steps: Sequence[tuple[Stage, Any]], given: Sequence[Given] | None,
              sizes: Mapping[str, int]) -> Footprint:
    """What a call takes; MissingSizeError where a size that a call computes was not told."""
    computed = {r.leaf: str(r.leaf.name) for stage, _ in steps for r in stage.reads}
    check_sizes(sizes, tuple(computed.values()))
    if given is None:
        return _formulas(program, steps)
    known: dict[Node, Given] = dict(zip(program.leaves, given))
    outputs = program.graph.outputs
    shapes: list[tuple[int, ...]] = [()] * len(outputs)
    done, finished = list[Footprint](), list[Tensor]()
    for stage, run in steps:
        lives = {n: _tensor(n, v.shape or (), n in computed) for n, v in known.items()}
        taken = [lives.pop(n) for n in stage.takes]
        with beside(stage.program.options, sum(t.nbytes for t in (*lives.values(), *finished))):
            one = run.memory_of([known[n] for n in stage.takes], {})
        done.append(_beside(one, stage, taken, [*lives.values(), *finished]))
        for key, shape in zip(stage.gives, one.shapes):
            if isinstance(key, int):
                shapes[key] = shape
                finished.append(_result(outputs[key], key, program.n_outputs, shape))
            else:
                known[key] = Given(shape)
        for read in stage.reads:
            known[read.leaf] = Given((), _told(read, computed[read.leaf], sizes))
        for node in stage.last:
            del known[node]
    most = max(done, key=lambda one: one.peak or 0)
    return replace(most, formula=_formulas(program, steps).formula, shapes=tuple(shapes))


def _told(read: Read, name: str, sizes: Mapping[str, int]) -> int:
    if name not in sizes:
        line = f" (at {read.source})" if read.source else ""
        raise MissingSizeError(f"memory: a call computes the size {name!r}{line}: give it, f.memory(..., {name}=...){at(here())}")
    return int(sizes[name])


def _tensor(node: Node, shape: tuple[int, ...], computed: bool) -> Tensor:
    """What lives between stages: an argument, a shared variable, or what a stage has given; computed: a size that is read."""
    kind = "temporaries" if computed else {INPUT: "inputs", SHARED: "shared"}.get(node.op, "temporaries")
    name = repr(node.name) if node.name else f"the result of {node.op.name}" if kind == "temporaries" else "without a name"
    what = {"inputs": "input ", "shared": "shared variable "}.get(kind, "") + name
    return Tensor(what, kind, node.outs[0].dtype, shape, _size(shape, node.outs[0].dtype), node.source)


def _result(out: Out, number: int, n_outputs: int, shape: tuple[int, ...]) -> Tensor:
    kind = "outputs" if number < n_outputs else "updates"
    what = (f"output {number}" if kind == "outputs" else "the new value of a shared variable") + (f", {out.name!r}" if out.name else "")
    return Tensor(what, kind, out.dtype, shape, _size(shape, out.dtype), out.node.source)


def _sum(nodes: Iterable[Node]) -> str:
    """The bytes of some leaves as a formula."""
    total = constant(0)
    for node in nodes:
        total = total + product(node.outs[0].shape) * np.dtype(node.outs[0].dtype).itemsize
    return readable(total)


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _beside(one: Footprint, stage: Stage, taken: Sequence[Tensor], others: Sequence[Tensor]) -> Footprint:
    """The memory of a stage with that of `others`, which live meanwhile; what earlier stages gave is no argument, what it gives to
    later ones no update."""
    assert one.bytes is not None
    found = dict(one.bytes)
    for tensor in others:
        found[tensor.kind] += tensor.nbytes
    moved = [("inputs", t.nbytes) for t in taken if t.kind == "temporaries"]
    moved += [("updates", _size(s, k.outs[0].dtype)) for k, s in zip(stage.gives, one.shapes) if not isinstance(k, int)]
    for kind, nbytes in moved:
        found[kind] -= nbytes
        found["temporaries"] += nbytes
    given = {f"input {leaf.name!r}": t for leaf, t in zip(stage.program.leaves, taken) if t.kind == "temporaries"}
    most = largest([*(given.get(t.name, t) for t in one.largest), *others])
    return replace(one, bytes=found, peak=sum(found.values()), largest=most)


def _formulas(program: Program, steps: Sequence[tuple[Stage, Any]]) -> Footprint:
    """The formulas of the stages, one after the other; arguments and shared variables live as long as the call."""
    each: list[Footprint] = [run.memory_of(None, {}) for _, run in steps]
    told: list[dict[str, str]] = []
    for (stage, _), one in zip(steps, each):
        lines = dict(one.formula) | {"inputs": _sum(n for n in program.leaves if n.op is INPUT),
                                     "shared": _sum(n for n in program.leaves if n.op is SHARED)}
        carried = [_sum(leaf for n, leaf in zip(stage.takes, stage.program.leaves) if n not in program.leaves)]
        lines["temporaries"] = " + ".join(p for p in (*carried, lines["temporaries"]) if p != "0") or "0"
        if not any(isinstance(k, int) and k >= program.n_outputs for k in stage.gives):  # what it gives is for later stages
            parts = [p for p in (lines["temporaries"], lines["updates"]) if p != "0"]
            lines |= {"temporaries": " + ".join(parts) or "0", "updates": "0"}
        told.append(lines)
    return replace(each[-1], formula={kind: ", then ".join(dict.fromkeys(one[kind] for one in told)) for kind in KINDS})
