"""The dtypes and how they combine: NumPy-2 promotion with weak Python scalars, where integer arrays never widen a float array."""
from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from exprgraph.config import config
from exprgraph.errors import DTypeError, ShapeError, at, here, shortly

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTS = SIGNED + UNSIGNED
FLOATS = ("float16", "float32", "float64")
BFLOAT = "bfloat16"
"""A float of the package ml_dtypes, which is loaded when it is first asked for."""
NARROW = ("float16", BFLOAT)
"""Floats that are only stored: arithmetic is done in float32."""
REAL = BOOL + INTS + FLOATS
COMPLEX = ("complex64", "complex128")
ALL = REAL + COMPLEX
LETTERS = {"b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64", "c": "complex64",
           "z": "complex128"}
PARTS = {"complex64": "float32", "complex128": "float64"}


@lru_cache(maxsize=256)
def _named(dtype: Any) -> str | None:
    if dtype is None:  # to NumPy it means float64
        return None
    name = np.dtype(dtype).name
    return name if name in ALL else None


def _known(dtype: Any) -> str | None:
    try:
        return _named(dtype)
    except Exception:  # not only NumPy's: it cannot be hashed, or shown
        return None


def canonical(dtype: Any) -> str:
    """The name of a supported dtype; "floatX" is the configured float.  DTypeError for any other."""
    spelled = str(dtype) if isinstance(dtype, str | np.dtype) else ""
    name = config.floatX if spelled == "floatX" else _bfloat() if spelled == BFLOAT else _known(dtype)
    if name is None:
        raise DTypeError(f"dtype {spelled[:60] or shortly(dtype)} is not supported; supported are {', '.join(ALL)}{at(here())}")
    return name


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """The array of a number, an array or a nested list; DTypeError for what is none, ShapeError for rows of different lengths."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(f"a list whose rows have different lengths is no tensor{at(here())}") from None
    if array.dtype == object:
        raise DTypeError(f"{shortly(value)} of type {type(value).__name__} is no tensor, to NumPy its dtype is object: numbers, arrays "
                         f"of other dtypes and lists of them are{at(here())}")
    return array


def _bfloat() -> str:
    """The name, which NumPy knows once ml_dtypes has been imported."""
    try:
        importlib.import_module("ml_dtypes")
    except ImportError:
        raise DTypeError(f'dtype bfloat16 needs the package ml_dtypes: pip install "exprgraph[bfloat16]"{at(here())}') from None
    return BFLOAT


def is_float(dtype: str) -> bool:
    """Whether the dtype is a float."""
    return dtype in FLOATS or dtype == BFLOAT


def is_complex(dtype: str) -> bool:
    """Whether the dtype is complex."""
    return dtype in COMPLEX


def has_gradient(dtype: str) -> bool:
    """Whether gradients flow through tensors of the dtype: floats and complex numbers."""
    return is_float(dtype) or dtype in COMPLEX


def part(dtype: str) -> str:
    """The dtype of the real part; a real dtype itself."""
    return PARTS.get(dtype, dtype)


def whole(dtype: str) -> str:
    """The complex dtype whose parts hold a float of this dtype; a complex dtype itself."""
    return dtype if dtype in COMPLEX else "complex128" if dtype == "float64" else "complex64"


def is_int(dtype: str) -> bool:
    """Whether the dtype is an integer other than bool."""
    return dtype in INTS


def is_weak(value: object) -> bool:
    """Whether a value adapts to the dtypes it meets: Python numbers and 0-d NumPy floats and complex numbers."""
    return isinstance(value, bool | int | float | complex) or (isinstance(value, np.inexact | np.ndarray) and value.ndim == 0
                                                               and value.dtype.kind in "fc")


def weak_kind(value: Any) -> str:
    """The kind of a weak scalar: "b", "i", "f" or "c"."""
    if isinstance(value, bool | int):
        return "b" if isinstance(value, bool) else "i"
    return "c" if isinstance(value, complex) or (isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "c") else "f"


@lru_cache(maxsize=1024)
def _promote(dtypes: tuple[str, ...], kinds: str, floatX: str) -> str:
    if "c" in kinds or any(d in COMPLEX for d in dtypes):
        return whole(_promote(tuple(part(d) for d in dtypes), kinds.replace("c", "f"), floatX))
    floats = [d for d in dtypes if is_float(d)]
    if BFLOAT in floats:
        return BFLOAT if set(floats) == {BFLOAT} else "float64" if "float64" in floats else "float32"
    if floats:
        return str(np.result_type(*floats).name)
    if "f" in kinds:
        return floatX
    ints = [d for d in dtypes if d != "bool"]
    if ints:
        return str(np.result_type(*ints).name)
    return "int64" if "i" in kinds else "bool"


def promote(dtypes: Iterable[str], weak: Iterable[object] = ()) -> str:
    """The common dtype of strong dtypes and weak scalars."""
    return _promote(tuple(dtypes), "".join(sorted({weak_kind(w) for w in weak})), config.floatX)


def as_float(dtype: str) -> str:
    """The dtype itself where it is a float or complex, else floatX."""
    return dtype if has_gradient(dtype) else config.floatX


def accumulator(dtype: str) -> str:
    """The dtype in which sums and products of this dtype accumulate and are returned: int64 or uint64 for integers and bool."""
    return "uint64" if dtype in UNSIGNED else dtype if has_gradient(dtype) else "int64"


def summed_in(dtype: str) -> str:
    """The dtype of the partial results of a fold whose operands and result have this dtype."""
    return "float32" if dtype in NARROW else dtype


def largest(dtype: str) -> float:
    """The largest number of a float dtype."""
    return float.fromhex("0x1.fep127") if dtype == BFLOAT else float(np.finfo(dtype).max)


def fits(value: int, dtype: str) -> bool:
    """Whether a Python integer can be represented in an integer dtype."""
    return dtype not in INTS or int(np.iinfo(dtype).min) <= value <= int(np.iinfo(dtype).max)


def is_masked(value: Any) -> bool:
    """Whether a value is a masked array, without loading numpy.ma where nobody has."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray)
