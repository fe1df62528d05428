"""How sizes, views, gathers, folds and sorting carry facts on."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from exprgraph.dims import product
from exprgraph.dtypes import FLOATS, is_float
from exprgraph.known.arithmetic import Carry, Given, words
from exprgraph.known.record import ELEMENTS, INF, NONE, NUMBER, PLUS, SORTED, UNIQUE, WHOLE, Facts, greatest, join, of_dtype, within
from exprgraph.node import Node, Op
from exprgraph.ops.arithmetic import add, sub
from exprgraph.ops.contract import matmul
from exprgraph.ops.create import iota
from exprgraph.ops.gradient_markers import barrier, grad_clip, grad_scale, undefined_grad
from exprgraph.ops.index import concat, place, scatter_add, subtensor, take, take_along
from exprgraph.ops.markers import assert_, disconnected_grad, zero_grad
from exprgraph.ops.points import take_at
from exprgraph.ops.reduce import all_, any_, argmax, argmin, max_, min_, prod, sum_
from exprgraph.ops.rounding import cast, identity, second
from exprgraph.ops.scan import cummax, cummin, cumsum
from exprgraph.ops.shape import bcast_size, broadcast_to, dimshuffle, read_size, reshape, size, specify_shape, sum_to
from exprgraph.ops.sort import argsort, flatnonzero, pick, searchsorted, sort

MOST = 2**62 - 1
"""No tensor has more elements, so no size is larger, and two of them can be added."""
PLACES = Facts(0, MOST, ELEMENTS)
NOUGHT = Facts(0, 0, ELEMENTS)


def _dtype(node: Node) -> str:
    return node.outs[0].dtype


def _same(node: Node, given: Given) -> Facts:
    """The tensor itself: all that is known of it."""
    return given[0]


def _elements(node: Node, given: Given) -> Facts:
    """Elements of the first operand, in some order or several times."""
    return given[0]._replace(holds=given[0].holds & ELEMENTS)


def _turned(node: Node, given: Given) -> Facts:
    """The same elements, each once, in other places; a vector that stays one keeps its order."""
    straight = node.inputs[0].ndim <= 1 and len(node.outs[0].shape) <= 1
    kept = ELEMENTS | {UNIQUE} | ({SORTED} if straight else set())
    return given[0]._replace(holds=given[0].holds & kept)


def _section(node: Node, given: Given) -> Facts:
    """A part of the elements; steps may be negative, so the order is kept where they are known not to be."""
    found = _turned(node, given)
    forward = all(f.low >= 0 for f in given[2::3])
    return found if forward else found._replace(holds=found.holds - {SORTED})


def _place(node: Node, given: Given) -> Facts:
    return join(given[0], NOUGHT)


def _concat(node: Node, given: Given) -> Facts:
    return join(*given)


def _gathered(node: Node, given: Given) -> Facts:
    """A vector of different elements at different places."""
    alone = node.inputs[0].ndim == 1 and given[0].holds & given[1].holds & {UNIQUE} and given[1].low >= 0
    return given[0]._replace(holds=given[0].holds & ELEMENTS | ({UNIQUE} if alone else set()))


def _size(node: Node, given: Given) -> Facts:
    known = node.inputs[0].type.shape[node.param("axis")].const
    return PLACES if known is None else Facts(known, known, ELEMENTS)


def _read(node: Node, given: Given) -> Facts:
    """A size that is negative refuses the call."""
    return within("int64", given[0].low if node.param("signed") else max(0, given[0].low), max(0, given[0].high))


def _most(node: Node) -> int:
    """The most elements along the axes of a result, or MOST."""
    known = product(node.outs[0].shape).const
    return MOST if known is None else known


def _iota(node: Node, given: Given) -> Facts:
    """0, 1, ...: different as long as the dtype holds them all."""
    dtype, last = _dtype(node), max(0, _most(node) - 1)
    exact = last <= (greatest(dtype) if not is_float(dtype) else 2 ** (np.finfo(dtype).nmant + 1) if dtype in FLOATS else 256)
    if not exact:
        return of_dtype(dtype) if not is_float(dtype) else Facts(0.0, INF if dtype == "float16" else last * 1.0, ELEMENTS)
    return within(dtype, 0, last, ELEMENTS | {UNIQUE, SORTED})


def _count(node: Node) -> int:
    """The most elements that are folded into one."""
    x = node.inputs[0]
    axes = dict(node.params).get("axis", range(x.ndim))
    known = product(x.type.shape[i] for i in ((axes,) if isinstance(axes, int) else axes)).const
    return MOST if known is None else known


def _total(node: Node, given: Given) -> Facts:
    """A sum of any number of terms: -0.0 only of such, NaN only where infinities cancel or what overflows meets them."""
    x, dtype = given[0], _dtype(node)
    if not is_float(dtype):
        n = _count(node)
        return within(dtype, min(0, x.low * n), max(0, x.high * n))
    number = NUMBER in x.holds and (x.low >= 0 or x.high <= 0)
    return Facts(0.0 if x.low >= 0 else -INF, 0.0 if x.high <= 0 else INF,
        words((NUMBER, number), (PLUS, PLUS in x.holds), (WHOLE, WHOLE in x.holds)))


def _product(node: Node, given: Given) -> Facts:
    x, dtype = given[0], _dtype(node)
    if x.low < 0 or PLUS not in x.holds:
        return of_dtype(dtype)
    if x.high <= 1:
        return within(dtype, 0, 1, x.holds & {NUMBER, WHOLE} | {PLUS})
    return within(dtype, 0, INF, {PLUS}) if is_float(dtype) else of_dtype(dtype)


def _best(node: Node, given: Given) -> Facts:
    """One of the elements; with `shift` the least value of the dtype where there are none."""
    found = _elements(node, given)
    return join(found, Facts(of_dtype(_dtype(node)).low, found.low, ELEMENTS)) if dict(node.params).get("shift") else found


def _truth(node: Node, given: Given) -> Facts:
    return Facts(0, 1, ELEMENTS)


def _position(node: Node, given: Given) -> Facts:
    """A position among the elements that are reduced."""
    return Facts(0, max(0, _count(node) - 1), ELEMENTS)


def _order(node: Node, given: Given) -> Facts:
    """Each position along an axis once: of a vector no two are alike."""
    known = node.inputs[0].type.shape[node.param("axis")].const
    alone = {UNIQUE} if node.inputs[0].ndim == 1 else set()
    return Facts(0, MOST if known is None else max(0, known - 1), ELEMENTS | alone)


def _sorted(node: Node, given: Given) -> Facts:
    """NaN comes last, so what may hold it is not in order."""
    x = given[0]
    last = node.param("axis") == node.inputs[0].ndim - 1 and NUMBER in x.holds
    return x._replace(holds=x.holds & (ELEMENTS | {UNIQUE}) | ({SORTED} if last else set()))


def _places(node: Node, given: Given) -> Facts:
    return PLACES


def _found(node: Node, given: Given) -> Facts:
    return PLACES._replace(holds=ELEMENTS | {UNIQUE, SORTED})


def _scattered(node: Node, given: Given) -> Facts:
    """Sums of any number of values, none of them too."""
    x, dtype = given[1], _dtype(node)
    if not is_float(dtype):
        return of_dtype(dtype)
    number = NUMBER in x.holds and (x.low >= 0 or x.high <= 0)
    return Facts(0.0 if x.low >= 0 else -INF, 0.0 if x.high <= 0 else INF, words((NUMBER, number), (PLUS, PLUS in x.holds)))


def _larger_size(node: Node, given: Given) -> Facts:
    return within("int64", min(f.low for f in given), max(f.high for f in given))


def _contracted(node: Node, given: Given) -> Facts:
    """Sums of products: without a minus where no factor has one."""
    a, b = given
    if not is_float(_dtype(node)):
        return of_dtype(_dtype(node))
    unsigned = all(f.low >= 0 and PLUS in f.holds for f in given)
    held = words((NUMBER, unsigned and a.finite and b.finite), (PLUS, unsigned), (WHOLE, WHOLE in a.holds & b.holds))
    return Facts(0.0 if unsigned else -INF, INF, held)


def sequence(node: Node, given: Given, made: Facts) -> frozenset[str]:
    """Integers stay different and in order where one number is added to all, or where they fit into another dtype."""
    x = given[0]
    if node.op is cast:
        fits = not is_float(_dtype(node)) and _dtype(node) != "bool" and (made.low, made.high) == (x.low, x.high)
        return x.holds & {UNIQUE, SORTED} if fits else NONE
    if node.op not in (add, sub) or is_float(_dtype(node)) or any(d.const != 1 for d in node.inputs[1].type.shape):
        return NONE
    low, high = (x.low + given[1].low, x.high + given[1].high) if node.op is add else (x.low - given[1].high, x.high - given[1].low)
    return x.holds & ({UNIQUE, SORTED} if (made.low, made.high) == (low, high) else {UNIQUE})


TABLE: Mapping[Op, Carry] = {
    size: _size, bcast_size: _larger_size, read_size: _read, iota: _iota,
    **dict.fromkeys((specify_shape, barrier, identity, assert_, disconnected_grad, zero_grad, undefined_grad, grad_clip, grad_scale),
        _same),
    second: lambda node, given: given[1]._replace(holds=given[1].holds & ELEMENTS),
    dimshuffle: _turned, reshape: _turned, subtensor: _section, broadcast_to: _elements, place: _place, concat: _concat,
    take: _gathered, pick: _gathered, take_along: _elements, take_at: _elements,
    sum_: _total, sum_to: _total, cumsum: _total, prod: _product, max_: _best, min_: _best, cummax: _elements, cummin: _elements,
    any_: _truth, all_: _truth, argmax: _position, argmin: _position,
    sort: _sorted, matmul: _contracted, argsort: _order, searchsorted: _places, flatnonzero: _found, scatter_add: _scattered}
"""How each row carries the facts of its operands on to its result."""
