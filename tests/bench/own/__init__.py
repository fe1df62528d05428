"""Rows of our own: workloads that differ in kind from the named ones; written down before they were first timed."""
from __future__ import annotations

import numpy as np

from tests.bench.named import Arrays, Rng, pair, single, uniform
from tests.bench.row import Workload


def positive(rng: Rng, *shape: int) -> np.ndarray:
    """Numbers in [0.5, 1.5)."""
    numbers: np.ndarray = rng.random(shape, dtype="float32") + np.float32(0.5)
    return numbers


def options(rng: Rng, n: int) -> Arrays:
    """Prices, strikes and years of options."""
    return 100 * positive(rng, n), 100 * positive(rng, n), 2 * positive(rng, n)


def places(rng: Rng, n: int) -> Arrays:
    """Latitudes and longitudes of pairs of places, in radians."""
    return tuple(uniform(rng, n) for _ in range(4))


def heads(rng: Rng, h: int, n: int, k: int) -> Arrays:
    """Queries, keys and values of the heads of an attention."""
    return uniform(rng, h, n, k), uniform(rng, h, n, k), uniform(rng, h, n, k)


def moments(rng: Rng, n: int) -> Arrays:
    """Parameters, gradients and the two moments of Adam."""
    return uniform(rng, n), uniform(rng, n), uniform(rng, n) / 8, positive(rng, n) / 64


def bags(rng: Rng, rows: int, width: int, n: int, words: int) -> Arrays:
    """A table and the rows that each sample names."""
    return uniform(rng, rows, width), rng.integers(0, rows, (n, words))


def labelled(rng: Rng, n: int) -> Arrays:
    """Logits and labels 0 or 1."""
    return 4 * uniform(rng, n), (uniform(rng, n) > 0).astype("float32")


def clouds(rng: Rng, n: int, k: int) -> Arrays:
    """Two sets of points."""
    return uniform(rng, n, k), uniform(rng, n, k)


WORKLOADS = (
    Workload("black_scholes", "Black-Scholes call", ((1_000_000,),), options, (7,)),
    Workload("haversine", "haversine distance", ((200_000,),), places, (7,)),
    Workload("gelu", "GELU(x+b), tanh form", ((1024, 1024),), lambda rng, n, m: (2 * uniform(rng, n, m), uniform(rng, m)), (3, 5)),
    Workload("row_moments", "mean and variance of rows", ((4096, 512),), single, (3, 5), length=lambda n, m: m),
    Workload("small_products", "batched matmul 8x8", ((4096, 8),), lambda rng, n, k: pair(rng, n, k, k), (3, 4), length=lambda n, k: k),
    Workload("rbf", "exp(-|x-y|²) of two point sets", ((1000, 3),), clouds, (6, 3), length=lambda n, k: k),
    Workload("cosine", "cosine similarity of rows", ((10_000, 128),), clouds, (6, 5), length=lambda n, k: k),
    Workload("attention", "causal attention", ((8, 128, 64),), heads, (2, 5, 3), length=lambda h, n, k: n + k),
    Workload("stencil", "5-point stencil", ((1024, 1024),), lambda rng, n, m: (uniform(rng, n, m),), (5, 6)),
    Workload("adam", "Adam update", ((1_000_000,),), moments, (7,)),
    Workload("moving_sum", "moving sum of 8", ((1_000_000,),), lambda rng, n: (uniform(rng, n),), (19,), length=lambda n: 8),
    Workload("bag", "mean of gathered rows", ((10_000, 64, 512, 16),), bags, (9, 4, 3, 5), length=lambda r, k, n, w: w),
    Workload("horner", "polynomial of degree 8", ((100_000,),), lambda rng, n: (uniform(rng, n),), (7,)),
    Workload("logistic_loss", "logistic loss and gradient", ((100_000,),), labelled, (7,), length=lambda n: n),
    Workload("column_range", "min/max scaling of columns", ((4096, 256),), single, (5, 3)),
    Workload("rms_silu", "SiLU(RMSNorm(x)·g)", ((1024, 512),), lambda rng, n, m: (uniform(rng, n, m), uniform(rng, m)), (3, 5),
             length=lambda n, m: m),
    Workload("argmax", "argmax over rows", ((1024, 1000),), single, (3, 5)),
    Workload("unit_vector", "x/|x|", ((256,),), single, (7,), length=lambda n: n),
)
