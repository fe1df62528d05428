"""Random graphs: a batch of calls is a Python loop over its lanes."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.batch import batched
from exprgraph.errors import GraphError, UseError
from exprgraph.reference import evaluate
from exprgraph.stabilise import stabilised
from tests.graphs import Drawn, graphs

RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PART = 500


@st.composite
def batches(draw, most: int):
    """A graph, which of its inputs are mapped, and the values of each lane: permutations of the input's own, so that they are in range."""
    drawn = draw(graphs(dtype="float64", most=most))
    mapped = [i for i in range(len(drawn.inputs)) if draw(st.booleans())]
    lanes = draw(st.sampled_from([1, 2, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = {i: np.stack([rng.permutation(drawn.values[i].flatten()).reshape(drawn.values[i].shape) for _ in range(lanes)])
              for i in mapped}
    return drawn, values, lanes


def check(drawn: Drawn, values: dict[int, np.ndarray], lanes: int) -> bool:
    """Whether there is a batch at all: sizes that values decide differ by lane."""
    leaves = {i: eg.tensor(f"all{i}", v.dtype.name, (None,) * v.ndim) for i, v in values.items()}
    try:
        outs = batched(drawn.outputs, {drawn.inputs[i]: leaf for i, leaf in leaves.items()}, eg.constant(lanes, dtype="int64"))
    except (GraphError, UseError) as refused:
        assert "size" in str(refused), str(refused)
        return False
    single = stabilised(drawn.outputs, ())[0]  # the rules may round otherwise, which comparisons show
    given_ = {**drawn.by_leaf, **{leaves[i].node: v for i, v in values.items()}}
    with np.errstate(all="ignore"):
        found = evaluate(outs, given_)
        for lane in range(lanes):
            own = {**drawn.by_leaf, **{drawn.inputs[i].node: v[lane] for i, v in values.items()}}
            for got, want in zip(found, evaluate(single, own)):
                assert got.dtype == want.dtype and got.shape == (lanes, *want.shape)
                np.testing.assert_allclose(got[lane], want, rtol=1e-9, atol=1e-9)
    return True


def compare(count: int, most: int) -> None:
    """At least two thirds of the graphs must have a batch."""
    done = []

    @given(batches(most))
    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED)
    def each(drawn_batch) -> None:
        done.append(check(*drawn_batch))
    each()
    assert 3 * sum(done) >= 2 * len(done)


@pytest.mark.parametrize("part", range(4))
def test_a_batch_is_a_loop(part: int) -> None:
    compare(PART, most=4 + part)


@pytest.mark.campaign
def test_campaign() -> None:
    compare(20000, most=10)
