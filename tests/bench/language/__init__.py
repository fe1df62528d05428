"""Rows of the tensor language: running sums, gathers, scatters, sorting and searching; written down before they were first timed."""
from __future__ import annotations

import numpy as np

from tests.bench.named import Arrays, Rng, single, uniform
from tests.bench.row import Workload


def picks(rng: Rng, n: int, m: int) -> Arrays:
    """A vector and positions in it."""
    return uniform(rng, n), rng.integers(0, n, m)


def labels(rng: Rng, n: int, classes: int) -> Arrays:
    """Labels below the number of classes, and that number as the length of an array."""
    return rng.integers(0, classes, n), uniform(rng, classes)


def words(rng: Rng, rows: int, width: int, n: int) -> Arrays:
    """A table, and the rows of it that a text names."""
    return uniform(rng, rows, width), rng.integers(0, rows, n)


def slopes(rng: Rng, rows: int, width: int, n: int) -> Arrays:
    """A table of slopes, the rows that a text names, and what each word adds to its row."""
    return uniform(rng, rows, width), rng.integers(0, rows, n), uniform(rng, n, width)


def shuffled(rng: Rng, *shape: int) -> Arrays:
    """Different whole numbers in a random order, as floats."""
    return (rng.permutation(int(np.prod(shape))).astype("float32").reshape(shape),)


def needles(rng: Rng, n: int, m: int) -> Arrays:
    """An ascending vector and values to search for."""
    return np.sort(uniform(rng, n)), uniform(rng, m)


WORKLOADS = (
    Workload("running_rows", "cumsum along rows", ((1000, 1000),), single, (3, 5), length=lambda n, m: m),
    Workload("running_columns", "cumsum along columns", ((1000, 1000),), single, (5, 3), length=lambda n, m: n),
    Workload("picked", "x[i]", ((1_000_000, 1_000_000), (10_000, 100_000)), picks, (7, 5)),
    Workload("one_hot", "one-hot of labels", ((10_000, 100),), labels, (5, 4)),
    Workload("lookup", "embedding lookup", ((10_000, 64, 8192), (30_000, 256, 4096)), words, (5, 3, 7)),
    Workload("added_rows", "table with rows added at words", ((10_000, 64, 8192), (1000, 256, 4096)), slopes, (5, 3, 7),
             length=lambda r, k, n: 8),
    Workload("ordered", "sort", ((1_000_000,),), shuffled, (9,)),
    Workload("ordered_rows", "sort along rows", ((1000, 1000),), shuffled, (3, 5)),
    Workload("best", "topk(10), values and places", ((1_000_000,),), shuffled, (19,)),
    Workload("best_of_rows", "topk(10) of rows", ((1000, 1000),), shuffled, (3, 17)),
    Workload("order", "argsort, stable", ((100_000,),), shuffled, (9,)),
    Workload("found", "searchsorted", ((100_000, 100_000),), needles, (9, 5)),
    Workload("selected", "x[x > 0]", ((1_000_000,),), single, (9,)),
)
