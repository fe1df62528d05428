"""The steps of a plan: what the runtime does for one plan key, as records without a device."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from exprgraph.dims import Dim, constant
from exprgraph.errors import IndexFault, Source
from exprgraph.named import NamedTuple
from exprgraph.node import Params

T = TypeVar("T")

if TYPE_CHECKING:
    from codegen.alike import Alike
    from codegen.kernel import Kernel  # the runtime is given plans whose trees are texts already
    from exprgraph.own.op import Own


class Meaning(NamedTuple):
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
    about: Meaning | None = None


class Operand(NamedTuple):
    """A strided view of a buffer: offset, shape and strides in elements."""
    buffer: str
    offset: Dim
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]


class About(NamedTuple):
    """What is told of a step: the user's lines, about how many floating-point operations it does, how many elements of a buffer it reads at
    most, and the buffers that it writes, with the shapes of what lies there."""
    lines: tuple[Source, ...] = ()
    flops: Dim = constant(0)
    reach: Dim = constant(0)
    writes: tuple[tuple[str, tuple[Dim, ...]], ...] = ()


class Code(NamedTuple):
    """A kernel as text: all that the runtime needs to know of it.

    name: made of the text, so that equal kernels have one.  text: the kernel alone, as people read it.  body: what a program holds in its
    place, "" where that is the text.  job: its second entry (`codegen.jobs`), "" where it has none.  buffers: how many it takes before
    the flags, if `flags`; wide: whether its integers have 64 bits.  grouped: whether its work-items meet.  streamed: whether what it writes
    has to begin at a multiple of `codegen.kernel.STREAM_BYTES`.
    """
    name: str
    text: str
    body: str
    job: str
    buffers: int
    flags: bool
    wide: bool
    grouped: bool
    streamed: bool


class Joined(NamedTuple):
    """The kernel of launches that run as one (`codegen.joined`): its name, and the launches, those of equal kernels side by side."""
    name: str
    parts: tuple[Launch, ...]


class Launch(NamedTuple):
    """Run a kernel: its buffers in the order of `kernel.params` (then the flags, if it has any), then `dims`; `grid` work-items.

    kernel: a tree as it is generated, or several launches as one; text in what the runtime is given.  work: an estimate of the picoseconds
    that one core needs.  access: for each buffer whether the kernel reads it, "r", writes to it, "w", or both, "rw".  parts: the launches
    that it stands for, which come to the same.
    """
    kernel: Kernel | Alike | Joined | Code
    buffers: tuple[str, ...]
    dims: tuple[Dim, ...]
    grid: tuple[Dim, ...]
    local: tuple[int, ...]
    work: Dim = constant(0)
    access: tuple[str, ...] = ()
    about: About = About()
    parts: tuple[Launch, ...] = ()


class HostCall(NamedTuple):
    """Call a NumPy function on shared memory: `function` names it ("matmul", or the row that it is the meaning of); the result is written
    into `output`."""
    function: str
    inputs: tuple[Operand, ...]
    output: Operand
    params: Params = ()
    about: About = About()


class OwnCall(NamedTuple):
    """Run a function or kernel of the user's own on memory without gaps; sizes: what a kernel needs beside the shapes of its outputs."""
    own: Own
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    sizes: tuple[Dim, ...]
    source: Source | None


class Branch(NamedTuple):
    """Run `variants[pick]`; `pick` is a pure function of the sizes.  free: whether any variant is right for any sizes, so that the pick is
    a guess at the fastest.  A variant but the first may be made later (`codegen.growth`): then it is a `Later` and nothing else."""
    pick: Dim
    variants: tuple[tuple[Step, ...], ...]
    free: bool = False


class Later(Generic[T]):
    """What is made when somebody needs it, and then once; in a plan from disk nothing, since what would make it was not kept."""
    __slots__ = ("_make", "_made")

    def __init__(self, make: Callable[[], T] | None = None) -> None:
        self._make, self._made = make, None if make is None else list[T]()

    @property
    def kept(self) -> bool:
        """Whether it can be made."""
        return self._made is not None

    @property
    def made(self) -> T:
        """What it is."""
        assert self._made is not None
        if self._make is not None:
            self._made[:] = [self._make()]
            self._make = None  # and what it rests on
        return self._made[0]


class More(NamedTuple):
    """What a variant adds to a plan that is made later: its steps, the buffers that they use, the notes of its kernels, and all fault sites
    that the plan has with it, those that it had before in front."""
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    notes: tuple[Note, ...]
    sites: tuple[Site, ...] = ()


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


def touched(step: Step) -> tuple[str, ...]:
    """The buffers that a step names."""
    if isinstance(step, Launch):
        return step.buffers
    if isinstance(step, HostCall):
        return tuple(o.buffer for o in (*step.inputs, step.output))
    return tuple(o.buffer for o in (*step.inputs, *step.outputs)) if isinstance(step, OwnCall) else ()


Step = Launch | HostCall | OwnCall | Branch | Check | Commit | Later[More]


class Note(NamedTuple):
    """What a kernel computes, for people: its operations, over which sizes, from which of the user's lines."""
    kernel: str
    operations: tuple[str, ...]
    space: tuple[Dim, ...]
    lines: tuple[Source, ...]


class Plan(NamedTuple):
    """Everything for one plan key: memory, steps, what each output is, and why the plan is as it is (for `f.why()`).

    outputs: for each output its buffer and shape.
    """
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Operand, ...]
    notes: tuple[Note, ...] = ()
