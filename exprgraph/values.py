"""Values from users: they become native, aligned arrays of the dtype and rank that an input or shared variable wants, or are refused."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import CallError, ShapeError, Source, at, counted, here, shortly
from exprgraph.named import NamedTuple
from exprgraph.node import Out
from exprgraph.resident import DeviceArray

Array = np.ndarray[Any, Any]
STRICT = "it is strict and takes an array of this dtype only"


class Want(NamedTuple):
    """What a value must be.

    what: who asks, for messages.  known: (axis, size) of the axes of known length.  source: where the symbol was made.  downcast:
    whether precision may be lost; None: by Python floats
    only, False: by nothing.  strict: only an array of exactly this dtype.  cure: the setting that allows a downcast.
    """
    what: str
    dtype: np.dtype[Any]
    ndim: int
    known: tuple[tuple[int, int], ...]
    source: Source | None
    downcast: bool | None
    strict: bool
    cure: str


def want(out: Out, what: str, *, downcast: bool | None, strict: bool, cure: str) -> Want:
    """What a value for this symbol must be."""
    sizes = [(axis, d.const) for axis, d in enumerate(out.type.shape)]
    known = tuple((axis, size) for axis, size in sizes if size is not None)
    return Want(what, np.dtype(out.dtype), out.ndim, known, out.node.source, downcast, strict, cure)


def coerce(value: Any, wanted: Want) -> Any:
    """The value as a native, aligned array of the wanted dtype and rank; strides stay as they are, nothing is copied without need.

    Accepted are arrays whose dtype NumPy casts safely, Python numbers and (nested) lists of them.  A device array of the dtype is
    returned as it is.  CallError for other dtypes, types and ranks, ShapeError where an axis of known length has another one.
    """
    fits = type(value) is np.ndarray and value.dtype == wanted.dtype and value.flags.aligned
    array: Array | DeviceArray = value if fits else _convert(value, wanted)
    if array.ndim != wanted.ndim:
        _refuse(value, wanted, f"give it {_axes(wanted.ndim)}")
    for axis, size in wanted.known:
        if array.shape[axis] != size:
            raise ShapeError(f"{wanted.what} has a known length of {size} on axis {axis}; {describe(value)} was given{_where(wanted)}")
    return array


def describe(value: Any) -> str:
    """A value in a few words, for messages."""
    if dtypes.is_masked(value):
        return "a masked array"
    if isinstance(value, np.ndarray | DeviceArray):
        return f"{_an(value.dtype.name)} {'' if isinstance(value, np.ndarray) else 'device '}array of shape {value.shape}"
    if isinstance(value, Out):
        return f"the symbol {value!r}"
    if value is None or isinstance(value, bool | int | float | complex | str | np.generic):
        return f"{type(value).__name__} {shortly(value, 40)}" if value is not None else "None"
    return f"a value of type {type(value).__name__}"


def _an(word: str) -> str:
    return f"an {word}" if word[0] in "aeio" else f"a {word}"


def _axes(count: int) -> str:
    return counted(count, "axis", "axes")


def _where(wanted: Want) -> str:
    made = f"\n  declared at {wanted.source}" if wanted.source is not None else ""
    return made + at(here())


def _refuse(value: Any, wanted: Want, cure: str) -> NoReturn:
    raise CallError(f"{wanted.what} is {wanted.dtype.name} with {_axes(wanted.ndim)}; {describe(value)} was given: {cure}{_where(wanted)}")


def _convert(value: Any, wanted: Want) -> Array | DeviceArray:
    if isinstance(value, DeviceArray):
        return value if value.dtype == wanted.dtype else _other(value, wanted) if value.shape else _convert(value.host(), wanted)
    if dtypes.is_masked(value):
        _refuse(value, wanted, "its mask would be lost, fill it first: value.filled(0)")
    if wanted.strict:
        return _strict(value, wanted)
    if dtypes.is_weak(value):
        return _weak(value, value, {dtypes.weak_kind(value)}, wanted)
    if isinstance(value, np.ndarray | np.generic):
        return _strong(np.asarray(value), value, wanted)
    if isinstance(value, list | tuple):
        return _from_list(value, wanted)
    array = "an array is needed: np.asarray(value), or exprgraph.array(value)"
    cure = "compile a function that takes its inputs" if isinstance(value, Out) else array
    return _refuse(value, wanted, cure)


def _other(value: DeviceArray, wanted: Want) -> Array:
    """A device array of another dtype, which is cast on the host."""
    if wanted.strict:
        _refuse(value, wanted, STRICT)
    _check_cast(value.dtype, value, wanted)
    with np.errstate(all="ignore"):
        return _native(value.host(), wanted)


def _strict(value: Any, wanted: Want) -> Array:
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.newbyteorder("=") != wanted.dtype:
        _refuse(value, wanted, STRICT)
    return _native(np.asarray(value), wanted)


def _native(array: Array, wanted: Want) -> Array:
    fine = array.dtype == wanted.dtype and array.flags.aligned
    return array if fine else array.astype(wanted.dtype, casting="unsafe", copy=True)


def _check_cast(dtype: np.dtype[Any], value: Any, wanted: Want) -> None:
    known = dtype.kind in ("biufc" if dtypes.is_complex(wanted.dtype.name) else "biuf")
    if not known and dtype.name != dtypes.BFLOAT:
        _refuse(value, wanted, f"{dtype.name} values are not numbers that it can hold")
    if not wanted.downcast and not np.can_cast(dtype, wanted.dtype, "safe"):
        cast = f".astype({wanted.dtype.name!r})" if not isinstance(value, DeviceArray) else f"exprgraph.array(x, {wanted.dtype.name!r})"
        _refuse(value, wanted, f"cast it with {cast}, or {wanted.cure}")


def _strong(array: Array, value: Any, wanted: Want) -> Array:
    _check_cast(array.dtype, value, wanted)
    with np.errstate(all="ignore"):
        return _native(array, wanted)


_WEAK: dict[str, Callable[[Any, str], bool]] = {
    "b": lambda value, dtype: True,
    "i": lambda value, dtype: dtypes.has_gradient(dtype) or (dtype in dtypes.INTS and _fits(value, dtype)),
    "f": lambda value, dtype: dtypes.has_gradient(dtype),
    "c": lambda value, dtype: dtypes.is_complex(dtype)}


def _fits(value: Any, dtype: str) -> bool:
    array = np.asarray(value)
    if array.dtype.kind not in "biu":
        return isinstance(value, int) and dtypes.fits(value, dtype)
    return not array.size or (dtypes.fits(int(array.min()), dtype) and dtypes.fits(int(array.max()), dtype))


def _weak(data: Any, value: Any, kinds: set[str], wanted: Want) -> Array:
    """Python numbers take the wanted dtype where its kind can hold them."""
    name = wanted.dtype.name
    lost = "c" in kinds and not dtypes.is_complex(name)
    if lost or (not wanted.downcast and not all(_WEAK[kind](data, name) for kind in kinds)):
        reason = f"out of the range of {name}" if "f" not in kinds and name in dtypes.INTS else f"{name} cannot hold it"
        _refuse(value, wanted, f"{reason}; round it or cast it yourself, or {wanted.cure}")
    try:
        with np.errstate(all="ignore"):
            array: Array = np.asarray(data).astype(wanted.dtype)
    except (OverflowError, TypeError, ValueError):
        return _refuse(value, wanted, f"out of the range of {name}")
    if wanted.downcast is False and not np.array_equal(array, np.asarray(data), equal_nan="f" in kinds):
        _refuse(value, wanted, f"{name} would round it, which allow_input_downcast=False forbids")
    return array


def _from_list(value: Any, wanted: Want) -> Array:
    todo, kinds = [value], set()
    while todo:
        for item in todo.pop():
            if isinstance(item, list | tuple):
                todo.append(item)
            elif isinstance(item, bool | int | float | complex) and not isinstance(item, np.generic):
                kinds.add(dtypes.weak_kind(item))
            elif isinstance(item, np.ndarray | np.generic):
                kinds.add("strong")
            else:
                _refuse(item, wanted, "a list may hold numbers only")
    try:
        array = np.asarray(value)
    except ValueError:
        _refuse(value, wanted, "its rows have different lengths")
    return _strong(array, value, wanted) if "strong" in kinds else _weak(array, value, kinds, wanted)
