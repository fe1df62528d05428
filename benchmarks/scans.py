"""Running sums beside NumPy and whichever of JAX, PyTorch, numba and PyTensor can be imported: python benchmarks/scans.py"""
from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import exprgraph as eg

CASES: list[tuple[str, tuple[int, ...], int]] = [
    ("1e3", (1000,), 0), ("1e5", (100_000,), 0), ("1e6", (1_000_000,), 0), ("1000 x 1000, rows", (1000, 1000), 1),
    ("1000 x 1000, columns", (1000, 1000), 0)]
ROUNDS, PER_ROUND = 15, 10
Call = Callable[[np.ndarray[Any, Any]], Any]


def ours(axis: int, rank: int) -> Call:
    """exprgraph on the default device."""
    x = eg.tensor("x", "float32", (None,) * rank)
    found: Call = eg.compile([x], x.cumsum(axis))
    return found


def with_jax(axis: int, rank: int) -> Call:
    """JAX, compiled, until the result is there."""
    jax = importlib.import_module("jax")
    f = jax.jit(lambda v: jax.numpy.cumsum(v, axis))
    return lambda v: f(v).block_until_ready()


def with_torch(axis: int, rank: int) -> Call:
    """PyTorch on the array's own memory."""
    torch = importlib.import_module("torch")
    return lambda v: torch.cumsum(torch.from_numpy(v), axis)


def with_numba(axis: int, rank: int) -> Call:
    """A loop compiled by numba; NumPy's cumsum, which numba has without an axis, for vectors only."""
    numba = importlib.import_module("numba")
    if rank > 1:
        raise ImportError("numba has no cumsum along an axis")
    found: Call = numba.njit(lambda v: np.cumsum(v))
    return found


def with_pytensor(axis: int, rank: int) -> Call:
    """PyTensor in its numba mode."""
    pytensor = importlib.import_module("pytensor")
    x = pytensor.tensor.TensorType("float32", (None,) * rank)("x")
    found: Call = pytensor.function([x], pytensor.tensor.cumsum(x, axis=axis), mode="NUMBA")
    return found


ENGINES: dict[str, Callable[[int, int], Call]] = {
    "exprgraph": ours, "NumPy": lambda axis, rank: lambda v: np.cumsum(v, axis), "JAX": with_jax, "PyTorch": with_torch,
    "numba": with_numba, "PyTensor": with_pytensor}


def ready(axis: int, value: np.ndarray[Any, Any]) -> Iterator[tuple[str, Call]]:
    """The engines that are installed and right."""
    exact = np.cumsum(value, axis, dtype="float64")
    for name, make in ENGINES.items():
        try:
            call = make(axis, value.ndim)
        except ImportError:
            continue
        np.testing.assert_allclose(np.asarray(call(value)), exact, rtol=1e-4, err_msg=name)
        yield name, call


def microseconds(calls: dict[str, Call], value: np.ndarray[Any, Any]) -> dict[str, float]:
    """The median over rounds of the time of a call; the engines take turns, and the last result is dropped."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(PER_ROUND):
                call(value)
            times[name].append((time.perf_counter() - start) / PER_ROUND * 1e6)
    return {name: float(np.median(t)) for name, t in times.items()}


def main() -> None:
    """Print a line for each case: microseconds of each engine, and the best other's over ours."""
    for title, shape, axis in CASES:
        value = np.random.default_rng(0).random(shape, "float32")
        found = microseconds(dict(ready(axis, value)), value)
        best = min(t for name, t in found.items() if name != "exprgraph")
        line = "  ".join(f"{name} {t:.1f}" for name, t in found.items())
        print(f"{title:22s} {line}  ratio {best / found['exprgraph']:.2f}", flush=True)


if __name__ == "__main__":
    main()
