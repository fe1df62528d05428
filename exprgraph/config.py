"""The settings, all in this file: `config.floatX`, ...; each by an environment variable, an attribute, or `change_flags` too."""
from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, overload

from exprgraph.columns import columns
from exprgraph.errors import shortly
from exprgraph.modes import MODES, OPTIMIZERS, Mode
from exprgraph.near import nearest
from exprgraph.warned import warn

T = TypeVar("T")
PREFIX = "EXPRGRAPH_"
FOREIGN = ("EXPRGRAPH_TEST_", "EXPRGRAPH_BENCH_", "EXPRGRAPH_SEED")
"""Variables of the tests and the benchmarks."""
DIGITS = 30
"""An integer with more than these is none that a setting takes."""
WORDS = {"0": False, "false": False, "no": False, "off": False, "1": True, "true": True, "yes": True, "on": True}
_here: ContextVar[Mapping[str, Any]] = ContextVar("exprgraph settings", default={})  # noqa: B039  (it is never changed)
_process: dict[str, Any] = {}
_assigned: set[str] = set()


class Setting(Generic[T]):
    """One setting: its default, which tells its type, what it may be, and what it means.

    choices: the values that it takes; none means every text (where `path` is set, an empty one and an os.PathLike too), or every integer
    from 0 on.  other: a type whose values it takes beside them.  attribute: of a record, what stands for it.
    """

    def __init__(self, default: T, choices: Iterable[Any], meaning: str, path: bool = False, other: type | None = None,
                 attribute: str = "") -> None:
        self.default, self.choices, self.meaning, self.path, self.other = default, tuple(choices), meaning, path, other
        self.attribute = attribute
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        SETTINGS[name] = self

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, instance: Config, owner: type) -> T: ...
    def __get__(self, instance: Config | None, owner: type) -> Setting[T] | T:
        if instance is None:
            return self
        here = _here.get()
        found: T = here[self.name] if self.name in here else _process[self.name]
        return found

    def __set__(self, instance: Config, value: T) -> None:
        checked, here = self.checked(value, f"config.{self.name}"), _here.get()
        if self.name in here:
            _here.set({**here, self.name: checked})
        else:
            _process[self.name] = checked
            _assigned.add(self.name)

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def kind(self) -> str:
        """What it may be, for people."""
        if self.choices:
            return " ".join(_word(c) for c in self.choices)
        return "an integer from 0 on" if self._is(int) else "a path" if self.path else "a text"

    def checked(self, value: Any, who: str) -> T:
        """The value if it is allowed, else ValueError."""
        if self._is(bool) and type(value) is int and value in (0, 1):
            value = bool(value)
        if self.path and isinstance(value, os.PathLike):
            value = os.fspath(value)
        if self.attribute:
            value = getattr(value, self.attribute, value)
        if not self._takes(value):
            wanted = f"one of {', '.join(map(repr, self.choices))}" if self.choices else self.kind
            raise ValueError(f"{who} = {shortly(value, 80)}: expected {wanted}")
        found: T = value
        return found

    def _takes(self, value: Any) -> bool:
        if self.other is not None and isinstance(value, self.other):
            return True
        if self.choices:
            return any(isinstance(value, type(c)) and value == c for c in self.choices)
        if self._is(int):
            return type(value) is int and value >= 0
        return isinstance(value, str) and (self.path or bool(value.strip()))

    def _is(self, kind: type) -> bool:
        return type(self.default) is kind

    def parsed(self, text: str) -> T:
        """The value that the environment gives; ValueError with the name of the variable."""
        value: Any = text
        if self._is(bool):
            value = WORDS.get(text.strip().lower(), text)
        elif self._is(int) and text.strip().isdecimal() and len(text) < DIGITS:
            value = int(text)
        return self.checked(value, f"the environment variable {self.variable}")


SETTINGS: dict[str, Setting[Any]] = {}
"""All settings, in the order of this file."""


class Config:
    """The settings: `config.floatX = "float64"` sets one for the process, `change_flags` for the length of a block.

    ValueError for a value that a setting does not take, AttributeError with the nearest name for a setting that is not there.
    """
    __slots__ = ()
    floatX = Setting("float32", ("float32", "float64"), "dtype of `matrix()`, of floats without a dtype and of int/int")
    device = Setting("auto", (), "what `compile(device=None)` uses: auto, cpu, gpu, pocl, numpy, 0:1 or part of a name", attribute="spec")
    mode: Setting[str | Mode] = Setting("FAST_RUN", MODES, "what `compile(mode=None)` uses; or an object like `NanGuardMode()`", other=Mode)
    optimizer = Setting("default", OPTIMIZERS, "how much is done to a graph where no mode is named; unsafe: also what is true over reals")
    simplify = Setting("none", ("none", "sympy"), "who is asked for cheaper forms of elementwise parts beside the optimiser's own search")
    schedule = Setting("auto", ("auto", "cpu", "gpu"), "the form of kernels: auto follows the device's kind")
    deterministic = Setting(False, (False, True), "no float atomics on a GPU, no choice of kernels by time: equal calls give equal bits")
    on_unused_input = Setting("raise", ("raise", "warn", "ignore"), "what an input that nothing depends on leads to")
    profile: Setting[bool | str] = Setting(False, (False, True, "exit"), "profile all functions; exit: and print a summary at the end")
    progress = Setting("auto", ("auto", "on", "off"), "a line about long work on stderr: auto on terminals only")
    cache = Setting("", (), "folder of what is kept on disk; empty: exprgraph/ in the user's folder for caches; off: none", path=True)
    cache_bytes = Setting(512 << 20, (), "how much may lie there, in bytes")
    missing_float64 = Setting("raise", ("raise", "downcast"), "float64 on a device without it: an error, or float32 in its place")
    host_mirror = Setting(False, (False, True), "copy updated shared variables of devices with memory of their own to the host too")
    selftest = Setting(True, (False, True), "test each device once before it is trusted")
    native = Setting(True, (False, True), "call kernels of PoCL natively where that is possible, without the driver")

    def __setattr__(self, name: str, value: Any) -> None:
        _known(name)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            _known(name)
        raise AttributeError(name)

    def __dir__(self) -> list[str]:
        return list(SETTINGS)

    def __str__(self) -> str:
        return table()

    def __repr__(self) -> str:
        wide = max(map(len, SETTINGS))
        return "\n".join(columns([(f"{s.name:{wide}} = {getattr(self, s.name)!r}", origin(s)) for s in SETTINGS.values()]))


def origin(setting: Setting[Any]) -> str:
    """Where the value of a setting comes from, for people."""
    if setting.name in _here.get():
        return "change_flags"
    if setting.name in _assigned:
        return f"config.{setting.name}"
    return setting.variable if setting.variable in _given else "default"


def _known(name: str) -> None:
    if name not in SETTINGS:
        from exprgraph import theano_words  # only mistakes need it
        there = theano_words.setting(name)
        rest = f": {there}" if there else nearest(name, SETTINGS) or f"; there are {', '.join(SETTINGS)}"
        raise AttributeError(f"config has no setting {name!r}{rest}", name="", obj=None)  # Python would suggest something once more


def strangers(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What there is to say of each variable that looks like a setting and is none."""
    named = [s.variable for s in SETTINGS.values()]
    return [f"the environment variable {name} sets nothing{nearest(name, named, PREFIX) or '; `python -m exprgraph config` lists all'}"
            for name in environment if name.startswith(PREFIX) and name not in named and not name.startswith(FOREIGN)]


def read(environment: Mapping[str, str], faults: list[str] | None = None) -> dict[str, Any]:
    """The values of all settings in an environment; a variable that looks like a setting and is none gets a warning.

    ValueError for a value that a setting does not take; with `faults`, what is wrong is put there, the default taken, and nobody warned.
    """
    for text in strangers(environment) if faults is None else ():
        warn(text, RuntimeWarning)
    values = {s.name: s.default for s in SETTINGS.values()}
    for s in SETTINGS.values():
        try:
            values[s.name] = s.parsed(environment[s.variable]) if s.variable in environment else s.default
        except ValueError as error:
            if faults is None:
                raise
            faults.append(str(error))
    return values


def _commanded(words: Sequence[str], place: str) -> bool:
    """Whether Python is starting `python -m exprgraph`, the commands of which say themselves what is wrong with the environment.

    words: how Python was started; place: sys.argv[0], which is "-m" while the module is looked for.
    """
    flag = next((i for i, w in enumerate(words) if re.fullmatch("-[a-zA-Z]*m(exprgraph)?", w)), len(words))
    return place == "-m" and (words[flag:flag + 1] == ["-mexprgraph"] or words[flag + 1:flag + 2] == ["exprgraph"])


def table() -> str:
    """All settings for people: name, value (a star where it is not the default), what it may be, meaning."""
    rows = [("setting", "value", "may be", "meaning")]
    for s in SETTINGS.values():
        value = getattr(config, s.name)
        rows.append((s.name, _word(value) + "*" * bool(value != s.default), s.kind, s.meaning))
    return "\n".join([*columns(rows), f"Each also as {PREFIX}<NAME> in the environment; * is not the default."])


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


config = Config()
FAULTS: list[str] = []
"""What is wrong with settings in the environment, where a command runs; elsewhere that is an error of the import."""
_given = {name for name in os.environ if name.startswith(PREFIX)}
_process.update(read(os.environ, FAULTS if _commanded(sys.orig_argv, sys.argv[0] if sys.argv else "") else None))


@contextmanager
def change_flags(**settings: Any) -> Iterator[None]:
    """Set some settings for the length of a `with` block, or of a call of the function that it decorates.

    They hold in the thread (or asyncio task) that enters the block and in no other; an assignment `config.x = ...` in the block to one
    of them ends with it.  Other threads, those that start in the block too, see the settings of the process.  Nothing is set where one of
    the names or values is wrong: AttributeError, ValueError.
    """
    for name in settings:
        _known(name)
    before = _here.get()
    _here.set({**before, **{n: SETTINGS[n].checked(v, f"config.{n}") for n, v in settings.items()}})
    try:
        yield
    finally:
        _here.set(before)
