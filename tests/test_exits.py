"""Exits and clocks: a process ends quietly whatever still runs, and no wait depends on the time of day."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_threads import ROOT, script

TAILS = (
    "", "import sys; sys.modules.pop('pyopencl'); del f", "threading.Thread(target=calls, daemon=True).start(); time.sleep(0.02)",
    "import atexit; atexit.register(lambda: f(one))", "class Late:\\n def __del__(self): f(one)\\nlate = Late(); late.me = late",
    "eg.compile([x], eg.cumsum(x) * 7, device='pocl', background=True)",
    "kept = [f(one) for _ in range(3)]; import pyopencl; pyopencl.__dict__.clear()",
    "t = threading.Thread(target=lambda: [f(one) for _ in range(200)]); t.start()", "sys.exit(0)",
    "g = f.copy(); del f; import os; r = g(one)")


def exits(count: int) -> None:
    """So many processes end, in each of the ways in turn, several to a driver's start-up."""
    for k in range(count):
        tail = TAILS[k % len(TAILS)].encode().decode("unicode_escape").replace("\n", "\n" + " " * 12)
        done = script(f"""
            import sys, threading, time, numpy as np, exprgraph as eg
            x, w, one = eg.vector("x"), eg.shared(np.ones(70_000, 'f4')), np.ones(70_000, 'f4')
            f = eg.compile([x], [eg.tanh(x + w), x.sum()], updates={{w: w + 1}}, device='pocl')
            def calls():
                while True:
                    f(one)
            r = f(one)
            {tail}""")
        assert (done.returncode, done.stderr) == (0, ""), (k, TAILS[k % len(TAILS)], done.returncode, done.stderr)


def test_D13_each_exit() -> None:
    exits(len(TAILS))


@pytest.mark.campaign
def test_D13_100_exits() -> None:
    exits(100)


def test_D16_no_wait_depends_on_the_time_of_day() -> None:
    """Intervals are of clocks that nobody sets, and no lock expires; the ages of files on disk only say which go first."""
    texts = {p: p.read_text() for top in ("exprgraph", "codegen", "runtime") for p in (Path(ROOT) / top).rglob("*.py")
             if p.name != "store.py"}
    found = {str(p): re.findall(r"\btime\.time\(|\bdatetime\b|gettimeofday|utcnow", text) for p, text in texts.items()}
    assert len(texts) > 200 and not {p: hits for p, hits in found.items() if hits}
