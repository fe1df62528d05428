"""Random graphs for hypothesis: expressions over a few inputs, with arguments whose sizes collide, vanish and broadcast."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.node import Node, Out
from exprgraph.reference import evaluate

UNARY = {
    "neg": lambda x: -x, "abs": eg.abs, "exp": lambda x: eg.exp(eg.clip(x, -4, 4)), "tanh": eg.tanh, "sqr": lambda x: eg.sqr(eg.tanh(x)),
    "sigmoid": eg.sigmoid, "softplus": eg.softplus, "relu": eg.relu, "sqrt": lambda x: eg.sqrt(eg.abs(x) + 0.5),
    "log1p": lambda x: eg.log1p(eg.abs(x)), "sin": eg.sin, "times": lambda x: x * 2.5, "plus": lambda x: x + 1,
    "log_of_sigmoid": lambda x: eg.log(eg.sigmoid(x)), "power": lambda x: eg.tanh(x) ** 3, "minus_itself": lambda x: x - 0 * x}
BINARY = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * eg.tanh(y), "max": eg.maximum, "min": eg.minimum,
    "div": lambda x, y: x / (1 + eg.abs(y)), "where": lambda x, y: eg.where(x > y, x, y * 0.5), "second": lambda x, y: eg.second(y, x + y)}
REDUCE = {
    "sum": lambda x, a, k: x.sum(axis=a, keepdims=k), "mean": lambda x, a, k: x.mean(axis=a, keepdims=k),
    "max": lambda x, a, k: x.max(axis=a, keepdims=k), "min": lambda x, a, k: x.min(axis=a, keepdims=k),
    "prod": lambda x, a, k: eg.tanh(x).prod(axis=a, keepdims=k), "var": lambda x, a, k: x.var(axis=a, keepdims=k),
    "logsumexp": lambda x, a, k: eg.logsumexp(x, axis=a, keepdims=k)}
ROWS = {
    "softmax": eg.softmax, "log_softmax": eg.log_softmax, "centred": lambda x, axis: x - x.mean(axis=axis, keepdims=True),
    "normed": lambda x, axis: (x - x.mean(axis=axis, keepdims=True)) / eg.sqrt(x.var(axis=axis, keepdims=True) + 1)}


class Drawn(NamedTuple):
    """A random graph: input symbols, outputs, and the arguments of a call."""
    inputs: list[Out]
    outputs: list[Out]
    values: list[np.ndarray]

    @property
    def by_leaf(self) -> dict[Node, np.ndarray]:
        """The arguments by the leaves that they belong to."""
        return {i.node: v for i, v in zip(self.inputs, self.values)}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{i.name}{v.shape}" for i, v in zip(self.inputs, self.values))
        return f"{'; '.join(eg.pp(o) for o in self.outputs)} at {shapes}"


def _argument(draw, shape, dtype):
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.integers(-3, 4, shape).astype(dtype) if dtype.startswith("int") else rng.normal(size=shape).astype(dtype)


@st.composite
def graphs(draw, dtype="float32", most=8, gradients=True):
    """A `Drawn` of up to `most` operations."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 7]), min_size=2, max_size=2))
    if draw(st.integers(0, 9)) == 0:
        sizes[1] = 0
    n, m = sizes
    shapes = draw(st.lists(st.sampled_from([(n, m), (m,), (1, m), (n, 1), (n,), (m, n), ()]), min_size=2, max_size=3))
    inputs = [eg.tensor(f"x{k}", dtype, (None,) * len(s)) for k, s in enumerate(shapes)]
    values = [_argument(draw, s, dtype) for s in shapes]
    known = {i.node: v for i, v in zip(inputs, values)}
    pool = list(inputs)
    for _ in range(draw(st.integers(1, most))):
        made = draw(st.sampled_from(STEPS))(draw, pool, known)
        if made is not None:
            pool.append(made)
    outputs = pool[len(inputs):][-2:] or [pool[0] * 2]
    if gradients and n and m and draw(st.booleans()):
        cost = sum((eg.tanh(o) if o.ndim == 0 else eg.tanh(o).sum() for o in outputs if o.dtype == dtype), eg.constant(0.0, dtype=dtype))
        outputs = outputs + list(eg.grad(cost, inputs, disconnected_inputs="ignore"))
    return Drawn(inputs, outputs, values)


def _shape(x, known):
    return evaluate([x], known)[0].shape


def _pick(draw, pool, fits=lambda x: True):
    return draw(st.sampled_from([x for x in pool if fits(x)] or pool))


def _unary(draw, pool, known):
    return UNARY[draw(st.sampled_from(sorted(UNARY)))](_pick(draw, pool))


def _binary(draw, pool, known):
    x = _pick(draw, pool)
    here = _shape(x, known)

    def fits(y):
        try:
            return np.broadcast_shapes(here, _shape(y, known)) is not None
        except ValueError:
            return False
    return BINARY[draw(st.sampled_from(sorted(BINARY)))](x, _pick(draw, pool, fits) if any(fits(y) for y in pool) else x)


def _reduce(draw, pool, known):
    x = _pick(draw, pool, lambda x: x.ndim > 0)
    if x.ndim == 0 or 0 in _shape(x, known):
        return x.sum()
    axis = draw(st.sampled_from([None, *range(-x.ndim, x.ndim)]))
    return REDUCE[draw(st.sampled_from(sorted(REDUCE)))](x, axis, draw(st.booleans()))


def _rows(draw, pool, known):
    x = _pick(draw, pool, lambda x: x.ndim > 0)
    if x.ndim == 0 or 0 in _shape(x, known):
        return None
    return ROWS[draw(st.sampled_from(sorted(ROWS)))](x, axis=draw(st.integers(0, x.ndim - 1)))


def _move(draw, pool, known):
    x = _pick(draw, pool, lambda x: x.ndim > 0)
    if x.ndim == 0:
        return eg.expand_dims(x, 0)
    return draw(st.sampled_from([_transposed, _flat, _expanded, _sliced, _doubled, _taken, _flipped]))(draw, x, _shape(x, known))


def _transposed(draw, x, shape):
    return x.T


def _flat(draw, x, shape):
    return x.reshape((-1,)) if 0 not in shape else x.flatten()


def _expanded(draw, x, shape):
    return eg.expand_dims(x, draw(st.integers(0, x.ndim))) if x.ndim < 3 else x.sum(axis=0)


def _sliced(draw, x, shape):
    bound = st.one_of(st.none(), st.integers(-6, 6))
    return x[slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2])))]


def _doubled(draw, x, shape):
    axis = draw(st.integers(0, x.ndim - 1))
    return eg.concatenate([x, x * 2], axis=axis)


def _taken(draw, x, shape):
    axis = draw(st.integers(0, x.ndim - 1))
    if not shape[axis]:
        return None
    return eg.take(x, np.array(draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=1, max_size=4))), axis=axis)


def _flipped(draw, x, shape):
    return eg.flip(x, draw(st.integers(0, x.ndim - 1)))


def _product(draw, pool, known):
    x = _pick(draw, pool, lambda x: x.ndim == 2)
    return eg.tanh(x) @ eg.tanh(x).T if x.ndim == 2 else None


STEPS = [_unary, _unary, _binary, _binary, _reduce, _rows, _move, _product]
