"""The signature of a compiled function: its inputs with names and defaults, and how the arguments of a call are bound to them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from exprgraph.containers import Container
from exprgraph.errors import CallError, GraphError, at, counted, here, shortly
from exprgraph.flags import text_or_none, truth, truth_or_none
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, SHARED, Out
from exprgraph.shared import Shared, SharedNode, shared
from exprgraph.types import show_shape
from exprgraph.values import Want, coerce, want

CURE = "compile with allow_input_downcast=True"


class In:
    """An input with more than a symbol.

    name: for calls by keyword, instead of the symbol's; with autoname=False the symbol's is not taken, so that an input without a name
    is given by position or symbol only.  value: the default, a value, a shared variable or the `Container` of another function.
    update: an expression whose value becomes the default after each call.  strict: only arrays of exactly the dtype.  allow_downcast:
    True casts arguments even where precision is lost, False takes Python numbers only where they lose nothing, None is the function's
    setting.  implicit: the caller may not give it, the default is always used; that is so unless implicit=False where the default
    is a shared variable or a container.  mutable, borrow and shared are accepted and change nothing: inputs are never written to, and
    who holds a default follows from `value`.  mutable=True with borrow=False is a GraphError, since mutable memory is borrowed.
    OptionError for options of a wrong type.
    """

    def __init__(self, variable: Out, name: str | None = None, value: Any = None, update: Any = None, mutable: bool | None = None,
                 strict: bool = False, allow_downcast: bool | None = None, autoname: bool = True, implicit: bool | None = None,
                 borrow: bool | None = None, shared: bool = False) -> None:
        self.variable, self.value, self.update, self.strict = variable, value, update, truth("strict", strict)
        self.autoname, mutable = truth("autoname", autoname), bool(truth_or_none("mutable", mutable))
        self.name = text_or_none("name", name) if name is not None or not autoname else getattr(variable, "name", None)
        self.implicit = isinstance(value, Shared | Container) if implicit is None else truth("implicit", implicit)
        self.allow_downcast = truth_or_none("allow_downcast", allow_downcast)
        self.mutable, self.shared = mutable, truth("shared", shared)
        self.borrow = mutable if borrow is None else truth("borrow", borrow)

    def __repr__(self) -> str:
        return f"In({self.variable!r}, name={self.name!r})"


class Slot(NamedTuple):
    """One input of a function: the symbol, its name, what it wants, and the shared leaf that holds its default; `own`: nobody else does."""
    variable: Out
    name: str | None
    want: Want
    default: SharedNode | None
    implicit: bool
    own: bool

    @property
    def slow(self) -> bool:
        """Whether arguments have to be looked at one by one: what takes Python floats as they are would take too much."""
        return self.implicit or self.want.strict or (self.want.downcast is False and self.want.ndim == 0)


def as_input(item: Any, position: int) -> In:
    """An entry of `inputs` as an In, checked."""
    spec = item if isinstance(item, In) else In(item)
    out = spec.variable
    what = f"inputs[{position}]"
    if not isinstance(out, Out):
        raise GraphError(f"{what} is {shortly(out)}: a symbol or In(symbol) is needed{at(here())}")
    if out.node.op is SHARED:
        raise GraphError(f"{what} is the shared variable {out.name!r}: functions find these by themselves, leave it out; to replace "
                         f"its value in this function use givens{at(here())}")
    if out.node.op is CONSTANT:
        raise GraphError(f"{what} is a constant: only symbols can be inputs{at(here())}")
    if spec.mutable and not spec.borrow:
        raise GraphError(f"{what}: mutable=True and borrow=False contradict each other{at(here())}")
    if spec.value is None and (spec.implicit or spec.update is not None):
        raise GraphError(f"{what}: an implicit or updated input needs a value to start with: In(symbol, value=...){at(here())}")
    return spec


def slot(spec: In, function: str, allow_downcast: bool | None) -> Slot:
    """The slot of an input; a default value is checked here, and kept in a shared leaf of its own."""
    out, name = spec.variable, spec.name
    downcast = allow_downcast if spec.allow_downcast is None else spec.allow_downcast
    label = f"{function}: input {name!r}" if name else f"{function}: an input"
    wanted = want(out, label, downcast=downcast, strict=spec.strict, cure=CURE)
    return Slot(out, name, wanted, _default(spec, wanted), spec.implicit, not isinstance(spec.value, Shared | Container))


def _default(spec: In, wanted: Want) -> SharedNode | None:
    if spec.value is None:
        return None
    if not isinstance(spec.value, Shared | Container):
        return shared(np.array(coerce(spec.value, wanted)), wanted.what).cell
    out, kept = spec.variable, Shared(spec.value.cell)
    if (out.dtype, out.ndim) != (kept.dtype, kept.ndim):
        raise GraphError(f"{wanted.what} is {out.type}, its shared default {kept.type}: dtype and rank must agree{at(here())}")
    return kept.cell


class Signature:
    """Binds the arguments of a call to slots: by position, by name, or by one dict of symbols."""

    def __init__(self, name: str, slots: Sequence[Slot]) -> None:
        self.name, self.slots = name, tuple(slots)
        self._open = [i for i, s in enumerate(slots) if not s.implicit]
        self._wants = tuple(s.want for s in slots)
        self._plain = len(self._open) == len(slots)

    def bind(self, args: tuple[Any, ...], keywords: Mapping[str, Any], trust: bool = False) -> list[Any]:
        """One value per slot, of the right dtype and rank (unchecked where `trust`); CallError where the arguments do not fit."""
        if not keywords and self._plain and len(args) == len(self.slots) and not (len(args) == 1 and type(args[0]) is dict):
            return list(args) if trust else [coerce(v, w) for v, w in zip(args, self._wants)]
        given = self._assign(args, keywords)
        return [self._value(i, s, given, trust) for i, s in enumerate(self.slots)]

    def _value(self, number: int, slot: Slot, given: dict[int, Any], trust: bool) -> Any:
        if number in given:
            return given[number] if trust else coerce(given[number], slot.want)
        if slot.default is None:
            self._fail(f"missing argument {slot.name or 'number ' + str(self._open.index(number) + 1)}")
        return slot.default.version

    def _assign(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[int, Any]:
        given: dict[int, Any] = {}
        if len(args) == 1 and type(args[0]) is dict:
            given = {self.find(symbol): value for symbol, value in args[0].items()}
        elif len(args) > len(self._open):
            self._fail(f"{counted(len(self._open), 'argument is', 'arguments are')} taken, {counted(len(args), 'was', 'were')} given")
        else:
            given = dict(zip(self._open, args))
        for name, value in keywords.items():
            number = self.find(name)
            if number in given:
                self._fail(f"argument {shortly(name)} was given twice")
            given[number] = value
        return given

    def find(self, key: Any) -> int:
        """The number of the slot of a symbol or a name; CallError where there is none."""
        if not isinstance(key, Out | str):
            self._fail(f"a dict of arguments is keyed by symbols or names, not by {shortly(key, 40)}")
        found = [i for i in self._open if self._fits(self.slots[i], key)]
        if len(found) == 1:
            return found[0]
        if found:
            self._fail(f"several inputs are called {shortly(key)}: give them by position or in a dict of symbols")
        self._fail(f"there is no input {shortly(key)}")

    @staticmethod
    def _fits(slot: Slot, key: Any) -> bool:
        if isinstance(key, str):
            return slot.name == key
        return slot.variable.node is key.node and slot.variable.index == key.index

    def _fail(self, problem: str) -> NoReturn:
        raise CallError(f"{self.name}: {problem}\n  the function is {self}{at(here())}")

    def __str__(self) -> str:
        parts = [f"{s.name or '_'}: {s.variable.dtype}{show_shape(s.variable.type.shape)}" + (" = ..." if s.default is not None else "")
                 for s in (self.slots[i] for i in self._open)]
        return f"{self.name}({', '.join(parts)})"
