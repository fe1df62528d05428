"""The engines: how each one turns the function of a workload and NumPy arrays into a call that can be timed.

The libraries are imported where an engine is opened: a process holds one engine only.
"""
from __future__ import annotations

import importlib
import importlib.metadata
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Call = Callable[..., Any]
Arrays = Sequence[Any]
Prepared = tuple[Call, tuple[Any, ...]]
DEVICE, TRUST = "EXPRGRAPH_BENCH_DEVICE", "EXPRGRAPH_BENCH_TRUST"
OURS = "exprgraph"


class Engine(NamedTuple):
    """module: where the functions of its workloads are.  package: what has to be installed.  open: makes `prepare`."""

    module: str
    package: str
    open: Callable[[], Callable[[Any, Arrays], Prepared]]


def _numpy() -> Callable[[Any, Arrays], Prepared]:
    return lambda function, arrays: (function, tuple(arrays))


def _ours() -> Callable[[Any, Arrays], Prepared]:
    import exprgraph as eg

    def prepare(function: Any, arrays: Arrays) -> Prepared:
        symbols = [eg.tensor(f"x{i}", a.dtype, a.ndim) for i, a in enumerate(arrays)]
        call = eg.compile(symbols, function(*symbols), device=os.environ.get(DEVICE))
        call.trust_input = TRUST in os.environ
        return call, tuple(arrays)
    return prepare


def _numexpr() -> Callable[[Any, Arrays], Prepared]:
    import numexpr
    numexpr.set_num_threads(os.cpu_count() or 1)

    def prepare(function: Any, arrays: Arrays) -> Prepared:
        names, text = function
        call = numexpr.NumExpr(text, signature=[(name.strip(), float) for name in names.split(",")])
        return call, tuple(arrays)
    return prepare


def _numba(parallel: bool) -> Callable[[Any, Arrays], Prepared]:
    import numba
    cache = numba.config.CACHE_DIR

    def prepare(function: Any, arrays: Arrays) -> Prepared:
        # numba's cache does not tell the two forms apart, so each gets a folder of its own
        numba.config.CACHE_DIR = os.path.join(cache, f"parallel-{parallel}") if cache else cache
        from_file = not function.__code__.co_filename.startswith("<")
        return numba.njit(parallel=parallel, fastmath={"reassoc"}, error_model="numpy", cache=from_file)(function), tuple(arrays)
    return prepare


def seconds_of(call: Call, arrays: Arrays, budget: float = 0.02) -> float:
    """The shortest of several calls after one that compiles."""
    call(*arrays)
    times: list[float] = []
    while len(times) < 3 or sum(times) < budget:
        start = time.perf_counter()
        call(*arrays)
        times.append(time.perf_counter() - start)
    return min(times)


def _jax() -> Callable[[Any, Arrays], Prepared]:
    import jax

    def prepare(function: Any, arrays: Arrays) -> Prepared:
        compiled, given = jax.jit(function), tuple(jax.numpy.asarray(a) for a in arrays)

        def several(*args: Any) -> Any:
            results = compiled(*args)
            for r in results:
                r.block_until_ready()
            return results
        return (several if isinstance(compiled(*given), tuple) else lambda *args: compiled(*args).block_until_ready()), given
    return prepare


def _torch(compiling: bool) -> Callable[[Any, Arrays], Prepared]:
    import torch
    torch.inference_mode().__enter__()
    torch.set_num_threads(os.cpu_count() or 1)

    def prepare(function: Any, arrays: Arrays) -> Prepared:
        torch.compiler.reset()
        call = torch.compile(function, dynamic=False) if compiling else function
        return call, tuple(torch.from_numpy(a) for a in arrays)
    return prepare


def _pytensor() -> Callable[[Any, Arrays], Prepared]:
    import pytensor
    import pytensor.tensor as pt
    pytensor.config.floatX = "float32"

    def prepare(function: Any, arrays: Arrays) -> Prepared:
        # lengths of 1 are told: PyTensor broadcasts only what it knows to be of length 1
        shapes = [tuple(1 if n == 1 else None for n in a.shape) for a in arrays]
        symbols = [pt.tensor(f"x{i}", dtype=a.dtype.name, shape=s) for i, (a, s) in enumerate(zip(arrays, shapes, strict=True))]
        outputs = function(*symbols)
        call = pytensor.function(symbols, list(outputs) if isinstance(outputs, tuple) else outputs)
        call.trust_input = True
        return call, tuple(arrays)
    return prepare


ENGINES = {
    OURS: Engine("ours", "exprgraph", _ours),
    "numpy": Engine("with_numpy", "numpy", _numpy),
    "numexpr": Engine("with_numexpr", "numexpr", _numexpr),
    "numba": Engine("with_numba", "numba", lambda: _numba(True)),
    "numba-serial": Engine("with_numba", "numba", lambda: _numba(False)),
    "jax": Engine("with_jax", "jax", _jax),
    "torch": Engine("with_torch", "torch", lambda: _torch(False)),
    "torch-compile": Engine("with_torch", "torch", lambda: _torch(True)),
    "pytensor": Engine("with_pytensor", "pytensor", _pytensor),
}
PEERS = tuple(name for name in ENGINES if name != OURS)
BESIDE = ("numba-serial",)
"""Peers that are another form of one: they are timed and shown, and counted in a mean of their own."""


def installed(name: str) -> bool:
    """Whether the library of an engine can be imported."""
    return importlib.util.find_spec(ENGINES[name].package) is not None


def function_of(engine: str, group: str, workload: str) -> Any:
    """What an engine runs for a workload of the sets that are written by hand, or None where it has no way to say it."""
    return getattr(importlib.import_module(f"tests.bench.{group}.{ENGINES[engine].module}"), workload, None)


def arrays_out(results: Any) -> list[np.ndarray]:
    """The outputs of a call as NumPy arrays."""
    return [np.asarray(r) for r in (results if isinstance(results, list | tuple) else [results])]
