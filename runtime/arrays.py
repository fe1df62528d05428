"""Device arrays on OpenCL devices: from host memory, and from and to pyopencl's arrays."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.resident import Array, DeviceArray, resident
from runtime.chosen import choose
from runtime.device import session
from runtime.driver import cl, failure
from runtime.failures import translated
from runtime.memory import Block, SharedMemory, compact_strides, memory_of, view_of
from runtime.residents import DeviceValue


def queue(spec: str) -> Any:
    """The queue of a device."""
    return session(choose(spec)).queue


def placed(host: Array, spec: str, copy: bool | None, borrowed: bool) -> DeviceArray:
    """A device array with the values of a native array in C order: on its very memory, where the device works there."""
    memory = memory_of(session(choose(spec)))
    if isinstance(memory, SharedMemory):
        return resident(host, memory.session.device.spec, borrowed)
    if copy is False:
        raise ValueError(f"copy=False, but {memory.session.device.name} has memory of its own, to which the array has to be copied")
    try:
        return memory.resident(host)
    except failure as error:
        raise translated(error, memory.session) from None


def known(value: DeviceArray, spec: str) -> DeviceArray | None:
    """The same device array for another name of its device, or for another device that works on the same memory; else None."""
    found = choose(spec)
    if isinstance(value, DeviceValue):
        return value if found.spec == value.device else None
    if not found.target.host_shared:
        return None
    return value if found.spec == value.device else DeviceArray(value.shape, value.dtype, found.spec, value.host(), None, value.borrowed)


def adopted(value: Any, spec: str) -> DeviceArray | None:
    """A pyopencl array as a device array on its memory, when it has been computed; None where it has to be copied."""
    memory = memory_of(session(choose(spec)))
    base = value.base_data
    fits = base is not None and value.flags.c_contiguous and base.context == memory.session.context and value.size
    if not fits or value.queue is None:
        return None
    value.finish()
    value.queue.finish()
    if isinstance(memory, SharedMemory):
        host, _ = cl.enqueue_map_buffer(memory.session.queue, base, cl.map_flags.READ, value.offset, value.shape, value.dtype,
                                        is_blocking=True)
        return resident(host, memory.session.device.spec, borrowed=True)
    if value.offset:
        return None
    view = view_of("", value.dtype, 0, value.shape, compact_strides(value.shape))
    return DeviceValue(memory, Block(base, None, value.nbytes), view, None, borrowed=True)


def exported(value: DeviceArray) -> Any:
    """A pyopencl array on the memory of a device array, when that has been computed."""
    import pyopencl.array
    value.wait()
    if isinstance(value, DeviceValue):
        buffer, opened = value.block.buffer, value.memory.session
        value.block.pool = None  # nobody knows when the last of those goes who use it
    else:
        opened, host = session(choose(value.device)), value.host()
        flags = cl.mem_flags.READ_ONLY | cl.mem_flags.USE_HOST_PTR
        buffer = cl.Buffer(opened.context, flags, hostbuf=host if host.size else np.zeros(1, host.dtype))
    return pyopencl.array.Array(opened.queue, value.shape, value.dtype, data=buffer)
