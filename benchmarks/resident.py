"""What a process keeps of every compile: resident memory and what malloc has handed out, beside a bare script with the same programs.

    python -m benchmarks.resident 400 100    # so many compiles, a line each hundred

The bare script has one context, launches each program once and drops it.  Both have empty caches, so each program is compiled.
"""
from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class _Arenas(ctypes.Structure):
    """What glibc's mallinfo2 tells, of which `used` and `mapped` are handed out."""
    _fields_ = [(n, ctypes.c_size_t) for n in ("arena", "chunks", "blocks", "count", "mapped", "old", "fast", "used", "free", "top")]


def figures() -> tuple[int, int]:
    """KiB that are resident, and that malloc has handed out."""
    tell = ctypes.CDLL(None).mallinfo2
    tell.restype = _Arenas
    gc.collect()
    found = tell()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4, found.used >> 10


def ours(count: int, every: int, folder: Path) -> None:
    """Compile graphs that differ, and leave what was built of each in a file."""
    from runtime import program
    from tests.resident import compiles
    real, texts = program._compile, []

    def compiled(session: Any, text: str, *rest: Any) -> Any:
        texts.append(text)
        return real(session, text, *rest)
    program._compile = compiled
    for number in range(count + 1):
        if number % every == 0:
            print(number, *figures(), program.built(), flush=True)
        texts.clear()
        compiles(number, {"device": "pocl", "schedule": "cpu"})
        (folder / f"{number}.cl").write_text("\0".join(texts))


def bare(count: int, every: int, folder: Path) -> None:
    """Build the same programs, and run each once."""
    os.environ["POCL_DEVICES"] = "basic"
    import numpy as np
    import pyopencl as cl
    warnings.simplefilter("ignore", cl.CompilerWarning)
    platform = next(p for p in cl.get_platforms() if "Portable" in p.name)
    context, found, built = cl.Context(platform.get_devices()), np.zeros(64, np.int64), 0
    queue = cl.CommandQueue(context)
    for number in range(count + 1):
        if number % every == 0:
            print(number, *figures(), built, flush=True)
        for text in (folder / f"{number}.cl").read_text().split("\0"):
            kernel = cl.Kernel(cl.Program(context, text).build(), "eg_door")
            kernel.set_args(cl.SVM(found), np.int32(0))
            cl.enqueue_nd_range_kernel(queue, kernel, (1,), (1,))
            queue.finish()
            built += 1


def lines(what: str, count: int, every: int, folder: str) -> list[list[int]]:
    """What a process of its own prints, which has caches of its own."""
    caches = Path(folder, f"caches of {what}")
    (caches / "pocl").mkdir(parents=True)
    env = {**os.environ, "EXPRGRAPH_CACHE": str(caches / "ours"), "POCL_CACHE_DIR": str(caches / "pocl"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "benchmarks.resident", str(count), str(every), what, folder]
    done = subprocess.run(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return [list(map(int, line.split())) for line in done.stdout.splitlines()]


def main(count: int, every: int) -> None:
    """The table; growth is in KiB a program, since the line before."""
    with tempfile.TemporaryDirectory() as folder:
        rows = list(zip(lines("ours", count, every, folder), lines("bare", count, every, folder), strict=True))
    print("compiles  programs |  resident MiB  growth  handed out MiB  growth | bare: resident MiB  growth  handed out MiB  growth")
    for before, after in zip(rows, rows[1:]):
        cells = [f"{after[0][0]:8d}  {after[0][3]:8d} "]
        for old, new in zip(before, after):
            programs = max(new[3] - old[3], 1)
            cells.append("".join(f"  {new[k] / 1024:12.1f}  {(new[k] - old[k]) / programs:6.1f}" for k in (1, 2)))
        print(" |".join(cells))


if __name__ == "__main__":
    numbers = int(sys.argv[1]) if sys.argv[1:] else 400, int(sys.argv[2]) if sys.argv[2:] else 100
    if sys.argv[3:]:
        {"ours": ours, "bare": bare}[sys.argv[3]](*numbers, Path(sys.argv[4]))
    else:
        main(*numbers)
