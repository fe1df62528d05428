"""What a second process waits for: a script whose plans lie on disk, beside a bare script that runs the same kernels, and beside others.

The bare script imports numpy and pyopencl, opens the device, builds the very programs that ours builds and enqueues each kernel once.
`ours beyond bare` is all that exprgraph costs: its import, the user's graph, keys, plans and the first call.  Medians of interleaved runs
in fresh processes, in milliseconds; the cold run has empty caches, the driver's too.  PyTensor and JAX, where they are installed, run
the same training step: cold with an empty cache of compiled code, warm with what that run has left.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = """
import numpy as np, exprgraph as eg
X, y = eg.matrix("X"), eg.vector("y")
w = eg.shared(np.zeros(784, "f"), name="w")
p = eg.sigmoid(X @ w)
cost = eg.binary_crossentropy(p, y).mean() + 0.01 * (w ** 2).sum()
train = eg.compile([X, y], cost, updates={w: w - 0.1 * eg.grad(cost, w)}, device="pocl")
train(np.ones((100, 784), "f"), np.ones(100, "f"))
"""
BARE = """
import json, os, sys
import numpy as np, pyopencl as cl
platform = next(p for p in cl.get_platforms() if "Portable" in p.name)
devices = platform.get_devices()
context = cl.Context(devices)
queues = {d.name: cl.CommandQueue(context, d) for d in devices}
for name, options, text, heads in json.load(open(sys.argv[1])):
    device = next(d for d in devices if d.name == name)
    program = cl.Program(context, text)
    program.build(options, devices=[device])
    for head, pointers, integers in heads:
        kernel = cl.Kernel(program, head)
        buffers = [cl.Buffer(context, cl.mem_flags.READ_WRITE, 1 << 20) for _ in range(pointers)]
        kernel.set_args(*buffers, *[np.int32(1)] * integers)
        cl.enqueue_nd_range_kernel(queues[name], kernel, (1,), (1,))
    queues[name].finish()
"""
PYTENSOR = """
import numpy as np, pytensor, pytensor.tensor as pt
pytensor.config.floatX = "float32"
X, y = pt.matrix("X"), pt.vector("y")
w = pytensor.shared(np.zeros(784, "f"), name="w")
p = pt.sigmoid(X @ w)
cost = pt.nnet.binary_crossentropy(p, y).mean() if hasattr(pt, "nnet") else -(y * pt.log(p) + (1 - y) * pt.log(1 - p)).mean()
cost = cost + 0.01 * (w ** 2).sum()
train = pytensor.function([X, y], cost, updates={w: pt.cast(w - 0.1 * pytensor.grad(cost, w), "float32")})
train(np.ones((100, 784), "f"), np.ones(100, "f"))
"""
JAX = """
import numpy as np, jax, jax.numpy as jnp
def cost(w, X, y):
    p = jax.nn.sigmoid(X @ w)
    return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p)).mean() + 0.01 * (w ** 2).sum()
@jax.jit
def step(w, X, y):
    value, slope = jax.value_and_grad(cost)(w, X, y)
    return value, w - 0.1 * slope
step(np.zeros(784, "f"), np.ones((100, 784), "f"), np.full(100, 0.5, "f"))[0].block_until_ready()
"""
RECORD = """
import json, re, sys
import pyopencl as cl
made, build = [], cl.Program.build
def recorded(self, options=(), devices=None, **more):
    found = build(self, options, devices=devices, **more)
    heads = re.findall(r"__kernel void (k_\\w+)\\(([^)]*)\\)", self._source)
    made.append((devices[0].name, list(options), self._source, [(n, a.count("*"), a.count("const int ")) for n, a in heads]))
    return found
cl.Program.build = recorded
exec(open(sys.argv[1]).read())
json.dump(made, open(sys.argv[2], "w"))
"""


def milliseconds(script: str, settings: dict[str, str], *arguments: str) -> float:
    """The time of a script from the start of its interpreter to its end."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, env=settings, capture_output=True, text=True)
    took = 1e3 * (time.perf_counter() - start)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return took


def settings_in(folder: str) -> dict[str, str]:
    """An environment whose caches all lie in a folder; modules are compiled once."""
    found = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    own = {"POCL_CACHE_DIR": "pocl", "EXPRGRAPH_CACHE": "plans", "JAX_COMPILATION_CACHE_DIR": "jax", "XDG_CACHE_HOME": "xdg"}
    found |= {k: os.path.join(folder, v) for k, v in own.items()}
    return found | {"PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "POCL_DEVICES": "basic pthread", "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--peers", action="store_true", help="PyTensor and JAX too")
    chosen = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="exprgraph-warm-")
    try:
        print(table(folder, chosen.runs, chosen.peers))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(folder: str, runs: int, peers: bool) -> str:
    """The lines, measured in caches below a folder."""
    settings, programs, script = settings_in(folder), os.path.join(folder, "programs.json"), os.path.join(folder, "script.py")
    Path(script).write_text(OURS)
    milliseconds("import exprgraph, pyopencl, runtime.function, codegen.generate, exprgraph.passes", settings)  # modules compiled
    lines = [f"ours, cold            {milliseconds(OURS, settings):8.0f} ms"]
    milliseconds(RECORD, settings | {"EXPRGRAPH_NATIVE": "0"}, script, programs)
    milliseconds(BARE, settings, programs)
    cases = {"ours, warm": (OURS,), "bare script": (BARE, programs)}
    measured: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(runs):
        for name, (code, *arguments) in cases.items():
            measured[name].append(milliseconds(code, settings, *arguments))
    lines += [f"{name:20s}  {statistics.median(found):8.0f} ms   (least {min(found):.0f})" for name, found in measured.items()]
    beyond = statistics.median(a - b for a, b in zip(*measured.values()))
    lines.append(f"ours beyond bare      {beyond:8.0f} ms   ({len(json.loads(Path(programs).read_text()))} programs)")
    for name, code in {"PyTensor": PYTENSOR, "JAX": JAX}.items() if peers else ():
        cold = milliseconds(code, settings)
        warm = statistics.median(milliseconds(code, settings) for _ in range(max(3, runs // 3)))
        lines.append(f"{name:20s}  {warm:8.0f} ms   warm; cold {cold:.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
