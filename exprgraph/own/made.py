"""What made a row of the user's own, so that a pickle can name it: the object that the user holds, and which of its rows this is.

Such an object pickles as what it was made of: functions by their names, C text as it is.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from exprgraph.errors import GraphError, OwnOpError, Source, at, defined
from exprgraph.named import NamedTuple


class Made(NamedTuple):
    """A row as its maker knows it.  maker: an object with `row(key, number)` and `identity`."""
    maker: Any
    key: Any
    number: int

    @property
    def row(self) -> Any:
        """The row."""
        return self.maker.row(self.key, self.number)

    @property
    def identity(self) -> str:
        """What tells the row from others in any process."""
        return f"{self.maker.identity} {self.key!r} {self.number}"


class LeftBehind:
    """What stands for a function that has no name to be found by: whoever calls it is told so."""

    def __init__(self, function: str, what: str, source: Source | None) -> None:
        self.function, self.what, self.source = function, what, source

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        raise OwnOpError(f"{self.what} is {self.function}, which stayed behind when this was pickled, as it cannot be found by that name: "
                         f"define it with def at the top level of a module{defined(self.source)}")


def found_by_name(value: Any) -> bool:
    """Whether a function is what its module has under its name."""
    found = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in getattr(value, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found is value


def name_of(function: Any) -> str:
    """Module and name of a function."""
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _portable(value: Any, what: str, source: Source | None) -> Any:
    """A value with what cannot be pickled by name replaced."""
    if isinstance(value, Mapping):
        return {k: _portable(v, f"{what}[{k!r}]", source) for k, v in value.items()}
    if callable(value) and not isinstance(value, type | LeftBehind) and not found_by_name(value):
        return LeftBehind(name_of(value), what, source)
    return value


def text_of(kind: str, given: Mapping[str, Any]) -> str:
    """What an object was made of, functions by name."""
    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: told(v) for k, v in value.items()}
        return name_of(value) if callable(value) else value
    return f"{kind}({', '.join(f'{k}={told(v)!r}' for k, v in given.items())})"


def _remade(kind: Callable[..., Any], given: Mapping[str, Any], source: Source | None) -> Any:
    made = kind(**given)
    made.source = source
    return made


class Recipe:
    """Objects of the user's own that pickle as the arguments they were made with; `given` holds these."""
    given: Mapping[str, Any]
    source: Source
    name: str
    _mark = ""

    @property
    def identity(self) -> str:
        """What tells this from other objects: functions without a name that finds them are like no others."""
        named = all(found_by_name(v) for v in self.given.values() if callable(v) and not isinstance(v, type))
        self._mark = self._mark or ("" if named else os.urandom(8).hex())
        return text_of(type(self).__name__, self.given) + self._mark

    def __reduce__(self) -> Any:
        return _remade, (type(self), {k: _portable(v, f"{k}= of {self.name}", self.source) for k, v in self.given.items()}, self.source)


def arguments(names: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments among the local names at the start of `__init__`."""
    return {k: v for k, v in names.items() if k not in ("self", "__class__")}


def global_name(op: Any, source: Source | None) -> str:
    """The name by which an object pickles; GraphError where its module does not have it there."""
    if not found_by_name(op):
        raise GraphError(f"{op.name} cannot be pickled: {name_of(op)} is not what its module has under that name; define the function with "
                         f"def at the top level of a module, and give the op its name{at(source)}")
    return str(op.__qualname__)
