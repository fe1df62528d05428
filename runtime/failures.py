"""What a driver's faults are called here, and which of them mean that a device is lost."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from exprgraph.errors import AllocationError, DeviceError
from runtime import pages
from runtime.device import Session, lose
from runtime.driver import cl, failure

MEMORY = ("ALLOCATION_FAILURE", "OUT_OF_RESOURCES", "OUT_OF_HOST_MEMORY")
LOST = ("INVALID_COMMAND_QUEUE", "INVALID_CONTEXT", "INVALID_DEVICE", "DEVICE_NOT_AVAILABLE", "DEVICE_NOT_FOUND")
"""Faults after which nothing in a context works any more."""


def translated(error: BaseException, session: Session) -> BaseException:
    """A fault of the driver as one of ours; any other as it is.

    Where the device is lost, so is its session: the next call of any function makes a new one.  Drivers say that resources are exhausted
    both where memory is and where a kernel went astray, so then the device is asked for a sign of life.
    """
    name = session.device.name
    if isinstance(error, failure) and not isinstance(error, DeviceError):
        text = str(error)
        if any(word in text for word in LOST) or session.lost or ("OUT_OF_RESOURCES" in text and not _lives(session)):
            lose(session, text)
            return DeviceError(f"{name} was lost: {text}; the next call opens it anew, and shared variables whose last value was on it "
                               "only need set_value (config.host_mirror keeps copies)")
        if isinstance(error, cl.MemoryError) or any(word in text for word in MEMORY):
            return AllocationError(f"{name} gave no more memory: {text}")
        return DeviceError(f"{name} failed: {text}")
    if type(error) is MemoryError:
        pages.POOL.clear()
        return AllocationError(f"memory for a result is not to be had: {error}")
    return error


def _lives(session: Session) -> bool:
    """Whether the device still fills and gives back a few bytes."""
    try:
        host = np.zeros(16, np.uint8)
        buffer = cl.Buffer(session.context, cl.mem_flags.READ_WRITE, host.nbytes)
        cl.enqueue_copy(session.queue, buffer, host, is_blocking=True)
        session.queue.finish()
    except (failure, DeviceError):  # the second of a session that could not even be opened
        return False
    return True


@contextlib.contextmanager
def told(session: Session) -> Iterator[None]:
    """Faults of the driver within are told as ours."""
    try:
        yield
    except failure as error:
        raise translated(error, session) from None


def reentrant() -> Exception:
    """The error of a call within a call, by a signal handler or a finaliser in the same thread, which no lock stops."""
    return RuntimeError("reentrant call: the function is running in this very thread, on the kernels and the workspace that this call "
                        "would use; let the signal handler or finaliser compile one of its own")
