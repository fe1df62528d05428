"""The errors of exprgraph, each of which says what was given, what was expected, and which line of the user's file it concerns."""
from __future__ import annotations

import os
import sys
from typing import Any

import numpy

from exprgraph.named import NamedTuple

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WRITTEN = "<written by exprgraph>"
"""The file of code that is written for a function."""
OURS = (*(os.path.join(_ROOT, top) + os.sep for top in ("exprgraph", "codegen", "runtime")), WRITTEN,
        os.path.dirname(numpy.__file__) + os.sep)
"""What the files of these packages begin with, and of NumPy, whose functions hand on what they are given."""


class Source(NamedTuple):
    """A line of the user's code."""
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def here() -> Source:
    """The innermost line on the stack that is neither exprgraph's own nor NumPy's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return Source(frame.f_code.co_filename, frame.f_lineno)


class DTypeError(TypeError):
    """A dtype that an operation, an input or an update does not take.

        eg.bitwise_and(eg.vector("x"), 1)     # floats have no bits to offer: cast to an integer dtype first
    """


class RankError(TypeError):
    """A tensor with the wrong number of axes."""


class UseError(TypeError):
    """A symbol used as if it were a value: `if x:`, `len(x)`, `x[i] = v`; the message says what to write instead."""


class OptionError(TypeError):
    """An option of a type that it does not take, such as profile="yes"."""


class ShapeError(ValueError):
    """Sizes that do not fit together, found when the graph is built or when a call brings its sizes."""


class GraphError(ValueError):
    """A graph that cannot be compiled as asked: an input twice, an update of something that is not shared, a cycle, ..."""


class UnusedInputError(GraphError):
    """An input that no output and no update depends on; `on_unused_input="ignore"` allows it."""


class MissingInputError(GraphError):
    """An output needs a symbol that is not among the inputs."""


class DisconnectedInputError(ValueError):
    """`grad` with respect to something that the cost does not depend on; `disconnected_inputs="ignore"` gives zeros."""


class GradientError(TypeError):
    """A gradient that does not exist: the cost is not a float scalar, or an operation has no derivative."""


class NullTypeGradError(GradientError):
    """A gradient that is asked for through something that has none: `undefined_grad`, or a row that says why there is none."""


class MissingGradientError(NullTypeGradError, NotImplementedError):
    """A gradient that is asked for through a row for which none has been written; a row of your own takes it as `grad=`."""


class IndexFault(IndexError):
    """An index outside its axis, found by a kernel or by the NumPy backend; nothing was changed by the call."""


class ValueFault(ValueError):
    """A value for which an operation has no result, found by a kernel or by the NumPy backend; nothing was changed by the call.

        f = eg.compile([n], 2 ** n)           # n: an integer scalar
        f(-1)                                 # integers have no negative integer powers: cast the base to a float
    """


class AssertionFault(AssertionError):
    """A condition of an `Assert` that does not hold, found by a kernel or by the NumPy backend; nothing was changed by the call."""


class GuardFault(ValueFault, AssertionError):
    """A NaN, an infinity or a large value that NanGuardMode has met; nothing was changed by the call."""


class MismatchFault(AssertionError):
    """A rewrite or a kernel that DebugMode found to compute something else than the NumPy backend; nothing was changed by the call."""


class OwnOpError(RuntimeError):
    """A function or kernel of the user's own that failed, or gave what it did not promise; nothing was changed by the call."""


class NoMeaningError(OwnOpError):
    """A kernel of the user's own that the NumPy backend meets and that says nothing of what it means there."""


class CallError(TypeError):
    """A compiled function called with the wrong number, names, dtypes or ranks of arguments."""


class DeviceError(RuntimeError):
    """A device that is not there, or that failed."""


class NoDeviceError(DeviceError):
    """No device at all: OpenCL is missing, or nothing that it offers can be used; `device="auto"` answers from NumPy then."""


class UnknownDeviceError(DeviceError, ValueError):
    """A device that nobody can mean: no device of the process fits the text.  Also a DeviceError."""


class AllocationError(MemoryError):
    """More memory asked for than the device may give; tensors: the largest ones of the call that needed it, `footprint.Tensor`s."""
    tensors: tuple[Any, ...] = ()


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things in words: 1 axis, 2 axes."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def at(source: Source | None) -> str:
    """The closing line of a message: where in the user's file."""
    return f"\n  at {source}" if source is not None else ""


def defined(source: Source | None) -> str:
    """The line of a message behind that of `at`: where what is used there was defined."""
    return f"\n  defined at {source}" if source is not None else ""
