"""Runs plans without a device: every kernel in the tree interpreter, with its checks of bounds and races.

Only a quarter of the tests, chosen by their names, makes whole plans and prints their kernels.  The others make the variants that they
run, and print nothing: that is most of what a plan costs, and the interpreter does not need it.
"""
from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any

import numpy as np

from codegen import generate as generation
from codegen import variants
from codegen.growth import grown
from codegen.interpret import run
from codegen.kernel import frame
from codegen.plan import Branch, Check, HostCall, Launch, Plan
from codegen.target import Target
from exprgraph.dims import Dim, Size, Stride, atoms
from exprgraph.errors import at
from exprgraph.node import Graph, Node
from exprgraph.pairs import decide
from exprgraph.size_program import program
from runtime.hosted import hosted

CPU = Target("cpu", 2, 32768, 256, True, True, 1024, "pocl", "the interpreter")
GPU = Target("gpu", 4, 32768, 16, True, False, 1024, "portable", "the interpreter")


@contextmanager
def unprinted() -> Iterator[None]:
    """Kernels get numbers for names instead of the digests of their texts."""
    numbers, before = count(), variants.named
    variants.named = lambda kernel, dialect: (kernel._replace(name=f"k_{next(numbers):012x}"), frame(kernel))
    try:
        yield
    finally:
        variants.named = before


@contextmanager
def growing() -> Iterator[None]:
    """Of each plan only the first variants are made with it, others when they are wanted."""
    before = generation._shared
    generation._shared = lambda fusions, target, later: before(fusions, target, True)
    try:
        yield
    finally:
        generation._shared = before


def prints() -> bool:
    """Whether the test that is running is among those that make and print all of what they interpret."""
    return zlib.crc32(os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].encode()) % 4 == 0


def strided_layout(array: np.ndarray) -> str:
    """The layout class of an argument."""
    if array.flags.c_contiguous:
        return "C"
    return "S" if array.ndim and array.strides[-1] == array.itemsize else "T"


class Sizes:
    """The values of Dims for one call."""

    def __init__(self, leaves: list[Node], values: list[np.ndarray]) -> None:
        self.by_uid = {n.uid: v for n, v in zip(leaves, values)}
        self.known: dict[str, int] = {}

    def __call__(self, dim: Dim) -> int:
        """The number that a Dim stands for."""
        if dim.const is not None:
            return dim.const
        if dim.text not in self.known:
            found = atoms([dim])
            self.known[dim.text] = program([dim], found)([self._atom(a) for a in found])[0]
        return self.known[dim.text]

    def _atom(self, atom) -> int:
        value = self.by_uid[atom.source.uid]
        if isinstance(atom, Size):
            return value.shape[atom.axis]
        return value.strides[atom.axis] // value.itemsize if isinstance(atom, Stride) else int(value)


def interpret(graph: Graph, leaves: list[Node], values: list[np.ndarray], target: Target, general: bool = False,
              last: bool = False, runner: Callable[..., None] = run, options: Mapping[str, Any] | None = None,
              whole: bool | None = None) -> list[np.ndarray]:
    """The outputs of a graph by generated trees.

    general: by the plan that leaves all sizes undecided.  last: by the last variant of each branch, whatever the sizes say.  runner:
    what runs a kernel.  options: those of `compile`.  whole: whether variants are made too that are not run; None: in a quarter of the
    tests.
    """
    sizes = Sizes(leaves, values)
    for needed in generation.requirements(graph):
        left, right = sizes(needed.condition.left), sizes(needed.condition.right)
        if not needed.condition.holds(left, right):
            raise needed.condition.error(needed.condition.message.format(left=left, right=right))
    outcomes = decide(generation.uncertain(graph), sizes)
    layouts = [strided_layout(v) for v in values]
    printed = runner is not run or prints()
    with nullcontext() if printed else unprinted():
        with nullcontext() if printed and whole is None or whole else growing():
            plan = generation.generate(graph, leaves, None if general else outcomes, layouts, False, target, options=options)
        plan = grown(plan, lambda branch: [taken(branch, sizes, -1 if last else None)])
    return run_plan(plan, values, sizes, last, runner)


def _flat(value: np.ndarray) -> np.ndarray:
    """The memory that an argument spans, as a flat array."""
    if not value.size:
        return np.zeros(1, value.dtype)
    span = 1 + sum((n - 1) * s // value.itemsize for n, s in zip(value.shape, value.strides))
    return np.lib.stride_tricks.as_strided(value, (span,), (value.itemsize,))


def run_plan(plan: Plan, values: list[np.ndarray], sizes: Sizes, last: bool = False, runner: Callable[..., None] = run,
             variant: int | None = None) -> list[np.ndarray]:
    """Run the steps of a plan, by the last variant of each branch or the one of a number where that is asked for."""
    memory: dict[str, np.ndarray] = {"flags": np.zeros(4, "int64")}
    for buffer in plan.buffers:
        if buffer.role == "leaf":
            memory[buffer.name] = _flat(values[buffer.number])
        elif buffer.role == "constant":
            memory[buffer.name] = _flat(np.ascontiguousarray(buffer.data))
        else:
            memory[buffer.name] = np.zeros(max(sizes(buffer.size), 1), buffer.dtype)
    _steps(plan.steps, memory, sizes, -1 if last else variant, runner)
    return [_view(memory, o, sizes).copy() for o in plan.outputs]


def _view(memory, operand, sizes) -> np.ndarray:
    base = memory[operand.buffer][sizes(operand.offset):]
    shape = tuple(sizes(d) for d in operand.shape)
    return np.lib.stride_tricks.as_strided(base, shape, tuple(sizes(s) * base.itemsize for s in operand.strides))


def taken(branch: Branch, sizes: Sizes, variant: int | None) -> int:
    """The variant that is run: the one that sizes pick, unless a number is given."""
    last = len(branch.variants) - 1
    return sizes(branch.pick) if variant is None else last if variant < 0 else min(variant, last)


def _steps(steps, memory, sizes, variant, runner) -> None:
    for step in steps:
        if isinstance(step, Launch) and step.parts and not hasattr(runner, "joined"):
            _steps(step.parts, memory, sizes, variant, runner)
        elif isinstance(step, Launch):
            if step.parts and all(sizes(g) for g in step.grid):
                runner.joined(step, memory, sizes)
            elif all(sizes(g) for g in step.grid):
                local = {p.name: memory[b] for p, b in zip(step.kernel.params, step.buffers)}
                runner(step.kernel, local | ({"flags": memory["flags"]} if step.kernel.flags else {}), sizes)
        elif isinstance(step, HostCall):
            inputs, out = [_view(memory, o, sizes) for o in step.inputs], _view(memory, step.output, sizes)
            np.matmul(*inputs, out=out) if step.function == "matmul" else hosted(step.function, step.params)(*inputs, out=out)
        elif isinstance(step, Branch):
            _steps(step.variants[taken(step, sizes, variant)], memory, sizes, variant, runner)
        elif isinstance(step, Check) and memory["flags"][0]:
            site = step.sites[int(memory["flags"][0]) - 1]
            raise site.error(site.message.format(index=memory["flags"][1], size=memory["flags"][2]) + at(site.source))
