"""What device arrays cost: calls on them beside calls on NumPy's arrays, the time until a long call returns, and conversions.

`python benchmarks/device_arrays.py` prints microseconds, the shortest of rounds in which all ways of a row take turns: what others do
on the machine makes times longer, never shorter.  `--separate` treats the device as one with memory of its own, where NumPy's arrays
are copied there and back.
"""
from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import exprgraph as eg
from runtime import arrays, device, function
from runtime.memory import account

ROUNDS, SECONDS = 200, 0.001
F = np.dtype("float32")
Ways = Mapping[str, Callable[[], Any]]


def _separate() -> str:
    """PoCL as a device with memory of its own."""
    found = device.choose("pocl")
    target = found.target._replace(host_shared=False)
    dressed = device.Device(**{**found.__dict__, "spec": "separate", "target": target, "sibling": None})
    arrays.choose = function.choose = lambda spec: dressed  # type: ignore[assignment]
    return "separate"


def timed(ways: Ways) -> dict[str, float]:
    """Microseconds per call of each way."""
    timers = {name: timeit.Timer(way) for name, way in ways.items()}
    counts = {name: max(1, int(SECONDS / max(t.timeit(3) / 3, 1e-7))) for name, t in timers.items()}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, timer in timers.items():
            found[name].append(timer.timeit(counts[name]) / counts[name] * 1e6)
    return {name: min(times) for name, times in found.items()}


def shown(title: str, ways: Ways) -> None:
    """Print a row of the table."""
    print(f"| {title} | " + " | ".join(f"{name} {us:.3g}" for name, us in timed(ways).items()) + " |", flush=True)


def _jax(expression: Callable[[Any, Any], Any], value: Any) -> Ways:
    """The same in JAX on arrays of its own, waited for."""
    try:
        import jax
    except ImportError:
        return {}
    f, x = jax.jit(lambda v: expression(jax.numpy, v)), jax.numpy.asarray(value)
    return {"jax": lambda: f(x).block_until_ready()}


def _chain(count: int, spec: str) -> None:
    """Three functions, each on the result of the one before."""
    v, a = eg.vector("v"), np.linspace(0, 1, count, dtype=F)
    steps = [2 * v + 1, eg.tanh(v), v * v]
    stay, back = ([eg.compile([v], s, device=spec, output=place) for s in steps] for place in ("device", "host"))
    x = eg.array(a, device=spec)
    shown(f"three functions in a row, {count:,}", {
        "device arrays": lambda: stay[2](stay[1](stay[0](x))).wait(), "NumPy arrays": lambda: back[2](back[1](back[0](a)))})
    found = account(arrays.choose(spec).spec)
    there, here = found.uploads, found.downloads
    stay[2](stay[1](stay[0](x))).wait()
    print(f"| copies for device arrays in a row, {count:,} | {found.uploads - there} there, {found.downloads - here} back |")


def _small(count: int, spec: str) -> None:
    v, a = eg.vector("v"), np.linspace(0, 1, count, dtype=F)
    x, out = eg.array(a, device=spec), 2 * v + 3 * v * v
    host, stays = eg.compile([v], out, device=spec), eg.compile([v], out, device=spec, output="device")
    shown(f"2v + 3v², {count:,}", {
        "NumPy in and out": lambda: host(a), "device array in": lambda: host(x), "in and out": lambda: stays(x),
        "in and out, waited for": lambda: stays(x).wait(), **_jax(lambda _, v: 2 * v + 3 * v * v, a)})


def _returns(spec: str) -> None:
    """How soon a long call is back, and how soon it has been made."""
    v, a = eg.vector("v"), np.linspace(0, 1, 1 << 23, dtype=F)
    x = eg.array(a, device=spec)
    host, stays = eg.compile([v], eg.exp(eg.sin(v)), device=spec), eg.compile([v], eg.exp(eg.sin(v)), device=spec, output="device")
    back, made, waited = list[float](), list[float](), list[float]()
    for _ in range(30):
        start = timeit.default_timer()
        y = stays(x)
        back.append(timeit.default_timer() - start)
        y.wait()
        made.append(timeit.default_timer() - start)
        start = timeit.default_timer()
        host(a)
        waited.append(timeit.default_timer() - start)
    us = [min(times) * 1e6 for times in (back, made, waited)]
    print(f"| exp(sin(v)), {1 << 23:,} | returns {us[0]:.3g} | has been made {us[1]:.3g} | NumPy in and out {us[2]:.3g} |")


def _conversions(spec: str) -> None:
    a = np.ones(1 << 24, F)
    x = eg.array(a, device=spec)
    ways: dict[str, Callable[[], Any]] = {
        "np.asarray": lambda: np.asarray(x), "np.array, a copy": lambda: np.array(x), "eg.array, a copy": lambda: eg.array(a, device=spec),
        "from_dlpack": lambda: eg.from_dlpack(a, device=spec), "to_pyopencl": lambda: eg.to_pyopencl(x)}
    shown("64 MiB", ways)


def main() -> None:
    """Print all rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="pocl")
    parser.add_argument("--separate", action="store_true")
    given = parser.parse_args()
    spec = _separate() if given.separate else given.device
    _small(1, spec)
    _small(1000, spec)
    _chain(1000, spec)
    _chain(1_000_000, spec)
    _returns(spec)
    _conversions(spec)


if __name__ == "__main__":
    main()
