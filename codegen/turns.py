"""Turns: a second entry to a kernel, for two devices that share memory and work on one launch together.

Instead of an id of its own a work-item draws numbers from a counter in memory, each the ids of one work-item of the plain launch, until
none is left.  So the device that runs in the calling thread begins at once, another one helps as soon as its threads are awake, and
both are done at the same time.  The last argument says whether to wait for a while until all that was drawn, by whomever, is done; a
work-item that does not wait and comes late finds no number left and touches nothing but the counter.  It stays for a moment, until it is
told to stop, so that its thread does not fall asleep and the next launch need not wake it.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Barrier, Kernel, Loop, geometry, walk

SUFFIX = "_turns"
DONE = 16
"""Where behind the counter the count of finished numbers lies: in another cache line."""
STOP = 24
"""Where what tells a helper to stop staying lies."""
SLOT = 32
"""Elements (int32) of memory for one launch, zero before it."""
STAYS = 1 << 16
"""How often a helper looks whether to stop, some 30 us."""
AXES = 2
SPINS = 1 << 19
"""How often a work-item that waits looks at the count, some 100 to 200 us: who has launched it looks again."""


def alone(kernel: Kernel) -> bool:
    """Whether the work-items of a kernel have nothing to do with each other, so that all of it can be a function."""
    return not any(isinstance(s, Barrier) or (isinstance(s, Loop) and s.kind in ("group", "local")) for s in walk(kernel.body))


def divisible(kernel: Kernel) -> bool:
    """Whether a kernel has the second entry."""
    return alone(kernel) and 1 <= len(geometry(kernel.body)[0]) <= AXES


def entry(name: str, declared: Sequence[str], given: Sequence[str], axes: int) -> str:
    """The kernel `name` + SUFFIX, which calls the function `name` + "_body"; after its arguments it takes the counter, the extent of
    the first axis, the count of work-items and whether to wait."""
    ids = ["turn % width", "turn / width"][:axes]
    own = ["volatile __global int *turns", "const int width", "const int total", "const int waits"]
    return "\n".join([
        f"__kernel void {name}{SUFFIX}({', '.join([*declared, *own])}) {{",
        f"    for (int turn; (turn = atomic_inc(turns)) < total; atomic_inc(turns + {DONE})) {name}_body({', '.join([*given, *ids])});",
        f"    for (int spin = 0; waits && turns[{DONE}] < total && spin < {SPINS}; ++spin);",
        f"    for (int spin = 0; !waits && !turns[{STOP}] && spin < {STAYS}; ++spin);",
        "}"])
