"""A process that holds one engine: it reads a request a line and answers each with a line, both JSON.

    {"do": "prepare", "group": ..., "row": ..., "seed": ..., "wanted": [files]}  compile, run once, compare with the reference
    {"do": "batch", "keep": true, "seconds": 0.02}                               time a batch of calls of what was prepared
"""
from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bench.engines import ENGINES, arrays_out, seconds_of
from tests.bench.row import arrays_of, fault
from tests.bench.rows import function_for, row_called

GROUP = 2e-5  # calls shorter than this many seconds are timed several at a time, so that reading the clock does not count
LEAST = 3
SETTLE = 0.01
clock = time.perf_counter


def dropped(call: Callable[..., Any], args: tuple[Any, ...], calls: int) -> float:
    """Seconds of `calls` calls whose results are dropped at once."""
    counter = range(calls)
    start = clock()
    for _ in counter:
        call(*args)
    return clock() - start


def kept(call: Callable[..., Any], args: tuple[Any, ...], calls: int, last: list[Any]) -> float:
    """Seconds of `calls` calls whose result stays until the next one is there, the one in `last` as well."""
    counter, result = range(calls), last[0]
    last[0] = None
    start = clock()
    for _ in counter:
        result = call(*args)
    spent = clock() - start
    last[0] = result
    return spent


def settle(once: Callable[[], float]) -> None:
    """Call until the threads, which may wake on one core after a stop, have spread: untimed, a hundredth of a second at least."""
    end = clock() + SETTLE
    once()
    while clock() < end:
        once()


class Bench:
    """One engine and what it has prepared last."""

    def __init__(self, name: str) -> None:
        self.name = name
        start = clock()
        self.prepare = ENGINES[name].open()
        self.opened = clock() - start
        self.call: Any = None
        self.args: tuple[Any, ...] = ()
        self.estimate = 0.0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a request is answered with."""
        if request["do"] == "batch":
            return self.batch(request["keep"], request["seconds"])
        self.call, self.args = None, ()
        gc.collect()
        try:
            return self.ready(request)
        except Exception as problem:  # whatever an engine raises is its row's result, not the end of the run
            return {"status": "failed", "why": f"{type(problem).__name__}: {str(problem).strip()[:200]}"}

    def ready(self, request: dict[str, Any]) -> dict[str, Any]:
        """Compile a row and check it."""
        row = row_called(request["group"], request["row"], request["seed"])
        function = function_for(self.name, row, request["seed"])
        if function is None:
            return {"status": "skipped", "why": "cannot be said in this engine"}
        arrays = arrays_of(row, request["seed"])
        start = clock()
        call, args = self.prepare(function, arrays)
        first = arrays_out(call(*args))
        spent = clock() - start
        wrong = fault(row, first, [np.load(path, mmap_mode="r") for path in request["wanted"]])
        if wrong:
            return {"status": "wrong", "why": wrong, "compile_s": spent}
        self.call, self.args, self.estimate = call, args, seconds_of(call, args)
        return {"status": "ok", "compile_s": spent}

    def batch(self, keep: bool, seconds: float) -> dict[str, Any]:
        """The median and the shortest time of a call in microseconds."""
        calls = max(1, int(GROUP / self.estimate))
        groups = max(LEAST, int(seconds / (calls * self.estimate)))
        last: list[Any] = [None]

        def once() -> float:
            return (kept(self.call, self.args, calls, last) if keep else dropped(self.call, self.args, calls)) / calls
        gc.disable()
        settle(once)
        times = [once() for _ in range(groups)]
        gc.enable()
        return {"median": 1e6 * statistics.median(times), "min": 1e6 * min(times)}


def main() -> None:
    """Serve requests until the input ends; what libraries print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    bench = Bench(sys.argv[1])
    print(json.dumps({"status": "open", "seconds": bench.opened}), file=answers)
    for line in sys.stdin:
        print(json.dumps(bench.answer(json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
