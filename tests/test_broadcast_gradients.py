"""The gradient of what is broadcast has the operand's shape, whatever axes have length 1, known or only at the call."""
from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import exprgraph as eg

SIZES = (2, 3, 4)
RANKS = [(a, b) for a in range(4) for b in range(4)]


def patterns(rank: int) -> list[tuple[int, ...]]:
    """Every choice of 1 or the full size for the last `rank` axes."""
    return [*product(*[(1, n) for n in SIZES[3 - rank:]])]


def summed(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What broadcasting spread, summed back."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def gradients(a, b):
    """Of a product and of a choice, with a weight for each element, and the same in forward mode."""
    y = a * b + eg.where(a > b, a, b)
    weight = eg.cumsum(eg.ones_like(y)).reshape(y.shape) if y.ndim else y * 0 + 1
    cost = (y * weight).sum()
    return [y, *eg.grad(cost, [a, b]), eg.Rop(y, [a, b], [a, b]), eg.Rop(a + b, a, a)]


def check(f, one: tuple[int, ...], other: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(one) + 7 * sum(other))
    a, b = rng.standard_normal(one).astype("float32"), rng.standard_normal(other).astype("float32")
    y, ga, gb, t, alone = f(a, b)
    full = np.broadcast_shapes(one, other)
    weight = np.arange(1, np.prod(full, dtype=int) + 1).reshape(full)
    more = a > b
    np.testing.assert_array_equal(alone, np.broadcast_to(a, full))
    assert y.shape == t.shape == full and ga.shape == one and gb.shape == other
    np.testing.assert_allclose(ga, summed(weight * (b + more), one), rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(gb, summed(weight * (a + ~more), other), rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(t, 2 * a * b + np.where(more, a, b), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("ranks", RANKS, ids=str)
def test_every_pattern(ranks) -> None:
    a, b = (eg.tensor(n, "float32", (None,) * r) for n, r in zip("ab", ranks))
    f = eg.compile([a, b], gradients(a, b), device="numpy")
    for one, other in product(*map(patterns, ranks)):
        check(f, one, other)


@pytest.mark.parametrize("ranks", RANKS, ids=str)
def test_every_pattern_of_known_ones(ranks) -> None:
    for one, other in product(*map(patterns, ranks)):
        a, b = (eg.tensor(n, "float32", tuple(1 if k == 1 else None for k in s)) for n, s in (("a", one), ("b", other)))
        check(eg.compile([a, b], gradients(a, b), device="numpy", optimizer="none"), one, other)


@pytest.mark.parametrize("ranks, schedule", [((0, 2), "gpu"), ((2, 1), "cpu"), ((2, 1), "gpu"), ((3, 3), "cpu")], ids=str)
def test_on_pocl(ranks, schedule: str) -> None:
    """More patterns than a function has plans."""
    a, b = (eg.tensor(n, "float32", (None,) * r) for n, r in zip("ab", ranks))
    f = eg.compile([a, b], gradients(a, b), device="pocl", schedule=schedule)
    for one, other in [*product(*map(patterns, ranks))][::3 if max(ranks) > 2 else 1]:
        check(f, one, other)
