"""Prefix scans: rows whose element i along one axis folds the elements 0 .. i of that axis into one value."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.node import OPERATORS, Op, Out, TensorType, as_symbol
from exprgraph.ops.bits import invert, or_
from exprgraph.ops.compare import eq, ge, le, neq, switch
from exprgraph.ops.create import iota
from exprgraph.ops.index import scatter_add, take
from exprgraph.ops.pair import EACH, Formula, products
from exprgraph.ops.reduce import choose
from exprgraph.ops.rows import Grad, table
from exprgraph.ops.shape import Grads, dim_node, dimshuffle, reshape, shape_of
from exprgraph.types import Accept, Accepted, cast_to, normal_axis


def _settle(out: Out, axis: Any) -> Accepted:
    """Without an axis the elements are scanned in C order, as one row."""
    if axis is None:
        return (out if out.ndim == 1 else reshape(out, dim_node(product(out.type.shape))),), {"axis": 0}
    return (out,), {"axis": normal_axis(axis, out.ndim)}


def _accept_total(x: Any, axis: Any = None, dtype: Any = None) -> Accepted:
    """cumsum and cumprod: the operand is cast to the dtype in which it accumulates, which is that of the result."""
    out = as_symbol(x)
    return _settle(cast_to(out, dtypes.accumulator(out.dtype) if dtype is None else dtypes.canonical(dtype)), axis)


def _accept_best(x: Any, axis: Any = None) -> Accepted:
    """cummax and cummin: the operand as it is."""
    return _settle(as_symbol(x), axis)


def _infer(inputs: tuple[Out, ...], axis: int) -> tuple[TensorType, ...]:
    return (inputs[0].type,)


def _reversed(x: Out, axis: int) -> Out:
    made: Out = OPERATORS["getitem"](x, (slice(None),) * axis + (slice(None, None, -1),))
    return made


def _from_here(x: Any, axis: int) -> Any:
    """The sum of each element and all behind it: the adjoint of cumsum."""
    return _reversed(cumsum(_reversed(x, axis), axis=axis), axis)


def _sum_grad(g: Out, y: Out, x: Out, axis: int) -> Grads:
    return (_from_here(g, axis),)


def _prod_grad(g: Out, y: Out, x: Any, axis: int) -> Grads:
    """The sum over i >= j of g[i] times the product of all factors up to i but the one at j, right with zeros, through three derivatives.

    As for prod, the product up to i is P, that of the factors which are not 0, times the product of the n zeros, a polynomial written
    with their power sums s1 and s2.  Without the factor at j it is a polynomial in x[j] where that is one of the zeros, whose coefficients
    depend on i alone, so that each is summed by itself.
    """
    zero = eq(x, 0)
    factors, zeros = switch(zero, 1, x), switch(zero, x, 0)
    n, s1, s2 = cumsum(zero, axis=axis), cumsum(zeros, axis=axis), cumsum(zeros * zeros, axis=axis)
    pairs = (s1 * s1 - s2) / 2
    weight = g * cumprod(factors, axis=axis)

    def behind(coefficient: Any) -> Any:
        return _from_here(weight * coefficient, axis)
    constant, slope, square = choose(n, {3: pairs, 2: s1, 1: 1}), choose(n, {3: -s1, 2: -1}), choose(n, {3: 1})
    at_zero = behind(constant) + zeros * behind(slope) + zeros * zeros * behind(square)
    elsewhere = behind(choose(n, {2: pairs, 1: s1, 0: 1}))
    return (switch(zero, at_zero, elsewhere) / factors,)


def _best_grad(kept: Callable[[Any, Any], Out]) -> Grad:
    """The cotangent of i goes to the first of the elements up to i that tie for the best, the one whose value has been carried to i.

    kept(before, x): whether the best so far stays.  Positions in C order grow along every axis, so their running maximum, over those that
    become the best, is the position that each cotangent goes to.
    """
    def grad(g: Out, y: Out, x: Any, axis: int) -> Grads:
        length, total = shape_of(x)[axis], dim_node(product(x.type.shape))
        place: Any = iota(length)
        before: Any = take(y, switch(eq(place, 0), 0, place - 1), axis=axis)
        first = dimshuffle(eq(place, 0), pattern=[0 if i == axis else -1 for i in range(x.ndim)])
        starts = or_(first, invert(or_(kept(before, x), neq(before, before))))
        source = cummax(switch(starts, reshape(iota(total), *shape_of(x)), 0), axis=axis)
        return (reshape(scatter_add(reshape(source, total), reshape(g, total), total, axis=0), *shape_of(x)),)
    return grad


def _running(fold: Any) -> Callable[..., Any]:
    def meaning(x: Any, axis: int) -> Any:
        with np.errstate(all="ignore"):
            return fold.accumulate(x, axis=axis, dtype=dtypes.summed_in(x.dtype.name)).astype(x.dtype)
    return meaning


def _scan(name: str, fold: Any, accept: Accept, grad: Grad, doc: str, pair: Formula | str | None = None) -> Op:
    return Op(name, "scan", _running(fold), accept, _infer, grad, domain=((-3.0, 3.0),), flags=frozenset({"smooth"}), doc=doc, pair=pair)


cumsum = _scan("cumsum", np.add, _accept_total, _sum_grad,
               "The sums of the elements up to each along the axis, of all in C order without one; dtypes as for sum.", EACH)
cumprod = _scan("cumprod", np.multiply, _accept_total, _prod_grad,
                "The products of the elements up to each along the axis, of all in C order without one; dtypes as for prod.",
                products("cumprod"))
cummax = _scan("cummax", np.maximum, _accept_best, _best_grad(ge),
               "The greatest of the elements up to each along the axis, of all in C order without one; NaN from the first NaN on.")
cummin = _scan("cummin", np.minimum, _accept_best, _best_grad(le),
               "The least of the elements up to each along the axis, of all in C order without one; NaN from the first NaN on.")

TABLE = table([cumsum, cumprod, cummax, cummin])
