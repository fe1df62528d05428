"""Records of our own beside those of `typing`: made, changed, compared, printed, pickled and refused alike."""
from __future__ import annotations

import copy
import inspect
import pickle
import typing
from collections.abc import Callable
from typing import Any

import pytest

from exprgraph.named import NamedTuple


class Ours(NamedTuple):
    """A record."""
    left: int
    right: tuple[int, ...] = ()
    said: str = "so"

    @property
    def both(self) -> int:
        """A property."""
        return self.left + len(self.right)

    def doubled(self) -> Ours:
        """A method."""
        return self._replace(left=2 * self.left)


class Theirs(typing.NamedTuple):
    """A record."""
    left: int
    right: tuple[int, ...] = ()
    said: str = "so"

    @property
    def both(self) -> int:
        """A property."""
        return self.left + len(self.right)

    def doubled(self) -> Theirs:
        """A method."""
        return self._replace(left=2 * self.left)


class Longer(Ours):
    """One that adds no field."""

    def third(self) -> str:
        """A method."""
        return self.said


class Empty(NamedTuple):
    """No field at all."""


USES: dict[str, Callable[[Any], Any]] = {
    "by place": lambda r: r(1, (2,), "x"), "by name": lambda r: r(said="x", left=1), "defaults": lambda r: r(1),
    "missing": lambda r: r(), "too many": lambda r: r(1, (), "x", 4), "unknown": lambda r: r(1, other=2), "twice": lambda r: r(1, left=2),
    "make": lambda r: r._make([1, (2,), "x"]), "make of too few": lambda r: r._make([1]), "replace": lambda r: r(1)._replace(said="y"),
    "replace what is not there": lambda r: r(1)._replace(other=2), "as dict": lambda r: r(1)._asdict(), "fields": lambda r: r._fields,
    "field defaults": lambda r: r._field_defaults, "match": lambda r: r.__match_args__, "property": lambda r: r(1, (5, 6)).both,
    "method": lambda r: tuple(r(4).doubled()), "unpack": lambda r: [*r(1, (2,))], "index": lambda r: r(1)[2], "hash": lambda r: hash(r(1)),
    "equal to a tuple": lambda r: r(1) == (1, (), "so"), "order": lambda r: r(1) < r(2), "sorted": lambda r: sorted([r(2), r(1)]),
    "set": lambda r: setattr(r(1), "left", 2), "add": lambda r: setattr(r(1), "new", 2), "class": lambda r: r.left.__doc__,
    "pickle": lambda r: pickle.loads(pickle.dumps(r(1, (2,)))), "copy": lambda r: copy.deepcopy(r(1, (2,))), "doc": lambda r: r.__doc__,
    "signature": lambda r: [r(1), list(inspect.signature(r.__new__).parameters)][1], "is a tuple": lambda r: isinstance(r(1), tuple),
    "annotations": lambda r: typing.get_type_hints(r)}


def told(use: Callable[[Any], Any], record: Any) -> tuple[str, str]:
    """What came of a use, without the record's name."""
    try:
        found = use(record)
    except ValueError as error:  # which older versions of Python raise for names of fields
        return "TypeError", str(error)
    except (TypeError, AttributeError) as error:
        return type(error).__name__, "" if isinstance(error, AttributeError) else str(error).replace(record.__name__, "R")
    return type(found).__name__.replace(record.__name__, "R"), repr(found).replace(record.__name__, "R")


@pytest.mark.parametrize("name", USES)
def test_a_record_is_like_one_of_typing(name):
    assert told(USES[name], Ours) == told(USES[name], Theirs)


def test_a_subclass_is_made_by_the_fields_of_its_base():
    fresh = type("Fresh", (Longer,), {})
    made = fresh(3, said="z")
    assert (type(made), made.third(), made._replace(left=1).left, type(made._replace(left=1))) == (fresh, "z", 1, fresh)
    assert type(Longer(1)) is Longer and Longer(1) == Ours(1)


def test_a_subclass_may_change_what_its_record_is_made_of():
    class Given(NamedTuple):
        value: int
        twice: int

    class Doubled(Given):
        def __new__(cls, value: int) -> Doubled:
            return super().__new__(cls, value, 2 * value)
    assert [tuple(Doubled(v)) for v in (3, 4)] == [(3, 6), (4, 8)]


def test_a_record_without_a_field():
    assert Empty() == () and repr(Empty()) == "Empty()"
    with pytest.raises(TypeError):
        Empty(1)  # type: ignore[call-arg]


BODIES = ["_left: int", "__left: int", "_make: int = 1", *(f"left: int\n    {name} = ()" for name in (
    "__new__", "__init__", "__slots__", "__getnewargs__", "_fields", "_field_defaults", "_make", "_replace", "_asdict")),
    "left: int\n    _other = 1", "left: int\n    __repr__ = None", "left: int\n    def _own(self): pass"]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_refused_where_typing_refuses_it(body):
    def made(base: Any) -> str:
        try:
            exec(f"class Made(Base):\n    {body}", {"Base": base})
        except (TypeError, ValueError, AttributeError) as error:
            return type(error).__name__
        return "a class"
    assert made(NamedTuple) == made(typing.NamedTuple)


def test_limits_of_a_record_that_the_module_tells():
    assert Ours(1).__dict__ == {} and str(inspect.signature(Ours.__new__)) == "(_cls, left, right=(), said='so')"


def test_a_field_without_a_default_after_one_that_has_one():
    with pytest.raises(TypeError, match="Wrong: a field without a default follows one that has a default"):
        exec("class Wrong(Base):\n    a: int = 1\n    b: int", {"Base": NamedTuple})
