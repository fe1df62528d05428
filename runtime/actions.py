"""Actions: the steps of a plan with the numbers of one call."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codegen.plan import Site
from exprgraph.errors import at
from exprgraph.named import NamedTuple
from runtime.device import Session
from runtime.driver import cl
from runtime.memory import Array, Block, CopiedMemory, View
from runtime.together import FAR


class Run(NamedTuple):
    """One call under way on a device with memory of its own: that memory, the block of each buffer and the driver's last event."""
    session: Session
    memory: CopiedMemory
    blocks: dict[str, Block]
    events: list[Any]


class KernelCall(NamedTuple):
    """A launch with its numbers; place: one of those of `runtime.together`.

    kernel: what the driver launches, or None where code, the address of a job, is called.  work: picoseconds.  shared: whether helpers
    may take part.
    """
    kernel: Any
    buffers: tuple[str, ...]
    scalars: tuple[int, ...]
    grid: tuple[int, ...]
    local: tuple[int, ...]
    place: str = FAR
    code: int = 0
    work: int = 0
    shared: bool = False

    def run(self, run: Run) -> Any:
        """Put it into the queue; the event of the launch."""
        self.kernel.set_args(*[run.blocks[b].buffer for b in self.buffers], *self.scalars)
        event = cl.enqueue_nd_range_kernel(run.session.queue, self.kernel, self.grid, self.local)
        run.events[:] = [event]
        return event


class FunctionCall(NamedTuple):
    """A NumPy function on views of host memory, with the result as `out`."""
    function: Callable[..., Any]
    inputs: tuple[View, ...]
    output: View

    def run(self, run: Run) -> None:
        """Call with what is read back when it has been computed; the result goes to the device."""
        block = run.blocks[self.output.buffer]
        host = run.memory.bytes_of(block, self.output)
        self.function(*[self._on(run, v) for v in self.inputs], out=self.output.on(host))
        run.memory.put(block, host)

    def _on(self, run: Run, view: View) -> Array:
        return run.memory.read(run.blocks[view.buffer], view)


class OwnAction(NamedTuple):
    """A function or kernel of the user's own: called with views of host memory, or run by the kernel on a device's own memory."""
    function: Callable[[tuple[Array, ...], tuple[Array, ...]], None]
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    kernel: Any = None

    def run(self, run: Run) -> None:
        """A kernel is put into the queue; a function is called with what is read back, and its results go to the device."""
        if self.kernel is not None:
            self.kernel(run, self.inputs, self.outputs)
            run.events.clear()
            return
        hosts = [run.memory.bytes_of(run.blocks[v.buffer], v) for v in self.outputs]
        inputs = tuple(run.memory.read(run.blocks[v.buffer], v) for v in self.inputs)
        self.function(inputs, tuple(v.on(h) for v, h in zip(self.outputs, hosts)))
        for view, host in zip(self.outputs, hosts):
            run.memory.put(run.blocks[view.buffer], host)


class FaultCheck(NamedTuple):
    """The end of a plan whose kernels can find faults."""
    sites: tuple[Site, ...]
    flags: View

    def run(self, run: Run) -> None:
        """Wait; the error of its site where a kernel has found a fault."""
        flags = run.memory.read(run.blocks[self.flags.buffer], self.flags).tolist()
        if flags[0]:
            raise fault_of(self.sites, flags)


def fault_of(sites: Sequence[Site], flags: Sequence[int]) -> Exception:
    """The error of the site that a kernel's flags name."""
    site, index, size, _ = flags
    found = sites[site - 1]
    error: Exception = found.error(found.message.format(index=index, size=size) + at(found.source))
    return error


Action = KernelCall | FunctionCall | OwnAction | FaultCheck


def buffers_of(action: Action) -> tuple[str, ...]:
    """The buffers that an action uses."""
    if isinstance(action, KernelCall):
        return action.buffers
    if isinstance(action, FaultCheck):
        return (action.flags.buffer,)
    outputs = action.outputs if isinstance(action, OwnAction) else (action.output,)
    return tuple(v.buffer for v in (*action.inputs, *outputs))
