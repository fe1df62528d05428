"""Runs one scheduled kernel on PoCL, on the same memory and sizes as codegen.interpret.run; on the device that `tests.on_device` names, if
that is another one."""
from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from codegen.interpret import Env, Memory, launch_of
from codegen.kernel import Kernel
from codegen.printed import program_source
from runtime import device as devices
from runtime.declared import SKIPPED, declared
from runtime.pocl import name_unknown_cpu
from tests import quick_builds

os.environ.setdefault("POCL_DEVICES", "basic pthread")
NAMED = os.environ.get("EXPRGRAPH_TEST_DEVICE", "rehearsal")


class Opened(NamedTuple):
    """Where kernels run: a queue by device type, what the compiler is told, and the only dialect of a device that is not PoCL's."""
    context: Any
    queues: dict[str, Any]
    options: list[str]
    dialect: str | None


@lru_cache(maxsize=1)
def _opened() -> Opened:
    import pyopencl as cl
    if NAMED != "rehearsal":
        session = devices.session(devices.choose(NAMED))
        if not session.device.pocl:
            return Opened(session.context, dict.fromkeys(("basic", "pthread"), session.queue), list(session.device.options),
                          session.device.target.dialect)
    platform = next(p for p in cl.get_platforms() if "Portable" in p.name)
    found = platform.get_devices()
    name_unknown_cpu(tuple(found))
    context = cl.Context(found)
    queues = {kind: cl.CommandQueue(context, d) for kind in ("basic", "pthread") for d in found if d.name.startswith(kind)}
    return Opened(context, queues, [], None)


@lru_cache(maxsize=256)
def _built(source: str, device: str, plain: bool) -> Any:
    """The program for one device, of whose compiler it asks no more than programs of functions do."""
    import pyopencl as cl
    opened = _opened()
    short = declared(source) if opened.dialect is None else None
    options = ["-cl-std=CL1.2", *opened.options, *[SKIPPED] * (short is not None), *[quick_builds.OPTION] * plain]
    queue = opened.queues[device]
    return cl.Program(opened.context, short or source).build(options, devices=[queue.device], cache_dir=False)


def run_pocl(kernel: Kernel, memory: Memory, env: Env, dialect: str = "pocl", device: str = "pthread",
             together: Sequence[Kernel] | None = None) -> None:
    """Run a kernel on flat arrays by buffer name; what it writes is copied back into them.  `together`: all kernels of its program."""
    import pyopencl as cl
    context, queues, _, own = _opened()
    total, local, dims = launch_of(kernel, env)
    source = program_source(together or [kernel], own or dialect)
    compiled = cl.Kernel(_built(source, device, own is None and quick_builds.plain(source)), kernel.name)
    if 0 in total:
        return
    arrays = [memory[p.name] for p in kernel.params] + ([memory["flags"]] if kernel.flags else [])
    flags = cl.mem_flags
    copies = [a if a.size else np.zeros(1, a.dtype) for a in arrays]
    buffers = [cl.Buffer(context, flags.READ_WRITE | flags.COPY_HOST_PTR, hostbuf=np.ascontiguousarray(c)) for c in copies]
    scalar = np.int64 if kernel.wide else np.int32
    for position, value in enumerate([*buffers, *map(scalar, dims)]):
        compiled.set_arg(position, value)
    queue = queues[device]
    cl.enqueue_nd_range_kernel(queue, compiled, total, local)
    for array, buffer, param in zip(arrays, buffers, [*kernel.params, None]):
        if array.size and (param is None or param.access != "r"):
            cl.enqueue_copy(queue, array, buffer)
    queue.finish()
