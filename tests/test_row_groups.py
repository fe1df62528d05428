"""Rows and the work-groups that share them, under the schedule for GPUs: every length, one to four reductions, one group after another."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate, uncertain
from codegen.plan import Branch
from codegen.schedule import gpu, group
from tests.plan_runner import GPU, interpret

ROWS = {
    "sum": lambda x: [x.sum(axis=1)],
    "max": lambda x: [x.max(axis=1), x * 2],
    "argmax": lambda x: [x.argmax(axis=1)],
    "mean, var": lambda x: [x.var(axis=1), x.mean(axis=1)],
    "softmax": lambda x: [eg.softmax(x, axis=1)],
    "three": lambda x: [_normal(x), _normal(x).max(axis=1)],
    "four": lambda x: [eg.softmax(_normal(x), axis=1), eg.log(x * x + 1).sum(axis=1)],
    "taken": lambda x: [x.sum(axis=1) + x[eg.arange(x.shape[0]), x.argmin(axis=1)]]}


def _normal(x):
    around = x - x.mean(axis=1, keepdims=True)
    return around / eg.sqrt((around * around).mean(axis=1, keepdims=True) + 1e-3)


def check(name, shape, target, last=False):
    x = eg.matrix("x")
    made = eg.compile([x], ROWS[name](x), device="numpy")
    value = np.random.default_rng(shape[1]).standard_normal(shape, dtype="float32")
    for got, wanted in zip(interpret(made.graph, [x.node], [value], target, last=last), made(value)):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("most", [1, 512])
@pytest.mark.parametrize("name", ROWS)
def test_groups_of_all_sizes(name, most, monkeypatch):
    """All forms by their lengths; with one group for all rows, which must not run ahead of itself."""
    monkeypatch.setattr(gpu, "LENGTHS", ((3, 1), (8, 4), (20, 8)))
    monkeypatch.setattr(gpu, "MOST_PER_UNIT", most)
    monkeypatch.setattr(group, "FAN", 2)
    monkeypatch.setattr(group, "LAST", 2)
    for length in (1, 2, 3, 4, 7, 8, 9, 17, 20, 21, 50):
        check(name, (3, length), GPU._replace(units=1))
    for length in (1, 5, 30):   # in teams, of which the last group has fewer
        check(name, (20, length), GPU._replace(units=1), last=True)


@pytest.mark.parametrize("name", ROWS)
def test_as_they_are(name):
    for length in (16, 17, 257):
        check(name, (3, length), GPU._replace(max_group=256, units=1))


@pytest.mark.parametrize("name", ["argmax", "three"])
def test_on_a_device(name):
    x = eg.matrix("x")
    made, wanted = (eg.compile([x], ROWS[name](x), device=d, **o) for d, o in (("pocl", {"schedule": "gpu"}), ("numpy", {})))
    for shape in ((0, 4), (5, 16), (7, 200), (40, 1000), (3, 5000)):
        value = np.random.default_rng(shape[1]).standard_normal(shape, dtype="float32")
        for got, expected in zip(made(value), wanted(value)):
            np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


def test_nan_is_kept_by_groups_of_all_sizes():
    x = eg.matrix("x")
    f = eg.compile([x], [x.max(axis=1), x.argmax(axis=1)], device="pocl", schedule="gpu")
    for length in (10, 100, 1000, 3000):
        value = np.zeros((4, length), "float32")
        value[1, length - 1] = value[2, 0] = value[2, length // 2] = np.nan
        largest, place = f(value)
        np.testing.assert_array_equal(np.isnan(largest), [False, True, True, False])
        np.testing.assert_array_equal(place, [0, length - 1, 0, 0])


def branches(steps):
    for step in steps:
        if isinstance(step, Branch):
            yield step
            for variant in step.variants:
                yield from branches(variant)


def test_the_length_of_rows_picks_the_form():
    x = eg.matrix("x")
    graph = eg.compile([x], x.max(axis=1), device="numpy").graph
    plan = generate(graph, [x.node], ("equal",) * len(uncertain(graph)), ["C"], False, GPU._replace(max_group=256))
    found = [b for b in branches(plan.steps) if len(b.variants) == 4]
    assert [v[0].local for v in found[0].variants] == [(256,), (32,), (128,), (256,)]
