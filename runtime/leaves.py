"""Leaves: read what a call brings, make it fit for kernels, and turn its sizes into the numbers that Dims are computed from."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Atom, Size, Stride, Value
from exprgraph.errors import CallError
from exprgraph.named import NamedTuple
from exprgraph.node import Node
from exprgraph.resident import DeviceArray
from runtime.case import Leaf
from runtime.memory import Array, Memory

CONTIGUOUS, INNER_UNIT, ANY_STRIDES = "C", "S", "T"


class Arguments(NamedTuple):
    """The values of one call: arrays of native, aligned elements without negative strides (or residents of the device), and for each
    its layout."""
    values: list[Any]
    layouts: str
    strides: tuple[tuple[int, ...], ...]

    def compact(self) -> Arguments:
        """The same values with every strided array copied."""
        values = [v if kind == CONTIGUOUS else np.array(v, order="C", copy=True) for v, kind in zip(self.values, self.layouts)]
        return Arguments(values, CONTIGUOUS * len(values), ())


class Leaves:
    """The leaves of a program in call order."""

    def __init__(self, nodes: Sequence[Node], memory: Memory) -> None:
        self.nodes, self.memory = tuple(nodes), memory
        self.dtypes = tuple(np.dtype(n.outs[0].dtype) for n in nodes)
        self.ranks = tuple(n.outs[0].ndim for n in nodes)
        self.scalars = tuple(i for i, n in enumerate(nodes) if self.ranks[i] == 0 and dtypes.is_int(n.outs[0].dtype))
        self.position = {n: i for i, n in enumerate(nodes)}
        sizes: list[Atom] = [Size(n, a) for n, rank in zip(nodes, self.ranks) for a in range(rank)]
        strides: list[Atom] = [Stride(n, a) for n, rank in zip(nodes, self.ranks) for a in range(rank)]
        self.atoms: list[Atom] = [*sizes, *strides, *(Value(nodes[i]) for i in self.scalars)]

    def read(self, values: Sequence[Any]) -> Arguments:
        """The values of a call, copied only where kernels cannot work on them as they are; CallError for a wrong number or type."""
        if len(values) != len(self.nodes):
            raise CallError(f"{len(self.nodes)} values expected, {len(values)} given")
        found, layouts = list(values), ""
        for i, value in enumerate(found):
            if type(value) is not np.ndarray or value.dtype is not self.dtypes[i] or value.ndim != self.ranks[i]:
                value = found[i] = self._admit(i, value)
            if isinstance(value, np.ndarray):
                flags = value.flags
                if not flags.aligned:
                    value = found[i] = np.array(value, order="C", copy=True)
                elif not flags.c_contiguous:
                    kind = self._layout(value)
                    if kind == CONTIGUOUS:
                        found[i] = np.array(value, order="C", copy=True)
                    layouts += kind
                    continue
            layouts += CONTIGUOUS
        strides = () if layouts.count(CONTIGUOUS) == len(layouts) else tuple(
            () if kind == CONTIGUOUS else _strides(v) for v, kind in zip(found, layouts))
        return Arguments(found, layouts, strides)

    def _admit(self, number: int, given: Any) -> Any:
        value = given
        if isinstance(value, DeviceArray) and not self.memory.accepts(value):
            value = value.host()
        if not self.memory.accepts(value):
            value = np.asarray(value)
            if value.dtype != self.dtypes[number] and value.dtype.newbyteorder("=") == self.dtypes[number]:
                value = value.astype(self.dtypes[number])  # the other byte order
            elif value.dtype == self.dtypes[number] and value.dtype is not self.dtypes[number]:
                value = value.view(self.dtypes[number])  # another object for the same dtype
        if getattr(value, "dtype", None) != self.dtypes[number] or len(value.shape) != self.ranks[number]:
            wanted = f"{self.dtypes[number]} array of {self.ranks[number]} axes"
            raise CallError(f"value {number}: expected a {wanted}, not {type(given).__name__} {getattr(given, 'dtype', '')}")
        return value

    def _layout(self, array: Array) -> str:
        """How an array that is not in C order without gaps can be used; CONTIGUOUS: only as a copy."""
        width = array.itemsize
        if not self.memory.strided or any(n > 1 and (s < 0 or s % width) for n, s in zip(array.shape, array.strides)):
            return CONTIGUOUS
        return INNER_UNIT if array.shape[-1] == 1 or array.strides[-1] == width else ANY_STRIDES

    def key(self, arguments: Arguments, valued: Sequence[int]) -> tuple[Any, ...]:
        """What the numbers of a call depend on: shapes, layouts, strides and the scalars at the positions `valued`."""
        values = arguments.values
        return (tuple([v.shape for v in values]), arguments.layouts, arguments.strides, tuple([self.integer(values[i]) for i in valued]))

    def vector(self, arguments: Arguments) -> list[int]:
        """The numbers of the atoms, in their order."""
        sizes = [n for v in arguments.values for n in v.shape]
        if arguments.strides:
            strides = [s for own, rank in zip(arguments.strides, self.ranks) for s in (own or (0,) * rank)]
        else:
            strides = [0] * len(sizes)
        return [*sizes, *strides, *(self.integer(arguments.values[i]) for i in self.scalars)]

    def least(self, most: int) -> Arguments | None:
        """Zeros of the least sizes that arguments can have; None where they have more than `most` elements."""
        shapes = [tuple(1 if d.const is None else d.const for d in n.outs[0].shape) for n in self.nodes]
        return None if sum(map(math.prod, shapes)) > most else self.read([np.zeros(s, t) for s, t in zip(shapes, self.dtypes)])

    def alike(self, arguments: Arguments, valued: Sequence[int]) -> tuple[Leaf, ...]:
        """What later arguments must be like; valued: the positions of the scalars whose values count."""
        values = [self.integer(v) if i in valued else None for i, v in enumerate(arguments.values)]
        return tuple(Leaf(dtype, v.shape, None if kind == CONTIGUOUS else v.strides, value, None)
                     for dtype, v, kind, value in zip(self.dtypes, arguments.values, arguments.layouts, values))

    @staticmethod
    def integer(value: Any) -> int:
        """The value of an integer scalar."""
        return int(value if isinstance(value, np.ndarray) else value.host())


def _strides(array: Array) -> tuple[int, ...]:
    return tuple([s // array.itemsize if n > 1 else 0 for n, s in zip(array.shape, array.strides)])


def shapes_of(values: Sequence[Any]) -> tuple[Any, ...]:
    """The shapes of the values of a call."""
    return tuple([v.shape for v in values])


def no_call(*values: Any, checked: bool = False) -> None:
    """No call has been met yet that a next one could be like."""
