"""Runs the kernels of plans on Oclgrind, a simulator that watches every access to memory, each buffer just as long as it is asked to be."""
from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from codegen import generate as generation
from codegen.interpret import Env, Memory, launch_of
from codegen.kernel import Kernel
from codegen.plan import Branch, Launch, Plan, Step
from codegen.printed import printed, program_source, program_text
from codegen.target import Target
from exprgraph.node import Graph
from exprgraph.pairs import decide
from tests.plan_runner import Sizes, run_plan, strided_layout

LOG = "OCLGRIND_LOG"
SETTINGS = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_UNINITIALIZED": "0", "OCLGRIND_NUM_THREADS": "1", "OCLGRIND_COMPUTE_UNITS": "4",
            "OCLGRIND_MAX_WGSIZE": "64", "OCLGRIND_MAX_ERRORS": "1000000", "OCLGRIND_UNIFORM_WRITES": "1"}
"""What is watched; few units and small groups, so that small arrays keep several groups busy."""
PLAIN = "-cl-opt-disable"
TARGETS = {"cpu": Target("cpu", 4, 32768, 64, True, False, 1024, "portable", "Oclgrind"),
           "gpu": Target("gpu", 4, 32768, 64, True, False, 1024, "portable", "Oclgrind")}


def driver() -> Path | None:
    """The file that tells the loader where Oclgrind is, or None where it is not installed."""
    import pyopencl
    place = Path(pyopencl.__file__).parent / ".libs" / "oclgrind.icd"
    return place if place.exists() else None


@lru_cache(maxsize=1)
def _queue() -> Any:
    from runtime import device
    return device.session(device.choose("oclgrind")).queue


@lru_cache(maxsize=64)
def _kernel(source: str, name: str) -> Any:
    import pyopencl as cl

    def built(*options: str) -> Any:
        return cl.Kernel(cl.Program(_queue().context, source).build(["-cl-std=CL1.2", *options], cache_dir=False), name)
    if os.environ["OCLGRIND_UNINITIALIZED"] == "1":
        return built(PLAIN)
    try:
        return built()
    except cl.LogicError:  # its optimiser makes instructions that it does not know, of |x| for one
        return built(PLAIN)


class Run:
    """Runs kernels of one plan, which share memory: what one leaves unwritten another must not read.

    kept: NumPy writes nothing meanwhile.
    """

    def __init__(self, kept: bool = True) -> None:
        self.kept = kept
        self.buffers: dict[int, tuple[np.ndarray[Any, Any], Any]] = {}

    def __call__(self, kernel: Kernel, memory: Memory, env: Env) -> None:
        """As `codegen.interpret.run`."""
        total, local, dims = launch_of(kernel, env)
        params = [(memory[p.name], p.access) for p in kernel.params] + ([(memory["flags"], "rw")] if kernel.flags else [])
        made = _kernel(program_source([kernel], "portable"), kernel.name)
        self._launch(made, params, [*map(np.int64 if kernel.wide else np.int32, dims)], total, local)

    def joined(self, step: Launch, memory: Memory, sizes: Sizes) -> None:
        """A launch that stands for several."""
        code = printed(Plan((), (step,), ()), "portable").steps[0].kernel
        params = [(memory[b], access) for b, access in zip(step.buffers, step.access)]
        dims = [(np.int64 if code.wide else np.int32)(sizes(d)) for d in step.dims]
        self._launch(_kernel(program_text([code], "portable"), code.name), params, dims, tuple(map(sizes, step.grid)), step.local)

    def _launch(self, made: Any, params: Sequence[tuple[np.ndarray[Any, Any], str]], dims: Sequence[Any], total: tuple[int, ...],
                local: tuple[int, ...]) -> None:
        import pyopencl as cl
        queue = _queue()
        if not self.kept:
            self.buffers.clear()
        buffers = [self.buffer(array, access) for array, access in params]
        for position, value in enumerate([*buffers, *dims]):
            made.set_arg(position, value)
        cl.enqueue_nd_range_kernel(queue, made, total, local)
        for (array, access), buffer in zip(params, buffers):
            if access != "r":
                cl.enqueue_copy(queue, array, buffer)
        queue.finish()

    def buffer(self, array: np.ndarray[Any, Any], access: str) -> Any:
        """The buffer that stands for an array; what is written first has no values before."""
        import pyopencl as cl
        if id(array) not in self.buffers:
            whole, flags = np.ascontiguousarray(array), cl.mem_flags.READ_WRITE
            made = cl.Buffer(_queue().context, flags, whole.nbytes) if access == "w" else cl.Buffer(
                _queue().context, flags | cl.mem_flags.COPY_HOST_PTR, hostbuf=whole)
            self.buffers[id(array)] = array, made
        return self.buffers[id(array)][1]


class Plans:
    """The plans of one graph for one target, made when sizes first ask for them; general: the plan for all sizes; wide: with indices
    of 64 bits."""

    def __init__(self, graph: Graph, target: Target, general: bool = False, wide: bool = False) -> None:
        self.graph, self.target, self.general, self.wide = graph, target, general, wide
        self.leaves = [i.node for i in graph.inputs]
        self.made: dict[Any, Plan] = {}

    def of(self, values: list[np.ndarray[Any, Any]]) -> Plan:
        """The plan for these arguments."""
        outcomes = None if self.general else decide(generation.uncertain(self.graph), Sizes(self.leaves, values))
        layouts = tuple(map(strided_layout, values))
        if (outcomes, layouts) not in self.made:
            self.made[outcomes, layouts] = generation.generate(self.graph, self.leaves, outcomes, layouts, self.wide, self.target)
        return self.made[outcomes, layouts]

    def variants(self, values: list[np.ndarray[Any, Any]]) -> int:
        """How many variants there are at most at one place of the plan."""
        return _most(self.of(values).steps)

    def outputs(self, values: list[np.ndarray[Any, Any]], variant: int | None = None) -> list[np.ndarray[Any, Any]]:
        """The outputs, by one variant of each branch if asked."""
        return run_plan(self.of(values), values, Sizes(self.leaves, values), runner=Run(not self.target.host_shared), variant=variant)


def _most(steps: Sequence[Step]) -> int:
    branches = [s for s in steps if isinstance(s, Branch)]
    return max((max(len(b.variants), *map(_most, b.variants)) for b in branches), default=1)


def said() -> str:
    """What Oclgrind has written so far, which is then forgotten.

    A loop of compare-and-swap begins with a guess, which it reads as it is: another may write meanwhile, and then the swap fails and
    says what is there.  Such a pair is no race.
    """
    place = Path(os.environ[LOG])
    text = place.read_text().replace("\0", "") if place.exists() else ""
    if text:
        os.truncate(place, 0)
    return "\n".join(r.strip() for r in re.split(r"\n(?=[A-Z])", text) if r.strip() and not guess(r))


def guess(report: str) -> bool:
    """Whether a report is about a guess, the one thing that our kernels read as volatile, and a swap."""
    guesses, swaps = re.findall(r"= load volatile i(?:32|64),", report), re.findall(r"call .*@_Z\d+ato\w+_cmpxchg", report)
    return report.startswith("Read-write data race") and len(guesses) == len(swaps) == 1
