"""The eight kernels under both schedules, in the tree interpreter and on PoCL, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen import interpret
from codegen.target import Target
from tests.eight import EIGHT, SITE, environment, run_each
from tests.pocl_runner import run_pocl

TARGETS = {
    "cpu": Target("cpu"), "gpu": Target("gpu", max_group=64),
    "tiny": Target("gpu", units=1, max_group=4, local_bytes=256)}
SMALL = [(1, 1), (7, 5), (4, 65), (33, 3)]
LARGE = [(1, 1), (7, 64), (64, 7), (65, 257), (257, 65), (1, 40000), (40000, 1), (1000, 130)]
RUNNERS = {"interpreter": interpret.run, "pocl": run_pocl}
PLACES = [(runner, target) for runner in RUNNERS for target in TARGETS if (runner, target) != ("pocl", "tiny")]
_kernels = {(name, target): EIGHT[name].make(TARGETS[target]) for name in EIGHT for target in TARGETS}


def check(name, target, runner, n, d, change=lambda memory: None):
    case = EIGHT[name]
    memory = case.arrays(np.random.default_rng(n * 1000 + d), n, d)
    change(memory)
    wanted = case.expect({k: v.copy() for k, v in memory.items()}, n, d)
    run_each(RUNNERS[runner], _kernels[name, target], memory, environment(n, d))
    for buffer, value in wanted.items():
        flat = np.ravel(value)
        scale = np.max(np.abs(flat), initial=1e-30)
        np.testing.assert_allclose(memory[buffer], flat, rtol=0, atol=case.rtol * scale, err_msg=f"{name} {target} {n}x{d}: {buffer}")


@pytest.mark.parametrize("runner, target", PLACES)
@pytest.mark.parametrize("name", EIGHT)
def test_equals_numpy(name, target, runner):
    for size in SMALL if runner == "interpreter" else LARGE:
        check(name, target, runner, *size)


@pytest.mark.parametrize("runner, target", PLACES)
@pytest.mark.parametrize("name", [n for n in EIGHT if EIGHT[n].empty])
def test_empty_axes_b11(name, target, runner):
    for size in ((0, 0), (0, 5), (5, 0)):
        check(name, target, runner, *size)


@given(name=st.sampled_from(sorted(EIGHT)), target=st.sampled_from(sorted(TARGETS)), n=st.integers(1, 40), d=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_any_size_without_race_or_stray_access_b12_b14(name, target, n, d):
    check(name, target, "interpreter", n, d)


@pytest.mark.parametrize("runner, target", PLACES)
@pytest.mark.parametrize("bad, row", [(9, 8), (-10, 0), (2**31 - 1, 8), (2**32 + 1, 8), (-2**63, 0)])
def test_gather_reports_an_index_outside_and_clamps_it_c8(target, runner, bad, row):
    n, d = 20, 9
    memory = EIGHT["gather"].arrays(np.random.default_rng(0), n, d)
    memory["ix"][11] = bad
    RUNNERS[runner](_kernels["gather", target], memory, environment(n, d))
    assert memory["flags"].tolist() == [SITE + 1, bad, d, 0]
    np.testing.assert_array_equal(memory["y"].reshape(n, 3)[11], memory["x"].reshape(d, 3)[row])


@pytest.mark.parametrize("runner, target", PLACES)
@pytest.mark.parametrize("places, value", [((70, 31, 99), np.nan), ((99, 40), 9), ((0, 119), 9), ((), 0), ((5, 119), np.inf)])
def test_argmax_takes_the_first_nan_else_the_first_maximum_a17(target, runner, places, value):
    check("argmax", target, runner, 12, 10, lambda m: m["x"].__setitem__(list(places), value) if places else m["x"].fill(-np.inf))


def test_running_sums_on_a_cpu_are_at_least_as_accurate_as_one_after_another():
    memory = EIGHT["cumsum"].arrays(np.random.default_rng(3), 3, 5000)
    memory["x"][:] = 0.1
    run_pocl(_kernels["cumsum", "cpu"], memory, environment(3, 5000))
    rows = memory["x"].reshape(3, 5000)
    exact, serial = np.cumsum(rows, 1, dtype="float64"), np.cumsum(rows, 1)
    assert np.abs(memory["y"].reshape(3, 5000) - exact).max() <= np.abs(serial - exact).max()
