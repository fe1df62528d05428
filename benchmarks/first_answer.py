"""How soon a function answers: compile and the first call, with background=True and without, in fresh processes with cold and warm caches.

    python -m benchmarks.first_answer
"""
from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CODE = """
import sys, time, numpy as np, exprgraph as eg
from exprgraph.compilation import compile
background = sys.argv[1] == "background"
def perceptron():
    X, y = eg.matrix("X"), eg.matrix("y")
    ws = [eg.shared(np.full(s, 0.01, "f4")) for s in ((64, 100), (100, 100), (100, 10))]
    h = X
    for w in ws[:-1]:
        h = eg.tanh(h @ w)
    cost = eg.categorical_crossentropy(eg.softmax(h @ ws[-1]), y).mean()
    return [X, y], cost, {w: w - 0.1 * eg.grad(cost, w) for w in ws}, [np.ones((32, 64), "f4"), np.ones((32, 10), "f4") / 10]
def small():
    x = eg.vector("x")
    return [x], eg.softmax(x * 2), None, [np.ones(1000, "f4")]
inputs, out, updates, values = {"perceptron": perceptron, "small": small}[sys.argv[2]]()
begin = time.perf_counter()
f = compile(inputs, out, updates=updates, device="pocl", background=background)
made = time.perf_counter()
f(*values)
first = time.perf_counter()
longest, calls = 0.0, 0
while not f.ready:
    start = time.perf_counter()
    f(*values)
    longest, calls = max(longest, time.perf_counter() - start), calls + 1
ready = time.perf_counter()
print(made - begin, first - begin, ready - begin, longest, calls)
"""


def row(way: str, name: str, caches: str, turns: int) -> list[float]:
    """The medians of what fresh processes print: seconds to the function, the first answer and the kernels, the longest call, calls."""
    found = []
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as fresh:
            folder = caches or fresh
            done = subprocess.run([sys.executable, "-c", CODE, way, name], capture_output=True, text=True, check=True, env={
                **os.environ, "POCL_CACHE_DIR": f"{folder}/pocl", "EXPRGRAPH_CACHE": f"{folder}/own"})
            found.append([float(n) for n in done.stdout.split()])
    return [statistics.median(column) for column in zip(*found)]


def main(turns: int = 5) -> None:
    """Print the table."""
    print(f"{'function':12} {'caches':6} {'way':11} {'function':>9} {'1st answer':>11} {'kernels':>9} {'longest call':>13} {'calls':>6} ms")
    with tempfile.TemporaryDirectory() as kept:
        for name in ("small", "perceptron"):
            for caches in ("cold", "warm"):
                for way in ("plain", "background"):
                    folder = str(Path(kept) / name) if caches == "warm" else ""
                    if folder:
                        row(way, name, folder, 1)
                    made, first, ready, longest, calls = row(way, name, folder, turns)
                    print(f"{name:12} {caches:6} {way:11} {made * 1e3:9.0f} {first * 1e3:11.0f} {ready * 1e3:9.0f} {longest * 1e3:13.1f} "
                          f"{calls:7.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
