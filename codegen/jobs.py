"""Jobs: kernels as plain functions of one record in memory, for a device whose kernels run in this very process.

A driver needs a microsecond to launch a kernel, a function call a nanosecond.  So a program for such a device holds, for each kernel
whose work-items have nothing to do with each other, a second entry: a function that finds its arguments in a record of 64-bit words.
One more kernel, the *door*, tells the addresses of these functions.  They are x86-64 code that follows the C convention.

A function takes work-items one after the other by a counter in its record, each the ids of one work-item of the plain launch, until none
is left.  So several threads may run the same job at once, whenever they come, and finish at the same time; one that comes late finds no
number left and touches nothing but the counter.
"""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Traits

SUFFIX = "_job"
DOOR = "eg_door"
TURN, CODE, WIDTH, TOTAL, ARGUMENTS = 0, 8, 9, 11, 12
"""Words of a record: the counter, alone in its cache line; the address of the function; the extents of the first two axes; the count
of work-items; from there on the pointers and then the integers of the kernel."""
AXES = 3


def divisible(traits: Traits) -> bool:
    """Whether a kernel with these traits has the second entry."""
    return traits.alone and 1 <= traits.axes <= AXES


def job(name: str, pointers: Sequence[str], integers: Sequence[str], axes: int) -> str:
    """The function `name` + SUFFIX, which calls the function `name` + "_body"; pointers and integers: the types of its arguments.

    The empty instruction keeps the compiler from passing what the record holds instead of the record.
    """
    words = [f"({type_})record[{ARGUMENTS + k}]" for k, type_ in enumerate([*pointers, *integers])]
    ids = ["turn"] if axes == 1 else ["turn % width", "turn / width"]
    if axes == AXES:
        ids[1:] = [f"turn / width % (int)record[{WIDTH + 1}]", f"turn / width / (int)record[{WIDTH + 1}]"]
    return "\n".join([
        f"__attribute__((noinline)) void {name}{SUFFIX}(__global long *record) {{",
        '    __asm__ volatile("" : "+r"(record));',
        "    volatile __global int *turns = (volatile __global int *)record;",
        f"    const int width = (int)record[{WIDTH}], total = (int)record[{TOTAL}];",
        f"    for (int turn; (turn = atomic_inc(turns)) < total;) {name}_body({', '.join([*words, *ids])});",
        "}"])


def door(functions: Sequence[str]) -> str:
    """The kernel that writes the addresses of these functions, whose only argument is one record; it calls them where it is told to,
    so that they are in the program."""
    lines = [f"__kernel void {DOOR}(__global long *found, const int run) {{", "    long address;"]
    for k, name in enumerate(functions):
        lines += [f"    if (run) {name}(found);", f'    __asm__ volatile("lea {name}(%%rip), %0" : "=r"(address));',
                  f"    found[{k}] = address;"]
    return "\n".join([*lines, "}"])
