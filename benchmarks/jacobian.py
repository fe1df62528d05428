"""Jacobians and Hessians: one batch beside a loop over rows, and beside JAX.

    python -m benchmarks.jacobian [--seconds 0.3]

The function has 200 results and 100 arguments: tanh of a product of tanh of a product.  Its compile time is that of the first
call, in a process that has compiled another function before.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import exprgraph as eg

RESULTS, HIDDEN, ARGUMENTS, DIMENSIONS = 200, 150, 100, 50


def microseconds(call: Callable[[], Any], seconds: float) -> float:
    """The lower quartile of the time of a call."""
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * sorted(times)[len(times) // 4]


def jacobians(rng: np.random.Generator) -> dict[str, tuple[float, Callable[[], Any]]]:
    """Seconds of the first call, and a call, by name."""
    v, w, at = (rng.standard_normal(s).astype("float32") for s in ((RESULTS, HIDDEN), (HIDDEN, ARGUMENTS), (ARGUMENTS,)))
    x, i = eg.vector("x"), eg.lscalar("i")
    y = eg.tanh(eg.shared(v) @ eg.tanh(eg.shared(w) @ x) / 10)
    made = {}
    for mode in ("reverse", "forward"):
        start = time.perf_counter()
        f = eg.compile([x], eg.jacobian(y, x, mode=mode))
        f(at)
        made[f"{mode} mode, one batch"] = time.perf_counter() - start, lambda f=f: f(at)
    start = time.perf_counter()
    row = eg.compile([x, i], eg.grad(y[i], x))
    row(at, 0)
    made["row by row"] = time.perf_counter() - start, lambda: np.stack([row(at, k) for k in range(RESULTS)])
    return made | of_jax(v, w, at)


def of_jax(v: Any, w: Any, at: Any) -> dict[str, tuple[float, Callable[[], Any]]]:
    """The same by JAX, where it is installed."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return {}
    made = {}
    for name, transform in (("JAX, jacrev", jax.jacrev), ("JAX, jacfwd", jax.jacfwd)):
        start = time.perf_counter()
        f = jax.jit(transform(lambda x: jnp.tanh(v @ jnp.tanh(w @ x) / 10)))
        np.asarray(f(at))
        made[name] = time.perf_counter() - start, lambda f=f: np.asarray(f(at))
    return made


def hessians(rng: np.random.Generator) -> dict[str, tuple[float, Callable[[], Any]]]:
    """A Hessian of fifty dimensions."""
    m, at = rng.standard_normal((DIMENSIONS, DIMENSIONS)).astype("float32"), rng.standard_normal(DIMENSIONS).astype("float32")
    z = eg.vector("z")
    start = time.perf_counter()
    f = eg.compile([z], eg.hessian(eg.logsumexp(eg.shared(m) @ z / 10) + (z ** 4).sum() / 12, z))
    f(at)
    return {"Hessian, 50 dimensions": (time.perf_counter() - start, lambda: f(at))}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Jacobians and Hessians")
    parser.add_argument("--seconds", type=float, default=0.3, help="how long to time each")
    seconds = parser.parse_args().seconds
    warm = eg.vector()
    eg.compile([warm], warm + 1)(np.zeros(3, "float32"))
    print("| | first call, s | a call, us |\n|---|---|---|")
    rng = np.random.default_rng(0)
    for name, (first, call) in (jacobians(rng) | hessians(rng)).items():
        print(f"| {name} | {first:.2f} | {microseconds(call, seconds):.1f} |")


if __name__ == "__main__":
    main()
