"""Run with Oclgrind's variables set: `python -m tests.oclgrind.watch NAME...` computes cases by their kernels and prints what was seen."""
from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

import exprgraph as eg
from tests.oclgrind.cases import CASES, Case
from tests.oclgrind.record import taking_part
from tests.oclgrind.runner import TARGETS, Plans, said

FOLDERS = ("codegen/lower/", "codegen/schedule/")


def by_kernels(case: Case, schedule: str, seen: set[str], **how: Any) -> None:
    """All sizes of a case by all variants of its kernels, whichever the sizes would pick."""
    symbols = case.symbols()
    outputs = case.outputs(symbols)
    oracle = eg.compile(symbols, outputs, device="numpy", on_unused_input="ignore")
    plans = Plans(oracle.graph, TARGETS[schedule], **how)
    for n in case.sizes:
        values = case.arrays(n)
        with taking_part(FOLDERS) as found:
            count = plans.variants(values)
        seen |= found
        for variant in range(count):
            compare(plans.outputs(values, variant), oracle(*values))


def by_calls(case: Case, schedule: str, seen: set[str]) -> None:
    """All sizes of a case by the compiled function."""
    symbols = case.symbols()
    outputs = case.outputs(symbols)
    oracle = eg.compile(symbols, outputs, device="numpy", on_unused_input="ignore")
    with taking_part(FOLDERS) as found:
        f = eg.compile(symbols, outputs, device="oclgrind", schedule=schedule, on_unused_input="ignore")
        for n in case.sizes:
            values = case.arrays(n)
            compare(f(*values), oracle(*values))
    seen |= found


def compare(found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """That the kernels did their work; how well, other tests know."""
    for a, b in zip(found, wanted, strict=True):
        narrow = a.dtype.name in ("float16", "bfloat16")
        np.testing.assert_allclose(a.astype(b.dtype), b, rtol=1e-2 if narrow else 1e-4, atol=1e-2 if narrow else 1e-4)


def watched(name: str, schedule: str) -> dict[str, Any]:
    """What Oclgrind said, what was wrong beside it, who took part."""
    seen: set[str] = set()
    wrong, start = "", time.process_time()
    try:
        (by_calls if CASES[name].called else by_kernels)(CASES[name], schedule, seen)
    except Exception:
        wrong = traceback.format_exc()
    return {"name": name, "schedule": schedule, "said": said(), "wrong": wrong, "seen": sorted(seen), "seconds": time.process_time() - start}


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        for schedule in TARGETS:
            print(json.dumps(watched(name, schedule)), flush=True)
