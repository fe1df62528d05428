"""What the first compile costs: logistic regression in fresh processes with empty caches, beside PyTensor's numba mode; in seconds.

Imports are left out; compile and first call are in, since both compilers leave work to the first call.
"""
from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 3
DATA = """
import time, numpy as np
images = np.random.default_rng(0).random((400, 784), "float32")
labels = (np.arange(400) % 2).astype("float32")
"""
OURS = DATA + """
import exprgraph as eg
import runtime.function
t = time.perf_counter()
X, y = eg.matrix("X"), eg.vector("y")
w = eg.shared(np.zeros(784, "float32"), name="w")
p = eg.sigmoid(X @ w)
cost = eg.binary_crossentropy(p, y).mean() + 0.01 * (w**2).sum()
train = eg.compile([X, y], cost, updates={w: w - 0.1 * eg.grad(cost, w)})
compiled = time.perf_counter() - t
loss = train(images, labels)
print(compiled, time.perf_counter() - t, float(loss))
"""
PYTENSOR = DATA + """
import pytensor, pytensor.tensor as pt
import numba
pytensor.config.floatX = "float32"
t = time.perf_counter()
X, y = pt.fmatrix("X"), pt.fvector("y")
w = pytensor.shared(np.zeros(784, "float32"), name="w")
p = pt.sigmoid(X @ w)
cost = -(y * pt.log(p) + (1 - y) * pt.log(1 - p)).mean() + np.float32(0.01) * (w**2).sum()
train = pytensor.function([X, y], cost, updates={w: w - np.float32(0.1) * pytensor.grad(cost, w)}, mode="NUMBA")
compiled = time.perf_counter() - t
loss = train(images, labels)
print(compiled, time.perf_counter() - t, float(loss))
"""


def seconds(program: str) -> tuple[float, float, float]:
    """Compile, compile and first call, and the loss, in a fresh process with caches of its own, which are empty."""
    with tempfile.TemporaryDirectory() as caches:
        settings = {**os.environ, "POCL_CACHE_DIR": f"{caches}/pocl", "XDG_CACHE_HOME": f"{caches}/xdg",
                    "NUMBA_CACHE_DIR": f"{caches}/numba", "PYOPENCL_NO_CACHE": "1",
                    "PYTENSOR_FLAGS": f"base_compiledir={caches}/pytensor", "PYTHONPATH": str(ROOT)}
        os.mkdir(f"{caches}/pocl")
        ran = subprocess.run([sys.executable, "-c", program], env=settings, cwd=caches, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    compiled, called, loss = map(float, ran.stdout.split()[-3:])
    return compiled, called, loss


def main() -> None:
    """Print the medians of interleaved runs."""
    found: dict[str, list[tuple[float, float, float]]] = {"exprgraph": [], "PyTensor (numba)": []}
    for _ in range(RUNS):
        for name, program in zip(found, (OURS, PYTENSOR)):
            found[name].append(seconds(program))
    print(f"{'seconds':20s} {'compile':>8s} {'with first call':>16s} {'loss':>8s}")
    for name, runs in found.items():
        compiled, called, loss = (statistics.median(column) for column in zip(*runs))
        print(f"{name:20s} {compiled:8.2f} {called:16.2f} {loss:8.4f}")


if __name__ == "__main__":
    main()
