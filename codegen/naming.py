"""Names of kernels: made of their own text, so that equal kernels of different plans have one name and are built once."""
from __future__ import annotations

import hashlib

from codegen.kernel import Kernel
from codegen.opencl import kernel_source

DIGITS = 12


def named(kernel: Kernel, dialect: str) -> Kernel:
    """The kernel under the name that its text gives it; one that has such a name keeps it."""
    if is_named(kernel):
        return kernel
    text = kernel_source(kernel._replace(name="k"), dialect)
    return kernel._replace(name="k_" + hashlib.sha256(text.encode()).hexdigest()[:DIGITS])


def is_named(kernel: Kernel) -> bool:
    """Whether the kernel has its name from here."""
    head, _, digits = kernel.name.partition("_")
    return head == "k" and len(digits) == DIGITS and set(digits) <= set("0123456789abcdef")
