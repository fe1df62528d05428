"""Runs one scheduled kernel on PoCL, on the same memory and sizes as codegen.interpret.run."""
from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from codegen.interpret import Env, Memory, launch_of
from codegen.kernel import Kernel
from codegen.opencl import program_source
from runtime.pocl import name_unknown_cpu

os.environ.setdefault("POCL_DEVICES", "basic pthread")


@lru_cache(maxsize=1)
def _context():
    """(context, queue by device type) of PoCL."""
    import pyopencl as cl
    platform = next(p for p in cl.get_platforms() if "Portable" in p.name)
    devices = platform.get_devices()
    name_unknown_cpu(tuple(devices))
    context = cl.Context(devices)
    return context, {kind: cl.CommandQueue(context, d) for kind in ("basic", "pthread") for d in devices if d.name.startswith(kind)}


@lru_cache(maxsize=256)
def _built(source: str):
    import pyopencl as cl
    return cl.Program(_context()[0], source).build(options=["-cl-std=CL1.2"], cache_dir=False)


def run_pocl(kernel: Kernel, memory: Memory, env: Env, dialect: str = "pocl", device: str = "pthread",
             together: Sequence[Kernel] | None = None) -> None:
    """Run a kernel on flat arrays by buffer name; what it writes is copied back into them.  `together`: all kernels of its program."""
    import pyopencl as cl
    context, queues = _context()
    total, local, dims = launch_of(kernel, env)
    compiled = cl.Kernel(_built(program_source(together or [kernel], dialect)), kernel.name)
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
