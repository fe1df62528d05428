"""How long `import exprgraph` takes beyond NumPy: the medians of interleaved runs in fresh processes, in milliseconds."""
from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 10
CASES = {"numpy": "import numpy", "numpy and exprgraph": "import numpy, exprgraph"}
TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def milliseconds(statement: str) -> float:
    """One import in a fresh process, the start of the interpreter left out."""
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # users' modules are compiled once
    command = [sys.executable, "-c", TIMED.format(statement)]
    ran = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True)
    return float(ran.stdout) * 1e3


def main() -> None:
    """Print both medians and their difference."""
    for statement in CASES.values():
        milliseconds(statement)
    runs = [{name: milliseconds(statement) for name, statement in CASES.items()} for _ in range(RUNS)]
    medians = {name: statistics.median(run[name] for run in runs) for name in CASES}
    for name, median in medians.items():
        print(f"{name:20s} {median:7.1f} ms   (least {min(run[name] for run in runs):.1f})")
    extra = statistics.median(run["numpy and exprgraph"] - run["numpy"] for run in runs)
    print(f"{'beyond numpy':20s} {extra:7.1f} ms   (median of the differences of {RUNS} pairs)")


if __name__ == "__main__":
    main()
