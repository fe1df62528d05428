"""Products by our own kernels and by calls of BLAS, alone and with maps around them, beside NumPy: python -m benchmarks.products

What `codegen.products` takes for granted is read from this table.  Each engine has a process of its own, since BLAS keeps cores busy for a
while after each call; they run one after the other, and each figure is the least of many calls, in microseconds.
"""
from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Call = Callable[..., Any]
CUBES = (64, 96, 128, 192, 256, 384, 512, 1024)
SHAPES = ((128, 784, 512), (784, 128, 512), (128, 512, 10), (1000, 64, 100), (100, 500, 300))
KINDS = ("x@w", "x@w.T", "relu(x@w+b)", "tanh(x@w+b)", "c-0.1*(x@w)")
ENGINES = ("kernels", "calls", "numpy")
SECONDS = 0.08


def by_numpy(kind: str, x: Any, w: Any, b: Any, c: Any) -> Call:
    """NumPy as a careful user writes it."""
    def plain() -> Any:
        return np.dot(x, w)

    def with_map() -> Any:
        y = np.dot(x, w)
        y += b
        return np.maximum(y, 0, out=y) if kind.startswith("relu") else np.tanh(y, out=y)

    def step() -> Any:
        y = np.dot(x, w)
        y *= -0.1
        y += c
        return y
    return plain if kind.startswith("x") else step if kind.startswith("c") else with_map


def by_exprgraph(kind: str, dtype: str, engine: str) -> Call:
    """One of the two forms of a plan."""
    import codegen.forms as forms
    import exprgraph as eg
    from exprgraph.dims import constant
    always = constant(int(engine == "kernels"))
    forms.suits = lambda *_: always
    forms.disturbs = lambda *_: constant(0)
    x, w, b, c = eg.matrix("x", dtype), eg.matrix("w", dtype), eg.vector("b", dtype), eg.matrix("c", dtype)
    made = {"x@w": x @ w, "x@w.T": x @ w.T, "relu(x@w+b)": eg.relu(x @ w + b), "tanh(x@w+b)": eg.tanh(x @ w + b),
            "c-0.1*(x@w)": c - 0.1 * (x @ w)}
    found: Call = eg.compile([x, w, b, c], made[kind], on_unused_input="ignore")
    return found


def least(call: Call) -> float:
    """The shortest call, in microseconds."""
    call()
    call()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (start := time.perf_counter()) < end:
        call()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def rows(engine: str, dtype: str) -> Iterator[tuple[str, float]]:
    """All rows of an engine."""
    rng = np.random.default_rng(0)
    for kind in KINDS:
        compiled = None if engine == "numpy" else by_exprgraph(kind, dtype, engine)
        for m, k, n in (*((n, n, n) for n in CUBES), *SHAPES):
            x, w, b, c = (rng.standard_normal(s).astype(dtype) / 8 for s in ((m, k), (k, n), (n,), (m, n)))
            given = [x, w.T.copy() if kind == "x@w.T" else w, b, c]
            call = by_numpy(kind, x, given[1].T if kind == "x@w.T" else w, b, c) if compiled is None else lambda f=compiled, a=given: f(*a)
            yield f"{dtype} {m} x {k} x {n} {kind}", least(call)


def main() -> None:
    """Run each engine in its own process and print one table."""
    if len(sys.argv) == 3:
        print(json.dumps(dict(rows(*sys.argv[1:]))))
        return
    print(f"{'':46}" + "".join(f"{e:>12}" for e in ENGINES) + "   numpy/kernels  calls/kernels")
    for dtype in ("float32", "float64"):
        found = [json.loads(subprocess.run([sys.executable, "-m", "benchmarks.products", e, dtype], check=True, capture_output=True).stdout)
                 for e in ENGINES]
        for name in found[0]:
            own, calls, numpy = (f[name] for f in found)
            print(f"{name:46}{own:12.1f}{calls:12.1f}{numpy:12.1f}{numpy / own:16.2f}{calls / own:15.2f}", flush=True)


if __name__ == "__main__":
    main()
