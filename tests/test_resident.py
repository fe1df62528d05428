"""Memory of a process that goes on for long: calls of random sizes and compiles of new graphs leave nothing behind (row D14)."""
from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest

from runtime import function, pins, program
from tests.hand_plans import ROOT, separate
from tests.resident import Calls, compiled

OPTIONS: dict[str, Any] = {"device": "pocl", "schedule": "cpu"}


def grown(what: str, count: int, every: int, warm: int) -> float:
    """How much the resident memory grows past the first `warm` times, as a share."""
    done = subprocess.run([sys.executable, "-m", "tests.resident", what, str(count), str(every)], cwd=ROOT, capture_output=True, text=True,
                          check=True, env={**os.environ, "PYTHONPATH": ROOT})
    figures = {int(n): int(kib) for n, kib, _ in (line.split() for line in done.stdout.splitlines())}
    return figures[count] / figures[warm] - 1


def test_D14_calls_of_random_sizes_take_no_more_and_more_memory() -> None:
    """What is kept by size is bounded: 256 sizes and their functions, a workspace, a bounded pool."""
    assert grown("calls", 900, 450, 450) < 0.05


@pytest.mark.campaign
def test_D14_ten_thousand_calls() -> None:
    assert grown("calls", 10_000, 1000, 1000) < 0.05


@pytest.mark.campaign
def test_D14_two_thousand_compiles() -> None:
    """A bare script that builds as many programs in one context loses some 10 KiB of each, 6 per cent in all."""
    assert grown("compiles", 2000, 200, 400) < 0.05


@pytest.mark.parametrize("where", ["shared", "own"])
def test_D14_objects_of_the_driver_are_flat(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them hold the context, whose count is the driver's."""
    device = separate()
    if where == "own":
        monkeypatch.setattr(function, "choose", lambda spec: device)
    calls = Calls(OPTIONS)
    context = calls.f._run.session.context
    counts = []
    for _ in range(3):
        for number in range(60):
            calls(number, OPTIONS)
        calls.f.free()
        gc.collect()
        counts.append(context.reference_count)
    assert counts[2] <= counts[0] + 5, counts


@pytest.mark.parametrize("where", ["shared", "own"])
def test_D14_a_function_that_is_deleted_leaves_nothing(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Python object, no program but the last ones, no loaded file, no buffer."""
    monkeypatch.setattr(program, "KEPT", 4)
    if where == "own":
        device = separate()
        monkeypatch.setattr(function, "choose", lambda spec: device)

    def one(number: int) -> weakref.ref[Any]:
        f = compiled(number, OPTIONS)
        f(np.ones((5, 4), "f4"), np.ones(4, "f4"))
        f.memory((3, 4), (4,))
        return weakref.ref(f._run)

    def settled() -> tuple[int, int, int]:
        gc.collect()
        return len(gc.get_objects()), len(pins._pinned), account.buffers
    first = compiled(10**6, OPTIONS)
    account, context = first._run.memory.account, first._run.session.context
    one(10**6 + 1)
    references = [one(10**6 + k) for k in range(2, 5)]
    objects, files, buffers = settled()
    held = context.reference_count
    references += [one(10**6 + k) for k in range(5, 8)]
    after = settled()
    assert all(r() is None for r in references)
    assert after[0] < objects + 400 and after[1] <= files + 1 and after[2] == buffers and context.reference_count <= held + 4
