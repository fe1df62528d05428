"""What a driver's faults are called here."""
from __future__ import annotations

from exprgraph.errors import AllocationError, DeviceError
from runtime import pages
from runtime.device import Session
from runtime.driver import cl, failure


def translated(error: BaseException, session: Session) -> BaseException:
    """A fault of the driver as one of ours; any other as it is."""
    name = session.device.name
    if isinstance(error, failure) and not isinstance(error, DeviceError):
        if isinstance(error, cl.MemoryError) or "ALLOCATION_FAILURE" in str(error) or "OUT_OF_RESOURCES" in str(error):
            return AllocationError(f"{name} gave no more memory: {error}")
        return DeviceError(f"{name} failed: {error}")
    if type(error) is MemoryError:
        pages.POOL.clear()
        return AllocationError(f"memory for a result is not to be had: {error}")
    return error
