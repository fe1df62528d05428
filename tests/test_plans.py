"""Few plans serve all sizes: what is built is counted."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close
from runtime.program import built


def regression():
    """A training step of logistic regression with a symbolic batch."""
    x, y = eg.matrix("x"), eg.vector("y")
    w, b = eg.shared(np.zeros(7, "float32"), name="w"), eg.shared(np.float32(0), name="b")
    p = eg.sigmoid(x @ w + b)
    cost = eg.binary_crossentropy(p, y).mean() + 0.01 * (w ** 2).sum()
    step = eg.compile([x, y], cost, updates=[(v, v - 0.1 * g) for v, g in zip((w, b), eg.grad(cost, [w, b]))], device="pocl")
    return step, lambda n, rng: (rng.normal(size=(n, 7)).astype("float32"), rng.integers(0, 2, n).astype("float32"))


def broadcasting():
    """An elementwise expression and reductions of operands that may or may not broadcast."""
    x, y = eg.matrix("x"), eg.matrix("y")
    f = eg.compile([x, y], [eg.tanh(x) + y, eg.softmax(x * y, axis=1), (x - y).sum(axis=0)], device="pocl")

    def draw(n, rng):
        rows = int(rng.choice([1, n]))
        return rng.normal(size=(n, 5)).astype("float32"), rng.normal(size=(rows, 5)).astype("float32")
    return f, draw


CASES = {"regression": regression, "broadcasting": broadcasting}


@pytest.mark.parametrize("case", CASES)
def test_a_thousand_sizes_build_no_more_than_twenty(case: str, rng) -> None:
    f, draw = CASES[case]()
    sizes = rng.integers(1, 3000, 1000)
    for n in sizes[:20]:
        f(*draw(int(n), rng))
    before = built()
    for n in sizes[20:]:
        f(*draw(int(n), rng))
    assert built() == before


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_built_after_warm(case: str, rng) -> None:
    f, draw = CASES[case]()
    f.warm()
    before = built()
    for n in (1, 2, 17, 1000, 70000):
        f(*draw(n, rng))
    x, y = draw(40, rng)
    f(np.asfortranarray(x), y)
    f(x[::2], y[::2])
    assert built() == before


def test_a_last_batch_of_one_row_builds_nothing(rng) -> None:
    f, draw = regression()
    f(*draw(128, rng))
    before = built()
    f(*draw(1, rng))
    assert built() == before


SHAPES = [((4, 1), (1, 3)), ((1, 3), (4, 3)), ((4, 3), (4, 1)), ((1, 1), (4, 3)), ((4, 3), (4, 3)), ((1, 3), (1, 3)), ((0, 3), (1, 3))]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_length_one_axes_broadcast_and_their_gradient_has_their_shape(schedule: str, rng) -> None:
    x, y = eg.matrix("x"), eg.matrix("y")
    out = eg.tanh(x * y) + x
    outputs = [out, *eg.grad(out.sum(), [x, y])]
    f = eg.compile([x, y], outputs, device="pocl", schedule=schedule)
    for left, right in SHAPES * 2:
        values = rng.normal(size=left).astype("float32"), rng.normal(size=right).astype("float32")
        got = f(*values)
        assert got[0].shape == np.broadcast_shapes(left, right)
        assert (got[1].shape, got[2].shape) == (left, right)
        close(got, outputs, {x.node: values[0], y.node: values[1]})


def test_beyond_eight_plans_the_general_plan_serves(rng) -> None:
    symbols = [eg.matrix(f"x{k}") for k in range(4)]
    out = eg.exp(symbols[0]) * symbols[1] + symbols[2] * symbols[3]
    f = eg.compile(symbols, [out, out.sum(axis=1)], device="pocl")
    counts = []
    for _ in range(30):
        shapes = [(int(rng.choice([1, 3])), int(rng.choice([1, 4]))) for _ in symbols]
        values = [rng.normal(size=s).astype("float32") for s in shapes]
        close(f(*values), [out, out.sum(axis=1)], {s.node: v for s, v in zip(symbols, values)})
        counts.append(built())
    assert counts[-1] == counts[20], "plans beyond the limit are still being built"
