"""Random graphs: reverse mode equals forward mode equals finite differences."""
from __future__ import annotations

from typing import NamedTuple

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


class Differences(NamedTuple):
    """Slopes by differences: on either side, between the two sides at one step and at two steps, and what these say together."""
    left: float
    right: float
    near: float
    far: float
    central: float

    @property
    def scale(self) -> float:
        """What errors are measured by: finite where the slopes on either side are."""
        return max(1.0, abs(self.near))

    @property
    def smooth(self) -> bool:
        """Whether there is no kink within two steps, where differences would not be slopes."""
        return abs(self.left - self.right) <= 1e-3 * self.scale and abs(self.near - self.far) <= 1e-6 * self.scale


def slopes_of(drawn: Drawn, seed: int) -> tuple[float, float, Differences]:
    """The slope of the cost in a random direction by reverse mode, by forward mode, and by differences."""
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
    near, far = (up - down) / (2 * STEP), (at(2 * STEP) - at(-2 * STEP)) / (4 * STEP)
    found = Differences(float(middle - down) / STEP, float(up - middle) / STEP, near, far, (4 * near - far) / 3)
    return float(sum((g * d).sum() for g, d in zip(pulled, directions))), float(forward), found


def check(count: int, most: int = 8) -> None:
    """At least half of the graphs must be smooth where they are, so that differences tell their slope."""
    seen, smooth = [], []

    @given(graphs(dtype="float64", most=most, gradients=False))
    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED)
    def compare(drawn: Drawn) -> None:
        with np.errstate(all="ignore"):
            reverse, forward, found = slopes_of(drawn, len(drawn.outputs))
        seen.append(1)
        if not np.isfinite([reverse, forward, found.left, found.right]).all():
            assert not (np.isfinite([forward, found.left, found.right]).all() and not np.isfinite(reverse))
            return
        assert abs(reverse - forward) <= 1e-9 * found.scale, f"reverse mode {reverse!r}, forward mode {forward!r}"
        told = not any(n.op is eg.disconnected_grad for n in order(drawn.outputs))  # differences see what gradients are told not to
        if told and found.smooth:
            smooth.append(1)
            assert abs(reverse - found.central) <= 1e-5 * found.scale, f"reverse mode {reverse!r}, differences {found!r}"
    compare()
    assert 2 * len(smooth) >= len(seen)


@pytest.mark.parametrize("at, smooth", [(9.0, True), (0.0, False), (0.5, False), (1.5, False), (-1.9, False)])
def test_a_kink_within_two_steps_is_seen(at: float, smooth: bool) -> None:
    """Beyond one step it is not seen by the two sides: a right gradient was called wrong.  at: how many steps away it is."""
    x, step = eg.dscalar("x"), STEP * np.random.default_rng(1).standard_normal(())
    *_, found = slopes_of(Drawn([x], [abs(x)], [np.array(at * step)], []), 1)
    assert found.smooth == smooth


@pytest.mark.parametrize("part", range(4))
def test_reverse_equals_forward_equals_differences(part: int) -> None:
    check(PART, most=5 + part)


@pytest.mark.campaign
def test_campaign() -> None:
    check(20000, most=10)
