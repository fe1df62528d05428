"""Sizes as scalars, and the rows that rearrange axes without computing: permute, reshape, broadcast, and its adjoint."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from exprgraph import dtypes
from exprgraph.atoms import Size, Value
from exprgraph.dims import Call, Dim, atoms, bounds, constant, product
from exprgraph.errors import RankError, ShapeError, at, here
from exprgraph.node import OPERATORS, Condition, Op, Out, TensorType, as_symbol, make_constant
from exprgraph.ops.pair import EACH
from exprgraph.ops.rows import table
from exprgraph.types import Accepted, cast_to, describe, normal_axis, show_shape, size_argument, size_dims

MAX_RANK = 32
Types = tuple[TensorType, ...]
Grads = tuple[Out | None, ...]


def needed(kind: str, left: Dim, right: Dim, message: str, error: type[Exception] = ShapeError) -> list[Condition]:
    """The Condition as a list, empty where it provably holds for all sizes."""
    holds = left == right if kind == "eq" else bounds(right - left)[0] >= 0
    return [] if holds else [Condition(kind, left, right, message, error)]


def typed(dtype: str, shape: Sequence[Dim]) -> Types:
    """One output type; RankError beyond the number of axes that NumPy arrays can have."""
    if len(shape) > MAX_RANK:
        raise RankError(f"a tensor has at most {MAX_RANK} axes, this one would have {len(shape)}{at(here())}")
    return (TensorType(dtype, tuple(shape)),)


def _accept_size(x: Any, *, axis: Any) -> Accepted:
    out = as_symbol(x)
    return (out,), {"axis": normal_axis(axis, out.ndim)}


size = Op("size", "source", lambda x, axis: np.asarray(x.shape[axis], "int64"), _accept_size,
          lambda inputs, axis: (TensorType("int64", ()),), lambda g, y, x, axis: (None,), doc="The length of one axis, an int64 scalar.")

bcast_size = Op("bcast_size", "source", lambda a, b: np.asarray(b if a == 1 else a, "int64"),
                lambda a, b: ((size_argument(a), size_argument(b)), {}), lambda inputs: (TensorType("int64", ()),),
                lambda g, y, a, b: (None, None), doc="The size that broadcasting gives two sizes.")



def _read(x: Any, signed: bool) -> Any:
    if x < 0 and not signed:
        raise ValueError(f"a size cannot be negative: {x}")
    return np.asarray(x, "int64")


def _accept_read(x: Any, *, signed: bool = False) -> Accepted:
    out = cast_to(x, "int64")
    if out.ndim:
        raise RankError(f"a size must be a scalar, not a tensor of {out.ndim} axes{at(here())}")
    return (out,), {"signed": bool(signed)}


read_size = Op("read_size", "view", _read, _accept_read, lambda inputs, signed: (TensorType("int64", ()),),
               lambda g, y, x, signed: (None,), doc="An int64 scalar that a call computes and reads before what has it as a size; it must "
                                                    "not be negative unless it is `signed`.")

_NODES: WeakValueDictionary[tuple[str, tuple[int, ...]], Out] = WeakValueDictionary()
"""By the Dim and the very nodes that it speaks of: leaves that take the place of others share their uids, and so the Dims' texts."""


def dim_node(dim: Dim) -> Out:
    """The int64 scalar that computes a Dim from the sizes and integer scalars of a call; equal Dims give the same node."""
    built: dict[Dim, Out] = {}
    todo = [dim]
    while todo:
        top = todo[-1]
        key = top.text, tuple([id(a.source) for a in atoms((top,)) if not isinstance(a, Call)])
        found = built.get(top) if top in built else _NODES.get(key)
        if found is None:
            sides = [s for m, _ in top.terms for a in m if isinstance(a, Call) for s in (a.left, a.right) if s not in built]
            if sides:
                todo += sides
                continue
            found = _NODES[key] = _polynomial(top, built)
        built[todo.pop()] = found
    return built[dim]


def _polynomial(dim: Dim, built: dict[Dim, Out]) -> Out:
    if dim.const is not None:
        return make_constant(dim.const, "int64")
    total: Any = None
    for monomial, coefficient in dim.terms:
        factors = [_atom_node(a, built) for a in monomial]
        if coefficient != 1 or not factors:
            factors.insert(0, make_constant(coefficient, "int64"))
        part: Any = factors[0]
        for factor in factors[1:]:
            part = part * factor
        total = part if total is None else total + part
    return total  # type: ignore[no-any-return]


_CALLS = {"floordiv": "int_div", "mod": "mod", "min": "minimum", "max": "maximum"}


def _atom_node(atom: Any, built: dict[Dim, Out]) -> Out:
    if isinstance(atom, Size):
        return size(Out(atom.source), axis=atom.axis)
    if isinstance(atom, Value):
        return cast_to(Out(atom.source), "int64")
    if not isinstance(atom, Call):
        raise TypeError(f"{atom.text} is not known to a graph")
    sides = built[atom.left], built[atom.right]
    made: Out = bcast_size(*sides) if atom.kind == "bcast" else OPERATORS[_CALLS[atom.kind]](*sides)
    return made


def shape_of(x: Out) -> tuple[Out, ...]:
    """The sizes of a tensor as int64 scalars, which compute nothing but sizes."""
    return tuple(dim_node(d) for d in x.type.shape)


def _sized(x: Any, *sizes: Any) -> Accepted:
    return (as_symbol(x), *[size_argument(s) for s in sizes]), {}


def _sized_type(inputs: tuple[Out, ...]) -> Types:
    shape = size_dims(inputs[1:])
    if any((d.const or 0) < 0 for d in shape):
        raise ShapeError(f"a shape cannot hold a negative size: {show_shape(shape)}{at(here())}")
    return typed(inputs[0].dtype, shape)


def _not_negative(sizes: Sequence[Dim], what: str) -> list[Condition]:
    return [c for d in sizes for c in needed("le", constant(0), d, "a size of " + what + " is negative: {right}")]


def _pattern_type(inputs: tuple[Out, ...], pattern: tuple[int, ...]) -> Types:
    shape = inputs[0].type.shape
    return typed(inputs[0].dtype, [constant(1) if p < 0 else shape[p] for p in pattern])


def _accept_pattern(x: Any, *, pattern: Sequence[int]) -> Accepted:
    out = as_symbol(x)
    kept = [p for p in pattern if p >= 0]
    if len(set(kept)) != len(kept) or any(not -1 <= p < out.ndim for p in pattern):
        raise ShapeError(f"the pattern {tuple(pattern)} does not name distinct axes of a tensor of {out.ndim} axes{at(here())}")
    return (out,), {"pattern": tuple(int(p) for p in pattern)}


def _pattern_needs(inputs: tuple[Out, ...], pattern: tuple[int, ...]) -> list[Condition]:
    x = inputs[0]
    return [c for i, d in enumerate(x.type.shape) if i not in pattern
            for c in needed("eq", d, constant(1), f"axis {i} of {describe(x)} cannot be dropped: its length is {{left}}, not 1")]


def _permute(x: Any, pattern: tuple[int, ...]) -> Any:
    kept = [p for p in pattern if p >= 0]
    dropped = tuple(i for i in range(x.ndim) if i not in kept)
    bare = np.squeeze(x.transpose(kept + list(dropped)), tuple(range(len(kept), x.ndim)))
    return np.expand_dims(bare, tuple(i for i, p in enumerate(pattern) if p < 0))


def _permute_grad(g: Out, y: Out, x: Out, pattern: tuple[int, ...]) -> Grads:
    return (dimshuffle(g, pattern=[pattern.index(i) if i in pattern else -1 for i in range(x.ndim)]),)


dimshuffle = Op("dimshuffle", "view", _permute, _accept_pattern, _pattern_type, _permute_grad, flags=frozenset({"smooth"}),
                requires=_pattern_needs, doc="Axes in the order of `pattern`: -1 inserts an axis of length 1, axes not named are dropped.")


def _reshape_needs(inputs: tuple[Out, ...]) -> list[Condition]:
    """The product of the sizes must agree; a size that a division found, -1 for the user, needs a divisor."""
    x, shape = inputs[0], size_dims(inputs[1:])
    quotients = [d.atom for d in shape if isinstance(d.atom, Call) and d.atom.kind == "floordiv"]
    return _not_negative(shape, "reshape") + [
        c for q in quotients for c in needed("le", constant(1), q.right, f"reshape of {describe(x)} to {show_shape(shape)}: -1 is "
                                             "undetermined beside sizes whose product is {right}")] + needed(
        "eq", product(x.type.shape), product(shape),
        f"{describe(x)} of {{left}} elements cannot be reshaped to {show_shape(shape)} of {{right}}")


def _reshape_grad(g: Out, y: Out, x: Out, *sizes: Out) -> Grads:
    return reshape(g, *shape_of(x)), *[None] * len(sizes)


reshape = Op("reshape", "view", lambda x, *sizes: x.reshape([int(s) for s in sizes]), _sized, _sized_type, _reshape_grad,
             flags=frozenset({"smooth"}), requires=_reshape_needs, doc="The elements in row-major order under other sizes.")


def _accept_shape(x: Any, *sizes: Any, messages: Sequence[str]) -> Accepted:
    return (*_sized(x, *sizes)[0],), {"messages": tuple(messages)}


def _shape_needs(inputs: tuple[Out, ...], messages: tuple[str, ...]) -> list[Condition]:
    return [c for have, wanted, message in zip(inputs[0].type.shape, size_dims(inputs[1:]), messages)
            for c in needed("eq", have, wanted, message)]


def _checked(x: Any, *sizes: Any, messages: tuple[str, ...]) -> Any:
    for have, wanted, message in zip(x.shape, map(int, sizes), messages):
        if have != wanted:
            raise ValueError(message.format(left=have, right=wanted))
    return x


def _shape_grad(g: Out, y: Out, x: Out, *sizes: Out, messages: tuple[str, ...]) -> Grads:
    turned = [m.replace("{left}", "{}").replace("{right}", "{left}").replace("{}", "{right}") for m in messages]
    return specify_shape(g, *shape_of(x), messages=turned), *[None] * len(sizes)


specify_shape = Op("specify_shape", "view", _checked, _accept_shape, lambda inputs, messages: _sized_type(inputs), _shape_grad,
                   flags=frozenset({"smooth"}), requires=_shape_needs,
                   doc="The tensor, each of its axes declared to have a size; messages say by axis what is wrong, with {left} and {right}.")


def declared(x: Out, sizes: Mapping[int, tuple[Dim, str]]) -> Out:
    """The tensor, some axes declared to have a size; the message beside it is formatted with {left}, what the axis has, and {right}.

    ShapeError at once, or when a call brings the sizes; each axis is checked by itself.  The tensor itself where nothing is new.
    """
    shape, messages = zip(*(sizes.get(i, (d, "")) for i, d in enumerate(x.type.shape))) if sizes else (x.type.shape, ())
    return x if shape == x.type.shape else specify_shape(x, *[dim_node(d) for d in shape], messages=messages)


def _check_spread(small: Sequence[Dim], large: Sequence[Dim], what: str) -> None:
    pairs = list(zip(reversed(small), reversed(large)))
    if len(small) > len(large) or any(None not in (s.const, t.const) and s.const not in (1, t.const) for s, t in pairs):
        raise ShapeError(f"{what}: {show_shape(small)} does not broadcast to {show_shape(large)}{at(here())}")


def _broadcast_type(inputs: tuple[Out, ...]) -> Types:
    found = _sized_type(inputs)
    _check_spread(inputs[0].type.shape, found[0].shape, "broadcast_to")
    return found


def sum_back(g: Out, like: Out) -> Out:
    """The cotangent of something broadcast, summed to the shape of `like`; g itself where the shapes provably agree."""
    return g if g.type.shape == like.type.shape else sum_to(g, *shape_of(like))


def _broadcast_grad(g: Out, y: Out, x: Out, *sizes: Out) -> Grads:
    return sum_back(g, x), *[None] * len(sizes)


broadcast_to = Op("broadcast_to", "view", lambda x, *sizes: np.broadcast_to(x, [int(s) for s in sizes]), _sized, _broadcast_type,
                  _broadcast_grad, flags=frozenset({"smooth"}),
                  requires=lambda inputs: _not_negative(size_dims(inputs[1:]), "broadcast_to"),
                  doc="The tensor repeated along axes of length 1 and new leading axes until it has the sizes.")


def _sum_type(inputs: tuple[Out, ...]) -> Types:
    found = _sized_type(inputs)
    _check_spread(found[0].shape, inputs[0].type.shape, "sum_to")
    return found


def _sum_down(g: Any, *sizes: Any) -> Any:
    shape = [int(s) for s in sizes]
    lead = g.ndim - len(shape)
    axes = tuple(i for i in range(g.ndim) if i < lead or (shape[i - lead] == 1 and g.shape[i] != 1))
    return np.sum(g, axis=axes, dtype=dtypes.summed_in(g.dtype.name), keepdims=True).reshape(shape).astype(g.dtype)


def _sum_grad(g: Out, y: Out, x: Out, *sizes: Out) -> Grads:
    return broadcast_to(g, *shape_of(x)), *[None] * len(sizes)


sum_to = Op("sum_to", "reduce", _sum_down, _sized, _sum_type, _sum_grad, flags=frozenset({"smooth"}), pair=EACH,
            doc="The adjoint of broadcast_to: leading axes and axes whose target size is 1 are summed away.  A sum of nothing but "
                "negative zeros is 0.0, as NumPy's sums are, where nothing is summed too.")

TABLE = table([size, bcast_size, read_size, dimshuffle, reshape, specify_shape, broadcast_to, sum_to])
