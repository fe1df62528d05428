"""Rows taken by teams of a group's items on a GPU: the same results as by whole groups, no race, and faults from rows that there are."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate
from codegen.plan import Branch, Launch
from exprgraph.node import Graph
from tests.plan_runner import GPU, Sizes, interpret

X, W, T = eg.matrix("X"), eg.vector("W"), eg.tensor3("T")
I = eg.matrix("I", "int64")


def _normal(x: eg.Symbol) -> eg.Symbol:
    c = x - x.mean(axis=1, keepdims=True)
    return c / eg.sqrt((c * c).mean(axis=1, keepdims=True) + 1)


ROWS = {
    "sum": ([X], [X.sum(axis=1)]), "product": ([X, W], [eg.sigmoid(X @ W)]), "softmax": ([X], [eg.softmax(X, axis=1)]),
    "several": ([X], [X.argmax(axis=1), _normal(X), X.max(axis=1) * 2]), "two outer axes": ([T], [eg.log(eg.exp(T).sum(axis=2)) + 1]),
    "two inner axes": ([T], [T / T.sum(axis=(1, 2), keepdims=True)]), "integers": ([I], [I.sum(axis=1), I.min(axis=1)]),
    "gathered": ([I, W], [W[I].sum(axis=1)])}
SIZES = ((1, 1), (7, 9), (8, 5), (11, 2), (0, 4), (3, 0))


def _given(leaves: list[eg.Symbol], n: int, d: int) -> list[np.ndarray]:
    rng = np.random.default_rng([n, d])
    shapes = {1: (d,), 2: (n, d), 3: (n, 3, d)}
    return [rng.integers(0, max(d, 1), shapes[i.ndim]) if i is I else rng.random(shapes[i.ndim], dtype="float32") for i in leaves]


@pytest.mark.parametrize("name", ROWS)
def test_rows_in_teams(name: str) -> None:
    """By the interpreter, with its checks of bounds, barriers and races, for numbers of rows that do and do not fill groups."""
    leaves, outs = ROWS[name]
    oracle = eg.compile(leaves, outs, device="numpy")
    for n, d in SIZES:
        if d == 0 and name in ("several", "integers", "softmax"):
            continue
        given = _given(leaves, n, d)
        for last in (False, True):
            found = interpret(Graph(tuple(leaves), tuple(outs)), [i.node for i in leaves], given, GPU, last=last)
            for got, wanted in zip(found, oracle(*given)):
                np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ROWS)
def test_rows_in_teams_compiled(name: str) -> None:
    leaves, outs = ROWS[name]
    f, oracle = (eg.compile(leaves, outs, **how) for how in ({"schedule": "gpu"}, {"device": "numpy"}))
    for n, d in ((300, 70), (301, 3), (257, 2049)):
        for got, wanted in zip(f(*_given(leaves, n, d)), oracle(*_given(leaves, n, d))):
            np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)


def test_a_fault_in_a_row_of_a_team() -> None:
    """Teams without a row look at the last one, and report nothing that it does not."""
    leaves, outs = ROWS["gathered"]
    f = eg.compile(leaves, outs[0], schedule="gpu")
    ix = np.zeros((301, 4), "int64")
    np.testing.assert_array_equal(f(ix, np.ones(3, "float32")), np.full(301, 4, "float32"))
    ix[300, 2] = 5
    with pytest.raises(eg.IndexFault, match="5"):
        f(ix, np.ones(3, "float32"))


@pytest.mark.parametrize("n, d, pick", [(100_000, 784, 1), (100_000, 4096, 0), (100, 784, 0), (0, 0, 0)])
def test_which_rows_are_for_teams(n: int, d: int, pick: int) -> None:
    plan = generate(Graph((X, W), (X @ W,)), [X.node, W.node], None, "CC", False, GPU._replace(units=132, max_group=256))
    branch = next(s for s in plan.steps if isinstance(s, Branch))
    sizes = Sizes([X.node, W.node], [np.lib.stride_tricks.as_strided(np.zeros(1, "float32"), s, (0,) * len(s)) for s in ((n, d), (d,))])
    assert sizes(branch.pick) == pick
    launch, = branch.variants[1]
    assert isinstance(launch, Launch) and launch.local == (32, 8)
