"""Reductions: one row per way of folding axes into one value."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import constant, product
from exprgraph.node import Condition, Op, Out, TensorType, as_symbol, no_condition
from exprgraph.ops.compare import eq, switch, truth
from exprgraph.ops.pair import EACH, Formula, products
from exprgraph.ops.rounding import cast
from exprgraph.ops.rows import Grad, table
from exprgraph.ops.shape import broadcast_to, dimshuffle, needed, shape_of
from exprgraph.types import Accept, Accepted, cast_to, describe, normal_axes

Axes = tuple[int, ...]


def _settle(x: Out, axis: Any, keepdims: Any) -> Accepted:
    return (x,), {"axis": normal_axes(axis, x.ndim), "keepdims": bool(keepdims)}


def _accept_total(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None) -> Accepted:
    """sum and prod: the operand is cast to the dtype in which it accumulates, which is that of the result.

    acc_dtype is accepted and not needed: sums are accurate in their own dtype.
    """
    out = as_symbol(x)
    target = dtypes.accumulator(out.dtype) if dtype is None else dtypes.canonical(dtype)
    return _settle(cast_to(out, target), axis, keepdims)


def _accept_best(x: Any, axis: Any = None, keepdims: bool = False) -> Accepted:
    """max, min, argmax, argmin: the operand as it is."""
    return _settle(as_symbol(x), axis, keepdims)


def _accept_max(x: Any, axis: Any = None, keepdims: bool = False, shift: bool = False) -> Accepted:
    """max; with shift it serves only to move a range, as in logsumexp: of no elements it is the dtype's least value, and it has no
    gradient, because what is shifted by it does not depend on it."""
    inputs, params = _accept_best(x, axis, keepdims)
    return inputs, {**params, "shift": True} if shift else params


def _accept_truth(x: Any, axis: Any = None, keepdims: bool = False) -> Accepted:
    """any, all: whether the operand is not zero (NaN is not)."""
    return _settle(truth(x), axis, keepdims)


def _infer(dtype: str | None = None) -> Callable[..., tuple[TensorType, ...]]:
    def infer(inputs: tuple[Out, ...], axis: Axes, keepdims: bool, shift: bool = False) -> tuple[TensorType, ...]:
        shape = inputs[0].type.shape
        kept = tuple(constant(1) if i in axis else d for i, d in enumerate(shape) if keepdims or i not in axis)
        return (TensorType(dtype or inputs[0].dtype, kept),)
    return infer


def _occupied(name: str) -> Callable[..., list[Condition]]:
    """There is no greatest element of nothing: the reduced extent must be at least 1, even where the result is empty."""
    def requires(inputs: tuple[Out, ...], axis: Axes, keepdims: bool, shift: bool = False) -> list[Condition]:
        shape = inputs[0].type.shape
        message = f"{name} of {describe(inputs[0])} over axis {axis}: the axis is empty, and {name} of no elements has no value"
        return [] if shift else needed("le", constant(1), product(shape[i] for i in axis), message)
    return requires


def spread(g: Any, ndim: int, axis: Sequence[int], keepdims: bool) -> Any:
    """The result of a reduction with its dropped axes back, of length 1."""
    left = count()
    return g if keepdims or not axis else dimshuffle(g, pattern=[-1 if i in axis else next(left) for i in range(ndim)])


def _sum_grad(g: Out, y: Out, x: Out, axis: Axes, keepdims: bool) -> tuple[Out | None, ...]:
    return (broadcast_to(spread(g, x.ndim, axis, keepdims), *shape_of(x)) if axis else g,)


def _prod_grad(g: Out, y: Out, x: Any, axis: Axes, keepdims: bool) -> tuple[Out | None, ...]:
    """The product of the other factors, right with zeros: at zeros and through three derivatives.

    With P the product of the factors that are not 0 and n the number of those that are, the product of all is P times the product of the n
    zeros, a polynomial whose value is 0 but whose derivatives are not.  It is written with their power sums s1 and s2 (elementary
    symmetric polynomials); more than three zeros leave nothing in the first three derivatives.
    """
    def total(value: Any) -> Any:
        return sum_(value, axis=axis, keepdims=True)
    zero = eq(x, 0)
    factors, zeros = switch(zero, 1, x), switch(zero, x, 0)
    n, s1, s2 = total(zero), total(zeros), total(zeros * zeros)
    rest, rest2 = s1 - zeros, s2 - zeros * zeros
    at_zero = choose(n, {3: (rest * rest - rest2) / 2, 2: rest, 1: 1})
    elsewhere = choose(n, {2: (s1 * s1 - s2) / 2, 1: s1, 0: 1})
    others = prod(factors, axis=axis, keepdims=True) / factors
    return (spread(g, x.ndim, axis, keepdims) * others * switch(zero, at_zero, elsewhere),)


def choose(n: Any, cases: dict[int, Any]) -> Any:
    """The case that belongs to the number n, 0 where there is none."""
    found: Any = 0
    for number, value in cases.items():
        found = switch(eq(n, number), value, found)
    return found


def _best_grad(g: Out, y: Out, x: Any, axis: Axes, keepdims: bool, shift: bool = False) -> tuple[Out | None, ...]:
    """Elements that tie for the best share the cotangent equally."""
    if shift:
        return (None,)
    best = cast(eq(x, spread(y, x.ndim, axis, keepdims)), x.dtype)
    return (spread(g, x.ndim, axis, keepdims) * (best / sum_(best, axis=axis, keepdims=True)),)


def _greatest(x: Any, axis: Axes, keepdims: bool, shift: bool = False) -> Any:
    least = -np.inf if x.dtype.kind == "f" else False if x.dtype == bool else np.iinfo(x.dtype).min
    return np.max(x, axis=axis, keepdims=keepdims, initial=least) if shift else np.max(x, axis=axis, keepdims=keepdims)


def _total(fold: Callable[..., Any]) -> Callable[..., Any]:
    def meaning(x: Any, axis: Axes, keepdims: bool) -> Any:
        return fold(x, axis=axis, dtype=dtypes.summed_in(x.dtype.name), keepdims=keepdims).astype(x.dtype)
    return meaning


def _position(find: Callable[..., Any]) -> Callable[..., Any]:
    """argmax or argmin over several axes: the position in the reduced axes, flattened in their order."""
    def meaning(x: Any, axis: Axes, keepdims: bool) -> Any:
        kept = [i for i in range(x.ndim) if i not in axis]
        extent = int(np.prod([x.shape[i] for i in axis], dtype=np.int64))
        rows = x.transpose([*kept, *axis]).reshape([x.shape[i] for i in kept] + [extent])
        found = np.asarray(find(rows, axis=-1), np.int64)
        return np.expand_dims(found, axis) if keepdims else found
    return meaning


def _reduction(name: str, numpy: Callable[..., Any], accept: Accept, grad: Grad | None, doc: str, *, dtype: str | None = None,
               nonempty: bool = False, flags: str = "", pair: Formula | str | None = None) -> Op:
    requires = _occupied(name) if nonempty else no_condition
    return Op(name, "reduce", numpy, accept, _infer(dtype), grad, domain=((-3.0, 3.0),), flags=frozenset(flags.split()),
              requires=requires, doc=doc, pair=pair)


sum_ = _reduction("sum", _total(np.sum), _accept_total, _sum_grad, flags="smooth", pair=EACH,
                  doc="The sum over the axes; integers and bool accumulate in int64 or uint64 unless dtype= says otherwise.")
prod = _reduction("prod", _total(np.prod), _accept_total, _prod_grad, flags="smooth", pair=products("prod"),
                  doc="The product over the axes, with the dtypes of sum.")
max_ = _reduction("max", _greatest, _accept_max, _best_grad, nonempty=True, flags="smooth",
                  doc="The greatest element over the axes; NaN where there is one.")
min_ = _reduction("min", np.min, _accept_best, _best_grad, nonempty=True, flags="smooth",
                  doc="The least element over the axes; NaN where there is one.")
any_ = _reduction("any", np.any, _accept_truth, None, dtype="bool", doc="Whether some element over the axes is not zero.")
all_ = _reduction("all", np.all, _accept_truth, None, dtype="bool", doc="Whether no element over the axes is zero.")
argmax = _reduction("argmax", _position(np.argmax), _accept_best, None, dtype="int64", nonempty=True,
                    doc="The position of the first NaN, else of the first maximum; over several axes the position in them flattened.")
argmin = _reduction("argmin", _position(np.argmin), _accept_best, None, dtype="int64", nonempty=True,
                    doc="The position of the first NaN, else of the first minimum; over several axes the position in them flattened.")

TABLE = table([sum_, prod, max_, min_, any_, all_, argmax, argmin])
