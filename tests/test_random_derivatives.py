"""Random graphs: reverse mode equals forward mode equals finite differences."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.node import Out
from exprgraph.reference import evaluate
from tests.graphs import Drawn, graphs

RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
WIDE = {"float32": "float64"}
"""What is cast to float32 is computed in float64, so that differences are not lost in its rounding."""
STEP = 1e-5
PART = 500


def cost_of(drawn: Drawn) -> Out:
    """A smooth function of all that the graph computes in floats."""
    parts = [eg.sin(o).sum() for o in drawn.outputs if o.dtype.startswith("float")]
    return sum(parts, eg.constant(0.0, dtype="float64"))


def slopes_of(drawn: Drawn, seed: int) -> tuple[float, float, list[float]]:
    """The slope of the cost in a random direction by reverse mode, by forward mode, and by differences of three kinds: on either side,
    and central."""
    rng = np.random.default_rng(seed)
    cost, values = cost_of(drawn), drawn.by_leaf
    leaves = [x for x in (*drawn.inputs, *drawn.shared) if x.dtype == "float64"]
    directions = [rng.standard_normal(values[x.node].shape) for x in leaves]
    given_ = [eg.constant(d, dtype="float64") for d in directions]
    gradients = eg.grad(cost, leaves, disconnected_inputs="ignore")
    push = eg.Rop(cost, leaves, given_, disconnected_outputs="ignore")
    *pulled, forward, middle = evaluate([*gradients, push, cost], values, WIDE)
    for x, g in zip(leaves, pulled):
        assert g.shape == values[x.node].shape and g.dtype == "float64"

    def at(distance: float) -> float:
        return float(evaluate([cost], {**values, **{x.node: values[x.node] + distance * d for x, d in zip(leaves, directions)}}, WIDE)[0])
    up, down = at(STEP), at(-STEP)
    kinds = [(up - middle) / STEP, (middle - down) / STEP, (8 * (up - down) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP)]
    return float(sum((g * d).sum() for g, d in zip(pulled, directions))), float(forward), [float(k) for k in kinds]


def check(count: int, most: int = 8) -> None:
    """At least half of the graphs must be smooth where they are, so that differences tell their slope."""
    seen, smooth = [], []

    @given(graphs(dtype="float64", most=most, gradients=False))
    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED)
    def compare(drawn: Drawn) -> None:
        with np.errstate(all="ignore"):
            reverse, forward, (left, right, central) = slopes_of(drawn, len(drawn.outputs))
        seen.append(1)
        if not np.isfinite([reverse, forward, left, right]).all():
            assert not (np.isfinite(forward) and np.isfinite(left) and np.isfinite(right) and not np.isfinite(reverse))
            return
        scale = max(1.0, abs(central))
        assert abs(reverse - forward) <= 1e-9 * scale, f"reverse mode {reverse!r}, forward mode {forward!r}"
        told = not any(n.op is eg.disconnected_grad for n in order(drawn.outputs))  # differences see what gradients are told not to
        if told and abs(left - right) <= 1e-3 * scale:
            smooth.append(1)
            assert abs(reverse - central) <= 1e-5 * scale, f"reverse mode {reverse!r}, differences {central!r}"
    compare()
    assert 2 * len(smooth) >= len(seen)


@pytest.mark.parametrize("part", range(4))
def test_reverse_equals_forward_equals_differences(part: int) -> None:
    check(PART, most=5 + part)


@pytest.mark.campaign
def test_campaign() -> None:
    check(20000, most=10)
