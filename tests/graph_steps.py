"""The steps of random graphs: each adds one operation, or a few, to what a pool holds; None where nothing in it fits."""
from __future__ import annotations

from itertools import permutations

import numpy as np

import exprgraph as eg
from exprgraph.node import Out
from tests.drawing import FLAG
from tests.graph_pool import Pool


def _clip(x: Out, low: float, high: float) -> Out:
    """A clip whose bounds every dtype holds."""
    return eg.clip(x, 0 if x.dtype.startswith("uint") else low, high)


UNARY = {
    "neg": lambda x: -x, "abs": eg.abs, "exp": lambda x: eg.exp(_clip(x, -4, 4)), "tanh": eg.tanh, "sqr": lambda x: eg.sqr(eg.tanh(x)),
    "sigmoid": eg.sigmoid, "softplus": eg.softplus, "relu": eg.relu, "sqrt": lambda x: eg.sqrt(eg.abs(x) + 0.5),
    "log1p": lambda x: eg.log1p(eg.abs(x)), "sin": eg.sin, "times": lambda x: x * 2.5, "plus": lambda x: x + 1,
    "log_of_sigmoid": lambda x: eg.log(eg.sigmoid(x)), "power": lambda x: eg.tanh(x) ** 3, "minus_itself": lambda x: x - 0 * x,
    "erf": eg.erf, "expm1": lambda x: eg.expm1(_clip(x, -4, 4)), "arctan": eg.arctan, "half": lambda x: x / 2,
    "clip": lambda x: _clip(x, -1, 1), "gelu": eg.gelu, "elu": eg.elu, "one_less_sigmoid": lambda x: 1 - eg.sigmoid(x),
    "reciprocal": lambda x: 1 / (1 + eg.exp(-x)),
    "constant_part": lambda x: x * eg.disconnected_grad(eg.tanh(x)),
    "twice": lambda x: eg.neg(eg.neg(x)), "rsqrt": lambda x: 1 / eg.sqrt(x * x + 1)}
BINARY = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * eg.tanh(y), "max": eg.maximum, "min": eg.minimum,
    "div": lambda x, y: x / (1 + eg.abs(y)), "where": lambda x, y: eg.where(x > y, x, y * 0.5), "second": lambda x, y: eg.second(y, x + y),
    "logaddexp": eg.logaddexp, "hypot": lambda x, y: eg.hypot(x + 2, y), "blend": lambda x, y: x * 0.25 + y * 0.75}
INTEGER = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "max": eg.maximum, "min": eg.minimum,
    "div": lambda x, y: x // y, "mod": lambda x, y: x % y, "where": lambda x, y: eg.where(x > y, x, y), "and": lambda x, y: x & y,
    "xor": lambda x, y: x ^ y,
    "neg": lambda x, y: y - (-x), "abs": lambda x, y: eg.abs(x) + eg.sign(y), "same": lambda x, y: x - x + y}
COMPARE = {
    "lt": lambda x, y: x < y, "ge": lambda x, y: x >= y, "eq": eg.eq, "neq": eg.neq, "not": lambda x, y: ~(x > y),
    "le": lambda x, y: x <= y}
LOGIC = {"and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y, "not": lambda x, y: ~x}
REDUCE = {
    "sum": lambda x, a, k: x.sum(axis=a, keepdims=k), "mean": lambda x, a, k: x.mean(axis=a, keepdims=k),
    "max": lambda x, a, k: x.max(axis=a, keepdims=k), "min": lambda x, a, k: x.min(axis=a, keepdims=k),
    "prod": lambda x, a, k: eg.tanh(x).prod(axis=a, keepdims=k), "var": lambda x, a, k: x.var(axis=a, keepdims=k),
    "logsumexp": lambda x, a, k: eg.logsumexp(x, axis=a, keepdims=k),
    "unstable": lambda x, a, k: eg.log(eg.exp(_clip(x, -9, 9)).sum(axis=a, keepdims=k))}
ROWS = {
    "softmax": eg.softmax, "log_softmax": eg.log_softmax, "centred": lambda x, axis: x - x.mean(axis=axis, keepdims=True),
    "normed": lambda x, axis: (x - x.mean(axis=axis, keepdims=True)) / eg.sqrt(x.var(axis=axis, keepdims=True) + 1),
    "log_of_softmax": lambda x, axis: eg.log(eg.softmax(x, axis=axis)),
    "share": lambda x, axis: eg.exp(_clip(x, -9, 9)) / eg.exp(_clip(x, -9, 9)).sum(axis=axis, keepdims=True)}


def _named(pool: Pool, table):
    return table[pool.one_of(*sorted(table))]


def _has_axes(x: Out) -> bool:
    return x.ndim > 0


def _whole(x: Out) -> bool:
    return x.dtype.startswith("int")


def unary(pool: Pool) -> Out | None:
    """A function of one tensor."""
    x = pool.number_like()
    return None if x is None else _named(pool, UNARY)(x)


def binary(pool: Pool) -> Out | None:
    """Arithmetic of two tensors that broadcast."""
    x = pool.number_like()
    return None if x is None else _named(pool, BINARY)(x, pool.partner(x, lambda y: y.dtype != "bool"))


def integer(pool: Pool) -> Out | None:
    """Arithmetic of integers, with a new input where there are none."""
    x = pool.pick(_whole)
    if x is None:
        x = pool.leaf(pool.one_of("int32", "int64", "int8"), pool.shape(pool.pick()))
        pool.add(x)
    return _named(pool, INTEGER)(x, pool.partner(x, _whole))


def compare(pool: Pool) -> Out | None:
    """A bool tensor from a comparison, or from bools."""
    x = pool.pick()
    y = pool.partner(x, lambda y: (y.dtype == "bool") == (x.dtype == "bool"))
    return _named(pool, LOGIC if x.dtype == "bool" else COMPARE)(x, y)


def choose(pool: Pool) -> Out | None:
    """A choice by a mask, or what a mask says as numbers."""
    mask = pool.pick(lambda x: x.dtype == "bool")
    if mask is None:
        return compare(pool)
    x = pool.partner(mask, lambda y: y.dtype != "bool")
    if x is mask:
        return pool.one_of(mask.sum(), mask.any(), mask.all(), mask * 2)
    return eg.where(mask, x, pool.one_of(0, 1.5, 1 if x.dtype.startswith("uint") else -1))


def cast(pool: Pool) -> Out | None:
    """Another dtype; floats become integers only where they are leaves, since rounding decides elsewhere."""
    x = pool.pick()
    exact = not x.dtype.startswith("float") or x.node.op.kind == "leaf"
    return eg.cast(x, pool.one_of("float32", "float64", *(("int32", "int64", "bool", "uint8") if exact else ())))


def reduce(pool: Pool) -> Out | None:
    """A reduction over an axis, or all."""
    x = pool.number_like(_has_axes)
    if x is None or 0 in pool.shape(x):
        return None if x is None else x.sum()
    axis = pool.one_of(None, *range(-x.ndim, x.ndim))
    return _named(pool, REDUCE)(x, axis, pool.draw(FLAG))


def rows(pool: Pool) -> Out | None:
    """Something along an axis that needs the whole of it."""
    x = pool.float_like(_has_axes)
    return None if x is None or 0 in pool.shape(x) else _named(pool, ROWS)(x, axis=pool.number(0, x.ndim - 1))


def running(pool: Pool) -> Out | None:
    """A prefix scan along an axis, or of all elements."""
    x = pool.number_like(_has_axes)
    return None if x is None else pool.one_of(eg.cumsum, eg.cummax, eg.cummin)(x, axis=pool.one_of(None, *range(x.ndim)))


def arg(pool: Pool) -> Out | None:
    """The position of an extremum; of values that nothing has rounded, since ties decide."""
    x = pool.pick(lambda x: x.ndim > 0 and x.dtype != "bool" and (_whole(x) or x.node.op.kind == "leaf") and 0 not in pool.shape(x))
    return None if x is None else pool.one_of(eg.argmax, eg.argmin)(x, axis=pool.one_of(None, *range(x.ndim)))


def ordered(pool: Pool) -> Out | None:
    """A tensor sorted along an axis; the positions that sort small integers; positions in a sorted row, in values that nothing rounded."""
    kind = pool.one_of("sort", "argsort", "search", "best")
    if kind == "sort":
        x = pool.number_like(_has_axes)
        return None if x is None else eg.sort(x, axis=pool.one_of(None, *range(x.ndim)))
    x = pool.pick(lambda x: x.ndim > 0 and (_whole(x) or x.node.op.kind == "leaf") and 0 not in pool.shape(x))
    if x is None:
        return None
    if kind == "search":
        return eg.searchsorted(eg.sort(x.ravel()), x)
    axis = pool.number(0, x.ndim - 1)
    return eg.argsort(x.astype("int8"), axis=axis) if kind == "argsort" else eg.topk(x.astype("int8"), 1, axis=axis)


def labels(pool: Pool) -> Out | None:
    """A cross-entropy of scores and integer labels."""
    x = pool.float_like(lambda x: x.ndim > 0 and 0 not in pool.shape(x))
    if x is None:
        return None
    which = pool.leaf(pool.one_of("int64", "int32"), pool.shape(x)[:-1], 0, pool.shape(x)[-1] - 1)
    return pool.one_of(eg.cross_entropy_with_logits(x, which), eg.categorical_crossentropy(eg.softmax(x), which))


def take(pool: Pool) -> Out | None:
    """Elements at positions that a constant, an input or an integer scalar gives."""
    x = pool.pick(lambda x: x.ndim > 0 and 0 not in pool.shape(x))
    if x is None:
        return None
    axis = pool.number(0, x.ndim - 1)
    size = pool.shape(x)[axis]
    kind = pool.one_of("constant", "vector", "vector", "matrix", "scalar", "number")
    if kind == "constant":
        return eg.take(x, np.array([pool.number(-size, size - 1) for _ in range(pool.number(1, 4))]), axis=axis)
    if kind == "scalar":
        return x[(slice(None),) * axis + (pool.scalar(-size, size - 1),)]
    if kind == "number":
        return x[(slice(None),) * axis + (pool.number(-size, size - 1),)]
    shape = (pool.number(0, 4),) if kind == "vector" else (2, pool.number(1, 3))
    return eg.take(x, pool.leaf(pool.one_of("int64", "int32"), shape, -size, size - 1), axis=axis)


def along(pool: Pool) -> Out | None:
    """take_along_axis by an input."""
    x = pool.pick(lambda x: x.ndim > 0 and 0 not in pool.shape(x))
    if x is None:
        return None
    axis = pool.number(0, x.ndim - 1)
    shape = [pool.one_of(n, n, 1) for n in pool.shape(x)]
    size, shape[axis] = pool.shape(x)[axis], pool.number(1, 3)
    return eg.take_along_axis(x, pool.leaf("int64", shape, -size, size - 1), axis=axis)


def move(pool: Pool) -> Out | None:
    """The same elements in another order or shape, or some of them."""
    x = pool.pick(_has_axes)
    return None if x is None else pool.one_of(*MOVES)(pool, x, pool.shape(x))


def _transposed(pool: Pool, x: Out, shape) -> Out:
    return x.transpose(*pool.one_of(*permutations(range(x.ndim))))


def _flat(pool: Pool, x: Out, shape) -> Out:
    return x.reshape((-1,)) if 0 not in shape else x.flatten()


def _folded(pool: Pool, x: Out, shape) -> Out:
    """Two axes of any sizes that fit, given as numbers, with -1, or in terms of x's own sizes."""
    if 0 in shape:
        return x.flatten()
    count = int(np.prod(shape))
    first = pool.one_of(*[k for k in range(1, count + 1) if count % k == 0])
    swapped = x.reshape((x.shape[-1], -1)) if x.ndim > 1 else x.reshape((1, x.shape[0]))
    return pool.one_of(x.reshape((first, -1)), x.reshape((-1, first)), x.reshape((first, count // first)), swapped)


def _expanded(pool: Pool, x: Out, shape) -> Out:
    return eg.expand_dims(x, pool.number(0, x.ndim)) if x.ndim < 3 else x.sum(axis=0)


def _slice(pool: Pool) -> slice:
    low, high = (pool.number(-6, 6) if pool.draw(FLAG) else None for _ in range(2))
    return slice(low, high, pool.one_of(None, 1, 2, -1, -2))


def _sliced(pool: Pool, x: Out, shape) -> Out:
    return x[tuple(_slice(pool) for _ in range(pool.number(1, x.ndim)))]


def _sliced_by_inputs(pool: Pool, x: Out, shape) -> Out:
    low, high = (pool.one_of(None, pool.scalar(-6, 6)) for _ in range(2))
    step = pool.one_of(None, 1, -1, 2, pool.scalar(1, 3), pool.scalar(-3, -1))
    return x[(slice(None),) * pool.number(0, x.ndim - 1) + (slice(low, high, step),)]


def _shifted(pool: Pool, x: Out, shape) -> Out:
    if pool.draw(FLAG):
        return x[1:] * x[:-1]
    return eg.roll(x, pool.number(-3, 3), axis=pool.number(0, x.ndim - 1))


def _joined(pool: Pool, x: Out, shape) -> Out:
    axis = pool.number(0, x.ndim - 1)

    def fits(y: Out) -> bool:
        theirs = pool.shape(y)
        return len(theirs) == len(shape) and all(k == axis or a == b for k, (a, b) in enumerate(zip(shape, theirs)))
    parts = [x, *(pool.pick(fits) for _ in range(pool.number(1, 2)))]
    return eg.concatenate(parts, axis=axis)


def _doubled(pool: Pool, x: Out, shape) -> Out:
    return pool.one_of(eg.stack([x, x]), eg.repeat(x, 2, axis=0), eg.tile(x, 2))


def _flipped(pool: Pool, x: Out, shape) -> Out:
    return eg.flip(x, pool.one_of(None, *range(x.ndim)))


def _diagonal(pool: Pool, x: Out, shape) -> Out:
    if x.ndim == 1:
        return eg.diag(x, pool.number(-1, 1))
    return pool.one_of(eg.diagonal(x, pool.number(-2, 2)), eg.tril(x, pool.number(-1, 1)) if x.dtype != "bool" else x[0])


MOVES = [_transposed, _flat, _folded, _expanded, _sliced, _sliced, _sliced_by_inputs, _shifted, _joined, _joined, _doubled, _flipped,
         _diagonal]


def outer(pool: Pool) -> Out | None:
    """Columns against rows: sizes that only a call can compare."""
    x, y = (pool.number_like(_has_axes) for _ in range(2))
    if x is None or y is None:
        return None
    x, y = (v.flatten() if v.ndim > 1 else v for v in (x, y))
    return pool.one_of(x[:, None] + y[None, :], eg.tanh(x)[:, None] * y, eg.outer(eg.tanh(x), y))


def product(pool: Pool) -> Out | None:
    """A product of matrices, of batches of them, or of a matrix and a vector."""
    x = pool.float_like(lambda x: x.ndim >= 2)
    if x is None:
        return None
    x = eg.tanh(x)
    turned = x.transpose(*range(x.ndim - 2), -1, -2)
    forms = [lambda: x @ turned, lambda: turned @ x, lambda: eg.stack([x, x * 2]) @ turned]
    if x.ndim == 2:
        forms += [lambda: eg.dot(x, x.sum(axis=0)), lambda: x.sum(axis=1) @ x]
    return pool.one_of(*forms)()


def extra(pool: Pool) -> Out | None:
    """One more leaf of a shape that is about, or of one element."""
    shape = pool.shape(pool.pick())
    return pool.leaf(pool.one_of(pool.dtype, pool.dtype, "int32", "bool", "float64"), [pool.one_of(n, n, 1) for n in shape])


STEPS = [unary, unary, unary, binary, binary, binary, reduce, reduce, rows, running, ordered, move, move, move, take, along, labels, arg,
         integer, compare, choose, cast, outer, product, extra]
