"""The main job: the digits example against a plain NumPy program of the same steps, and its accuracy."""
from __future__ import annotations

import numpy as np
import pytest

from examples import digits


def numpy_steps(model: str, start, images, labels, rate: float, batches) -> list[np.ndarray]:
    """The same training steps written by hand in NumPy, in float32."""
    parameters = [p.copy() for p in start]
    for rows in batches:
        x, y = images[rows], labels[rows]
        layers = [x]
        for k in range(0, len(parameters), 2):
            z = layers[-1] @ parameters[k] + parameters[k + 1]
            layers.append(np.maximum(z, 0) if k + 2 < len(parameters) else z)
        shifted = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
        g = shifted / shifted.sum(axis=1, keepdims=True)
        g[np.arange(len(y)), y] -= 1
        g = g / np.float32(len(y))
        for k in range(len(parameters) - 2, -1, -2):
            weights, bias = layers[k // 2].T @ g + np.float32(digits.DECAY) * parameters[k], g.sum(axis=0)
            g = (g @ parameters[k].T) * (layers[k // 2] > 0)
            parameters[k] -= np.float32(rate) * weights
            parameters[k + 1] -= np.float32(rate) * bias
    return parameters


@pytest.mark.parametrize("device", ["pocl", "numpy"])
@pytest.mark.parametrize("model", ["logistic", "perceptron"])
def test_100_updates_equal_numpy(model: str, device: str) -> None:
    images, _, labels, _ = digits.load(0)
    rng = np.random.default_rng(1)
    start = digits.initial(model, rng)
    rate, _ = digits.SETTINGS[model]
    train, _, parameters, order = digits.build(model, start, images, labels, rate, device)
    visited = rng.permutation(len(images))
    order.set_value(visited)
    count = -(-len(images) // digits.BATCH)
    numbers = [k % count for k in range(100)]
    for number in numbers:
        train(number)
    wanted = numpy_steps(model, start, images, labels, rate, [visited[n * digits.BATCH:(n + 1) * digits.BATCH] for n in numbers])
    for got, expected in zip(parameters, wanted):
        assert np.abs(got.get_value() - expected).max() <= 1e-4 * np.abs(expected).max()


LEAST = [("logistic", 0.955), ("perceptron", 0.965)]


@pytest.mark.parametrize(("model", "least"), LEAST)
def test_accuracy_of_one_split(model: str, least: float) -> None:
    assert digits.fit(model, 0, device="pocl", show=lambda line: None) >= least


@pytest.mark.campaign
@pytest.mark.parametrize(("model", "least"), LEAST)
def test_mean_accuracy_over_five_splits(model: str, least: float) -> None:
    found = [digits.fit(model, state, device="pocl", show=lambda line: None) for state in range(5)]
    assert np.mean(found) >= least, found
