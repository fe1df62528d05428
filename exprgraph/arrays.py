"""Device arrays from what users have: NumPy's arrays, numbers, other libraries' arrays; and to and from pyopencl's."""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from exprgraph import backend, dtypes
from exprgraph.config import config
from exprgraph.errors import CallError, DeviceError, UseError, at, here
from exprgraph.flags import truth_or_none
from exprgraph.hardware import DeviceInfo
from exprgraph.node import Out
from exprgraph.resident import Array, DeviceArray, resident

RUNTIME = "runtime.arrays:"


def array(value: Any, dtype: Any = None, device: str | DeviceInfo | None = None, copy: bool | None = True) -> DeviceArray:
    """A device array with the values of `value`, on `device` (as of `compile`).

    value: an array, a number or nested lists of numbers (Python floats become floatX, integers int64); a device array; what speaks DLPack
    and lies in memory of the CPU, such as a torch tensor; a pyopencl array.  copy: True, a copy of its own; None, only where it is
    needed; False, never.  Without a copy nobody may write to the memory any more.  DTypeError for dtypes that are not supported, CallError
    for what is no array, ValueError where copy=False forbids the copy that it takes, OptionError for another copy.
    """
    copy = truth_or_none("copy", copy)
    spec = backend.device_name(config.device if device is None else device)
    if _of_pyopencl(value):
        value = _adopted(value, spec, dtype, copy)
        if isinstance(value, DeviceArray):
            return value
    if isinstance(value, DeviceArray):
        return _moved(value, dtype, spec if device is not None else value.device, copy)
    given = value if isinstance(value, np.ndarray | np.generic) else _array(value)
    name = _dtype(value, given, dtype)
    host = _laid_out(given, np.dtype(name), copy)
    return _placed(host, spec, copy, borrowed=np.may_share_memory(host, given) if copy is not True else False)


def from_dlpack(value: Any, device: str | DeviceInfo | None = None) -> DeviceArray:
    """What speaks DLPack as a device array, without a copy where it lies in memory of the CPU that the device works on.

    Nobody may write to that memory any more.  BufferError for what lies elsewhere.
    """
    return array(value if isinstance(value, DeviceArray) else _exchanged(value), device=device, copy=None)


def opencl_queue(device: str | DeviceInfo | None = None) -> Any:
    """The pyopencl.CommandQueue of a device, in order; its attribute `context` is the context that device arrays live in there.

    Arrays of pyopencl made on it come in (`array`) and go out (`to_pyopencl`) without a copy.  DeviceError for "numpy".
    """
    spec = backend.device_name(config.device if device is None else device)
    if spec == "numpy":
        raise DeviceError(f"device 'numpy' has no OpenCL queue: name another one{at(here())}")
    return _runtime("queue")(spec)


def to_pyopencl(value: DeviceArray) -> Any:
    """A device array as a pyopencl.array.Array on `opencl_queue(value.device)`, without a copy: kernels may read it, none may write to
    it."""
    if not isinstance(value, DeviceArray):
        raise CallError(f"to_pyopencl takes a device array, not a {type(value).__name__}: exprgraph.array(x) makes one{at(here())}")
    if value.device == "numpy":
        raise DeviceError(f"the array is NumPy's: exprgraph.array(x, device=...) brings it to an OpenCL device{at(here())}")
    return _runtime("exported")(value)


def restored(values: Array, device: str) -> DeviceArray:
    """What was pickled, on the device of that name, or where there is none on the one that is chosen by itself."""
    try:
        return array(values, device=device, copy=None)
    except (DeviceError, ImportError):
        return array(values, device="auto", copy=None)


def _runtime(name: str) -> Callable[..., Any]:
    return backend.resolve(RUNTIME + name)


def _of_pyopencl(value: Any) -> bool:
    module = sys.modules.get("pyopencl.array")
    return module is not None and isinstance(value, module.Array)


def _adopted(value: Any, spec: str, dtype: Any, copy: bool | None) -> Any:
    """The pyopencl array as a device array on the same memory where that can be, else its values."""
    fits = dtype is None or np.dtype(dtypes.canonical(dtype)) == value.dtype
    found = _runtime("adopted")(value, spec) if spec != "numpy" and fits else None
    if found is not None:
        return found if copy is not True else found.copy()
    if copy is False:
        raise ValueError("copy=False, but this pyopencl array has to be copied: arrays come in as they are that have the dtype asked for, "
                         f"lie in C order and were made on exprgraph.opencl_queue(device){at(here())}")
    return value.get()


def _array(value: Any) -> Array:
    """Numbers, lists of them, and arrays of other libraries, as NumPy's."""
    if isinstance(value, Out):
        raise UseError(f"a symbol ({value!r}) has no values: call a function compiled with output=\"device\"{at(here())}")
    if isinstance(value, bool | int | float | complex | list | tuple):
        try:
            return np.asarray(value)
        except ValueError:
            _refuse(value, "its rows have different lengths")
    if hasattr(value, "__dlpack__"):
        return _exchanged(value)
    return _refuse(value, "give an array, a number, lists of numbers, or what speaks DLPack") if value is None else np.asarray(value)


def _exchanged(value: Any) -> Array:
    try:
        found: Array = np.from_dlpack(value)
    except (AttributeError, TypeError):
        _refuse(value, "it does not speak DLPack: exprgraph.array(np.asarray(x))")
    except (BufferError, RuntimeError) as error:
        raise BufferError(f"a value of type {type(value).__name__} cannot be shared: {error}; copy it to the memory of the CPU first, as a "
                          f"NumPy array{at(here())}") from None
    return found


def _refuse(value: Any, cure: str) -> NoReturn:
    raise CallError(f"array: a value of type {type(value).__name__} was given: {cure}{at(here())}")


def _dtype(value: Any, given: Array | np.generic, dtype: Any) -> str:
    if dtypes.is_masked(value):
        _refuse(value, "its mask would be lost, fill it first: value.filled(0)")
    if dtype is not None:
        return dtypes.canonical(dtype)
    if isinstance(value, bool | int | float | complex) and not isinstance(value, np.generic):
        return dtypes.promote((), (value,))
    if isinstance(value, list | tuple) and given.dtype.kind in "fc" and _plain(value):
        return dtypes.promote((), (1j if given.dtype.kind == "c" else 1.0,))
    return dtypes.canonical(given.dtype.newbyteorder("=") if given.dtype.kind in "biufc" else given.dtype)


def _plain(value: Any) -> bool:
    """Whether nested lists hold Python's own numbers only."""
    todo = [value]
    while todo:
        for item in todo.pop():
            if isinstance(item, list | tuple):
                todo.append(item)
            elif isinstance(item, np.ndarray | np.generic):
                return False
    return True


def _laid_out(given: Any, dtype: np.dtype[Any], copy: bool | None) -> Array:
    """The values as a native array of the dtype in C order."""
    found = np.asarray(given)
    if found.dtype.kind not in "biufc" and found.dtype.name != dtypes.BFLOAT and found.dtype != dtype:
        _refuse(given, f"{found.dtype.name} values are not numbers")
    fine = found.dtype == dtype and found.flags.c_contiguous and found.flags.aligned
    if not fine and copy is False:
        raise ValueError(f"copy=False, but a {found.dtype} array with strides {found.strides} has to be copied to {dtype} in C order"
                         f"{at(here())}")
    with np.errstate(all="ignore"):
        return found if fine and copy is not True else np.array(found, dtype, order="C")


def _placed(host: Array, spec: str, copy: bool | None, borrowed: bool) -> DeviceArray:
    def opencl() -> DeviceArray:
        made: DeviceArray = _runtime("placed")(host, spec, copy, borrowed)
        return made
    return backend.chosen(spec, opencl, lambda: resident(host, "numpy", borrowed))


def _known(value: DeviceArray, spec: str) -> DeviceArray | None:
    """The same memory as an array of the device of that name, where that device works on it."""
    if spec == value.device:
        return value
    inside = resident(value.host(), "numpy", value.borrowed) if value.mapped else None
    found: DeviceArray | None = backend.chosen(spec, lambda: _runtime("known")(value, spec), lambda: inside)
    return found


def _moved(value: DeviceArray, dtype: Any, spec: str, copy: bool | None) -> DeviceArray:
    """A device array on a device, perhaps another one."""
    same = dtype is None or np.dtype(dtypes.canonical(dtype)) == value.dtype
    found = _known(value, spec) if same else None
    if found is not None:
        return found.copy() if copy and value.borrowed else found
    if copy is False:
        raise ValueError(f"copy=False, but the array has to be copied from {value.device} to {spec}{at(here())}")
    host = value.host() if same else value.host().astype(dtypes.canonical(dtype))
    return _placed(host, spec, None, borrowed=value.borrowed and value.mapped and same)
