"""Containers: where a function keeps the defaults of its inputs and the values of its shared variables, for users to see and set."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from exprgraph.errors import at, here, shortly
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out
from exprgraph.shared import Shared, SharedNode
from exprgraph.values import Array


class Container:
    """The place of one value.  `In(x, value=container)` lets another function read and update the same place."""
    __slots__ = ("cell", "name")

    def __init__(self, cell: SharedNode, name: str | None) -> None:
        self.cell, self.name = cell, name

    @property
    def value(self) -> Array:
        """A copy of the present value; setting it checks dtype and rank, as `set_value` of a shared variable does."""
        found: Array = Shared(self.cell).get_value()
        return found

    @value.setter
    def value(self, new: Any) -> None:
        Shared(self.cell).set_value(new)

    @property
    def data(self) -> Array:
        """The present value, read-only and not copied."""
        found: Array = Shared(self.cell).get_value(borrow=True)
        return found

    def __repr__(self) -> str:
        return f"<container {self.name}: {Shared(self.cell).type}>"


class Place(NamedTuple):
    """An input or shared variable of a function, and what holds its value, if anything does."""
    variable: Out
    name: str | None
    cell: SharedNode | None

    def fits(self, key: Any) -> bool:
        """Whether this is the symbol or has the name."""
        if isinstance(key, str):
            return self.name == key
        return self.variable.node is key.node and self.variable.index == key.index


class Containers:
    """The containers of a function by symbol or name: those of inputs with a default, and of the shared variables that it reads."""

    def __init__(self, function: str, places: Sequence[Place]) -> None:
        self._function, self._places = function, tuple(places)

    def __getitem__(self, key: Any) -> Container:
        """KeyError where nothing fits, or more than one thing does, or the input has no default."""
        found = self._found(key)
        if len(found) != 1:
            said = shortly(key)
            problem = f"several inputs are called {said}: ask by symbol" if found else f"there is no input or shared variable {said}"
            raise KeyError(f"{self._function}: {problem}{at(here())}")
        place = found[0]
        if place.cell is None:
            raise KeyError(f"{self._function}: the input {place.name or place.variable!r} has no default: give it one with "
                           f"In(symbol, value=...){at(here())}")
        return Container(place.cell, place.name)

    def __setitem__(self, key: Any, value: Any) -> None:
        self[key].value = value

    def __contains__(self, key: Any) -> bool:
        found = self._found(key)
        return len(found) == 1 and found[0].cell is not None

    def cells(self) -> dict[Node, SharedNode]:
        """For each input and shared variable that has a value what holds it."""
        return {p.variable.node: p.cell for p in self._places if p.cell is not None}

    def _found(self, key: Any) -> list[Place]:
        return [p for p in self._places if p.fits(key)] if isinstance(key, Out | str) else []

    def __iter__(self) -> Iterator[Container]:
        return (Container(p.cell, p.name) for p in self._places if p.cell is not None)

    def __len__(self) -> int:
        return sum(p.cell is not None for p in self._places)
