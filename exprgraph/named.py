"""Records: `NamedTuple` whose classes cost little to make; a process makes some hundred of them before it computes anything.

The one of `typing` compiles each annotation and a constructor for each class, some 0.15 ms; here the constructor is compiled when the first
record is made, and annotations stay text.  To a type checker it is the one of `typing`, and it takes and gives the same.
"""
from __future__ import annotations

import collections
from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    _getter = getattr(collections, "_tuplegetter", lambda index, about: property(itemgetter(index), doc=about))

    class _Record(tuple):
        """What all records can do."""
        __slots__ = ()
        _fields = ()
        _field_defaults = {}

        def __new__(cls, *values: Any, **named: Any) -> Any:
            return _constructor(cls)(cls, *values, **named)

        @classmethod
        def _make(cls, values: Iterable[Any]) -> Any:
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **named: Any) -> Any:
            made = self._make(map(named.pop, self._fields, self))
            if named:
                raise TypeError(f"Got unexpected field names: {list(named)!r}")
            return made

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self))

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in zip(self._fields, self))})"

    def _constructor(cls: type) -> Any:
        """The constructor of the class whose fields these are, which has it from now on."""
        owner = next(c for c in cls.__mro__ if "_fields" in vars(c))
        names, defaults = owner._fields, tuple(owner._field_defaults.values())
        made = eval(f"lambda _cls, {', '.join(names)}: _new(_cls, ({''.join(n + ', ' for n in names)}))",
                    {"_new": tuple.__new__, "__name__": owner.__module__})
        made.__defaults__, made.__name__, made.__qualname__ = defaults, "__new__", f"{owner.__qualname__}.__new__"
        owner.__new__ = staticmethod(made)
        return made

    class _Maker(type):
        """Makes a record's class of its body."""

        def __new__(mcs, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
            fields = tuple(space.get("__annotations__", ()))
            defaults = {n: space[n] for n in fields if n in space}
            if any(n not in defaults for n in fields[len(fields) - len(defaults):]):
                raise TypeError(f"{name}: a field without a default follows one that has a default")
            body = {**space, "__slots__": (), "_fields": fields, "_field_defaults": defaults, "__match_args__": fields}
            body.setdefault("__doc__", f"{name}({', '.join(fields)})")
            return type(name, (_Record,), body | {n: _getter(i, f"Alias for field number {i}") for i, n in enumerate(fields)})

    def NamedTuple() -> None:
        """A base whose subclasses are records: their annotated names are the fields."""

    NamedTuple.__mro_entries__ = lambda bases: (_Base,)
    _Base = type.__new__(_Maker, "_Base", (), {})
