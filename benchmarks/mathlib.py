"""Elementary functions: worst error found and time per element on PoCL, beside NumPy on the same values.

`python -m benchmarks.mathlib [--markdown] [NAME ...]`.  32768 elements, which stay in the cache; the device that runs in the calling
thread; least of many runs, ours and NumPy's taken in turn.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from runtime.pocl import dialect
from tests.math_kernels import COMPOSED, NAMES, SHORT, arity, errors, exact, launcher, meaning, program, samples

COUNT, REPEATS = 32768, 40
RANGES = {"exp": (-20, 20), "exp2": (-20, 20), "log": (1e-3, 1e3), "log2": (1e-3, 1e3), "log10": (1e-3, 1e3), "log1p": (-0.9, 100),
          "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "acosh": (1, 100),
          "pow": (0.1, 8), "sqrt": (0, 100), "rsqrt": (0.01, 100), "mod": (-100, 100)}


def least(runs: tuple[Callable[[], Any], ...]) -> list[float]:
    """The shortest time of each, in nanoseconds per element."""
    found = [float("inf")] * len(runs)
    for _ in range(REPEATS):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            for _ in range(4):
                run()
            found[i] = min(found[i], (time.perf_counter() - start) / 4)
    return [1e9 * t / COUNT for t in found]


def row(made: Any, name: str, dtype: str) -> tuple[str, str, str, str, str]:
    """Name, dtype, worst error, our time, NumPy's."""
    rng = np.random.default_rng(3)
    wide = samples(name, dtype, rng)
    run, out = launcher(made, name, wide)
    run()
    worst = errors(out, exact(name, wide)).max()
    arrays = [rng.uniform(*RANGES.get(name, (-6, 6)), COUNT).astype(dtype) for _ in range(arity(name))]
    ours, numpy = launcher(made, name, arrays)[0], meaning(name)
    target = np.empty_like(arrays[0])
    theirs = (lambda: numpy(*arrays)) if name in (*COMPOSED, "rsqrt") else lambda: numpy(*arrays, out=target)
    times = least((ours, theirs) if numpy else (ours,))
    return name, dtype, f"{worst:.2f}", f"{times[0]:.2f}", f"{times[1]:.2f}" if numpy else "-"


def main() -> None:
    """Print the table."""
    names = tuple(a for a in sys.argv[1:] if not a.startswith("-")) or NAMES
    made = program(dialect(), names)
    form = "| {} | {} | {} | {} | {} |" if "--markdown" in sys.argv else "{:8} {:8} {:>10} {:>12} {:>12}"
    print(form.format("function", "dtype", "worst ULP", "ns", "NumPy's ns"))
    if "--markdown" in sys.argv:
        print("| --- | --- | ---: | ---: | ---: |")
    with np.errstate(all="ignore"):
        for name in names:
            for dtype in SHORT:
                print(form.format(*row(made, name, dtype)))


if __name__ == "__main__":
    main()
