"""`python -m tests.oclgrind.watch NAME...`, with Oclgrind's variables set, runs cases and prints what it said, a line of JSON each."""
from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

import exprgraph as eg
from tests.hand_trees import sizes
from tests.oclgrind import planted
from tests.oclgrind.cases import CASES, Case
from tests.oclgrind.runner import TARGETS, Plans, Run, said

OUTSIDE = "an index outside"


def by_kernels(case: Case, schedule: str) -> None:
    """All sizes of a case by all variants of its kernels, whichever the sizes would pick."""
    symbols, outputs, oracle = case.compiled()
    plans = Plans(oracle.graph, TARGETS[schedule]._replace(host_shared=case.shared), case.general, case.wide)
    for n in case.sizes:
        values = case.arrays(n)
        for variant in range(plans.variants(values)):
            compare(plans.outputs(values, variant), oracle(*values))


def by_calls(case: Case, schedule: str) -> None:
    """All sizes of a case by the compiled function."""
    symbols, outputs, oracle = case.compiled()
    f = eg.compile(symbols, outputs, device="oclgrind", schedule=schedule, on_unused_input="ignore")
    for n in case.sizes:
        values = case.arrays(n)
        compare(f(*values), oracle(*values))


def compare(found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """That the kernels did their work; how well, other tests know."""
    for a, b in zip(found, wanted, strict=True):
        bound = 1e-2 if a.dtype.name in ("float16", "bfloat16") else 1e-4
        np.testing.assert_allclose(a.astype(b.dtype), b, rtol=bound, atol=bound)


def outside(schedule: str) -> None:
    """A gather that finds an index beyond its axis reports it, and reads nothing there."""
    x, i = eg.vector("x"), eg.vector("i", dtype="int64")
    f = eg.compile([x, i], [x[i] * 2, x[i].inc(1)], device="oclgrind", schedule=schedule)
    for wrong in (5, -6, 2**40):
        try:
            f(np.ones(5, "float32"), np.array([1, wrong, 0]))
        except eg.IndexFault:
            continue
        raise AssertionError(f"the index {wrong} was not reported")


def run(name: str, schedule: str) -> None:
    """One case, or one planted fault."""
    tree = (planted.TREES | planted.UNWRITTEN).get(name)
    if tree is not None:
        Run()(tree.kernel(), tree.memory(), sizes(planted.COUNT))
    elif name in planted.TEXTS:
        x = eg.vector("x")
        eg.compile([x], planted.TEXTS[name][1](x), device="oclgrind", schedule=schedule)(np.ones(16, "float32"))  # whole cache lines
    elif name == OUTSIDE:
        outside(schedule)
    else:
        (by_calls if CASES[name].called else by_kernels)(CASES[name], schedule)


def watched(name: str, schedule: str) -> dict[str, Any]:
    """What Oclgrind said, and what was wrong beside it."""
    wrong, start = "", time.process_time()
    try:
        run(name, schedule)
    except Exception:
        wrong = traceback.format_exc()
    return {"name": name, "schedule": schedule, "said": said(), "wrong": wrong, "seconds": time.process_time() - start}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for schedule in TARGETS:
            print(json.dumps(watched(name, schedule)), flush=True)
