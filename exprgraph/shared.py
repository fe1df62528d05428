"""Shared variables: values that live between calls and that compiled functions read and update."""
from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Size, constant, of_atom
from exprgraph.errors import CallError, DTypeError, RankError, at, here
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
    lock: AbstractContextManager[Any]
    default_update: Out | None
    wanted: Want


class _Published:
    """How often new values were published: twice as often as that, and odd while some are being published."""
    __slots__ = ("lock", "count")

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0


_published = _Published()


def publish(cells: Sequence[SharedNode], versions: Sequence[Version]) -> None:
    """Make values that nobody else writes to the present ones, all at once for those who `pin`."""
    for version in versions:
        if isinstance(version, np.ndarray) and version.flags.writeable:
            version.flags.writeable = False
    old = [c.version for c in cells]  # they die after the lock is free: what then runs may publish too
    with _published.lock:
        _published.count += 1
        try:
            for cell, version in zip(cells, versions, strict=True):
                cell.version = version
        finally:
            _published.count += 1
    del old


def pin(cells: Sequence[SharedNode]) -> list[Version]:
    """The present values, all of one moment: readers do not lock, they read again where something was published meanwhile."""
    while True:
        before = _published.count
        versions = [c.version for c in cells]
        if before == _published.count and not before % 2:
            return versions
        time.sleep(0)  # lets the publisher go on


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
        version = self.cell.version
        if return_internal_type:
            from exprgraph.arrays import array  # rarely needed
            return version if isinstance(version, DeviceArray) else array(version, copy=None)
        present = host(version)
        return present if borrow else present.copy()

    def set_value(self, new: Any, borrow: bool = False) -> None:
        """Replace the value; sizes may change, dtype and rank may not.  CallError for what cannot be cast safely.

        With borrow=True the array is kept without a copy: do not write to it afterwards.  A device array never needs one.
        """
        cell = self.cell
        version = _frozen(coerce(new, cell.wanted), borrow)
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
    node.lock, node.default_update = threading.RLock(), None
    node.wanted = want(made, f"shared variable {name!r}" if name else "a shared variable", downcast=downcast, strict=strict, cure=CURE)
    node.version = _frozen(coerce(value, node.wanted), borrow)
    return made


def shared(value: Any, name: str | None = None, strict: bool = False, allow_downcast: bool | None = None, borrow: bool = False,
           broadcastable: Sequence[bool] | None = None, target: str | None = None) -> Shared:
    """A shared variable that starts with `value`: an array, a device array, or a number (a Python float becomes floatX, an int int64).

    Its sizes may change later, but not those of the axes marked in `broadcastable`, which stay 1.  With borrow=True the array is
    kept without a copy.  target is accepted and changes nothing: a value lies where it was last written.
    CallError for lists and other things that are not arrays, DTypeError for dtypes that are not supported.
    """
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
