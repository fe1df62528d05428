"""Records: `NamedTuple` whose classes cost little to make; a process makes some hundred of them before it computes anything.

The one of `typing` compiles each annotation and a constructor for each class, some 0.15 ms; here the constructor is compiled when the first
record is made, and annotations stay text.  To a type checker it is the one of `typing`, and it takes, gives and refuses the same, but for
this: the constructor's signature has names and defaults and no annotations, and a record has a `__dict__` that nothing is kept in.
"""
from __future__ import annotations

import collections
from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    _OURS = ("__new__", "__init__", "__slots__", "__getnewargs__", "_fields", "_field_defaults", "_make", "_replace", "_asdict")
    _getter = getattr(collections, "_tuplegetter", lambda index, about: property(itemgetter(index), doc=about))

    class NamedTuple(tuple):
        """A base whose subclasses are records: their annotated names are the fields."""
        __slots__ = ()
        _fields = ()
        _field_defaults = {}

        def __init_subclass__(cls) -> None:
            if NamedTuple not in cls.__bases__:
                return
            body = vars(cls)
            fields = tuple(body.get("__annotations__", ()))
            _refuse(cls.__name__, fields, body)
            defaults = {n: body[n] for n in fields if n in body}
            if any(n not in defaults for n in fields[len(fields) - len(defaults):]):
                raise TypeError(f"{cls.__name__}: a field without a default follows one that has a default")
            cls._fields = cls.__match_args__ = fields
            cls._field_defaults = defaults
            if cls.__doc__ is None:
                cls.__doc__ = f"{cls.__name__}({', '.join(fields)})"
            for i, name in enumerate(fields):
                setattr(cls, name, _getter(i, f"Alias for field number {i}"))

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

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(f"{type(self).__name__} is a record: {name!r} cannot be set")

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in zip(self._fields, self))})"

    def _refuse(name: str, fields: tuple[str, ...], body: Any) -> None:
        """ValueError for a field that begins with an underscore, AttributeError for a body that defines what records are made of."""
        for field in fields:
            if field.startswith("_"):
                raise ValueError(f"{name}: the field {field} begins with an underscore")
        for ours in _OURS:
            if ours in body:
                raise AttributeError(f"{name}: a record cannot define {ours}")

    def _constructor(cls: type) -> Any:
        """The constructor of the class whose fields these are, which has it from now on."""
        owner = next(c for c in cls.__mro__ if "_fields" in vars(c))
        names = owner._fields
        made = eval(f"lambda _cls, {', '.join(names)}: _new(_cls, ({''.join(n + ', ' for n in names)}))",
                    {"_new": tuple.__new__, "__name__": owner.__module__})
        made.__defaults__, made.__name__ = tuple(owner._field_defaults.values()), "__new__"
        made.__qualname__ = f"{owner.__qualname__}.__new__"
        owner.__new__ = staticmethod(made)
        return made
