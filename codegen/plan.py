"""The steps of a plan: what the runtime does for one plan key, as records without a device."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codegen.kernel import Kernel
from exprgraph.dims import Dim, constant
from exprgraph.errors import IndexFault, Source
from exprgraph.node import Condition, Params
from exprgraph.own.op import Own


class About(NamedTuple):
    """Which of the user's tensors an intermediate is, for people: his name for it or None, the operation that computes it, its shape and
    the line; where it is `scratch`, it is only memory that a kernel for that operation works in."""
    name: str | None
    operation: str
    shape: tuple[Dim, ...]
    source: Source | None
    scratch: bool = False


class Buffer(NamedTuple):
    """Memory that the steps name.

    role "leaf": the argument or shared variable number `number` of the call.  "constant": holds `data`.  "temp": lives during the
    call.  "output": the result number `number`; fresh memory.  "flags": int64[4], zeroed before each call.  size is in elements.
    about: what a temp is.
    """
    name: str
    role: str
    number: int
    dtype: str
    size: Dim
    data: np.ndarray[Any, Any] | None = None
    about: About | None = None


class Operand(NamedTuple):
    """A strided view of a buffer: offset, shape and strides in elements."""
    buffer: str
    offset: Dim
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]


class Launch(NamedTuple):
    """Run a kernel: its buffers in the order of `kernel.params` (then the flags, if it has any), then `dims`; `grid` work-items.

    work: an estimate of the picoseconds that one core needs.  access: for each buffer whether the
    kernel reads it, "r", writes to it, "w", or both, "rw".
    """
    kernel: Kernel
    buffers: tuple[str, ...]
    dims: tuple[Dim, ...]
    grid: tuple[Dim, ...]
    local: tuple[int, ...]
    work: Dim = constant(0)
    access: tuple[str, ...] = ()


class HostCall(NamedTuple):
    """Call a NumPy function on shared memory: `function` names it ("matmul", or the row that it is the meaning of); the result is written
    into `output`."""
    function: str
    inputs: tuple[Operand, ...]
    output: Operand
    params: Params = ()


class OwnCall(NamedTuple):
    """Run a function or kernel of the user's own on memory without gaps; sizes: what a kernel needs beside the shapes of its outputs."""
    own: Own
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    sizes: tuple[Dim, ...]
    source: Source | None


class Branch(NamedTuple):
    """Run `variants[pick]`; `pick` is a pure function of the sizes.  free: whether any variant is right for any sizes, so that the pick is
    a guess at the fastest."""
    pick: Dim
    variants: tuple[tuple[Step, ...], ...]
    free: bool = False


class Site(NamedTuple):
    """A place where a kernel can find a fault, and the error that it is; the message is formatted with index and size."""
    message: str
    source: Source | None
    error: type[Exception] = IndexFault


class Check(NamedTuple):
    """Wait, read the flags and raise the error of the site found there."""
    sites: tuple[Site, ...]


class Commit(NamedTuple):
    """The outputs are right: publish them."""


Step = Launch | HostCall | OwnCall | Branch | Check | Commit


class Requirement(NamedTuple):
    """A condition on the sizes of a call, with the user's line."""
    condition: Condition
    source: Source | None


class Plan(NamedTuple):
    """Everything for one plan key: memory, steps, what each output is, and why the plan is as it is (for `f.why()`).

    outputs: for each output its buffer and shape.
    """
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Operand, ...]
    notes: tuple[str, ...] = ()
