"""What is timed: a workload is one computation that every engine writes in its own style, a row is a workload at one size."""
from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Size = tuple[int, ...]
Inputs = Callable[..., tuple[np.ndarray, ...]]
KINDS = ("cheap", "product", "other")


class Workload(NamedTuple):
    """One computation.  `name` is the function in each engine's module, `title` what a reader sees.

    inputs: generator and size -> the arrays of a call.  length: size -> how many terms the longest sum has, from which the
    tolerance follows.  tiny: a size for tests.  kind: "cheap" for elementwise operations and reductions that memory or the start
    of threads bounds, "product" for plain products that BLAS bounds, "other" for everything else.
    """

    name: str
    title: str
    sizes: tuple[Size, ...]
    inputs: Inputs
    tiny: Size
    kind: str = "other"
    length: Callable[..., int] = lambda *size: 1


class Row(NamedTuple):
    """A workload at one size; `group` is the set that it is reported with."""

    group: str
    workload: Workload
    size: Size

    @property
    def label(self) -> str:
        """The name of the row: what --only looks for and what a result is filed under."""
        return f"{self.workload.name}/{'x'.join(map(compact, self.size))}"


def compact(n: int) -> str:
    """A length as people write it: 1000000 as 1e6, 16000000 as 1.6e7, 784 as it is."""
    if n < 1000 or n % 10 ** (len(str(n)) - 2):
        return str(n)
    return f"{n / 10 ** (len(str(n)) - 1):g}e{len(str(n)) - 1}"


def rows_of(group: str, workloads: Iterable[Workload]) -> list[Row]:
    """Every size of every workload."""
    return [Row(group, w, size) for w in workloads for size in w.sizes]


def arrays_of(row: Row, seed: int) -> tuple[np.ndarray, ...]:
    """The inputs of a row: the same in every process that has the same seed."""
    return row.workload.inputs(np.random.default_rng([seed, zlib.crc32(row.label.encode())]), *row.size)


def elements_of(arrays: Sequence[np.ndarray]) -> int:
    """The size of the largest input, by which the target of a cheap row is chosen."""
    return max(a.size for a in arrays)


def flat(result: Any) -> list[Any]:
    """The outputs of a call as a list."""
    return list(result) if isinstance(result, list | tuple) else [result]


def reference(function: Callable[..., Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What NumPy gives in float64 for the same float32 inputs."""
    wide = [a.astype("float64") if a.dtype == np.float32 else a for a in arrays]
    return [np.asarray(r) for r in flat(function(*wide))]


def tolerance(row: Row) -> float:
    """The error allowed, relative to the size of the values: it grows with the root of the longest sum, as rounding errors do."""
    return 4e-7 * (16 + row.workload.length(*row.size) ** 0.5)


def fault(row: Row, got: Sequence[Any], wanted: Sequence[np.ndarray]) -> str | None:
    """What is wrong with the outputs `got`, or None."""
    if len(got) != len(wanted):
        return f"{len(got)} outputs, expected {len(wanted)}"
    found = (_fault(np.asarray(g), w, tolerance(row)) for g, w in zip(got, wanted, strict=True))
    return next((text for text in found if text), None)


def _fault(got: np.ndarray, wanted: np.ndarray, allowed: float) -> str | None:
    if got.shape != wanted.shape:
        return f"shape {got.shape}, expected {wanted.shape}"
    if wanted.dtype.kind != "f":
        return None if np.array_equal(got, wanted) else "other integers than NumPy's"
    if got.ndim and got.dtype != np.float32:
        return f"dtype {got.dtype}, expected float32"
    if not got.size:
        return None
    scale = float(np.sqrt(np.mean(np.square(wanted))))
    worst = float(np.max(np.abs(got - wanted) / (np.abs(wanted) + scale + 1e-30)))
    return None if worst <= allowed else f"relative error {worst:.1e}, allowed {allowed:.1e}"
