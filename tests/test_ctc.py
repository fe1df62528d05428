"""nnet.ctc against the sum over all ways, against finite differences, and what it refuses."""
from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import nnet
from exprgraph.errors import DTypeError, MissingGradientError, OwnOpError, RankError
from exprgraph.testing import check_grads

WAYS = {"numpy": {"device": "numpy"}, "cpu": {"device": "pocl", "schedule": "cpu"}, "gpu": {"device": "pocl", "schedule": "gpu"}}
LABELS = np.array([[1, 2, -1], [1, 1, -1], [2, 1, 2], [-1, 2, 1], [3, -1, 3]])
LENGTHS = np.array([4, 4, 3, 2, 1])


def brute_force(x: np.ndarray, labels: list[int]) -> float:
    """-log of the sum of the probabilities of all ways that say the labels once repeats are one and blanks are gone."""
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    total = 0.0
    for way in product(range(x.shape[1]), repeat=len(x)):
        if [k for k, _ in groupby(way) if k] == labels:
            total += np.prod([p[t, k] for t, k in enumerate(way)])
    return -np.log(total) if total else np.inf


def symbols(dtype="float64"):
    return eg.tensor("x", dtype, (None,) * 3), eg.tensor("labels", "int64", (None, None)), eg.tensor("lengths", "int64", (None,))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_way_is_counted(dtype: str, way: str) -> None:
    x, labels, lengths = symbols(dtype)
    f = eg.compile([x, labels, lengths], nnet.ctc(x, labels, lengths), **WAYS[way])
    values = np.random.default_rng(0).normal(size=(5, 5, 4)).astype(dtype)
    wanted = [brute_force(values[:n, b].astype("float64"), row[:(row < 0).argmax() if (row < 0).any() else 3].tolist())
              for b, (row, n) in enumerate(zip(LABELS, LENGTHS))]
    got = f(values, LABELS, LENGTHS)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_gradient() -> None:
    values = np.random.default_rng(1).normal(size=(5, 5, 4))
    check_grads(lambda x: nnet.ctc(x, LABELS, LENGTHS), [values], order=1, modes=("reverse",))
    x, labels, lengths = symbols()
    slope = eg.grad(nnet.ctc(x, labels, lengths).sum(), x)
    got = eg.compile([x, labels, lengths], slope, device="pocl")(values, LABELS, LENGTHS)
    assert not got[4:, 0].any() and not got[2:, 3].any() and np.abs(got.sum(axis=2)).max() < 1e-12
    with pytest.raises(MissingGradientError, match="ctc_slopes has no gradient"):
        eg.grad(slope.sum(), x)


def test_what_cannot_be_said() -> None:
    """Three steps cannot say 1, 1, 2 (a blank has to stand between equal labels): an infinite cost without a slope; far-out values."""
    x, labels, lengths = symbols()
    cost = nnet.ctc(x, labels, lengths)
    f = eg.compile([x, labels, lengths], [cost, eg.grad(cost.sum(), x)], device="numpy")
    costs, slopes = f(np.zeros((3, 1, 3)), [[1, 1, 2]], [3])
    assert costs.tolist() == [np.inf] and not slopes.any()
    costs, slopes = f(np.zeros((3, 2, 3)), [[-1, 0, 0], [1, -1, 0]], [0, 0])
    assert costs.tolist() == [0, np.inf] and not slopes.any()
    far = np.full((3, 1, 3), -800.0)
    far[:, :, 1] = 800
    costs, slopes = f(far, [[1, -1, -1]], [3])
    assert costs.tolist() == [0] and not slopes.any()
    assert f(np.zeros((0, 0, 3)), np.zeros((0, 2), int), np.zeros(0, int))[0].shape == (0,)
    long = np.random.default_rng(2).normal(size=(400, 1, 3))
    assert np.isfinite(f(long, [[1, 2]], [400])[1]).all()


@pytest.mark.parametrize("labels, lengths, words", [
    ([[0, -1]], [3], "a label is not in 1 .. 2: 0"), ([[3, -1]], [3], "a label is not in 1 .. 2: 3"),
    ([[1, -1]], [4], "a length is not in 0 .. 3: 4"), ([[1, -1]], [-1], "a length is not in 0 .. 3: -1"),
    ([[1, -1], [1, 2]], [3], "1 sequences have 2 rows of labels and 1 lengths")])
def test_values_outside(labels, lengths, words: str) -> None:
    x, tags, steps = symbols()
    f = eg.compile([x, tags, steps], nnet.ctc(x, tags, steps), device="pocl")
    with pytest.raises(OwnOpError, match=f"(?s){words}.*test_ctc.py"):
        f(np.zeros((3, 1, 3)), labels, lengths)
    assert f(np.zeros((3, 1, 3)), [[1, -1]], [3]).shape == (1,)


def test_wrong_kinds() -> None:
    x, labels, lengths = symbols()
    with pytest.raises(RankError, match="labels has 1 axes instead of 2"):
        nnet.ctc(x, lengths, lengths)
    with pytest.raises(DTypeError, match="ctc takes floats, integers and integers, not float64, float64 and int64"):
        nnet.ctc(x, x[0], lengths)
