"""The share of the machine's bandwidth: large fused kernels beside the best plain C loop on as many threads as there are cores.

The C loops write into one buffer that is there already, so they pay no page faults; ours makes a new result in each call.
"""
from __future__ import annotations

import ctypes
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ELEMENTS, SHARE, ROUNDS = 16_000_000, 0.85, 15
SOURCE = Path(__file__).with_name("loops.c")
FORMS = {"plain": 0, "streamed": 1}


class Kernel(NamedTuple):
    """number: in loops.c.  arrays: how many of n elements are read and written.  expression: of symbols or arrays."""

    name: str
    number: int
    arrays: int
    expression: Callable[[Any, Any], Any]


KERNELS = (
    Kernel("2x+3xy-x*x", 0, 3, lambda x, y: 2 * x + 3 * x * y - x * x),
    Kernel("x+y", 1, 3, lambda x, y: x + y),
    Kernel("2x", 2, 2, lambda x, y: 2 * x),
    Kernel("sum((x-y)²)", 3, 2, lambda x, y: ((x - y) ** 2).sum()),
)


class Measured(NamedTuple):
    """Seconds of the best C form and of ours, with the last result dropped and kept."""

    kernel: Kernel
    form: str
    plain: float
    dropped: float
    kept: float

    def share(self, seconds: float) -> float:
        """The part of the bandwidth of the C loop that is reached."""
        return self.plain / seconds


def library(folder: str) -> Any:
    """The C loops, compiled with the compiler on PATH."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("--bandwidth needs gcc on PATH")
    made = Path(folder) / "loops.so"
    subprocess.run([compiler, "-O3", "-march=native", "-shared", "-fPIC", "-pthread", "-o", str(made), str(SOURCE)], check=True)
    run = ctypes.CDLL(str(made)).run
    run.restype = ctypes.c_float
    run.argtypes = [ctypes.c_int, ctypes.c_int, *[ctypes.c_void_p] * 3, ctypes.c_size_t, ctypes.c_int]
    return run


def aligned(n: int) -> np.ndarray:
    """An array of zeros that begins at a cache line."""
    room = np.zeros(n + 16, "float32")
    start = -room.ctypes.data % 64 // 4
    return room[start: start + n]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of a call, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def measure(kernel: Kernel, run: Any, x: np.ndarray, y: np.ndarray, out: np.ndarray, rounds: int) -> Measured:
    """Check both sides against NumPy, then time them in turns."""
    import exprgraph as eg
    symbols = eg.fvector("x"), eg.fvector("y")
    ours = eg.compile(list(symbols), kernel.expression(*symbols), on_unused_input="ignore")
    threads = os.cpu_count() or 1

    def plain(form: int) -> Any:
        return run(kernel.number, form, x.ctypes.data, y.ctypes.data, out.ctypes.data, len(x), threads)

    wanted = kernel.expression(x.astype("float64"), y.astype("float64"))
    np.testing.assert_allclose(ours(x, y), wanted, rtol=1e-4, atol=1e-5)
    times: dict[str, list[float]] = {name: [] for name in (*FORMS, "dropped", "kept")}
    for form in FORMS.values():
        out[:] = 0
        total = plain(form)
        np.testing.assert_allclose(out if np.ndim(wanted) else total, wanted, rtol=1e-4, atol=1e-5)
    for _ in range(rounds):
        for name, form in FORMS.items():
            times[name].append(timed(lambda form=form: plain(form))[0])
        ours(x, y)
        times["dropped"].append(timed(lambda: ours(x, y))[0])
        last = ours(x, y)
        for _ in range(2):
            spent, last = timed(lambda: ours(x, y))
        times["kept"].append(spent)
        del last
    middle = {name: statistics.median(found) for name, found in times.items()}
    best = min(FORMS, key=lambda name: middle[name])
    return Measured(kernel, best, middle[best], middle["dropped"], middle["kept"])


def report(elements: int = ELEMENTS, rounds: int = ROUNDS) -> str:
    """A Markdown table of GB/s and shares."""
    rng = np.random.default_rng(1)
    x, y, out = (aligned(elements) for _ in range(3))
    x[:], y[:] = rng.random(elements, dtype="float32"), rng.random(elements, dtype="float32")
    with tempfile.TemporaryDirectory(prefix="exprgraph-bench-") as folder:
        run = library(folder)
        found = [measure(kernel, run, x, y, out, rounds) for kernel in KERNELS]
    lines = [f"| expression, {elements} elements | C, GB/s (form) | ours dropped | kept | share dropped | kept | >= {SHARE:.0%} |",
             "|---|---|---|---|---|---|---|", *(line(m, elements) for m in found)]
    return "\n".join(lines)


def line(m: Measured, elements: int) -> str:
    """A row of the table."""
    moved = 4e-9 * m.kernel.arrays * elements
    met = "yes" if min(m.share(m.dropped), m.share(m.kept)) >= SHARE else "dropped only" if m.share(m.dropped) >= SHARE else "NO"
    return (f"| {m.kernel.name} | {moved / m.plain:.1f} ({m.form}) | {moved / m.dropped:.1f} | {moved / m.kept:.1f} "
            f"| {m.share(m.dropped):.0%} | {m.share(m.kept):.0%} | {met} |")
