"""Random graphs for hypothesis: expressions over a few leaves, with arguments whose sizes collide, vanish and broadcast."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.node import Node, Out
from tests.drawing import FLAG, between, one_of
from tests.graph_pool import Pool
from tests.graph_steps import STEPS


class Drawn(NamedTuple):
    """A random graph: input symbols, outputs, the arguments of a call, and the shared variables that it reads."""
    inputs: list[Out]
    outputs: list[Out]
    values: list[np.ndarray]
    shared: list[Any] = []

    @property
    def by_leaf(self) -> dict[Node, np.ndarray]:
        """The values by the leaves that they belong to."""
        return {i.node: v for i, v in zip(self.inputs, self.values)} | {s.node: s.get_value(borrow=True) for s in self.shared}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n.name}{v.dtype}{v.shape}" + ("" if v.ndim else f"={v}") for n, v in self.by_leaf.items())
        return f"{'; '.join(eg.pp(o) for o in self.outputs)} at {shapes}"


@st.composite
def graphs(draw, dtype="float32", most=8, gradients=True):
    """A `Drawn` of up to `most` operations."""
    sizes = [draw(between(1, 5)), draw(between(1, 5))]
    if draw(between(0, 9)) == 0:
        sizes[1] = 0
    n, m = sizes
    pool = Pool(draw, dtype, sizes)
    for _ in range(draw(between(2, 3))):
        pool.add(pool.leaf(dtype, one_of(draw, [(n, m), (m,), (1, m), (n, 1), (n,), (m, n), (1,), ()])))
    start = len(pool.items)
    for _ in range(draw(between(1, most))):
        pool.add(one_of(draw, STEPS)(pool))
    made = pool.items[start:] or [pool.items[0] * 2]
    outputs = made[-2:] + ([one_of(draw, made)] if draw(FLAG) else [])
    if gradients and draw(FLAG):
        outputs = outputs + _gradients(draw, pool, outputs)
    return Drawn(pool.inputs, outputs, pool.values, pool.shared)


def _cost(tensors: list[Out], dtype: str) -> Out:
    parts = [eg.tanh(t).sum() if t.ndim else eg.tanh(t) for t in tensors if t.dtype == dtype]
    return sum(parts, eg.constant(0.0, dtype=dtype))


def _gradients(draw, pool: Pool, outputs: list[Out]) -> list[Out]:
    """The gradients of a cost of the outputs, and now and then those of a cost of the gradients."""
    leaves = [x for x in (*pool.inputs, *pool.shared) if x.dtype == pool.dtype]
    if not leaves:
        return []
    found = list(eg.grad(_cost(outputs, pool.dtype), leaves, disconnected_inputs="ignore"))
    if draw(between(0, 3)) == 0:
        found += eg.grad(_cost(found, pool.dtype), leaves[:1], disconnected_inputs="ignore")
    return found
