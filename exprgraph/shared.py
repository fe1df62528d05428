"""Shared variables: values that live between calls and that compiled functions read and update."""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, cast
from weakref import WeakValueDictionary

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Size, constant, of_atom
from exprgraph.errors import CallError, DTypeError, RankError, at, here
from exprgraph.flags import text_or_none, truth, truth_or_none
from exprgraph.locks import Lock, lock, owned
from exprgraph.node import SHARED, Node, Out, TensorType, as_symbol
from exprgraph.resident import DeviceArray, frozen
from exprgraph.types import cast_to
from exprgraph.values import Array, Want, coerce, describe, want

Version = Array | DeviceArray
CURE = "make it with shared(..., allow_downcast=True)"


class SharedNode(Node):
    """The leaf of a shared variable.

    version: its present value, never written to: a new value is a new version, so a reader that holds one is never disturbed.  lock:
    held by a writer from reading to publishing.  default_update: its new value in every function that uses it, or None.  wanted:
    what values it takes.
    """
    __slots__ = ("version", "lock", "default_update", "wanted")
    version: Version
    lock: Lock
    default_update: Out | None
    wanted: Want

    def __setstate__(self, default_update: Out | None) -> None:
        self.default_update = default_update  # may depend on this very node, so a pickle brings it after the node


class Nothing:
    """What stands for the value of a shared variable that came without one: whoever asks for it is told so."""

    def __init__(self, name: str | None) -> None:
        self.name = name

    def host(self) -> Array:
        """CallError."""
        raise CallError(f"the shared variable {self.name!r} has no value since `without_values` left it out: give it one by set_value"
                        f"{at(here())}")

    def __array__(self, *args: Any, **keywords: Any) -> Array:
        return self.host()

    def wait(self) -> None:
        """There is nothing to wait for."""


_version = attrgetter("version")


def publish(cells: Sequence[SharedNode], versions: Sequence[Version]) -> None:
    """Make values that nobody else writes to the present ones, all in one step of the interpreter: neither a thread nor an interrupt comes
    between two of them."""
    for version in versions:
        if isinstance(version, np.ndarray) and version.flags.writeable:
            version.flags.writeable = False
    if len(cells) != len(versions):
        raise ValueError(f"{len(versions)} values for {len(cells)} shared variables")
    old = pin(cells)  # what dies with them may run code, so not before all are published
    deque(map(setattr, cells, repeat("version"), versions), maxlen=0)
    del old


def pin(cells: Sequence[SharedNode]) -> list[Version]:
    """The present values, all of one moment."""
    return list(map(_version, cells))


def not_within(cells: Sequence[SharedNode]) -> None:
    """RuntimeError where a call is under way in this very thread that will replace the values of these variables: by a signal handler, a
    finaliser or a function of the graph, whose own change would be lost."""
    for cell in cells:
        if owned(cell.lock):
            raise RuntimeError(f"reentrant update: a call in this very thread is updating the shared variable {cell.name!r}; within it a "
                               f"signal handler, a finaliser or a function in the graph runs, which cannot change it too{at(here())}")


def host(version: Version) -> Array:
    """A version as a read-only array on the host."""
    array: Array = version if isinstance(version, np.ndarray) else version.host()
    return array


def wait(version: Version) -> None:
    """Return when a version has been computed."""
    if not isinstance(version, np.ndarray):
        version.wait()


class Shared(Out):
    """A symbol with a value: `get_value`, `set_value`, and the `updates` of compiled functions."""
    __slots__ = ()

    @property
    def cell(self) -> SharedNode:
        """The leaf that holds the value."""
        node = self.node
        assert isinstance(node, SharedNode)
        return node

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The present value: a copy of your own, or with borrow=True a read-only array that may share memory with it.

        return_internal_type: as a device array, which is not copied where the value lies on a device.
        """
        version, borrow = self.cell.version, truth("borrow", borrow)
        if truth("return_internal_type", return_internal_type):
            from exprgraph.arrays import array  # rarely needed
            return version if isinstance(version, DeviceArray) else array(version, copy=None)
        present = host(version)
        return present if borrow else present.copy()

    def set_value(self, new: Any, borrow: bool = False) -> None:
        """Replace the value; sizes may change, dtype and rank may not.  CallError for what cannot be cast safely.

        With borrow=True the array is kept without a copy: do not write to it afterwards.  A device array never needs one.
        """
        cell = self.cell
        version = _frozen(coerce(new, cell.wanted), truth("borrow", borrow))
        not_within([cell])
        with cell.lock:
            publish([cell], [version])

    def zero(self, borrow: bool = False) -> None:
        """Set all elements to zero."""
        present = host(self.cell.version)
        self.set_value(np.zeros(present.shape, present.dtype), borrow=True)

    @property
    def default_update(self) -> Out | None:
        """The new value that every function using this variable gives it, unless its `updates` or no_default_updates say otherwise."""
        return self.cell.default_update

    @default_update.setter
    def default_update(self, new: Any) -> None:
        self.cell.default_update = None if new is None else matching(self, new)

    def clone(self) -> Shared:
        """A new, independent shared variable of the same name and type that starts with this one's present value."""
        cell = self.cell
        fixed = tuple(d.const for d in self.type.shape)
        return _make(host(cell.version), self.name, fixed, cell.wanted.strict, cell.wanted.downcast)


_valueless: WeakValueDictionary[int, SharedNode] = WeakValueDictionary()


def valueless(cell: SharedNode) -> Shared:
    """A shared variable like another one but without a value; the same one for all who ask while any of them holds it."""
    found = _valueless.get(cell.uid)
    if found is None:
        fixed, dtype = tuple(d.const for d in cell.outs[0].shape), cell.outs[0].dtype
        found = _make(np.ones((1,) * len(fixed), dtype), cell.name, fixed, cell.wanted.strict, cell.wanted.downcast).cell
        found.version = cast(Any, Nothing(cell.name))
    return Shared(_valueless.setdefault(cell.uid, found))


def _frozen(value: Version, borrow: bool) -> Version:
    """The value as a version: a device array as it is, or where it has been computed in memory of NumPy's, that memory."""
    if not isinstance(value, DeviceArray):
        return frozen(value if borrow else np.array(value, order="C"))
    own = value.copy() if value.borrowed and not borrow else value
    return own.host() if own.mapped and not own.pending else own


def matching(target: Out, new: Any) -> Out:
    """An update's new value for the shared variable `target`: same dtype and rank; Python numbers take its dtype.

    DTypeError or RankError with both types otherwise.
    """
    name, weak = target.name or "a shared variable", dtypes.is_weak(new)
    kind = dtypes.weak_kind(new) if weak else "b"
    if (kind == "f" and not dtypes.has_gradient(target.dtype)) or (kind == "c" and not dtypes.is_complex(target.dtype)):
        raise DTypeError(f"update of {name}: it is {target.dtype} and cannot take {new!r}{at(here())}")
    out = cast_to(new, target.dtype) if weak else as_symbol(new)
    if out.ndim != target.ndim:
        raise RankError(f"update of {name}: it is {target.type} with {target.ndim} axes, the new value is {out.type} with {out.ndim}: "
                        f"reduce, reshape or broadcast the new value{at(here())}")
    if out.dtype != target.dtype:
        raise DTypeError(f"update of {name}: it is {target.dtype}, the new value is {out.dtype}: "
                         f"write cast(new_value, {target.dtype!r}){at(here())}")
    return out


def _make(value: Version, name: str | None, fixed: Sequence[int | None], strict: bool, downcast: bool | None,
          borrow: bool = True) -> Shared:
    node = SharedNode(SHARED, (), (), (), frozenset((here(),)), name)
    shape = tuple(of_atom(Size(node, i)) if n is None else constant(n) for i, n in enumerate(fixed))
    node.outs = (TensorType(value.dtype.name, shape),)
    made = Shared(node)
    node.lock, node.default_update = lock(), None
    node.wanted = want(made, f"shared variable {name!r}" if name else "a shared variable", downcast=downcast, strict=strict, cure=CURE)
    node.version = _frozen(coerce(value, node.wanted), borrow)
    return made


def shared(value: Any, name: str | None = None, strict: bool = False, allow_downcast: bool | None = None, borrow: bool = False,
           broadcastable: Sequence[bool] | None = None, target: str | None = None) -> Shared:
    """A shared variable that starts with `value`: an array, a device array, or a number (a Python float becomes floatX, an int int64).

    Its sizes may change later, but not those of the axes marked in `broadcastable`, which stay 1.  With borrow=True the array is
    kept without a copy.  target is accepted and changes nothing: a value lies where it was last written.
    CallError for lists and other things that are not arrays, DTypeError for dtypes that are not supported, OptionError for options of a
    wrong type.
    """
    strict, borrow, name = truth("strict", strict), truth("borrow", borrow), text_or_none("name", name)
    allow_downcast = truth_or_none("allow_downcast", allow_downcast)
    if dtypes.is_masked(value) or not isinstance(value, DeviceArray | np.ndarray | np.generic | bool | int | float | complex):
        cure = "say which dtype: shared(np.asarray(value, dtype))" if isinstance(value, list | tuple) else "give an array or a number"
        raise CallError(f"shared: {describe(value)} was given: {cure}{at(here())}")
    start = value if isinstance(value, DeviceArray) else _start(value)
    fixed = [None] * start.ndim if broadcastable is None else [1 if b else None for b in broadcastable]
    if len(fixed) != start.ndim:
        raise RankError(f"shared: broadcastable has {len(fixed)} entries for a value of {start.ndim} axes{at(here())}")
    return _make(start, name, fixed, strict, allow_downcast, borrow)


def _start(value: Any) -> Array:
    """A first value as an array of a dtype that is supported."""
    strong = isinstance(value, np.ndarray | np.generic)
    dtype = dtypes.canonical(np.asarray(value).dtype) if strong else dtypes.promote((), (value,))
    if not strong and isinstance(value, int) and not dtypes.fits(value, dtype):
        raise DTypeError(f"shared: {value} is out of the range of {dtype}{at(here())}")
    return np.asarray(value).astype(dtype, copy=False)
