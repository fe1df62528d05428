"""The tree interpreter: a scheduled kernel runs in Python on flat NumPy arrays, with every access checked."""
from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from codegen.interpret_checks import Guard, Log
from codegen.interpret_source import FLAGS, Source, number_of, python_of
from codegen.kernel import Kernel, dims_of, geometry
from exprgraph.dims import Dim, atoms
from exprgraph.size_program import program

Memory = dict[str, np.ndarray[Any, Any]]
Env = Mapping[str, int] | Callable[[Dim], int]
_KEPT = 256
_compiled: OrderedDict[tuple[int, bool], tuple[Kernel, Source]] = OrderedDict()


def values_of(dims: Sequence[Dim], env: Env) -> tuple[int, ...]:
    """The values of Dims: env is a function of a Dim, or the values of leaf atoms by their text."""
    if callable(env):
        return tuple(int(env(d)) for d in dims)
    leaves = atoms(dims)
    return program(dims, leaves)([env[a.text] for a in leaves])


def launch_of(kernel: Kernel, env: Env) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """What a launch needs: the number of work-items and the local size per axis, and the values of the kernel's Dims."""
    totals, local = geometry(kernel.body)
    return (tuple(number_of(t, lambda dim: values_of((dim,), env)[0]) for t in totals), local, values_of(dims_of(kernel.body), env))


def run(kernel: Kernel, memory: Memory, env: Env) -> None:
    """Run a scheduled kernel on flat arrays by buffer name ("flags", int64[4], too where it can report faults).

    Raises OutOfBounds, Race, BarrierDivergence, UninitialisedRead or IndexOverflow where the kernel is wrong, ValueError where it is
    unscheduled or the memory does not fit it.
    """
    total, local, dims = launch_of(kernel, env)
    items = 1
    for size in total:
        items *= size
    source = _source(kernel, items > 1)
    arrays = _arrays(kernel, memory, env)
    written = {p.name: bytearray(len(arrays[p.name])) for p in kernel.params if p.access == "w"}
    logs = {p.name: Log() for p in kernel.params if p.access != "r"}
    with np.errstate(all="ignore"):
        _groups(source, Guard(kernel.name), (arrays, written, logs), dims, total, local)


def _source(kernel: Kernel, tracked: bool) -> Source:
    key = (id(kernel), tracked)
    if key not in _compiled:
        _compiled[key] = kernel, python_of(kernel, tracked)
        if len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return _compiled[key][1]


def _arrays(kernel: Kernel, memory: Memory, env: Env) -> Memory:
    arrays = {}
    for param, size in zip(kernel.params, values_of([p.size for p in kernel.params], env)):
        array = memory[param.name]
        if array.ndim != 1 or array.dtype.name != param.dtype or array.size < size:
            raise ValueError(f"kernel {kernel.name}: {param.name} must be a flat {param.dtype} array of at least {size} elements, "
                             f"not {array.dtype}{array.shape}")
        arrays[param.name] = array[:max(size, 1)]  # no buffer is without an element
    if kernel.flags:
        arrays[FLAGS] = memory[FLAGS]
    return arrays


def _groups(source: Source, guard: Guard, memory: tuple[Any, ...], dims: tuple[int, ...], total: Sequence[int],
            local: Sequence[int]) -> None:
    """Run the work-groups one after another; the items of a group step from barrier to barrier together."""
    arrays, written, logs = memory
    counts = [t // n for t, n in zip(total, local)]
    places = list(itertools.product(*map(range, local)))
    for number, group in enumerate(itertools.product(*map(range, counts))):
        shared = {name: [None] * size for name, size in source.local.items()}
        local_logs = {name: Log() for name in source.local}
        item = source.bind(guard, arrays, written, logs | local_logs, shared, dims, group, number)
        first = number * len(places)
        if not source.barriers:
            for offset, place in enumerate(places):
                item(place, first + offset)
            continue
        running = [item(place, first + offset) for offset, place in enumerate(places)]
        while guard.meet([next(r, None) for r in running]):
            pass
