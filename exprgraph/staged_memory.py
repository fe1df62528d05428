"""The memory of a program in stages: each keeps what stages before it gave, and the sizes that a call computes are told by name."""
from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exprgraph.errors import CallError, at, here
from exprgraph.footprint import KINDS, Footprint, Given, MissingSizeError
from exprgraph.node import INPUT, SHARED, Node
from exprgraph.program import Program
from exprgraph.stages import Read, Stage


def names(steps: Sequence[tuple[Stage, Any]]) -> dict[Node, str]:
    """What the sizes that a call computes are called, by the leaf that brings them: the user's name of the value, else size1, size2..."""
    found: dict[Node, str] = {}
    for stage, _ in steps:
        for read in stage.reads:
            wish = read.value.name or read.leaf.name
            found[read.leaf] = wish if wish and wish not in found.values() else f"size{len(found) + 1}"
    return found


def footprint(program: Program, steps: Sequence[tuple[Stage, Any]], given: Sequence[Given] | None,
              sizes: Mapping[str, int]) -> Footprint:
    """What a call takes; MissingSizeError where a size that a call computes was not told."""
    called = names(steps)
    strange = [s for s in sizes if s not in called.values()]
    if strange:
        raise CallError(f"memory: there is no input and no size called {', '.join(map(repr, strange))}; sizes that a call computes: "
                        f"{', '.join(called.values())}{at(here())}")
    if given is None:
        return _formulas(steps)
    known: dict[Node, Given] = dict(zip(program.leaves, given))
    outputs, n_outputs = program.graph.outputs, program.n_outputs
    shapes: list[tuple[int, ...]] = [()] * len(outputs)
    done, finished = [], {"outputs": 0, "updates": 0}
    for stage, run in steps:
        one = run.memory_of([known[n] for n in stage.takes], {})
        done.append(_beside(one, stage, known, called, finished))
        for key, shape in zip(stage.gives, one.shapes):
            if isinstance(key, int):
                shapes[key] = shape
                kind = "outputs" if key < n_outputs else "updates"
                finished[kind] += _size(shape, outputs[key].dtype)
            else:
                known[key] = Given(shape)
        for read in stage.reads:
            known[read.leaf] = Given((), _told(read, called[read.leaf], sizes))
    most = max(done, key=lambda one: one.peak or 0)
    return replace(most, formula=_formulas(steps).formula, shapes=tuple(shapes))


def _told(read: Read, name: str, sizes: Mapping[str, int]) -> int:
    if name not in sizes:
        raise MissingSizeError(f"memory: a call computes the size {name!r}{at(read.source)}: give it, f.memory(..., {name}=...)")
    return int(sizes[name])


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _beside(one: Footprint, stage: Stage, known: Mapping[Node, Given], computed: Collection[Node],
            finished: Mapping[str, int]) -> Footprint:
    """The memory of a stage with what it was given by others counted as intermediates, and beside it what it does not use and the
    `finished` results, in bytes by kind; computed: the leaves that bring sizes."""
    assert one.bytes is not None
    found, taken = {k: n + finished.get(k, 0) for k, n in one.bytes.items()}, set(stage.takes)
    for node, value in known.items():
        nbytes = _size(value.shape or (), node.outs[0].dtype)
        kind = {INPUT: "inputs", SHARED: "shared"}.get(node.op, "temporaries") if node not in computed else "temporaries"
        if node not in taken:
            found[kind] += nbytes
        elif kind == "temporaries":  # it came as an argument
            found["inputs"] -= nbytes
            found[kind] += nbytes
    for key, shape in zip(stage.gives, one.shapes):
        if not isinstance(key, int):  # for later stages
            nbytes = _size(shape, key.outs[0].dtype)
            found["updates"] -= nbytes
            found["temporaries"] += nbytes
    return replace(one, bytes=found, peak=sum(found.values()))


def _formulas(steps: Sequence[tuple[Stage, Any]]) -> Footprint:
    """The formulas of the stages, one after the other."""
    each: list[Footprint] = [run.memory_of(None, {}) for _, run in steps]
    told: list[dict[str, str]] = []
    for (stage, _), one in zip(steps, each):
        lines = dict(one.formula)
        if not any(isinstance(k, int) and k >= stage.program.n_outputs for k in stage.gives):  # what it gives is for later stages
            parts = [p for p in (lines["temporaries"], lines["updates"]) if p != "0"]
            lines |= {"temporaries": " + ".join(parts) or "0", "updates": "0"}
        told.append(lines)
    return replace(each[-1], formula={kind: ", then ".join(dict.fromkeys(one[kind] for one in told)) for kind in KINDS})
