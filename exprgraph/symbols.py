"""The constructors of symbols: scalar ... tensor7 with their dtype-letter and plural forms, tensor, TensorType, constant."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import RankError, ShapeError, UseError, at, here, shortly
from exprgraph.node import INPUT, Out, TensorType, as_symbol, leaf, make_constant

Lengths = tuple[int | None, ...]
MAX_RANK = 32
KINDS: dict[str, Lengths] = {
    "scalar": (), "vector": (None,), "row": (1, None), "col": (None, 1), "matrix": (None, None),
    **{f"tensor{n}": (None,) * n for n in range(3, 8)}}
PLURALS = {"matrix": "matrices"}


def lengths(shape: Any) -> Lengths:
    """The axis lengths that a user's shape, rank or Theano broadcast pattern (True: length 1) stands for; None is any length."""
    given = (None,) * shape if isinstance(shape, int) and not isinstance(shape, bool) else tuple(shape)
    if len(given) > MAX_RANK:
        raise RankError(f"a tensor of {len(given)} axes: at most {MAX_RANK} are supported{at(here())}")
    found: list[int | None] = [(1 if n else None) if isinstance(n, bool | np.bool_) else n for n in given]
    for n in found:
        if n is not None and (not isinstance(n, int | np.integer) or n < 0):
            raise ShapeError(f"a length must be None or an integer of at least 0, not {shortly(n)}{at(here())}")
    return tuple(None if n is None else int(n) for n in found)


def symbol(dtype: Any, shape: Any, name: str | None = None) -> Out:
    """A new input symbol."""
    if name is not None and not isinstance(name, str):
        raise UseError(f"the name of a symbol must be a string, not {shortly(name)}{at(here())}")
    return Out(leaf(INPUT, dtypes.canonical("floatX" if dtype is None else dtype), lengths(shape), name))


def tensor(name: Any = None, dtype: Any = None, shape: Any = None, *, broadcastable: Sequence[bool] | None = None) -> Out:
    """A symbol `tensor("x", "float32", (None, 3))`; shape is a tuple of lengths, None for any, or a rank.

    Theano's order `tensor("float32", (False, True), name)` is understood as well: there the pattern stands second.
    """
    if isinstance(dtype, tuple | list):
        name, dtype, shape = shape, name, dtype
    pattern = shape if shape is not None else broadcastable
    if pattern is None:
        raise RankError(f"tensor() needs a shape: shape=(None, 3), or a rank, shape=2{at(here())}")
    return symbol(dtype, pattern, name)


def tensor_type(dtype: Any, shape: Any = (), broadcastable: Sequence[bool] | None = None) -> TensorType:
    """A type to make symbols of: `tensor_type("float32", (None, 3))("x")`; a Theano broadcast pattern does for a shape."""
    kind: TensorType = symbol(dtype, shape if broadcastable is None else broadcastable).type
    return kind


def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> Out:
    """A constant from a number, an array or a nested list; ndim adds axes of length 1 at the left."""
    array = dtypes.array_of(x)
    if ndim is not None and array.ndim > ndim:
        raise RankError(f"a constant of {array.ndim} axes cannot have ndim={ndim}{at(here())}")
    value = array.reshape((1,) * (ndim - array.ndim) + array.shape) if ndim is not None and ndim > array.ndim else x
    out = make_constant(value, None if dtype is None else dtypes.canonical(dtype))
    out.name = name
    return out


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Out:
    """A symbol as it is, a list that holds symbols as their stack, anything else as a constant; ndim adds axes at the left."""
    out: Any = as_symbol(x)
    if ndim is not None and out.ndim > ndim:
        raise RankError(f"a tensor of {out.ndim} axes cannot have ndim={ndim}{at(here())}")
    if ndim is not None and ndim > out.ndim:
        out = out.dimshuffle(*["x"] * (ndim - out.ndim), *range(out.ndim))
    if name is not None and out is not x:
        out.name = name
    made: Out = out
    return made


def _generic(kind: str) -> Callable[..., Out]:
    def make(name: str | None = None, dtype: Any = None) -> Out:
        return symbol(dtype, KINDS[kind], name)
    return _named(make, kind, f"A symbol of kind {kind}, of dtype floatX unless dtype= says otherwise.")


def _lettered(kind: str, letter: str) -> Callable[..., Out]:
    def make(name: str | None = None) -> Out:
        return symbol(dtypes.LETTERS[letter], KINDS[kind], name)
    return _named(make, letter + kind, f"A symbol of kind {kind} and dtype {dtypes.LETTERS[letter]}.")


def _plural(name: str, one: Callable[..., Out]) -> Callable[..., list[Out]]:
    def make(*names: Any, **keywords: Any) -> list[Out]:
        if len(names) == 1 and isinstance(names[0], int):
            return [one(**keywords) for _ in range(names[0])]
        wanted = names[0] if len(names) == 1 else names
        return [one(n, **keywords) for n in wanted]
    return _named(make, name, f"Several of {one.__name__}: by names (\"x\", \"y\"), one per character of \"xy\", or so many as 2.")


def _named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def constructors() -> dict[str, Callable[..., Any]]:
    """Every constructor by name: each kind, plain and with each dtype letter, singular and plural."""
    found: dict[str, Callable[..., Any]] = {}
    for kind in KINDS:
        made = {"": _generic(kind), **{c: _lettered(kind, c) for c in dtypes.LETTERS}}
        for letter, one in made.items():
            plural = letter + PLURALS.get(kind, kind + "s")
            found[letter + kind] = one
            found[plural] = _plural(plural, one)
    return found
