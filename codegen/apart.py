"""Long helper functions stand apart in kernels that call them often.

Compilers for GPUs put every function into its caller, and take longer than in proportion for what grows: NVIDIA's took more than a
minute for three kernels of 400 sines each.  Where a kernel calls long functions more than a few times, they are compiled once and called,
which costs a few cycles beside the hundred or so that they take.
"""
from __future__ import annotations

import re
from collections.abc import Sequence

OFTEN = 32
"""The most calls of long functions in one kernel that are put into it."""
LONG = 400
"""Characters of a function that counts as long even if it calls no long builtin."""
_BUILTINS = re.compile(r"\b(?:a?(?:sin|cos|tan)h?|atan2|exp(?:m1|2|10)?|log(?:1p|2|10)?|pow|erfc?|[lt]gamma|cbrt|hypot|fmod)\(")
_NAME = re.compile(r"\beg_\w+")
INLINE, APART = "EG_INLINE", "static __attribute__((noinline))"


def apart(prelude: str, kernels: Sequence[str]) -> str:
    """The definitions that stand before the kernels, the long ones as functions proper where a kernel calls them often."""
    long: set[str] = set()
    for line in prelude.splitlines():
        own, *used = _NAME.findall(line) or ("",)
        if line.startswith(INLINE) and (len(line) > LONG or _BUILTINS.search(line) or not long.isdisjoint(used)):
            long.add(own)
    if max((sum(name in long for name in _NAME.findall(k)) for k in kernels), default=0) <= OFTEN:
        return prelude
    return "".join(line.replace(INLINE, APART, 1) if _NAME.search(line) and _NAME.findall(line)[0] in long else line
                   for line in prelude.splitlines(True))
