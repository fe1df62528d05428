"""Memory: blocks that kernels work on, shared with NumPy where the device can, copied where it cannot.

Nothing here is ever zero bytes long.  A `Block` owns its device buffer (kernel arguments do not keep buffers alive), so whoever
launches holds the blocks until the launches are in the queue.  The first use of a fresh buffer on a device with memory of its own
takes far longer than a kernel needs to fill it, so a buffer that nobody uses any more is kept, and handed out again: what is in the queue
before the next owner's launches comes first, since a device has one queue, which is in order.
"""
from __future__ import annotations

import atexit
import contextlib
import ctypes
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.errors import AllocationError
from exprgraph.locks import lock
from exprgraph.named import NamedTuple
from exprgraph.resident import DeviceArray
from runtime import pages
from runtime.device import Session, foreign
from runtime.driver import cl, failure
from runtime.residents import DeviceValue
from runtime.spare import PAGE, Spare, rounded

Array = np.ndarray[Any, Any]
LINE = 64
WIDEST = 128
"""The bytes of the largest vector type, which addresses of such vectors are multiples of."""
AHEAD = 256
"""Calls that may be in a queue before one of them waits for it."""
_lock = lock()
_Byte = ctypes.c_char * 1


class View(NamedTuple):
    """A strided view of the buffer that a plan names: offset, strides and reach (to the end of its last element) in bytes."""
    buffer: str
    dtype: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    reach: int
    compact: bool

    def on(self, host: Array) -> Array:
        """The view as an array on host memory; ValueError where it would leave it."""
        return np.ndarray(self.shape, self.dtype, host, self.offset, self.strides)


def view_of(buffer: str, dtype: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> View:
    """A view whose offset and strides are given in elements; compact: in C order without gaps from the start of the buffer."""
    if 0 in shape:
        return View(buffer, dtype, 0, shape, None, 0, True)
    width, expected, compact = dtype.itemsize, 1, offset == 0
    for n, s in zip(reversed(shape), reversed(strides)):
        compact = compact and (n == 1 or s == expected)
        expected *= n
    reach = 1 + offset + sum((n - 1) * s for n, s in zip(shape, strides))
    return View(buffer, dtype, offset * width, shape, None if compact else tuple(s * width for s in strides), reach * width, compact)


def compact_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of an array in C order without gaps."""
    return tuple(math.prod(shape[k + 1:]) for k in range(len(shape)))


class Account:
    """What is alive on one device: the number and the bytes of the buffers that were made for calls, constants and residents."""

    def __init__(self) -> None:
        self.buffers = 0
        self.bytes = 0
        self.uploads = 0
        self.downloads = 0
        self._lock = lock()  # its own, since blocks die while modules are torn down, and again, since they die inside it

    def add(self, buffers: int, nbytes: int) -> None:
        """Count buffers that came, or went where the numbers are negative."""
        with self._lock:
            self.buffers += buffers
            self.bytes += nbytes

    def copied(self, uploads: int = 0, downloads: int = 0) -> None:
        """Count copies between host and device."""
        with self._lock:
            self.uploads += uploads
            self.downloads += downloads


_accounts: dict[str, Account] = {}


def account(spec: str) -> Account:
    """The account of a device."""
    with _lock:
        return _accounts.setdefault(spec, Account())


class Block:
    """A device buffer with the host memory below it, if it shares any: a 1-D array without gaps.  It goes back to its pool, if any."""
    __slots__ = ("buffer", "host", "nbytes", "owner", "pool", "size")

    def __init__(self, buffer: Any, host: Array | None, nbytes: int, owner: Account | None = None, pool: Buffers | None = None,
                 size: int = 0) -> None:
        self.buffer, self.host, self.nbytes, self.owner, self.pool, self.size = buffer, host, nbytes, owner, pool, size
        if owner is not None:
            owner.add(1, max(nbytes, size))

    def __del__(self) -> None:
        if getattr(self, "owner", None) is not None:
            self.owner.add(-1, -max(self.nbytes, self.size))  # type: ignore[union-attr]
        if getattr(self, "pool", None) is not None:
            self.pool.keep(self.size, self.buffer)  # type: ignore[union-attr]


class Buffers(Spare[Any]):
    """The buffers of a device with memory of its own that nobody uses, up to an eighth of that memory."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.device.memory // 8)
        self.session, self.account = session, account(session.device.spec)
        atexit.register(self._finish)  # so that the driver is not taken down under running kernels

    def take(self, nbytes: int) -> tuple[Any, int]:
        """A buffer for so many bytes and its size, where need be after idle ones were given back, and no larger than it has to be then."""
        size = self.size(nbytes)
        buffer = self.found(size)
        if buffer is not None:
            return buffer, size
        if self.bytes and self.account.bytes + self.bytes + size > self.session.device.memory:
            self.clear()  # some drivers promise more than there is
            self._finish()
        try:
            return self._new(size), size
        except failure:
            if not self.bytes and size == nbytes:
                raise
        self.clear()
        self._finish()  # drivers keep a buffer until what uses it has run
        return self._new(nbytes), nbytes

    def size(self, nbytes: int) -> int:
        """The size of the buffer for so many bytes."""
        size = nbytes if nbytes < PAGE else rounded(nbytes)
        return size if size <= self.session.device.max_alloc else nbytes

    def _new(self, size: int) -> Any:
        return cl.Buffer(self.session.context, cl.mem_flags.READ_WRITE, size)

    def _finish(self) -> None:
        if foreign():  # where the driver would hang
            return
        with contextlib.suppress(failure):
            self.session.finish()


_buffers: dict[str, Buffers] = {}


def buffers(session: Session) -> Buffers:
    """The idle buffers of a device."""
    with _lock:
        found = _buffers.get(session.device.spec)
        if found is None or found.session is not session:
            found = _buffers[session.device.spec] = Buffers(session)
        return found


def room(count: int, itemsize: int) -> int:
    """The bytes of a block for so many elements: at least one, whole cache lines."""
    return -(-max(count, 1) * itemsize // LINE) * LINE


def data_of(array: Array) -> int:
    """Where the elements of an array begin."""
    found: int = array.__array_interface__["data"][0]
    return found


def pointer(array: Array) -> Any:
    """What a kernel on shared memory is given for an array, whether or not it may be written to; it keeps nothing alive."""
    return cl.SVM(_Byte.from_address(data_of(array)))


def aligned(nbytes: int) -> Array:
    """Fresh host memory as uint8, aligned for all that kernels use; AllocationError where there is none."""
    raw = pages.POOL.obtain(lambda: np.empty(nbytes + WIDEST, np.uint8), nbytes)
    start = -data_of(raw) % WIDEST
    return raw[start:start + nbytes]


def span(array: Array) -> int:
    """How many elements lie between the first and the last one of an array without negative strides, both included."""
    if not array.size:
        return 0
    return int(1 + sum((n - 1) * s for n, s in zip(array.shape, array.strides)) // array.itemsize)


def flat(array: Array) -> Array:
    """The memory from an array's first element to its last, as 1-D; for an empty array one element that nobody reads."""
    if not array.size:
        return np.zeros(1, array.dtype)
    if array.flags.c_contiguous:
        return array.reshape(-1)
    return np.lib.stride_tricks.as_strided(array, (span(array),), (array.itemsize,), writeable=False)


class SharedMemory:
    """Memory of a device whose kernels work on the memory of NumPy arrays: nothing is copied."""
    strided = True

    def __init__(self, session: Session) -> None:
        self.session = session
        self.account, self.idle = account(session.device.spec), pages.POOL

    def accepts(self, value: Any) -> bool:
        """Whether a device array can be used where it is, at least when it has been computed."""
        return isinstance(value, DeviceArray)

    def usable(self, values: Sequence[Any]) -> list[Any]:
        """The values with those that are resident as arrays on host memory, when they have been computed."""
        return [v.host() if isinstance(v, DeviceArray) else v for v in values]

    def size(self, nbytes: int) -> int:
        """The bytes that are allocated where so many are asked for."""
        return nbytes

    def leaf(self, value: Array, keep: bool) -> Block:
        """An argument or the version of a shared variable."""
        host = flat(value)
        return Block(pointer(host), host, 0)

    def constant(self, value: Array) -> Block:
        """A constant of a plan."""
        block = self.leaf(np.ascontiguousarray(value), True)
        return Block(block.buffer, block.host, value.nbytes, self.account)

    def fresh(self, nbytes: int) -> Block:
        """Memory that kernels write to."""
        host = aligned(nbytes)
        return Block(pointer(host), host, nbytes, self.account)


class CopiedMemory:
    """Memory of a device with memory of its own: arguments are copied there, results back, updates of shared variables stay."""
    strided = False

    def __init__(self, session: Session) -> None:
        self.session = session
        self.account, self.idle = account(session.device.spec), buffers(session)
        self._left = 0
        self._kept: dict[int, tuple[Any, Block]] = {}

    def accepts(self, value: Any) -> bool:
        """Whether a device array can be used where it is."""
        return isinstance(value, DeviceValue) and value.memory.session.context is self.session.context

    def size(self, nbytes: int) -> int:
        """The bytes that are allocated where so many are asked for."""
        return self.idle.size(nbytes)

    def usable(self, values: Sequence[Any]) -> list[Any]:
        """The values with those that lie elsewhere as arrays on host memory, when they have been computed."""
        return [v.host() if isinstance(v, DeviceArray) and not self.accepts(v) else v for v in values]

    def owns(self, value: Any) -> bool:
        """Whether a value was computed in this very queue, so that what is put there later need not wait for it."""
        return isinstance(value, DeviceValue) and value.memory.session is self.session

    def leave(self) -> None:
        """Let what is in the queue run while the caller goes on; now and then it waits, so that the queue cannot grow without bound."""
        self._left = (self._left + 1) % AHEAD
        if self._left:
            self.session.queue.flush()
        else:
            self.session.queue.finish()

    def leaf(self, value: Any, keep: bool) -> Block:
        """An argument, copied for this call; with `keep` (the version of a shared variable) it is copied once while it lives."""
        if isinstance(value, DeviceValue):
            if not self.owns(value):
                value.wait()
            resident: Block = value.block
            return resident
        found = self._kept.get(id(value)) if keep else None
        if found is not None and found[0]() is value:
            return found[1]
        block = self._upload(value)
        if keep and not value.flags.writeable:
            number = id(value)
            self._kept[number] = (weakref.ref(value, lambda _: self._kept.pop(number, None)), block)
        return block

    def _upload(self, value: Array) -> Block:
        block = self.fresh(room(value.size, value.itemsize))
        if value.size:
            cl.enqueue_copy(self.session.queue, block.buffer, flat(value), is_blocking=True)
            self.account.copied(uploads=1)
        return block

    def constant(self, value: Array) -> Block:
        """A constant of a plan."""
        return self._upload(np.ascontiguousarray(value))

    def resident(self, value: Array) -> DeviceValue:
        """A device array with the values of an array."""
        plain = np.ascontiguousarray(value).reshape(value.shape)
        return DeviceValue(self, self._upload(plain), view_of("", plain.dtype, 0, plain.shape, compact_strides(plain.shape)))

    def fresh(self, nbytes: int) -> Block:
        """Memory that kernels write to."""
        buffer, size = self.idle.take(nbytes)
        return Block(buffer, None, nbytes, self.account, self.idle, size)

    def zero(self, block: Block) -> None:
        """Fill a block with zeros, before anything that uses it is launched."""
        cl.enqueue_fill_buffer(self.session.queue, block.buffer, np.int64(0), 0, block.nbytes)

    def duplicate(self, block: Block) -> Block:
        """A block with the same bytes, which the device copies."""
        made = self.fresh(block.nbytes)
        cl.enqueue_copy(self.session.queue, made.buffer, block.buffer, byte_count=block.nbytes)
        return made

    def read(self, block: Block, view: View) -> Array:
        """A copy of a view of finished memory."""
        return view.on(self.bytes_of(block, view))

    def bytes_of(self, block: Block, view: View) -> Array:
        """A copy of finished memory as far as a view reaches."""
        host = aligned(room(view.reach, 1))
        if view.reach:
            cl.enqueue_copy(self.session.queue, host[:view.reach], block.buffer, is_blocking=True)
            self.account.copied(downloads=1)
        return host[:view.reach]

    def put(self, block: Block, host: Array) -> None:
        """Make new values in what `bytes_of` gave those of the block."""
        if host.size:
            cl.enqueue_copy(self.session.queue, block.buffer, host, is_blocking=True)
            self.account.copied(uploads=1)


Memory = SharedMemory | CopiedMemory


def memory_of(session: Session) -> Memory:
    """The memory of a device, as its target says."""
    return SharedMemory(session) if session.device.target.host_shared else CopiedMemory(session)


def check_budget(memory: Memory, wanted: int, largest: int, told: Callable[[BaseException], BaseException] = lambda error: error) -> None:
    """AllocationError where a call wants more bytes than the device has left, or one buffer more than it gives; told: what it is called.

    Idle memory counts as in use, and goes before a call is refused.
    """
    device = memory.session.device
    if largest > device.max_alloc:
        raise told(AllocationError(f"a buffer of {largest:,} bytes is more than {device.name} gives one buffer: {device.max_alloc:,} "
                                   "bytes"))
    if memory.account.bytes + memory.idle.bytes + wanted > device.memory:
        memory.idle.clear()
    if memory.account.bytes + wanted > device.memory:
        raise told(AllocationError(f"this call needs {wanted:,} bytes beside the {memory.account.bytes:,} in use; {device.name} has "
                                   f"{device.memory:,}"))
