"""Random index expressions, what NumPy makes of them, and the same as graphs over symbols and constants."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.functions.subscript import Subscript, subscript
from exprgraph.node import Node, Out
from tests.drawing import FLAG, Draw, between, one_of

DTYPES = ("int64", "int32", "int8", "uint8", "uint64")


class Case(NamedTuple):
    """An array, an index as NumPy takes it, the items that become symbols, and numbers to draw values from."""
    value: np.ndarray
    index: tuple[Any, ...]
    symbolic: frozenset[int]
    seed: int


class Built(NamedTuple):
    """The symbol, the index that fits it, and the leaves of the graph with their arrays."""
    x: Out
    subscript: Subscript
    leaves: list[Node]
    values: list[np.ndarray]


def arrays(draw: Draw, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """An array of positions in an axis."""
    dtype = one_of(draw, DTYPES)
    low = 0 if dtype.startswith("u") else -size
    return np.random.default_rng(draw(between(0, 30))).integers(low, size, shape).astype(dtype)


def slices(draw: Draw, size: int) -> slice:
    """A slice with bounds beyond the axis too."""
    low, high, step = (draw(FLAG) for _ in range(3))
    bound = between(-size - 2, size + 2)
    return slice(draw(bound) if low else None, draw(bound) if high else None, one_of(draw, (1, -1, 2, -2, 3)) if step else None)


@st.composite
def cases(draw: Draw, masks: bool = True) -> Case:
    """Any mixture of integers, slices, None, Ellipsis, arrays and, where asked for, masks, on an array of rank 0 to 4."""
    shape = tuple(draw(between(0, 5)) for _ in range(draw(between(0, 4))))
    common = one_of(draw, [(), (1,), (2,), (3,), (2, 3), (1, 2), (0,)])
    items, axis = [], 0
    while axis < len(shape):
        kinds = ["slice", "slice", "array", "array", "int", "none", "dots", "stop", *["mask"] * masks]
        kind = one_of(draw, kinds)
        if kind == "stop":
            break
        if kind in ("none", "dots"):
            if len(items) < 7 and not (kind == "dots" and any(i is ... for i in items)):
                items.append(None if kind == "none" else ...)
                axis += draw(between(0, len(shape) - axis)) if kind == "dots" else 0
            continue
        size = shape[axis]
        width = 1
        if kind == "mask":
            width = draw(between(0, min(2, len(shape) - axis)))
            items.append(_mask(draw, shape[axis:axis + width]))
        elif kind == "slice" or (not size and (kind == "int" or 0 not in common)):
            items.append(slices(draw, size))
        elif kind == "int":
            items.append(draw(between(-size, size - 1)))
        else:
            own = common[draw(between(0, len(common))):]
            own = tuple(1 if n > 1 and draw(FLAG) else n for n in own)
            items.append(arrays(draw, size, own) if size or 0 in own else slice(None))
        axis += width
    dtype = one_of(draw, ["float64", "float32", "int64"])
    value = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) * 7 % 23 - 5, dtype)
    symbolic = frozenset(k for k in range(len(items)) if draw(FLAG))
    return Case(value, tuple(items), symbolic, draw(between(0, 99)))


def _mask(draw: Draw, shape: tuple[int, ...]) -> Any:
    share = one_of(draw, [0, 1, 2, 4])
    return np.random.default_rng(draw(between(0, 30))).integers(0, 4, shape) < share if shape else share > 1


def valid(case: Case) -> bool:
    """Whether NumPy takes the index: its arrays broadcast, and a mask among arrays has a fitting number of places.

    Items behind an Ellipsis may meet other axes than they were drawn for.  That is left out where the result has no elements: NumPy then
    takes positions outside, and masks without elements for any axis, where exprgraph says what is wrong.
    """
    try:
        found = case.value[case.index]
    except IndexError:
        return False
    return bool(found.size) or not any(i is ... for i in case.index)


def built(case: Case, known: bool, number: int = 0) -> Built:
    """The index as a graph.  known: with the sizes of the array known.  number: part of the names of the leaves."""
    shape = case.value.shape if known else (None,) * case.value.ndim
    x = eg.tensor(f"x{number}", case.value.dtype.name, shape)
    leaves, values, items = [x.node], [case.value], []
    for k, item in enumerate(case.index):
        if k in case.symbolic and isinstance(item, np.ndarray | int):
            looked_up = isinstance(item, int) and not isinstance(item, bool) and case.seed % 3 == 0
            array = np.asarray([item] if looked_up else item)
            symbol = eg.tensor(f"i{number}_{k}", array.dtype.name, (None,) * array.ndim)
            leaves.append(symbol.node)
            values.append(array)
            item = symbol[0] if looked_up else symbol
        elif k in case.symbolic and isinstance(item, slice):
            item = slice(*(_scalar(f"{name}{number}_{k}", v, leaves, values) for name, v in
                           (("start", item.start), ("stop", item.stop), ("step", item.step))))
        elif isinstance(item, np.ndarray) and item.size and case.seed % 2:
            item = item.tolist()
        items.append(item)
    return Built(x, subscript(x, tuple(items)), leaves, values)


def _scalar(name: str, value: int | None, leaves: list[Node], values: list[np.ndarray]) -> Any:
    if value is None:
        return None
    out = eg.lscalar(name)
    leaves.append(out.node)
    values.append(np.asarray(value))
    return out


def drawn(case: Case) -> np.ndarray:
    """Values that broadcast to the indexed part, in its dtype or a smaller one of its kind."""
    rng = np.random.default_rng(case.seed)
    shape = case.value[case.index].shape
    shape = shape[rng.integers(0, len(shape) + 1):]
    shape = tuple(1 if rng.integers(0, 3) == 0 else n for n in shape)
    smaller = {"float64": "float32", "float32": "int32", "int64": "int8"}
    dtype = case.value.dtype.name if rng.integers(0, 2) else smaller[case.value.dtype.name]
    return rng.integers(-4, 5, shape).astype(dtype)


def wanted(case: Case, way: str, y: np.ndarray | None) -> np.ndarray:
    """What NumPy makes of it: way is "read", "set" or "inc"."""
    if way == "read":
        return case.value[case.index]
    made = case.value.copy()
    if way == "set":
        made[case.index] = y
    else:
        np.add.at(made, case.index, y)
    return made
