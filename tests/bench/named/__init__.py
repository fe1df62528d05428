"""The named rows: what a new user of any of the engines would time first."""
from __future__ import annotations

from typing import Any

import numpy as np

from tests.bench.row import Workload

Arrays = tuple[np.ndarray, ...]
Rng = np.random.Generator


def uniform(rng: Rng, *shape: int) -> Any:
    """Numbers in [-1, 1)."""
    return 2 * rng.random(shape, dtype="float32") - 1


def pair(rng: Rng, *shape: int) -> Arrays:
    """Two arrays of one shape."""
    return uniform(rng, *shape), uniform(rng, *shape)


def single(rng: Rng, *shape: int) -> Arrays:
    """One array."""
    return (4 * uniform(rng, *shape),)


def layer(rng: Rng, n: int, k: int, m: int) -> Arrays:
    """A batch, the weights and the offsets of a layer."""
    return uniform(rng, n, k), uniform(rng, k, m) / 16, uniform(rng, m)


def logistic(rng: Rng, n: int, k: int) -> Arrays:
    """Samples, labels 0 or 1 and weights."""
    return uniform(rng, n, k), (uniform(rng, n) > 0).astype("float32"), uniform(rng, k) / 8


def network(rng: Rng, n: int, k: int, hidden: int, classes: int) -> Arrays:
    """A batch and the parameters of two layers."""
    return (*layer(rng, n, k, hidden), uniform(rng, hidden, classes) / 16, uniform(rng, classes))


def training(rng: Rng, n: int, k: int, hidden: int, classes: int) -> Arrays:
    """A batch, its classes, and the parameters of two layers."""
    x, *parameters = network(rng, n, k, hidden, classes)
    return x, rng.integers(0, classes, n), *parameters


WORKLOADS = (
    Workload("polynomial", "2x+3xy-x*x", ((1000,), (100_000,), (1_000_000,), (16_000_000,)), pair, (7,), "cheap"),
    Workload("transcendental", "exp(-x²)tanh(y)+log(1+x²)", ((1000,), (1_000_000,), (16_000_000,)), pair, (7,)),
    Workload("squared_distance", "sum((x-y)²)", ((1000,), (1_000_000,), (16_000_000,)), pair, (7,), "cheap", lambda n: n),
    Workload("softmax", "softmax over rows", ((32, 10), (1024, 1024)), single, (3, 5), length=lambda n, m: m),
    Workload("layer_norm", "layer norm", ((2048, 768),), lambda rng, n, m: (
        uniform(rng, n, m), uniform(rng, m), uniform(rng, m)), (3, 5), length=lambda n, m: m),
    Workload("logsumexp", "log-sum-exp over axis 0", ((4096, 512),), single, (5, 3), length=lambda n, m: n),
    Workload("transposed_sum", "x.T+2y", ((2048, 2048),), pair, (5, 5)),
    Workload("product", "matmul", ((64,), (256,), (1024,)), lambda rng, n: pair(rng, n, n), (6,), "product", lambda n: n),
    Workload("dense", "relu(xW+b)", ((128, 784, 512),), layer, (4, 6, 5), length=lambda n, k, m: k),
    Workload("product_vector", "X@w", ((400, 784), (10_000, 784)), lambda rng, n, k: (
        uniform(rng, n, k), uniform(rng, k)), (6, 5), "product", lambda n, k: k),
    Workload("logistic_step", "logistic-regression step", ((400, 784), (10_000, 784)), logistic, (6, 5), length=lambda n, k: n + k),
    Workload("perceptron", "perceptron forward", ((128, 784, 512, 10),), network, (4, 6, 5, 3), length=lambda n, k, h, c: k + h),
    Workload("perceptron_step", "perceptron training step", ((128, 784, 512, 10),), training, (4, 6, 5, 3),
             length=lambda n, k, h, c: n + k + h),
    Workload("prefix_sum", "cumsum", ((1_000_000,),), lambda rng, n: (rng.random(n, dtype="float32"),), (9,), length=lambda n: n),
)
