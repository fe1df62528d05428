"""Names of kernels: made of their own text, so that equal kernels of different plans have one name and are built once."""
from __future__ import annotations

import hashlib
from collections import OrderedDict

from codegen.dialect import Dialect, dialect_of
from codegen.kernel import Frame, Kernel, Traits, frame
from codegen.opencl import kernel_source

DIGITS = 12
REMEMBERED = 1024
_texts: OrderedDict[tuple[str, Dialect], tuple[str, Traits]] = OrderedDict()  # no sizes: these hold on to leaves and their values


def named(kernel: Kernel, dialect: str) -> tuple[Kernel, Frame]:
    """The kernel under the name that its text gives it, and its frame; one that has such a name keeps it."""
    if is_named(kernel):
        return kernel, frame(kernel)
    spoken, found = dialect_of(dialect), frame(kernel)
    text = kernel_source(kernel._replace(name="k"), spoken, found)
    name = "k_" + hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    _texts[name, spoken] = text.replace("__kernel void k(", f"__kernel void {name}(", 1), found.traits
    if len(_texts) > REMEMBERED:
        _texts.popitem(last=False)
    return kernel._replace(name=name), found


def text_of(kernel: Kernel, spoken: Dialect) -> tuple[str, Traits]:
    """The text of a kernel and its traits, remembered since it was named."""
    known = _texts.get((kernel.name, spoken))
    if known is None:
        known = kernel_source(kernel, spoken, found := frame(kernel)), found.traits
    return known


def is_named(kernel: Kernel) -> bool:
    """Whether the kernel has its name from here."""
    head, _, digits = kernel.name.partition("_")
    return head == "k" and len(digits) == DIGITS and set(digits) <= set("0123456789abcdef")
