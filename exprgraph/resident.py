"""Device arrays: values that stay where they were computed, and how the rest of Python sees them."""
from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import numpy as np

from exprgraph.errors import UseError, at, here
from exprgraph.node import Out

Array = np.ndarray[Any, Any]
ON_CPU = (1, 0)
"""DLPack's name of the memory that NumPy works on."""


class Call(Protocol):
    """A call that need not have finished."""

    def settle(self) -> None:
        """Return when it has; its error where it failed, each time anew."""


def _refused(what: str) -> NoReturn:
    raise UseError(f"{what}: a device array is only read as a whole and given to compiled functions; compile a function for this, or "
                   f"compute on the host with np.asarray(x){at(here())}")


def _operator(sign: str) -> Callable[[Any, Any], Any]:
    def refuse(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, Out) else _refused(f"x {sign} y")
    return refuse


def _alone(text: str) -> Callable[[Any], Any]:
    return lambda self: _refused(text)


class DeviceArray:
    """An array that stays on its device: `eg.array` makes one, and so does a function compiled with output="device".

    shape, dtype (NumPy's), ndim, size, nbytes; device: where it lies, as `compile(device=)` takes it.  Nobody writes to its elements,
    so it is handed on without a copy; borrowed: unless by who owns its memory, where that was not copied.  It may not have been
    computed yet: whatever reads it waits, and raises what the call failed with that was to compute it, each time.

        x = eg.array(np.ones(1000, "float32"))
        y = f(x)                              # f = eg.compile([v], 2 * v, output="device")
        np.asarray(g(y))                      # read-only, without a copy where the device shares memory with NumPy
    """
    __slots__ = ("shape", "dtype", "device", "borrowed", "_call", "_host", "__weakref__")
    mapped = True
    """Whether it lies in memory that NumPy reads too."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], device: str, host: Array | None = None, call: Call | None = None,
                 borrowed: bool = False) -> None:
        self.shape, self.dtype, self.device, self.borrowed = shape, dtype, device, borrowed
        self._call, self._host = call, host

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of its elements."""
        return self.size * self.dtype.itemsize

    @property
    def pending(self) -> bool:
        """Whether nobody has waited for it yet."""
        return self._call is not None

    def host(self) -> Array:
        """The values as a read-only NumPy array: the memory itself where it is mapped, else one copy, which is kept."""
        if self._call is not None:
            self.wait()
        assert self._host is not None
        return self._host

    def wait(self) -> None:
        """Return when it has been computed; the error of the call where that failed."""
        call = self._call  # another thread may wait too
        if call is not None:
            call.settle()
            self._call = None

    def place(self, host: Array) -> None:
        """Say what was computed."""
        self._host = frozen(host)

    def copy(self) -> DeviceArray:
        """Another array of the same values in memory of its own, on the same device."""
        return resident(np.array(self.host(), order="C"), self.device)

    def item(self, *index: int) -> Any:
        """The only element, or the one at an index, as a Python number; ValueError where there is no only one, IndexError as NumPy's."""
        if not index and self.size != 1:
            raise ValueError(f"item() of {self!r}: only an array of one element is a Python number; name one, x.item(i){at(here())}")
        return self.host().item(*index)

    def _only(self, kind: str) -> Any:
        """The only element; TypeError, as NumPy's, where there is none or are several."""
        if self.size != 1:
            raise UseError(f"{kind} of {self!r}: only an array of one element is a Python number; np.asarray(x) has them all{at(here())}")
        return self.host().item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.host().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False and not self.mapped:
            raise ValueError(f"it lies in the memory of {self.device}, so that NumPy has to copy it: np.asarray(x){at(here())}")
        found = self.host()
        if copy is False and dtype is not None and np.dtype(dtype) != found.dtype:
            raise ValueError(f"as {np.dtype(dtype)} it has to be copied, it is {found.dtype}{at(here())}")
        return np.array(found, dtype) if copy else found if dtype is None else found.astype(dtype, copy=False)

    def __dlpack_device__(self) -> tuple[int, int]:
        return ON_CPU

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: tuple[int, int] | None = None,
                   copy: bool | None = None) -> Any:
        """The values for other libraries: as read-only memory of the CPU, or a copy for those that cannot be told that it is
        read-only, or that ask for one, or where the device has memory of its own.  BufferError where copy=False forbids that."""
        if dl_device not in (None, ON_CPU):
            raise BufferError(f"it is given as memory of the CPU {ON_CPU}, not of the device {dl_device}")
        shared = self.mapped and copy is not True and max_version is not None and max_version >= (1, 0)
        if copy is False and not shared:
            raise BufferError("it has to be copied" + ("" if self.mapped else f" from the memory of {self.device}") + ", but copy=False: "
                              "leave copy out" + (", or use a library that speaks DLPack 1.0" if self.mapped else ""))
        given: Any = self.host() if shared else np.array(self.host())
        try:
            return given.__dlpack__(max_version=max_version)
        except TypeError:  # a NumPy that knows no versions
            return np.array(given).__dlpack__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (np.array(self.host()), self.device)

    def __copy__(self) -> DeviceArray:
        return self

    def __deepcopy__(self, memo: Any) -> DeviceArray:
        return self.copy()

    def __repr__(self) -> str:
        return f"<device array: {self.dtype.name}{list(self.shape)} on {self.device}>"

    def __format__(self, spec: str) -> str:
        return format(self._only(f"format {spec!r}"), spec) if spec else repr(self)

    def __len__(self) -> int:
        if not self.shape:
            raise UseError(f"len() of a device array without axes{at(here())}")
        return self.shape[0]

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth value of {self!r} is ambiguous: write np.asarray(x).any() or np.asarray(x).all(){at(here())}")
        return bool(self.host().item())

    def __float__(self) -> float:
        return float(self._only("float()"))

    def __int__(self) -> int:
        return int(self._only("int()"))

    def __complex__(self) -> complex:
        return complex(self._only("complex()"))

    def __index__(self) -> int:
        if self.shape or not isinstance(found := self.host().item(), int) or isinstance(found, bool):
            raise UseError(f"{self!r} is no index: only an integer without axes is one{at(here())}")
        return found

    __hash__ = object.__hash__
    __add__, __sub__, __mul__, __truediv__ = _operator("+"), _operator("-"), _operator("*"), _operator("/")
    __floordiv__, __mod__, __pow__, __matmul__ = _operator("//"), _operator("%"), _operator("**"), _operator("@")
    __radd__, __rsub__, __rmul__, __rtruediv__, __rfloordiv__, __rmod__ = __add__, __sub__, __mul__, __truediv__, __floordiv__, __mod__
    __rpow__, __rmatmul__ = __pow__, __matmul__
    __and__, __or__, __xor__, __lshift__, __rshift__ = _operator("&"), _operator("|"), _operator("^"), _operator("<<"), _operator(">>")
    __rand__, __ror__, __rxor__, __rlshift__, __rrshift__ = __and__, __or__, __xor__, __lshift__, __rshift__
    __lt__, __le__, __gt__, __ge__ = _operator("<"), _operator("<="), _operator(">"), _operator(">=")
    __eq__, __ne__ = _operator("=="), _operator("!=")
    __neg__, __pos__, __abs__, __invert__ = _alone("-x"), _alone("+x"), _alone("abs(x)"), _alone("~x")

    def __getitem__(self, index: Any) -> Any:
        _refused("x[index]")

    def __setitem__(self, index: Any, value: Any) -> None:
        _refused("x[index] = value, and nobody writes to its elements")

    def __iter__(self) -> Any:
        if not self.shape:
            raise UseError(f"iteration over a device array without axes{at(here())}")
        _refused("iteration")

    def __contains__(self, item: Any) -> bool:
        _refused("value in x")

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if any(isinstance(i, Out) for i in inputs):
            return function(*(np.asarray(i) if isinstance(i, DeviceArray) else i for i in inputs), **keywords)
        _refused(f"np.{function.__name__}(x)")


def frozen(array: Array) -> Array:
    """A read-only view: what owns the memory stays writeable, as drivers want it."""
    kept = array.view()
    kept.flags.writeable = False
    return kept


def resident(array: Array, device: str, borrowed: bool = False) -> DeviceArray:
    """A device array on the memory of a native array without gaps, which nobody writes to from now on."""
    return DeviceArray(array.shape, array.dtype, device, frozen(array), None, borrowed)


def _restored(values: Array, device: str) -> Any:
    return importlib.import_module("exprgraph.arrays").restored(values, device)
