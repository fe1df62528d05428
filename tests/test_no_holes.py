"""Every row has every kind of derivative and every kind of batch, or a reason why there is none; the tests here count."""
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DisconnectedInputError, GradientError
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads
from tests.row_cases import NONE, Case, cases

CASES = cases()
FACTS = ("gradient", "second gradient", "forward mode", "forward over reverse", "batch in every axis", "batch of the gradient")
LANES = 3


def test_no_hole() -> None:
    """Every row stands in the cases that the tests below and those of test_forward.py run for all six facts, or has a reason."""
    covered = Counter(c.row for c in CASES)
    holes = [(row, fact) for row in ROWS for fact in FACTS if not covered[row] and row not in NONE]
    assert not holes and not set(covered) & set(NONE) and set(covered) | set(NONE) == set(ROWS)
    print(f"{len(covered)} rows with {', '.join(FACTS)}; {len(NONE)} without a derivative: "
          + "; ".join(f"{n} because {why}" for why, n in Counter(NONE.values()).items()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_and_second_gradient(case: Case) -> None:
    """Inside a sine, so that the second gradient of a linear row is not zero."""
    check_grads(lambda *xs: eg.sin(case.function(*xs)), case.point, order=2)


@pytest.mark.parametrize("name", NONE)
def test_rows_without_a_derivative_have_none(name: str) -> None:
    """A float comes out of none of them, or its slope is zero or refused: what stands in the list is no hole."""
    row = ROWS[name]
    if row.kind != "elementwise":
        assert row.grad is None or name in ("size", "bcast_size", "read_size", "iota", "argsort", "argtopk", "searchsorted", "flatnonzero",
                                            "scatter_max")
        return
    if name in ("position", "checked"):
        return
    symbols = [eg.dvector(f"x{k}") for k in range(len(row.domain))]
    try:
        out = row(*symbols)
    except eg.DTypeError:
        return  # it takes no floats
    if not out.dtype.startswith("float"):
        out = eg.cast(out, "float64")
    try:
        slopes = eg.grad(out.sum(), symbols)
    except (DisconnectedInputError, GradientError):
        return
    for slope in evaluate(slopes, {s.node: np.array([0.3, 1.7]) for s in symbols}):
        assert slope.tolist() == [0, 0]


def lanes_of(case: Case, axes: list[int | None]) -> list[np.ndarray]:
    """Arguments with an axis of lanes at each place that is not None: the point's own values, in other orders."""
    rng = np.random.default_rng(9)
    found = []
    for a, axis in zip(case.point, axes):
        flat = np.asarray(a).ravel()
        found.append(np.asarray(a) if axis is None else np.stack([rng.permutation(flat).reshape(np.shape(a)) for _ in range(LANES)], axis))
    return found


def ways(case: Case) -> list[list[int | None]]:
    """Each operand mapped alone, along each of its axes, and all of them together."""
    ranks = [np.ndim(a) for a in case.point]
    alone = [[axis if j == k else None for j in range(len(ranks))] for k, rank in enumerate(ranks) for axis in range(rank + 1)]
    together = [[min(axis, rank) for rank in ranks] for axis in range(max(ranks) + 1)]
    return alone + (together if len(ranks) > 1 else [])


def check_lanes(function, case: Case) -> None:
    """Every way to map a function's arguments gives what a loop over the lanes gives."""
    own = [eg.tensor(f"x{k}", "float64", (None,) * np.ndim(a)) for k, a in enumerate(case.point)]
    single = function(*own)
    for axes in ways(case):
        values = lanes_of(case, axes)
        symbols = [eg.tensor(f"x{k}", "float64", (None,) * v.ndim) for k, v in enumerate(values)]
        out = eg.vmap(function, in_axes=tuple(axes))(*symbols)
        outs, singles = (list(o) if isinstance(o, tuple) else [o] for o in (out, single))
        found = evaluate(outs, {s.node: v for s, v in zip(symbols, values)})
        for lane in range(LANES):
            given = {s.node: v if axis is None else v.take(lane, axis) for s, v, axis in zip(own, values, axes)}
            for got, want in zip(found, evaluate(singles, given)):
                assert got.shape == (LANES, *want.shape) and got.dtype == want.dtype
                np.testing.assert_allclose(got[lane], want, rtol=1e-10, atol=1e-12, err_msg=f"axes {axes}, lane {lane}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_batch_in_every_axis(case: Case) -> None:
    check_lanes(case.function, case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_batch_of_the_gradient(case: Case) -> None:
    def slopes(*xs):
        found = eg.grad(eg.sin(case.function(*xs)).sum(), list(xs), disconnected_inputs="ignore")
        return tuple(found) if len(found) > 1 else found[0]
    check_lanes(slopes, case)
